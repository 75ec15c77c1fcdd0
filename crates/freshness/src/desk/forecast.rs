//! What a budget would buy: how fresh readers would find the records, before a single call is made.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::record::Record;
use super::{Desk, PROMISE_SHARE_MAX, Policy, Slot};

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

/// What a changes feed does for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// No feed tells of it.
    None,
    /// A feed brings the record itself, so often.
    Brought(Duration),
    /// A feed tells that it changed, so often; a call brings it.
    Told(Duration),
}

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
    /// Calls in a cycle.
    calls: f64,
    /// Which forecast it counts for.
    group: usize,
}

impl Desk {
    /// What `policy` would reach with this many calls a minute, by what has been learned up to `now`.
    ///
    /// Takes time in proportion to the records, of which it looks at 4,000 at the most. An empty desk is all fresh.
    pub fn forecast(&self, policy: Policy, calls_per_minute: f64, now: Timestamp) -> Forecast {
        let (whole, _) = self.forecast_of(policy, calls_per_minute, now, |_| (0, Cover::None));
        whole
    }

    /// [`Desk::forecast`], for all records together and for each group of them: `of` says of which group a record is, and
    /// what a feed does for it. The budget is shared by all groups.
    pub fn forecast_of(
        &self,
        policy: Policy,
        calls_per_minute: f64,
        now: Timestamp,
        of: impl Fn(Slot) -> (usize, Cover),
    ) -> (Forecast, BTreeMap<usize, Forecast>) {
        let tick = self.tick(now);
        let taken = (0_u32..)
            .zip(&self.records)
            .filter(|(_, record)| record.is_in);
        let every = self.len().div_ceil(RECORDS_MAX).max(1);
        let sample: Vec<(&Record, usize, Cover)> = taken
            .step_by(every)
            .map(|(slot, record)| {
                let (group, cover) = of(Slot(slot));
                (record, group, cover)
            })
            .collect();
        let weight = self.len() as f64 / sample.len().max(1) as f64;
        let budget = calls_per_minute.max(0.0);
        let usable = match policy {
            Policy::Optimal => budget,
            Policy::Tiers | Policy::Priced => budget * USED,
        };
        let plan = |lever: f64| -> Vec<Part> {
            sample
                .iter()
                .map(|(record, group, cover)| {
                    let mut part = self.part(record, tick, policy, lever).covered(
                        *cover,
                        &self.staleness(record),
                        record.rate.mean(),
                        policy,
                    );
                    part.group = *group;
                    part
                })
                .collect()
        };
        // The lever makes calls rarer as it grows: the logarithm of the price, or of how seldom an expired value meets a free call.
        let (mut low, mut high) = match policy {
            Policy::Tiers => (0.0_f64, 16.0_f64),
            Policy::Optimal | Policy::Priced => (-16.0, 16.0),
        };
        if calls(&plan(low), weight) > usable {
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(low, high);
                if calls(&plan(middle), weight) > usable {
                    low = middle;
                } else {
                    high = middle;
                }
            }
        } else {
            high = low;
        }
        let parts = plan(high);
        let promised_of = |group: Option<usize>| -> f64 {
            let of_group = sample.iter().filter(|(_, of, cover)| {
                group.is_none_or(|group| group == *of) && !matches!(cover, Cover::Brought(_))
            });
            of_group
                .map(|(record, ..)| 60.0 / promise_seconds(record))
                .sum::<f64>()
                * weight
        };
        let keeps_promises = promised_of(None) <= budget * PROMISE_SHARE_MAX;
        let sum = |parts: &[Part], group: Option<usize>| Forecast {
            fresh: fresh_share(parts),
            age_p95: Duration::from_secs_f64(age_at(parts, 0.95)),
            calls_per_minute: calls(parts, weight),
            promised_calls_per_minute: promised_of(group),
            keeps_promises,
        };
        let whole = sum(&parts, None);
        let mut groups: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
        for part in parts {
            groups.entry(part.group).or_default().push(part);
        }
        let each = groups
            .iter()
            .map(|(group, parts)| (*group, sum(parts, Some(*group))));
        (whole, each.collect())
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
                calls: 1.0,
                group: 0,
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
            calls: 1.0,
            group: 0,
        }
    }
}

impl Part {
    /// The part as a feed leaves it. `changes` per second is how often the record changes.
    fn covered(
        self,
        cover: Cover,
        staleness: &Staleness<'_>,
        changes: f64,
        policy: Policy,
    ) -> Part {
        let (look, is_brought) = match cover {
            Cover::None => return self,
            Cover::Brought(look) => (look.as_secs_f64().max(SHORTEST), true),
            // Who goes by lifetimes does not hear of it.
            Cover::Told(_) if policy == Policy::Tiers => return self,
            Cover::Told(look) => (look.as_secs_f64().max(SHORTEST), false),
        };
        if self.cycle <= look {
            return self;
        }
        // Each look makes it fresh, at no call if it brings the record, or at one per change that somebody reads.
        let stale = self.rate * (look - fresh_seconds(staleness, look));
        let calls = if is_brought {
            // Whoever wants it younger than the last look calls still.
            if self.settled < look { self.calls } else { 0.0 }
        } else {
            look * changes * self.rate / (changes + self.rate)
        };
        Part {
            cycle: look,
            stale: stale.min(self.stale * look / self.cycle),
            settled: look.min(self.last),
            fades: 0.0,
            calls,
            ..self
        }
    }
}

/// Calls a minute.
fn calls(parts: &[Part], weight: f64) -> f64 {
    parts
        .iter()
        .map(|part| part.calls * 60.0 / part.cycle)
        .sum::<f64>()
        * weight
}

/// The share of reads that meet a fresh copy; 1 when nobody reads.
fn fresh_share(parts: &[Part]) -> f64 {
    let reads: f64 = parts.iter().map(|part| part.rate).sum();
    let stale: f64 = parts.iter().map(|part| part.stale / part.cycle).sum();
    if reads > 0.0 {
        (1.0 - stale / reads).clamp(0.0, 1.0)
    } else {
        1.0
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
