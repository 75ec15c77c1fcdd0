//! Deletes: a record is believed to be gone only when a whole, still listing did not show it, often enough,
//! and upstream does not show it when asked for it alone.

use std::collections::HashSet;

use jiff::Timestamp;
use store::StoreError;
use upstream::{Class, Fetched};

use crate::{
    account::{Account, Kind},
    listing::id_hash,
};

/// Ids compared at once.
const BATCH: i64 = 10_000;

/// So many records may always go, however small the resource is.
const ALWAYS_ALLOWED: usize = 5;

/// Records asked for one by one before they are believed to be gone. Above, being missing often enough must do.
const CONFIRMATIONS_MAX: usize = 200;

/// What pruning did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    pub deleted: u64,
    pub calls: i64,
    /// Why it did less than it might have.
    pub why: Option<String>,
}

/// Makes tombstones of the live records that are not in `seen`, the ids of a whole listing begun at `asked_at`.
pub(crate) async fn prune(
    account: &Account,
    kind: &Kind,
    seen: &HashSet<u128>,
    asked_at: Timestamp,
    run: i64,
) -> Result<Pruned, StoreError> {
    let Some(rules) = &kind.resource.reconcile else {
        return Ok(Pruned::default());
    };
    let (store, instance) = (&account.store, account.settings.name.as_str());
    let (mut live, mut missing) = (0_usize, Vec::new());
    let mut after = String::new();
    loop {
        let ids = store.live_ids(&kind.name, instance, &after, BATCH).await?;
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        live += ids.len();
        missing.extend(ids.into_iter().filter(|id| !seen.contains(&id_hash(id))));
    }
    if let Some(why) = suspicious(missing.len(), live, rules.shrink_max) {
        return Ok(Pruned {
            why: Some(why),
            ..Pruned::default()
        });
    }
    let listings_min = i32::try_from(rules.prune_after.max(1)).unwrap_or(i32::MAX);
    let candidates = store
        .note_missing(&kind.name, instance, &missing, asked_at, listings_min)
        .await?;

    let mut pruned = Pruned::default();
    let gone = confirm(account, kind, candidates, &mut pruned).await;
    let dependents = account.dependents(kind);
    pruned.deleted = store
        .tombstone(
            &kind.name,
            instance,
            &gone,
            asked_at,
            Some(run),
            &dependents,
        )
        .await?;
    Ok(pruned)
}

/// Why a listing is not believed, if it is not.
fn suspicious(missing: usize, live: usize, shrink_max: f64) -> Option<String> {
    let allowed = ((live as f64 * shrink_max) as usize).max(ALWAYS_ALLOWED);
    (missing > allowed).then(|| {
        format!(
            "nothing was deleted: the listing lacks {missing} of {live} records, more than the {allowed} that \
             one listing may remove (reconcile.shrink_max = {shrink_max})"
        )
    })
}

/// Asks for each candidate alone where the API can; answers those that are gone.
async fn confirm(
    account: &Account,
    kind: &Kind,
    candidates: Vec<String>,
    pruned: &mut Pruned,
) -> Vec<String> {
    let asked = if kind.resource.get.is_some() {
        Some(&kind.resource)
    } else {
        kind.children
            .iter()
            .find(|c| c.shares_ids())
            .map(|c| &c.resource)
    };
    let Some(resource) = asked.filter(|_| candidates.len() <= CONFIRMATIONS_MAX) else {
        return candidates;
    };
    let mut gone = Vec::new();
    for id in candidates {
        pruned.calls += 1;
        match account.client.get_record(resource, &id, Class::Sweep).await {
            Ok(Fetched::Missing(_)) => gone.push(id),
            Ok(Fetched::Found(..)) => {
                pruned.why = Some(
                    "records that the listing lacked are there when asked for alone".to_owned(),
                );
            }
            Err(error) => {
                pruned.why = Some(format!("a missing record could not be asked for: {error}"));
                break;
            }
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::suspicious;

    #[test]
    fn a_listing_that_shrank_too_much_is_not_believed() {
        assert_eq!(suspicious(0, 0, 0.1), None);
        assert_eq!(suspicious(5, 5, 0.1), None);
        assert_eq!(suspicious(100, 1000, 0.1), None);
        assert!(suspicious(101, 1000, 0.1).is_some_and(|why| why.contains("lacks 101 of 1000")));
        assert!(suspicious(50_000, 50_000, 0.1).is_some());
    }
}
