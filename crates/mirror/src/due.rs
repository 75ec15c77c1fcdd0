//! The due-queue: hot values that somebody read lately are fetched again when they run out, before the next reader
//! comes.
//!
//! Lives of seconds and a sweep every twenty minutes would leave what is read all the time cold most of the time; what
//! nobody reads runs out and costs nothing. The queue lies in the database, so that readers in one process and workers
//! in others need not know each other. A value's next call is asked for one life after its last one was: never sooner,
//! and by as much before it runs out as a call takes.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use store::{
    StoreError,
    hot_reads::{HotNext, HotRead},
};
use tokio_util::sync::CancellationToken;
use upstream::Class;

use crate::{
    Mirror,
    account::Account,
    error::Result,
    hot::{hot_table, runs_out},
    listing::chain,
    payload::PayloadKind,
    reading::{Calling, ReadAsk},
};

/// A value that nobody has read for so long is not fetched again.
pub const RECENT: SignedDuration = SignedDuration::from_secs(120);

/// Values of one instance that one worker fetches at once.
const AT_ONCE: usize = 6;

/// A value that did not come is looked at again after this, if it is still read.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// A worker that is at a value for so long is lost.
const TAKEN_MAX: SignedDuration = SignedDuration::from_secs(120);

/// With nothing due, look again after this at the latest: somebody may have begun to read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often what nobody reads is forgotten.
const FORGET_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// A row that stays fresh for longer than this was fetched by somebody else, or lives longer than it did.
const LEAD_MAX: SignedDuration = SignedDuration::from_secs(5);

