//! Who is told of changes over HTTP: webhooks, each with a place of its own in the feed.

mod delivery;
mod errand;

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use sha2::Sha256;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

pub use delivery::Delivery;
pub use errand::{Errand, Fate, Miss, Parcel, Told, WebhookLease};

use crate::{
    Store, StoreError,
    changes::ChangeCursor,
    error::{For, Result, sqlstate, written},
};

/// The most webhooks of a tenant, and of the operators.
pub const WEBHOOKS_MAX: i64 = 100;
/// The most dead deliveries of a webhook. With so many, the next one stays at the head of the line and is tried again
/// until it arrives.
pub const DEAD_MAX: i64 = 1000;
/// So many deliveries that arrived are kept per webhook, to be looked at.
pub const DELIVERED_KEPT: i64 = 100;
/// For so long after a rotation the former secret signs too.
pub const ROTATION_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// What secrets are made from, in `millpond.secret`.
const MASTER: &str = "webhook_key";

/// What a webhook's deliveries are signed with: 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// The bytes. Whoever knows them can sign.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(master: &str, webhook: i64, number: i32) -> Self {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(master.as_bytes())
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(format!("webhook {webhook} {number}").as_bytes());
        Self(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A webhook as lists show it. What signs is not among it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Webhook {
    /// Its number in the database.
    #[serde(skip)]
    pub id: i64,
    /// Its name, one of its kind in its tenant.
    pub name: String,
    /// Its tenant; absent: the operators'.
    pub tenant: Option<String>,
    /// The one project whose instances it is told of.
    pub project: Option<String>,
    /// Where deliveries are posted.
    pub url: String,
    /// Only changes of these resources; absent: of all.
    pub resources: Option<Vec<String>>,
    /// Only changes in these instances; absent: in all that its scope sees.
    pub instances: Option<Vec<String>>,
    /// Whether it is told anything now.
    pub enabled: bool,
    /// Why it was stopped by itself.
    pub why: Option<String>,
    /// Up to where the feed of changes is in deliveries.
    pub cursor: String,
    /// Changes up to then were forgotten before they could be told.
    pub missed_before: Option<Timestamp>,
    /// Deliveries on their way.
    pub pending: i64,
    /// Deliveries that were given up; they can be replayed.
    pub dead: i64,
    /// Age of the oldest change that was not told yet, in seconds; 0: there is none.
    pub lag_secs: f64,
    /// When its secret was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by somebody.
    pub changed_at: Timestamp,
}

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its name: lower-case letters, digits and hyphens, at most 64.
    pub name: String,
    /// Its tenant; `None`: the operators'.
    pub tenant: Option<String>,
    /// The one project whose instances it is told of.
    pub project: Option<String>,
    /// Where deliveries are posted.
    pub url: String,
    /// Only changes of these resources.
    pub resources: Option<Vec<String>>,
    /// Only changes in these instances.
    pub instances: Option<Vec<String>>,
    /// Changes after this place are told; `None`: those that come in from now on.
    pub after: Option<ChangeCursor>,
}

/// What is to change of a webhook; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where deliveries are posted.
    pub url: Option<String>,
    /// Only changes of these resources; `Some(None)`: of all.
    pub resources: Option<Option<Vec<String>>>,
    /// Only changes in these instances; `Some(None)`: in all.
    pub instances: Option<Option<Vec<String>>>,
    /// Whether it is told anything.
    pub enabled: Option<bool>,
}

/// All webhooks together, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WebhookTotals {
    /// Those that are told of changes.
    pub enabled: i64,
    /// Those that were stopped, by somebody or by themselves.
    pub stopped: i64,
    /// Deliveries on their way.
    pub pending: i64,
    /// Deliveries that were given up.
    pub dead: i64,
    /// Age of the oldest change that an enabled one was not told yet, in seconds.
    pub lag_secs: f64,
}

