//! Reading one record as fresh as the reader asks, at the cost of at most one call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use store::{
    ResourceName,
    read::RecordRow,
    records::{FetchMark, Incoming, PageWrite},
    runs::RunCounts,
};
use upstream::{Class, Fetched};

use crate::{
    account::{Account, Kind},
    error::{MirrorError, Result},
    listing::chain,
};

/// A reader waits for upstream this long at the most before it gets what the mirror has.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(45);

/// How fresh an answer should be.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadAsk {
    /// Ask upstream first when the mirror's record is older than this; `None`: any age will do.
    pub max_age: Option<Duration>,
    /// Ask upstream in any case.
    pub fresh: bool,
}

/// For whom calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calling {
    /// The class of the calls.
    pub class: Class,
    /// The run that they count for.
    pub run: Option<i64>,
    /// Whether rows are compared with what upstream says and mended, also where the mirror believes that nothing
    /// changed.
    pub mend: bool,
}

impl Calling {
    /// A person who reads.
    pub const READER: Self = Self::of(Class::Read);

    /// Nobody's run.
    pub const fn of(class: Class) -> Self {
        Self {
            class,
            run: None,
            mend: false,
        }
    }

    /// Whether a reader would wait longer for these calls than for calls of its own.
    pub fn is_slow(self) -> bool {
        self.class > Class::Due
    }
}

/// A record and where it comes from.
#[derive(Debug, Serialize)]
pub struct ReadAnswer {
    /// The record.
    #[serde(flatten)]
    pub record: Arc<RecordRow>,
    /// The newest snapshot when it was read; absent where it stands beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<i64>,
    /// `mirror`, `upstream` when a call was made for this answer, or `cache`.
    pub source: &'static str,
    /// Seconds since upstream was last known to say this.
    pub age_secs: f64,
    /// Why the record is older than asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// Resource, instance and id of a record, and whether the calls may have to wait: nobody who cannot wait joins those.
pub(crate) type FlightKey = (ResourceName, String, String, bool);

/// Fetches under way, so that many who ask for one record share one call.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<FlightKey, Arc<tokio::sync::Mutex<()>>>>);

impl Flights {
    pub(crate) fn join(&self, key: &FlightKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(flights.entry(key.clone()).or_default())
    }

    pub(crate) fn leave(&self, key: &FlightKey) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights
            .get(key)
            .is_some_and(|flight| Arc::strong_count(flight) <= 2)
        {
            flights.remove(key);
        }
    }
}

/// The mirror's record of `account`, whose id is written as the mirror writes it.
pub(crate) async fn peek(account: &Account, kind: &Kind, id: &str) -> Result<Option<ReadAnswer>> {
    let found = find(account, kind, id).await?;
    Ok(found.map(|found| found_in_mirror(found, None)))
}

/// What a load comes to, unless it takes longer than a reader's patience: then `copy`, if there is one that may be
/// given, marked as older than it should be. The load itself must go on without its waiter.
pub(crate) async fn patiently<T>(
    patience: Duration,
    load: impl Future<Output = T>,
    copy: impl AsyncFnOnce() -> Result<Option<ReadAnswer>>,
) -> Result<std::result::Result<T, ReadAnswer>> {
    let mut load = std::pin::pin!(load);
    if let Ok(loaded) = tokio::time::timeout(patience, &mut load).await {
        return Ok(Ok(loaded));
    }
    // What a write has overtaken is nothing to give.
    let copy = copy().await?.filter(|copy| !copy.record.outdated);
    Ok(match copy {
        Some(mut copy) => {
            let why =
                format!("no call was free within {patience:?}; a fresher copy is being fetched");
            copy.stale = Some(why);
            Err(copy)
        }
        None => Ok(load.await),
    })
}

/// Reads a record of `account`, whose id is written as the mirror writes it. The connector's `table` says how fresh it
/// should be besides what the reader asks for; what the table does not keep may be of any age.
pub(crate) async fn read(
    account: &Account,
    flights: &Flights,
    kind: &Kind,
    id: &str,
    ask: ReadAsk,
    table: Option<&str>,
    calling: Calling,
) -> Result<Option<ReadAnswer>> {
    let wish = Wish {
        asked: Timestamp::now(),
        ask,
        table,
    };
    let found = find(account, kind, id).await?;
    if let Some(found) = found
        && wish.is_met_by(account, kind, &found.0).await?
    {
        return Ok(Some(found_in_mirror(found, None)));
    }
    if kind.resource.get.is_none() {
        let stale = format!(
            "{} cannot be fetched one by one; its listing brings it",
            kind.name
        );
        return Ok(find(account, kind, id)
            .await?
            .map(|found| found_in_mirror(found, Some(stale))));
    }

    let key = (
        kind.name.clone(),
        account.settings.name.clone(),
        id.to_owned(),
        calling.is_slow(),
    );
    let flight = flights.join(&key);
    let result = {
        let _turn = flight.lock().await;
        refresh(account, kind, id, &wish, calling).await
    };
    flights.leave(&key);
    let failure = match result {
        Ok(answer) => return Ok(answer),
        Err(failure) => failure,
    };
    // Upstream does not answer: the last row, marked, is better than none.
    match find(account, kind, id).await? {
        Some(found) => Ok(Some(found_in_mirror(found, Some(chain(&failure))))),
        None => Err(failure),
    }
}

