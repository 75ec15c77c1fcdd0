//! One record through the cache: the row if it is fresh enough, and upstream first if it is not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{Life, Loaded, Source};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::{ResourceName, read::RecordRow};

use super::{STALE_LIFE, hot_table};
use crate::{
    Mirror,
    error::Result,
    reading::{self, Calling, ReadAnswer, ReadAsk},
    spending::Target,
};

/// A record as it is kept hot.
#[derive(Debug, Serialize, Deserialize)]
pub struct HotRecord {
    /// The record.
    pub record: Arc<RecordRow>,
    /// The newest snapshot when it was read from the mirror.
    pub snapshot: Option<i64>,
    /// Where it came from when it was loaded.
    pub origin: Origin,
    /// Why it is older than it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}
cache::cacheable!(HotRecord, shape = 1);

/// Where a hot value came from when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The mirror's row.
    Mirror,
    /// A call.
    Upstream,
}

impl Mirror {
    /// One record through the cache, as fresh as asked and as its connector's rule wants it, at the cost of at most
    /// one call; many who ask at once share it. Otherwise as [`Mirror::read`].
    ///
    /// `None`: neither the mirror nor upstream has it. Dropping the future does not stop a load that it began.
    ///
    /// # Errors
    ///
    /// As [`Mirror::read`]; [`MirrorError::cause`](crate::MirrorError::cause) tells what a load that many waited for
    /// failed of.
    pub async fn read_hot(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        ask: ReadAsk,
    ) -> Result<Option<ReadAnswer>> {
        let (account, kind) = self.find_kind(resource, instance)?;
        let id = kind.id(id);
        let hot = self.hot();
        let Some(key) = hot.key(resource, instance, &id) else {
            return Box::pin(self.read(resource, instance, &id, ask)).await;
        };
        // What is hot is answered from here: what is seldom awaited lies elsewhere, since a future is moved as it is large.
        if ask.fresh {
            let kept = self.record_kept(resource, instance, &id, ask, Calling::READER);
            return Box::pin(kept).await;
        }
        let loader = || self.record_loader(resource, instance, &id, ask);
        let began = Timestamp::now();
        // Most readers need none: what is hot has no table, or is told at once.
        let target = || Target {
            resource: resource.clone(),
            record: id.clone(),
            id: id.clone(),
        };
        let loading = hot.cache.get_or_load(&key, loader());
        let mut answer = match account.spending.patience(ask) {
            None => loading.await?,
            Some(patience) => {
                let copy = async || reading::peek(account, kind, &id).await;
                match Box::pin(reading::patiently(patience, loading, copy)).await? {
                    Ok(answer) => answer?,
                    Err(copy) => {
                        self.note_read(account, &target(), &copy);
                        return Ok(Some(copy));
                    }
                }
            }
        };
        if let Some(max_age) = ask.max_age
            && !is_as_fresh(&answer, began, max_age)
        {
            // What was kept, or was being loaded for somebody who asked for less, is too old for this reader.
            answer = Box::pin(hot.cache.refresh(&key, loader())).await?;
        }
        let Some(value) = answer.value() else {
            return Ok(None);
        };
        let table = hot_table(&kind.resource).filter(|_| value.stale.is_none());
        let Some(table) = table else {
            return Ok(Some(told(&answer, value)));
        };
        let spending = &account.spending;
        let is_news = !spending.is_priced()
            && self
                .reads()
                .is_news(resource, instance, &id, Instant::now());
        let mut tier = None;
        if is_news || spending.wants_tier(resource, &id, began) {
            let of = &kind.resource.name;
            let ttl = account.tier(table, of, &value.record, began).await?;
            if is_news && let Some(ttl) = ttl {
                self.reads().note(&value.record, &id, ttl);
            }
            tier = Some(ttl);
        }
        let answer = told(&answer, value);
        Ok(self.by_policy(account, target(), answer, ask, tier).await)
    }

    /// Reads a record as jobs do: a call first, if one is needed, and then the hot value is replaced. Whoever reads it
    /// meanwhile waits for no call that has to wait itself.
    pub(crate) async fn record_kept(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        ask: ReadAsk,
        calling: Calling,
    ) -> Result<Option<ReadAnswer>> {
        let answer = self.read_for(resource, instance, id, ask, calling).await?;
        let hot = self.hot();
        let Some(key) = hot.key(resource, instance, id) else {
            return Ok(answer);
        };
        if answer.as_ref().is_some_and(|answer| answer.stale.is_none()) {
            let loader = self.record_loader(resource, instance, id, ReadAsk::default());
            hot.cache.refresh(&key, loader).await?;
        } else {
            // A store that is away forgets it before it is read again.
            let _ = hot.cache.invalidate([key.name()]).await;
        }
        Ok(answer)
    }

