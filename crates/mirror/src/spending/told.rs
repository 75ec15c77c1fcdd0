//! What changes feeds tell of payloads: the connector says which of them a record's change makes wrong.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::Value;
use store::{ResourceName, StoreError, changes::ChangeCursor};
use upstream::FieldPath;

use crate::account::{Account, Kind};

/// Changes heard of at once.
const CHANGES_MAX: i64 = 1_000;

/// How far the feed of changes was heard, and up to when each resource's own feed was in before that.
#[derive(Debug, Default)]
pub(super) struct Told {
    cursor: Option<ChangeCursor>,
}

/// A payload whose feed tells of it: which, and where a changed record says its row's id.
struct Teller<'a> {
    payload: &'a ResourceName,
    at: Option<&'a FieldPath>,
}

impl Told {
    /// Hears what changed since the last time.
    pub async fn hear(&mut self, account: &Account) -> Result<(), StoreError> {
        // What a feed is in up to now, has been written before: its changes are among those that are read below.
        let watermarks = watermarks(account).await?;
        let tellers = tellers(account);
        let Some(cursor) = self.cursor else {
            self.cursor = Some(account.store.newest_change().await?);
            return Ok(());
        };
        let mut cursor = cursor;
        let mut changed: BTreeMap<&ResourceName, Vec<String>> = BTreeMap::new();
        loop {
            let touched = account.store.touched_after(cursor, CHANGES_MAX).await?;
            let full = i64::try_from(touched.len()).unwrap_or(0) >= CHANGES_MAX;
            let mut moved = false;
            for change in touched {
                if change.settled {
                    cursor = change.cursor;
                    moved = true;
                }
                let teller = tellers.keys().find(|name| name.as_str() == change.resource);
                if change.instance == account.settings.name
                    && let Some(resource) = teller
                {
                    changed.entry(resource).or_default().push(change.id);
                }
            }
            if !(full && moved) {
                break;
            }
        }
        for (resource, ids) in changed {
            let Some(tellers) = tellers.get(resource) else {
                continue;
            };
            tell(account, resource, &ids, tellers).await?;
        }
        self.cursor = Some(cursor);
        let mut confirmed = account
            .spending
            .confirmed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *confirmed = watermarks;
        Ok(())
    }
}

/// Marks the payloads that changed records tell of.
async fn tell(
    account: &Account,
    resource: &ResourceName,
    ids: &[String],
    tellers: &[Teller<'_>],
) -> Result<(), StoreError> {
    let rows = account
        .store
        .find_records(resource, &account.settings.name, ids, resource)
        .await?;
    for row in rows {
        let needs_body = tellers.iter().any(|teller| teller.at.is_some());
        let body: Option<Value> = needs_body
            .then(|| serde_json::from_str(row.body.get()).ok())
            .flatten();
        for teller in tellers {
            let id = match teller.at {
                None => Some(row.id.clone()),
                Some(path) => body.as_ref().and_then(|body| text_at(body, path)),
            };
            if let Some(id) = id {
                let mut book = account.spending.book();
                book.told(teller.payload, &id, row.changed_at);
            }
        }
    }
    Ok(())
}

/// Who tells of which payloads.
fn tellers(account: &Account) -> HashMap<ResourceName, Vec<Teller<'_>>> {
    let mut tellers: HashMap<ResourceName, Vec<Teller<'_>>> = HashMap::new();
    for kind in &account.payloads {
        for told in &kind.payload.told_by {
            let connector = &account.settings.connector.name;
            let Ok(resource) = ResourceName::new(connector, &told.of) else {
                continue;
            };
            if account.kind(&resource).is_some() {
                tellers.entry(resource).or_default().push(Teller {
                    payload: &kind.name,
                    at: told.at.as_ref(),
                });
            }
        }
    }
    tellers
}

/// Up to when the feeds of what is kept hot are in. A payload of which feeds tell all is as fresh as the latest of them.
async fn watermarks(account: &Account) -> Result<HashMap<ResourceName, Timestamp>, StoreError> {
    let name = account.settings.name.as_str();
    let mut known: HashMap<ResourceName, Timestamp> = HashMap::new();
    let mut own: HashMap<ResourceName, Timestamp> = HashMap::new();
    for kind in account.fed_kinds() {
        if let Some(at) = account.store.watermark(&kind.name, name).await? {
            own.insert(kind.name.clone(), at);
        }
    }
    for kind in account.hot_kinds() {
        if let Some(at) = own.get(&kind.name) {
            known.insert(kind.name.clone(), *at);
        }
    }
    for kind in account
        .payloads
        .iter()
        .filter(|kind| kind.payload.told_wholly)
    {
        let tellers = kind.payload.told_by.iter().map(|told| {
            own.iter()
                .find(|(resource, _)| resource.table() == told.of)
                .map(|(_, at)| *at)
        });
        // One that is not mirrored cannot tell.
        if let Some(at) = tellers.min().flatten() {
            known.insert(kind.name.clone(), at);
        }
    }
    Ok(known)
}

impl Account {
    /// The resources whose records are kept hot by the TTL tables.
    pub(super) fn hot_kinds(&self) -> impl Iterator<Item = &Kind> {
        let kinds = self.kinds.iter().map(AsRef::as_ref);
        kinds.filter(|kind: &&Kind| crate::hot::hot_table(&kind.resource).is_some())
    }

    /// The resources that have a changes feed of their own.
    pub(super) fn fed_kinds(&self) -> impl Iterator<Item = &Kind> {
        let kinds = self.kinds.iter().map(AsRef::as_ref);
        kinds.filter(|kind: &&Kind| {
            kind.resource.changes.is_some()
                && kind.resource.list.is_some()
                && kind.feed == kind.name
        })
    }
}

fn text_at(body: &Value, path: &FieldPath) -> Option<String> {
    let found = path.keys().iter().try_fold(body, |at, key| at.get(key))?;
    match found {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
