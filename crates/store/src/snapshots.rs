//! Snapshots: numbered points in the changes at which whole runs are in, which readers can go back to.
//!
//! A snapshot does not copy anything. It keeps which transactions were in when it was made (PostgreSQL's own
//! `pg_snapshot`), and which runs of jobs were still under way: what those had brought by then is not in. A version
//! of a record is in a snapshot when its transaction is and its run is not one of those; the record's newest such
//! version is what the snapshot says. [`crate::read`] finds it among the records and their kept versions.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use crate::{
    Store, StoreError,
    error::{For, Result},
};

/// The most snapshots that one holder keeps pinned.
pub const PINS_MAX: i64 = 100;

/// Takes the lock under which snapshots are made, so that each holds all that is in those of lower numbers.
pub(crate) const ONE_BY_ONE: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('millpond.snapshot', 0))";

/// Makes a snapshot of the run `$1` unless it changed nothing. The runs of jobs that are under way are left out of it;
/// runs of details, which nobody's job is and which go on for as long as details come, are in with what they brought.
pub(crate) const TAKE: &str = "\
    INSERT INTO millpond.snapshot (instance, resource, run, txs, open_runs, since) \
    SELECT r.instance, r.resource, r.id, pg_current_snapshot(), coalesce(o.runs, '{}'), \
           least(pg_snapshot_xmin(pg_current_snapshot()), o.begun[1]) \
      FROM millpond.run r CROSS JOIN ( \
           SELECT array_agg(q.id) AS runs, array_agg(q.tx ORDER BY q.tx) AS begun \
             FROM millpond.job j JOIN millpond.run q ON q.id = j.last_run AND q.instance = j.instance \
            WHERE q.state = 'running' AND q.id <> $1) o \
     WHERE r.id = $1 AND r.inserted + r.updated + r.deleted > 0";

/// A snapshot, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Its number; later ones are higher, with gaps.
    pub number: i64,
    /// When it was made.
    pub taken_at: Timestamp,
    /// The instance of the run whose end made it.
    pub instance: Option<String>,
    /// The resource of that run.
    pub resource: Option<String>,
    /// That run.
    pub run: Option<i64>,
    /// How many records that run changed; absent when the run is no longer known.
    pub changes: Option<i64>,
    /// When the last pin on it ends.
    pub pinned_until: Option<Timestamp>,
}

/// A snapshot as reads need it: what was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtSnapshot {
    /// Its number.
    pub number: i64,
    /// When it was made.
    pub taken_at: Timestamp,
    /// The transactions that were in, as PostgreSQL writes a `pg_snapshot`.
    pub(crate) txs: String,
    /// The runs that were under way.
    pub(crate) open_runs: Vec<i64>,
    /// The first transaction whose versions may not be in.
    pub(crate) since: String,
}

/// Which snapshot is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest that there is when the question comes.
    Newest,
    /// The one of this number.
    Number(i64),
}

/// A text that names no snapshot.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no snapshot: expected its number, such as 41, or `newest`")]
pub struct BadSnapshot(String);

impl std::str::FromStr for Which {
    type Err = BadSnapshot;

    fn from_str(text: &str) -> std::result::Result<Self, BadSnapshot> {
        if text == "newest" {
            return Ok(Self::Newest);
        }
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self::Number(number)),
            _ => Err(BadSnapshot(text.chars().take(40).collect())),
        }
    }
}

