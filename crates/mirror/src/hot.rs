//! The hot cache in front of the mirror: records and search answers that are asked for again and again.
//!
//! [`HotFamilies::register`] puts the families of all mirrored records into a [`cache::CacheBuilder`]; whoever
//! builds the cache may add families of its own. Every write to the mirror, by whichever process, is heard of
//! through the change feed and forgets the hot value: [`Hot::follow`].

mod families;
mod generation;
mod held;
mod outbox;
mod reads;
mod record;
mod search;

use std::{sync::Arc, time::Duration};

use cache::{Cache, CacheBuilder, FamilyError, Key};
use store::ResourceName;
use tokio_util::sync::CancellationToken;

pub use self::{
    families::{HotFamilies, HotSettings},
    held::HotValue,
    record::{HotRecord, Origin},
    search::{HotPage, SearchAnswer},
};
pub(crate) use self::{
    families::{STALE_LIFE, hot_table},
    reads::{Reads, runs_out},
    record::{loaded, told},
};
use crate::listing::chain;

/// How often the change feed is read for what other processes wrote.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// A cache and the families of the mirror in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hot {
    cache: Cache,
    families: Arc<HotFamilies>,
}

impl Hot {
    /// The families that were registered with the builder of `cache`.
    pub fn new(cache: Cache, families: HotFamilies) -> Self {
        let families = Arc::new(families);
        Self { cache, families }
    }

    /// Keeps nothing.
    ///
    /// # Errors
    ///
    /// As [`HotFamilies::register`].
    pub fn off() -> Result<Self, FamilyError> {
        let mut builder = CacheBuilder::new("off");
        let families = HotFamilies::register(&mut builder, &[], HotSettings::default())?;
        Ok(Self::new(builder.off(), families))
    }

    /// The cache, for other families in it and for tools.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The key of a record's hot value; `None` when nothing of its resource is kept hot, or its id does not fit
    /// the family's name. `id` is written as the mirror writes it.
    pub fn key(&self, resource: &ResourceName, instance: &str, id: &str) -> Option<Key<HotRecord>> {
        self.families.key(&self.cache, resource, instance, id)
    }

    /// Hears of what other processes write, four times a second, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut is_deaf = false;
        loop {
            match self.cache.catch_up().await {
                Ok(()) if std::mem::take(&mut is_deaf) => {
                    tracing::info!("the cache hears of changes again");
                }
                Ok(()) => {}
                Err(_) if is_deaf => {}
                Err(error) => {
                    is_deaf = true;
                    tracing::warn!(
                        error = chain(&*error),
                        "the cache does not hear of changes: hot values live out their lives"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
        }
    }
}
