//! Coming back: connect, prove that the store takes writes, apply what was missed, and only then resume.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::link::{Link, within};
use super::{RECENT_MAX, Remote};
use crate::life::LIFE_MAX;
use crate::outbox::Position;

/// Invalidations read from the outbox at once.
const PAGE: usize = 500;
/// Invalidations repeated after an outage; past it the build's keys are removed, which is quicker.
const REPLAY_MAX: usize = 100_000;
/// How often a tracked connection proves alive; unproven for three times that, local copies rest.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// Longest a reconnect may spend on removing a build's keys.
const SWEEP_MAX: Duration = Duration::from_secs(60);

type BoxError = Box<dyn Error + Send + Sync>;

impl Remote {
    /// Connects, replays, and closes the circuit.
    pub(super) async fn reconnect(&self) -> Result<(), BoxError> {
        let patience = self.options.wait_max;
        let generation = {
            let mut shared = self.shared();
            shared.generations += 1;
            shared.generations
        };
        let tracking = self.tracking.clone().map(|on_push| {
            let owners = ["e", "i=", "m=", "t=", "u="];
            (
                on_push,
                owners
                    .map(|owner| format!("{}:{owner}", self.schema))
                    .to_vec(),
            )
        });
        let link = within(patience, async {
            let link = Link::connect(&self.options, generation, tracking).await?;
            link.ping().await?;
            link.probe(&format!("{}:probe", self.schema)).await?;
            Ok(link)
        });
        let link = Arc::new(link.await?);
        self.replay_outbox(&link).await?;
        self.replay_pending(&link).await?;
        if self.tracking.is_some() {
            self.keep_beating(&link);
        }
        Ok(())
    }

    /// Applies what was invalidated in this process while the store was away, then resumes: the moment
    /// nothing is left and the moment the circuit closes are the same.
    async fn replay_pending(&self, link: &Arc<Link>) -> Result<(), BoxError> {
        let recent: Vec<String> = self.shared().recent.iter().cloned().collect();
        debug_assert!(recent.len() <= RECENT_MAX);
        link.delete(&recent, self.options.wait_max).await?;
        loop {
            // Taken out, not copied: a key noted again meanwhile must be deleted again.
            let (keys, overflowed) = {
                let mut shared = self.shared();
                if shared.pending.is_empty() && !shared.overflowed {
                    let mut slot = self
                        .link
                        .write()
                        .unwrap_or_else(|poison| poison.into_inner());
                    self.beat
                        .store(self.started.elapsed().as_millis() as u64, Relaxed);
                    *slot = Some(link.clone());
                    return Ok(());
                }
                let keys: Vec<String> = std::mem::take(&mut shared.pending).into_iter().collect();
                (keys, std::mem::take(&mut shared.overflowed))
            };
            let done = async {
                if overflowed {
                    within(SWEEP_MAX, link.sweep(&format!("{}:", self.schema))).await?;
                }
                link.delete(&keys, self.options.wait_max).await
            };
            let done = done.await;
            let mut shared = self.shared();
            if let Err(error) = done {
                shared.overflowed |= overflowed;
                shared.note(keys);
                return Err(error.into());
            }
            self.replayed.fetch_add(keys.len() as u64, Relaxed);
            shared.remember(keys);
        }
    }

    /// Applies every committed invalidation that this store has not seen.
    async fn replay_outbox(&self, link: &Link) -> Result<(), BoxError> {
        let Some(outbox) = &self.outbox else {
            return Ok(());
        };
        let patience = self.options.wait_max;
        let theirs = within(patience, link.cursor(&self.cursor_key())).await?;
        let ours = {
            let mut shared = self.shared();
            // What was applied to the store as it was may be undone in the store as it is.
            shared.ahead.clear();
            shared.cursor
        };
        let known = match (theirs, ours) {
            (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
            (known, None) | (None, known) => known,
        };
        if let Some(known) = known
            && self.apply(link, known, REPLAY_MAX).await?
        {
            return Ok(());
        }
        // Nobody knows what this store has seen, or it is too much to repeat; whatever it holds of our
        // build is too old.
        let newest = outbox.newest().await?;
        within(SWEEP_MAX, link.sweep(&format!("{}:", self.schema))).await?;
        self.advance(link, newest).await?;
        self.apply(link, newest, usize::MAX).await.map(drop)
    }

    /// Applies committed invalidations after `from`, moving both cursors along. Answers false when there
    /// are more than `limit`.
    async fn apply(&self, link: &Link, from: Position, limit: usize) -> Result<bool, BoxError> {
        let Some(outbox) = &self.outbox else {
            return Ok(true);
        };
        let (mut scanned, mut count) = (from, 0);
        loop {
            let page = outbox.after(scanned, PAGE).await?;
            count += page.len();
            if count > limit {
                return Ok(false);
            }
            let full = page.len() >= PAGE;
            if let Some(last) = page.last() {
                scanned = last.position;
            }
            let settled = page.iter().rev().find(|entry| entry.settled);
            let settled = settled.map(|entry| entry.position);
            let keys: Vec<(String, u64)> = {
                let ahead = &mut self.shared().ahead;
                let news = page.into_iter().filter(|entry| ahead.is_news(entry));
                let overtaken = news.flat_map(|entry| entry.keys);
                overtaken
                    .map(|one| (format!("{}:{}", self.schema, one.key), one.version))
                    .collect()
            };
            link.overtake(&keys, self.options.wait_max).await?;
            if let Some(forget) = &self.tracking {
                keys.iter().for_each(|(key, _)| forget(Some(key)));
            }
            self.replayed.fetch_add(keys.len() as u64, Relaxed);
            if let Some(to) = settled {
                self.advance(link, to).await?;
            } else if self.shared().cursor.is_none() {
                self.advance(link, from).await?;
            }
            if !full {
                return Ok(true);
            }
        }
    }

    /// Notes here and in the store that everything up to `to` was applied.
    async fn advance(&self, link: &Link, to: Position) -> Result<(), BoxError> {
        let key = self.cursor_key();
        within(self.options.wait_max, link.advance(&key, to, LIFE_MAX * 2)).await?;
        let mut shared = self.shared();
        shared.cursor = Some(to);
        shared.ahead.settle(to);
        Ok(())
    }

    /// Applies what was committed since this process last looked. Called when the primary database says
    /// that something was, and now and then. Sends nothing when there is nothing.
    pub async fn catch_up(&self) -> Result<(), BoxError> {
        let (Some(link), Some(from)) = (self.link(), self.shared().cursor) else {
            return Ok(());
        };
        let applied = self.apply(&link, from, usize::MAX).await;
        match applied {
            Ok(_) => Ok(()),
            Err(error) => {
                // A store that cannot be told what to forget must not be read from.
                if let Some(lost) = error.downcast_ref::<redis::RedisError>() {
                    self.lose(link.generation, lost, None);
                }
                Err(error)
            }
        }
    }

    /// Proves the tracked connection alive, for as long as it is the current one.
    fn keep_beating(&self, link: &Arc<Link>) {
        let (me, link) = (self.me.clone(), link.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT_EVERY).await;
                let Some(remote) = me.upgrade() else { return };
                if remote
                    .link()
                    .is_none_or(|current| current.generation != link.generation)
                {
                    return;
                }
                let sent = remote.started.elapsed().as_millis() as u64;
                match within(remote.options.wait_max, link.ping()).await {
                    Ok(()) => remote.beat.store(sent, Relaxed),
                    Err(error) => return remote.lose(link.generation, &error, None),
                }
            }
        });
    }

    fn cursor_key(&self) -> String {
        format!("{}:outbox", self.schema)
    }
}