/// The oldest and the newest snapshot that can be read, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range(pub Option<(i64, i64)>);

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some((oldest, newest)) => write!(f, "{oldest} to {newest} can be read"),
            None => f.write_str(
                "none can be read yet; the end of a run that changed something makes one",
            ),
        }
    }
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No run has made it yet.
    #[error("there is no snapshot {number}: {range}")]
    NotYet {
        /// The number that was asked for; 0: the newest.
        number: i64,
        /// Those that there are.
        range: Range,
    },
    /// It is older than what is kept, or from before snapshots could be read.
    #[error("snapshot {number} is no longer kept: {range}")]
    Gone {
        /// The number that was asked for.
        number: i64,
        /// Those that there are.
        range: Range,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Columns of an [`AtSnapshot`].
const AT: &str = "number, at, txs::text, open_runs, since::text";
/// What can be read. After a restored dump the numbers of transactions begin anew and mean something else.
const READABLE: &str =
    "txs IS NOT NULL AND pg_snapshot_xmax(txs) <= pg_snapshot_xmax(pg_current_snapshot())";
/// Columns of a [`Snapshot`].
const TOLD: &str = "s.number, s.at, s.instance, s.resource, s.run, r.inserted + r.updated + r.deleted, s.pinned_until \
    FROM millpond.snapshot s LEFT JOIN millpond.run r ON r.id = s.run AND r.instance = s.instance";

fn at_snapshot(row: &PgRow) -> AtSnapshot {
    AtSnapshot {
        number: row.get(0),
        taken_at: row.get::<jiff_sqlx::Timestamp, _>(1).to_jiff(),
        txs: row.get(2),
        open_runs: row.get(3),
        since: row.get(4),
    }
}

fn snapshot(row: &PgRow) -> Snapshot {
    Snapshot {
        number: row.get(0),
        taken_at: row.get::<jiff_sqlx::Timestamp, _>(1).to_jiff(),
        instance: row.get(2),
        resource: row.get(3),
        run: row.get(4),
        changes: row.get(5),
        pinned_until: row
            .get::<Option<jiff_sqlx::Timestamp>, _>(6)
            .map(|at| at.to_jiff()),
    }
}

impl Store {
    /// What was in at a snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::NotYet`] and [`SnapshotError::Gone`] with what can be read instead.
    pub async fn at_snapshot(
        &self,
        which: Which,
    ) -> std::result::Result<AtSnapshot, SnapshotError> {
        let number = match which {
            Which::Newest => None,
            Which::Number(number) => Some(number),
        };
        let statement = format!(
            "SELECT {AT} FROM millpond.snapshot WHERE {READABLE} AND ($1::bigint IS NULL OR number = $1) \
             ORDER BY number DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(number)
            .fetch_optional(self.pool())
            .await
            .to("find a snapshot")?;
        match row {
            Some(row) => Ok(at_snapshot(&row)),
            None => Err(self.why_not(number.unwrap_or_default()).await?),
        }
    }

    /// Refuses an answer of a snapshot that was forgotten while it was read: some of its versions may have been gone.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Gone`].
    pub async fn still_kept(&self, at: &AtSnapshot) -> std::result::Result<(), SnapshotError> {
        let kept: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM millpond.snapshot WHERE number = $1)")
                .bind(at.number)
                .fetch_one(self.pool())
                .await
                .to("look whether a snapshot is kept")?;
        match kept {
            true => Ok(()),
            false => Err(self.why_not(at.number).await?),
        }
    }

    async fn why_not(&self, number: i64) -> Result<SnapshotError> {
        let statement =
            format!("SELECT min(number), max(number) FROM millpond.snapshot WHERE {READABLE}");
        let (oldest, newest): (Option<i64>, Option<i64>) = sqlx::query_as(AssertSqlSafe(statement))
            .fetch_one(self.pool())
            .await
            .to("find the snapshots that can be read")?;
        let range = Range(oldest.zip(newest));
        let made: i64 = self.newest_snapshot().await?;
        Ok(match number {
            1.. if number <= made => SnapshotError::Gone { number, range },
            _ => SnapshotError::NotYet { number, range },
        })
    }

    /// Snapshots that can be read, newest first, before the number `before`; of `instances` only, if they are named.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn snapshots(
        &self,
        instances: Option<&[String]>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Snapshot>> {
        let statement = format!(
            "SELECT {TOLD} WHERE {READABLE} AND ($1::text[] IS NULL OR s.instance = ANY($1)) \
             AND ($2::bigint IS NULL OR s.number < $2) ORDER BY s.number DESC LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(instances)
            .bind(before)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("list snapshots")?;
        Ok(rows.iter().map(snapshot).collect())
    }

    /// One snapshot.
    ///
    /// # Errors
    ///
    /// As [`Store::at_snapshot`].
    pub async fn load_snapshot(
        &self,
        which: Which,
    ) -> std::result::Result<Snapshot, SnapshotError> {
        let number = self.at_snapshot(which).await?.number;
        let statement = format!("SELECT {TOLD} WHERE s.number = $1");
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(number)
            .fetch_optional(self.pool())
            .await
            .to("read a snapshot")?;
        match row {
            Some(row) => Ok(snapshot(&row)),
            None => Err(self.why_not(number).await?),
        }
    }

    /// Keeps a snapshot and the versions that it needs for `period` from now, also beyond what is kept of history.
    /// A holder's second pin on it replaces the first. Answers when the last pin on it ends.
    ///
    /// # Errors
    ///
    /// As [`Store::at_snapshot`]; [`StoreError::Full`] when the holder has [`PINS_MAX`] pinned already.
    pub async fn pin_snapshot(
        &self,
        which: Which,
        holder: &str,
        period: Duration,
    ) -> std::result::Result<Snapshot, SnapshotError> {
        let number = self.at_snapshot(which).await?.number;
        let what = "pin a snapshot";
        let mut tx = self.pool().begin().await.to(what)?;
        if !lock(&mut tx, number).await? {
            drop(tx);
            return Err(self.why_not(number).await?);
        }
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM millpond.snapshot_pin WHERE holder = $1 AND number <> $2 AND until > now()",
        )
        .bind(holder)
        .bind(number)
        .fetch_one(&mut *tx)
        .await
        .to(what)?;
        if others >= PINS_MAX {
            return Err(StoreError::Full {
                what: "pinned snapshots",
                most: PINS_MAX,
            }
            .into());
        }
        sqlx::query(
            "INSERT INTO millpond.snapshot_pin (number, holder, until) \
             VALUES ($1, $2, now() + $3 * interval '1 millisecond') \
             ON CONFLICT (number, holder) DO UPDATE SET until = excluded.until",
        )
        .bind(number)
        .bind(holder)
        .bind(period.as_millis() as f64)
        .execute(&mut *tx)
        .await
        .to(what)?;
        tell_pins(&mut tx, number).await?;
        tx.commit().await.to(what)?;
        self.load_snapshot(Which::Number(number)).await
    }

    /// Takes a holder's pin off a snapshot. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn release_snapshot(&self, number: i64, holder: &str) -> Result<bool> {
        let what = "release a snapshot";
        let mut tx = self.pool().begin().await.to(what)?;
        lock(&mut tx, number).await?;
        let done =
            sqlx::query("DELETE FROM millpond.snapshot_pin WHERE number = $1 AND holder = $2")
                .bind(number)
                .bind(holder)
                .execute(&mut *tx)
                .await
                .to(what)?;
        tell_pins(&mut tx, number).await?;
        tx.commit().await.to(what)?;
        Ok(done.rows_affected() > 0)
    }

    /// Forgets the snapshots made before `before` that nobody has pinned, but for the newest, and pins that ended.
    pub(crate) async fn forget_snapshots_before(&self, before: Timestamp) -> Result<()> {
        sqlx::query(
            // A pin that comes meanwhile changes the row, and the condition is looked at again.
            "DELETE FROM millpond.snapshot WHERE at < $1 AND (pinned_until IS NULL OR pinned_until <= now()) \
             AND number < (SELECT max(number) FROM millpond.snapshot)",
        )
        .bind(before.to_sqlx())
        .execute(self.pool())
        .await
        .to("forget old snapshots")?;
        sqlx::query("DELETE FROM millpond.snapshot_pin WHERE until <= now()")
            .execute(self.pool())
            .await
            .to("forget old pins")?;
        Ok(())
    }
}

/// Keeps a snapshot's row from being forgotten until the transaction ends. Answers whether it is there.
async fn lock(tx: &mut PgConnection, number: i64) -> Result<bool> {
    let row = sqlx::query("SELECT FROM millpond.snapshot WHERE number = $1 FOR UPDATE")
        .bind(number)
        .fetch_optional(tx)
        .await
        .to("lock a snapshot")?;
    Ok(row.is_some())
}

/// Writes on a snapshot's row when the last of its pins ends.
async fn tell_pins(tx: &mut PgConnection, number: i64) -> Result<()> {
    sqlx::query(
        "UPDATE millpond.snapshot SET pinned_until = \
           (SELECT max(until) FROM millpond.snapshot_pin p WHERE p.number = $1 AND p.until > now()) WHERE number = $1",
    )
    .bind(number)
    .execute(tx)
    .await
    .to("note the pins of a snapshot")?;
    Ok(())
}
