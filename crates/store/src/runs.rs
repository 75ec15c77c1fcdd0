//! Every run is a row: when, what, how much, and why it ended.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};

use crate::{
    ResourceName, Store,
    error::{For, Result},
    events::EVENTS_KEPT,
    records::PageOutcome,
    snapshots::{ONE_BY_ONE, TAKE},
};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// Everything is in.
    Done,
    /// It met errors; what is missing comes with a later run.
    Partial,
    /// It came to nothing.
    Failed,
    /// The process was asked to stop and handed the rest back.
    Stopped,
}

impl RunEnd {
    /// The word in `millpond.run.state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// What a run did; added to its row as it goes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RunCounts {
    /// Pages read.
    pub pages: i64,
    /// Calls made.
    pub calls: i64,
    /// Records seen.
    pub seen: i64,
    /// Records new to the mirror.
    pub inserted: i64,
    /// Records that changed.
    pub updated: i64,
    /// Records found gone.
    pub deleted: i64,
    /// Records or pages that failed.
    pub failed: i64,
    /// Records put in quarantine.
    pub quarantined: i64,
}

impl RunCounts {
    /// Adds what a write came to.
    pub fn wrote(&mut self, outcome: &PageOutcome) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.inserted += count(outcome.inserted.len());
        self.updated += count(outcome.updated.len());
        self.quarantined += count(outcome.refused.len());
    }
}

/// A run as its row has it.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// Its instance.
    pub instance: String,
    /// Its resource.
    pub resource: String,
    /// Its kind.
    pub kind: String,
    /// The process that ran it.
    pub owner: String,
    /// `running`, `done`, `partial`, `failed`, `stopped` or `lost`.
    pub state: String,
    /// Why it ended so.
    pub why: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Pages read.
    pub pages: i64,
    /// Calls made.
    pub calls: i64,
    /// Records seen.
    pub seen: i64,
    /// Records new to the mirror.
    pub inserted: i64,
    /// Records that changed.
    pub updated: i64,
    /// Records found gone.
    pub deleted: i64,
    /// Records or pages that failed.
    pub failed: i64,
    /// Records put in quarantine.
    pub quarantined: i64,
    /// Records upstream says there are.
    pub expected: Option<i64>,
    /// The snapshot that its end made.
    pub snapshot: Option<i64>,
}

const COLUMNS: &str = "id, instance, resource, kind, owner, state, why, started_at, ended_at, pages, calls, seen, \
                       inserted, updated, deleted, failed, quarantined, expected, snapshot";

fn run(row: &PgRow) -> Run {
    Run {
        id: row.get(0),
        instance: row.get(1),
        resource: row.get(2),
        kind: row.get(3),
        owner: row.get(4),
        state: row.get(5),
        why: row.get(6),
        started_at: row.get::<jiff_sqlx::Timestamp, _>(7).to_jiff(),
        ended_at: row
            .get::<Option<jiff_sqlx::Timestamp>, _>(8)
            .map(|at| at.to_jiff()),
        pages: row.get(9),
        calls: row.get(10),
        seen: row.get(11),
        inserted: row.get(12),
        updated: row.get(13),
        deleted: row.get(14),
        failed: row.get(15),
        quarantined: row.get(16),
        expected: row.get(17),
        snapshot: row.get(18),
    }
}

/// A run's end as an event.
const ENDED: &str = "millpond.tell_event('run:ended', instance, jsonb_build_object('run', id, 'resource', resource, \
     'kind', kind, 'state', state, 'why', why, 'calls', calls, 'seen', seen, 'inserted', inserted, \
     'updated', updated, 'deleted', deleted, 'failed', failed, \
     'duration_ms', round(extract(epoch FROM ended_at - started_at) * 1000)::bigint), ";

impl Store {
    /// Opens a run, and tells so.
    pub async fn start_run(
        &self,
        instance: &str,
        resource: &ResourceName,
        kind: &str,
        owner: &str,
    ) -> Result<i64> {
        sqlx::query_scalar(
            "WITH r AS (INSERT INTO millpond.run (instance, resource, kind, owner) VALUES ($1, $2, $3, $4) RETURNING id), \
               told AS (SELECT millpond.tell_event('run:started', $1, \
                          jsonb_build_object('run', id, 'resource', $2, 'kind', $3), $5) FROM r) \
             SELECT id FROM r, told",
        )
        .bind(instance)
        .bind(resource.as_str())
        .bind(kind)
        .bind(owner)
        .bind(EVENTS_KEPT)
        .fetch_one(self.pool())
        .await
        .to("open a run")
    }

