//! Calls that nobody else wants go to what deserves them most, in every worker: PostgreSQL sees to it that two do not
//! fetch the same.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::book::Target;
use crate::{Mirror, account::Account, error::Result, listing::chain};

/// Fetches of one instance that one worker makes at once.
const AT_ONCE: usize = 6;

/// How often the budget is looked at for calls that are left.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// After a failure nothing is fetched behind readers' backs for so long: upstream is away, or its key is refused.
const REST: Duration = Duration::from_secs(5);

/// A worker that is at a record for so long is lost.
const HOLD: Duration = Duration::from_secs(60);

/// Spends what is left of an instance's budget, until `stop`.
pub(crate) async fn spend(mirror: Mirror, account: Arc<Account>, stop: CancellationToken) {
    let mut fetches = FuturesUnordered::new();
    let mut rested = Instant::now();
    while !stop.is_cancelled() {
        if Instant::now() >= rested && account.spending.is_attended() {
            while fetches.len() < AT_ONCE {
                match take(&account).await {
                    Ok(Some((target, known))) => {
                        fetches.push(fetch(&mirror, &account, target, known));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(error = chain(&error), "the budget could not be asked");
                        break;
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(came) = fetches.next() => if !came {
                rested = Instant::now() + REST;
            },
        }
    }
}

/// What deserves the next call that nobody else wants, if there is one, and nobody else is at it.
async fn take(account: &Account) -> std::result::Result<Option<(Target, Timestamp)>, StoreError> {
    let spending = &account.spending;
    let allowance = spending.left.allowance(account).await;
    let next = spending.book().next(Timestamp::now(), &allowance);
    let Some((target, known)) = next else {
        return Ok(None);
    };
    let instance = account.settings.name.as_str();
    let claimed = account
        .store
        .claim_learned(instance, &target.resource, &target.id, known, HOLD)
        .await;
    if !matches!(claimed, Ok(true)) {
        // Another process is at it: what it finds is heard of.
        spending.book().not_fetched(&target);
        return claimed.map(|_| None);
    }
    spending.left.spend().await;
    Ok(Some((target, known)))
}

/// Whether it came.
async fn fetch(mirror: &Mirror, account: &Account, target: Target, known: Timestamp) -> bool {
    let fetched: Result<_> = mirror.fetch_for_policy(account, &target, known).await;
    let came = fetched.is_ok_and(|answer| answer.is_none_or(|answer| answer.stale.is_none()));
    if !came {
        let (store, name) = (&account.store, &account.settings.name);
        // It ends with its hold otherwise.
        let _ = store
            .unclaim_learned(name, &target.resource, &target.id)
            .await;
    }
    came
}
