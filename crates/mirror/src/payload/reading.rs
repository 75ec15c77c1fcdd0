//! Reading a record together with its payloads: each as fresh as the connector's rules want it, out of the cache where
//! it is, and at the cost of its own calls where it is not.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use cache::{Loaded, Source};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use serde::Serialize;
use store::{ResourceName, read::RecordRow};
use upstream::{CallError, Class, PayloadKey};

use super::{PayloadKind, fetch};
use crate::{
    Mirror,
    account::Account,
    error::{MirrorError, Result},
    hot::{HotRecord, Origin, loaded, told},
    listing::chain,
    reading::{Calling, ReadAnswer, ReadAsk, WAIT_MAX, answer, patiently},
    spending::Target,
};

/// Payloads of one record that are read at once.
const AT_ONCE_MAX: usize = 6;

/// A payload and where it comes from.
#[derive(Debug, Serialize)]
pub struct PayloadAnswer {
    /// The key of its hot value: `opp:notes:42`.
    pub key: String,
    /// For how long its kind stays fresh, in seconds, for this record now; absent: it is not kept hot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<f64>,
    /// The row, its age and its source: `cache`, `mirror`, or `upstream` when calls were made for this answer.
    #[serde(flatten)]
    pub answer: ReadAnswer,
}

/// A record and the payloads that were asked for.
#[derive(Debug)]
pub struct Detail {
    /// The record.
    pub record: ReadAnswer,
    /// The payloads by the name under which they were asked for; `None`: the record has none of that kind.
    pub payloads: BTreeMap<String, Option<PayloadAnswer>>,
}

/// How a payload is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// How long it stays hot; `None`: it is not kept.
    pub ttl: Option<Duration>,
    /// How old it may be.
    pub age_max: Duration,
    /// Ask upstream whatever the mirror has.
    pub force: bool,
    pub calling: Calling,
    /// Whoever would wait longer than this takes what the mirror has, however old; `None`: nobody does.
    pub patience: Option<Duration>,
}

impl Mirror {
    /// One record with the payloads named in `include` (`notes` for `opportunity_notes`), several at once. Where the
    /// reader does not say how fresh, the connector's rules do, for the record as for each payload; what is not kept
    /// hot is asked for anew.
    ///
    /// `None`: neither the mirror nor upstream has the record. Dropping the future does not stop a load that it began.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; [`MirrorError::Upstream`], perhaps as the
    /// [cause](MirrorError::cause), when a payload was never fetched and upstream does not answer. One that was fetched
    /// before comes marked instead.
    pub async fn read_detail(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        include: &[String],
        ask: ReadAsk,
    ) -> Result<Option<Detail>> {
        let (account, _) = self.find_kind(resource, instance)?;
        let kinds = include
            .iter()
            .map(|name| self.included(account, resource, name))
            .collect::<Result<Vec<_>>>()?;
        let Some(record) = self.read_hot(resource, instance, id, ask).await? else {
            return Ok(None);
        };
        let parent = &record.record;
        if parent.deleted_at.is_some() {
            let none = include.iter().map(|name| (name.clone(), None)).collect();
            let payloads = none;
            return Ok(Some(Detail { record, payloads }));
        }
        let reads: Vec<_> = include
            .iter()
            .zip(kinds)
            .map(|(name, kind)| async move {
                let found = self.read_payload_of(account, kind, parent, ask).await?;
                Ok::<_, MirrorError>((name.clone(), found))
            })
            .collect();
        let payloads = stream::iter(reads)
            .buffer_unordered(AT_ONCE_MAX)
            .try_collect()
            .await?;
        Ok(Some(Detail { record, payloads }))
    }

