//! The cache: one read, invalidation, refresh, and nothing that sets.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::answer::{Answer, LoadError, Loaded, Read, Source};
use crate::clock::Clock;
use crate::entry::{self, Entry, Moment};
use crate::family::{Family, FamilyInfo, Rules, Segment};
use crate::flight::{Flights, Landing, Place};
use crate::key::{Key, KeyParts, PhysicalKey};
use crate::memory::Memory;
use crate::outbox::Overtaken;
use crate::remote::{Got, Patience, Remote};
use crate::scope::Scope;
use crate::stats::{Counters, count};
use crate::tail::Tail;
use crate::value::Cacheable;
use crate::{fill, route};

/// How long a two-tier process trusts its own copies without a sign of life from the shared store.
pub const NEAR_TRUST: Duration = Duration::from_millis(1500);

/// A read-through cache. Cheap to clone; all clones are one cache.
///
/// The only way to read is [`Cache::get_or_load`], and there is no way to set. Whatever happens to the
/// cache, reads are answered: by their loaders if need be.
#[derive(Clone)]
pub struct Cache {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub schema: String,
    pub families: Vec<Registered>,
    pub near: Option<Arc<Memory>>,
    pub remote: Option<Arc<Remote>>,
    /// What a cache without a shared store has heard of the outbox.
    pub tail: Option<Tail>,
    pub flights: Arc<Flights>,
    pub clock: Arc<dyn Clock>,
}

/// A family as the registry knows it.
#[derive(Clone)]
pub(crate) struct Registered {
    pub info: Arc<FamilyInfo>,
    pub segments: Arc<[Segment]>,
    pub counters: Arc<Counters>,
}

/// What a load is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A read found nothing.
    Read,
    /// The value is to be replaced whether it is there or not.
    Refresh,
}

/// Whether an invalidation has reached every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Invalidated {
    /// No process serves the old values any more.
    Everywhere,
    /// This process serves them no more; the shared store is away and will forget them before it is
    /// read from again by this process. Other processes hear of it through the outbox.
    WhenBack,
}

impl Inner {
    pub fn moment(&self) -> Moment {
        let clock = &self.clock;
        let (uptime, uptime_floor) = (clock.uptime(), clock.uptime_floor());
        Moment {
            now: clock.now(),
            uptime,
            uptime_floor,
        }
    }

    /// Whether this process's own copies may be served now.
    fn near(&self, info: &FamilyInfo) -> Option<&Memory> {
        let near = self.near.as_deref()?;
        match &self.remote {
            None => Some(near),
            Some(remote) => (info.near && remote.is_alive_within(NEAR_TRUST)).then_some(near),
        }
    }
}

impl Cache {
    /// Whether values are kept anywhere; false for a cache that is off.
    pub fn keeps(&self) -> bool {
        self.inner.near.is_some() || self.inner.remote.is_some()
    }

    /// The key of one value of `family`: whose it is, and its parts.
    pub fn key<S: Scope, K: KeyParts + ?Sized, V: Cacheable>(
        &self,
        family: &Family<S, K, V>,
        owner: S::Owner<'_>,
        parts: &K,
    ) -> Key<V> {
        family.key(&self.inner.schema, &owner, parts)
    }

