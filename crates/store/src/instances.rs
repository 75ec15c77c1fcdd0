//! Instances and their connections, as the database knows them. Secrets are references here, never values.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow, types::Json};

use crate::{
    Store, StoreError,
    error::{For, Result},
};

/// A connection that a command added is not used for so long: running processes look for new secrets more often.
const NEW_WAIT: Duration = Duration::from_secs(4);

/// An account of an upstream.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Instance {
    /// Its name: `cin7-au`.
    pub name: String,
    /// Its connector.
    pub connector: String,
    /// The currency of its books.
    pub currency: Option<String>,
    /// The currency in which its money is reported.
    pub reporting: Option<String>,
    /// Whether a person stopped all its jobs.
    pub paused: bool,
}

/// How many calls a connection may make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq)]
pub struct CallLimit {
    /// Calls in any window.
    pub calls: u32,
    /// The window.
    pub window: Duration,
}

/// A connection to be made or updated.
#[derive(Debug, Clone)]
pub struct ConnectionSpec {
    /// Its instance.
    pub instance: String,
    /// Its name within the instance.
    pub name: String,
    /// Name of each secret and where it is found: `env:NAME`, `file:PATH`.
    pub secrets: BTreeMap<String, String>,
    /// Its limit; `None`: as many as the upstream answers.
    pub limit: Option<CallLimit>,
    /// The share of the limit that is ours, above 0 up to 1.
    pub share: f32,
    /// Whether a command added it; configuration leaves such a connection alone.
    pub by_command: bool,
}

/// A connection's row.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionRow {
    /// Its instance.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// Where its secrets are found.
    pub secrets: BTreeMap<String, String>,
    /// Calls in any window; `None`: no limit.
    pub calls: Option<i32>,
    /// The window in milliseconds.
    pub window_ms: i64,
    /// The share of the limit that is ours.
    pub share: f32,
    /// The share that throttling has left us.
    pub learned: f32,
    /// Whether it may be used.
    pub enabled: bool,
    /// `config` or `command`.
    pub added_by: String,
    /// Throttled until then.
    pub parked_until: Option<Timestamp>,
    /// Since when it is set aside, because upstream refused its credentials.
    pub set_aside_at: Option<Timestamp>,
    /// What upstream said.
    pub set_aside_why: Option<String>,
    /// Calls made or under way in the current window.
    pub in_window: i64,
}

fn connection(row: &PgRow) -> ConnectionRow {
    let time = |at: Option<jiff_sqlx::Timestamp>| at.map(|at| at.to_jiff());
    ConnectionRow {
        instance: row.get(0),
        name: row.get(1),
        secrets: row.get::<Json<BTreeMap<String, String>>, _>(2).0,
        calls: row.get(3),
        window_ms: row.get(4),
        share: row.get(5),
        learned: row.get(6),
        enabled: row.get(7),
        added_by: row.get(8),
        parked_until: time(row.get(9)),
        set_aside_at: time(row.get(10)),
        set_aside_why: row.get(11),
        in_window: row.get(12),
    }
}

impl Store {
    /// Makes or updates an instance. A pause set by a person stays.
    pub async fn save_instance(&self, instance: &Instance) -> Result<()> {
        sqlx::query(
            "INSERT INTO millpond.instance AS i (name, connector, currency, reporting) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET connector = excluded.connector, currency = excluded.currency, \
               reporting = excluded.reporting",
        )
        .bind(&instance.name)
        .bind(&instance.connector)
        .bind(&instance.currency)
        .bind(&instance.reporting)
        .execute(self.pool())
        .await
        .to("save an instance")?;
        Ok(())
    }

    /// All instances, by name.
    pub async fn instances(&self) -> Result<Vec<Instance>> {
        let rows = sqlx::query("SELECT name, connector, currency, reporting, paused FROM millpond.instance ORDER BY name")
            .fetch_all(self.pool())
            .await
            .to("list instances")?;
        Ok(rows
            .iter()
            .map(|row| Instance {
                name: row.get(0),
                connector: row.get(1),
                currency: row.get(2),
                reporting: row.get(3),
                paused: row.get(4),
            })
            .collect())
    }

    /// Stops or resumes all jobs of an instance.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such instance.
    pub async fn pause_instance(&self, name: &str, paused: bool) -> Result<()> {
        let done = sqlx::query("UPDATE millpond.instance SET paused = $2 WHERE name = $1")
            .bind(name)
            .bind(paused)
            .execute(self.pool())
            .await
            .to("pause an instance")?;
        if done.rows_affected() == 0 {
            Err(StoreError::Unknown {
                what: "instance",
                name: name.to_owned(),
            })
        } else {
            Ok(())
        }
    }

