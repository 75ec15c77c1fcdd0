//! The key families of mirrored records: one per resource, by the name its connector gives it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use cache::{
    Cache, CacheBuilder, Family, FamilyError, FamilySpec, Instance, Key, Life, PerInstance,
    PerTenant, SizeClass, Ttl,
};
use jiff::Timestamp;
use store::{ResourceName, read::RecordRow};
use upstream::Connector;

use super::{HotPage, HotRecord, generation::Generations};

/// How long a record stays hot that is older than it should be because upstream did not answer. It is marked.
const STALE_LIFE: Duration = Duration::from_secs(5);
/// Longest load of a hot value: a call to upstream, its retries and its wait for a permit.
const LOAD_MAX: Duration = Duration::from_secs(100);

/// How long hot values live where no rule of a connector says.
#[derive(Debug, Clone, Copy)]
pub struct HotSettings {
    /// A record. A write to it ends its life sooner.
    pub record_ttl: Duration,
    /// That there is no such record.
    pub absent_ttl: Duration,
    /// A page of search results.
    pub search_ttl: Duration,
}

impl Default for HotSettings {
    fn default() -> Self {
        Self {
            record_ttl: Duration::from_secs(300),
            absent_ttl: Duration::from_secs(10),
            search_ttl: Duration::from_secs(10),
        }
    }
}

/// How fresh a record should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// As the mirror has it: reading it costs no call.
    Any,
    /// As old as this at the most; a read refreshes it from upstream first when it is older. It stays hot until then.
    Within(Duration),
    /// As the mirror has it, and never kept hot: what TTL tables call `none`.
    NotKept,
}

/// Says how fresh a record should be, from what it says and the time.
pub type TargetRule = Arc<dyn Fn(&RecordRow, Timestamp) -> Target + Send + Sync>;

/// Answers the freshness rule of a connector's resource or payload, and the rule's name; `None`: it has none.
pub type RuleOf<'a> = dyn Fn(&Connector, &str) -> Option<(String, TargetRule)> + 'a;

/// The families of all mirrored records, and of searches. Cheap to clone.
#[derive(Clone)]
pub struct HotFamilies {
    records: Arc<BTreeMap<ResourceName, RecordFamily>>,
    pub(super) searches: Family<PerTenant, (String, String), HotPage>,
    pub(super) generations: Arc<Generations>,
}

struct RecordFamily {
    name: RecordKeys,
    rule: Option<TargetRule>,
}

/// A family whose keys have one part, the record's id, or two, which the id holds with `:` or `|` between them.
enum RecordKeys {
    One(Family<PerInstance, str, HotRecord>),
    Two(Family<PerInstance, (String, String), HotRecord>),
}

impl HotFamilies {
    /// Registers a family for every resource and payload of `connectors`: payloads by the name they give, resources
    /// as `cin7:sale:{id}`. `rule` answers the freshness rule of a resource by its name without the connector, if it
    /// has one.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] when two families could name the same key, or a payload's family is no such name.
    pub fn register(
        builder: &mut CacheBuilder,
        connectors: &[Arc<Connector>],
        settings: HotSettings,
        rule: &RuleOf<'_>,
    ) -> Result<Self, FamilyError> {
        let mut records = BTreeMap::new();
        for connector in connectors {
            let resources = connector.resources.iter().map(|resource| {
                let family = format!("{}:{}:{{id}}", connector.name, resource.name);
                (&resource.name, family)
            });
            let payloads = connector.payloads.iter();
            let payloads =
                payloads.map(|payload| (&payload.name, payload.family.as_str().to_owned()));
            for (name, family) in resources.chain(payloads) {
                // Names that cannot be tables are refused when the mirror opens.
                let Ok(resource) = ResourceName::new(&connector.name, name) else {
                    continue;
                };
                if records.contains_key(&resource) {
                    continue;
                }
                let rule = rule(connector, name);
                let family = register_records(builder, &family, settings, rule)?;
                records.insert(resource, family);
            }
        }
        let ttl = Ttl::fixed(settings.search_ttl);
        let name = "search:{resource}:{hash}";
        let searches = FamilySpec::new(name, "mirror.search", ttl, SizeClass::Bulk);
        Ok(Self {
            records: Arc::new(records),
            searches: builder.family(searches.refresh_at(1.0))?,
            generations: Arc::default(),
        })
    }

    pub(super) fn key(
        &self,
        cache: &Cache,
        resource: &ResourceName,
        instance: &str,
        id: &str,
    ) -> Option<Key<HotRecord>> {
        match &self.records.get(resource)?.name {
            RecordKeys::One(family) => Some(cache.key(family, Instance(instance), id)),
            RecordKeys::Two(family) => Some(cache.key(family, Instance(instance), &parts(id)?)),
        }
    }

    /// The key that a change of a record makes wrong, the same in every build.
    pub(super) fn unversioned(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
    ) -> Option<String> {
        match &self.records.get(resource)?.name {
            RecordKeys::One(family) => Some(family.unversioned(Instance(instance), id)),
            RecordKeys::Two(family) => Some(family.unversioned(Instance(instance), &parts(id)?)),
        }
    }

    /// The freshness rule of a resource.
    pub(super) fn rule(&self, resource: &ResourceName) -> Option<&TargetRule> {
        self.records.get(resource)?.rule.as_ref()
    }
}

/// The two parts of an id.
fn parts(id: &str) -> Option<(String, String)> {
    let (first, second) = id.split_once([':', '|'])?;
    Some((first.to_owned(), second.to_owned()))
}

fn register_records(
    builder: &mut CacheBuilder,
    name: &str,
    settings: HotSettings,
    rule: Option<(String, TargetRule)>,
) -> Result<RecordFamily, FamilyError> {
    let (label, rule) = rule.unzip();
    let label = label.unwrap_or_else(|| format!("{:?} or a write", settings.record_ttl));
    let life_rule = rule.clone();
    let ttl = Ttl::rule(label, move |hot: &HotRecord, now| {
        if hot.stale.is_some() {
            return Life::For(STALE_LIFE);
        }
        match life_rule.as_ref().map(|rule| rule(&hot.record, now)) {
            Some(Target::Within(ttl)) => Life::For(ttl),
            Some(Target::NotKept) => Life::Never,
            Some(Target::Any) | None => Life::For(settings.record_ttl),
        }
    });
    // Nobody pays ahead: the row lies in the mirror, and calls are the due-queue's to spend.
    let name = if name.matches('{').count() > 1 {
        let spec = FamilySpec::new(name, "mirror.record", ttl, SizeClass::Bulk);
        let spec = spec.absent_for(settings.absent_ttl).refresh_at(1.0);
        RecordKeys::Two(builder.family(spec.load_max(LOAD_MAX))?)
    } else {
        let spec = FamilySpec::new(name, "mirror.record", ttl, SizeClass::Bulk);
        let spec = spec.absent_for(settings.absent_ttl).refresh_at(1.0);
        RecordKeys::One(builder.family(spec.load_max(LOAD_MAX))?)
    };
    Ok(RecordFamily { name, rule })
}

impl fmt::Debug for HotFamilies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.records.keys()).finish()
    }
}
