//! How much callers may ask: a tenant in its quota window, a key in a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use store::{Store, StoreError, tenants::Tenant, usage::Spent};

use super::Caller;

/// The meter of requests over HTTP.
pub const REQUESTS: &str = "requests";
/// The most keys whose calls of this minute are remembered at once; beyond, all begin anew.
const KEYS_MAX: usize = 100_000;

/// Why a caller has to wait, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Its tenant has used the window's quota of a meter.
    Quota {
        /// When the next window begins.
        until: Timestamp,
    },
    /// Its key has made the minute's calls.
    Rate {
        /// When the next minute begins.
        until: Timestamp,
    },
}

/// Counts requests. What has a limit is counted in the database before the request is answered; what has none is
/// counted here, and written down every second.
#[derive(Debug, Default)]
pub struct Quotas {
    /// Per key: a minute since the epoch, and the calls in it.
    minutes: Mutex<HashMap<String, (i64, i32)>>,
    /// Requests of tenants without a limit that are not written down yet, by tenant and window.
    unwritten: Mutex<HashMap<(String, Timestamp), i64>>,
}

impl Quotas {
    /// Counts one request of `caller` at `now`, or says why it has to wait.
    ///
    /// # Errors
    ///
    /// The database is away, and the tenant has a limit.
    pub async fn admit(
        &self,
        store: &Store,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Result<(), Over>, StoreError> {
        if let Some(over) = self.over_rate(caller, now) {
            return Ok(Err(over));
        }
        let Some(tenant) = caller.tenant() else {
            return Ok(Ok(()));
        };
        if tenant.limits.contains_key(REQUESTS) {
            return spend(store, tenant, REQUESTS, 1).await;
        }
        let mut unwritten = self
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *unwritten
            .entry((tenant.id.clone(), tenant.window_start))
            .or_default() += 1;
        Ok(Ok(()))
    }

    fn over_rate(&self, caller: &Caller, now: Timestamp) -> Option<Over> {
        let principal = caller.principal();
        let (key, most) = (principal.key.as_ref()?, principal.calls_per_minute?);
        let minute = now.as_second().div_euclid(60);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        if minutes.len() >= KEYS_MAX {
            minutes.clear();
        }
        let (of, calls) = minutes.entry(key.clone()).or_insert((minute, 0));
        if *of != minute {
            (*of, *calls) = (minute, 0);
        }
        if *calls >= most {
            let until = Timestamp::from_second((minute + 1) * 60).unwrap_or(now);
            return Some(Over::Rate { until });
        }
        *calls += 1;
        None
    }

    /// Writes down what was counted here. What cannot be written now is kept for the next time.
    ///
    /// # Errors
    ///
    /// The database is away.
    pub async fn write_down(&self, store: &Store) -> Result<(), StoreError> {
        let counted = {
            let mut unwritten = self
                .unwritten
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *unwritten)
        };
        let mut failed = None;
        for ((tenant, window), amount) in counted {
            let written = store.count_used(&tenant, REQUESTS, window, amount).await;
            if let Err(error) = written {
                failed = Some(error);
                let mut unwritten = self
                    .unwritten
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *unwritten.entry((tenant, window)).or_default() += amount;
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Uses `amount` of a tenant's meter, or says until when there is nothing left.
///
/// # Errors
///
/// The database is away.
pub async fn spend(
    store: &Store,
    tenant: &Tenant,
    meter: &str,
    amount: i64,
) -> Result<Result<(), Over>, StoreError> {
    Ok(match store.spend(tenant, meter, amount).await? {
        Spent::Within { .. } => Ok(()),
        Spent::Over => Err(Over::Quota {
            until: tenant.window_end,
        }),
    })
}

/// How long from `now` to `until`, at least a second.
pub fn wait(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now))
        .unwrap_or_default()
        .max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
