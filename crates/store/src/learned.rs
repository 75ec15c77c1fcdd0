//! What was learned of how often records change and are read, shared by all processes: numbers of `freshness`, which
//! this crate does not read.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{Row, postgres::PgRow};

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

/// Records of one instance of which something is kept; those read longest ago are forgotten first.
pub const LEARNED_MAX: i64 = 100_000;

/// What is kept of one record or payload.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedRow {
    /// Its table.
    pub resource: ResourceName,
    /// Its row's id.
    pub id: String,
    /// The record whose payload it is; its own id if it is a record.
    pub record: String,
    /// The version of the row that was seen last.
    pub version: i64,
    /// When upstream was last known to say what that row says.
    pub fetched_at: Timestamp,
    /// Changes seen, the prior's included.
    pub events: f32,
    /// Operational seconds in which they were seen.
    pub exposure: f32,
    /// How old the last known change was at `fetched_at`, in seconds.
    pub age: f32,
    /// Reads, faded, as of `read_at`. When saved: those since the last save.
    pub reads: f32,
    /// When it was read last.
    pub read_at: Timestamp,
    /// Its lifetime by the TTL tables; `None`: it is not kept hot.
    pub ttl: Option<Duration>,
    /// What was decided for the last reader.
    pub decision: Option<String>,
    /// When that was.
    pub decided_at: Option<Timestamp>,
    /// When it was saved, by the database's clock; not read when saving.
    pub saved_at: Timestamp,
}

const COLUMNS: &str = "resource, id, record, version, fetched_at, events, exposure, age, reads, read_at, ttl_ms, decision, \
    decided_at, saved_at";

fn learned(row: &PgRow) -> Option<LearnedRow> {
    let time = |place: usize| row.get::<jiff_sqlx::Timestamp, _>(place).to_jiff();
    let resource: String = row.get(0);
    let ttl: Option<i64> = row.get(10);
    let decided: Option<jiff_sqlx::Timestamp> = row.get(12);
    Some(LearnedRow {
        resource: resource.parse().ok()?,
        id: row.get(1),
        record: row.get(2),
        version: row.get(3),
        fetched_at: time(4),
        events: row.get(5),
        exposure: row.get(6),
        age: row.get(7),
        reads: row.get(8),
        read_at: time(9),
        ttl: ttl
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis),
        decision: row.get(11),
        decided_at: decided.map(|at| at.to_jiff()),
        saved_at: time(13),
    })
}

impl Store {
    /// Saves what process `by` has learned of records of an instance. Their reads add to those of other processes, which
    /// fade to 1/e in `fade`; of the rest the newer fetch counts.
    ///
    /// # Errors
    ///
    /// The database's own; nothing is saved then.
    pub async fn save_learned(
        &self,
        instance: &str,
        by: &str,
        fade: Duration,
        rows: &[LearnedRow],
    ) -> Result<()> {
        let texts = |of: fn(&LearnedRow) -> &str| rows.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: fn(&LearnedRow) -> f32| rows.iter().map(of).collect::<Vec<_>>();
        let times = |of: fn(&LearnedRow) -> Timestamp| {
            let times = rows.iter().map(|row| of(row).to_sqlx());
            times.collect::<Vec<_>>()
        };
        let ttls: Vec<Option<i64>> = rows
            .iter()
            .map(|row| {
                row.ttl
                    .map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
            })
            .collect();
        let decided: Vec<_> = rows
            .iter()
            .map(|row| row.decided_at.map(|at| at.to_sqlx()))
            .collect();
        let decisions: Vec<_> = rows.iter().map(|row| row.decision.as_deref()).collect();
        let versions: Vec<i64> = rows.iter().map(|row| row.version).collect();
        // One order for all writers.
        sqlx::query(
            "INSERT INTO millpond.learned AS l (instance, resource, id, record, version, fetched_at, events, exposure, age, \
               reads, read_at, ttl_ms, decision, decided_at, saved_by) \
             SELECT $1, r.*, $2 FROM (SELECT DISTINCT ON (resource, id) * FROM unnest($3::text[], $4::text[], $5::text[], \
               $6::bigint[], $7::timestamptz[], $8::real[], $9::real[], $10::real[], $11::real[], $12::timestamptz[], \
               $13::bigint[], $14::text[], $15::timestamptz[]) AS r (resource, id, record, version, fetched_at, events, \
               exposure, age, reads, read_at, ttl_ms, decision, decided_at) ORDER BY resource, id, fetched_at DESC) r \
             ON CONFLICT (instance, resource, id) DO UPDATE SET \
               reads = l.reads * exp(-greatest(0, extract(epoch FROM excluded.read_at - l.read_at)) / $16) + excluded.reads, \
               read_at = greatest(l.read_at, excluded.read_at), \
               record = excluded.record, ttl_ms = excluded.ttl_ms, \
               version = greatest(l.version, excluded.version), \
               fetched_at = greatest(l.fetched_at, excluded.fetched_at), \
               events = CASE WHEN excluded.fetched_at >= l.fetched_at THEN excluded.events ELSE l.events END, \
               exposure = CASE WHEN excluded.fetched_at >= l.fetched_at THEN excluded.exposure ELSE l.exposure END, \
               age = CASE WHEN excluded.fetched_at >= l.fetched_at THEN excluded.age ELSE l.age END, \
               decision = CASE WHEN l.decided_at > excluded.decided_at THEN l.decision \
                 ELSE coalesce(excluded.decision, l.decision) END, \
               decided_at = greatest(l.decided_at, excluded.decided_at), \
               taken_until = CASE WHEN excluded.fetched_at > l.fetched_at THEN NULL ELSE l.taken_until END, \
               saved_by = excluded.saved_by, saved_at = clock_timestamp()",
        )
        .bind(instance)
        .bind(by)
        .bind(texts(|row| row.resource.as_str()))
        .bind(texts(|row| &row.id))
        .bind(texts(|row| &row.record))
        .bind(versions)
        .bind(times(|row| row.fetched_at))
        .bind(numbers(|row| row.events))
        .bind(numbers(|row| row.exposure))
        .bind(numbers(|row| row.age))
        .bind(numbers(|row| row.reads))
        .bind(times(|row| row.read_at))
        .bind(ttls)
        .bind(decisions)
        .bind(decided)
        .bind(fade.as_secs_f64().max(1.0))
        .execute(self.pool())
        .await
        .to("save what was learned of records")?;
        Ok(())
    }

