//! Invalidations that commit with the write they belong to, so that a cache that was away hears of them.

use async_trait::async_trait;

/// One committed invalidation.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its place in the order of commits; grows.
    pub position: i64,
    /// The physical keys to forget: [`PhysicalKey::as_str`](crate::PhysicalKey::as_str) of this build.
    pub keys: Vec<String>,
}

/// Where committed invalidations can be read again, in order: `millpond.change` in the primary database.
///
/// The position up to which they were applied lies in the shared store itself. A store restored from
/// an old dump therefore brings its old position along, and everything since is applied again.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Up to `limit` invalidations after `position`, oldest first, none missing that committed before.
    ///
    /// # Errors
    ///
    /// When the primary database cannot be read; the cache then stays away.
    async fn after(
        &self,
        position: i64,
        limit: usize,
    ) -> Result<Vec<Committed>, Box<dyn std::error::Error + Send + Sync>>;

    /// The position of the newest invalidation; 0 when there is none.
    ///
    /// # Errors
    ///
    /// When the primary database cannot be read.
    async fn newest(&self) -> Result<i64, Box<dyn std::error::Error + Send + Sync>>;
}