    pub(super) fn included<'a>(
        &self,
        account: &'a Account,
        resource: &ResourceName,
        name: &str,
    ) -> Result<&'a Arc<PayloadKind>> {
        let is_meant = |kind: &&Arc<PayloadKind>| {
            let payload = &kind.payload;
            kind.parent.name == *resource && (payload.short_name() == name || payload.name == name)
        };
        account.payloads.iter().find(is_meant).ok_or_else(|| {
            let known = account
                .payloads_of(resource)
                .map(|kind| kind.payload.short_name());
            MirrorError::Unknown {
                what: "payload",
                name: name.to_owned(),
                known: known.collect::<Vec<_>>().join(", "),
            }
        })
    }

    async fn read_payload_of(
        &self,
        account: &Account,
        kind: &Arc<PayloadKind>,
        parent: &Arc<RecordRow>,
        ask: ReadAsk,
    ) -> Result<Option<PayloadAnswer>> {
        let Some(key) = kind.key(parent) else {
            return Ok(None);
        };
        let tier = kind.tier(account, parent, Timestamp::now()).await?;
        let (ttl, age_max) = (account.spending.life(tier), account.spending.age_max(tier));
        let wish = Wish {
            ttl,
            age_max: ask.max_age.or(age_max).unwrap_or(Duration::ZERO),
            force: ask.fresh,
            calling: Calling::READER,
            patience: account.spending.patience(ask),
        };
        let found = self.payload_kept(account, kind, parent, &key, wish).await?;
        let found = match found {
            Some(answer) => {
                let target = Target {
                    resource: kind.name.clone(),
                    id: answer.record.id.clone(),
                    record: parent.id.clone(),
                };
                if answer.stale.is_none() {
                    self.by_policy(account, target, answer, ask, Some(tier))
                        .await
                } else {
                    self.note_read(account, &target, &answer);
                    Some(answer)
                }
            }
            None => None,
        };
        Ok(found.map(|answer| PayloadAnswer {
            key: key.logical(&kind.payload.family),
            ttl_secs: ttl.map(|ttl| ttl.as_secs_f64()),
            answer,
        }))
    }

    /// Reads a payload through the cache; with `force` it is fetched anew.
    async fn payload_kept(
        &self,
        account: &Account,
        kind: &Arc<PayloadKind>,
        parent: &Arc<RecordRow>,
        key: &PayloadKey,
        wish: Wish,
    ) -> Result<Option<ReadAnswer>> {
        let (hot, instance) = (self.hot(), account.settings.name.as_str());
        let hot_key = hot.key(&kind.name, instance, &key.row_id());
        let Some(hot_key) = hot_key.filter(|_| !wish.force) else {
            return self.fetch_kept(account, kind, parent, key, wish).await;
        };
        let began = Timestamp::now();
        let loader = || self.payload_loader(instance, kind, parent, key, wish);
        let loading = hot.cache().get_or_load(&hot_key, loader());
        let mut found = if let Some(patience) = wish.patience {
            let copy = async || {
                let (table, id) = (&kind.name, key.row_id());
                let row = account.store.find_record(table, instance, &id, table);
                let row = row.await?.filter(|row| row.deleted_at.is_none());
                Ok(row.map(|row| answer(row, None, "mirror", None)))
            };
            match Box::pin(patiently(patience, loading, copy)).await? {
                Ok(found) => found?,
                Err(copy) => return Ok(Some(copy)),
            }
        } else {
            loading.await?
        };
        let is_too_old = found.value().is_some_and(|hot| {
            let came_now = found.source() == Source::Loader && hot.origin == Origin::Upstream;
            !came_now && hot.stale.is_none() && older_than(began, hot.record.as_of, wish.age_max)
        });
        if is_too_old {
            // It is shared with a record that asks for less.
            found = hot.cache().refresh(&hot_key, loader()).await?;
        }
        let Some(value) = found.value() else {
            return Ok(None);
        };
        if let Some(ttl) = wish.ttl.filter(|_| value.stale.is_none())
            && !account.spending.is_priced()
            && self
                .reads()
                .is_news(&kind.name, instance, &value.record.id, Instant::now())
        {
            self.reads().note(&value.record, &parent.id, ttl);
        }
        Ok(Some(told(&found, value)))
    }

    /// Reads a payload as jobs do: calls first, if they are needed, and then the hot value is replaced. Whoever reads
    /// it meanwhile waits for no call that has to wait itself.
    pub(super) async fn fetch_kept(
        &self,
        account: &Account,
        kind: &Arc<PayloadKind>,
        parent: &Arc<RecordRow>,
        key: &PayloadKey,
        wish: Wish,
    ) -> Result<Option<ReadAnswer>> {
        let (hot, instance) = (self.hot(), account.settings.name.as_str());
        let (row, origin, stale) = self.load_row(account, kind, parent, key, wish).await?;
        let live = row.filter(|row| row.deleted_at.is_none());
        if let Some(hot_key) = hot.key(&kind.name, instance, &key.row_id()) {
            if live.is_some() && stale.is_none() {
                let wish = Wish {
                    age_max: Duration::MAX,
                    force: false,
                    ..wish
                };
                let loader = self.payload_loader(instance, kind, parent, key, wish);
                hot.cache().refresh(&hot_key, loader).await?;
            } else {
                // A store that is away forgets it before it is read again.
                let _ = hot.cache().invalidate([hot_key.name()]).await;
            }
        }
        Ok(live.map(|row| answer(row, None, origin, stale)))
    }

    /// Fetches a payload that is due: its row is older than that, and stays hot for so long.
    pub(crate) async fn payload_due(
        &self,
        account: &Account,
        kind: &Arc<PayloadKind>,
        parent: &Arc<RecordRow>,
        key: &PayloadKey,
        (ttl, age_max): (Option<Duration>, Duration),
    ) -> Result<Option<ReadAnswer>> {
        let wish = Wish {
            ttl,
            age_max,
            force: false,
            calling: Calling::of(Class::Due),
            patience: None,
        };
        self.fetch_kept(account, kind, parent, key, wish).await
    }

    /// The loader of a payload's hot value. Owns all that it needs: it goes on when its reader gives up.
    fn payload_loader(
        &self,
        instance: &str,
        kind: &Arc<PayloadKind>,
        parent: &Arc<RecordRow>,
        key: &PayloadKey,
        wish: Wish,
    ) -> impl FnOnce() -> BoxFuture<'static, Result<Loaded<HotRecord>>> + Send + 'static {
        let (mirror, instance) = (self.clone(), instance.to_owned());
        let (kind, parent, key) = (Arc::clone(kind), Arc::clone(parent), key.clone());
        move || {
            let load = async move {
                let account = mirror.account(&instance)?;
                let began = Timestamp::now();
                let (row, origin, stale) =
                    mirror.load_row(account, &kind, &parent, &key, wish).await?;
                let (as_of, version) = row.as_ref().map_or((began, 0), |row| {
                    (row.as_of, u64::try_from(row.version).unwrap_or_default())
                });
                let live = row.filter(|row| row.deleted_at.is_none());
                Ok(match live {
                    Some(row) => loaded(answer(row, None, origin, stale), Some(wish.ttl), began),
                    None => Loaded::absent(as_of).of_version(version),
                })
            };
            load.boxed()
        }
    }

    /// The mirror's row, fetched anew first when it is older than wished or a write has overtaken it; where it comes
    /// from, and why it is older than wished.
    async fn load_row(
        &self,
        account: &Account,
        kind: &PayloadKind,
        parent: &RecordRow,
        key: &PayloadKey,
        wish: Wish,
    ) -> Result<(Option<RecordRow>, &'static str, Option<String>)> {
        let instance = account.settings.name.as_str();
        let (began, id) = (Timestamp::now(), key.row_id());
        let find = || {
            account
                .store
                .find_record(&kind.name, instance, &id, &kind.name)
        };
        let suits = |row: &RecordRow| {
            !row.outdated && !wish.force && !older_than(began, row.as_of, wish.age_max)
        };
        let found = find().await?;
        if found.as_ref().is_some_and(suits) {
            return Ok((found, "mirror", None));
        }
        let slow = wish.calling.is_slow();
        let flight_key = (kind.name.clone(), instance.to_owned(), id.clone(), slow);
        let flight = self.flights().join(&flight_key);
        let fetched = {
            let _turn = flight.lock().await;
            // Somebody may have fetched it while we waited for our turn.
            let is_new = |row: &RecordRow| row.as_of >= began && !row.outdated && !wish.force;
            match find().await {
                Ok(Some(row)) if suits(&row) || is_new(&row) => Ok(false),
                Ok(_) => {
                    let calls = fetch::fetch(account, kind, parent, key, wish.calling);
                    in_time(account, kind, wish.calling.class, calls)
                        .await
                        .map(|()| true)
                }
                Err(error) => Err(error.into()),
            }
        };
        self.flights().leave(&flight_key);
        let (origin, stale) = match fetched {
            Ok(true) => ("upstream", None),
            Ok(false) => ("mirror", None),
            // Whoever wants it new in any case is told; others get the last row, marked.
            Err(error) if wish.force || found.is_none() => return Err(error),
            Err(error) => ("mirror", Some(chain(&error))),
        };
        Ok((find().await?, origin, stale))
    }
}