/// Fetches what runs out of one instance, until `stop`.
pub(crate) async fn keep_hot(mirror: Mirror, account: Arc<Account>, stop: CancellationToken) {
    let is_kept = account
        .kinds
        .iter()
        .any(|kind| hot_table(&kind.resource).is_some());
    if account.payloads.is_empty() && !is_kept {
        return;
    }
    let mut fetches = FuturesUnordered::new();
    let mut forgotten_at = Timestamp::UNIX_EPOCH;
    while !stop.is_cancelled() {
        let now = Timestamp::now();
        let nap = match take(&account, AT_ONCE - fetches.len(), &mut forgotten_at, now).await {
            Ok((taken, nap)) => {
                let each = taken
                    .into_iter()
                    .map(|read| refresh(&mirror, &account, read));
                fetches.extend(each);
                nap
            }
            Err(error) => {
                tracing::debug!(error = chain(&error), "the due-queue could not be read");
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(nap) => {}
            Some(()) = fetches.next() => {}
        }
    }
}

/// Takes what is due, and says how long to wait before looking again.
async fn take(
    account: &Account,
    free: usize,
    forgotten_at: &mut Timestamp,
    now: Timestamp,
) -> std::result::Result<(Vec<HotRead>, Duration), StoreError> {
    let (store, instance) = (&account.store, account.settings.name.as_str());
    if free == 0 {
        return Ok((Vec::new(), LOOK_AGAIN));
    }
    let since = now - RECENT;
    if now.duration_since(*forgotten_at) > FORGET_EVERY {
        store.forget_hot_reads(instance, since).await?;
        *forgotten_at = now;
    }
    let limit = i64::try_from(free).unwrap_or(i64::MAX);
    let taken = store
        .take_due_reads(instance, now, since, now + TAKEN_MAX, limit)
        .await?;
    if taken.len() == free {
        return Ok((taken, LOOK_AGAIN));
    }
    let next = store.next_due_read(instance, since).await?;
    let wait = next.map_or(LOOK_AGAIN, |at| {
        Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
    });
    Ok((taken, wait.clamp(Duration::from_millis(10), LOOK_AGAIN)))
}

/// Fetches one value that was taken, if it still has to be, and says when it is due again.
async fn refresh(mirror: &Mirror, account: &Account, read: HotRead) {
    let next = match fetch(mirror, account, &read, Timestamp::now()).await {
        Ok(next) => next,
        Err(error) => {
            tracing::warn!(
                instance.name = read.instance,
                record.key = read.id,
                error = chain(&error),
                "{} was due and did not come; it is tried again while somebody reads it",
                read.resource,
            );
            HotNext::At(Timestamp::now() + RETRY)
        }
    };
    if let Err(error) = account.store.settle_due_read(&read, next).await {
        tracing::debug!(error = chain(&error), "a due value was not settled");
    }
}

async fn fetch(
    mirror: &Mirror,
    account: &Account,
    read: &HotRead,
    now: Timestamp,
) -> Result<HotNext> {
    let payload = account
        .payloads
        .iter()
        .find(|kind| kind.name == read.resource);
    match payload {
        Some(kind) => mirror.refresh_payload(account, kind, read, now).await,
        None => mirror.refresh_record(account, read, now).await,
    }
}

impl Mirror {
    async fn refresh_payload(
        &self,
        account: &Account,
        kind: &Arc<PayloadKind>,
        read: &HotRead,
        now: Timestamp,
    ) -> Result<HotNext> {
        let (store, parent) = (&account.store, &kind.parent);
        let parent = store
            .find_record(&parent.name, &read.instance, &read.record, &parent.feed)
            .await?
            .filter(|row| row.deleted_at.is_none());
        let Some(parent) = parent else {
            return Ok(HotNext::Never);
        };
        let key = kind.key(&parent).filter(|key| key.row_id() == read.id);
        let (Some(key), Some(ttl)) = (key, kind.ttl(account, &parent, now).await?) else {
            return Ok(HotNext::Never);
        };
        let row = store
            .find_record(&kind.name, &read.instance, &read.id, &kind.name)
            .await?;
        if let Some(row) = row.filter(|row| !row.outdated)
            && runs_out(row.as_of, ttl) > now + LEAD_MAX
        {
            return Ok(HotNext::Lives(row.as_of, ttl));
        }
        let age_max = younger_than(read, now);
        let answer = self
            .payload_due(account, kind, &Arc::new(parent), &key, (Some(ttl), age_max))
            .await?;
        Ok(match answer {
            Some(answer) if answer.stale.is_none() => HotNext::Lives(answer.record.as_of, ttl),
            Some(_) => HotNext::At(now + RETRY),
            None => HotNext::Never,
        })
    }

    async fn refresh_record(
        &self,
        account: &Account,
        read: &HotRead,
        now: Timestamp,
    ) -> Result<HotNext> {
        let kind = account.kind(&read.resource);
        let Some((kind, table)) = kind.and_then(|kind| Some((kind, hot_table(&kind.resource)?)))
        else {
            return Ok(HotNext::Never);
        };
        let row = account
            .store
            .find_record(&kind.name, &read.instance, &read.id, &kind.feed)
            .await?
            .filter(|row| row.deleted_at.is_none());
        let Some(row) = row else {
            return Ok(HotNext::Never);
        };
        let of = kind.resource.name.as_str();
        let Some(ttl) = account.lifetime(table, of, &row, now).await? else {
            return Ok(HotNext::Never);
        };
        let is_fresh = !row.outdated && runs_out(row.as_of, ttl) > now + LEAD_MAX;
        let ask = ReadAsk {
            max_age: (!is_fresh).then(|| younger_than(read, now)),
            fresh: false,
        };
        let calling = Calling::of(Class::Due);
        let answer = self
            .record_kept(&kind.name, &read.instance, &read.id, ask, calling)
            .await?;
        Ok(match answer {
            Some(answer) if answer.stale.is_none() => HotNext::Lives(answer.record.as_of, ttl),
            Some(_) => HotNext::At(now + RETRY),
            None => HotNext::Never,
        })
    }
}

/// The age above which a row is the one that was read, and not one that somebody has fetched since.
fn younger_than(read: &HotRead, now: Timestamp) -> Duration {
    let age = Duration::try_from(now.duration_since(read.as_of)).unwrap_or_default();
    age.saturating_sub(Duration::from_millis(1))
}
