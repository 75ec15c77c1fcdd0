//! How far the outbox was applied: by a cache in one process alone, and ahead of what is settled.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::cache::Inner;
use crate::outbox::{Committed, Outbox, Position};

/// Invalidations read from the outbox at once.
const PAGE: usize = 500;
/// Entries applied ahead of the settled ones that are remembered; others are applied again.
const AHEAD_MAX: usize = 65_536;
/// Invalidations applied one by one; past it, forgetting everything is quicker.
const CATCH_UP_MAX: usize = 100_000;

/// Entries that were applied although an earlier one could still commit.
#[derive(Debug, Default)]
pub(crate) struct Ahead(BTreeSet<Position>);

impl Ahead {
    /// Whether `entry` was not applied yet. Notes down one that is not settled.
    pub fn is_news(&mut self, entry: &Committed) -> bool {
        if entry.settled || self.0.len() >= AHEAD_MAX {
            return !self.0.contains(&entry.position);
        }
        self.0.insert(entry.position)
    }

    /// Forgets what lies at or before `to`: the cursor has passed it.
    pub fn settle(&mut self, to: Position) {
        self.0 = self.0.split_off(&to);
        self.0.remove(&to);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Where a cache in this process alone stands in the outbox.
pub(crate) struct Tail {
    outbox: Arc<dyn Outbox>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cursor: Option<Position>,
    ahead: Ahead,
}

impl Tail {
    pub fn new(outbox: Arc<dyn Outbox>) -> Self {
        let state = Mutex::default();
        Self { outbox, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Forgets what was committed since the last call; everything, when that cannot be told.
    pub async fn catch_up(&self, inner: &Inner) -> Result<(), Box<dyn Error + Send + Sync>> {
        let known = self.state().cursor;
        let Some(from) = known else {
            return self.begin_anew(inner).await;
        };
        let (mut scanned, mut count) = (from, 0);
        loop {
            let page = self.outbox.after(scanned, PAGE).await?;
            let full = page.len() >= PAGE;
            count += page.len();
            if count > CATCH_UP_MAX {
                return self.begin_anew(inner).await;
            }
            let mut state = self.state();
            for entry in page {
                scanned = entry.position;
                if state.ahead.is_news(&entry) {
                    entry.keys.iter().for_each(|key| inner.overtake(key));
                }
                if entry.settled {
                    state.cursor = Some(entry.position);
                }
            }
            if let Some(to) = state.cursor {
                state.ahead.settle(to);
            }
            if !full {
                return Ok(());
            }
        }
    }

    async fn begin_anew(&self, inner: &Inner) -> Result<(), Box<dyn Error + Send + Sync>> {
        let newest = self.outbox.newest().await?;
        inner.forget_all();
        let mut state = self.state();
        state.cursor = Some(newest);
        state.ahead.clear();
        Ok(())
    }
}