    /// The value of `key`: out of the cache if it is there and fresh, and otherwise out of `loader`,
    /// which then runs once however many ask.
    ///
    /// Waits for the shared store for [`CACHE_WAIT_MAX`](crate::CACHE_WAIT_MAX) at most. Dropping the
    /// future does not stop a load that it began; the result is kept for the next read.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when the loader failed, panicked or ran too long and no stale entry may stand in.
    pub async fn get_or_load<V, F, L, E>(
        &self,
        key: &Key<V>,
        loader: F,
    ) -> Result<Answer<V>, LoadError>
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        self.read(key, Read::new(), loader).await
    }

    /// [`Cache::get_or_load`] with a bound on the age of the answer, or a request to name in logs.
    ///
    /// # Errors
    ///
    /// As [`Cache::get_or_load`].
    pub async fn read<V, F, L, E>(
        &self,
        key: &Key<V>,
        read: Read<'_>,
        loader: F,
    ) -> Result<Answer<V>, LoadError>
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let rules = &key.rules;
        route::touch(rules.index);
        let mut stale = None;
        if let Some(near) = self.inner.near(&rules.info)
            && let Some(entry) = near.get::<V>(rules.info.size_class, &key.name)
        {
            let uptime = self.inner.clock.uptime();
            if entry.is_fresh(uptime) && self.is_young_enough(&entry, &read) {
                rules.counters.hit();
                if entry.claim_refresh(rules.info.refresh_at, uptime) {
                    self.refresh_ahead(key, loader);
                }
                return Ok(Answer {
                    entry,
                    source: Source::Memory,
                });
            }
            stale = Some(entry);
        }
        self.read_further(key, read, stale, loader).await
    }

    /// Loads the value of `key` anew and keeps it, whether it was there or not: for whoever knows that
    /// it changed or is about to expire. Joins a load that began after this call.
    ///
    /// # Errors
    ///
    /// As [`Cache::get_or_load`]. The old entry then lives on until it expires.
    pub async fn refresh<V, F, L, E>(&self, key: &Key<V>, loader: F) -> Result<Answer<V>, LoadError>
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let boxed: BoxFuture<'_, _> = Box::pin(self.load_anew(key, loader));
        boxed.await
    }

    async fn load_anew<V, F, L, E>(&self, key: &Key<V>, loader: F) -> Result<Answer<V>, LoadError>
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let inner = &self.inner;
        let began = inner.flights.next();
        let mut loader = Some(loader);
        let mut too_old = false;
        loop {
            let mut landing = match inner.flights.board(&key.name) {
                Place::Passenger(landing) => landing,
                Place::Pilot(flight) => {
                    let landing = flight.subscribe();
                    if let Some(loader) = loader.take() {
                        fill::take_off(
                            self,
                            key,
                            flight,
                            Purpose::Refresh,
                            Seen::nothing(inner),
                            loader,
                        );
                    }
                    landing
                }
            };
            let landing = fill::arrival(&mut landing, key).await;
            if loader.is_none() {
                return fill::answer(landing, key);
            }
            if landing.began > began {
                match self.age_of_landing::<V>(&landing, &Read::new()) {
                    Fit::Outlived if !std::mem::replace(&mut too_old, true) => {}
                    _ => return fill::answer(landing, key),
                }
            }
        }
    }

    /// Forgets keys: no read that begins after this returned is answered with what was cached, or was
    /// being loaded, before. Unknown keys are fine.
    ///
    /// Never fails. While the shared store is away the keys are noted down and forgotten there before
    /// it is read again. Once called it completes, also when the future is dropped.
    pub async fn invalidate<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k PhysicalKey>,
    ) -> Invalidated {
        let keys: Vec<PhysicalKey> = keys.into_iter().cloned().collect();
        for key in &keys {
            if let Some(family) = self.inner.families.get(key.family as usize) {
                count(&family.counters.invalidated);
            }
            self.inner.forget(key);
        }
        let Some(remote) = self.inner.remote.clone() else {
            return Invalidated::Everywhere;
        };
        let inner = self.inner.clone();
        let work = tokio::spawn(async move {
            let names = keys.iter().map(|key| key.text.to_string()).collect();
            let everywhere = remote.invalidate(names).await;
            // A copy may have been read from the store between our two steps.
            keys.iter().for_each(|key| inner.forget(key));
            everywhere
        });
        match work.await {
            Ok(true) => Invalidated::Everywhere,
            _ => Invalidated::WhenBack,
        }
    }

    /// Applies invalidations that other processes committed since the last call. To be called a few times
    /// a second; does nothing without an outbox. A cache in this process alone forgets everything on the
    /// first call, for it cannot tell what it missed.
    ///
    /// # Errors
    ///
    /// When the primary database or the shared store could not be asked; calling again goes on from
    /// the same place.
    pub async fn catch_up(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match (&self.inner.remote, &self.inner.tail) {
            (Some(remote), _) => remote.catch_up().await,
            (None, Some(tail)) => tail.catch_up(&self.inner).await,
            (None, None) => Ok(()),
        }
    }

    fn is_young_enough<V>(&self, entry: &Entry<V>, read: &Read<'_>) -> bool {
        read.age_max
            .is_none_or(|age_max| entry.is_younger_than(age_max, self.inner.clock.now()))
    }

    /// What [`Cache::read`] does when this process has no fresh copy.
    ///
    /// Boxed: a hit in this process does not pay for it, and whoever awaits a read need not prove that all that is in
    /// here is `Send`, which takes the compiler minutes where reads are nested.
    fn read_further<'a, V, F, L, E>(
        &'a self,
        key: &'a Key<V>,
        read: Read<'a>,
        stale: Option<Arc<Entry<V>>>,
        loader: F,
    ) -> BoxFuture<'a, Result<Answer<V>, LoadError>>
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        Box::pin(self.read_elsewhere(key, read, stale, loader))
    }

    async fn read_elsewhere<V, F, L, E>(
        &self,
        key: &Key<V>,
        read: Read<'_>,
        stale: Option<Arc<Entry<V>>>,
        loader: F,
    ) -> Result<Answer<V>, LoadError>
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let (inner, rules) = (&self.inner, &key.rules);
        let began = inner.flights.next();
        let mut loader = Some(loader);
        let mut seen = Seen::nothing(inner);
        seen.stale = stale;
        let (mut counted, mut too_old) = (false, false);
        loop {
            let mut landing = match inner.flights.find(&key.name) {
                Some(landing) => {
                    count(&rules.counters.waited);
                    landing
                }
                None => {
                    let asked = self.ask_remote(key, &read, &mut seen).await;
                    if let Some(answer) = asked {
                        if !counted {
                            rules.counters.hit();
                        }
                        if answer
                            .entry
                            .claim_refresh(rules.info.refresh_at, inner.clock.uptime())
                            && let Some(loader) = loader.take()
                        {
                            self.refresh_ahead(key, loader);
                        }
                        return Ok(answer);
                    }
                    match inner.flights.board(&key.name) {
                        Place::Passenger(landing) => {
                            count(&rules.counters.waited);
                            landing
                        }
                        Place::Pilot(flight) => {
                            let landing = flight.subscribe();
                            if let Some(loader) = loader.take() {
                                seen.age_max = read.age_max;
                                seen.request_id = read.request_id.map(str::to_owned);
                                let seen = std::mem::replace(&mut seen, Seen::nothing(inner));
                                fill::take_off(self, key, flight, Purpose::Read, seen, loader);
                            }
                            landing
                        }
                    }
                }
            };
            if !std::mem::replace(&mut counted, true) {
                self.count_miss(rules, &key.name);
            }
            let landing = fill::arrival(&mut landing, key).await;
            // Our own flight began after us, so it always suits.
            if loader.is_none() {
                return fill::answer(landing, key);
            }
            if landing.suits(began) {
                match self.age_of_landing::<V>(&landing, &read) {
                    Fit::Good => return fill::answer(landing, key),
                    // A second load that brings nothing younger has nothing younger to bring.
                    Fit::Outlived if too_old => return fill::answer(landing, key),
                    Fit::Outlived => too_old = true,
                    Fit::OverBound => {}
                }
            }
        }
    }

    /// Whether what a reader waited for is young enough for it.
    fn age_of_landing<V: Cacheable>(&self, landing: &Landing, read: &Read<'_>) -> Fit {
        let Ok((entry, source)) = &landing.outcome else {
            return Fit::Good;
        };
        let Some(entry) = entry.downcast_ref::<Entry<V>>() else {
            return Fit::Good;
        };
        match source {
            Source::Memory | Source::Shared if self.is_young_enough(entry, read) => Fit::Good,
            Source::Memory | Source::Shared => Fit::OverBound,
            // A value that is not to be kept has no life to outlive.
            Source::Loader if entry.has_life() && !entry.is_fresh(self.inner.clock.uptime()) => {
                Fit::Outlived
            }
            Source::Loader | Source::Stale => Fit::Good,
        }
    }

    fn count_miss<V>(&self, rules: &Rules<V>, key: &PhysicalKey) {
        let asked = match &self.inner.remote {
            Some(remote) => remote.is_up(),
            None => self.inner.near.is_some(),
        };
        if asked && !key.is_too_long() {
            rules.counters.miss(key.hash);
        } else {
            count(&rules.counters.bypassed);
        }
    }

    /// Asks the shared store; notes what was seen and could not be used.
    async fn ask_remote<V: Cacheable>(
        &self,
        key: &Key<V>,
        read: &Read<'_>,
        seen: &mut Seen<V>,
    ) -> Option<Answer<V>> {
        let (inner, rules) = (&self.inner, &key.rules);
        let remote = inner.remote.as_ref()?;
        if key.name.is_too_long() || !remote.is_up() {
            return None;
        }
        let epoch = inner.flights.epoch(key.name.hash);
        let stored = match remote
            .get(&key.name.text, &mut seen.patience, read.request_id)
            .await
        {
            Ok(Got::Value(stored)) => stored,
            Ok(Got::Nothing) | Err(_) => return None,
            Ok(Got::WrongType) => {
                // The lease script deletes it.
                count(&rules.counters.undecodable);
                return None;
            }
        };
        let entry = self.open(key, stored, seen)?;
        let moment = inner.moment();
        if !entry.is_fresh(moment.uptime) || !self.is_young_enough(&entry, read) {
            if entry.is_kept(moment.uptime) {
                seen.stale = Some(entry);
            }
            return None;
        }
        if let Some(near) = inner.near(&rules.info) {
            inner.flights.keep_since(key.name.hash, epoch, || {
                near.insert(rules.info.size_class, &key.name, entry.clone());
            });
        }
        Some(Answer {
            entry,
            source: Source::Shared,
        })
    }

    /// Reads stored bytes; what is no entry, or cannot be of this time, is noted to be deleted.
    pub(crate) fn open<V: Cacheable>(
        &self,
        key: &Key<V>,
        stored: Bytes,
        seen: &mut Seen<V>,
    ) -> Option<Arc<Entry<V>>> {
        let moment = self.inner.moment();
        let rules = &key.rules;
        seen.header = stored.slice(..stored.len().min(entry::HEADER_BYTES));
        match entry::decode::<V>(stored, moment) {
            Ok(entry) if entry.window.is_plausible(moment.now) => Some(Arc::new(entry)),
            Ok(_) => None,
            Err(error) => {
                seen.garbage = true;
                count(&rules.counters.undecodable);
                tracing::debug!(cache.key = key.logical(), %error, "deleting undecodable bytes");
                None
            }
        }
    }

    /// Starts loading a value that is still fresh, if nobody does.
    fn refresh_ahead<V, F, L, E>(&self, key: &Key<V>, loader: F)
    where
        V: Cacheable,
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        if let Place::Pilot(flight) = self.inner.flights.board(&key.name) {
            count(&key.rules.counters.refreshed_ahead);
            let seen = Seen::nothing(&self.inner);
            fill::take_off(self, key, flight, Purpose::Refresh, seen, loader);
        }
    }
}

