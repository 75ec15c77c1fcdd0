//! Which values a sweep fetches. Pure: what the mirror knows comes in as arguments.

use std::time::Duration;

use serde::Serialize;
use store::ResourceName;

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

/// Chooses what to fetch, in the order of `wanted`; `ages` has the age of each one's row in the mirror (`None`: there is
/// none). With `all`, also what is fresh.
///
/// A value is as fresh as its row: a cache that was wiped or is away is no reason to fetch what the mirror holds.
pub(crate) fn choose(
    wanted: &[Wanted],
    ages: &[Option<Duration>],
    all: bool,
) -> (Vec<usize>, Standing) {
    let mut standing = Standing::default();
    let mut chosen = Vec::new();
    for (place, (value, age)) in wanted.iter().zip(ages).enumerate() {
        standing.checked += 1;
        let ttl = value.ttl.unwrap_or_default();
        if age.is_some_and(|age| age < ttl) && !all {
            standing.fresh += 1;
        } else if value.may_fetch && value.ttl.is_some() {
            standing.expired += 1;
            chosen.push(place);
        } else {
            standing.cool += 1;
        }
    }
    (chosen, standing)
}

#[cfg(test)]
mod tests;
