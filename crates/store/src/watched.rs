//! What a watched listing came to per record when that record was last fetched.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::Row;

use crate::{
    ResourceName, Store,
    error::{For, Result},
    records::Lease,
};

/// What is known of one record that a listing tells of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchedItem {
    /// What its lines added up to when it was last fetched, in the connector's order; empty: it had no lines.
    pub totals: Vec<String>,
    /// When it was fetched; `None`: never, it is known from the first look.
    pub fetched_at: Option<Timestamp>,
    /// When it was last its turn, also if the fetch failed.
    pub tried_at: Option<Timestamp>,
}

/// How a look changes what is known of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchStep {
    /// It is known without having been fetched: the first look.
    Known(Vec<String>),
    /// It was fetched when its lines added up to this.
    Fetched(Vec<String>),
    /// Fetching it failed.
    Failed,
}

impl Store {
    /// What is known of all records that `watch` tells of; empty before its first look.
    pub async fn watched(
        &self,
        instance: &str,
        watch: &ResourceName,
    ) -> Result<BTreeMap<String, WatchedItem>> {
        let rows = sqlx::query(
            "SELECT item, totals, fetched_at, tried_at FROM millpond.watch_item WHERE instance = $1 AND watch = $2",
        )
        .bind(instance)
        .bind(watch.as_str())
        .fetch_all(self.pool())
        .await
        .to("read what a watch knows")?;
        let time = |at: Option<jiff_sqlx::Timestamp>| at.map(|at| at.to_jiff());
        Ok(rows
            .iter()
            .map(|row| {
                let item = WatchedItem {
                    totals: row.get(1),
                    fetched_at: time(row.get(2)),
                    tried_at: time(row.get(3)),
                };
                (row.get(0), item)
            })
            .collect())
    }

    /// Notes what a look at `at` came to, under the lease of its job.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost) when another process has taken the job; nothing is noted.
    pub async fn note_watched(
        &self,
        lease: &Lease,
        steps: &[(String, WatchStep)],
        at: Timestamp,
    ) -> Result<()> {
        let mut tx = self.pool().begin().await.to("note what a watch saw")?;
        let held = sqlx::query(
            "SELECT FROM millpond.job WHERE instance = $1 AND resource = $2 AND kind = $3 AND lease_token = $4 FOR UPDATE",
        )
        .bind(&lease.instance)
        .bind(lease.resource.as_str())
        .bind(&lease.kind)
        .bind(lease.token)
        .fetch_optional(&mut *tx)
        .await
        .to("note what a watch saw")?;
        if held.is_none() {
            return Err(lease.lost());
        }
        let items: Vec<&str> = steps.iter().map(|(item, _)| item.as_str()).collect();
        // Arrays of arrays must be rectangles in PostgreSQL: the totals travel as JSON.
        let totals: Vec<Option<serde_json::Value>> = steps
            .iter()
            .map(|(_, step)| match step {
                WatchStep::Known(totals) | WatchStep::Fetched(totals) => {
                    Some(totals.clone().into())
                }
                WatchStep::Failed => None,
            })
            .collect();
        let fetched: Vec<bool> = steps
            .iter()
            .map(|(_, step)| matches!(step, WatchStep::Fetched(_)))
            .collect();
        let tried: Vec<bool> = steps
            .iter()
            .map(|(_, step)| !matches!(step, WatchStep::Known(_)))
            .collect();
        sqlx::query(
            "INSERT INTO millpond.watch_item AS w (instance, watch, item, totals, fetched_at, tried_at) \
             SELECT $1, $2, item, coalesce((SELECT array_agg(value ORDER BY place) \
                                            FROM jsonb_array_elements_text(totals) WITH ORDINALITY t (value, place)), '{}'), \
                    CASE WHEN fetched THEN $7 END, CASE WHEN tried THEN $7 END \
             FROM unnest($3::text[], $4::jsonb[], $5::bool[], $6::bool[]) AS s (item, totals, fetched, tried) \
             ON CONFLICT (instance, watch, item) DO UPDATE SET \
               totals = CASE WHEN excluded.fetched_at IS NULL AND excluded.tried_at IS NOT NULL THEN w.totals \
                             ELSE excluded.totals END, \
               fetched_at = coalesce(excluded.fetched_at, w.fetched_at), \
               tried_at = coalesce(excluded.tried_at, w.tried_at)",
        )
        .bind(&lease.instance)
        .bind(lease.resource.as_str())
        .bind(items)
        .bind(totals)
        .bind(fetched)
        .bind(tried)
        .bind(at.to_sqlx())
        .execute(&mut *tx)
        .await
        .to("note what a watch saw")?;
        tx.commit().await.to("note what a watch saw")
    }
}
