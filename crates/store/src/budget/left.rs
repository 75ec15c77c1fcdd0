//! What a budget has left at the moment, for those who decide whether a call is worth it.

use std::time::Duration;

use sqlx::Row;

use crate::{
    Store,
    error::{For, Result},
};

/// What the connections of an instance may call, all together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallsLeft {
    /// Most calls in any window; `None`: a connection has no limit.
    pub limit: Option<u32>,
    /// How long the window is: of several, one that keeps the rate.
    pub window: Duration,
    /// Calls that could start now.
    pub free: u32,
    /// Calls that people's reads made in the window that is ending.
    pub people: u32,
    /// Calls of classes that nobody decides about: events, changes, sweeps, backfill.
    pub others: u32,
}

impl Store {
    /// What the connections of an instance have left: those that are parked, set aside or disabled have nothing.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn calls_left(&self, instance: &str) -> Result<CallsLeft> {
        let row = sqlx::query(
            "WITH each AS (SELECT k.calls IS NULL AS unlimited, k.window_ms, \
                 coalesce(k.parked_until, '-infinity') <= clock_timestamp() AS is_open, \
                 greatest(1, floor(k.calls * k.share * coalesce(least(1, k.learned + 0.1 * floor(extract(epoch FROM \
                   clock_timestamp() - k.learned_at) * 1000 / (k.window_ms * 10.0))), 1)))::bigint AS calls, \
                 (SELECT count(*) FROM millpond.budget_slot s WHERE s.instance = k.instance AND s.connection = k.name \
                   AND s.free_at > clock_timestamp()) AS used, \
                 (SELECT count(*) FROM millpond.budget_slot s WHERE s.instance = k.instance AND s.connection = k.name \
                   AND s.free_at > clock_timestamp() AND s.class = 0) AS people, \
                 (SELECT count(*) FROM millpond.budget_slot s WHERE s.instance = k.instance AND s.connection = k.name \
                   AND s.free_at > clock_timestamp() AND s.class NOT IN (0, 2)) AS others \
               FROM millpond.connection k WHERE k.instance = $1 AND k.enabled AND k.set_aside_at IS NULL) \
             SELECT coalesce(bool_or(unlimited AND is_open), false), \
               coalesce(sum(calls) FILTER (WHERE NOT unlimited), 0)::bigint, \
               coalesce(sum(calls::float8 / window_ms) FILTER (WHERE NOT unlimited), 0)::float8, \
               coalesce(sum(greatest(0, calls - used)) FILTER (WHERE is_open AND NOT unlimited), 0)::bigint, \
               coalesce(sum(people), 0)::bigint, coalesce(sum(others), 0)::bigint FROM each",
        )
        .bind(instance)
        .fetch_one(self.pool())
        .await
        .to("ask what the budget has left")?;
        let count = |place: usize| u32::try_from(row.get::<i64, _>(place)).unwrap_or(u32::MAX);
        let limit = count(1);
        let per_ms: f64 = row.get(2);
        let window_ms = if per_ms > 0.0 {
            f64::from(limit) / per_ms
        } else {
            60_000.0
        };
        let unlimited: bool = row.get(0);
        Ok(CallsLeft {
            limit: (!unlimited).then_some(limit),
            window: Duration::from_secs_f64(window_ms / 1_000.0),
            free: count(3),
            people: count(4),
            others: count(5),
        })
    }
}
