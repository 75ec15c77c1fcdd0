//! What runs when, and who runs it: jobs are rows with leases, and PostgreSQL is the only coordinator.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

use crate::{
    ResourceName, Store, StoreError,
    error::{For, Result},
    records::Lease,
};

/// A job as configuration wants it.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// Its instance.
    pub instance: String,
    /// Its resource.
    pub resource: ResourceName,
    /// `changes`, `full`, `reconcile`, `sweep`, `watch` or `backfill`.
    pub kind: &'static str,
    /// From the start of one run to the start of the next.
    pub every: Duration,
    /// Each next start is moved by up to this much, so that jobs do not march in step.
    pub jitter: Duration,
    /// No run starts in these hours, `HH:MM-HH:MM` UTC.
    pub quiet: Option<String>,
    /// Whether the first run may start at once.
    pub at_start: bool,
}

/// A job's row.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Its instance.
    pub instance: String,
    /// Its resource.
    pub resource: ResourceName,
    /// Its kind.
    pub kind: String,
    /// Milliseconds from the start of one run to the start of the next.
    pub every_ms: i64,
    /// Milliseconds of jitter.
    pub jitter_ms: i64,
    /// No run starts in these hours.
    pub quiet: Option<String>,
    /// Whether a person stopped it.
    pub paused: bool,
    /// When it is due.
    pub next_at: Timestamp,
    /// Where the last whole run ended.
    pub cursor: Option<Value>,
    /// Where the unfinished run is.
    pub progress: Option<Value>,
    /// Runs in a row that failed.
    pub failures: i32,
    /// The number of the latest run.
    pub last_run: Option<i64>,
    /// Who runs it now.
    pub lease_owner: Option<String>,
    /// Until when the lease holds.
    pub lease_until: Option<Timestamp>,
}

const COLUMNS: &str = "instance, resource, kind, every_ms, jitter_ms, quiet, paused, next_at, cursor, progress, \
                       failures, last_run, lease_owner, lease_until";

fn job(row: &PgRow) -> Result<Job> {
    let resource: String = row.get(1);
    Ok(Job {
        instance: row.get(0),
        resource: resource.parse().map_err(|_| StoreError::Unknown {
            what: "resource",
            name: resource,
        })?,
        kind: row.get(2),
        every_ms: row.get(3),
        jitter_ms: row.get(4),
        quiet: row.get(5),
        paused: row.get(6),
        next_at: row.get::<jiff_sqlx::Timestamp, _>(7).to_jiff(),
        cursor: row.get(8),
        progress: row.get(9),
        failures: row.get(10),
        last_run: row.get(11),
        lease_owner: row.get(12),
        lease_until: row
            .get::<Option<jiff_sqlx::Timestamp>, _>(13)
            .map(|at| at.to_jiff()),
    })
}

/// A job's row with its lease's token behind.
fn leased(row: &PgRow) -> Result<(Job, Lease)> {
    let job = job(row)?;
    let lease = Lease {
        instance: job.instance.clone(),
        resource: job.resource.clone(),
        kind: job.kind.clone(),
        token: row.get(14),
    };
    Ok((job, lease))
}

impl Lease {
    /// The error of a write under this lease after it was lost.
    pub(crate) fn lost(&self) -> StoreError {
        StoreError::LeaseLost {
            instance: self.instance.clone(),
            resource: self.resource.to_string(),
            kind: self.kind.clone(),
        }
    }
}

/// What a person changes about a job; `None` leaves as it is.
#[derive(Debug, Default, Clone)]
pub struct JobChange {
    /// A new interval, kept against configuration.
    pub every: Option<Duration>,
    /// New quiet hours; an empty text ends them.
    pub quiet: Option<String>,
    /// Stop or go on.
    pub paused: Option<bool>,
    /// Run as soon as a worker is free.
    pub run_now: bool,
}

