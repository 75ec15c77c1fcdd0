//! Whole sets of mirrored bodies, as a plan reads them: one statement per resource.

use sqlx::{AssertSqlSafe, Row};

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

/// One live record.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// Its JSON.
    pub body: String,
}

impl Store {
    /// Every live record of `resource` in which `json_path` finds something, by id; an empty path takes all.
    ///
    /// With a `parent` the path is put to the parent's row of the same id, which is smaller.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] when the path is none.
    pub async fn live_bodies(
        &self,
        resource: &ResourceName,
        instance: &str,
        parent: Option<&ResourceName>,
        json_path: &str,
    ) -> Result<Vec<Body>> {
        let filter = |alias: &str| match json_path {
            "" => String::new(),
            _ => format!(" AND {alias}.body @? $2::text::jsonpath"),
        };
        let statement = match parent {
            None => format!(
                "SELECT r.id, r.version, r.body::text FROM {} r WHERE r.resource = '{resource}' AND r.instance = $1 \
                 AND r.deleted_at IS NULL{} ORDER BY r.id",
                resource.sql(),
                filter("r")
            ),
            Some(parent) => format!(
                "SELECT r.id, r.version, r.body::text FROM {} p JOIN {} r ON r.resource = '{resource}' \
                 AND r.instance = p.instance AND r.id = p.id AND r.deleted_at IS NULL \
                 WHERE p.resource = '{parent}' AND p.instance = $1 AND p.deleted_at IS NULL{} ORDER BY r.id",
                parent.sql(),
                resource.sql(),
                filter("p")
            ),
        };
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(instance);
        if !json_path.is_empty() {
            query = query.bind(json_path);
        }
        let rows = query
            .fetch_all(self.pool())
            .await
            .to("read the records of a plan")?;
        let body = |row: sqlx::postgres::PgRow| Body {
            id: row.get(0),
            version: row.get(1),
            body: row.get(2),
        };
        Ok(rows.into_iter().map(body).collect())
    }
}
