//! Who delivers: one process at a time per webhook, under a lease that runs out by itself.
//!
//! Changes are put into a delivery in the transaction that moves the webhook's place in the feed, so that each is in
//! exactly one, whoever dies when. Whoever lost the lease writes nothing any more.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Postgres, Row, Transaction, postgres::PgRow, types::Json};

use super::{DEAD_MAX, DELIVERED_KEPT, MASTER, ROTATION_OVERLAP, SEES, SigningKey};
use crate::{
    Store,
    changes::ChangeCursor,
    error::{For, Result},
};

/// Letters and digits of a delivery's id.
const ID_CHARS: usize = 24;

/// The right to deliver to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookLease {
    webhook: i64,
    token: i64,
}

/// Who is to be told what, as it was when the lease was last prolonged.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The right to do it.
    pub lease: WebhookLease,
    /// The webhook's name.
    pub name: String,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Where to post.
    pub url: String,
    /// Only changes of these resources.
    pub resources: Option<Vec<String>>,
    /// Only changes in these instances.
    pub instances: Option<Vec<String>>,
    /// The instances that its scope sees; `None`: all.
    pub sees: Option<Vec<String>>,
    /// Up to where the feed is in deliveries.
    pub cursor: ChangeCursor,
    /// What to sign with, the newest first.
    pub keys: Vec<SigningKey>,
}

impl Errand {
    /// Whether the webhook may be told of an instance.
    pub fn may_see(&self, instance: &str) -> bool {
        self.sees
            .as_ref()
            .is_none_or(|sees| sees.iter().any(|name| name == instance))
    }

    /// Whether the webhook is to be told of a resource's changes in an instance.
    pub fn wants(&self, resource: &str, instance: &str) -> bool {
        let among = |names: &Option<Vec<String>>, name: &str| {
            names
                .as_ref()
                .is_none_or(|names| names.iter().any(|known| known == name))
        };
        among(&self.resources, resource)
            && among(&self.instances, instance)
            && self.may_see(instance)
    }
}

/// Changes that are to be told in one delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The changes, each as JSON.
    pub changes: Vec<Value>,
    /// When the first of them came in.
    pub first_at: Timestamp,
    /// Where the last of them stands in the feed.
    pub last_cursor: String,
}

/// A delivery that is to go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// Its number.
    pub number: i64,
    /// What the receiver knows it by.
    pub id: String,
    /// The changes that it tells.
    pub changes: Vec<Value>,
    /// Where the last of them stands in the feed.
    pub last_cursor: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Attempts that failed.
    pub attempts: u32,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// What was answered, if anything was.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: String,
}

/// What became of a delivery whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is tried again.
    Waits,
    /// It was given up, and can be replayed.
    Dead,
    /// It would have been given up, but there are [`DEAD_MAX`] already: it is tried again, and the line stands.
    Stands,
}

fn columns() -> String {
    format!(
        "w.id, w.token, w.name, w.tenant, w.url, w.resources, w.instances, {SEES}, w.tx::text, w.seq, w.secret_number, \
         coalesce(w.rotated_at > clock_timestamp() - {} * interval '1 second', false), \
         (SELECT s.value FROM millpond.secret s WHERE s.name = '{MASTER}')",
        ROTATION_OVERLAP.as_secs()
    )
}

fn errand(row: &PgRow) -> Errand {
    let (webhook, number): (i64, i32) = (row.get(0), row.get(10));
    let tx: String = row.get(8);
    let master: Option<String> = row.get(12);
    let numbers = match row.get(11) {
        true => vec![number, number - 1],
        false => vec![number],
    };
    // Whoever made the webhook made what its secrets are made from.
    let keys = master.map(|master| {
        let keys = numbers
            .into_iter()
            .map(|number| SigningKey::of(&master, webhook, number));
        keys.collect()
    });
    Errand {
        lease: WebhookLease {
            webhook,
            token: row.get(1),
        },
        name: row.get(2),
        tenant: row.get(3),
        url: row.get(4),
        resources: row.get(5),
        instances: row.get(6),
        sees: row.get(7),
        cursor: ChangeCursor::at(tx.parse().unwrap_or_default(), row.get(9)),
        keys: keys.unwrap_or_default(),
    }
}

