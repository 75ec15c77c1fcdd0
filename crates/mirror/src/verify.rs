//! Proof that the mirror equals upstream: ids, counts and bodies, within a stated cost in calls.

use std::{collections::HashSet, sync::Arc};

use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;
use store::{
    ResourceName,
    records::{Incoming, PageWrite},
};
use upstream::{CallError, Class, Fetched, Position};

use crate::{
    account::{Account, Kind},
    error::{MirrorError, Result},
    listing::{Remaining, Walk, id_hash},
};

/// Ids named per kind of difference; the counts are always whole.
const IDS_NAMED_MAX: usize = 20;

/// Ids compared at once.
const BATCH: i64 = 10_000;

/// What to verify.
#[derive(Debug, Clone, Default)]
pub struct VerifyAsk {
    /// Only this instance.
    pub instance: Option<String>,
    /// Only this resource.
    pub resource: Option<ResourceName>,
    /// Details compared word for word, per resource; each costs a call. Listings are always compared whole.
    pub sample: usize,
    /// Whether differences are mended.
    pub repair: bool,
    /// Picks the sample.
    pub seed: u64,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    /// Per instance and resource.
    pub resources: Vec<VerifiedResource>,
    /// Calls made in all.
    pub calls: u64,
}

impl VerifyReport {
    /// Whether nothing differs, or everything that differed was mended.
    pub fn is_clean(&self) -> bool {
        self.resources
            .iter()
            .all(|r| r.differences() == 0 || (r.error.is_none() && r.repaired >= r.differences()))
    }
}

/// One resource of one instance.
#[derive(Debug, Default, Serialize)]
pub struct VerifiedResource {
    /// Its instance.
    pub instance: String,
    /// Its name.
    pub resource: String,
    /// Records upstream has; for details, as their parent's listing says.
    pub upstream: u64,
    /// Live records in the mirror.
    pub mirror: u64,
    /// Bodies compared word for word.
    pub compared: u64,
    /// Records that the mirror lacks.
    pub missing: Found,
    /// Records that upstream does not have.
    pub extra: Found,
    /// Records that differ.
    pub differing: Found,
    /// Details that answer an older version of their parent's row.
    pub outdated: Found,
    /// Records that changed upstream after the last run: the next one brings them. Not a difference.
    pub pending: u64,
    /// Calls made.
    pub calls: u64,
    /// Differences mended, or queued to be fetched again.
    pub repaired: u64,
    /// Why it could not be verified whole.
    pub error: Option<String>,
}

impl VerifiedResource {
    /// Records that are wrong in the mirror.
    pub fn differences(&self) -> u64 {
        self.missing.count + self.extra.count + self.differing.count + self.outdated.count
    }
}

/// Some ids, and how many there are in all.
#[derive(Debug, Default, Serialize)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub ids: Vec<String>,
}

impl Found {
    fn add(&mut self, ids: &[String]) {
        self.count += ids.len() as u64;
        let room = IDS_NAMED_MAX.saturating_sub(self.ids.len());
        self.ids.extend(ids.iter().take(room).cloned());
    }
}

/// Verifies one resource of one instance.
pub(crate) async fn verify(
    account: &Account,
    kind: &Arc<Kind>,
    ask: &VerifyAsk,
) -> Result<VerifiedResource> {
    let mut report = VerifiedResource {
        instance: account.settings.name.clone(),
        resource: kind.name.to_string(),
        mirror: u64::try_from(
            account
                .store
                .live_count(&kind.name, &account.settings.name)
                .await?,
        )
        .unwrap_or(0),
        ..VerifiedResource::default()
    };
    let outcome = if kind.resource.list.is_some() {
        verify_listing(account, kind, ask, &mut report).await
    } else {
        verify_details(account, kind, ask, &mut report).await
    };
    match outcome {
        Ok(()) => {}
        Err(MirrorError::Upstream { source, .. }) => {
            report.error = Some(crate::listing::chain(&source))
        }
        Err(error) => return Err(error),
    }
    Ok(report)
}

