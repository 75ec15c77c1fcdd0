//! Reading records: one by id with its age, many by criteria, one through its history.

mod criteria;
mod facets;
mod pinned;
mod search;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use crate::{
    ResourceName, Store,
    error::{For, Result, sqlstate},
    records::Incoming,
};
pub use criteria::{BadCriterion, BadPath, Comparison, Criterion, FieldPath};
pub(crate) use facets::facets_on;
pub use facets::{
    FACET_RECORDS_MAX, FACET_VALUES_MAX, FACETS_MAX, Facet, FacetAsk, FacetValue, Facets,
};
pub(crate) use search::search_on;
pub use search::{Search, SearchPage};

/// A record as readers see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordRow {
    /// Its resource.
    pub resource: String,
    /// Its instance.
    pub instance: String,
    /// Its id.
    pub id: String,
    /// Its JSON; key order is PostgreSQL's, numbers are exact.
    pub body: Box<RawValue>,
    /// Grows by one with each change.
    pub version: i64,
    /// Upstream's stamp of the last change.
    pub upstream_at: Option<Timestamp>,
    /// When this version came in.
    pub changed_at: Timestamp,
    /// When upstream was last known to say this.
    pub as_of: Timestamp,
    /// Since when it is gone upstream.
    pub deleted_at: Option<Timestamp>,
    /// The run that brought this version.
    pub run: Option<i64>,
    /// Whether a write has gone to upstream that this does not show yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
}

/// A version that a record once had.
#[derive(Debug, Serialize)]
pub struct RecordVersion {
    /// Its number.
    pub version: i64,
    /// Its JSON.
    pub body: Box<RawValue>,
    /// When it came in.
    pub changed_at: Timestamp,
    /// When the next one replaced it.
    pub ended_at: Timestamp,
    /// The run that brought it.
    pub run: Option<i64>,
    /// Whether it says that the record was gone.
    pub deleted: bool,
}

/// Columns of a [`RecordRow`] from `r`, its own fetch `f`, the queue `q` and the feed's watermark `w`: a record
/// is fresh as of the later of its own fetch and its feed's watermark, unless a fetch of it is still to come.
const COLUMNS: &str = "r.resource, r.instance, r.id, r.body::text, r.version, r.upstream_at, r.changed_at, \
    greatest(r.asked_at, f.fetched_at, CASE WHEN q.id IS NULL THEN w.as_of END), r.deleted_at, r.run, \
    coalesce(f.outdated_at >= greatest(r.asked_at, f.asked_at, CASE WHEN q.id IS NULL THEN w.as_of END), false)";

/// The joins for [`COLUMNS`]; `$1` is the resource whose watermark counts.
const JOINS: &str = "LEFT JOIN millpond.record_fetch f ON f.resource = r.resource AND f.instance = r.instance AND f.id = r.id \
    LEFT JOIN millpond.fetch_queue q ON q.resource = r.resource AND q.instance = r.instance AND q.id = r.id \
    LEFT JOIN millpond.watermark w ON w.resource = $1 AND w.instance = r.instance";

fn record(row: &PgRow) -> Result<RecordRow> {
    let time = |at: jiff_sqlx::Timestamp| at.to_jiff();
    let body: String = row.get(3);
    Ok(RecordRow {
        resource: row.get(0),
        instance: row.get(1),
        id: row.get(2),
        body: raw(body)?,
        version: row.get(4),
        upstream_at: row.get::<Option<jiff_sqlx::Timestamp>, _>(5).map(time),
        changed_at: time(row.get(6)),
        as_of: time(row.get(7)),
        deleted_at: row.get::<Option<jiff_sqlx::Timestamp>, _>(8).map(time),
        run: row.get(9),
        outdated: row.get(10),
    })
}

/// Data exceptions and program limits: the record's own fault.
fn is_bad_data(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}

fn raw(body: String) -> Result<Box<RawValue>> {
    RawValue::from_string(body)
        .map_err(|e| sqlx::Error::Decode(Box::new(e)))
        .to("read a record's body")
}

impl Store {
    /// One record, also when it is deleted upstream. `feed` is the resource whose watermark says how fresh
    /// unchanged records are: the resource itself, or its parent.
    pub async fn find_record(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        feed: &ResourceName,
    ) -> Result<Option<RecordRow>> {
        let found = self.read_record(resource, instance, id, feed).await?;
        Ok(found.map(|(record, _)| record))
    }