    /// What processes other than `but` have saved of an instance after `since`, by the database's clock, the oldest first.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn learned_since(
        &self,
        instance: &str,
        but: &str,
        since: Timestamp,
        limit: i64,
    ) -> Result<Vec<LearnedRow>> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM millpond.learned WHERE instance = $1 AND saved_by <> $2 AND saved_at > $3 \
             ORDER BY saved_at LIMIT $4"
        ));
        let rows = sqlx::query(statement)
            .bind(instance)
            .bind(but)
            .bind(since.to_sqlx())
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("read what others learned of records")?;
        Ok(rows.iter().filter_map(learned).collect())
    }

    /// What is kept of an instance's records, those read last first, and the moment by the database's clock.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn learned_of(
        &self,
        instance: &str,
        limit: i64,
    ) -> Result<(Vec<LearnedRow>, Timestamp)> {
        let now: jiff_sqlx::Timestamp = sqlx::query_scalar("SELECT clock_timestamp()")
            .fetch_one(self.pool())
            .await
            .to("ask the database for the time")?;
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM millpond.learned WHERE instance = $1 ORDER BY read_at DESC LIMIT $2"
        ));
        let rows = sqlx::query(statement)
            .bind(instance)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("read what was learned of records")?;
        Ok((rows.iter().filter_map(learned).collect(), now.to_jiff()))
    }

    /// Whether the caller may fetch a record that it saw fetched at `fetched_at`: no other process is at it until then,
    /// and none has fetched it since. One of which nothing was saved is free to everybody.
    ///
    /// # Errors
    ///
    /// The database's own; nothing is claimed then.
    pub async fn claim_learned(
        &self,
        instance: &str,
        resource: &ResourceName,
        id: &str,
        fetched_at: Timestamp,
        hold: Duration,
    ) -> Result<bool> {
        let free: bool = sqlx::query_scalar(
            "WITH claimed AS (UPDATE millpond.learned SET taken_until = clock_timestamp() + make_interval(secs => $5) \
               WHERE instance = $1 AND resource = $2 AND id = $3 AND fetched_at <= $4 \
                 AND (taken_until IS NULL OR taken_until <= clock_timestamp()) RETURNING 1) \
             SELECT EXISTS (SELECT FROM claimed) OR NOT EXISTS \
               (SELECT FROM millpond.learned WHERE instance = $1 AND resource = $2 AND id = $3)",
        )
        .bind(instance)
        .bind(resource.as_str())
        .bind(id)
        .bind(fetched_at.to_sqlx())
        .bind(hold.as_secs_f64())
        .fetch_one(self.pool())
        .await
        .to("claim a record that deserves a call")?;
        Ok(free)
    }

    /// Gives back what was claimed.
    ///
    /// # Errors
    ///
    /// The database's own; the claim then ends with its hold.
    pub async fn unclaim_learned(
        &self,
        instance: &str,
        resource: &ResourceName,
        id: &str,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.learned SET taken_until = NULL WHERE instance = $1 AND resource = $2 AND id = $3",
        )
        .bind(instance)
        .bind(resource.as_str())
        .bind(id)
        .execute(self.pool())
        .await
        .to("give back a record that was claimed")?;
        Ok(())
    }

    /// Forgets records of an instance that nobody has read since `read_since`, and the longest unread ones beyond
    /// [`LEARNED_MAX`].
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn forget_learned(&self, instance: &str, read_since: Timestamp) -> Result<u64> {
        let forgotten = sqlx::query(
            "DELETE FROM millpond.learned WHERE instance = $1 AND (read_at < $2 OR (resource, id) IN \
               (SELECT resource, id FROM millpond.learned WHERE instance = $1 ORDER BY read_at DESC OFFSET $3))",
        )
        .bind(instance)
        .bind(read_since.to_sqlx())
        .bind(LEARNED_MAX)
        .execute(self.pool())
        .await
        .to("forget what was learned of records that nobody reads")?;
        Ok(forgotten.rows_affected())
    }

    /// Saves what was learned over all records of an instance together.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn save_learned_together(&self, instance: &str, state: &[u8]) -> Result<()> {
        sqlx::query(
            "INSERT INTO millpond.learned_together (instance, state) VALUES ($1, $2) \
             ON CONFLICT (instance) DO UPDATE SET state = excluded.state, saved_at = clock_timestamp()",
        )
        .bind(instance)
        .bind(state)
        .execute(self.pool())
        .await
        .to("save what was learned of an instance")?;
        Ok(())
    }

    /// What was learned over all records of an instance together, as it was saved last.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn learned_together(&self, instance: &str) -> Result<Option<Vec<u8>>> {
        sqlx::query_scalar("SELECT state FROM millpond.learned_together WHERE instance = $1")
            .bind(instance)
            .fetch_optional(self.pool())
            .await
            .to("read what was learned of an instance")
    }
}
