//! Records that a write has overtaken: what the mirror has of them is known to be old.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

impl Store {
    /// Marks what the mirror has of some records as outdated: every answer that was asked for up to `until`. Rows need
    /// not be there yet. Processes with hot values of them hear of it in [`Store::touched_after`]. A later mark replaces an earlier one, also by an earlier moment.
    ///
    /// # Errors
    ///
    /// The database's own; nothing is marked then.
    pub async fn mark_outdated(
        &self,
        instance: &str,
        records: &[(ResourceName, String)],
        until: Timestamp,
    ) -> Result<()> {
        let (resources, ids): (Vec<&str>, Vec<&str>) = records
            .iter()
            .map(|(resource, id)| (resource.as_str(), id.as_str()))
            .unzip();
        // One order for all writers.
        sqlx::query(
            "WITH rows AS (SELECT DISTINCT resource, id FROM unnest($2::text[], $3::text[]) AS i (resource, id)), \
             told AS (INSERT INTO millpond.overtaken (resource, instance, id) SELECT resource, $1, id FROM rows) \
             INSERT INTO millpond.record_fetch AS f (resource, instance, id, asked_at, fetched_at, outdated_at) \
             SELECT resource, $1, id, 'epoch'::timestamptz, 'epoch'::timestamptz, $4 FROM rows ORDER BY resource, id \
             ON CONFLICT (resource, instance, id) DO UPDATE SET outdated_at = excluded.outdated_at",
        )
        .bind(instance)
        .bind(resources)
        .bind(ids)
        .bind(until.to_sqlx())
        .execute(self.pool())
        .await
        .to("mark records as outdated")?;
        Ok(())
    }
}