async fn refresh(
    account: &Account,
    kind: &Kind,
    id: &str,
    wish: &Wish<'_>,
    calling: Calling,
) -> Result<Option<ReadAnswer>> {
    // Somebody may have fetched it while we waited for our turn.
    if let Some(found) = find(account, kind, id).await?
        && ((found.0.as_of >= wish.asked && !found.0.outdated)
            || wish.is_met_by(account, kind, &found.0).await?)
    {
        return Ok(Some(found_in_mirror(found, None)));
    }
    let instance = account.settings.name.as_str();
    let failed = |source| MirrorError::Upstream {
        instance: instance.to_owned(),
        source,
    };
    let call = account.client.get_record(&kind.resource, id, calling.class);
    let fetched = tokio::time::timeout(WAIT_MAX, call)
        .await
        .unwrap_or_else(|_| {
            Err(upstream::CallError::Throttled {
                call: kind.name.to_string(),
                waited: WAIT_MAX,
                retry_after: WAIT_MAX,
            })
        });
    write_fetched(account, kind, id, fetched.map_err(failed)?, calling).await?;
    Ok(find(account, kind, id)
        .await?
        .map(|(record, snapshot)| answer(record, snapshot, "upstream", None)))
}

/// Writes what a fetch of one record found.
pub(crate) async fn write_fetched(
    account: &Account,
    kind: &Kind,
    id: &str,
    fetched: Fetched,
    calling: Calling,
) -> Result<()> {
    let instance = account.settings.name.as_str();
    let run = calling.run;
    let mut counts = RunCounts::default();
    match fetched {
        Fetched::Found(record, meta) => {
            let (records, refused) = kind.incoming(vec![record], meta.asked_at);
            for refused in &refused {
                account
                    .store
                    .quarantine(&kind.name, instance, refused, run)
                    .await?;
            }
            let mark = FetchMark {
                id: id.to_owned(),
                asked_at: meta.asked_at,
                fetched_at: meta.answered_at,
                signature: None,
                generation: None,
            };
            if calling.mend {
                account.mend(&kind.name, &records).await?;
            }
            counts.calls += i64::from(meta.attempt);
            let children = kind.child_specs(Class::Event);
            let page = PageWrite {
                resource: &kind.name,
                instance,
                run,
                records,
                likely_new: false,
                children: &children,
                fetches: vec![mark],
                progress: None,
            };
            counts.wrote(&account.store.write_page(page).await?);
        }
        Fetched::Missing(meta) => {
            let ids = [id.to_owned()];
            let dependents = account.dependents(kind);
            counts.calls += i64::from(meta.attempt);
            let gone = account
                .store
                .tombstone(&kind.name, instance, &ids, meta.asked_at, run, &dependents)
                .await?;
            counts.deleted += i64::try_from(gone).unwrap_or(i64::MAX);
        }
    }
    account.count(run, counts).await
}

impl Account {
    /// Counts what was done for a run.
    pub async fn count(&self, run: Option<i64>, counts: RunCounts) -> Result<()> {
        if let Some(run) = run {
            self.store.add_to_run(run, counts, None).await?;
        }
        Ok(())
    }

    /// Sees to it that records are written whose rows say something else, whatever their hashes.
    pub async fn mend(&self, resource: &ResourceName, records: &[Incoming]) -> Result<()> {
        let instance = self.settings.name.as_str();
        let (_, differing) = self.store.compare(resource, instance, records).await?;
        if !differing.is_empty() {
            self.store.distrust(resource, instance, &differing).await?;
        }
        Ok(())
    }
}

/// The row, and the newest snapshot when it was read.
async fn find(account: &Account, kind: &Kind, id: &str) -> Result<Option<(RecordRow, i64)>> {
    Ok(account
        .store
        .read_record(&kind.name, &account.settings.name, id, &kind.feed)
        .await?)
}

/// How fresh a record must be for one reader.
struct Wish<'a> {
    asked: Timestamp,
    ask: ReadAsk,
    table: Option<&'a str>,
}

impl Wish<'_> {
    async fn is_met_by(&self, account: &Account, kind: &Kind, record: &RecordRow) -> Result<bool> {
        let age = Duration::try_from(self.asked.duration_since(record.as_of)).unwrap_or_default();
        let is_asked_for = !self.ask.fresh
            && !record.outdated
            && self.ask.max_age.is_none_or(|max_age| age <= max_age);
        let (true, Some(table)) = (is_asked_for, self.table) else {
            return Ok(is_asked_for);
        };
        let of = &kind.resource.name;
        let tier = account.tier(table, of, record, self.asked).await?;
        let age_max = account.spending.age_max(tier);
        Ok(age_max.is_none_or(|age_max| age <= age_max))
    }
}

fn found_in_mirror((record, snapshot): (RecordRow, i64), stale: Option<String>) -> ReadAnswer {
    answer(record, snapshot, "mirror", stale)
}

pub(crate) fn answer(
    record: impl Into<Arc<RecordRow>>,
    snapshot: impl Into<Option<i64>>,
    source: &'static str,
    stale: Option<String>,
) -> ReadAnswer {
    let record = record.into();
    let age_secs = Timestamp::now()
        .duration_since(record.as_of)
        .as_secs_f64()
        .max(0.0);
    ReadAnswer {
        record,
        snapshot: snapshot.into(),
        source,
        age_secs,
        stale,
    }
}
