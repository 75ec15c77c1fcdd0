//! One instance at run time: its client, its resources, and how they hang together.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use store::{
    ResourceName, Store, StoreError,
    instances::CallLimit,
    queue::ParentLink,
    records::{Child, Incoming, Refused, Want},
};
use upstream::{Class, Client, RawRecord, Resource};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    error::Result, payload::PayloadKind, settings::InstanceSettings, spending::Spending,
    targets::Targets,
};

/// A connection's window may have this many calls; larger limits become smaller windows, which allow no more.
pub(crate) const SLOTS_MAX: u32 = 600;

/// One instance at run time.
pub(crate) struct Account {
    pub settings: InstanceSettings,
    pub client: Client,
    pub store: Store,
    pub kinds: Vec<Arc<Kind>>,
    pub payloads: Vec<Arc<PayloadKind>>,
    /// How fresh its records and payloads should be.
    pub targets: Targets,
    /// Which of them deserve calls.
    pub spending: Spending,
}

/// One resource of an instance.
#[derive(Debug)]
pub(crate) struct Kind {
    pub resource: Arc<Resource>,
    pub name: ResourceName,
    /// The resource whose watermark says how fresh unchanged records are: itself, or its parent.
    pub feed: ResourceName,
    /// Resources fetched per record of this one.
    pub children: Vec<ChildLink>,
}

/// A resource fetched per record of another.
#[derive(Debug)]
pub(crate) struct ChildLink {
    pub name: ResourceName,
    pub resource: Arc<Resource>,
    when: Option<Value>,
    unless: Vec<Value>,
}

impl ChildLink {
    fn new(name: ResourceName, resource: Arc<Resource>) -> Self {
        let nested = |path: &upstream::FieldPath, text: &str| {
            path.keys()
                .iter()
                .rev()
                .fold(Value::String(text.to_owned()), |inner, key| {
                    Value::Object([(key.clone(), inner)].into_iter().collect())
                })
        };
        let when = resource
            .when
            .iter()
            .fold(None, |all: Option<Value>, (path, text)| {
                let mut all = all.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
                merge(&mut all, nested(path, text));
                Some(all)
            });
        let unless = resource
            .unless
            .iter()
            .map(|(path, text)| nested(path, text))
            .collect();
        Self {
            name,
            resource,
            when,
            unless,
        }
    }

    fn needs_body(&self) -> bool {
        self.when.is_some() || !self.unless.is_empty() || self.resource.of_at.is_some()
    }