impl Store {
    /// Makes or updates the jobs of configuration, and removes those of these instances that it no longer has.
    /// What a person has set stays.
    pub async fn sync_jobs(&self, instances: &[String], specs: &[JobSpec]) -> Result<()> {
        let mut tx = self.pool().begin().await.to("set up jobs")?;
        let keys: Vec<String> = specs
            .iter()
            .map(|s| format!("{}/{}/{}", s.instance, s.resource, s.kind))
            .collect();
        sqlx::query(
            "DELETE FROM millpond.job WHERE instance = ANY($1) \
             AND NOT (instance || '/' || resource || '/' || kind = ANY($2))",
        )
        .bind(instances)
        .bind(&keys)
        .execute(&mut *tx)
        .await
        .to("remove jobs")?;
        for spec in specs {
            sqlx::query(
                "INSERT INTO millpond.job AS j (instance, resource, kind, every_ms, jitter_ms, quiet, next_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, now() + CASE WHEN $7 THEN 0 ELSE $4 END * interval '1 millisecond') \
                 ON CONFLICT (instance, resource, kind) DO UPDATE SET \
                   every_ms = CASE WHEN j.every_set THEN j.every_ms ELSE excluded.every_ms END, \
                   next_at = CASE WHEN j.every_set OR j.every_ms = excluded.every_ms THEN j.next_at \
                                  ELSE least(j.next_at, now() + excluded.every_ms * interval '1 millisecond') END, \
                   jitter_ms = CASE WHEN j.every_set THEN least(excluded.jitter_ms, j.every_ms / 20) \
                                    ELSE excluded.jitter_ms END, quiet = coalesce(j.quiet, excluded.quiet)",
            )
            .bind(&spec.instance)
            .bind(spec.resource.as_str())
            .bind(spec.kind)
            .bind(i64::try_from(spec.every.as_millis()).unwrap_or(i64::MAX))
            .bind(i64::try_from(spec.jitter.as_millis()).unwrap_or(i64::MAX))
            .bind(&spec.quiet)
            .bind(spec.at_start)
            .execute(&mut *tx)
            .await
            .to("set up a job")?;
        }
        tx.commit().await.to("set up jobs")
    }

    /// Takes the most overdue job of `instances` whose lease is free, for `lease`.
    pub async fn take_job(
        &self,
        owner: &str,
        instances: &[String],
        kinds: &[&str],
        lease: Duration,
    ) -> Result<Option<(Job, Lease)>> {
        self.take_job_but(owner, instances, kinds, &[], lease).await
    }

