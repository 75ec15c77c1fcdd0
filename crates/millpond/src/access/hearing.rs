//! Hears of changes of access, so that a process may remember who asks.
//!
//! The process says in the database up to where it has heard, and holds a lease there while it listens. Whoever revokes
//! a key waits for all who hold one. Without a lease the database is asked, at every request.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use cache::Cache;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::hot::OwnFamilies;

/// How often the lease is renewed when there is no news. It lasts for four of them.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How soon a listener that was lost is tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// What a process needs to remember who asks, and how long it may.
#[derive(Debug)]
pub(super) struct Hearing {
    pub cache: Cache,
    pub own: OwnFamilies,
    /// How this process is called among those that hold a lease.
    node: String,
    until: RwLock<Option<Instant>>,
    /// How often there was news.
    applied: AtomicU64,
}

impl Hearing {
    pub fn new(cache: Cache, own: OwnFamilies) -> Self {
        Self {
            cache,
            own,
            node: format!("{:032x}", rand::random::<u128>()),
            until: RwLock::new(None),
            applied: AtomicU64::new(0),
        }
    }

    /// Whether this process has heard of every change that was acknowledged.
    pub fn may_remember(&self) -> bool {
        let until = *self.until.read().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// What was found out under this number holds for as long as it is answered: there was no news since. `None`: this
    /// process does not hear of any.
    pub fn state(&self) -> Option<u64> {
        self.may_remember().then(|| self.applied.load(SeqCst))
    }

    fn extend(&self, until: Option<Instant>) {
        *self.until.write().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Listens and holds the lease until `stop`, then gives it up. A cache that keeps nothing needs none.
    pub async fn hear(&self, store: &Store, stop: CancellationToken) {
        if !self.cache.keeps() {
            return;
        }
        let mut heard = None;
        let mut is_deaf = false;
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                () = stop.cancelled() => break,
                ended = self.listen(store, &mut heard) => ended,
            };
            let Err(error) = ended;
            if !std::mem::replace(&mut is_deaf, true) {
                tracing::warn!(
                    error = crate::cli::chain_of(&error),
                    "does not hear of changes of access: the database is asked at every request"
                );
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LISTEN_AGAIN) => {}
            }
        }
        self.extend(None);
        // Whoever waits for this process does so no longer than the lease in any case.
        let _ = store.end_access_lease(&self.node).await;
    }

    /// Listens until the database goes away.
    async fn listen(
        &self,
        store: &Store,
        heard: &mut Option<i64>,
    ) -> Result<std::convert::Infallible, StoreError> {
        let mut listener = store.listen_for_access().await?;
        loop {
            self.catch_up(store, heard).await?;
            // A listener that breaks is told by the next question to the database.
            let _ = tokio::time::timeout(RENEW_EVERY, listener.recv()).await;
        }
    }

    /// Applies the news and renews the lease.
    async fn catch_up(&self, store: &Store, heard: &mut Option<i64>) -> Result<(), StoreError> {
        let from = match *heard {
            Some(heard) => heard,
            None => store.access_news_start().await?,
        };
        let to = self.apply(store, from).await?;
        *heard = Some(to);
        let until = store.renew_access_lease(&self.node, to).await?;
        if !self.may_remember() {
            // While there was no lease nobody waited for this process. Now they do; what they told before is there.
            *heard = Some(self.apply(store, to).await?);
        }
        self.extend(Some(until));
        Ok(())
    }

    /// Forgets what the news after `from` make wrong; answers the place of the last.
    async fn apply(&self, store: &Store, mut from: i64) -> Result<i64, StoreError> {
        loop {
            let page = store.access_news_after(from).await?;
            let Some((last, _)) = page.last() else {
                return Ok(from);
            };
            from = *last;
            self.applied.fetch_add(1, SeqCst);
            let news: Vec<_> = page.into_iter().map(|(_, news)| news).collect();
            self.own.forget(&self.cache, &news).await;
        }
    }
}
