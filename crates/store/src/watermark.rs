//! Up to when a resource's feed or listing is in.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{
    ResourceName, Store,
    error::{For, Result},
};

impl Store {
    /// Records that everything upstream said up to `as_of` is in. Never moves back.
    pub async fn move_watermark(
        &self,
        resource: &ResourceName,
        instance: &str,
        as_of: Timestamp,
        run: Option<i64>,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO millpond.watermark AS w (resource, instance, as_of, run) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (resource, instance) DO UPDATE SET as_of = excluded.as_of, run = excluded.run \
             WHERE w.as_of < excluded.as_of",
        )
        .bind(resource.as_str())
        .bind(instance)
        .bind(as_of.to_sqlx())
        .bind(run)
        .execute(self.pool())
        .await
        .to("move a watermark")?;
        Ok(())
    }

    /// The watermark of one resource, if any run of it is in.
    pub async fn watermark(
        &self,
        resource: &ResourceName,
        instance: &str,
    ) -> Result<Option<Timestamp>> {
        let found: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
            "SELECT as_of FROM millpond.watermark WHERE resource = $1 AND instance = $2",
        )
        .bind(resource.as_str())
        .bind(instance)
        .fetch_optional(self.pool())
        .await
        .to("read a watermark")?;
        Ok(found.map(|at| at.to_jiff()))
    }
}
