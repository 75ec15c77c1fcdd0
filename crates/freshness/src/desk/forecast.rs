//! What a budget would buy: how fresh readers would find the records, before a single call is made.

use std::time::Duration;

use jiff::Timestamp;

use super::record::Record;
use super::{Desk, PROMISE_SHARE_MAX, Policy};

use crate::staleness::Staleness;

/// What to expect of a policy and a budget, if records go on changing and being read as they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Share of reads that will meet a fresh copy, 0 to 1.
    pub fresh: f64,
    /// The age of the copy that 95 % of reads will not exceed.
    pub age_p95: Duration,
    /// Calls that will be made.
    pub calls_per_minute: f64,
    /// Calls that the stated maximum ages need if nothing else fetches.
    pub promised_calls_per_minute: f64,
    /// Whether these fit into the share of the budget that promises may take.
    pub keeps_promises: bool,
}

/// Most records looked at; of more, every so manieth.
const RECORDS_MAX: usize = 4_000;

/// The share of its window that a policy comes to use which leaves room for readers.
const USED: f64 = 0.95;

/// Halvings of the interval in which the price lies.
const HALVINGS: u32 = 30;

/// One record's part in a plan: it is fetched every `cycle` seconds, and read all the while.
struct Part {
    /// Seconds from a fetch to the next one.
    cycle: f64,
    /// Stale reads in a cycle.
    stale: f64,
    /// For so long after a fetch every read meets that copy.
    settled: f64,
    /// Reads past that which still meet it, as seconds' worth of reads; their ages fade out exponentially.
    fades: f64,
    /// No copy grows older.
    last: f64,
    /// Reads per second.
    rate: f64,
}

impl Desk {
    /// What `policy` would reach with this many calls a minute, by what has been learned up to `now`.
    ///
    /// Takes time in proportion to the records, of which it looks at 4,000 at the most. An empty desk is all fresh.
    pub fn forecast(&self, policy: Policy, calls_per_minute: f64, now: Timestamp) -> Forecast {
        let tick = self.tick(now);
        let taken = self.records.iter().filter(|record| record.is_in);
        let every = self.len().div_ceil(RECORDS_MAX).max(1);
        let sample: Vec<&Record> = taken.step_by(every).collect();
        let weight = self.len() as f64 / sample.len().max(1) as f64;
        let promised: f64 = sample
            .iter()
            .map(|record| 60.0 / promise_seconds(record))
            .sum::<f64>()
            * weight;
        let budget = calls_per_minute.max(0.0);
        let usable = match policy {
            Policy::Optimal => budget,
            Policy::Tiers | Policy::Priced => budget * USED,
        };
        let plan = |lever: f64| -> Vec<Part> {
            sample
                .iter()
                .map(|record| self.part(record, tick, policy, lever))
                .collect()
        };
        let calls =
            |parts: &[Part]| parts.iter().map(|part| 60.0 / part.cycle).sum::<f64>() * weight;
        // The lever makes calls rarer as it grows: the logarithm of the price, or of how seldom an expired value meets a free call.
        let (mut low, mut high) = match policy {
            Policy::Tiers => (0.0_f64, 16.0_f64),
            Policy::Optimal | Policy::Priced => (-16.0, 16.0),
        };
        if calls(&plan(low)) > usable {
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(low, high);
                if calls(&plan(middle)) > usable {
                    low = middle;
                } else {
                    high = middle;
                }
            }
        } else {
            high = low;
        }
        let parts = plan(high);
        let per_second = |figure: fn(&Part) -> f64| {
            parts
                .iter()
                .map(|part| figure(part) / part.cycle)
                .sum::<f64>()
        };
        let reads = per_second(|part| part.rate * part.cycle);
        let fresh = if reads > 0.0 {
            1.0 - per_second(|part| part.stale) / reads
        } else {
            1.0
        };
        Forecast {
            fresh: fresh.clamp(0.0, 1.0),
            age_p95: Duration::from_secs_f64(age_at(&parts, 0.95)),
            calls_per_minute: calls(&parts),
            promised_calls_per_minute: promised,
            keeps_promises: promised <= budget * PROMISE_SHARE_MAX,
        }
    }

    fn part(&self, record: &Record, tick: u32, policy: Policy, lever: f64) -> Part {
        let rate = self.reads(record, tick);
        let last = promise_seconds(record);
        let staleness = self.staleness(record);
        // How long a copy is served without a thought of a call, and with which chance a reader meets a free call then.
        let (settled, chance) = match policy {
            Policy::Tiers => (f64::from(record.ttl) / 10.0, (-lever).exp()),
            Policy::Optimal => (staleness.due(lever.exp() / rate, last).unwrap_or(last), 1.0),
            Policy::Priced => {
                let price = lever.exp();
                let settled = staleness.reach(last, |worth| worth.first(rate) >= price);
                (settled.unwrap_or(last), AVAILABLE)
            }
        };
        let settled = settled.min(last);
        if policy == Policy::Optimal {
            let cycle = settled.max(SHORTEST);
            let stale = rate * (cycle - fresh_seconds(&staleness, cycle));
            return Part {
                cycle,
                stale,
                settled: cycle,
                fades: 0.0,
                last,
                rate,
            };
        }
        // From then on readers come by chance, and each ends the cycle by chance; so does the promise, at the latest.
        let awaited = 1.0 / (rate * chance);
        let waits = awaited * -(-(last - settled) / awaited).exp_m1();
        let mut stale = rate * (settled - fresh_seconds(&staleness, settled));
        let unserved = rate * (1.0 - chance) * waits;
        for stratum in 0..STRATA {
            let share = (f64::from(stratum) + 0.5) / f64::from(STRATA);
            let age = (settled - (1.0 - share).ln() * awaited).min(last);
            stale += unserved / f64::from(STRATA) * staleness.worth(age).stale;
        }
        Part {
            cycle: (settled + waits).max(SHORTEST),
            stale,
            settled,
            fades: (1.0 - chance) * waits,
            last,
            rate,
        }
    }
}

/// The chance that a reader whose call is worth its price meets a free one: the window is full a good part of the time. Fitted
/// to what `make bench-freshness` measures.
const AVAILABLE: f64 = 0.5;

/// Ages past the settled time that stand for all.
const STRATA: u32 = 6;

/// No cycle is shorter: that is how long a call takes, about.
const SHORTEST: f64 = 0.25;

/// When a record is fetched for its promise's sake, on average over slots.
fn promise_seconds(record: &Record) -> f64 {
    (f64::from(record.max_age) / 10.0 * 0.825).max(SHORTEST)
}

/// Seconds of `after` for which the copy is expected to be fresh.
fn fresh_seconds(staleness: &Staleness<'_>, after: f64) -> f64 {
    let worth = staleness.worth(after);
    worth.saved + after * (1.0 - worth.stale)
}

/// The age that this share of reads does not exceed.
fn age_at(parts: &[Part], share: f64) -> f64 {
    let reads: f64 = parts.iter().map(|part| part.rate).sum();
    let mut low = 0.0;
    let mut high = parts.iter().map(|part| part.last).fold(0.0, f64::max);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        // Ages are spread evenly over the settled time, and fade out after it.
        let older: f64 = parts
            .iter()
            .map(|part| {
                let past = (middle - part.settled).max(0.0);
                let fading = part.fades * (-past / (part.cycle - part.settled).max(SHORTEST)).exp();
                part.rate * ((part.settled - middle).max(0.0) + fading) / part.cycle
            })
            .sum();
        if older > (1.0 - share) * reads {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
