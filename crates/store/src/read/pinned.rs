//! Records as they were at a snapshot.
//!
//! A record's row is in the snapshot unless it changed since; then the newest of its kept versions that is in takes its
//! place. What changed since is found by the index on the rows' transactions, so that the price grows with the
//! changes, not with the records.
//!
//! Answers say the same for ever: `as_of` is when the call began that brought the version, not what is known by now,
//! and nothing is outdated.

use sqlx::{AssertSqlSafe, Postgres, QueryBuilder};

use super::{RecordRow, record};
use crate::{
    ResourceName, Store,
    error::{For, Result},
    snapshots::AtSnapshot,
};

/// Columns of a [`RecordRow`] from `r`, without anything that is known only by now.
pub(super) const PINNED: &str = "r.resource, r.instance, r.id, r.body::text, r.version, r.upstream_at, r.changed_at, \
    coalesce(r.asked_at, r.changed_at), r.deleted_at, r.run, false";
/// What both records and kept versions have.
pub(super) const BOTH: &str = "r.resource, r.instance, r.id, r.body, r.version, r.upstream_at, r.changed_at, \
    r.asked_at, r.deleted_at, r.run";

/// Adds whether the row `alias` is in the snapshot.
pub(super) fn push_is_in(query: &mut QueryBuilder<Postgres>, alias: &str, at: &AtSnapshot) {
    query
        .push(format_args!("millpond.is_in({alias}.tx, {alias}.run, "))
        .push_bind(at.txs.clone())
        .push("::text::pg_snapshot, ")
        .push_bind(at.open_runs.clone())
        .push(")");
}

/// Adds where the rows come from that changed since the snapshot, as `r`; `c` is what they are now, and conditions on
/// `c.instance` follow.
pub(super) fn push_changed_since(
    query: &mut QueryBuilder<Postgres>,
    resource: &ResourceName,
    at: &AtSnapshot,
) {
    query.push(format_args!(
        "SELECT {BOTH} FROM {} c CROSS JOIN LATERAL ( \
           SELECT * FROM millpond.record_version v WHERE v.resource = '{resource}' AND v.instance = c.instance \
             AND v.id = c.id AND ",
        resource.sql()
    ));
    push_is_in(query, "v", at);
    query
        .push(" ORDER BY v.version DESC LIMIT 1) r WHERE ")
        .push(format_args!("c.resource = '{resource}' AND c.tx >= "))
        .push_bind(at.since.clone())
        .push("::text::xid8 AND NOT ");
    push_is_in(query, "c", at);
}

impl Store {
    /// One record as it was at a snapshot, also when it was deleted upstream then; `None`: the mirror did not have it.
    ///
    /// # Errors
    ///
    /// When the database fails. Ask [`Store::still_kept`] afterwards: versions of a snapshot that was forgotten
    /// meanwhile may have been gone.
    pub async fn find_record_at(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        at: &AtSnapshot,
    ) -> Result<Option<RecordRow>> {
        let of = |query: &mut QueryBuilder<Postgres>| {
            query
                .push(format_args!(" r.resource = '{resource}' AND r.instance = "))
                .push_bind(instance.to_owned())
                .push(" AND r.id = ")
                .push_bind(id.to_owned())
                .push(" AND ");
            push_is_in(query, "r", at);
        };
        let mut query = QueryBuilder::new(format!(
            "SELECT {PINNED} FROM ((SELECT {BOTH} FROM {} r WHERE",
            resource.sql()
        ));
        of(&mut query);
        query.push(format_args!(
            ") UNION ALL (SELECT {BOTH} FROM millpond.record_version r WHERE"
        ));
        of(&mut query);
        query.push(" ORDER BY r.version DESC LIMIT 1)) r ORDER BY r.version DESC LIMIT 1");
        let row = query
            .build()
            .fetch_optional(self.pool())
            .await
            .to("read a record at a snapshot")?;
        row.as_ref().map(record).transpose()
    }

    /// One version of a record; `None`: there is none of that number, or it is no longer kept.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn find_version(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        version: i64,
    ) -> Result<Option<RecordRow>> {
        let of = format!(
            "r WHERE r.resource = '{resource}' AND r.instance = $1 AND r.id = $2 AND r.version = $3"
        );
        let statement = format!(
            "SELECT {PINNED} FROM (SELECT {BOTH} FROM {} {of} UNION ALL \
               SELECT {BOTH} FROM millpond.record_version {of}) r LIMIT 1",
            resource.sql()
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(instance)
            .bind(id)
            .bind(version)
            .fetch_optional(self.pool())
            .await
            .to("read a version of a record")?;
        row.as_ref().map(record).transpose()
    }
}
