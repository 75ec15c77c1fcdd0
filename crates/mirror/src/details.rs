//! Details: records fetched one by one from the queue, written in groups.

mod book;
mod in_hand;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use store::{
    ResourceName, StoreError,
    queue::QueuedFetch,
    records::{FetchMark, Incoming, PageWrite},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::{CallError, Class, Fetched};

use crate::{account::Account, listing::chain, progress::Listener};
use book::RunBook;
use in_hand::{InHand, LEASE};

/// Records written in one transaction at the most.
const GROUP_MAX: usize = 64;

/// A group waits for company for so long.
const GROUP_WAIT: Duration = Duration::from_millis(20);

/// Nothing to do: look at the queue again after this.
const IDLE: Duration = Duration::from_millis(500);

/// Answers that could not be written are fetched again: one at a time, after this wait, then after twice that, up to
/// a minute, until one can be written. Otherwise a full disk would spend the budget on what nobody can keep.
const UNWRITTEN_FIRST: Duration = Duration::from_secs(1);
const UNWRITTEN_MAX: Duration = Duration::from_secs(60);

/// A fetch that fails waits this long at first, then twice that, up to an hour.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// Drains one instance's queue, up to class `class_max`, until it is told to stop.
pub(crate) struct Drainer {
    pub account: Arc<Account>,
    pub owner: String,
    pub class_max: Class,
    pub stop: CancellationToken,
    pub listener: Option<Listener>,
}

/// A fetch and what came of it.
struct Answered {
    fetch: QueuedFetch,
    result: Result<Fetched, CallError>,
}

impl Drainer {
    /// Runs until stopped; what is under way is finished, what is not begun is handed back.
    pub async fn run(self) {
        let width = self.account.concurrency();
        let in_hand = InHand::new(self.account.store.clone(), &self.account.settings.name);
        let (sender, receiver) = mpsc::channel(GROUP_MAX);
        // Groups in a row that could not be written.
        let unwritten = Arc::new(AtomicU32::new(0));
        let writer = tokio::spawn(write_groups(
            Arc::clone(&self.account),
            RunBook::new(
                self.account.store.clone(),
                &self.account.settings.name,
                &self.owner,
                self.listener.clone(),
            ),
            receiver,
            in_hand.clone(),
            Arc::clone(&unwritten),
        ));
        let mut calls = FuturesUnordered::new();
        while !self.stop.is_cancelled() {
            let width = match unwritten.load(Ordering::Relaxed) {
                0 => width,
                failures => {
                    self.wait_to_write(failures).await;
                    1
                }
            };
            let free = width.saturating_sub(calls.len());
            let taken = if free > 0 {
                self.take(free).await
            } else {
                Vec::new()
            };
            let none = taken.is_empty();
            in_hand.take(&taken);
            for fetch in taken {
                calls.push(self.fetch(fetch));
            }
            let answered = if calls.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => None,
                    () = tokio::time::sleep(IDLE) => None,
                }
            } else if none && free > 0 {
                // Places are free: look for more soon, not only when a call ends.
                tokio::time::timeout(IDLE, calls.next())
                    .await
                    .ok()
                    .flatten()
            } else {
                calls.next().await
            };
            if let Some(answered) = answered
                && sender.send(answered).await.is_err()
            {
                break;
            }
        }
        // Calls that wait for a permit give up at once; those on the wire are finished.
        while let Some(answered) = calls.next().await {
            if sender.send(answered).await.is_err() {
                break;
            }
        }
        drop(sender);
        drop(writer.await);
    }

    /// Waits after so many groups in a row that could not be written, or until the stop.
    async fn wait_to_write(&self, failures: u32) {
        let wait = UNWRITTEN_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(6));
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait.min(UNWRITTEN_MAX)) => {}
        }
    }

    async fn take(&self, limit: usize) -> Vec<QueuedFetch> {
        let (store, name) = (&self.account.store, &self.account.settings.name);
        let limit = i64::try_from(limit).unwrap_or(1);
        match store
            .take_fetches(name, i16::from(self.class_max.rank()), limit, LEASE)
            .await
        {
            Ok(fetches) => fetches,
            Err(error) => {
                tracing::warn!(
                    instance.name = name,
                    error = chain(&error),
                    "the queue cannot be read"
                );
                tokio::time::sleep(IDLE).await;
                Vec::new()
            }
        }
    }

    async fn fetch(&self, fetch: QueuedFetch) -> Answered {
        let class = Class::ALL
            .get(usize::try_from(fetch.class).unwrap_or(0))
            .copied()
            .unwrap_or(Class::Backfill);
        let Some(kind) = self.account.kind(&fetch.resource) else {
            let result = Err(CallError::Impossible {
                call: fetch.resource.to_string(),
                reason: "this worker does not mirror that resource".to_owned(),
            });
            return Answered { fetch, result };
        };
        let call = self
            .account
            .client
            .get_record(&kind.resource, &fetch.id, class);
        let result = tokio::select! {
            biased;
            result = call => result,
            () = self.stop_waiting() => Err(stopped(&fetch)),
        };
        Answered { fetch, result }
    }

    /// Resolves a grace period after the stop: a call on the wire may end, one in the queue need not begin.
    async fn stop_waiting(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn stopped(fetch: &QueuedFetch) -> CallError {
    CallError::NoPermit {
        call: fetch.resource.to_string(),
        source: upstream::GateError::WouldWait {
            instance: fetch.instance.clone(),
            wait_max: Duration::ZERO,
            next_in: Duration::ZERO,
        },
    }
}

async fn write_groups(
    account: Arc<Account>,
    mut book: RunBook,
    mut answers: mpsc::Receiver<Answered>,
    in_hand: InHand,
    failures: Arc<AtomicU32>,
) {
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    // Fetches whose answers could not be written.
    let mut unwritten: Vec<QueuedFetch> = Vec::new();
    loop {
        let first = tokio::select! {
            first = answers.recv() => first,
            _ = beat.tick() => {
                book.flush().await;
                if !unwritten.is_empty() && account.store.hand_back_fetches(&unwritten).await.is_ok() {
                    unwritten.clear();
                }
                continue;
            }
        };
        let Some(first) = first else { break };
        let mut group = vec![first];
        let wait = tokio::time::sleep(GROUP_WAIT);
        tokio::pin!(wait);
        while group.len() < GROUP_MAX {
            tokio::select! {
                biased;
                next = answers.recv() => match next {
                    Some(next) => group.push(next),
                    None => break,
                },
                () = &mut wait => break,
            }
        }
        let mut by_resource: HashMap<ResourceName, Vec<Answered>> = HashMap::new();
        for answered in group {
            by_resource
                .entry(answered.fetch.resource.clone())
                .or_default()
                .push(answered);
        }
        for (resource, answers) in by_resource {
            let fetches: Vec<QueuedFetch> = answers.iter().map(|a| a.fetch.clone()).collect();
            if let Err(error) = write_group(&account, &mut book, &resource, answers).await {
                // If they cannot be handed back either, they come back when their lease has run out.
                unwritten.extend(fetches.iter().cloned());
                failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    instance.name = account.settings.name, resource.name = %resource, error = chain(&error),
                    "fetched records could not be written; they will be fetched again",
                );
            } else {
                failures.store(0, Ordering::Relaxed);
            }
            in_hand.lay_down(&fetches);
        }
    }
    drop(account.store.hand_back_fetches(&unwritten).await);
    book.close_all(true).await;
}

