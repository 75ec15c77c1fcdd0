//! The feed of changes. Nobody who reads it misses a change that commits late.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};

use crate::{
    Store,
    error::{For, Result},
};

/// A place in the feed. Changes are ordered by transaction, then by number within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ChangeCursor {
    tx: u64,
    seq: i64,
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.tx, self.seq)
    }
}

/// A text that is no cursor of the feed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a cursor of the change feed: expected two numbers such as 7421-90134")]
pub struct BadCursor(String);

impl FromStr for ChangeCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> std::result::Result<Self, BadCursor> {
        text.split_once('-')
            .and_then(|(tx, seq)| {
                Some(Self {
                    tx: tx.parse().ok()?,
                    seq: seq.parse().ok()?,
                })
            })
            .ok_or_else(|| BadCursor(text.chars().take(50).collect()))
    }
}

impl ChangeCursor {
    /// The place of entry `seq` of transaction `tx`.
    pub fn at(tx: u64, seq: i64) -> Self {
        Self { tx, seq }
    }

    /// The transaction, and the number within it.
    pub fn parts(self) -> (u64, i64) {
        (self.tx, self.seq)
    }
}

/// That a record changed, for whoever keeps copies of it.
#[derive(Debug, Clone)]
pub struct Touched {
    /// Where the change stands in the feed.
    pub cursor: ChangeCursor,
    /// Whether no change before it can still commit.
    pub settled: bool,
    /// The record's resource.
    pub resource: String,
    /// The record's instance.
    pub instance: String,
    /// The record's id.
    pub id: String,
    /// The version that it wrote.
    pub version: i64,
}

/// One change of a record.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Where it stands; give it back to go on from here.
    pub cursor: String,
    /// When it came in.
    pub at: Timestamp,
    /// `insert`, `update` or `delete`.
    pub op: &'static str,
    /// The record's resource.
    pub resource: String,
    /// The record's instance.
    pub instance: String,
    /// The record's id.
    pub id: String,
    /// The version that the change made.
    pub version: i64,
}

