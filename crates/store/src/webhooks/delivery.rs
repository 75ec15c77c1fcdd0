//! What became of what webhooks were told, and telling it again.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;

use super::Webhook;
use crate::{
    Store, StoreError,
    changes::ChangeCursor,
    error::{For, Result},
};

/// Changes on their way to a webhook's address, or that were.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// What the receiver knows it by.
    pub id: String,
    /// Deliveries of a webhook go out in the order of their numbers.
    pub number: i64,
    /// `pending`, `delivered`, `dead`, or `withheld`: the scope no longer sees any of it.
    pub state: String,
    /// How many changes it tells.
    pub changes: i32,
    /// Where the last of them stands in the feed.
    pub cursor: String,
    /// Attempts since it was made, or last replayed.
    pub attempts: i32,
    /// What was last answered.
    pub status: Option<i32>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was last tried.
    pub tried_at: Option<Timestamp>,
    /// When it arrived or was given up.
    pub ended_at: Option<Timestamp>,
}

impl Store {
    /// Up to `limit` deliveries of a webhook, newest first: in one state, with numbers below `before`.
    pub async fn deliveries(
        &self,
        webhook: &Webhook,
        state: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Delivery>> {
        let rows = sqlx::query(
            "SELECT id, number, state, change_count, last_cursor, attempts, status, error, made_at, tried_at, ended_at \
             FROM millpond.webhook_delivery WHERE webhook = $1 AND ($2::text IS NULL OR state = $2) \
               AND ($3::bigint IS NULL OR number < $3) ORDER BY number DESC LIMIT $4",
        )
        .bind(webhook.id)
        .bind(state)
        .bind(before)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("list deliveries")?;
        let delivery = |row: &sqlx::postgres::PgRow| {
            let time = |place: usize| {
                let at: Option<jiff_sqlx::Timestamp> = row.get(place);
                at.map(|at| at.to_jiff())
            };
            Delivery {
                id: row.get(0),
                number: row.get(1),
                state: row.get(2),
                changes: row.get(3),
                cursor: row.get(4),
                attempts: row.get(5),
                status: row.get(6),
                error: row.get(7),
                made_at: row.get::<jiff_sqlx::Timestamp, _>(8).to_jiff(),
                tried_at: time(9),
                ended_at: time(10),
            }
        };
        Ok(rows.iter().map(delivery).collect())
    }

    /// Puts a dead delivery back into the line, under its old id and in its old place; `None`: all dead ones. Answers
    /// how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when the webhook has no dead delivery of that id.
    pub async fn replay_dead(&self, webhook: &Webhook, id: Option<&str>) -> Result<u64> {
        const WHAT: &str = "replay a delivery";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        let done = sqlx::query(
            "UPDATE millpond.webhook_delivery SET state = 'pending', attempts = 0, ended_at = NULL \
             WHERE webhook = $1 AND state = 'dead' AND ($2::text IS NULL OR id = $2)",
        )
        .bind(webhook.id)
        .bind(id)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        if let (0, Some(id)) = (done.rows_affected(), id) {
            return Err(StoreError::Unknown {
                what: "dead delivery",
                name: id.chars().take(80).collect(),
            });
        }
        sqlx::query("UPDATE millpond.webhook SET rests_until = clock_timestamp() WHERE id = $1")
            .bind(webhook.id)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        tx.commit().await.to(WHAT)?;
        Ok(done.rows_affected())
    }

    /// Tells a webhook everything after `place` again, in new deliveries. What is on its way stays there.
    pub async fn replay_from(&self, webhook: &Webhook, place: ChangeCursor) -> Result<()> {
        let (tx, seq) = place.parts();
        sqlx::query(
            "UPDATE millpond.webhook SET tx = $2::text::xid8, seq = $3, missed_before = NULL, \
               rests_until = clock_timestamp() WHERE id = $1",
        )
        .bind(webhook.id)
        .bind(tx.to_string())
        .bind(seq)
        .execute(self.pool())
        .await
        .to("replay changes")?;
        Ok(())
    }
}
