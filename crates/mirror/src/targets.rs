//! How fresh records and payloads should be: the connector's rules on what a record says, and on what others know of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use freshness::{Rules, Signal, SignalMap, Signals};
use jiff::Timestamp;
use serde_json::Value;
use store::{ResourceName, read::RecordRow};
use upstream::{Connector, Resource};

use crate::{
    account::Account,
    error::{MirrorError, Result},
};

/// What another record says is believed for so long before it is looked up again.
const LOOKUP_TRUST: Duration = Duration::from_secs(5);

/// Looked-up values kept at the most; then all are looked up anew.
const LOOKUPS_MAX: usize = 10_000;

/// Instance, resource, id and signal of a look-up.
type LookupKey = (String, String, String, String);

/// The rules of one connector, and what was looked up for them.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    tables: BTreeMap<String, Rules>,
    resources: BTreeMap<String, Reading>,
    known: Mutex<HashMap<LookupKey, (Instant, Option<Signal>)>>,
}

/// How a resource's signals are read.
#[derive(Debug, Default)]
struct Reading {
    own: SignalMap,
    lookups: Vec<LookedUp>,
}

#[derive(Debug)]
struct LookedUp {
    name: String,
    of: String,
    by: Vec<String>,
    at: SignalMap,
}

/// Says what is wrong with the freshness rules of a connector.
///
/// # Errors
///
/// The first rule that is no CEL, or asks for a signal that its resource does not have.
pub fn check_rules(connector: &Connector) -> Result<()> {
    Targets::compile(connector).map(drop)
}

impl Targets {
    /// Compiles a connector's rules.
    pub fn compile(connector: &Connector) -> Result<Self> {
        let mut targets = Self::default();
        for (name, rows) in &connector.ttl {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| (row.when.as_deref(), row.ttl))
                .collect();
            let rules = Rules::compile(&rows).map_err(|error| wrong(connector, name, &error))?;
            targets.tables.insert(name.clone(), rules);
        }
        for resource in &connector.resources {
            targets
                .resources
                .insert(resource.name.clone(), Reading::new(resource));
        }
        let of_records = connector
            .resources
            .iter()
            .filter_map(|resource| Some((resource.ttl.as_ref()?, &resource.name)));
        let of_payloads = connector
            .payloads
            .iter()
            .filter_map(|payload| Some((payload.ttl.as_ref()?, &payload.of)));
        for (table, resource) in of_records.chain(of_payloads) {
            let (Some(rules), Some(reading)) =
                (targets.tables.get(table), targets.resources.get(resource))
            else {
                continue;
            };
            rules
                .check_signals(&reading.names())
                .map_err(|error| wrong(connector, table, &error))?;
        }
        Ok(targets)
    }

    /// How long something of `resource`, whose record in `instance` says `body`, may live by the rules of `table`;
    /// `None`: not at all. Uses what was looked up before.
    pub fn lifetime(
        &self,
        table: &str,
        (resource, instance): (&str, &str),
        body: &Value,
        now: Timestamp,
    ) -> Option<Duration> {
        let (Some(rules), Some(reading)) = (self.tables.get(table), self.resources.get(resource))
        else {
            return None;
        };
        rules
            .lifetime(&self.signals(reading, instance, body), now)
            .ttl
    }

    /// How long something of `resource`, whose record says `body`, may live by `rules` that are no table of the
    /// connector.
    pub fn life_by(
        &self,
        rules: &Rules,
        (resource, instance): (&str, &str),
        body: &Value,
        now: Timestamp,
    ) -> Option<Duration> {
        let reading = self.resources.get(resource)?;
        rules
            .lifetime(&self.signals(reading, instance, body), now)
            .ttl
    }

    fn signals(&self, reading: &Reading, instance: &str, body: &Value) -> Signals {
        let mut signals: Signals = reading.own.read(body);
        for lookup in &reading.lookups {
            if signals.get(&lookup.name).is_none()
                && let Some(id) = text_at(body, &lookup.by)
            {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                let found = known.get(&lookup.key(instance, id));
                signals.set(&lookup.name, found.and_then(|(_, signal)| signal.clone()));
            }
        }
        signals
    }

    /// Looks up what the signals of a record of `resource` need from other records.
    pub async fn prepare(&self, account: &Account, resource: &str, body: &Value) -> Result<()> {
        let Some(reading) = self.resources.get(resource) else {
            return Ok(());
        };
        for lookup in &reading.lookups {
            let Some(id) = text_at(body, &lookup.by) else {
                continue;
            };
            let key = lookup.key(&account.settings.name, id);
            let is_known = {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known
                    .get(&key)
                    .is_some_and(|(at, _)| at.elapsed() < LOOKUP_TRUST)
            };
            if is_known {
                continue;
            }
            let name = ResourceName::new(&account.settings.connector.name, &lookup.of)?;
            let row = account
                .store
                .find_record(&name, &account.settings.name, &key.2, &name)
                .await?;
            let signal = row.filter(|row| row.deleted_at.is_none()).and_then(|row| {
                let body: Value = serde_json::from_str(row.body.get()).ok()?;
                lookup.at.read(&body).get(&lookup.name)
            });
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= LOOKUPS_MAX {
                known.clear();
            }
            known.insert(key, (Instant::now(), signal));
        }
        Ok(())
    }
}

