//! Making values fresh for sweeps and watches, with the loaders that readers use.

use std::{collections::HashMap, time::Duration};

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

impl Mirror {
    /// How old each value's row is; `None` where there is none, or a write has overtaken it.
    pub(crate) async fn ages(
        &self,
        account: &Account,
        wanted: &[Wanted],
        now: Timestamp,
    ) -> Result<Vec<Option<Duration>>> {
        let mut places: HashMap<&ResourceName, Vec<usize>> = HashMap::new();
        for (place, value) in wanted.iter().enumerate() {
            places.entry(&value.resource).or_default().push(place);
        }
        let mut ages = vec![None; wanted.len()];
        for (resource, places) in places {
            let feed = account.kind(resource).map_or(resource, |kind| &kind.feed);
            for chunk in places.chunks(CHUNK) {
                let values = chunk.iter().filter_map(|place| wanted.get(*place));
                let ids: Vec<String> = values.map(|value| value.id.clone()).collect();
                let as_of = account
                    .store
                    .as_of(resource, &account.settings.name, &ids, feed)
                    .await?;
                for (place, id) in chunk.iter().zip(&ids) {
                    if let (Some(at), Some(age)) = (as_of.get(id), ages.get_mut(*place)) {
                        *age =
                            Some(Duration::try_from(now.duration_since(*at)).unwrap_or_default());
                    }
                }
            }
        }
        Ok(ages)
    }

    /// Makes a value fresh: by calls if its row is older than it may be.
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
            .read_for(&value.resource, instance, &value.id, read, ask.calling)
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