/// Seconds since the oldest change that `w` was not told.
const LAG: &str = "coalesce(extract(epoch FROM clock_timestamp() - least( \
    (SELECT d.first_at FROM millpond.webhook_delivery d WHERE d.webhook = w.id AND d.state = 'pending' \
      ORDER BY d.number LIMIT 1), \
    (SELECT c.at FROM millpond.change c WHERE (c.tx, c.seq) > (w.tx, w.seq) ORDER BY c.tx, c.seq LIMIT 1))), 0)::float8";
/// Deliveries of `w` in a state.
const PENDING: &str = "(SELECT count(*) FROM millpond.webhook_delivery d WHERE d.webhook = w.id AND d.state = 'pending')";
const DEAD: &str = "(SELECT count(*) FROM millpond.webhook_delivery d WHERE d.webhook = w.id AND d.state = 'dead')";
/// The instances that the scope of `w` sees; NULL: all.
const SEES: &str = "CASE WHEN w.tenant IS NOT NULL THEN ARRAY( \
    SELECT i.instance FROM millpond.tenant_instance i \
      LEFT JOIN millpond.project p ON p.tenant = w.tenant AND p.id = w.project \
     WHERE i.tenant = w.tenant AND (p.instances IS NULL OR i.instance = ANY (p.instances))) END";

fn columns() -> String {
    format!(
        "w.id, w.name, w.tenant, w.project, w.url, w.resources, w.instances, w.enabled, w.why, w.tx || '-' || w.seq, \
         w.missed_before, {PENDING}, {DEAD}, {LAG}, w.rotated_at, w.created_at, w.changed_at"
    )
}

fn webhook(row: &PgRow) -> Webhook {
    let time = |place: usize| row.get::<jiff_sqlx::Timestamp, _>(place).to_jiff();
    let time_or = |place: usize| {
        let at: Option<jiff_sqlx::Timestamp> = row.get(place);
        at.map(|at| at.to_jiff())
    };
    Webhook {
        id: row.get(0),
        name: row.get(1),
        tenant: row.get(2),
        project: row.get(3),
        url: row.get(4),
        resources: row.get(5),
        instances: row.get(6),
        enabled: row.get(7),
        why: row.get(8),
        cursor: row.get(9),
        missed_before: time_or(10),
        pending: row.get(11),
        dead: row.get(12),
        lag_secs: row.get(13),
        rotated_at: time_or(14),
        created_at: time(15),
        changed_at: time(16),
    }
}

fn unknown(name: &str) -> StoreError {
    StoreError::Unknown {
        what: "webhook",
        name: name.chars().take(80).collect(),
    }
}