impl Store {
    /// Up to `limit` changes after `cursor`, oldest first.
    ///
    /// Only changes below the oldest transaction still open are answered: a later one could still slip in between.
    /// Two changes of one record that were written at the same moment may come in either order; their versions tell.
    pub async fn changes_after(
        &self,
        cursor: ChangeCursor,
        limit: i64,
    ) -> Result<(Vec<Change>, ChangeCursor)> {
        let rows = sqlx::query(
            // `tx` alone in ORDER BY would be the text of the first column.
            "SELECT tx::text, seq, at, op::text, resource, instance, id, version FROM millpond.change \
             WHERE (tx, seq) > ($1::text::xid8, $2) AND tx < pg_snapshot_xmin(pg_current_snapshot()) \
             ORDER BY change.tx, change.seq LIMIT $3",
        )
        .bind(cursor.tx.to_string())
        .bind(cursor.seq)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("read changes")?;
        let mut last = cursor;
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            let tx: String = row.get(0);
            last = ChangeCursor {
                tx: tx.parse().unwrap_or(last.tx),
                seq: row.get(1),
            };
            let op: String = row.get(3);
            changes.push(Change {
                cursor: last.to_string(),
                at: row.get::<jiff_sqlx::Timestamp, _>(2).to_jiff(),
                op: match op.as_str() {
                    "i" => "insert",
                    "u" => "update",
                    _ => "delete",
                },
                resource: row.get(4),
                instance: row.get(5),
                id: row.get(6),
                version: row.get(7),
            });
        }
        Ok((changes, last))
    }

    /// Up to `limit` changes after `cursor` in the feed's order: those of [`Store::changes_after`], and then
    /// those that are visible already although an earlier one could still commit. Among them rows that a write to
    /// upstream has overtaken, whose change is still to come: their version is 0.
    pub async fn touched_after(&self, cursor: ChangeCursor, limit: i64) -> Result<Vec<Touched>> {
        let rows = sqlx::query(
            "SELECT tx::text, seq, tx < pg_snapshot_xmin(pg_current_snapshot()), resource, instance, id, version FROM ( \
               (SELECT tx, seq, resource, instance, id, version FROM millpond.change \
                WHERE (tx, seq) > ($1::text::xid8, $2) ORDER BY tx, seq LIMIT $3) \
               UNION ALL (SELECT tx, seq, resource, instance, id, 0 FROM millpond.overtaken \
                WHERE (tx, seq) > ($1::text::xid8, $2) ORDER BY tx, seq LIMIT $3)) AS both_feeds \
             ORDER BY both_feeds.tx, both_feeds.seq LIMIT $3",
        )
        .bind(cursor.tx.to_string())
        .bind(cursor.seq)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("read what changed")?;
        let touched = rows.iter().map(|row| Touched {
            cursor: place(row),
            settled: row.get(2),
            resource: row.get(3),
            instance: row.get(4),
            id: row.get(5),
            version: row.get(6),
        });
        Ok(touched.collect())
    }

    /// The end of the feed as [`Store::changes_after`] reads it; its beginning when it is empty.
    pub async fn newest_change(&self) -> Result<ChangeCursor> {
        let row = sqlx::query(
            "SELECT tx::text, seq FROM millpond.change WHERE tx < pg_snapshot_xmin(pg_current_snapshot()) \
             ORDER BY change.tx DESC, change.seq DESC LIMIT 1",
        )
        .fetch_optional(self.pool())
        .await
        .to("find the end of the changes")?;
        Ok(row.as_ref().map(place).unwrap_or_default())
    }

    /// Forgets changes and versions that ended before `before`, and the snapshots of that time; what readers still need
    /// is theirs to say. Pinned snapshots and the newest one stay, with the versions that they need. A webhook
    /// that was not told of some changes says so from then on. Answers how many changes and versions went.
    ///
    /// # Errors
    ///
    /// When the database fails; what was forgotten until then stays so.
    pub async fn forget_before(&self, before: Timestamp) -> Result<(u64, u64)> {
        use jiff_sqlx::ToSqlx;
        // First the snapshots: whoever finds one finds its versions too.
        self.forget_snapshots_before(before).await?;
        sqlx::query(
            "UPDATE millpond.webhook w SET missed_before = $1 WHERE (SELECT c.at FROM millpond.change c \
               WHERE (c.tx, c.seq) > (w.tx, w.seq) ORDER BY c.tx, c.seq LIMIT 1) < $1",
        )
        .bind(before.to_sqlx())
        .execute(self.pool())
        .await
        .to("see who was not told of old changes")?;
        let changes = sqlx::query("DELETE FROM millpond.change WHERE at < $1")
            .bind(before.to_sqlx())
            .execute(self.pool())
            .await
            .to("forget old changes")?;
        sqlx::query("DELETE FROM millpond.overtaken WHERE at < $1")
            .bind(before.to_sqlx())
            .execute(self.pool())
            .await
            .to("forget old overtaken rows")?;
        let versions = sqlx::query(
            "DELETE FROM millpond.record_version WHERE ended_at < $1 AND ended_tx < coalesce( \
               (SELECT since FROM millpond.snapshot WHERE since IS NOT NULL ORDER BY since LIMIT 1), \
               pg_snapshot_xmax(pg_current_snapshot()))",
        )
        .bind(before.to_sqlx())
        .execute(self.pool())
        .await
        .to("forget old versions")?;
        Ok((changes.rows_affected(), versions.rows_affected()))
    }
}

/// The place of a row that begins with `tx::text, seq`.
fn place(row: &PgRow) -> ChangeCursor {
    let tx: String = row.get(0);
    // PostgreSQL writes a transaction's number in decimal digits.
    ChangeCursor::at(tx.parse().unwrap_or_default(), row.get(1))
}