async fn write_group(
    account: &Account,
    book: &mut RunBook,
    resource: &ResourceName,
    answers: Vec<Answered>,
) -> Result<(), StoreError> {
    let store = &account.store;
    let instance = account.settings.name.as_str();
    let Some(kind) = account.kind(resource) else {
        return Ok(());
    };
    // One run per class: history that comes in is told from what changed.
    let mut by_class: HashMap<i16, Vec<Answered>> = HashMap::new();
    for answered in answers {
        by_class
            .entry(answered.fetch.class)
            .or_default()
            .push(answered);
    }
    for (class, answers) in by_class {
        let run = book.run(resource, class).await?;
        let mut counts = store::runs::RunCounts::default();
        let (mut records, mut marks, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for Answered { fetch, result } in answers {
            match result {
                Ok(Fetched::Found(record, meta)) => {
                    counts.calls += i64::from(meta.attempt);
                    counts.seen += 1;
                    let (mut ok, bad): (Vec<Incoming>, _) =
                        kind.incoming(vec![record], meta.asked_at);
                    if let Some(odd) = ok.first().filter(|r| r.id != fetch.id) {
                        tracing::debug!(
                            record.key = fetch.id,
                            got = odd.id,
                            "upstream answered with another id"
                        );
                        counts.failed += 1;
                        let error = format!("upstream answered with the record `{}`", odd.id);
                        store
                            .fail_fetch(&fetch, retry_wait(fetch.attempts, None), &error)
                            .await?;
                        continue;
                    }
                    records.append(&mut ok);
                    refused.extend(bad);
                    marks.push(mark(fetch, meta.asked_at, meta.answered_at));
                }
                Ok(Fetched::Missing(meta)) => {
                    counts.calls += i64::from(meta.attempt);
                    let ids = [fetch.id.clone()];
                    let gone = store
                        .tombstone(resource, instance, &ids, meta.asked_at, Some(run), &[])
                        .await?;
                    counts.deleted += i64::try_from(gone).unwrap_or(i64::MAX);
                    store.settle_gone(&fetch, meta.asked_at).await?;
                }
                Err(CallError::NoPermit { .. }) => store.hand_back_fetches(&[fetch]).await?,
                Err(error) => {
                    counts.calls += 1;
                    counts.failed += 1;
                    let wait = retry_wait(fetch.attempts, error.retry_after());
                    store.fail_fetch(&fetch, wait, &chain(&error)).await?;
                    book.note(resource, class, chain(&error));
                }
            }
        }
        counts.quarantined += i64::try_from(refused.len()).unwrap_or(i64::MAX);
        for bad in &refused {
            store.quarantine(resource, instance, bad, Some(run)).await?;
        }
        let children = kind.child_specs(Class::ALL[usize::try_from(class).unwrap_or(5).min(5)]);
        let outcome = store
            .write_page(PageWrite {
                resource,
                instance,
                run: Some(run),
                records,
                likely_new: false,
                children: &children,
                fetches: marks,
                progress: None,
            })
            .await?;
        counts.inserted += i64::try_from(outcome.inserted.len()).unwrap_or(i64::MAX);
        counts.updated += i64::try_from(outcome.updated.len()).unwrap_or(i64::MAX);
        counts.quarantined += i64::try_from(outcome.refused.len()).unwrap_or(i64::MAX);
        book.count(resource, class, counts);
    }
    Ok(())
}

fn mark(fetch: QueuedFetch, asked_at: Timestamp, fetched_at: Timestamp) -> FetchMark {
    FetchMark {
        id: fetch.id,
        asked_at,
        fetched_at,
        signature: fetch.signature,
        generation: Some(fetch.generation),
    }
}

/// How long a fetch waits that has failed `attempts` times before.
fn retry_wait(attempts: i32, retry_after: Option<Duration>) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(12);
    retry_after
        .unwrap_or(Duration::ZERO)
        .max(RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MAX))
}
