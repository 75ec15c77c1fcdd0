//! Which hot values this process's readers read: told to the workers through the database, a few times a minute for
//! each value at the most.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use store::{ResourceName, Store, hot_reads::HotRead, read::RecordRow};
use tokio_util::sync::CancellationToken;

use crate::{Mirror, listing::chain, spending::attend};

/// A value that is read all the time is told of again after this.
const TELL_AGAIN: Duration = Duration::from_secs(20);

/// How often the workers are told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Values remembered as told; beyond it all are forgotten, and told again when they are read.
const TOLD_MAX: usize = 20_000;

/// Values waiting to be told of; beyond it readers' marks are dropped.
const WAITING_MAX: usize = 5_000;

/// What was read, and what of it is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Whether anybody tells: commands that read once do not.
    told: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    told_at: HashMap<(ResourceName, String, String), Instant>,
    waiting: Vec<HotRead>,
}

impl Reads {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a read of a value is to be [noted](Reads::note): nobody was told of one a moment ago.
    pub fn is_news(&self, resource: &ResourceName, instance: &str, id: &str, now: Instant) -> bool {
        if !self.told.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state();
        let key = (resource.clone(), instance.to_owned(), id.to_owned());
        let is_known = state.told_at.get(&key);
        if is_known.is_some_and(|at| now.saturating_duration_since(*at) < TELL_AGAIN)
            || state.waiting.len() >= WAITING_MAX
        {
            return false;
        }
        if state.told_at.len() >= TOLD_MAX {
            state.told_at.clear();
        }
        state.told_at.insert(key, now);
        true
    }

    /// Notes that somebody read a value of `record` that lives for `ttl`.
    pub fn note(&self, row: &RecordRow, record: &str, ttl: Duration) {
        let Ok(resource) = row.resource.parse() else {
            return;
        };
        let read = HotRead {
            resource,
            instance: row.instance.clone(),
            id: row.id.clone(),
            record: record.to_owned(),
            as_of: row.as_of,
            due_at: runs_out(row.as_of, ttl),
            read_at: Timestamp::now(),
        };
        self.state().waiting.push(read);
    }

    fn take(&self) -> Vec<HotRead> {
        std::mem::take(&mut self.state().waiting)
    }
}

/// When something that upstream said at `as_of` is older than `ttl`.
pub(crate) fn runs_out(as_of: Timestamp, ttl: Duration) -> Timestamp {
    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
    as_of.saturating_add(ttl).unwrap_or(Timestamp::MAX)
}

impl Mirror {
    /// For a process that answers readers: its cache hears of what other processes write, and the workers hear of what
    /// its readers read, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let reads = &self.inner.reads;
        reads.told.store(true, Ordering::Relaxed);
        let tell = tell(self.store(), reads, &stop);
        let accounts = self.accounts().iter();
        let attended = accounts.map(|account| attend(Arc::clone(account), stop.clone()));
        let attended = futures::future::join_all(attended);
        tokio::join!(self.hot().follow(stop.clone()), tell, attended);
    }
}

async fn tell(store: &Store, reads: &Reads, stop: &CancellationToken) {
    loop {
        let waiting = reads.take();
        if !waiting.is_empty()
            && let Err(error) = store.note_hot_reads(&waiting).await
        {
            // They are told again when they are read again.
            tracing::debug!(error = chain(&error), "reads of hot values were not noted");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests;
