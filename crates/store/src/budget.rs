//! The budget of calls, kept in PostgreSQL so that all processes share it. No window ever holds more calls
//! than a connection's limit: a slot is free again one window after its call *ended*.

mod left;

use std::time::Duration;

use sqlx::Row;

use crate::{
    Store,
    error::{For, Result},
    events::EVENTS_KEPT,
};

pub use left::CallsLeft;

/// The share of a connection's limit that the lowest class leaves to those above.
pub const RESERVE_SHARE: f32 = 0.1;

/// Leave for one call.
#[derive(Debug, Clone)]
pub struct GrantedPermit {
    /// The connection to call on.
    pub connection: String,
    /// The slot it holds; `None` on a connection without a limit.
    pub slot: Option<i32>,
    /// Its number.
    pub permit: i64,
}

/// What became of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitUse {
    /// No call was made.
    Unused,
    /// A call was made, and the credentials were good: a connection that was set aside is taken back.
    Answered,
    /// A call was made and throttled or refused.
    TurnedAway,
}

/// An answer of the budget.
#[derive(Debug, Clone)]
pub enum Grant {
    /// At least one permit.
    Permits(Vec<GrantedPermit>),
    /// None now; one may be free after this wait.
    Wait(Duration),
    /// No connection of the instance may call at all, and why.
    NoConnection(String),
}

impl Store {
    /// Takes up to `want` permits for calls of `class` (0 to 5), each held until given back, at the longest `hold`
    /// unless [`Store::hold_permits`] makes that longer.
    ///
    /// No more than `at_once` permits of a connection are held at a time, whoever took them; `None` bounds nothing.
    /// Of a connection's window, classes 4 and 5 take a quarter as they like, and the rest evenly spread.
    ///
    /// Dropping the future may leave permits that come back by themselves one `hold` and one window later.
    pub async fn take_permits(
        &self,
        instance: &str,
        class: i16,
        want: i32,
        hold: Duration,
        at_once: Option<u32>,
    ) -> Result<Grant> {
        let rows = sqlx::query("SELECT connection, slot, permit, wait_ms, why FROM millpond.take_permits($1, $2, $3, $4 * interval '1 millisecond', $5, $6)")
            .bind(instance)
            .bind(class)
            .bind(want)
            .bind(hold.as_millis() as f64)
            .bind(RESERVE_SHARE)
            .bind(at_once.map(|at_once| i32::try_from(at_once.max(1)).unwrap_or(i32::MAX)))
            .fetch_all(self.pool())
            .await
            .to("take permits from the budget")?;
        let mut permits = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(connection) = row.get::<Option<String>, _>(0) else {
                return Ok(match row.get::<Option<i64>, _>(3) {
                    Some(wait_ms) => {
                        Grant::Wait(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(1)))
                    }
                    None => {
                        Grant::NoConnection(row.get::<Option<String>, _>(4).unwrap_or_default())
                    }
                });
            };
            permits.push(GrantedPermit {
                connection,
                slot: row.get(1),
                permit: row.get(2),
            });
        }
        Ok(Grant::Permits(permits))
    }

    /// Holds permits for another `hold` from now: their calls are still on the wire. One that was given back or ran
    /// out meanwhile stays so.
    pub async fn hold_permits(
        &self,
        instance: &str,
        permits: &[i64],
        hold: Duration,
    ) -> Result<()> {
        sqlx::query("SELECT millpond.hold_permits($1, $2, $3 * interval '1 millisecond')")
            .bind(instance)
            .bind(permits)
            .bind(hold.as_millis() as f64)
            .execute(self.pool())
            .await
            .to("hold permits for longer")?;
        Ok(())
    }

    /// Gives a permit back: after a call its slot is free one window from now, otherwise at once.
    pub async fn give_back_permit(
        &self,
        instance: &str,
        permit: &GrantedPermit,
        use_: PermitUse,
    ) -> Result<()> {
        sqlx::query("SELECT millpond.give_back_permit($1, $2, $3, $4, $5, $6)")
            .bind(instance)
            .bind(&permit.connection)
            .bind(permit.slot)
            .bind(permit.permit)
            .bind(use_ != PermitUse::Unused)
            .bind(use_ == PermitUse::Answered)
            .execute(self.pool())
            .await
            .to("give a permit back")?;
        Ok(())
    }

    /// Parks a connection that was throttled, and takes a fifth off what we use of it, once a window.
    pub async fn park_connection(
        &self,
        instance: &str,
        name: &str,
        wait: Duration,
        why: &str,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.connection SET parked_why = $4, \
               parked_until = greatest(parked_until, clock_timestamp() + $3 * interval '1 millisecond'), \
               learned = CASE WHEN learned_at > clock_timestamp() - window_ms * interval '1 millisecond' THEN learned \
                              ELSE greatest(0.2, learned * 0.8) END, \
               learned_at = CASE WHEN learned_at > clock_timestamp() - window_ms * interval '1 millisecond' THEN learned_at \
                                 ELSE clock_timestamp() END \
             WHERE instance = $1 AND name = $2 \
             RETURNING millpond.tell_event('connection:parked', $1, \
                         jsonb_build_object('connection', name, 'why', parked_why, 'until', parked_until), $5)",
        )
        .bind(instance)
        .bind(name)
        .bind(wait.as_millis() as f64)
        .bind(why)
        .bind(EVENTS_KEPT)
        .execute(self.pool())
        .await
        .to("park a connection")?;
        Ok(())
    }

    /// Sets a connection aside whose credentials upstream refused. One call tries it again after a minute,
    /// then after twice that, up to an hour.
    pub async fn set_connection_aside(&self, instance: &str, name: &str, why: &str) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.connection SET set_aside_at = coalesce(set_aside_at, clock_timestamp()), \
               set_aside_why = $3, refusals = refusals + 1, probe_at = clock_timestamp() + \
                 least(interval '1 hour', interval '1 minute' * power(2, least(refusals, 10))) \
             WHERE instance = $1 AND name = $2 \
             RETURNING millpond.tell_event('connection:set-aside', $1, \
                         jsonb_build_object('connection', name, 'why', set_aside_why, 'refusals', refusals), $4)",
        )
        .bind(instance)
        .bind(name)
        .bind(why)
        .bind(EVENTS_KEPT)
        .execute(self.pool())
        .await
        .to("set a connection aside")?;
        Ok(())
    }
}
