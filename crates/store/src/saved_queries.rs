//! Queries that somebody gave a name.

use serde::Serialize;
use sqlx::Row as _;

use crate::{
    Store, StoreError,
    error::{For as _, Result},
};

/// The most queries of a tenant, and of the operators.
const QUERIES_MAX: i64 = 500;

/// One statement under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SavedQuery {
    /// Its name: lower-case letters, digits and hyphens, at most 64.
    pub name: String,
    /// What it tells, for people.
    pub title: String,
    /// The statement.
    pub sql: String,
}

impl Store {
    /// The queries of a tenant, or (`None`) the operators'; by name.
    pub async fn saved_queries(&self, tenant: Option<&str>) -> Result<Vec<SavedQuery>> {
        let rows = sqlx::query(
            "SELECT name, title, sql FROM millpond.saved_query WHERE coalesce(tenant, '') = coalesce($1, '') \
             ORDER BY name",
        )
        .bind(tenant)
        .fetch_all(self.pool())
        .await
        .to("list saved queries")?;
        let query = |row: &sqlx::postgres::PgRow| SavedQuery {
            name: row.get(0),
            title: row.get(1),
            sql: row.get(2),
        };
        Ok(rows.iter().map(query).collect())
    }

    /// Makes a query of a tenant, or the operators', or puts another in its place.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when there are 500 already.
    pub async fn save_query(&self, tenant: Option<&str>, query: &SavedQuery) -> Result<()> {
        let done = sqlx::query(
            "INSERT INTO millpond.saved_query (tenant, name, title, sql) SELECT $1, $2, $3, $4 \
             WHERE EXISTS (SELECT FROM millpond.saved_query WHERE coalesce(tenant, '') = coalesce($1, '') AND name = $2) \
                OR (SELECT count(*) FROM millpond.saved_query WHERE coalesce(tenant, '') = coalesce($1, '')) < $5 \
             ON CONFLICT ((coalesce(tenant, '')), name) DO UPDATE \
               SET title = excluded.title, sql = excluded.sql, changed_at = now()",
        )
        .bind(tenant)
        .bind(&query.name)
        .bind(&query.title)
        .bind(&query.sql)
        .bind(QUERIES_MAX)
        .execute(self.pool())
        .await
        .to("save a query")?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Full {
                what: "saved queries",
                most: QUERIES_MAX,
            });
        }
        Ok(())
    }

    /// Removes a query.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that name.
    pub async fn remove_query(&self, tenant: Option<&str>, name: &str) -> Result<()> {
        let done = sqlx::query(
            "DELETE FROM millpond.saved_query WHERE coalesce(tenant, '') = coalesce($1, '') AND name = $2",
        )
        .bind(tenant)
        .bind(name)
        .execute(self.pool())
        .await
        .to("remove a query")?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Unknown {
                what: "saved query",
                name: name.to_owned(),
            });
        }
        Ok(())
    }
}