impl Store {
    /// Takes the webhook that has waited longest for something to be delivered; `None`: none waits. `newest` is the
    /// end of the feed. Without a call of [`Store::renew_webhook`] it is free again after `lease`.
    pub async fn take_webhook(
        &self,
        owner: &str,
        lease: Duration,
        newest: ChangeCursor,
    ) -> Result<Option<Errand>> {
        let (tx, seq) = newest.parts();
        let row = sqlx::query(AssertSqlSafe(format!(
            "UPDATE millpond.webhook w SET lease_owner = $1, token = w.token + 1, \
               lease_until = clock_timestamp() + $2 * interval '1 millisecond' \
             WHERE w.id = (SELECT due.id FROM millpond.webhook due \
               WHERE due.enabled AND due.rests_until <= clock_timestamp() \
                 AND (due.lease_until IS NULL OR due.lease_until < clock_timestamp()) \
                 AND ((due.tx, due.seq) < ($3::text::xid8, $4) \
                   OR EXISTS (SELECT FROM millpond.webhook_delivery d WHERE d.webhook = due.id AND d.state = 'pending')) \
               ORDER BY due.rests_until, due.id LIMIT 1 FOR UPDATE SKIP LOCKED) \
             RETURNING {}",
            columns()
        )))
        .bind(owner)
        .bind(lease.as_millis() as f64)
        .bind(tx.to_string())
        .bind(seq)
        .fetch_optional(self.pool())
        .await
        .to("take a webhook")?;
        Ok(row.as_ref().map(errand))
    }

