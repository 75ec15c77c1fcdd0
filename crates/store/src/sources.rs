//! Which jobs brought the versions of a resource: how much of what is known is owed to whom.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use sqlx::Row;

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

/// What one job brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// The instance.
    pub instance: String,
    /// The job: a resource, sweep or watch. `None`: no job, but somebody's read or write.
    pub job: Option<String>,
    /// The kind of the job.
    pub kind: Option<String>,
    /// Records that it brought for the first time.
    pub inserted: i64,
    /// Later versions that it brought.
    pub updated: i64,
    /// Its part of all later versions in this instance, 0 to 1; `None` when there are none.
    pub share: Option<f64>,
    /// When it last brought one.
    pub last_at: Timestamp,
}

impl Store {
    /// What each job brought of `resource` since `since`, most updates first. Versions that retention has removed
    /// do not count, and neither do deletions.
    pub async fn sources(
        &self,
        resource: &ResourceName,
        instance: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<Source>> {
        let rows = sqlx::query(
            "WITH v AS ( \
               SELECT instance, version, changed_at, run FROM millpond.record \
                WHERE resource = $1 AND ($2::text IS NULL OR instance = $2) AND changed_at >= $3 AND deleted_at IS NULL \
               UNION ALL \
               SELECT instance, version, changed_at, run FROM millpond.record_version \
                WHERE resource = $1 AND ($2::text IS NULL OR instance = $2) AND changed_at >= $3 AND deleted_at IS NULL), \
             s AS (SELECT v.instance, r.resource, r.kind, count(*) FILTER (WHERE v.version = 1) AS inserted, \
                     count(*) FILTER (WHERE v.version > 1) AS updated, max(v.changed_at) AS last_at \
                   FROM v LEFT JOIN millpond.run r ON r.id = v.run AND r.instance = v.instance GROUP BY 1, 2, 3) \
             SELECT *, (updated / nullif(sum(updated) OVER (PARTITION BY instance), 0))::double precision AS share \
             FROM s ORDER BY instance, updated DESC, inserted DESC, resource NULLS LAST, kind",
        )
        .bind(resource.as_str())
        .bind(instance)
        .bind(since.to_sqlx())
        .fetch_all(self.pool())
        .await
        .to("count what each job brought")?;
        let source = |row: &sqlx::postgres::PgRow| Source {
            instance: row.get(0),
            job: row.get(1),
            kind: row.get(2),
            inserted: row.get(3),
            updated: row.get(4),
            last_at: row.get::<jiff_sqlx::Timestamp, _>(5).to_jiff(),
            share: row.get(6),
        };
        Ok(rows.iter().map(source).collect())
    }
}
