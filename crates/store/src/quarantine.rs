//! What PostgreSQL cannot hold is kept as received, with the reason.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    ResourceName, Store,
    error::{For, Result},
    records::Refused,
};

/// Bytes of a refused body that are kept; the rest is cut off, and the reason says so.
pub const QUARANTINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One refused record.
#[derive(Debug, Serialize)]
pub struct Quarantined {
    /// Its resource.
    pub resource: String,
    /// Its instance.
    pub instance: String,
    /// Its id, empty when it had none.
    pub id: String,
    /// Why it was refused.
    pub reason: String,
    /// Its size as kept.
    pub bytes: i64,
    /// When it was first refused.
    pub first_at: Timestamp,
    /// When it was last refused.
    pub last_at: Timestamp,
    /// How often it was refused.
    pub seen: i64,
}

impl Store {
    /// Keeps a refused record. The same body again only counts.
    pub async fn quarantine(
        &self,
        resource: &ResourceName,
        instance: &str,
        refused: &Refused,
        run: Option<i64>,
    ) -> Result<()> {
        let mut reason = refused.reason.replace('\0', "\u{fffd}");
        let body = &refused.body[..refused.body.len().min(QUARANTINE_BYTES_MAX)];
        if body.len() < refused.body.len() {
            reason = format!(
                "{reason} (kept: the first {QUARANTINE_BYTES_MAX} of {} bytes)",
                refused.body.len()
            );
        }
        let mut id = refused.id.replace('\0', "\u{fffd}");
        id.truncate(id.floor_char_boundary(crate::records::ID_BYTES_MAX));
        sqlx::query(
            "INSERT INTO millpond.quarantine AS q (resource, instance, id, hash, reason, body, run) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (resource, instance, id, hash) DO UPDATE \
             SET last_at = now(), seen = q.seen + 1, reason = excluded.reason, run = excluded.run",
        )
        .bind(resource.as_str())
        .bind(instance)
        .bind(id)
        .bind(&xxh3_128(&refused.body).to_be_bytes()[..])
        .bind(reason)
        .bind(body)
        .bind(run)
        .execute(self.pool())
        .await
        .to("quarantine a record")?;
        Ok(())
    }

    /// The latest `limit` refused records.
    pub async fn quarantined(&self, limit: i64) -> Result<Vec<Quarantined>> {
        let rows = sqlx::query(
            "SELECT resource, instance, id, reason, octet_length(body)::bigint, first_at, last_at, seen \
             FROM millpond.quarantine ORDER BY last_at DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("list the quarantine")?;
        rows.iter()
            .map(|row| {
                Ok(Quarantined {
                    resource: row.try_get(0)?,
                    instance: row.try_get(1)?,
                    id: row.try_get(2)?,
                    reason: row.try_get(3)?,
                    bytes: row.try_get(4)?,
                    first_at: row.try_get::<jiff_sqlx::Timestamp, _>(5)?.to_jiff(),
                    last_at: row.try_get::<jiff_sqlx::Timestamp, _>(6)?.to_jiff(),
                    seen: row.try_get(7)?,
                })
            })
            .collect::<std::result::Result<_, sqlx::Error>>()
            .to("list the quarantine")
    }

    /// How many records are in quarantine.
    pub async fn quarantine_count(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT count(*) FROM millpond.quarantine")
            .fetch_one(self.pool())
            .await
            .to("count the quarantine")
    }
}
