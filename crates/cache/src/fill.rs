//! One load from lease to landing. Runs as a task of its own, so that readers may come and go.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::answer::{Answer, LoadError, Loaded, Source};
use crate::cache::{Cache, Purpose, Seen};
use crate::entry::{self, Entry};
use crate::family::VALUE_BYTES_MAX;
use crate::flight::{Flight, Landing};
use crate::key::Key;
use crate::life::{Life, Window};
use crate::remote::{Acquired, Away, Release, Remote};
use crate::stats::{Reject, count};
use crate::value::Cacheable;

/// First and longest pause between looks at another process's load.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(40));

/// What allows a flight to keep its result.
enum Permit {
    /// The lease in the shared store.
    Lease(String),
    /// This process is the only one that fills the store.
    Own,
    /// Nothing: the store is away or off, or another process took too long.
    None,
}

/// Why a flight does not load.
enum Spared<V> {
    /// The value appeared meanwhile.
    Found(Arc<Entry<V>>, Source),
    /// The process that was loading it failed, and so would we.
    FailedElsewhere,
}

/// Starts the load of `key` as a task.
pub(crate) fn take_off<V, F, L, E>(
    cache: &Cache,
    key: &Key<V>,
    flight: Arc<Flight>,
    purpose: Purpose,
    seen: Seen<V>,
    loader: F,
) where
    V: Cacheable,
    F: FnOnce() -> L + Send + 'static,
    L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let began = cache.inner.flights.next();
    let run = Run {
        cache: cache.clone(),
        key: key.clone(),
        flight,
        purpose,
        seen,
        began,
    };
    tokio::spawn(run.fly(loader));
}

/// Waits until the flight has landed.
pub(crate) async fn arrival<V>(
    landing: &mut watch::Receiver<Option<Landing>>,
    key: &Key<V>,
) -> Landing {
    if let Ok(landing) = landing.wait_for(Option::is_some).await
        && let Some(landing) = landing.as_ref()
    {
        return landing.clone();
    }
    let outcome = Err(LoadError::Stopped {
        key: key.logical().into(),
    });
    Landing {
        outcome,
        began: 0,
        current_at: 0,
    }
}

/// A landing as the answer to one reader.
pub(crate) fn answer<V: Cacheable>(landing: Landing, key: &Key<V>) -> Result<Answer<V>, LoadError> {
    let (entry, source) = landing.outcome?;
    match entry.downcast::<Entry<V>>() {
        Ok(entry) => {
            if source == Source::Stale {
                count(&key.rules.counters.stale_served);
            }
            Ok(Answer { entry, source })
        }
        // Keys of two types never share a name: the registry refuses overlapping families.
        Err(_) => Err(LoadError::Stopped {
            key: key.logical().into(),
        }),
    }
}

struct Run<V: Cacheable> {
    cache: Cache,
    key: Key<V>,
    flight: Arc<Flight>,
    purpose: Purpose,
    seen: Seen<V>,
    began: u64,
}

/// Lands a flight whose task was dropped, so that nobody waits for ever.
impl<V: Cacheable> Drop for Run<V> {
    fn drop(&mut self) {
        self.cache
            .inner
            .flights
            .leave(&self.key.name, &self.flight, 0, || {});
        self.flight.land(Landing {
            outcome: Err(LoadError::Stopped {
                key: self.key.logical().into(),
            }),
            began: self.began,
            current_at: self.began,
        });
    }
}

