//! Making values fresh for sweeps and watches, with the loaders that readers use.

use std::{collections::HashMap, time::Duration};

use cache::Existence;
use jiff::Timestamp;
use store::ResourceName;

use crate::{
    Mirror,
    account::Account,
    error::{MirrorError, Result},
    reading::{Calling, ReadAnswer, ReadAsk},
    sweep::Wanted,
};

/// Rows whose ages are read from the mirror at once.
const CHUNK: usize = 1000;

/// How a value is made hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Warming {
    /// For whom.
    pub calling: Calling,
    /// Whether it is fetched although it is fresh.
    pub force: bool,
}

/// How a value stands before it is made hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The cache has it.
    Hot,
    /// The cache does not have it; the mirror's row is this old.
    InMirror(Duration),
    /// As [`Held::InMirror`], but the cache is away or off, so that nobody could tell.
    Unasked(Duration),
    /// There is no row either, or a write has overtaken it.
    Nowhere,
}

impl Mirror {
    /// How each value stands. The cache is asked for all of them at once; of what it does not have, or cannot say, the
    /// mirror's row tells the age.
    pub(crate) async fn held(
        &self,
        account: &Account,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<Vec<Held>> {
        let hot = self.hot();
        let instance = account.settings.name.as_str();
        let keys: Vec<Option<_>> = wanted
            .iter()
            .map(|value| hot.key(&value.resource, instance, &value.id))
            .collect();
        let names: Vec<_> = keys
            .iter()
            .flatten()
            .map(|key| key.name().clone())
            .collect();
        let mut told = hot.cache().missing(&names).await.into_iter();
        let told: Vec<Existence> = keys
            .iter()
            .map(|key| key.as_ref().and_then(|_| told.next()))
            .map(|told| told.unwrap_or(Existence::CannotAsk))
            .collect();
        let mut held: Vec<Held> = vec![Held::Nowhere; wanted.len()];
        let mut places: HashMap<&ResourceName, Vec<usize>> = HashMap::new();
        for (place, (value, told)) in wanted.iter().zip(&told).enumerate() {
            match (told, held.get_mut(place)) {
                (Existence::Present, Some(held)) => *held = Held::Hot,
                _ => places.entry(&value.resource).or_default().push(place),
            }
        }
        for (resource, places) in places {
            let feed = account.kind(resource).map_or(resource, |kind| &kind.feed);
            for chunk in places.chunks(CHUNK) {
                let values = chunk.iter().filter_map(|place| wanted.get(*place));
                let ids: Vec<String> = values.map(|value| value.id.clone()).collect();
                let as_of = account.store.as_of(resource, instance, &ids, feed).await?;
                for (place, id) in chunk.iter().zip(&ids) {
                    let (Some(at), Some(held)) = (as_of.get(id), held.get_mut(*place)) else {
                        continue;
                    };
                    let age = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
                    *held = match told.get(*place) {
                        Some(Existence::Missing) => Held::InMirror(age),
                        _ => Held::Unasked(age),
                    };
                }
            }
        }
        Ok(held)
    }

    /// Makes a value fresh and hot: by calls if its row is older than it may be.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Upstream`] when upstream did not answer, also when there is an older row: [`MirrorError::Stale`].
    pub(crate) async fn warm(&self, account: &Account, value: &Wanted, ask: Warming) -> Result<()> {
        let instance = account.settings.name.as_str();
        if value.is_payload {
            return self
                .warm_payload(&value.resource, instance, &value.record, ask)
                .await;
        }
        let read = ReadAsk {
            max_age: value.ttl,
            fresh: ask.force,
        };
        let answer = self
            .record_kept(&value.resource, instance, &value.id, read, ask.calling)
            .await?;
        came(answer.as_ref(), &value.resource)
    }
}

/// A value that is not fresh, because upstream did not answer, did not come.
pub(crate) fn came(answer: Option<&ReadAnswer>, resource: &ResourceName) -> Result<()> {
    match answer.and_then(|answer| answer.stale.clone()) {
        None => Ok(()),
        Some(reason) => Err(MirrorError::Stale {
            resource: resource.to_string(),
            reason,
        }),
    }
}