    /// Makes or updates a connection. One whose secrets a command brought is used a few seconds later, when every
    /// running process has taken note of them.
    pub async fn save_connection(&self, spec: &ConnectionSpec) -> Result<()> {
        sqlx::query(
            "INSERT INTO millpond.connection AS c (instance, name, secrets, calls, window_ms, share, added_by, parked_until, parked_why) \
             VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN 'command' ELSE 'config' END, \
               CASE WHEN $7 THEN clock_timestamp() + $8 * interval '1 millisecond' END, CASE WHEN $7 THEN 'new' END) \
             ON CONFLICT (instance, name) DO UPDATE SET \
               parked_until = CASE WHEN c.secrets = excluded.secrets THEN c.parked_until ELSE excluded.parked_until END, \
               set_aside_at = CASE WHEN c.secrets = excluded.secrets THEN c.set_aside_at END, \
               secrets = excluded.secrets, calls = excluded.calls, window_ms = excluded.window_ms, \
               share = excluded.share, added_by = excluded.added_by",
        )
        .bind(&spec.instance)
        .bind(&spec.name)
        .bind(Json(&spec.secrets))
        .bind(spec.limit.map(|limit| i32::try_from(limit.calls).unwrap_or(i32::MAX)))
        .bind(spec.limit.map_or(60_000, |limit| i64::try_from(limit.window.as_millis()).unwrap_or(i64::MAX)))
        .bind(spec.share)
        .bind(spec.by_command)
        .bind(NEW_WAIT.as_millis() as f64)
        .execute(self.pool())
        .await
        .to("save a connection")?;
        Ok(())
    }

    /// Removes those connections of `instance` that configuration once made and no longer names.
    pub async fn drop_unconfigured(&self, instance: &str, kept: &[String]) -> Result<u64> {
        let done = sqlx::query(
            "DELETE FROM millpond.connection WHERE instance = $1 AND added_by = 'config' AND NOT name = ANY($2)",
        )
        .bind(instance)
        .bind(kept)
        .execute(self.pool())
        .await
        .to("remove connections")?;
        Ok(done.rows_affected())
    }

    /// The connections of `instance`, or of all.
    pub async fn connections(&self, instance: Option<&str>) -> Result<Vec<ConnectionRow>> {
        let rows = sqlx::query(
            "SELECT instance, name, secrets, calls, window_ms, share, learned, enabled, added_by, parked_until, \
               set_aside_at, set_aside_why, \
               (SELECT count(*) FROM millpond.budget_slot s WHERE s.instance = c.instance AND s.connection = c.name \
                  AND s.free_at > clock_timestamp()) \
             FROM millpond.connection c WHERE $1::text IS NULL OR instance = $1 ORDER BY instance, name",
        )
        .bind(instance)
        .fetch_all(self.pool())
        .await
        .to("list connections")?;
        Ok(rows.iter().map(connection).collect())
    }

    /// Enables or disables a connection while everything runs. Enabling also ends a set-aside.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn enable_connection(&self, instance: &str, name: &str, enabled: bool) -> Result<()> {
        let done = sqlx::query(
            "UPDATE millpond.connection SET enabled = $3, \
               set_aside_at = CASE WHEN $3 THEN NULL ELSE set_aside_at END, \
               parked_until = CASE WHEN $3 THEN NULL ELSE parked_until END \
             WHERE instance = $1 AND name = $2",
        )
        .bind(instance)
        .bind(name)
        .bind(enabled)
        .execute(self.pool())
        .await
        .to("enable a connection")?;
        known(done.rows_affected(), instance, name)
    }

    /// Sets the share of a connection's limit that is ours, above 0 up to 1, and forgets what throttling had left of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn share_connection(&self, instance: &str, name: &str, share: f32) -> Result<()> {
        let done = sqlx::query(
            "UPDATE millpond.connection SET share = $3, learned = 1 WHERE instance = $1 AND name = $2",
        )
        .bind(instance)
        .bind(name)
        .bind(share)
        .execute(self.pool())
        .await
        .to("share a connection")?;
        known(done.rows_affected(), instance, name)
    }

    /// Removes a connection.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn remove_connection(&self, instance: &str, name: &str) -> Result<()> {
        let done = sqlx::query("DELETE FROM millpond.connection WHERE instance = $1 AND name = $2")
            .bind(instance)
            .bind(name)
            .execute(self.pool())
            .await
            .to("remove a connection")?;
        known(done.rows_affected(), instance, name)
    }
}

fn known(rows: u64, instance: &str, name: &str) -> Result<()> {
    if rows == 0 {
        return Err(StoreError::Unknown {
            what: "connection",
            name: format!("{instance}/{name}"),
        });
    }
    Ok(())
}
