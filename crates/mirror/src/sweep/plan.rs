//! Which values a sweep fetches. Pure: what the mirror knows comes in as arguments.

use std::time::Duration;

use serde::Serialize;
use store::ResourceName;

use crate::warm::Held;

/// A hot value that a sweep looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its table: `connectwise.opportunity`, or that of a payload.
    pub resource: ResourceName,
    /// Its row's id.
    pub id: String,
    /// The record that it belongs to: itself, or the payload's parent.
    pub record: String,
    /// Whether it is a payload of that record, not the record itself.
    pub is_payload: bool,
    /// How long it stays hot; `None`: it is never kept.
    pub ttl: Option<Duration>,
    /// Whether it may be fetched; whether it is hot is asked all the same.
    pub may_fetch: bool,
}

/// How a sweep's values stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Values asked for.
    pub checked: u64,
    /// Of these, fresh.
    pub fresh: u64,
    /// Of these, run out, but not to be fetched: never kept, or only for whoever asks.
    pub cool: u64,
    /// Of these, run out and to be fetched.
    pub expired: u64,
}

/// What a sweep does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Places of the values to be fetched, in the order of `wanted`.
    pub fetch: Vec<usize>,
    /// Places of values that the mirror holds fresh and the cache has lost: they cost no call.
    pub restore: Vec<usize>,
    pub standing: Standing,
}

/// Chooses what to fetch; `held` says how each value stands. With `all`, also what is fresh.
///
/// A value is as fresh as its row: a cache that was wiped or is away is no reason to fetch what the mirror holds.
pub(crate) fn choose(wanted: &[Wanted], held: &[Held], all: bool) -> Plan {
    let mut plan = Plan::default();
    for (place, (value, held)) in wanted.iter().zip(held).enumerate() {
        plan.standing.checked += 1;
        let ttl = value.ttl.unwrap_or_default();
        let is_fresh = match held {
            Held::Hot => true,
            Held::InMirror(age) | Held::Unasked(age) => *age < ttl,
            Held::Nowhere => false,
        };
        if is_fresh && !all {
            plan.standing.fresh += 1;
            if matches!(held, Held::InMirror(_)) {
                plan.restore.push(place);
            }
        } else if value.may_fetch && value.ttl.is_some() {
            plan.standing.expired += 1;
            plan.fetch.push(place);
        } else {
            plan.standing.cool += 1;
        }
    }
    plan
}

#[cfg(test)]
mod tests;
