//! Records in the order in which they changed upstream.

use sqlx::AssertSqlSafe;

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

impl Store {
    /// The ids of all live records, the latest changed upstream first; those that do not say when come last, and ties
    /// are in the order of ids, shorter ones (smaller numbers) first.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn newest_first(
        &self,
        resource: &ResourceName,
        instance: &str,
    ) -> Result<Vec<String>> {
        let statement = format!(
            "SELECT id FROM {} WHERE resource = '{resource}' AND instance = $1 AND deleted_at IS NULL \
             ORDER BY upstream_at DESC NULLS LAST, length(id), id",
            resource.sql()
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(instance)
            .fetch_all(self.pool())
            .await
            .to("list records by their last change")
    }
}