impl Store {
    /// Makes a webhook, and what it signs with. That can be had again by nobody but who delivers.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] for a name that is taken; [`StoreError::Unknown`] for a tenant, project, resource or
    /// instance that is not there, or not for the scope to see; [`StoreError::Full`] when there are [`WEBHOOKS_MAX`].
    pub async fn create_webhook(&self, new: &NewWebhook) -> Result<(Webhook, SigningKey)> {
        const WHAT: &str = "make a webhook";
        let master = self.own_secret(MASTER).await?;
        let from = match new.after {
            Some(place) => place,
            None => self.newest_change().await?,
        };
        let (tx_number, seq) = from.parts();
        let mut tx = self.pool().begin().await.to(WHAT)?;
        // The lock makes the count exact.
        let owner = new.tenant.as_deref().unwrap_or_default();
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('millpond.webhook:' || $1, 0))")
            .bind(owner)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM millpond.webhook WHERE owner = $1")
                .bind(owner)
                .fetch_one(&mut *tx)
                .await
                .to(WHAT)?;
        if count >= WEBHOOKS_MAX {
            return Err(StoreError::Full {
                what: "webhooks",
                most: WEBHOOKS_MAX,
            });
        }
        let made = sqlx::query_scalar(
            "INSERT INTO millpond.webhook (tenant, project, name, url, resources, instances, tx, seq) \
             VALUES ($1, $2, $3, $4, $5, $6, $7::text::xid8, $8) RETURNING id",
        )
        .bind(&new.tenant)
        .bind(&new.project)
        .bind(&new.name)
        .bind(&new.url)
        .bind(&new.resources)
        .bind(&new.instances)
        .bind(tx_number.to_string())
        .bind(seq)
        .fetch_one(&mut *tx)
        .await;
        if let Err(error) = &made
            && sqlstate(error).as_deref() == Some("23503")
        {
            let (what, name) = match &new.project {
                Some(project) => ("project", project.as_str()),
                None => ("tenant", owner),
            };
            return Err(StoreError::Unknown {
                what,
                name: name.chars().take(80).collect(),
            });
        }
        let id: i64 = written(made, "webhook", &new.name)?;
        check_wishes(&mut tx, id).await?;
        let row = by_id(&mut tx, id).await?;
        tx.commit().await.to(WHAT)?;
        Ok((row, SigningKey::of(&master, id, 1)))
    }

    /// The webhooks of a tenant, or (`None`) the operators'; by name.
    pub async fn webhooks(&self, tenant: Option<&str>) -> Result<Vec<Webhook>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {} FROM millpond.webhook w WHERE w.owner = $1 ORDER BY w.name",
            columns()
        )))
        .bind(tenant.unwrap_or_default())
        .fetch_all(self.pool())
        .await
        .to("list webhooks")?;
        Ok(rows.iter().map(webhook).collect())
    }

    /// One webhook of a tenant, or the operators'.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn load_webhook(&self, tenant: Option<&str>, name: &str) -> Result<Webhook> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {} FROM millpond.webhook w WHERE w.owner = $1 AND w.name = $2",
            columns()
        )))
        .bind(tenant.unwrap_or_default())
        .bind(name)
        .fetch_optional(self.pool())
        .await
        .to("read a webhook")?;
        row.as_ref().map(webhook).ok_or_else(|| unknown(name))
    }

    /// Changes a webhook. Enabling it, or giving it another address, tries what is on its way again at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such webhook, or it would be told of a resource or instance that is
    /// not there.
    pub async fn change_webhook(
        &self,
        tenant: Option<&str>,
        name: &str,
        change: &WebhookChange,
    ) -> Result<Webhook> {
        const WHAT: &str = "change a webhook";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        let changed = sqlx::query_scalar(
            "UPDATE millpond.webhook SET url = coalesce($3, url), \
               resources = CASE WHEN $4 THEN $5 ELSE resources END, \
               instances = CASE WHEN $6 THEN $7 ELSE instances END, \
               enabled = coalesce($8, enabled), why = CASE WHEN $8 IS NULL THEN why END, \
               rests_until = clock_timestamp(), changed_at = clock_timestamp() \
             WHERE owner = $1 AND name = $2 RETURNING id",
        )
        .bind(tenant.unwrap_or_default())
        .bind(name)
        .bind(&change.url)
        .bind(change.resources.is_some())
        .bind(change.resources.as_ref().and_then(Option::as_ref))
        .bind(change.instances.is_some())
        .bind(change.instances.as_ref().and_then(Option::as_ref))
        .bind(change.enabled)
        .fetch_optional(&mut *tx)
        .await;
        let id: i64 = written(changed, "webhook", name)?.ok_or_else(|| unknown(name))?;
        if change.enabled == Some(true) || change.url.is_some() {
            sqlx::query(
                "UPDATE millpond.webhook_delivery SET attempts = 0 WHERE webhook = $1 AND state = 'pending'",
            )
            .bind(id)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        }
        if change.resources.is_some() || change.instances.is_some() {
            check_wishes(&mut tx, id).await?;
        }
        let row = by_id(&mut tx, id).await?;
        tx.commit().await.to(WHAT)?;
        Ok(row)
    }

    /// Deletes a webhook with its deliveries. One that is on its way now may still arrive.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn delete_webhook(&self, tenant: Option<&str>, name: &str) -> Result<()> {
        let done = sqlx::query("DELETE FROM millpond.webhook WHERE owner = $1 AND name = $2")
            .bind(tenant.unwrap_or_default())
            .bind(name)
            .execute(self.pool())
            .await
            .to("delete a webhook")?;
        match done.rows_affected() {
            0 => Err(unknown(name)),
            _ => Ok(()),
        }
    }

    /// Gives a webhook another secret. For [`ROTATION_OVERLAP`] the one before signs too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn rotate_webhook(
        &self,
        tenant: Option<&str>,
        name: &str,
    ) -> Result<(Webhook, SigningKey)> {
        let master = self.own_secret(MASTER).await?;
        let number: Option<i32> = sqlx::query_scalar(
            "UPDATE millpond.webhook SET secret_number = secret_number + 1, rotated_at = clock_timestamp(), \
               changed_at = clock_timestamp() WHERE owner = $1 AND name = $2 RETURNING secret_number",
        )
        .bind(tenant.unwrap_or_default())
        .bind(name)
        .fetch_optional(self.pool())
        .await
        .to("rotate the secret of a webhook")?;
        let number = number.ok_or_else(|| unknown(name))?;
        let row = self.load_webhook(tenant, name).await?;
        let key = SigningKey::of(&master, row.id, number);
        Ok((row, key))
    }

    /// All webhooks together.
    pub async fn webhook_totals(&self) -> Result<WebhookTotals> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT count(*) FILTER (WHERE w.enabled), count(*) FILTER (WHERE NOT w.enabled), \
               coalesce(sum({PENDING}), 0)::bigint, coalesce(sum({DEAD}), 0)::bigint, \
               coalesce(max({LAG}) FILTER (WHERE w.enabled), 0)::float8 FROM millpond.webhook w"
        )))
        .fetch_one(self.pool())
        .await
        .to("count webhooks")?;
        Ok(WebhookTotals {
            enabled: row.get(0),
            stopped: row.get(1),
            pending: row.get(2),
            dead: row.get(3),
            lag_secs: row.get(4),
        })
    }

    /// The place in the feed before the first change that came in at `since` or later; its end when there is none.
    pub async fn cursor_at(&self, since: Timestamp) -> Result<ChangeCursor> {
        let first = sqlx::query(
            "SELECT tx::text, seq FROM millpond.change WHERE at >= $1 ORDER BY change.tx, change.seq LIMIT 1",
        )
        .bind(since.to_sqlx())
        .fetch_optional(self.pool())
        .await
        .to("find a time in the changes")?;
        let Some(row) = first else {
            return self.newest_change().await;
        };
        let tx: String = row.get(0);
        let seq: i64 = row.get(1);
        Ok(ChangeCursor::at(tx.parse().unwrap_or_default(), seq - 1))
    }
}

