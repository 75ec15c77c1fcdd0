//! The hot values that a sweep looks after, out of the mirror alone: the latest changed record first.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use freshness::Rules;
use jiff::Timestamp;
use store::{ResourceName, read::RecordRow};
use upstream::connector::Sweep;

use super::Wanted;
use crate::{
    account::{Account, Kind},
    error::{MirrorError, Result},
    payload::PayloadKind,
};

/// Records read from the mirror at once.
const CHUNK: usize = 500;

/// A condition of `only_when` as a table of rules: a life if it holds, none if not.
const HOLDS: std::time::Duration = std::time::Duration::from_secs(1);

/// What a sweep looks after.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Records that are kept hot at all.
    pub records: u64,
    /// Their values, each once, in the order of their records.
    pub wanted: Vec<Wanted>,
}

/// A payload that is looked after, and the table that says for which records it is fetched.
struct Swept<'a> {
    kind: &'a Arc<PayloadKind>,
    only_when: Option<Rules>,
}

/// Finds the values of `sweep` without any call.
pub(super) async fn find(account: &Account, sweep: &Sweep, now: Timestamp) -> Result<Candidates> {
    let name = ResourceName::new(&account.settings.connector.name, &sweep.of)?;
    let Some(kind) = account.kind(&name) else {
        return Ok(Candidates::default());
    };
    let swept = swept(account, sweep, &name)?;
    let mut found = Candidates::default();
    let mut places = HashMap::new();
    let instance = account.settings.name.as_str();
    let ids = account.store.newest_first(&name, instance).await?;
    for chunk in ids.chunks(CHUNK) {
        let rows = account
            .store
            .find_records(&name, instance, chunk, &kind.feed)
            .await?;
        let mut rows: HashMap<String, RecordRow> =
            rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        for row in chunk.iter().filter_map(|id| rows.remove(id)) {
            let values = values(account, kind, &swept, &row, now).await?;
            found.records += u64::from(!values.is_empty());
            for value in values {
                place(&mut found.wanted, &mut places, value);
            }
        }
    }
    Ok(found)
}

fn swept<'a>(
    account: &'a Account,
    sweep: &Sweep,
    name: &'a ResourceName,
) -> Result<Vec<Swept<'a>>> {
    let is_swept = |kind: &&Arc<PayloadKind>| match &sweep.payloads {
        Some(names) => names.contains(&kind.payload.name),
        None => kind.payload.warm,
    };
    account
        .payloads_of(name)
        .filter(is_swept)
        .map(|kind| {
            let condition = sweep
                .only_when
                .iter()
                .find(|(payload, _)| *payload == kind.payload.name);
            let only_when = condition
                .map(|(_, when)| Rules::compile(&[(Some(when), Some(HOLDS)), (None, None)]))
                .transpose()
                .map_err(|error| MirrorError::Rules {
                    connector: account.settings.connector.name.clone(),
                    table: format!("{}.only_when", sweep.name),
                    reason: error.to_string(),
                })?;
            Ok(Swept { kind, only_when })
        })
        .collect()
}

/// The values of one record; none at all if its own rule says that it is not kept hot.
async fn values(
    account: &Account,
    kind: &Kind,
    swept: &[Swept<'_>],
    row: &RecordRow,
    now: Timestamp,
) -> Result<Vec<Wanted>> {
    let of = kind.resource.name.as_str();
    let mut values = Vec::with_capacity(swept.len() + 1);
    let own = match &kind.resource.ttl {
        None => None,
        Some(table) => match account.lifetime(table, of, row, now).await? {
            None => return Ok(values),
            ttl => ttl,
        },
    };
    if kind.resource.family.is_some() {
        values.push(Wanted {
            resource: kind.name.clone(),
            id: row.id.clone(),
            record: row.id.clone(),
            is_payload: false,
            ttl: own,
            may_fetch: kind.resource.get.is_some(),
        });
    }
    for Swept {
        kind: payload,
        only_when,
    } in swept
    {
        let Some(key) = payload.key(row) else {
            continue;
        };
        let ttl = match &payload.payload.ttl {
            Some(table) => account.lifetime(table, of, row, now).await?,
            None => None,
        };
        let may_fetch = match only_when {
            None => true,
            Some(rules) => account.life_by(rules, of, row, now).await?.is_some(),
        };
        values.push(Wanted {
            resource: payload.name.clone(),
            id: key.row_id(),
            record: row.id.clone(),
            is_payload: true,
            ttl,
            may_fetch,
        });
    }
    Ok(values)
}

/// Adds a value once: what several records share is as hot as the hottest of them wants it.
fn place(
    wanted: &mut Vec<Wanted>,
    places: &mut HashMap<(ResourceName, String), usize>,
    value: Wanted,
) {
    match places.entry((value.resource.clone(), value.id.clone())) {
        Entry::Vacant(entry) => {
            entry.insert(wanted.len());
            wanted.push(value);
        }
        Entry::Occupied(entry) => {
            if let Some(known) = wanted.get_mut(*entry.get()) {
                known.may_fetch |= value.may_fetch;
                known.ttl = match (known.ttl, value.ttl) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
        }
    }
}
