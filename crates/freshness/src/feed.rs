//! How often a changes feed is asked: one look tells of all records at once, so feeds go before everything but people.

use std::time::Duration;

use crate::price::Allowance;

/// How often each of `feeds` feeds is asked when a look costs one call: all together take at most `share` of the calls, and
/// of what `people` (calls that readers made in the window that is ending) leave. From `least`, however free calls are, to
/// `every`, which holds when there is no budget at all.
pub fn look_every(
    (least, every): (Duration, Duration),
    feeds: usize,
    share: f64,
    people: u32,
    allowance: &Allowance,
) -> Duration {
    let least = least.min(every);
    let window = allowance.window.as_secs_f64().max(0.001);
    let left = f64::from(allowance.limit) * share.clamp(0.0, 1.0);
    let left = left.min(f64::from(allowance.limit.saturating_sub(people)));
    if feeds == 0 || left <= 0.0 {
        return every;
    }
    let wanted = feeds as f64 * window / left;
    if wanted >= every.as_secs_f64() {
        return every;
    }
    Duration::from_secs_f64(wanted).max(least)
}

#[cfg(test)]
mod tests;