    /// As [`Store::take_job`], but none of the resources in `but`.
    pub async fn take_job_but(
        &self,
        owner: &str,
        instances: &[String],
        kinds: &[&str],
        but: &[ResourceName],
        lease: Duration,
    ) -> Result<Option<(Job, Lease)>> {
        let but: Vec<&str> = but.iter().map(ResourceName::as_str).collect();
        let statement = format!(
            "UPDATE millpond.job j SET lease_owner = $1, lease_token = lease_token + 1, asked_at = NULL, \
               lease_until = now() + $4 * interval '1 millisecond' \
             FROM (SELECT j.instance, j.resource, j.kind FROM millpond.job j \
                   JOIN millpond.instance i ON i.name = j.instance AND NOT i.paused \
                   WHERE j.instance = ANY($2) AND j.kind = ANY($3) AND NOT j.paused AND j.next_at <= now() \
                     AND j.resource <> ALL($5) \
                     AND (j.lease_until IS NULL OR j.lease_until < now()) \
                   ORDER BY j.next_at LIMIT 1 FOR UPDATE OF j SKIP LOCKED) t \
             WHERE j.instance = t.instance AND j.resource = t.resource AND j.kind = t.kind \
             RETURNING {}, lease_token",
            COLUMNS
                .split(", ")
                .map(|c| format!("j.{c}"))
                .collect::<Vec<_>>()
                .join(", ")
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(owner)
            .bind(instances)
            .bind(kinds)
            .bind(lease.as_millis() as f64)
            .bind(but)
            .fetch_optional(self.pool())
            .await
            .to("take a job")?;
        row.as_ref().map(leased).transpose()
    }

    /// Takes one job for `lease`, due or not, paused or not. `None`: another process has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such job.
    pub async fn take_this_job(
        &self,
        owner: &str,
        instance: &str,
        resource: &ResourceName,
        kind: &str,
        lease: Duration,
    ) -> Result<Option<(Job, Lease)>> {
        let statement = format!(
            "WITH taken AS (UPDATE millpond.job SET lease_owner = $1, lease_token = lease_token + 1, asked_at = NULL, \
               lease_until = now() + $5 * interval '1 millisecond' \
             WHERE instance = $2 AND resource = $3 AND kind = $4 AND (lease_until IS NULL OR lease_until < now()) \
             RETURNING {COLUMNS}, lease_token) \
             SELECT t.* FROM millpond.job j LEFT JOIN taken t ON true \
             WHERE j.instance = $2 AND j.resource = $3 AND j.kind = $4"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(owner)
            .bind(instance)
            .bind(resource.as_str())
            .bind(kind)
            .bind(lease.as_millis() as f64)
            .fetch_optional(self.pool())
            .await
            .to("take a job")?;
        match row {
            None => Err(StoreError::Unknown {
                what: "job",
                name: format!("{kind} of {resource} in {instance}"),
            }),
            Some(row) if row.get::<Option<String>, _>(0).is_none() => Ok(None),
            Some(row) => leased(&row).map(Some),
        }
    }

    /// Puts a job off that is overdue, by the `share`th part of its interval; one that is running, or not yet due, stays.
    pub async fn postpone_overdue(
        &self,
        instance: &str,
        resource: &ResourceName,
        kind: &str,
        share: u32,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.job SET next_at = now() + every_ms / $4 * interval '1 millisecond' \
             WHERE instance = $1 AND resource = $2 AND kind = $3 AND next_at <= now() \
               AND (lease_until IS NULL OR lease_until < now())",
        )
        .bind(instance)
        .bind(resource.as_str())
        .bind(kind)
        .bind(i64::from(share.max(1)))
        .execute(self.pool())
        .await
        .to("put a job off")?;
        Ok(())
    }

    /// Gives the `changes` job of a resource its first cursor, once a full listing is in. A later call changes nothing.
    pub async fn begin_changes(
        &self,
        instance: &str,
        resource: &ResourceName,
        cursor: &Value,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.job SET cursor = $3, next_at = least(next_at, now()) \
             WHERE instance = $1 AND resource = $2 AND kind = 'changes' AND cursor IS NULL",
        )
        .bind(instance)
        .bind(resource.as_str())
        .bind(cursor)
        .execute(self.pool())
        .await
        .to("begin a change feed")?;
        Ok(())
    }

    /// Prolongs a lease.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when another process has taken the job.
    pub async fn renew_lease(&self, lease: &Lease, period: Duration) -> Result<()> {
        let held = sqlx::query(
            "UPDATE millpond.job SET lease_until = now() + $5 * interval '1 millisecond' \
             WHERE instance = $1 AND resource = $2 AND kind = $3 AND lease_token = $4",
        )
        .bind(&lease.instance)
        .bind(lease.resource.as_str())
        .bind(&lease.kind)
        .bind(lease.token)
        .bind(period.as_millis() as f64)
        .execute(self.pool())
        .await
        .to("prolong a lease")?;
        if held.rows_affected() == 0 {
            Err(lease.lost())
        } else {
            Ok(())
        }
    }

