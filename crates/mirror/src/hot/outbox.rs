//! The change feed as the cache's outbox: what other processes wrote, and what was written while the cache was away.

use std::error::Error;

use async_trait::async_trait;
use cache::{Committed, Outbox, Overtaken, Position};
use store::{ResourceName, Store, changes::ChangeCursor};

use super::HotFamilies;

/// Reads `millpond.change` for the families of [`HotFamilies`].
pub(super) struct ChangeOutbox {
    store: Store,
    families: HotFamilies,
}

impl HotFamilies {
    /// The change feed of `store` as the outbox of a cache with these families.
    pub fn outbox(&self, store: Store) -> impl Outbox + use<> {
        let families = self.clone();
        ChangeOutbox { store, families }
    }
}

#[async_trait]
impl Outbox for ChangeOutbox {
    async fn after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Vec<Committed>, Box<dyn Error + Send + Sync>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let cursor = ChangeCursor::at(position.tx, position.seq);
        let touched = self.store.touched_after(cursor, limit).await?;
        let mut committed = Vec::with_capacity(touched.len());
        for change in touched {
            let (tx, seq) = change.cursor.parts();
            let position = Position { tx, seq };
            let generations = &self.families.generations;
            generations.note(&change.resource, position, change.settled);
            let resource: Option<ResourceName> = change.resource.parse().ok();
            let key = resource.and_then(|resource| {
                self.families
                    .unversioned(&resource, &change.instance, &change.id)
            });
            let version = u64::try_from(change.version).unwrap_or_default();
            let overtaken = key.map(|key| Overtaken { key, version });
            committed.push(Committed {
                position,
                settled: change.settled,
                keys: overtaken.into_iter().collect(),
            });
        }
        Ok(committed)
    }

    async fn newest(&self) -> Result<Position, Box<dyn Error + Send + Sync>> {
        let (tx, seq) = self.store.newest_change().await?.parts();
        let newest = Position { tx, seq };
        self.families.generations.begin(newest);
        Ok(newest)
    }
}