    /// [`Store::find_record`] and the newest snapshot at the same moment, in one statement.
    pub async fn read_record(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        feed: &ResourceName,
    ) -> Result<Option<(RecordRow, i64)>> {
        let statement = format!(
            "SELECT {COLUMNS}, (SELECT coalesce(max(number), 0) FROM millpond.snapshot) FROM {} r {JOINS} \
             WHERE r.resource = '{resource}' AND r.instance = $2 AND r.id = $3",
            resource.sql()
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(feed.as_str())
            .bind(instance)
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .to("read a record")?;
        let found = |row: &PgRow| Ok((record(row)?, row.get(11)));
        row.as_ref().map(found).transpose()
    }

    /// Records by their ids, in no order; those that are not there are left out. `feed` as in [`Store::find_record`].
    pub async fn find_records(
        &self,
        resource: &ResourceName,
        instance: &str,
        ids: &[String],
        feed: &ResourceName,
    ) -> Result<Vec<RecordRow>> {
        let statement = format!(
            "SELECT {COLUMNS} FROM {} r {JOINS} WHERE r.resource = '{resource}' AND r.instance = $2 AND r.id = ANY($3)",
            resource.sql()
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(feed.as_str())
            .bind(instance)
            .bind(ids)
            .fetch_all(self.pool())
            .await
            .to("read records")?;
        rows.iter().map(record).collect()
    }

    /// As of when upstream is known to say what the mirror has of live records, by id. `feed` as in
    /// [`Store::find_record`]; a record that is not there has no answer.
    pub async fn as_of(
        &self,
        resource: &ResourceName,
        instance: &str,
        ids: &[String],
        feed: &ResourceName,
    ) -> Result<HashMap<String, Timestamp>> {
        let rows = self.find_records(resource, instance, ids, feed).await?;
        let live = rows
            .into_iter()
            .filter(|row| row.deleted_at.is_none() && !row.outdated);
        Ok(live.map(|row| (row.id, row.as_of)).collect())
    }

    /// Earlier versions of a record, newest first.
    pub async fn history(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        limit: i64,
    ) -> Result<Vec<RecordVersion>> {
        let rows = sqlx::query(
            "SELECT version, body::text, changed_at, ended_at, run, deleted_at IS NOT NULL FROM millpond.record_version \
             WHERE resource = $1 AND instance = $2 AND id = $3 ORDER BY version DESC LIMIT $4",
        )
        .bind(resource.as_str())
        .bind(instance)
        .bind(id)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("read a record's history")?;
        rows.iter()
            .map(|row| {
                Ok(RecordVersion {
                    version: row.get(0),
                    body: raw(row.get(1))?,
                    changed_at: row.get::<jiff_sqlx::Timestamp, _>(2).to_jiff(),
                    ended_at: row.get::<jiff_sqlx::Timestamp, _>(3).to_jiff(),
                    run: row.get(4),
                    deleted: row.get(5),
                })
            })
            .collect()
    }

    /// Some live records' bodies, picked evenly by a seed: the sample that `verify` compares.
    pub async fn sample_ids(
        &self,
        resource: &ResourceName,
        instance: &str,
        seed: i64,
        limit: i64,
    ) -> Result<Vec<String>> {
        let statement = format!(
            "SELECT id FROM {} WHERE resource = '{resource}' AND instance = $1 AND deleted_at IS NULL \
             ORDER BY hashtextextended(id, $2) LIMIT $3",
            resource.sql()
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(instance)
            .bind(seed)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("pick a sample of records")
    }

    /// Compares bodies that upstream sent with the mirror's, as JSON and by hash. Answers the ids that the mirror
    /// lacks, and those that differ. What PostgreSQL cannot hold is neither: it is in quarantine.
    pub async fn compare(
        &self,
        resource: &ResourceName,
        instance: &str,
        records: &[Incoming],
    ) -> Result<(Vec<String>, Vec<String>)> {
        let (mut missing, mut differing) = (Vec::new(), Vec::new());
        let mut pieces = vec![records];
        while let Some(piece) = pieces.pop() {
            match self.compare_piece(resource, instance, piece).await {
                Ok((lacked, wrong)) => {
                    missing.extend(lacked);
                    differing.extend(wrong);
                }
                Err(error) if is_bad_data(&error) => {
                    if piece.len() > 1 {
                        let (left, right) = piece.split_at(piece.len() / 2);
                        pieces.extend([right, left]);
                    }
                }
                Err(error) => return Err(error).to("compare records"),
            }
        }
        Ok((missing, differing))
    }

    async fn compare_piece(
        &self,
        resource: &ResourceName,
        instance: &str,
        records: &[Incoming],
    ) -> std::result::Result<(Vec<String>, Vec<String>), sqlx::Error> {
        let statement = format!(
            "SELECT i.id, r.id IS NULL FROM unnest($2::text[], $3::text[], $4::bytea[]) AS i (id, body, hash) \
             LEFT JOIN LATERAL (SELECT id, hash, body FROM {} WHERE resource = '{resource}' AND instance = $1 \
               AND id = i.id AND deleted_at IS NULL LIMIT 1) r ON true \
             WHERE (r.id IS NULL OR r.hash <> i.hash OR r.body <> i.body::jsonb) \
               AND NOT EXISTS (SELECT FROM millpond.quarantine q WHERE q.resource = '{resource}' AND q.instance = $1 \
                                 AND q.id = i.id AND q.hash = i.hash)",
            resource.sql()
        );
        let ids: Vec<&str> = records.iter().map(|r| r.id.as_str()).collect();
        let bodies: Vec<String> = records
            .iter()
            .map(|r| String::from_utf8_lossy(&r.body).into_owned())
            .collect();
        let hashes: Vec<&[u8]> = records.iter().map(|r| &r.hash[..]).collect();
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(instance)
            .bind(ids)
            .bind(bodies)
            .bind(hashes)
            .fetch_all(self.pool())
            .await?;
        let (missing, differing): (Vec<&PgRow>, Vec<&PgRow>) =
            rows.iter().partition(|row| row.get::<bool, _>(1));
        let ids = |rows: Vec<&PgRow>| rows.iter().map(|row| row.get(0)).collect();
        Ok((ids(missing), ids(differing)))
    }

    /// Forgets the hashes of records whose bodies are known to be wrong, so that the next write replaces them.
    pub async fn distrust(
        &self,
        resource: &ResourceName,
        instance: &str,
        ids: &[String],
    ) -> Result<u64> {
        let statement = format!(
            "UPDATE {} SET hash = '' WHERE resource = '{resource}' AND instance = $1 AND id = ANY($2)",
            resource.sql()
        );
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(instance)
            .bind(ids)
            .execute(self.pool())
            .await
            .to("mark wrong records")?;
        Ok(done.rows_affected())
    }
}
