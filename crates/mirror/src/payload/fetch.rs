//! The calls of a payload, one after the other, and the row that they make.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use store::{
    read::RecordRow,
    records::{FetchMark, Incoming, PageWrite},
    runs::RunCounts,
};
use upstream::{CallError, Fetched, PayloadKey, connector::PartSource};

use super::{PayloadKind, compose};
use crate::{
    account::{Account, hash},
    error::{MirrorError, Result},
    reading::{Calling, write_fetched},
};

/// What became of the parts.
enum Parts {
    All {
        parts: Vec<(String, Bytes)>,
        asked_at: Timestamp,
        fetched_at: Timestamp,
    },
    /// Upstream has no such thing, as of then.
    Gone(Timestamp),
}

/// Fetches all parts and writes the row. Answers it, also when it is deleted now; `None` when there never was one.
pub(super) async fn fetch(
    account: &Account,
    kind: &PayloadKind,
    parent: &RecordRow,
    key: &PayloadKey,
    calling: Calling,
) -> Result<Option<RecordRow>> {
    let instance = account.settings.name.as_str();
    let id = key.row_id();
    let mut counts = RunCounts::default();
    match fetch_parts(account, kind, parent, key, calling).await? {
        Parts::Gone(asked_at) => {
            let ids = [id.clone()];
            let gone = account
                .store
                .tombstone(&kind.name, instance, &ids, asked_at, calling.run, &[])
                .await?;
            counts.deleted += i64::try_from(gone).unwrap_or(i64::MAX);
        }
        Parts::All {
            parts,
            asked_at,
            fetched_at,
        } => {
            let body = compose::compose(&parts);
            let record = Incoming {
                id: id.clone(),
                hash: hash(&body),
                body,
                asked_at,
                upstream_at: None,
                wants: Vec::new(),
            };
            let records = vec![record];
            if calling.mend {
                account.mend(&kind.name, &records).await?;
            }
            let mark = FetchMark {
                id: id.clone(),
                asked_at,
                fetched_at,
                signature: None,
                generation: None,
            };
            let outcome = account
                .store
                .write_page(PageWrite {
                    resource: &kind.name,
                    instance,
                    run: calling.run,
                    records,
                    likely_new: false,
                    children: &[],
                    fetches: vec![mark],
                    progress: None,
                })
                .await?;
            counts.wrote(&outcome);
            if let Some(refused) = outcome.refused.first() {
                let reason = format!("PostgreSQL cannot hold it: {}", refused.reason);
                return Err(failed(account, unusable(kind, &reason)));
            }
        }
    }
    account.count(calling.run, counts).await?;
    Ok(account
        .store
        .find_record(&kind.name, instance, &id, &kind.name)
        .await?)
}

/// One call after the other: who limits the calls at once counts payloads, and may count on it.
async fn fetch_parts(
    account: &Account,
    kind: &PayloadKind,
    parent: &RecordRow,
    key: &PayloadKey,
    calling: Calling,
) -> Result<Parts> {
    let mut parts: Vec<(String, Bytes)> = Vec::with_capacity(kind.payload.parts.len());
    let mut span: Option<(Timestamp, Timestamp)> = None;
    let mut seen = |asked_at: Timestamp, answered_at: Timestamp| {
        // As old as its oldest part.
        let (first, oldest) = span.unwrap_or((asked_at, answered_at));
        span = Some((first.min(asked_at), oldest.min(answered_at)));
    };
    for part in &kind.payload.parts {
        let body = match &part.source {
            PartSource::Get(_) | PartSource::List { .. } => {
                let fetched = account
                    .client
                    .fetch_part(&kind.payload, &part.source, key, calling.class)
                    .await;
                match fetched {
                    Ok(fetched) => {
                        let counts = RunCounts {
                            calls: i64::from(fetched.calls),
                            ..RunCounts::default()
                        };
                        account.count(calling.run, counts).await?;
                        seen(fetched.asked_at, fetched.answered_at);
                        fetched.body
                    }
                    Err(CallError::Missing { meta, .. }) => return Ok(Parts::Gone(meta.asked_at)),
                    Err(error) => return Err(failed(account, error)),
                }
            }
            PartSource::Record => {
                let found = account
                    .client
                    .get_record(&kind.parent.resource, &parent.id, calling.class)
                    .await
                    .map_err(|error| failed(account, error))?;
                let body = match &found {
                    Fetched::Found(record, meta) => {
                        seen(meta.asked_at, meta.answered_at);
                        Some(record.body.clone())
                    }
                    Fetched::Missing(_) => None,
                };
                let gone_at = match &found {
                    Fetched::Found(_, meta) | Fetched::Missing(meta) => meta.asked_at,
                };
                write_fetched(account, &kind.parent, &parent.id, found, calling).await?;
                match body {
                    Some(body) => body,
                    None => return Ok(Parts::Gone(gone_at)),
                }
            }
            PartSource::Row => row(account, kind, parent).await?,
            PartSource::Sum { of, at } => {
                let list = parts.iter().find(|(name, _)| name == of);
                let list = list.map_or(&b"[]"[..], |(_, body)| body);
                let total = compose::sum(list, at)
                    .map_err(|reason| failed(account, unusable(kind, &reason)))?;
                Bytes::from(total.to_string())
            }
        };
        parts.push((part.name.clone(), body));
    }
    let (asked_at, fetched_at) = span.unwrap_or((parent.as_of, parent.as_of));
    Ok(Parts::All {
        parts,
        asked_at,
        fetched_at,
    })
}

/// What the mirror says about the parent's row now.
async fn row(account: &Account, kind: &PayloadKind, parent: &RecordRow) -> Result<Bytes> {
    let found = account
        .store
        .find_record(
            &kind.parent.name,
            &account.settings.name,
            &parent.id,
            &kind.parent.feed,
        )
        .await?;
    let row = found.as_ref().unwrap_or(parent);
    let told = json!({
        "resource": row.resource, "instance": row.instance, "id": row.id, "version": row.version,
        "upstream_at": row.upstream_at, "changed_at": row.changed_at, "run": row.run,
    });
    Ok(Bytes::from(told.to_string()))
}

fn failed(account: &Account, source: CallError) -> MirrorError {
    MirrorError::Upstream {
        instance: account.settings.name.clone(),
        source,
    }
}

fn unusable(kind: &PayloadKind, reason: &str) -> CallError {
    CallError::Unusable {
        call: kind.name.to_string(),
        reason: reason.to_owned(),
    }
}
