//! What the budget has left for decisions, asked of PostgreSQL a few times a second at the most.

use std::time::{Duration, Instant};

use freshness::Allowance;
use store::{
    StoreError,
    budget::{CallsLeft, RESERVE_SHARE},
};
use tokio::sync::Mutex;

use crate::account::Account;

/// What the budget said is believed for so long.
const TRUST: Duration = Duration::from_millis(200);

/// Without a limit calls are free: so many in a minute are taken for no bound at all.
const UNLIMITED: u32 = 60_000;

/// What was asked last, less what was decided since.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<Option<Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    at: Instant,
    left: CallsLeft,
    spent: u32,
}

impl Left {
    /// What a decision may count on now. Without an answer of the database: nothing.
    pub async fn allowance(&self, account: &Account) -> Allowance {
        match self.known(account).await {
            Ok(known) => allowance(&known.left, known.spent),
            Err(_) => Allowance {
                limit: 0,
                window: Duration::from_secs(60),
                free: 0,
            },
        }
    }

    /// What the budget has, as of a moment ago.
    pub async fn calls(&self, account: &Account) -> Result<CallsLeft, StoreError> {
        Ok(self.known(account).await?.left)
    }

    async fn known(&self, account: &Account) -> Result<Known, StoreError> {
        let mut known = self.0.lock().await;
        if let Some(known) = *known
            && known.at.elapsed() < TRUST
        {
            return Ok(known);
        }
        let asked = Known {
            at: Instant::now(),
            left: account.store.calls_left(&account.settings.name).await?,
            spent: 0,
        };
        *known = Some(asked);
        Ok(asked)
    }

    /// A call was decided on that the budget does not know of yet.
    pub async fn spend(&self) {
        if let Some(known) = &mut *self.0.lock().await {
            known.spent += 1;
        }
    }
}

/// What is left for decisions: they leave to the changes feeds what these need of a full window.
fn allowance(left: &CallsLeft, spent: u32) -> Allowance {
    let Some(limit) = left.limit else {
        return Allowance {
            limit: UNLIMITED,
            window: Duration::from_secs(60),
            free: UNLIMITED,
        };
    };
    let reserve = (f64::from(limit) * f64::from(RESERVE_SHARE) * 3.0 / 5.0) as u32;
    Allowance {
        limit: limit.saturating_sub(reserve),
        window: left.window,
        free: left.free.saturating_sub(reserve).saturating_sub(spent),
    }
}