    /// The loader of a record's hot value. Owns all that it needs: it goes on when its reader gives up.
    fn record_loader(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        ask: ReadAsk,
    ) -> impl FnOnce() -> BoxFuture<'static, Result<Loaded<HotRecord>>> + Send + 'static {
        let (mirror, resource) = (self.clone(), resource.clone());
        let (instance, id) = (instance.to_owned(), id.to_owned());
        move || {
            let load = async move { mirror.load(&resource, &instance, &id, ask).await };
            load.boxed()
        }
    }

    /// Forgets the hot values of rows that are no longer what upstream says, before the caller answers.
    pub(crate) async fn forget_hot(&self, instance: &str, rows: &[(ResourceName, String)]) {
        let hot = self.hot();
        let keys: Vec<_> = rows
            .iter()
            .filter_map(|(resource, id)| hot.key(resource, instance, id))
            .collect();
        // A store that is away forgets them before it is read again.
        let _ = hot
            .cache
            .invalidate(keys.iter().map(|key| key.name()))
            .await;
    }

    /// Loads a record's hot value: the mirror's row, refreshed from upstream first when it is older than
    /// asked for or than its table allows.
    async fn load(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        ask: ReadAsk,
    ) -> Result<Loaded<HotRecord>> {
        let (account, kind) = self.find_kind(resource, instance)?;
        let table = hot_table(&kind.resource);
        let began = Timestamp::now();
        let (flights, calling) = (self.flights(), Calling::READER);
        let answer = reading::read(account, flights, kind, id, ask, table, calling).await?;
        let Some(answer) = answer else {
            return Ok(Loaded::absent(began));
        };
        let life = match table {
            Some(table) => {
                let of = &kind.resource.name;
                Some(account.lifetime(table, of, &answer.record, began).await?)
            }
            None => None,
        };
        Ok(loaded(answer, life, began))
    }
}

/// An answer as the cache keeps it. A life that a table says (`Some(None)`: none at all) counts from when upstream said
/// it; where no table does, the mirror is all that was asked.
pub(crate) fn loaded(
    answer: ReadAnswer,
    life: Option<Option<Duration>>,
    began: Timestamp,
) -> Loaded<HotRecord> {
    let (as_of, is_stale) = (answer.record.as_of, answer.stale.is_some());
    let origin = if answer.source == "upstream" {
        Origin::Upstream
    } else {
        Origin::Mirror
    };
    let hot = HotRecord {
        record: answer.record,
        snapshot: answer.snapshot,
        origin,
        stale: answer.stale,
    };
    let version = u64::try_from(hot.record.version).unwrap_or_default();
    let found = match life {
        Some(_) if is_stale => Loaded::found(hot, began).with_life(Life::For(STALE_LIFE)),
        Some(ttl) => Loaded::found(hot, as_of).with_life(ttl.map_or(Life::Never, Life::For)),
        None => Loaded::found(hot, began),
    };
    found.of_version(version)
}

/// Where an answer of the cache comes from.
pub(crate) fn told(answer: &cache::Answer<HotRecord>, hot: &HotRecord) -> ReadAnswer {
    let source = match (answer.source(), hot.origin) {
        (Source::Loader, Origin::Mirror) => "mirror",
        (Source::Loader, Origin::Upstream) => "upstream",
        _ => "cache",
    };
    let record = Arc::clone(&hot.record);
    reading::answer(record, hot.snapshot, source, hot.stale.clone())
}

/// Whether an answer satisfies a reader that began at `began` and wants it no older than `max_age`: by its record's
/// age, or by having been loaded as it is for somebody else meanwhile.
fn is_as_fresh(answer: &cache::Answer<HotRecord>, began: Timestamp, max_age: Duration) -> bool {
    let as_of = match answer.value() {
        Some(hot) => hot.record.as_of,
        None => answer.as_of(),
    };
    let age = Duration::try_from(began.duration_since(as_of)).unwrap_or_default();
    age <= max_age
}