    /// Names the run that a leased job works on.
    pub async fn set_job_run(&self, lease: &Lease, run: i64) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.job SET last_run = $5 \
             WHERE instance = $1 AND resource = $2 AND kind = $3 AND lease_token = $4",
        )
        .bind(&lease.instance)
        .bind(lease.resource.as_str())
        .bind(&lease.kind)
        .bind(lease.token)
        .bind(run)
        .execute(self.pool())
        .await
        .to("name a job's run")?;
        Ok(())
    }

    /// Stores where an unfinished run is, under its lease.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when another process has taken the job.
    pub async fn save_progress(&self, lease: &Lease, progress: Option<&Value>) -> Result<()> {
        let held = sqlx::query(
            "UPDATE millpond.job SET progress = $5 \
             WHERE instance = $1 AND resource = $2 AND kind = $3 AND lease_token = $4",
        )
        .bind(&lease.instance)
        .bind(lease.resource.as_str())
        .bind(&lease.kind)
        .bind(lease.token)
        .bind(progress)
        .execute(self.pool())
        .await
        .to("save a run's progress")?;
        if held.rows_affected() == 0 {
            Err(lease.lost())
        } else {
            Ok(())
        }
    }

    /// Ends a turn: frees the lease, moves the cursor if the run was whole (and then forgets its progress),
    /// and says when the job is due again.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when another process has taken the job; nothing is then changed.
    pub async fn finish_job(
        &self,
        lease: &Lease,
        cursor: Option<&Value>,
        whole: bool,
        failed: bool,
        next_at: Timestamp,
    ) -> Result<()> {
        let held = sqlx::query(
            "UPDATE millpond.job SET lease_owner = NULL, lease_until = NULL, cursor = coalesce($5, cursor), \
               progress = CASE WHEN $6 THEN NULL ELSE progress END, \
               failures = CASE WHEN $7 THEN failures + 1 ELSE 0 END, next_at = least($8, asked_at), asked_at = NULL \
             WHERE instance = $1 AND resource = $2 AND kind = $3 AND lease_token = $4",
        )
        .bind(&lease.instance)
        .bind(lease.resource.as_str())
        .bind(&lease.kind)
        .bind(lease.token)
        .bind(cursor)
        .bind(whole)
        .bind(failed)
        .bind(next_at.to_sqlx())
        .execute(self.pool())
        .await
        .to("finish a job")?;
        if held.rows_affected() == 0 {
            Err(lease.lost())
        } else {
            Ok(())
        }
    }

    /// All jobs, by instance, resource and kind.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        let statement =
            format!("SELECT {COLUMNS} FROM millpond.job ORDER BY instance, resource, kind");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .fetch_all(self.pool())
            .await
            .to("list jobs")?;
        rows.iter().map(job).collect()
    }

    /// When the next job of `instances` is due, if any may run.
    pub async fn next_job_at(&self, instances: &[String]) -> Result<Option<Timestamp>> {
        let at: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
            "SELECT min(greatest(j.next_at, coalesce(j.lease_until, j.next_at))) FROM millpond.job j \
             JOIN millpond.instance i ON i.name = j.instance AND NOT i.paused \
             WHERE j.instance = ANY($1) AND NOT j.paused",
        )
        .bind(instances)
        .fetch_one(self.pool())
        .await
        .to("look for the next job")?;
        Ok(at.map(|at| at.to_jiff()))
    }

    /// Changes jobs while they run; a run under way ends first, and the next one obeys. `resource` and `kind` narrow, `None` means all. Answers how many.
    pub async fn change_jobs(
        &self,
        instance: &str,
        resource: Option<&str>,
        kind: Option<&str>,
        change: &JobChange,
    ) -> Result<u64> {
        let done = sqlx::query(
            "UPDATE millpond.job SET \
               every_ms = coalesce($4, every_ms), every_set = every_set OR $4 IS NOT NULL, \
               jitter_ms = least(jitter_ms, coalesce($4, every_ms) / 20), \
               quiet = CASE WHEN $5::text IS NULL THEN quiet ELSE nullif($5, '') END, \
               paused = coalesce($6, paused), \
               next_at = CASE WHEN $7 THEN now() \
                              WHEN $4 IS NOT NULL THEN least(next_at, now() + $4 * interval '1 millisecond') \
                              ELSE next_at END, \
               asked_at = CASE WHEN lease_owner IS NULL THEN NULL WHEN $7 THEN now() \
                               WHEN $4 IS NOT NULL THEN now() + $4 * interval '1 millisecond' ELSE asked_at END \
             WHERE instance = $1 AND ($2::text IS NULL OR resource = $2) AND ($3::text IS NULL OR kind = $3)",
        )
        .bind(instance)
        .bind(resource)
        .bind(kind)
        .bind(change.every.map(|every| i64::try_from(every.as_millis()).unwrap_or(i64::MAX)))
        .bind(&change.quiet)
        .bind(change.paused)
        .bind(change.run_now)
        .execute(self.pool())
        .await
        .to("change jobs")?;
        Ok(done.rows_affected())
    }
}