async fn verify_listing(
    account: &Account,
    kind: &Arc<Kind>,
    ask: &VerifyAsk,
    report: &mut VerifiedResource,
) -> Result<()> {
    let (store, instance) = (&account.store, account.settings.name.as_str());
    let watermark = store.watermark(&kind.name, instance).await?;
    let began = Timestamp::now();
    let mut seen = HashSet::new();
    let walk = Walk {
        client: account.client.clone(),
        resource: Arc::clone(&kind.resource),
        since: None,
        extra: Vec::new(),
        class: Class::Due,
        ahead: account.concurrency(),
        descending: false,
        from: Position::First,
        remaining: Arc::new(Remaining::default()),
    };
    let mut pages = std::pin::pin!(walk.pages());
    let mut total_moved = false;
    let mut total = None;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|source| MirrorError::Upstream {
            instance: instance.to_owned(),
            source,
        })?;
        report.calls += u64::from(page.meta.attempt);
        total_moved |= total.is_some_and(|t| Some(t) != page.total);
        total = page.total.or(total);
        let (records, _) = kind.incoming(page.records, page.meta.asked_at);
        seen.extend(records.iter().map(|r| id_hash(&r.id)));
        report.compared += records.len() as u64;
        let (missing, differing) = store.compare(&kind.name, instance, &records).await?;
        // What upstream stamped after our last run began is on its way, not wrong.
        let is_pending = |id: &String| {
            records.iter().any(|r| {
                r.id == *id
                    && r.upstream_at
                        .is_some_and(|at| watermark.is_none_or(|w| at >= w))
            })
        };
        let (pending_missing, missing): (Vec<String>, Vec<String>) =
            missing.into_iter().partition(is_pending);
        let (pending_differing, differing): (Vec<String>, Vec<String>) =
            differing.into_iter().partition(is_pending);
        report.pending += (pending_missing.len() + pending_differing.len()) as u64;
        report.missing.add(&missing);
        report.differing.add(&differing);
        if ask.repair {
            report.repaired += rewrite(account, kind, records, &missing, &differing).await?;
        }
    }
    report.upstream = seen.len() as u64;

    let mut extra = Vec::new();
    let mut after = String::new();
    loop {
        let ids = store.live_ids(&kind.name, instance, &after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        extra.extend(ids.into_iter().filter(|id| !seen.contains(&id_hash(id))));
    }
    if total_moved || total.is_some_and(|total| total != seen.len() as u64) {
        report.error = Some(
            "the listing shifted while it was read: extra records were not looked for".to_owned(),
        );
        return Ok(());
    }
    report.extra.add(&extra);
    if ask.repair {
        let dependents: Vec<ResourceName> = kind
            .children
            .iter()
            .filter(|c| c.shares_ids())
            .map(|c| c.name.clone())
            .collect();
        report.repaired += store
            .tombstone(&kind.name, instance, &extra, began, None, &dependents)
            .await?;
    }
    Ok(())
}

/// Writes what was found missing or wrong, whatever the mirror believes to hold.
async fn rewrite(
    account: &Account,
    kind: &Arc<Kind>,
    records: Vec<Incoming>,
    missing: &[String],
    differing: &[String],
) -> Result<u64> {
    let wrong: HashSet<&String> = missing.iter().chain(differing).collect();
    let records: Vec<Incoming> = records
        .into_iter()
        .filter(|r| wrong.contains(&r.id))
        .collect();
    if records.is_empty() {
        return Ok(0);
    }
    let instance = account.settings.name.as_str();
    account
        .store
        .distrust(&kind.name, instance, differing)
        .await?;
    let children = kind.child_specs(Class::Sweep);
    let page = PageWrite {
        resource: &kind.name,
        instance,
        run: None,
        records,
        likely_new: false,
        children: &children,
        fetches: Vec::new(),
        progress: None,
    };
    Ok(account.store.write_page(page).await?.changed())
}

async fn verify_details(
    account: &Account,
    kind: &Arc<Kind>,
    ask: &VerifyAsk,
    report: &mut VerifiedResource,
) -> Result<()> {
    let (store, instance) = (&account.store, account.settings.name.as_str());
    let Some(parent) = account.kind(&kind.feed) else {
        return Ok(());
    };
    let Some(link) = parent.children.iter().find(|c| c.name == kind.name) else {
        return Ok(());
    };
    report.upstream = u64::try_from(store.live_count(&parent.name, instance).await?).unwrap_or(0);
    let state = store
        .detail_state(&link.link(&parent.name), instance)
        .await?;
    report.missing.add(&state.missing);
    report.outdated.add(&state.outdated);
    report.pending += u64::try_from(state.queued).unwrap_or(0);
    let limit = i64::try_from(ask.sample).unwrap_or(i64::MAX);
    let mut differing = Vec::new();
    let mut gone = if link.shares_ids() {
        state.orphans.clone()
    } else {
        Vec::new()
    };
    for id in store
        .sample_ids(&kind.name, instance, ask.seed.cast_signed(), limit)
        .await?
    {
        if gone.contains(&id) {
            continue;
        }
        report.calls += 1;
        let fetched = account
            .client
            .get_record(&kind.resource, &id, Class::Due)
            .await;
        match fetched {
            Ok(Fetched::Found(record, meta)) => {
                report.compared += 1;
                let (records, _) = kind.incoming(vec![record], meta.asked_at);
                let (_, wrong) = store.compare(&kind.name, instance, &records).await?;
                // A change on its way is queued, or its parent's row has not come in yet.
                if !wrong.is_empty() && !state.outdated.contains(&id) {
                    differing.push(id);
                }
            }
            Ok(Fetched::Missing(_)) => gone.push(id),
            // One record that upstream will not give says nothing about the others.
            Err(source @ CallError::Rejected { .. }) => {
                report.error = Some(format!("{id}: {}", crate::listing::chain(&source)));
            }
            Err(source) => {
                return Err(MirrorError::Upstream {
                    instance: instance.to_owned(),
                    source,
                });
            }
        }
    }
    gone.sort_unstable();
    gone.dedup();
    report.extra.add(&gone);
    report.differing.add(&differing);
    if ask.repair {
        store.distrust(&kind.name, instance, &differing).await?;
        let wrong: Vec<String> = state
            .missing
            .iter()
            .chain(&state.outdated)
            .chain(&differing)
            .cloned()
            .collect();
        let class = i16::from(Class::Due.rank());
        // These know which version of their parent's row they answer; the others only lack a body.
        store
            .queue_unfetched(&link.link(&parent.name), instance, class)
            .await?;
        report.repaired += store
            .queue_fetch(&kind.name, instance, &wrong, class)
            .await?;
        report.repaired += store
            .tombstone(&kind.name, instance, &gone, Timestamp::now(), None, &[])
            .await?;
    }
    Ok(())
}
