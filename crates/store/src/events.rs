//! What happened, told as it happens: runs, sweeps, connections, the cache. The latest [`EVENTS_KEPT`] are kept.

mod ear;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

pub use ear::{Ear, Listening};

use crate::{
    Store,
    error::{For, Result},
};

/// So many events are kept, give or take 256; older ones are forgotten.
pub const EVENTS_KEPT: i64 = 50_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its number: later events have larger ones.
    pub number: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, words between colons: `cache:opportunities:refresh:started`.
    pub name: String,
    /// The instance that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What belongs to it.
    pub data: Value,
}

/// Which events; the default is all of them.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only those whose name begins so.
    pub name: Option<String>,
    /// Only those of this instance.
    pub instance: Option<String>,
}

const COLUMNS: &str = "number, at, name, nullif(instance, ''), data";
const CONDITION: &str =
    "($1::text IS NULL OR starts_with(name, $1)) AND ($2::text IS NULL OR instance = $2)";

fn event(row: &PgRow) -> Event {
    Event {
        number: row.get(0),
        at: row.get::<jiff_sqlx::Timestamp, _>(1).to_jiff(),
        name: row.get(2),
        instance: row.get(3),
        data: row.get(4),
    }
}

impl Store {
    /// Tells an event. `name` is lower-case words between colons. Answers its number.
    pub async fn tell(&self, name: &str, instance: Option<&str>, data: &Value) -> Result<i64> {
        sqlx::query_scalar("SELECT millpond.tell_event($1, $2, $3, $4)")
            .bind(name)
            .bind(instance)
            .bind(data)
            .bind(EVENTS_KEPT)
            .fetch_one(self.pool())
            .await
            .to("tell an event")
    }

    /// Up to `limit` events with numbers above `after`, oldest first, and the number to go on after.
    pub async fn events_after(
        &self,
        after: i64,
        filter: &EventFilter,
        limit: i64,
    ) -> Result<(Vec<Event>, i64)> {
        // Read first: whatever has a smaller number is then there for the second question.
        let newest = self.newest_event().await?;
        let statement = format!(
            "SELECT {COLUMNS} FROM millpond.event WHERE {CONDITION} AND number > $3 ORDER BY number LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&filter.name)
            .bind(&filter.instance)
            .bind(after)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("read events")?;
        let events: Vec<Event> = rows.iter().map(event).collect();
        let last = events.last().map_or(after, |event| event.number);
        let is_full = i64::try_from(events.len()).unwrap_or(i64::MAX) >= limit;
        let next = if is_full { last } else { last.max(newest) };
        Ok((events, next))
    }

    /// The latest `limit` events, oldest first.
    pub async fn latest_events(&self, filter: &EventFilter, limit: i64) -> Result<Vec<Event>> {
        let statement = format!(
            "SELECT {COLUMNS} FROM millpond.event WHERE {CONDITION} ORDER BY number DESC LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&filter.name)
            .bind(&filter.instance)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("read the latest events")?;
        Ok(rows.iter().rev().map(event).collect())
    }

    /// The number of the newest event; 0 before the first.
    pub async fn newest_event(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM millpond.event")
            .fetch_one(self.pool())
            .await
            .to("look for the newest event")
    }
}
