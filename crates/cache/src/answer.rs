//! What a loader hands in and what a reader gets back: values that know their age.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::entry::Entry;
use crate::life::Life;

/// What a loader found, and as of when.
#[derive(Debug)]
pub struct Loaded<V> {
    pub(crate) value: Option<V>,
    pub(crate) fetched_at: Timestamp,
    pub(crate) life: Option<Life>,
    pub(crate) version: u64,
}

impl<V> Loaded<V> {
    /// `value`, as upstream said it at `fetched_at`. Its life counts from there.
    pub fn found(value: V, fetched_at: Timestamp) -> Self {
        Self {
            value: Some(value),
            fetched_at,
            life: None,
            version: 0,
        }
    }

    /// There is no such thing, as of `fetched_at`. Kept only by families with a life for it.
    pub fn absent(fetched_at: Timestamp) -> Self {
        Self {
            value: None,
            fetched_at,
            life: None,
            version: 0,
        }
    }

    /// Says which version of the row this is, above 0 and growing with each write of it. The outbox then spares what
    /// has the version that it tells of.
    pub fn of_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Overrides the family's TTL rule for this value.
    pub fn with_life(mut self, life: Life) -> Self {
        self.life = Some(life);
        self
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// This process's memory.
    Memory,
    /// The shared store.
    Shared,
    /// The loader, run for this read or for one that was waiting already.
    Loader,
    /// An expired entry, because the loader failed. Look at [`Answer::as_of`].
    Stale,
}

/// An answer to a read. Cheap to clone.
pub struct Answer<V> {
    pub(crate) entry: Arc<Entry<V>>,
    pub(crate) source: Source,
}

impl<V> Answer<V> {
    /// The value; `None` when there is no such thing.
    pub fn value(&self) -> Option<&V> {
        self.entry.value.as_ref()
    }

    /// When upstream was last known to say this.
    pub fn as_of(&self) -> Timestamp {
        self.entry.fetched_at()
    }

    /// Where the answer came from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether the entry is past its life and served only because loading failed.
    pub fn is_stale(&self) -> bool {
        self.source == Source::Stale
    }

    /// Whether no loader ran for this answer.
    pub fn is_hit(&self) -> bool {
        matches!(self.source, Source::Memory | Source::Shared)
    }
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
            source: self.source,
        }
    }
}

impl<V: fmt::Debug> fmt::Debug for Answer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("value", &self.entry.value)
            .field("as_of", &self.as_of())
            .field("source", &self.source)
            .finish()
    }
}

/// Why a read has no answer. The cache itself is never a reason.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The loader failed, and no stale entry may stand in. Every waiter gets the same cause.
    #[error("loading `{key}` failed")]
    Failed {
        /// The logical key.
        key: Arc<str>,
        /// What the loader said.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Another process was loading the value for this reader too, and failed.
    #[error("loading `{key}` failed in another process")]
    FailedElsewhere {
        /// The logical key.
        key: Arc<str>,
    },
    /// The loader panicked. Asking again runs it again.
    #[error("the loader of `{key}` panicked")]
    Panicked {
        /// The logical key.
        key: Arc<str>,
    },
    /// The loader ran longer than its family allows and was dropped.
    #[error("the loader of `{key}` was stopped after {after:?}")]
    TimedOut {
        /// The logical key.
        key: Arc<str>,
        /// The family's bound.
        after: Duration,
    },
    /// The runtime is shutting down.
    #[error("the runtime stopped while `{key}` was being loaded")]
    Stopped {
        /// The logical key.
        key: Arc<str>,
    },
}

/// How one read wants to be answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Read<'a> {
    pub(crate) age_max: Option<Duration>,
    pub(crate) request_id: Option<&'a str>,
}

impl<'a> Read<'a> {
    /// Any age the family's TTL rule allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only an entry fetched at most `age_max` ago counts as a hit; zero always loads anew, unless a
    /// load that began after this read is there to join.
    pub fn age_max(mut self, age_max: Duration) -> Self {
        self.age_max = Some(age_max);
        self
    }

    /// The request that reads, for the log line of an outage it finds.
    pub fn request_id(mut self, request_id: &'a str) -> Self {
        self.request_id = Some(request_id);
        self
    }
}