    /// Adds to a run's counts.
    pub async fn add_to_run(
        &self,
        run: i64,
        counts: RunCounts,
        expected: Option<i64>,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.run SET pages = pages + $2, calls = calls + $3, seen = seen + $4, \
               inserted = inserted + $5, updated = updated + $6, deleted = deleted + $7, failed = failed + $8, \
               quarantined = quarantined + $9, expected = coalesce($10, expected), \
               beat_at = clock_timestamp() \
             WHERE id = $1 AND set_config('synchronous_commit', 'off', true) = 'off'",
        )
        .bind(run)
        .bind(counts.pages)
        .bind(counts.calls)
        .bind(counts.seen)
        .bind(counts.inserted)
        .bind(counts.updated)
        .bind(counts.deleted)
        .bind(counts.failed)
        .bind(counts.quarantined)
        .bind(expected)
        .execute(self.pool())
        .await
        .to("count for a run")?;
        Ok(())
    }

    /// Closes a run, and tells so. One that is [`RunEnd::Done`] and changed something makes a snapshot; its number is
    /// answered. Later snapshots hold all that is in earlier ones.
    pub async fn end_run(&self, run: i64, end: RunEnd, why: Option<&str>) -> Result<Option<i64>> {
        let mut tx = self.pool().begin().await.to("close a run")?;
        if end == RunEnd::Done {
            // Before the statement, so that it sees what whoever held the lock has committed.
            sqlx::query(ONE_BY_ONE)
                .execute(&mut *tx)
                .await
                .to("close a run")?;
        }
        let statement = format!(
            "WITH s AS ({TAKE} AND $2 = 'done' RETURNING number) \
             UPDATE millpond.run SET state = $2, why = left($3, 1000), ended_at = clock_timestamp(), \
               snapshot = (SELECT number FROM s) WHERE id = $1 RETURNING snapshot, {ENDED} $4)"
        );
        let made = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(run)
            .bind(end.as_str())
            .bind(why.map(|why| why.replace('\0', " ")))
            .bind(EVENTS_KEPT)
            .fetch_optional(&mut *tx)
            .await
            .to("close a run")
            .map(Option::flatten)?;
        tx.commit().await.to("close a run")?;
        Ok(made)
    }

    /// Closes runs whose process gave no sign of life for `silence`, or whose job has gone on to another run.
    pub async fn close_lost_runs(&self, silence: std::time::Duration) -> Result<u64> {
        // All rows are changed before the first event takes its lock: whoever closes one of them meanwhile waits for
        // us, or we for it, but never both.
        let statement = format!(
            "WITH lost AS (UPDATE millpond.run r SET state = 'lost', ended_at = clock_timestamp(), \
               why = 'its process ended without closing it' \
             WHERE r.state = 'running' AND (r.beat_at < now() - $1 * interval '1 millisecond' \
               OR EXISTS (SELECT FROM millpond.job j WHERE j.instance = r.instance \
                            AND j.resource = r.resource AND j.kind = r.kind AND j.last_run > r.id)) \
             RETURNING *) \
             SELECT {ENDED} $2) FROM (SELECT * FROM lost ORDER BY id) l"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(silence.as_millis() as f64)
            .bind(EVENTS_KEPT)
            .execute(self.pool())
            .await
            .to("close lost runs")?;
        Ok(done.rows_affected())
    }

    /// The latest runs, newest first, optionally of one instance, resource and state.
    pub async fn runs(
        &self,
        instance: Option<&str>,
        resource: Option<&str>,
        state: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Run>> {
        let statement = format!(
            "SELECT {COLUMNS} FROM millpond.run WHERE ($1::text IS NULL OR instance = $1) \
             AND ($2::text IS NULL OR resource = $2) AND ($3::text IS NULL OR state = $3) \
             AND ($4::bigint IS NULL OR id < $4) ORDER BY id DESC LIMIT $5"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(instance)
            .bind(resource)
            .bind(state)
            .bind(before)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("list runs")?;
        Ok(rows.iter().map(run).collect())
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Unknown`] when there is none of that number.
    pub async fn load_run(&self, id: i64) -> Result<Run> {
        let statement = format!("SELECT {COLUMNS} FROM millpond.run WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .to("read a run")?;
        row.as_ref()
            .map(run)
            .ok_or_else(|| crate::StoreError::Unknown {
                what: "run",
                name: id.to_string(),
            })
    }

    /// The runs of these numbers that are still known, in no order.
    pub async fn runs_of(&self, ids: &[i64]) -> Result<Vec<Run>> {
        let statement = format!("SELECT {COLUMNS} FROM millpond.run WHERE id = ANY($1)");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(ids)
            .fetch_all(self.pool())
            .await
            .to("read runs")?;
        Ok(rows.iter().map(run).collect())
    }

    /// The newest snapshot's number; 0 before the first whole run.
    pub async fn newest_snapshot(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM millpond.snapshot")
            .fetch_one(self.pool())
            .await
            .to("read the newest snapshot")
    }
}