async fn by_id(tx: &mut PgConnection, id: i64) -> Result<Webhook> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT {} FROM millpond.webhook w WHERE w.id = $1",
        columns()
    )))
    .bind(id)
    .fetch_one(tx)
    .await
    .to("read a webhook")?;
    Ok(webhook(&row))
}

/// Refuses a webhook that wants to be told of what is not there, or what its scope does not see.
async fn check_wishes(tx: &mut PgConnection, id: i64) -> Result<()> {
    const WHAT: &str = "see what a webhook is told of";
    let resource: Option<String> = sqlx::query_scalar(
        "SELECT r FROM millpond.webhook w, unnest(w.resources) r WHERE w.id = $1 AND NOT EXISTS ( \
           SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE i.inhparent = 'millpond.record'::regclass AND n.nspname || '.' || c.relname = r) LIMIT 1",
    )
    .bind(id)
    .fetch_optional(&mut *tx)
    .await
    .to(WHAT)?;
    let instance: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT i FROM millpond.webhook w, unnest(w.instances) i WHERE w.id = $1 AND ( \
           NOT EXISTS (SELECT FROM millpond.instance known WHERE known.name = i) OR NOT coalesce(i = ANY ({SEES}), true)) \
         LIMIT 1"
    )))
    .bind(id)
    .fetch_optional(&mut *tx)
    .await
    .to(WHAT)?;
    for (what, name) in [("resource", resource), ("instance", instance)] {
        if let Some(name) = name {
            return Err(StoreError::Unknown {
                what,
                name: name.chars().take(80).collect(),
            });
        }
    }
    Ok(())
}
