//! The tables that users query: one partition per resource, its indexes, and the flattening views.

mod columns;
mod statistics;
mod views;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    ResourceName, Store,
    error::{For, Result},
};
pub use columns::{NamedColumn, ViewColumns};
pub use views::{ColumnKind, ViewColumn, ViewSpec};

impl Store {
    /// Makes the resource's table if it is not there. Its indexes come with [`Store::build_indexes`], so that the
    /// first backfill writes into a bare table.
    pub async fn ensure_resource(&self, resource: &ResourceName) -> Result<()> {
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(resource.sql())
            .fetch_one(self.pool())
            .await
            .to("look for a resource's table")?;
        if exists {
            return Ok(());
        }
        let mut connection = self.pool().acquire().await.to("make a resource's table")?;
        let mut tx = connection.begin().await.to("make a resource's table")?;
        // Two processes may start at once.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('millpond.tables', 0))")
            .execute(&mut *tx)
            .await
            .to("make a resource's table")?;
        for statement in [
            format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", resource.schema()),
            format!(
                "CREATE TABLE IF NOT EXISTS {} PARTITION OF millpond.record FOR VALUES IN ('{resource}')",
                resource.sql()
            ),
            // Bodies change whole: room for the next version on the same page, and a quick compression.
            format!(
                "ALTER TABLE {} SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05)",
                resource.sql()
            ),
            // Whoever is let in sees all, but for tenants, whom a policy of theirs restricts.
            format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", resource.sql()),
            format!(
                "DO $$ BEGIN CREATE POLICY everyone ON {} USING (true) WITH CHECK (true); \
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$",
                resource.sql()
            ),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *tx)
                .await
                .to("make a resource's table")?;
        }
        tx.commit().await.to("make a resource's table")
    }

    /// Builds what is missing of the resource's indexes: containment over the whole body, newest first, by
    /// transaction, and one per path in `paths`. Readers and writers go on meanwhile. Answers how many it built; none while another process
    /// builds them.
    ///
    /// Dropping the future leaves an index half built; the next call builds it anew.
    pub async fn build_indexes(
        &self,
        resource: &ResourceName,
        paths: &[Vec<String>],
    ) -> Result<usize> {
        let mut connection = self.pool().acquire().await.to("build indexes")?;
        let ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 1))")
            .bind(resource.as_str())
            .fetch_one(&mut *connection)
            .await
            .to("build indexes")?;
        if !ours {
            return Ok(0);
        }
        let built = build_missing(&mut connection, resource, paths).await;
        sqlx::query("SELECT pg_advisory_unlock(hashtextextended($1, 1))")
            .bind(resource.as_str())
            .execute(&mut *connection)
            .await
            .to("build indexes")?;
        built
    }
}

async fn build_missing(
    connection: &mut PgConnection,
    resource: &ResourceName,
    paths: &[Vec<String>],
) -> Result<usize> {
    let mut built = 0;
    for (name, definition) in indexes(resource, paths) {
        let valid: Option<bool> = sqlx::query_scalar(
            "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass($1)",
        )
        .bind(format!("\"{}\".\"{name}\"", resource.schema()))
        .fetch_optional(&mut *connection)
        .await
        .to("look for an index")?;
        if valid == Some(true) {
            continue;
        }
        if valid == Some(false) {
            let statement = format!("DROP INDEX IF EXISTS \"{}\".\"{name}\"", resource.schema());
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await
                .to("drop a half-built index")?;
        }
        if built == 0 {
            // The planner has to know the table before anybody asks through the index.
            let statement = format!("ANALYZE {}", resource.sql());
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await
                .to("analyse a table")?;
        }
        let statement = format!(
            "CREATE INDEX CONCURRENTLY \"{name}\" ON {} {definition}",
            resource.sql()
        );
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
            .to("build an index")?;
        built += 1;
    }
    Ok(built)
}

/// Name and definition of each index that a resource should have.
fn indexes(resource: &ResourceName, paths: &[Vec<String>]) -> Vec<(String, String)> {
    let table = resource.table();
    let mut wanted = vec![
        (
            format!("{table}_body"),
            "USING gin (body jsonb_path_ops)".to_owned(),
        ),
        (
            format!("{table}_newest"),
            "(instance, upstream_at DESC NULLS LAST, id)".to_owned(),
        ),
        // What changed since a snapshot.
        (format!("{table}_tx"), "(tx)".to_owned()),
    ];
    for path in paths {
        let label: String = path
            .join("_")
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let mut name = format!("{table}_by_{label}");
        name.truncate(60);
        wanted.push((name, format!("((body #>> {}))", text_array(path))));
    }
    wanted
}

/// A text[] literal.
fn text_array(parts: &[String]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| literal(part)).collect();
    format!("ARRAY[{}]::text[]", parts.join(", "))
}

/// A text literal, safe with every setting of `standard_conforming_strings`.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
