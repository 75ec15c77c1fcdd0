//! Hot values that somebody read lately: noted by whoever reads, refreshed by whichever worker comes first.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::Row;

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

/// Values of one instance that are remembered as read; those read longest ago are forgotten first.
pub const HOT_READS_MAX: i64 = 20_000;

/// A hot value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotRead {
    /// Its table.
    pub resource: ResourceName,
    /// Its instance.
    pub instance: String,
    /// Its row's id.
    pub id: String,
    /// The record whose payload it is; its own id if it is a record.
    pub record: String,
    /// When upstream was last known to say what was read.
    pub as_of: Timestamp,
    /// When it runs out.
    pub due_at: Timestamp,
    /// When it was read last.
    pub read_at: Timestamp,
}

/// When a value is looked at again that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotNext {
    /// It was refreshed, and lives this long from when upstream was asked for the row as of then.
    Lives(Timestamp, Duration),
    /// It was not; then.
    At(Timestamp),
    /// It is not kept hot any more.
    Never,
}

impl Store {
    /// Notes that values were read. One that is known keeps its due time unless the row that was read is newer; of
    /// two readers of one row the one to whom it runs out first counts. What a worker is at stays taken.
    ///
    /// # Errors
    ///
    /// The database's own; nothing is noted then.
    pub async fn note_hot_reads(&self, reads: &[HotRead]) -> Result<()> {
        let text = |of: fn(&HotRead) -> &str| reads.iter().map(of).collect::<Vec<_>>();
        let time = |of: fn(&HotRead) -> Timestamp| {
            let times = reads.iter().map(|read| of(read).to_sqlx());
            times.collect::<Vec<_>>()
        };
        // One order for all writers.
        sqlx::query(
            "INSERT INTO millpond.hot_read AS h (instance, resource, id, record, as_of, due_at, read_at) \
             SELECT DISTINCT ON (instance, resource, id) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], \
               $5::timestamptz[], $6::timestamptz[], $7::timestamptz[]) \
               AS r (instance, resource, id, record, as_of, due_at, read_at) \
             ORDER BY instance, resource, id, due_at \
             ON CONFLICT (instance, resource, id) DO UPDATE SET \
               read_at = greatest(h.read_at, excluded.read_at), \
               as_of = greatest(h.as_of, excluded.as_of), \
               record = CASE WHEN excluded.as_of > h.as_of OR (excluded.as_of = h.as_of AND excluded.due_at < h.due_at) \
                 THEN excluded.record ELSE h.record END, \
               due_at = CASE WHEN excluded.as_of > h.as_of THEN excluded.due_at \
                 WHEN excluded.as_of = h.as_of THEN least(h.due_at, excluded.due_at) ELSE h.due_at END",
        )
        .bind(text(|read| &read.instance))
        .bind(text(|read| read.resource.as_str()))
        .bind(text(|read| &read.id))
        .bind(text(|read| &read.record))
        .bind(time(|read| read.as_of))
        .bind(time(|read| read.due_at))
        .bind(time(|read| read.read_at))
        .execute(self.pool())
        .await
        .to("note what was read hot")?;
        Ok(())
    }

    /// Takes up to `limit` values of an instance that have run out by `now` and were read since `read_since`, the
    /// longest due first. Nobody else is given them until `taken_until`.
    ///
    /// # Errors
    ///
    /// The database's own; nothing is taken then.
    pub async fn take_due_reads(
        &self,
        instance: &str,
        now: Timestamp,
        read_since: Timestamp,
        taken_until: Timestamp,
        limit: i64,
    ) -> Result<Vec<HotRead>> {
        let rows = sqlx::query(
            "WITH due AS (SELECT instance, resource, id FROM millpond.hot_read \
               WHERE instance = $1 AND due_at <= $2 AND read_at >= $3 AND (taken_until IS NULL OR taken_until <= $2) \
               ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED) \
             UPDATE millpond.hot_read h SET taken_until = $4 FROM due \
             WHERE h.instance = due.instance AND h.resource = due.resource AND h.id = due.id \
             RETURNING h.resource, h.id, h.record, h.as_of, h.due_at, h.read_at",
        )
        .bind(instance)
        .bind(now.to_sqlx())
        .bind(read_since.to_sqlx())
        .bind(taken_until.to_sqlx())
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("take hot values that ran out")?;
        let time = |row: &sqlx::postgres::PgRow, place: usize| {
            row.get::<jiff_sqlx::Timestamp, _>(place).to_jiff()
        };
        let mut due: Vec<HotRead> = rows
            .iter()
            .filter_map(|row| {
                let resource: String = row.get(0);
                Some(HotRead {
                    resource: resource.parse().ok()?,
                    instance: instance.to_owned(),
                    id: row.get(1),
                    record: row.get(2),
                    as_of: time(row, 3),
                    due_at: time(row, 4),
                    read_at: time(row, 5),
                })
            })
            .collect();
        due.sort_by_key(|read| read.due_at);
        Ok(due)
    }