    /// The id to fetch for a parent with this body; `None`: nothing.
    fn wanted(&self, place: usize, body: &Value) -> Option<Want> {
        let text = |path: &upstream::FieldPath| match path
            .keys()
            .iter()
            .try_fold(body, |at, key| at.get(key))?
        {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let holds = |(path, expected): &(upstream::FieldPath, String)| {
            text(path).as_ref() == Some(expected)
        };
        if !self.resource.when.iter().all(holds) || self.resource.unless.iter().any(holds) {
            return None;
        }
        let id = match &self.resource.of_at {
            None => None,
            Some(path) => {
                let id = text(path).filter(|id| !id.is_empty())?;
                Some(if self.resource.key_lower {
                    id.to_lowercase()
                } else {
                    id
                })
            }
        };
        Some(Want { child: place, id })
    }

    pub fn link<'a>(&'a self, parent: &'a ResourceName) -> ParentLink<'a> {
        ParentLink {
            parent,
            child: &self.name,
            id_at: self.resource.of_at.as_ref().map(upstream::FieldPath::keys),
            when: self.when.as_ref(),
            unless: &self.unless,
        }
    }

    /// Whether child and parent have the same ids, so that they vanish together.
    pub fn shares_ids(&self) -> bool {
        self.resource.of_at.is_none() && self.when.is_none() && self.unless.is_empty()
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

impl Kind {
    /// The chosen resources of a connector, parents before children.
    pub fn all_of(settings: &InstanceSettings) -> Result<Vec<Arc<Self>>> {
        let connector = &settings.connector;
        let chosen = |resource: &Resource| {
            settings.resources.admits(&resource.name)
                || connector.resources.iter().any(|child| {
                    child.of.as_ref() == Some(&resource.name)
                        && settings.resources.admits(&child.name)
                })
        };
        let mut kinds = Vec::new();
        for resource in connector.resources.iter().filter(|r| chosen(r)) {
            let name = ResourceName::new(&connector.name, &resource.name)?;
            let feed = match &resource.of {
                Some(parent) if resource.list.is_none() => {
                    ResourceName::new(&connector.name, parent)?
                }
                _ => name.clone(),
            };
            let mut children = Vec::new();
            for child in connector
                .resources
                .iter()
                .filter(|c| c.of.as_ref() == Some(&resource.name) && chosen(c))
            {
                let child_name = ResourceName::new(&connector.name, &child.name)?;
                children.push(ChildLink::new(child_name, Arc::clone(child)));
            }
            kinds.push(Arc::new(Self {
                resource: Arc::clone(resource),
                name,
                feed,
                children,
            }));
        }
        Ok(kinds)
    }

    /// The id as the mirror writes it.
    pub fn id(&self, id: &str) -> String {
        if self.resource.key_lower {
            id.to_lowercase()
        } else {
            id.to_owned()
        }
    }

    /// The paths that get an index of their own.
    pub fn index_paths(&self) -> Vec<Vec<String>> {
        self.resource
            .indexes
            .iter()
            .map(|path| path.keys().to_vec())
            .collect()
    }

    /// The page's children, called for in `class`.
    pub fn child_specs(&self, class: Class) -> Vec<Child> {
        self.children
            .iter()
            .map(|c| Child {
                resource: c.name.clone(),
                class: i16::from(class.rank()),
            })
            .collect()
    }

    /// Turns upstream's records into what the store writes, and sorts out what has no id.
    pub fn incoming(
        &self,
        records: Vec<RawRecord>,
        asked_at: Timestamp,
    ) -> (Vec<Incoming>, Vec<Refused>) {
        let mut incoming = Vec::with_capacity(records.len());
        let mut refused = Vec::new();
        for record in records {
            match (record.id, record.problem) {
                (Some(id), None) => {
                    let wants = self.wants(&record.body);
                    incoming.push(Incoming {
                        hash: hash(&record.body),
                        id,
                        body: record.body,
                        asked_at,
                        upstream_at: record.upstream_at,
                        wants,
                    });
                }
                (id, problem) => refused.push(Refused {
                    id: id.unwrap_or_default(),
                    reason: problem.unwrap_or_else(|| "it has no id".to_owned()),
                    body: record.body,
                }),
            }
        }
        (incoming, refused)
    }

    fn wants(&self, body: &Bytes) -> Vec<Want> {
        let parsed: Option<Value> = self
            .children
            .iter()
            .any(ChildLink::needs_body)
            .then(|| serde_json::from_slice(body).ok())
            .flatten();
        self.children
            .iter()
            .enumerate()
            .filter_map(|(place, child)| match &parsed {
                Some(body) if child.needs_body() => child.wanted(place, body),
                _ => Some(Want {
                    child: place,
                    id: None,
                }),
            })
            .collect()
    }
}

/// The hash by which bodies are compared.
pub(crate) fn hash(body: &[u8]) -> [u8; 16] {
    xxh3_128(body).to_be_bytes()
}

/// A limit with at most [`SLOTS_MAX`] calls in a window that allows no more than the one given.
pub(crate) fn fold_limit(limit: CallLimit) -> CallLimit {
    let window_ms = limit.window.as_millis().max(1);
    let parts = u128::from(limit.calls.div_ceil(SLOTS_MAX)).clamp(1, window_ms);
    let calls = u128::from(limit.calls) / parts;
    CallLimit {
        calls: u32::try_from(calls).unwrap_or(u32::MAX).max(1),
        window: Duration::from_millis(u64::try_from(window_ms.div_ceil(parts)).unwrap_or(u64::MAX)),
    }
}

/// Calls of one connection that may be on the wire at once.
pub(crate) fn concurrency(settings: &InstanceSettings) -> usize {
    let limits = settings.connector.limits.concurrency;
    settings.concurrency.unwrap_or(limits).max(1) as usize
}

impl Account {
    pub fn kind(&self, name: &ResourceName) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| kind.name == *name)
    }

    /// Builds the indexes of those listed resources whose first listing is in: a bare table fills faster.
    /// Answers whether that was all of them.
    pub async fn build_indexes(&self) -> std::result::Result<bool, StoreError> {
        let mut all = true;
        for kind in self
            .kinds
            .iter()
            .filter(|kind| kind.resource.list.is_some())
        {
            if self
                .store
                .watermark(&kind.name, &self.settings.name)
                .await?
                .is_some()
            {
                self.store
                    .build_indexes(&kind.name, &kind.index_paths())
                    .await?;
            } else {
                all = false;
            }
        }
        Ok(all)
    }

    pub fn concurrency(&self) -> usize {
        concurrency(&self.settings)
    }
}
