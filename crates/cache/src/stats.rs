//! Counters of one family: exact, and cheap enough for every hit.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::distinct::Distinct;

/// Lanes of a counter that every hit touches, so that threads do not fight for one cache line.
const LANES: usize = 8;

/// Why a loaded value was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reject {
    /// Larger than [`crate::VALUE_BYTES_MAX`].
    Size,
    /// The key is longer than [`crate::KEY_BYTES_MAX`].
    Key,
    /// The TTL rule said `none`, or the family keeps no absences.
    Never,
    /// Its life was over when it arrived.
    Expired,
    /// It could not be encoded.
    Codec,
    /// The key was invalidated while it was being loaded.
    Invalidated,
    /// The shared store refused it, or was lost while it was being written.
    Store,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(AtomicU64);

#[derive(Debug, Default)]
struct Striped([Lane; LANES]);

impl Striped {
    fn add(&self) {
        self.0[lane()].0.fetch_add(1, Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|lane| lane.0.load(Relaxed)).sum()
    }
}

fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static LANE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % LANES));
    LANE.with(Cell::get)
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What happened to one family since the process began.
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
        pub struct FamilyStats {
            /// Reads answered out of a store.
            pub hits: u64,
            /// Different keys among the misses, estimated within a few percent.
            pub distinct_missed: u64,
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The live counters.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            hits: Striped,
            distinct: Distinct,
            $(pub $name: AtomicU64,)*
        }

        impl Counters {
            pub fn snapshot(&self) -> FamilyStats {
                FamilyStats {
                    hits: self.hits.sum(),
                    distinct_missed: self.distinct.estimate(),
                    $($name: self.$name.load(Relaxed),)*
                }
            }
        }
    };
}

counters! {
    /// Reads that a store was asked and had no fresh entry for.
    misses,
    /// Reads that went past the cache: it is off, away, or the key is too long.
    bypassed,
    /// Reads that waited for a load that another read had begun.
    waited,
    /// Loader runs.
    loads,
    /// Loader runs that failed, panicked or took too long.
    loads_failed,
    /// Time spent in loaders, in microseconds.
    load_us,
    /// Loader runs begun ahead of expiry.
    refreshed_ahead,
    /// Answers out of an expired entry because loading failed.
    stale_served,
    /// Values kept.
    stored,
    /// Bytes of values kept, each fill counted.
    stored_bytes,
    /// Values not kept: over the size limit.
    rejected_size,
    /// Values not kept: the key is too long.
    rejected_key,
    /// Values not kept: the TTL rule said none, or absences are not kept.
    rejected_never,
    /// Values not kept: their life was over on arrival.
    rejected_expired,
    /// Values not kept: no stored form.
    rejected_codec,
    /// Values not kept: the key was invalidated meanwhile.
    rejected_invalidated,
    /// Values not kept: the store refused or was lost.
    rejected_store,
    /// Stored bytes that were no entry; deleted.
    undecodable,
    /// Keys invalidated.
    invalidated,
    /// Reads that loaded themselves because another process held the lease too long.
    lease_waits_ended,
}

impl Counters {
    pub fn hit(&self) {
        self.hits.add();
    }

    pub fn miss(&self, key_hash: u64) {
        self.misses.fetch_add(1, Relaxed);
        self.distinct.add(key_hash);
    }

    pub fn loaded(&self, took: Duration, failed: bool) {
        self.loads.fetch_add(1, Relaxed);
        self.load_us.fetch_add(took.as_micros() as u64, Relaxed);
        if failed {
            self.loads_failed.fetch_add(1, Relaxed);
        }
    }

    pub fn stored(&self, bytes: usize) {
        self.stored.fetch_add(1, Relaxed);
        self.stored_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub fn reject(&self, why: Reject) {
        let counter = match why {
            Reject::Size => &self.rejected_size,
            Reject::Key => &self.rejected_key,
            Reject::Never => &self.rejected_never,
            Reject::Expired => &self.rejected_expired,
            Reject::Codec => &self.rejected_codec,
            Reject::Invalidated => &self.rejected_invalidated,
            Reject::Store => &self.rejected_store,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl FamilyStats {
    /// Reads in all.
    pub fn reads(&self) -> u64 {
        self.hits + self.misses + self.bypassed
    }

    /// Hits among the reads that a store was asked for; `None` before the first.
    pub fn hit_ratio(&self) -> Option<f64> {
        let asked = self.hits + self.misses;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}