    /// Gives back a value that was taken, and says when it is due again.
    ///
    /// # Errors
    ///
    /// The database's own; it is then due again once it is no longer taken.
    pub async fn settle_due_read(&self, read: &HotRead, next: HotNext) -> Result<()> {
        let (as_of, ttl, at) = match next {
            HotNext::Never => return self.forget_hot_read(read).await,
            HotNext::At(at) => (read.as_of, None, at),
            HotNext::Lives(as_of, ttl) => (as_of, Some(ttl.as_secs_f64()), as_of),
        };
        // A row that was fetched on its own lives from when it was asked for: the next call is then asked for one life
        // after this one was, and the value runs out no sooner than that call can be answered.
        sqlx::query(
            "UPDATE millpond.hot_read h SET taken_until = NULL, as_of = $4, \
               due_at = CASE WHEN $5::float8 IS NULL THEN $6 ELSE \
                 coalesce((SELECT f.asked_at FROM millpond.record_fetch f WHERE f.resource = h.resource \
                   AND f.instance = h.instance AND f.id = h.id AND f.fetched_at >= $4), $4) + make_interval(secs => $5) END \
             WHERE instance = $1 AND resource = $2 AND id = $3",
        )
        .bind(&read.instance)
        .bind(read.resource.as_str())
        .bind(&read.id)
        .bind(as_of.to_sqlx())
        .bind(ttl)
        .bind(at.to_sqlx())
        .execute(self.pool())
        .await
        .to("say when a hot value is due again")?;
        Ok(())
    }

    async fn forget_hot_read(&self, read: &HotRead) -> Result<()> {
        sqlx::query(
            "DELETE FROM millpond.hot_read WHERE instance = $1 AND resource = $2 AND id = $3",
        )
        .bind(&read.instance)
        .bind(read.resource.as_str())
        .bind(&read.id)
        .execute(self.pool())
        .await
        .to("forget a hot value")?;
        Ok(())
    }

    /// When the next value of an instance that was read since `read_since` runs out, and no worker is at it.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn next_due_read(
        &self,
        instance: &str,
        read_since: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let due: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
            "SELECT greatest(due_at, taken_until) FROM millpond.hot_read WHERE instance = $1 AND read_at >= $2 \
             ORDER BY 1 LIMIT 1",
        )
        .bind(instance)
        .bind(read_since.to_sqlx())
        .fetch_optional(self.pool())
        .await
        .to("find the next hot value that runs out")?;
        Ok(due.map(|due| due.to_jiff()))
    }

    /// Forgets values of an instance that nobody has read since `read_since`, and the longest unread ones beyond
    /// [`HOT_READS_MAX`].
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn forget_hot_reads(&self, instance: &str, read_since: Timestamp) -> Result<u64> {
        let forgotten = sqlx::query(
            "DELETE FROM millpond.hot_read WHERE instance = $1 AND (read_at < $2 OR (resource, id) IN \
               (SELECT resource, id FROM millpond.hot_read WHERE instance = $1 ORDER BY read_at DESC OFFSET $3))",
        )
        .bind(instance)
        .bind(read_since.to_sqlx())
        .bind(HOT_READS_MAX)
        .execute(self.pool())
        .await
        .to("forget what nobody reads")?;
        Ok(forgotten.rows_affected())
    }
}
