//! Which records a look fetches: those whose lines add up to something else than when they were last fetched. Pure: the
//! time is an argument.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use store::watched::WatchedItem;

use super::sums::Totals;

/// How much one look may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The most records fetched.
    pub per_cycle_max: usize,
    /// For so long after its fetch a record is left alone.
    pub cooldown: Duration,
}

/// What a look does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Records to be fetched now: those that waited longest first.
    pub now: Vec<String>,
    /// Changed records that come with a later look, because this one does enough.
    pub waiting: usize,
    /// Changed records that were fetched a moment ago.
    pub resting: usize,
}

/// Compares what lines add up to with what they did when each record was last fetched.
///
/// A record that has no lines any more differs as well. Nothing is lost: what is not chosen still differs next time.
pub(crate) fn choose(
    known: &BTreeMap<String, WatchedItem>,
    totals: &Totals,
    at: Timestamp,
    bounds: Bounds,
) -> Choice {
    let none = WatchedItem::default();
    let listed = totals.iter().map(|(item, sums)| (item, sums.as_slice()));
    let unlisted = known
        .keys()
        .filter(|item| !totals.contains_key(*item))
        .map(|item| (item, [].as_slice()));
    let mut choice = Choice::default();
    let mut changed = Vec::new();
    for (item, sums) in listed.chain(unlisted) {
        let last = known.get(item).unwrap_or(&none);
        if last.totals == sums {
            continue;
        }
        // A fetch in the future is a clock that was set back: it keeps nobody waiting.
        let rests = last.fetched_at.is_some_and(|fetched| {
            Duration::try_from(at.duration_since(fetched)).is_ok_and(|age| age < bounds.cooldown)
        });
        if rests {
            choice.resting += 1;
        } else {
            changed.push((last.tried_at, item));
        }
    }
    changed.sort();
    choice.waiting = changed.len().saturating_sub(bounds.per_cycle_max);
    let chosen = changed.into_iter().take(bounds.per_cycle_max);
    choice.now = chosen.map(|(_, item)| item.clone()).collect();
    choice
}

#[cfg(test)]
mod tests;
