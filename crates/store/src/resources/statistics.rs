//! What the planner knows of the resources' tables: it picks a bad index for a table that has grown unseen.

use sqlx::AssertSqlSafe;

use crate::{
    Store,
    error::{For, Result},
};

/// Changes that no table is looked at again for.
const CHANGES_MIN: i64 = 100;

impl Store {
    /// Has PostgreSQL look again at those resources' tables that have changed as many rows as they had when it last
    /// looked. Its autovacuum does so too, but only about once a minute, and for a first backfill that is late.
    /// Answers how many tables it were; one that somebody else holds or looks at just now is left out.
    ///
    /// Dropping the future leaves some tables for the next call.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn analyze_grown(&self) -> Result<usize> {
        let grown: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', s.schemaname, s.relname)
             FROM pg_inherits i
               JOIN pg_stat_user_tables s ON s.relid = i.inhrelid
               JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'millpond.record'::regclass
               AND s.n_mod_since_analyze > greatest(c.reltuples, 0) + $1",
        )
        .bind(CHANGES_MIN)
        .fetch_all(self.pool())
        .await
        .to("look for tables that have grown")?;
        for table in &grown {
            sqlx::query(AssertSqlSafe(format!("ANALYZE (SKIP_LOCKED) {table}")))
                .execute(self.pool())
                .await
                .to("analyse a table")?;
        }
        Ok(grown.len())
    }
}