impl Inner {
    /// Drops this process's copy of a key that a write has overtaken, unless it says what was written; with a load
    /// under way that began before, and brings nothing later.
    pub fn overtake(&self, overtaken: &Overtaken) {
        let text = format!("{}:{}", self.schema, overtaken.key);
        let key = PhysicalKey::nameless(text);
        if overtaken.version == 0 {
            return self.forget(&key);
        }
        self.flights.overtake(&key, overtaken.version, || {
            if let Some(near) = &self.near {
                near.remove_unless(&key, |version| overtaken.spares(version));
            }
        });
    }

    /// Drops this process's copy and flight of a key.
    pub fn forget(&self, key: &PhysicalKey) {
        self.flights.ground(key, || {
            if let Some(near) = &self.near {
                near.remove(&key.text, key.hash);
            }
        });
    }
}

impl Inner {
    /// Drops all of this process's copies and flights.
    pub fn forget_all(&self) {
        self.flights.ground_all(|| {
            if let Some(near) = &self.near {
                near.clear();
            }
        });
    }
}

/// How the age of a value that a reader waited for suits it.
enum Fit {
    Good,
    /// It was found, not loaded, and is older than the reader asked for.
    OverBound,
    /// It was loaded, and its life ended while the reader waited.
    Outlived,
}

/// What a read met in the stores before it had to load.
pub(crate) struct Seen<V> {
    /// An entry past its life that may stand in if loading fails.
    pub stale: Option<Arc<Entry<V>>>,
    /// The first bytes of a stored value that is of no use.
    pub header: Bytes,
    /// Whether that value is no entry at all.
    pub garbage: bool,
    pub age_max: Option<Duration>,
    pub request_id: Option<String>,
    pub patience: Patience,
}

impl<V> Seen<V> {
    pub fn nothing(inner: &Inner) -> Self {
        Self {
            stale: None,
            header: Bytes::new(),
            garbage: false,
            age_max: None,
            request_id: None,
            patience: inner
                .remote
                .as_ref()
                .map_or_else(Patience::none, |remote| remote.patience()),
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("schema", &self.inner.schema)
            .field("families", &self.inner.families.len())
            .field("memory", &self.inner.near.is_some())
            .field("shared", &self.inner.remote.is_some())
            .finish()
    }
}
