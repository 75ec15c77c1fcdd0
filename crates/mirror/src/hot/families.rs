//! The key families of mirrored records: one per resource, by the name its connector gives it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use cache::{
    Cache, CacheBuilder, Family, FamilyError, FamilySpec, Instance, Key, Life, PerInstance,
    PerTenant, SizeClass, Ttl,
};
use store::ResourceName;
use upstream::{Connector, Resource};

use super::{HotPage, HotRecord, generation::Generations};

/// How long a record stays hot that is older than it should be because upstream did not answer. It is marked.
pub(crate) const STALE_LIFE: Duration = Duration::from_secs(5);
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

/// The families of all mirrored records, and of searches. Cheap to clone.
#[derive(Clone)]
pub struct HotFamilies {
    records: Arc<BTreeMap<ResourceName, RecordKeys>>,
    pub(super) searches: Family<PerTenant, (String, String), HotPage>,
    pub(super) generations: Arc<Generations>,
}

/// A family whose keys have one part, the record's id, or two, which the id holds with `:` or `|` between them.
#[derive(Clone)]
enum RecordKeys {
    One(Family<PerInstance, str, HotRecord>),
    Two(Family<PerInstance, (String, String), HotRecord>),
}

impl HotFamilies {
    /// Registers a family for every resource and payload of `connectors`: by the name that it gives, resources that
    /// give none as `cin7:sale:{id}`. Connectors that give the same name share the family; their instances keep its
    /// keys apart. What a connector's rules say of a value's life is asked when it is loaded.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] when two families could name the same key, or a given name is no such name.
    pub fn register(
        builder: &mut CacheBuilder,
        connectors: &[Arc<Connector>],
        settings: HotSettings,
    ) -> Result<Self, FamilyError> {
        let mut records = BTreeMap::new();
        let mut known = HashMap::new();
        for connector in connectors {
            for (name, family, table) in families(connector) {
                // Names that cannot be tables are refused when the mirror opens.
                let Ok(resource) = ResourceName::new(&connector.name, name) else {
                    continue;
                };
                let keys = match known.get(&family) {
                    Some(keys) => RecordKeys::clone(keys),
                    None => {
                        let keys = register_records(builder, &family, settings, table)?;
                        known.insert(family, keys.clone());
                        keys
                    }
                };
                records.insert(resource, keys);
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
        match self.records.get(resource)? {
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
        match self.records.get(resource)? {
            RecordKeys::One(family) => Some(family.unversioned(Instance(instance), id)),
            RecordKeys::Two(family) => Some(family.unversioned(Instance(instance), &parts(id)?)),
        }
    }
}

/// The two parts of an id.
fn parts(id: &str) -> Option<(String, String)> {
    let (first, second) = id.split_once([':', '|'])?;
    Some((first.to_owned(), second.to_owned()))
}

/// The resources and payloads of a connector: each with its family, and the table of rules by which its values live.
fn families(connector: &Connector) -> impl Iterator<Item = (&str, String, Option<&str>)> {
    let resources = connector.resources.iter().map(|resource| {
        let given = resource.family.as_ref();
        let family = given.map_or_else(
            || format!("{}:{}:{{id}}", connector.name, resource.name),
            |given| given.as_str().to_owned(),
        );
        (resource.name.as_str(), family, hot_table(resource))
    });
    let payloads = connector.payloads.iter().map(|payload| {
        let family = payload.family.as_str().to_owned();
        (payload.name.as_str(), family, payload.ttl.as_deref())
    });
    resources.chain(payloads)
}

/// The table by which the hot values of a resource live. Only a resource that gives its family a name is refreshed by
/// readers: reading any other costs no call, however old it is.
pub(crate) fn hot_table(resource: &Resource) -> Option<&str> {
    resource.family.as_ref().and(resource.ttl.as_deref())
}

fn register_records(
    builder: &mut CacheBuilder,
    name: &str,
    settings: HotSettings,
    table: Option<&str>,
) -> Result<RecordKeys, FamilyError> {
    let label = table.map_or_else(
        || format!("{:?} or a write", settings.record_ttl),
        str::to_owned,
    );
    // The life that a table says is the loader's to know: it depends on more than the value.
    let ttl = Ttl::rule(label, move |hot: &HotRecord, _| {
        Life::For(match hot.stale {
            Some(_) => STALE_LIFE,
            None => settings.record_ttl,
        })
    });
    let is_double = name.matches('{').count() > 1;
    // Nobody pays ahead: the row lies in the mirror, and calls are the due-queue's to spend.
    macro_rules! family {
        () => {{
            let spec = FamilySpec::new(name, "mirror.record", ttl, SizeClass::Bulk);
            let spec = spec.absent_for(settings.absent_ttl).refresh_at(1.0);
            // A life that a table says is not shortened.
            let spec = if table.is_some() {
                spec.jitter(0.0)
            } else {
                spec
            };
            builder.family(spec.load_max(LOAD_MAX))?
        }};
    }
    Ok(if is_double {
        RecordKeys::Two(family!())
    } else {
        RecordKeys::One(family!())
    })
}

impl fmt::Debug for HotFamilies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.records.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
