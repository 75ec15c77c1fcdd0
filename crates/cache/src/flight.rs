//! Loads under way in this process: one per key, however many ask.
//!
//! A flight is known by its key until it ends or the key is invalidated. Readers that find one wait for
//! it; readers that began after an invalidation never find the flight that began before it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::answer::{LoadError, Source};
use crate::key::PhysicalKey;
use crate::memory::PassHash;

const SHARDS: usize = 64;

/// How a flight ended.
#[derive(Clone)]
pub(crate) struct Landing {
    /// The entry, of the key's value type, and where it came from.
    pub outcome: Result<(Arc<dyn Any + Send + Sync>, Source), LoadError>,
    /// When the load began.
    pub began: u64,
    /// Until when the answer is known to have been current: readers that began before may take it.
    pub current_at: u64,
}

impl Landing {
    /// Whether a reader that began at `began` may take this: its answer must not be older than any
    /// invalidation acknowledged before the reader came. Failures are taken by everybody, or ten
    /// thousand waiters would each try again.
    pub fn suits(&self, began: u64) -> bool {
        self.outcome.is_err() || self.current_at > began
    }
}

/// One load under way.
pub(crate) struct Flight {
    number: u64,
    landing: watch::Sender<Option<Landing>>,
    /// The version that its value must have at least, and when that became known.
    least: Mutex<Option<(u64, u64)>>,
}

impl Flight {
    /// Waits for this flight.
    pub fn subscribe(&self) -> watch::Receiver<Option<Landing>> {
        self.landing.subscribe()
    }

    fn least(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        self.least
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// When it became known that a value of `version` is overtaken; `None`: it is not.
    pub fn overtaken_at(&self, version: u64) -> Option<u64> {
        let least = *self.least();
        least
            .filter(|(least, _)| version < *least)
            .map(|(_, at)| at)
    }

    /// Tells every waiter how it ended. The first word counts.
    pub fn land(&self, landing: Landing) {
        self.landing.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(landing);
            }
            first
        });
    }
}

/// What a reader that found nothing does next.
pub(crate) enum Place {
    /// It starts the load.
    Pilot(Arc<Flight>),
    /// It waits for a load under way.
    Passenger(watch::Receiver<Option<Landing>>),
}

type Shard = HashMap<PhysicalKey, Arc<Flight>, PassHash>;

/// All loads under way, and the order in which reads and loads began.
pub(crate) struct Flights {
    shards: Vec<Mutex<Shard>>,
    /// Bumped by whatever removes a key, so that a copy read before is not kept after.
    epochs: Vec<AtomicU64>,
    sequence: AtomicU64,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            epochs: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            sequence: AtomicU64::new(1),
        }
    }
}

impl Flights {
    /// The next number in the order of beginnings.
    pub fn next(&self) -> u64 {
        self.sequence.fetch_add(1, SeqCst)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[hash as usize % SHARDS];
        shard
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The landing of the flight of `key`, if one is under way.
    pub fn find(&self, key: &PhysicalKey) -> Option<watch::Receiver<Option<Landing>>> {
        self.shard(key.hash)
            .get(key)
            .map(|flight| flight.landing.subscribe())
    }

    /// Joins the flight of `key`, or begins it.
    pub fn board(&self, key: &PhysicalKey) -> Place {
        let mut shard = self.shard(key.hash);
        if let Some(flight) = shard.get(key) {
            return Place::Passenger(flight.landing.subscribe());
        }
        let flight = Arc::new(Flight {
            number: self.next(),
            landing: watch::Sender::new(None),
            least: Mutex::new(None),
        });
        shard.insert(key.clone(), flight.clone());
        Place::Pilot(flight)
    }

    /// Ends a flight whose value has `version`; `keep` runs first, only if nobody invalidated the key, and nobody can
    /// while it runs. Says whether it ran.
    pub fn leave(
        &self,
        key: &PhysicalKey,
        flight: &Flight,
        version: u64,
        keep: impl FnOnce(),
    ) -> bool {
        let mut shard = self.shard(key.hash);
        let known = shard
            .get(key)
            .is_some_and(|known| known.number == flight.number);
        let current = known && flight.overtaken_at(version).is_none();
        if current {
            keep();
        }
        if known {
            shard.remove(key);
        }
        current
    }

    /// The flight of `key` goes on, but a value older than `version` is then neither kept nor given to who comes from
    /// now on. `drop_copy` runs in the same step.
    pub fn overtake(&self, key: &PhysicalKey, version: u64, drop_copy: impl FnOnce()) {
        let shard = self.shard(key.hash);
        self.epochs[key.hash as usize % SHARDS].fetch_add(1, SeqCst);
        if let Some(flight) = shard.get(key) {
            let mut least = flight.least();
            let known = least.map_or(0, |(version, _)| version);
            *least = Some((version.max(known), self.next()));
        }
        drop_copy();
    }

    /// Forgets the flight of `key`: its answer reaches those who wait, and nobody else. `drop_copy`
    /// runs in the same step.
    pub fn ground(&self, key: &PhysicalKey, drop_copy: impl FnOnce()) {
        let mut shard = self.shard(key.hash);
        self.epochs[key.hash as usize % SHARDS].fetch_add(1, SeqCst);
        shard.remove(key);
        drop_copy();
    }

    /// Forgets all flights, as [`Flights::ground`] does one.
    pub fn ground_all(&self, drop_copies: impl FnOnce()) {
        let mut shards: Vec<_> = (0..SHARDS as u64).map(|shard| self.shard(shard)).collect();
        for epoch in &self.epochs {
            epoch.fetch_add(1, SeqCst);
        }
        shards.iter_mut().for_each(|shard| shard.clear());
        drop_copies();
    }

    /// Drops this process's copy of a key that changed in the shared store. A flight goes on: whether
    /// it may keep its result, the lease decides.
    pub fn expire_copy(&self, hash: u64, drop_copy: impl FnOnce()) {
        let _shard = self.shard(hash);
        self.epochs[hash as usize % SHARDS].fetch_add(1, SeqCst);
        drop_copy();
    }

    /// Drops all of this process's copies.
    pub fn expire_all_copies(&self, drop_copies: impl FnOnce()) {
        let shards: Vec<_> = (0..SHARDS as u64).map(|shard| self.shard(shard)).collect();
        for epoch in &self.epochs {
            epoch.fetch_add(1, SeqCst);
        }
        drop_copies();
        drop(shards);
    }

    /// The removals so far among the keys near `hash`.
    pub fn epoch(&self, hash: u64) -> u64 {
        self.epochs[hash as usize % SHARDS].load(SeqCst)
    }

    /// Runs `keep` if no key near `hash` was removed since `epoch`; nobody can remove one meanwhile.
    pub fn keep_since(&self, hash: u64, epoch: u64, keep: impl FnOnce()) {
        let _shard = self.shard(hash);
        if self.epoch(hash) == epoch {
            keep();
        }
    }
}