impl Wish {
    /// The wish of a job, or of somebody who wants a payload anew that stays hot for `ttl`.
    pub(super) fn anew(class: Class, ttl: Option<Duration>) -> Self {
        Self {
            ttl,
            age_max: Duration::ZERO,
            force: true,
            calling: Calling::of(class),
            patience: None,
        }
    }
}

impl PayloadKind {
    /// How long the payload of this record stays fresh; `None`: it is not kept hot.
    pub async fn ttl(
        &self,
        account: &Account,
        parent: &RecordRow,
        now: Timestamp,
    ) -> Result<Option<Duration>> {
        let tier = self.tier(account, parent, now).await?;
        Ok(account.spending.life(tier))
    }

    /// [`PayloadKind::ttl`] by the TTL tables, whatever the policy.
    pub async fn tier(
        &self,
        account: &Account,
        parent: &RecordRow,
        now: Timestamp,
    ) -> Result<Option<Duration>> {
        match &self.payload.ttl {
            Some(table) => account.tier(table, &self.payload.of, parent, now).await,
            None => Ok(None),
        }
    }
}

/// A person waits no longer than for a record; a job waits its turn.
async fn in_time(
    account: &Account,
    kind: &PayloadKind,
    class: Class,
    calls: impl Future<Output = Result<Option<RecordRow>>>,
) -> Result<()> {
    if class != Class::Read {
        return calls.await.map(drop);
    }
    match tokio::time::timeout(WAIT_MAX, calls).await {
        Ok(done) => done.map(drop),
        Err(_) => Err(MirrorError::Upstream {
            instance: account.settings.name.clone(),
            source: CallError::Throttled {
                call: kind.name.to_string(),
                waited: WAIT_MAX,
                retry_after: WAIT_MAX,
            },
        }),
    }
}

fn older_than(now: Timestamp, as_of: Timestamp, age_max: Duration) -> bool {
    Duration::try_from(now.duration_since(as_of)).unwrap_or_default() > age_max
}
