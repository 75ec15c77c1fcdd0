//! Invalidations that commit with the write they belong to, so that every process hears of them, also one
//! whose cache was away.

use std::{fmt, str::FromStr};

use async_trait::async_trait;

/// A place in the order of commits: the transaction, then the entry within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The transaction's number.
    pub tx: u64,
    /// The entry's number within it; never below 0.
    pub seq: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.tx, self.seq)
    }
}

/// A text that is no [`Position`].
#[derive(Debug, thiserror::Error)]
#[error("the text is no position in the outbox")]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (tx, seq) = text.split_once('-').ok_or(BadPosition)?;
        Ok(Self {
            tx: tx.parse().map_err(|_| BadPosition)?,
            seq: seq.parse().map_err(|_| BadPosition)?,
        })
    }
}

/// One committed invalidation.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its place in the order of commits.
    pub position: Position,
    /// Whether no entry before it can still commit. One that is not settled is applied, and read again
    /// until it is.
    pub settled: bool,
    /// What to forget.
    pub keys: Vec<Overtaken>,
}

/// A key whose value a committed write has overtaken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overtaken {
    /// Its name, as [`Family::unversioned`](crate::Family::unversioned) says it.
    pub key: String,
    /// The version that was written: a value [of it](crate::Loaded::of_version), or of a later one, is spared. 0 spares
    /// none.
    pub version: u64,
}

impl Overtaken {
    /// Whether a value of `version` says what was written.
    pub(crate) fn spares(&self, version: u64) -> bool {
        self.version > 0 && version >= self.version
    }
}

/// Where committed invalidations can be read again, in order: `millpond.change` in the primary database.
///
/// The position up to which they were applied lies in the shared store itself. A store restored from
/// an old dump therefore brings its old position along, and everything since is applied again.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Up to `limit` invalidations after `position`, in order. Settled ones come first, none of them
    /// missing; then those that are visible already although an earlier one may still commit.
    ///
    /// # Errors
    ///
    /// When the primary database cannot be read; the cache then stays away.
    async fn after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Vec<Committed>, Box<dyn std::error::Error + Send + Sync>>;

    /// The position of the newest settled invalidation; the default when there is none.
    ///
    /// # Errors
    ///
    /// When the primary database cannot be read.
    async fn newest(&self) -> Result<Position, Box<dyn std::error::Error + Send + Sync>>;
}
