//! Deliveries go out: per webhook one at a time and in order, by one process, from where the last one stopped.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use jiff::Timestamp;
use metrics::counter;
use serde_json::{Value, json};
use store::{
    StoreError,
    changes::{Change, ChangeCursor},
    webhooks::{Errand, Fate, Miss, Parcel, Told, WebhookLease},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::Handed;

use super::{LEASE_MARGIN, Webhooks, envelope, retry::wait_after};
use crate::cli::chain_of;

/// How often it is looked whether anything is to be delivered.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long nothing is tried when the database does not answer.
const AWAY: Duration = Duration::from_secs(5);
/// Webhooks that one process serves at once.
const AT_ONCE_MAX: usize = 16;
/// Deliveries after which another webhook has its turn.
const ROUND_MAX: usize = 50;
/// Changes read at once, and how often so many before what was skipped is noted.
const PAGE: i64 = 1000;
const PAGES_MAX: usize = 20;
/// The most bytes of changes in one delivery; one change alone may be larger.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Gone: the receiver wants nothing more.
const GONE: u16 = 410;

impl Webhooks {
    /// Delivers until `stop`, and then only what is under way. Any number of processes may do so: each webhook is
    /// served by one of them, called `owner`, at a time. A dropped future leaves webhooks to others once their leases
    /// have run out; what was under way is then delivered once more.
    pub async fn keep(&self, owner: &str, stop: &CancellationToken) {
        let mut served = JoinSet::new();
        while !stop.is_cancelled() {
            let wait = match self.take(owner, stop, &mut served).await {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = chain_of(&error),
                        "webhooks are not delivered now; it is tried again"
                    );
                    AWAY
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // There is room for another.
                Some(_) = served.join_next() => {}
            }
        }
        while served.join_next().await.is_some() {}
    }

    async fn take(
        &self,
        owner: &str,
        stop: &CancellationToken,
        served: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        let store = &self.inner.store;
        while served.try_join_next().is_some() {}
        let newest = store.newest_change().await?;
        while served.len() < AT_ONCE_MAX {
            let Some(errand) = store.take_webhook(owner, self.lease(), newest).await? else {
                break;
            };
            let (webhooks, stop) = (self.clone(), stop.clone());
            served.spawn(async move { webhooks.serve(&errand, &stop).await }.boxed());
        }
        Ok(())
    }

    fn lease(&self) -> Duration {
        self.inner.config.timeout.0 + LEASE_MARGIN
    }

    async fn serve(&self, errand: &Errand, stop: &CancellationToken) {
        let lease = errand.lease;
        let done = match self.deliver(lease, stop).await {
            Ok(()) => self.inner.store.put_webhook_down(lease).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            let name = &errand.name;
            tracing::warn!(
                error = chain_of(&error),
                "webhook `{name}` rests until its lease has run out"
            );
        }
    }

    /// Delivers until there is nothing, something failed, it is another's turn, or `stop`.
    async fn deliver(
        &self,
        lease: WebhookLease,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let store = &self.inner.store;
        for _ in 0..ROUND_MAX {
            if stop.is_cancelled() {
                return Ok(());
            }
            let Some(errand) = store.renew_webhook(lease, self.lease()).await? else {
                return Ok(());
            };
            let goes_on = match store.next_parcel(lease).await? {
                Some(parcel) => self.attempt(&errand, &parcel).await?,
                None => self.read_on(&errand).await?,
            };
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes a delivery of the next changes that the webhook is to be told of. Answers whether the feed had any
    /// changes at all.
    async fn read_on(&self, errand: &Errand) -> Result<bool, StoreError> {
        let store = &self.inner.store;
        let mut batch = Batch::new(self.inner.config.batch_max);
        let mut at = errand.cursor;
        for _ in 0..PAGES_MAX {
            let (changes, _) = store.changes_after(at, PAGE).await?;
            let is_end = (changes.len() as i64) < PAGE;
            at = batch.take_in(errand, &changes, at);
            if is_end || batch.is_full {
                break;
            }
        }
        if at == errand.cursor {
            return Ok(false);
        }
        let told = batch.told();
        // When somebody has moved the place meanwhile, the next round begins there.
        store
            .advance_webhook(errand.lease, errand.cursor, at, told.as_ref())
            .await?;
        Ok(true)
    }

    /// Tries once. Answers whether the next delivery may follow.
    async fn attempt(&self, errand: &Errand, parcel: &Parcel) -> Result<bool, StoreError> {
        let store = &self.inner.store;
        let mut changes = parcel.changes.clone();
        // What the scope sees may be less by now than when the delivery was made.
        changes.retain(|change| errand.may_see(change["instance"].as_str().unwrap_or_default()));
        if changes.is_empty() {
            return store.end_delivery(errand.lease, parcel.number, None).await;
        }
        let body = envelope::body(errand, parcel, &changes);
        let now = Timestamp::now();
        let headers = envelope::headers(&errand.keys, &parcel.id, now, &body);
        let handed = self
            .inner
            .courier
            .hand_over(&errand.url, headers, Bytes::from(body), now)
            .await;
        let (miss, asked) = match handed {
            Handed::Over { status } => {
                counter!("webhook_deliveries_total", "outcome" => "delivered").increment(1);
                counter!("webhook_changes_total").increment(changes.len() as u64);
                return store
                    .end_delivery(errand.lease, parcel.number, Some(status))
                    .await;
            }
            Handed::Refused {
                status,
                retry_after,
                message,
            } => {
                let error = format!("it answered {status}: {message}");
                let status = Some(status);
                (Miss { status, error }, retry_after)
            }
            Handed::Away { cause } => (unanswered(cause.to_string()), None),
            Handed::Impossible { reason } => {
                (unanswered(format!("it cannot be called: {reason}")), None)
            }
        };
        counter!("webhook_deliveries_total", "outcome" => "failed").increment(1);
        if miss.status == Some(GONE) {
            self.stop(errand, parcel, &miss).await?;
            return Ok(false);
        }
        self.miss(errand, parcel, &miss, asked).await
    }

    async fn miss(
        &self,
        errand: &Errand,
        parcel: &Parcel,
        miss: &Miss,
        asked: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let (store, config) = (&self.inner.store, &self.inner.config);
        let failed = parcel.attempts + 1;
        let wait = wait_after(
            failed,
            config.backoff_first.0,
            config.backoff_max.0,
            asked,
            rand::random(),
        );
        let fate = store
            .miss_delivery(
                errand.lease,
                parcel.number,
                miss,
                wait,
                failed >= config.attempts,
            )
            .await?;
        let name = &errand.name;
        match fate {
            Some(Fate::Dead) => {
                counter!("webhook_deliveries_total", "outcome" => "dead").increment(1);
                tracing::warn!(
                    webhook.name = name,
                    attempts = failed,
                    error = miss.error,
                    "a delivery to webhook `{name}` is given up; `millpond webhooks replay` sends it again"
                );
                self.tell("webhook:dead", errand, parcel, miss).await?;
            }
            Some(Fate::Stands) => tracing::warn!(
                webhook.name = name,
                error = miss.error,
                "webhook `{name}` has as many dead deliveries as it may: its line stands until one arrives"
            ),
            Some(Fate::Waits) | None => {}
        }
        Ok(fate == Some(Fate::Dead))
    }

    async fn stop(&self, errand: &Errand, parcel: &Parcel, miss: &Miss) -> Result<(), StoreError> {
        let why = format!("its address answered {GONE}: nothing more is wanted there");
        let lease = errand.lease;
        let is_noted = self
            .inner
            .store
            .stop_webhook(lease, parcel.number, miss, &why)
            .await?;
        if is_noted {
            let name = &errand.name;
            tracing::warn!(webhook.name = name, "webhook `{name}` is stopped: {why}");
            self.tell("webhook:stopped", errand, parcel, miss).await?;
        }
        Ok(())
    }

    async fn tell(
        &self,
        event: &str,
        errand: &Errand,
        parcel: &Parcel,
        miss: &Miss,
    ) -> Result<(), StoreError> {
        let data = json!({
            "webhook": errand.name,
            "tenant": errand.tenant,
            "delivery": parcel.id,
            "error": miss.error,
        });
        self.inner.store.tell(event, None, &data).await?;
        Ok(())
    }
}

fn unanswered(error: String) -> Miss {
    Miss {
        status: None,
        error,
    }
}

/// Changes for one delivery.
struct Batch {
    changes: Vec<Value>,
    bytes: usize,
    count_max: usize,
    first_at: Option<Timestamp>,
    last: String,
    is_full: bool,
}

impl Batch {
    fn new(count_max: usize) -> Self {
        Self {
            changes: Vec::new(),
            bytes: 0,
            count_max,
            first_at: None,
            last: String::new(),
            is_full: false,
        }
    }

    /// Takes what `errand` wants of a page that began after `at`, until there is no room. Answers where to go on.
    fn take_in(&mut self, errand: &Errand, page: &[Change], mut at: ChangeCursor) -> ChangeCursor {
        for change in page {
            if errand.wants(&change.resource, &change.instance) && !self.add(change) {
                return at;
            }
            at = change.cursor.parse().unwrap_or(at);
        }
        at
    }

    /// `false`: there is no room for it.
    fn add(&mut self, change: &Change) -> bool {
        let value = serde_json::to_value(change).unwrap_or_default();
        let bytes = self.bytes + value.to_string().len();
        let has_room = self.changes.len() < self.count_max && bytes <= BATCH_BYTES_MAX;
        if !self.changes.is_empty() && !has_room {
            self.is_full = true;
            return false;
        }
        self.bytes = bytes;
        self.first_at.get_or_insert(change.at);
        self.last.clone_from(&change.cursor);
        self.changes.push(value);
        true
    }

    fn told(self) -> Option<Told> {
        Some(Told {
            first_at: self.first_at?,
            last_cursor: self.last,
            changes: self.changes,
        })
    }
}

#[cfg(test)]
mod tests;
