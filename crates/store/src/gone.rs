//! Records that upstream no longer has: they become tombstones, never vanish.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{AssertSqlSafe, Row};

use crate::{
    ResourceName, Store,
    error::{For, Result},
    records::REPLACED,
};

impl Store {
    /// The ids of all live records of one resource and instance, `limit` at a time, after `after`.
    pub async fn live_ids(
        &self,
        resource: &ResourceName,
        instance: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>> {
        let statement = format!(
            "SELECT id FROM {} WHERE resource = '{resource}' AND instance = $1 AND id > $2 AND deleted_at IS NULL \
             ORDER BY id LIMIT $3",
            resource.sql()
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(instance)
            .bind(after)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("list record ids")
    }

    /// How many live records one resource has in one instance.
    pub async fn live_count(&self, resource: &ResourceName, instance: &str) -> Result<i64> {
        let statement = format!(
            "SELECT count(*) FROM {} WHERE resource = '{resource}' AND instance = $1 AND deleted_at IS NULL",
            resource.sql()
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(instance)
            .fetch_one(self.pool())
            .await
            .to("count records")
    }

    /// Notes that a whole listing, begun at `asked_at`, did not show `ids`, and that every other record was there.
    /// Answers the ids that have now been missing from `listings_min` listings in a row.
    ///
    /// Records that came in after the listing began are not missing.
    pub async fn note_missing(
        &self,
        resource: &ResourceName,
        instance: &str,
        ids: &[String],
        asked_at: Timestamp,
        listings_min: i32,
    ) -> Result<Vec<String>> {
        let mut tx = self.pool().begin().await.to("note missing records")?;
        sqlx::query("DELETE FROM millpond.missing WHERE resource = $1 AND instance = $2 AND NOT id = ANY($3)")
            .bind(resource.as_str())
            .bind(instance)
            .bind(ids)
            .execute(&mut *tx)
            .await
            .to("note missing records")?;
        let statement = format!(
            "INSERT INTO millpond.missing AS m (resource, instance, id, since) \
             SELECT '{resource}', $1, r.id, $3 FROM {} r \
             WHERE r.resource = '{resource}' AND r.instance = $1 AND r.id = ANY($2) AND r.asked_at < $3 \
               AND r.deleted_at IS NULL \
             ON CONFLICT (resource, instance, id) DO UPDATE SET listings = m.listings + 1 \
             RETURNING id, listings",
            resource.sql()
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(instance)
            .bind(ids)
            .bind(asked_at.to_sqlx())
            .fetch_all(&mut *tx)
            .await
            .to("note missing records")?;
        tx.commit().await.to("note missing records")?;
        Ok(rows
            .iter()
            .filter(|row| row.get::<i32, _>(1) >= listings_min)
            .map(|row| row.get(0))
            .collect())
    }

    /// Makes tombstones of live records that were last seen before `asked_at`, logs the deletes, and answers how many.
    /// Their `dependents` (resources with the same ids) go with them.
    pub async fn tombstone(
        &self,
        resource: &ResourceName,
        instance: &str,
        ids: &[String],
        asked_at: Timestamp,
        run: Option<i64>,
        dependents: &[ResourceName],
    ) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut tx = self.pool().begin().await.to("delete records")?;
        let mut gone = 0;
        for name in std::iter::once(resource).chain(dependents) {
            let rows = sqlx::query(AssertSqlSafe(format!(
                "WITH kept AS ( \
                   INSERT INTO millpond.record_version \
                     (resource, instance, id, version, body, hash, upstream_at, asked_at, changed_at, run, tx, deleted_at, ended_at) \
                   SELECT resource, instance, id, version, body, hash, upstream_at, asked_at, changed_at, run, tx, deleted_at, now() \
                   FROM (SELECT * FROM {table} WHERE resource = '{name}' AND instance = $1 AND id = ANY($2) \
                           AND deleted_at IS NULL AND asked_at <= $3 ORDER BY id FOR UPDATE) r \
                   ON CONFLICT (resource, instance, id, version) DO UPDATE SET {REPLACED} \
                   RETURNING id) \
                 SELECT id FROM kept",
                table = name.sql()
            )))
            .bind(instance)
            .bind(ids)
            .bind(asked_at.to_sqlx())
            .fetch_all(&mut *tx)
            .await
            .to("delete records")?;
            let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            sqlx::query(AssertSqlSafe(format!(
                "WITH gone AS (UPDATE {table} SET deleted_at = now(), changed_at = now(), version = version + 1, asked_at = $3, run = $4, \
                     tx = pg_current_xact_id() \
                   WHERE resource = '{name}' AND instance = $1 AND id = ANY($2) RETURNING id, version) \
                 INSERT INTO millpond.change (op, resource, instance, id, version) \
                 SELECT 'd', '{name}', $1, id, version FROM gone",
                table = name.sql()
            )))
            .bind(instance)
            .bind(&found)
            .bind(asked_at.to_sqlx())
            .bind(run)
            .execute(&mut *tx)
            .await
            .to("delete records")?;
            sqlx::query(
                "WITH q AS (DELETE FROM millpond.fetch_queue WHERE resource = $1 AND instance = $2 AND id = ANY($3) AND $4), \
                      f AS (DELETE FROM millpond.record_fetch WHERE resource = $1 AND instance = $2 AND id = ANY($3)) \
                 DELETE FROM millpond.missing WHERE resource = $1 AND instance = $2 AND id = ANY($3)",
            )
            .bind(name.as_str())
            .bind(instance)
            .bind(ids)
            // Whoever asked meanwhile for a fetch of the record itself still gets it.
            .bind(name != resource)
            .execute(&mut *tx)
            .await
            .to("delete records")?;
            if name == resource {
                gone = found.len() as u64;
            }
        }
        tx.commit().await.to("delete records")?;
        Ok(gone)
    }
}