    /// Prolongs a lease, and says how the webhook is by now; `None`: it was lost, or the webhook is gone or stopped.
    pub async fn renew_webhook(&self, lease: WebhookLease, by: Duration) -> Result<Option<Errand>> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "UPDATE millpond.webhook w SET lease_until = clock_timestamp() + $3 * interval '1 millisecond' \
             WHERE w.id = $1 AND w.token = $2 AND w.enabled RETURNING {}",
            columns()
        )))
        .bind(lease.webhook)
        .bind(lease.token)
        .bind(by.as_millis() as f64)
        .fetch_optional(self.pool())
        .await
        .to("prolong the lease of a webhook")?;
        Ok(row.as_ref().map(errand))
    }

    /// Lets a webhook go: whoever comes next may take it. `rests_until` moves to now, so that others come first.
    pub async fn put_webhook_down(&self, lease: WebhookLease) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.webhook SET lease_owner = NULL, lease_until = NULL, \
               rests_until = greatest(rests_until, clock_timestamp()) WHERE id = $1 AND token = $2",
        )
        .bind(lease.webhook)
        .bind(lease.token)
        .execute(self.pool())
        .await
        .to("put a webhook down")?;
        Ok(())
    }

    /// The delivery that is to go out next.
    pub async fn next_parcel(&self, lease: WebhookLease) -> Result<Option<Parcel>> {
        let row = sqlx::query(
            "SELECT number, id, changes, last_cursor, made_at, attempts FROM millpond.webhook_delivery \
             WHERE webhook = $1 AND state = 'pending' ORDER BY number LIMIT 1",
        )
        .bind(lease.webhook)
        .fetch_optional(self.pool())
        .await
        .to("look for a delivery")?;
        Ok(row.map(|row| {
            let changes: Option<Json<Vec<Value>>> = row.get(2);
            let attempts: i32 = row.get(5);
            Parcel {
                number: row.get(0),
                id: row.get(1),
                changes: changes.map(|Json(changes)| changes).unwrap_or_default(),
                last_cursor: row.get(3),
                made_at: row.get::<jiff_sqlx::Timestamp, _>(4).to_jiff(),
                attempts: attempts.unsigned_abs(),
            }
        }))
    }

    /// Moves a webhook's place in the feed from `from` to `to`, and makes a delivery of what is to be told of the
    /// changes between. `false`: the lease was lost, or somebody has moved the place; nothing happened.
    pub async fn advance_webhook(
        &self,
        lease: WebhookLease,
        from: ChangeCursor,
        to: ChangeCursor,
        told: Option<&Told>,
    ) -> Result<bool> {
        const WHAT: &str = "make a delivery";
        let ((tx_from, seq_from), (tx_to, seq_to)) = (from.parts(), to.parts());
        let mut tx = self.pool().begin().await.to(WHAT)?;
        let moved = sqlx::query(
            "UPDATE millpond.webhook SET tx = $5::text::xid8, seq = $6 \
             WHERE id = $1 AND token = $2 AND tx = $3::text::xid8 AND seq = $4",
        )
        .bind(lease.webhook)
        .bind(lease.token)
        .bind(tx_from.to_string())
        .bind(seq_from)
        .bind(tx_to.to_string())
        .bind(seq_to)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(told) = told {
            let id = Alphanumeric.sample_string(&mut rand::rng(), ID_CHARS);
            sqlx::query(
                "INSERT INTO millpond.webhook_delivery (webhook, id, changes, change_count, first_at, last_cursor) \
                 VALUES ($1, 'msg_' || $2, $3, $4, $5, $6)",
            )
            .bind(lease.webhook)
            .bind(id)
            .bind(Json(&told.changes))
            .bind(i32::try_from(told.changes.len()).unwrap_or(i32::MAX))
            .bind(told.first_at.to_sqlx())
            .bind(&told.last_cursor)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        }
        tx.commit().await.to(WHAT)?;
        Ok(true)
    }

    /// Notes that a delivery has arrived, and forgets old ones; without a `status`, that nothing of it may be told any
    /// more. `false`: the lease was lost, and nothing was noted.
    pub async fn end_delivery(
        &self,
        lease: WebhookLease,
        number: i64,
        status: Option<u16>,
    ) -> Result<bool> {
        const WHAT: &str = "end a delivery";
        let Some(mut tx) = self.hold(lease).await? else {
            return Ok(false);
        };
        sqlx::query(
            "UPDATE millpond.webhook_delivery SET state = CASE WHEN $3::int IS NULL THEN 'withheld' ELSE 'delivered' END, \
               status = $3, error = NULL, changes = NULL, attempts = attempts + CASE WHEN $3::int IS NULL THEN 0 ELSE 1 END, \
               tried_at = CASE WHEN $3::int IS NULL THEN tried_at ELSE clock_timestamp() END, \
               ended_at = clock_timestamp() WHERE webhook = $1 AND number = $2",
        )
        .bind(lease.webhook)
        .bind(number)
        .bind(status.map(i32::from))
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        sqlx::query(
            "DELETE FROM millpond.webhook_delivery WHERE webhook = $1 AND state IN ('delivered', 'withheld') \
               AND number <= (SELECT number FROM millpond.webhook_delivery WHERE webhook = $1 \
                 AND state IN ('delivered', 'withheld') ORDER BY number DESC OFFSET $2 LIMIT 1)",
        )
        .bind(lease.webhook)
        .bind(DELIVERED_KEPT)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        tx.commit().await.to(WHAT)?;
        Ok(true)
    }

    /// Notes that an attempt failed. The webhook then rests for `wait`; with `is_last` the delivery is given up, unless
    /// there are [`DEAD_MAX`] already, and the webhook goes on with the next one. `None`: the lease was lost, and
    /// nothing was noted.
    pub async fn miss_delivery(
        &self,
        lease: WebhookLease,
        number: i64,
        miss: &Miss,
        wait: Duration,
        is_last: bool,
    ) -> Result<Option<Fate>> {
        const WHAT: &str = "note a failed delivery";
        let Some(mut tx) = self.hold(lease).await? else {
            return Ok(None);
        };
        let dead: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM millpond.webhook_delivery WHERE webhook = $1 AND state = 'dead'",
        )
        .bind(lease.webhook)
        .fetch_one(&mut *tx)
        .await
        .to(WHAT)?;
        let fate = match (is_last, dead < DEAD_MAX) {
            (false, _) => Fate::Waits,
            (true, true) => Fate::Dead,
            (true, false) => Fate::Stands,
        };
        note_miss(&mut tx, lease, number, miss, fate == Fate::Dead).await?;
        if fate != Fate::Dead {
            sqlx::query(
                "UPDATE millpond.webhook SET rests_until = clock_timestamp() + $2 * interval '1 millisecond' WHERE id = $1",
            )
            .bind(lease.webhook)
            .bind(wait.as_millis() as f64)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        }
        tx.commit().await.to(WHAT)?;
        Ok(Some(fate))
    }

    /// Notes that an attempt failed, and stops the webhook until somebody enables it: the delivery waits for that.
    /// `false`: the lease was lost, and nothing was noted.
    pub async fn stop_webhook(
        &self,
        lease: WebhookLease,
        number: i64,
        miss: &Miss,
        why: &str,
    ) -> Result<bool> {
        const WHAT: &str = "stop a webhook";
        let Some(mut tx) = self.hold(lease).await? else {
            return Ok(false);
        };
        note_miss(&mut tx, lease, number, miss, false).await?;
        sqlx::query("UPDATE millpond.webhook SET enabled = false, why = $2 WHERE id = $1")
            .bind(lease.webhook)
            .bind(why)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        tx.commit().await.to(WHAT)?;
        Ok(true)
    }

    /// A transaction in which nobody else takes the webhook; `None`: somebody has.
    async fn hold(&self, lease: WebhookLease) -> Result<Option<Transaction<'static, Postgres>>> {
        const WHAT: &str = "hold a webhook";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        let held =
            sqlx::query("SELECT FROM millpond.webhook WHERE id = $1 AND token = $2 FOR UPDATE")
                .bind(lease.webhook)
                .bind(lease.token)
                .fetch_optional(&mut *tx)
                .await
                .to(WHAT)?;
        Ok(held.map(|_| tx))
    }
}

async fn note_miss(
    tx: &mut Transaction<'static, Postgres>,
    lease: WebhookLease,
    number: i64,
    miss: &Miss,
    is_dead: bool,
) -> Result<()> {
    sqlx::query(
        "UPDATE millpond.webhook_delivery SET attempts = attempts + 1, status = $3, error = $4, \
           tried_at = clock_timestamp(), state = CASE WHEN $5 THEN 'dead' ELSE state END, \
           ended_at = CASE WHEN $5 THEN clock_timestamp() END WHERE webhook = $1 AND number = $2",
    )
    .bind(lease.webhook)
    .bind(number)
    .bind(miss.status.map(i32::from))
    .bind(&miss.error)
    .bind(is_dead)
    .execute(&mut **tx)
    .await
    .to("note a failed delivery")?;
    Ok(())
}