impl LookedUp {
    fn key(&self, instance: &str, id: String) -> LookupKey {
        (instance.to_owned(), self.of.clone(), id, self.name.clone())
    }
}

impl Reading {
    fn new(resource: &Resource) -> Self {
        let own = resource
            .signals
            .iter()
            .map(|(name, path)| (name.clone(), path.keys().to_vec()));
        let lookups = resource.lookups.iter().map(|lookup| LookedUp {
            name: lookup.name.clone(),
            of: lookup.of.clone(),
            by: lookup.by.keys().to_vec(),
            at: SignalMap::new([(lookup.name.clone(), lookup.at.keys().to_vec())]),
        });
        Self {
            own: SignalMap::new(own),
            lookups: lookups.collect(),
        }
    }

    fn names(&self) -> Vec<&str> {
        let own = self.own.names().iter().map(String::as_str);
        own.chain(self.lookups.iter().map(|lookup| lookup.name.as_str()))
            .collect()
    }
}

impl Account {
    /// How long something of the record `row` of `resource` may live: by the rules of `table`, or as long as the
    /// instance's policy promises; `None`: not at all.
    pub async fn lifetime(
        &self,
        table: &str,
        resource: &str,
        row: &RecordRow,
        now: Timestamp,
    ) -> Result<Option<Duration>> {
        let tier = self.tier(table, resource, row, now).await?;
        Ok(self.spending.life(tier))
    }

    /// How long something of the record `row` of `resource` may live by the rules of `table`, whatever the policy;
    /// `None`: not at all.
    pub async fn tier(
        &self,
        table: &str,
        resource: &str,
        row: &RecordRow,
        now: Timestamp,
    ) -> Result<Option<Duration>> {
        // What PostgreSQL holds is JSON.
        let body: Value = serde_json::from_str(row.body.get()).unwrap_or_default();
        self.targets.prepare(self, resource, &body).await?;
        let of = (resource, self.settings.name.as_str());
        Ok(self.targets.lifetime(table, of, &body, now))
    }
}

impl Account {
    /// [`Account::lifetime`] by rules that are no table of the connector.
    pub async fn life_by(
        &self,
        rules: &Rules,
        resource: &str,
        row: &RecordRow,
        now: Timestamp,
    ) -> Result<Option<Duration>> {
        let body: Value = serde_json::from_str(row.body.get()).unwrap_or_default();
        self.targets.prepare(self, resource, &body).await?;
        let of = (resource, self.settings.name.as_str());
        Ok(self.targets.life_by(rules, of, &body, now))
    }
}

fn text_at(body: &Value, path: &[String]) -> Option<String> {
    match path.iter().try_fold(body, |at, key| at.get(key))? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn wrong(connector: &Connector, table: &str, error: &freshness::RuleError) -> MirrorError {
    MirrorError::Rules {
        connector: connector.name.clone(),
        table: table.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