impl<V: Cacheable> Run<V> {
    async fn fly<F, L, E>(mut self, loader: F)
    where
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let permit = match self.permit().await {
            Ok(permit) => permit,
            Err(spared) => {
                let (key, began) = (self.key.logical().into(), self.began);
                let outcome = match spared {
                    Spared::Found(entry, source) => Ok((entry, source)),
                    Spared::FailedElsewhere => Err(LoadError::FailedElsewhere { key }),
                };
                self.land(outcome, began);
                return;
            }
        };
        let loaded = self.load(&permit, loader).await;
        match loaded {
            Ok(loaded) => self.keep(permit, loaded).await,
            Err(error) => self.stand_in(permit, error).await,
        }
    }

    /// The right to keep the result, or a value that appeared meanwhile.
    async fn permit(&mut self) -> Result<Permit, Spared<V>> {
        let inner = self.cache.inner.clone();
        if self.key.name.is_too_long() {
            return Ok(Permit::None);
        }
        let Some(remote) = &inner.remote else {
            let Some(near) = &inner.near else {
                return Ok(Permit::None);
            };
            if self.purpose == Purpose::Read
                && let Some(entry) = near.get::<V>(self.key.rules.info.size_class, &self.key.name)
                && self.is_usable(&entry)
            {
                return Err(Spared::Found(entry, Source::Memory));
            }
            return Ok(Permit::Own);
        };
        self.lease(remote).await
    }

    fn is_usable(&self, entry: &Entry<V>) -> bool {
        let moment = self.cache.inner.moment();
        entry.is_fresh(moment.uptime)
            && self
                .seen
                .age_max
                .is_none_or(|age_max| entry.is_younger_than(age_max, moment.now))
    }

    /// Gets the lease, waiting for another process that has it, for a while.
    async fn lease(&mut self, remote: &Remote) -> Result<Permit, Spared<V>> {
        let token = format!("{:016x}", rand::random::<u64>());
        let until = Instant::now() + remote.options.lease_wait_max;
        let mut pause = POLL.0;
        let mut waited = false;
        loop {
            // Whatever the store says next, it says after this.
            self.began = self.cache.inner.flights.next();
            let mode = match self.purpose {
                Purpose::Refresh => "force",
                Purpose::Read if self.seen.garbage => "delete",
                // Whoever has an old value to fall back on tries for itself.
                Purpose::Read if waited && self.seen.stale.is_none() => "wait",
                Purpose::Read => "",
            };
            let name = self.key.name.text.clone();
            let header = self.seen.header.clone();
            let request_id = self.seen.request_id.clone();
            let mut patience = self.seen.patience;
            let request_id = request_id.as_deref();
            let acquired = remote
                .acquire(&name, &token, &header, mode, &mut patience, request_id)
                .await;
            self.seen.patience = patience;
            match acquired {
                Err(_) => return Ok(Permit::None),
                Ok(Acquired::Granted) => return Ok(Permit::Lease(token)),
                Ok(Acquired::Failed) => return Err(Spared::FailedElsewhere),
                Ok(Acquired::Value(stored)) => {
                    let cache = self.cache.clone();
                    let empty = stored.is_empty();
                    let opened = cache.open(&self.key, stored, &mut self.seen);
                    match opened {
                        Some(entry) if self.is_usable(&entry) => {
                            return Err(Spared::Found(entry, Source::Shared));
                        }
                        // Nothing to recognise it by the next time round.
                        _ if empty => self.purpose = Purpose::Refresh,
                        Some(entry) => self.seen.stale = Some(entry),
                        None => {}
                    }
                }
                Ok(Acquired::Held) => {
                    waited = true;
                    if Instant::now() >= until {
                        count(&self.key.rules.counters.lease_waits_ended);
                        return Ok(Permit::None);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(POLL.1);
                    // Another process answers for this wait, not the store: patience starts over.
                    self.seen.patience = remote.patience();
                }
            }
        }
    }

    /// Runs the loader in a task of its own, where it may panic, and keeps the lease alive meanwhile.
    async fn load<F, L, E>(&self, permit: &Permit, loader: F) -> Result<Loaded<V>, LoadError>
    where
        F: FnOnce() -> L + Send + 'static,
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let info = &self.key.rules.info;
        let key = || Arc::<str>::from(self.key.logical());
        let begun = Instant::now();
        let work = tokio::spawn(async move { loader().await });
        let _abort = AbortOnDrop(work.abort_handle());
        let work = tokio::time::timeout(info.load_max, work);
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                () = self.renewal(permit) => {}
            }
        };
        let result = match done {
            Ok(Ok(Ok(loaded))) => Ok(loaded),
            Ok(Ok(Err(error))) => Err(LoadError::Failed {
                key: key(),
                source: Arc::from(error.into()),
            }),
            Ok(Err(stopped)) if stopped.is_panic() => Err(LoadError::Panicked { key: key() }),
            Ok(Err(_)) => Err(LoadError::Stopped { key: key() }),
            Err(_) => Err(LoadError::TimedOut {
                key: key(),
                after: info.load_max,
            }),
        };
        self.key
            .rules
            .counters
            .loaded(begun.elapsed(), result.is_err());
        result
    }

    /// Waits for the time to renew the lease, and does it once.
    async fn renewal(&self, permit: &Permit) {
        match (permit, &self.cache.inner.remote) {
            (Permit::Lease(token), Some(remote)) => {
                tokio::time::sleep(remote.options.lease / 3).await;
                // A lease that is gone stays gone; the fill will notice.
                let _ = remote.renew(&self.key.name.text, token).await;
            }
            _ => std::future::pending().await,
        }
    }

    /// Keeps what was loaded, if it may be kept, and lands.
    async fn keep(mut self, permit: Permit, loaded: Loaded<V>) {
        let inner = self.cache.inner.clone();
        let rules = self.key.rules.clone();
        let moment = inner.moment();
        let fate = self.fate(&loaded, moment.now);
        let (window, payload) = match &fate {
            Ok((window, payload)) => (*window, payload.clone()),
            Err(why) => {
                rules.counters.reject(*why);
                let at = loaded
                    .fetched_at
                    .as_millisecond()
                    .min(moment.now.as_millisecond());
                // What was too old on arrival had a life, and it is over.
                let expires_at = at + i64::from(*why == Reject::Expired);
                (
                    Window {
                        fetched_at: at,
                        expires_at,
                        stale_until: expires_at,
                    },
                    None,
                )
            }
        };
        let bytes = payload.as_ref().map_or(0, Bytes::len);
        let version = loaded.version;
        let entry = Arc::new(Entry::new(loaded.value, window, version, bytes, moment));
        let keepable = fate.is_ok();
        let epoch = inner.flights.epoch(self.key.name.hash);
        // Sent before it is known whether the lease still holds: if it does, nobody had invalidated the
        // key at this point, and a reader that came earlier may have the value. One that comes while
        // the reply is under way may not: the key may have been invalidated since.
        let sent = inner.flights.next();
        let confirmed = match (&permit, &inner.remote) {
            (Permit::Lease(token), Some(remote)) => {
                let name = self.key.name.text.clone();
                let mut patience = self.seen.patience;
                let written = if keepable {
                    let stored = entry::encode(payload.as_ref(), &window, version);
                    let until = window.stale_until - moment.now.as_millisecond();
                    let life = Duration::from_millis(until.max(1) as u64);
                    remote
                        .fill(&name, token, &stored, version, life, &mut patience)
                        .await
                } else {
                    // What is not kept must not leave its predecessor behind.
                    remote
                        .release(&name, token, Release::Drop, &mut patience)
                        .await
                };
                if written == Err(Away::Full) {
                    let _ = remote
                        .release(&name, token, Release::Drop, &mut patience)
                        .await;
                }
                match written {
                    Ok(true) if keepable => rules.counters.stored(bytes),
                    Ok(false) if keepable => rules.counters.reject(Reject::Invalidated),
                    Err(_) if keepable => rules.counters.reject(Reject::Store),
                    _ => {}
                }
                written == Ok(true)
            }
            (Permit::Own, _) => true,
            _ => {
                if keepable && (inner.remote.is_some() && !self.key.name.is_too_long()) {
                    rules.counters.reject(Reject::Store);
                }
                false
            }
        };
        self.seen.stale = None;
        let alone = matches!(permit, Permit::Own);
        let current = inner
            .flights
            .leave(&self.key.name, &self.flight, version, || {
                let Some(near) = &inner.near else { return };
                if alone && !keepable {
                    near.remove(&self.key.name.text, self.key.name.hash);
                }
                // In two tiers a copy is only kept if no push came in since the fill went out.
                let unchanged = alone
                    || (confirmed
                        && rules.info.near
                        && inner.flights.epoch(self.key.name.hash) == epoch);
                if keepable && unchanged {
                    near.insert(rules.info.size_class, &self.key.name, entry.clone());
                }
            });
        if alone && keepable {
            if current {
                rules.counters.stored(bytes);
            } else {
                rules.counters.reject(Reject::Invalidated);
            }
        }
        // Who came after the outbox told of a later version must not be given this one.
        let until = self.flight.overtaken_at(version).unwrap_or(u64::MAX);
        let current_at = self.current_at(&permit, confirmed, sent).min(until);
        self.land(Ok((entry, Source::Loader)), current_at);
    }

    /// How long the value is to be kept and what of it, or why not.
    fn fate(
        &self,
        loaded: &Loaded<V>,
        now: jiff::Timestamp,
    ) -> Result<(Window, Option<Bytes>), Reject> {
        let rules = &self.key.rules;
        if self.key.name.is_too_long() {
            return Err(Reject::Key);
        }
        let life = match (&loaded.value, loaded.life) {
            (_, Some(life)) => life,
            (Some(value), None) => rules.ttl.life(value, now),
            (None, None) => rules.info.absent_for.map_or(Life::Never, Life::For),
        };
        let Life::For(life) = life else {
            return Err(Reject::Never);
        };
        let (jitter, stale_for) = (rules.info.jitter, rules.info.stale_for);
        let window = Window::of(
            life,
            loaded.fetched_at,
            now,
            jitter,
            rand::random(),
            stale_for,
        )
        .ok_or(Reject::Expired)?;
        let payload = match &loaded.value {
            Some(value) => Some(value.to_bytes().map_err(|_| Reject::Codec)?),
            None => None,
        };
        if payload
            .as_ref()
            .is_some_and(|payload| payload.len() > VALUE_BYTES_MAX)
        {
            return Err(Reject::Size);
        }
        Ok((window, payload))
    }

    /// Lands a failed load: with the expired entry if it may still be served, and else with the error.
    async fn stand_in(mut self, permit: Permit, error: LoadError) {
        let inner = self.cache.inner.clone();
        let mut patience = self.seen.patience;
        let sent = inner.flights.next();
        let confirmed = match (&permit, &inner.remote) {
            (Permit::Lease(token), Some(remote)) => {
                remote
                    .release(&self.key.name.text, token, Release::Failed, &mut patience)
                    .await
                    == Ok(true)
            }
            (Permit::Own, _) => true,
            _ => false,
        };
        let stale = self
            .seen
            .stale
            .take()
            .filter(|entry| entry.is_kept(inner.clock.uptime()));
        let current = inner.flights.leave(&self.key.name, &self.flight, 0, || {});
        let current_at = self.current_at(&permit, confirmed, sent);
        match stale {
            // Whatever was invalidated meanwhile is gone, not stale.
            Some(entry) if confirmed && current => {
                self.land(Ok((entry, Source::Stale)), current_at);
            }
            _ => self.land(Err(error), current_at),
        }
    }

    /// Until when the result is known to have been current.
    fn current_at(&self, permit: &Permit, confirmed: bool, sent: u64) -> u64 {
        match permit {
            // Whoever comes after an invalidation in this process does not find the flight.
            Permit::Own => u64::MAX,
            Permit::Lease(_) if confirmed => sent,
            _ => self.began,
        }
    }

    fn land(self, outcome: Result<(Arc<Entry<V>>, Source), LoadError>, current_at: u64) {
        self.cache
            .inner
            .flights
            .leave(&self.key.name, &self.flight, 0, || {});
        let outcome = outcome.map(|(entry, source)| (entry as Arc<dyn Any + Send + Sync>, source));
        self.flight.land(Landing {
            outcome,
            began: self.began,
            current_at,
        });
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
