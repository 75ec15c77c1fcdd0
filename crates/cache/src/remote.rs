//! The shared store behind a circuit: one failure opens it, and while it is open nothing is sent but a
//! probe. It closes only after every invalidation of the meantime was replayed.

mod link;
mod options;
mod replay;

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::RedisError;
use tracing::{info, warn};

pub(crate) use link::{Acquired, Got, OnPush, Release};
use link::{Link, within};
pub use options::{CACHE_WAIT_MAX, OptionsError, PROBE_EVERY, RedisOptions};

use crate::outbox::{Outbox, Position};
use crate::tail::Ahead;

/// Invalidations that may wait for the store to come back. Past it, the whole build's keys are removed
/// when it does.
pub const PENDING_MAX: usize = 65_536;
/// Invalidations that are applied again after a reconnect, in case the store lost them in a failover.
const RECENT_MAX: usize = 4096;

/// What one request may still wait for the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(Duration);

impl Patience {
    /// For a cache without a shared store.
    pub fn none() -> Self {
        Self(Duration::ZERO)
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// It is out of reach; nothing will be sent until the probe finds it.
    Lost,
    /// It is full and takes no writes.
    Full,
}

#[derive(Default)]
struct Shared {
    pending: BTreeSet<String>,
    overflowed: bool,
    recent: VecDeque<String>,
    cursor: Option<Position>,
    /// Entries of the outbox that were applied before they were settled.
    ahead: Ahead,
    generations: u64,
    probing: bool,
}

/// The shared store.
pub(crate) struct Remote {
    pub options: RedisOptions,
    schema: String,
    /// Absent while the circuit is open.
    link: RwLock<Option<Arc<Link>>>,
    shared: Mutex<Shared>,
    outbox: Option<Arc<dyn Outbox>>,
    tracking: Option<OnPush>,
    started: Instant,
    /// When the connection last proved alive, in milliseconds since `started`.
    beat: AtomicU64,
    pub opened: AtomicU64,
    pub probes: AtomicU64,
    pub replayed: AtomicU64,
    me: Weak<Remote>,
}

impl Remote {
    pub fn new(
        options: RedisOptions,
        schema: String,
        outbox: Option<Arc<dyn Outbox>>,
        tracking: Option<OnPush>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            options,
            schema,
            link: RwLock::new(None),
            shared: Mutex::default(),
            outbox,
            tracking,
            started: Instant::now(),
            beat: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            me: me.clone(),
        })
    }

    /// A whole request's patience.
    pub fn patience(&self) -> Patience {
        Patience(self.options.wait_max)
    }

    pub fn is_up(&self) -> bool {
        self.link().is_some()
    }

    /// Whether the connection answered within `bound`, so that no push can be older than that.
    pub fn is_alive_within(&self, bound: Duration) -> bool {
        let now = self.started.elapsed().as_millis() as u64;
        self.is_up() && now.saturating_sub(self.beat.load(Relaxed)) <= bound.as_millis() as u64
    }

    /// Invalidations waiting for the store.
    pub fn pending(&self) -> usize {
        self.shared().pending.len()
    }

    fn link(&self) -> Option<Arc<Link>> {
        self.link
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Connects for the first time. When that fails the cache begins bypassed, and the probe goes on.
    pub async fn start(&self) {
        if let Err(cause) = self.reconnect().await {
            self.opened.fetch_add(1, Relaxed);
            warn!(error = %cause, "cache.unavailable: the shared cache did not answer at start: {cause}");
            self.begin_probing();
        }
    }

    /// Does one thing over the connection. Any failure but a full store opens the circuit.
    async fn over<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        patience: &mut Patience,
        request_id: Option<&str>,
        work: impl FnOnce(Arc<Link>) -> F,
    ) -> Result<T, Away> {
        let link = self.link().ok_or(Away::Lost)?;
        let generation = link.generation;
        let begun = Instant::now();
        let done = within(patience.0, work(link)).await;
        patience.0 = patience.0.saturating_sub(begun.elapsed());
        match done {
            Ok(done) => Ok(done),
            Err(error) if link::is_full(&error) => Err(Away::Full),
            Err(error) => {
                self.lose(generation, &error, request_id);
                Err(Away::Lost)
            }
        }
    }

    pub async fn get(
        &self,
        key: &str,
        patience: &mut Patience,
        request_id: Option<&str>,
    ) -> Result<Got, Away> {
        self.over(
            patience,
            request_id,
            |link| async move { link.get(key).await },
        )
        .await
    }

    pub async fn headers(&self, keys: &[&str]) -> Result<Vec<Bytes>, Away> {
        let work = |link: Arc<Link>| async move { link.headers(keys).await };
        self.over(&mut self.patience(), None, work).await
    }

    pub async fn acquire(
        &self,
        key: &str,
        token: &str,
        seen: &[u8],
        mode: &str,
        patience: &mut Patience,
        request_id: Option<&str>,
    ) -> Result<Acquired, Away> {
        let lease = self.options.lease;
        let work =
            |link: Arc<Link>| async move { link.acquire(key, token, lease, seen, mode).await };
        self.over(patience, request_id, work).await
    }

    pub async fn fill(
        &self,
        key: &str,
        token: &str,
        entry: &Bytes,
        version: u64,
        life: Duration,
        patience: &mut Patience,
    ) -> Result<bool, Away> {
        let work =
            |link: Arc<Link>| async move { link.fill(key, token, entry, version, life).await };
        self.over(patience, None, work).await
    }

    pub async fn release(
        &self,
        key: &str,
        token: &str,
        how: Release,
        patience: &mut Patience,
    ) -> Result<bool, Away> {
        let work = |link: Arc<Link>| async move { link.release(key, token, how).await };
        self.over(patience, None, work).await
    }

    /// Prolongs a lease for as long as the loader runs.
    pub async fn renew(&self, key: &str, token: &str) -> Result<bool, Away> {
        let lease = self.options.lease;
        let work = |link: Arc<Link>| async move { link.renew(key, token, lease).await };
        self.over(&mut self.patience(), None, work).await
    }

    /// Removes keys everywhere, or notes them down for when the store is back. Says which.
    pub async fn invalidate(&self, keys: Vec<String>) -> bool {
        loop {
            let link = {
                let mut shared = self.shared();
                // Under the lock that closes the circuit: noted down here, a key is replayed first.
                match self.link() {
                    Some(link) => link,
                    None => {
                        shared.note(keys);
                        return false;
                    }
                }
            };
            match link.delete(&keys, self.options.wait_max).await {
                Ok(()) => {
                    self.shared().remember(keys);
                    return true;
                }
                Err(error) => self.lose(link.generation, &error, None),
            }
        }
    }

    /// Opens the circuit, once per connection, and says so once.
    fn lose(&self, generation: u64, cause: &RedisError, request_id: Option<&str>) {
        {
            let _shared = self.shared();
            let mut link = self
                .link
                .write()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            if link
                .as_ref()
                .is_none_or(|link| link.generation != generation)
            {
                return;
            }
            *link = None;
        }
        if let Some(forget) = &self.tracking {
            forget(None);
        }
        self.opened.fetch_add(1, Relaxed);
        warn!(
            error = %cause, request.id = request_id,
            "cache.unavailable: the shared cache is bypassed until it answers again: {cause}",
        );
        self.begin_probing();
    }

    fn begin_probing(&self) {
        if std::mem::replace(&mut self.shared().probing, true) {
            return;
        }
        let (me, every) = (self.me.clone(), self.options.probe_every);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                // Whoever drops the cache ends the probing.
                let Some(remote) = me.upgrade() else { return };
                remote.probes.fetch_add(1, Relaxed);
                // Cleared first: a connection lost right after the reconnect starts its own probing.
                remote.shared().probing = false;
                match remote.reconnect().await {
                    Ok(()) => {
                        info!("cache.available: the shared cache answers again");
                        return;
                    }
                    Err(_) if std::mem::replace(&mut remote.shared().probing, true) => return,
                    Err(_) => {}
                }
            }
        });
    }
}

impl Shared {
    fn note(&mut self, keys: Vec<String>) {
        for key in keys {
            if self.pending.len() >= PENDING_MAX {
                self.overflowed = true;
                return;
            }
            self.pending.insert(key);
        }
    }

    fn remember(&mut self, keys: Vec<String>) {
        for key in keys {
            if self.recent.len() >= RECENT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(key);
        }
    }
}
