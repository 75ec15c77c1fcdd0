//! The policies under comparison: those of the crate, and the two that everybody has.

use std::time::Duration;

use freshness::{Allowance, Decision, Desk, Policy, Seen, Slot};
use jiff::Timestamp;

use crate::run::{Act, CALLS_PER_MINUTE, Spender};
use crate::workload::{DAY, Kind, World};

/// A desk of the crate. It is told stamps and reads, never the truth.
pub struct AtDesk {
    desk: Desk,
    slots: Vec<Slot>,
    /// When each record last changed, as its last fetch told: what the TTL tables go by.
    stamps: Vec<f64>,
    policy: Policy,
    may_wait: bool,
}

/// Time 0 of the simulation.
const START_MS: i64 = 1_800_000_000_000;

fn at(seconds: f64) -> Timestamp {
    let millis = START_MS + (seconds.max(-1e12) * 1_000.0) as i64;
    Timestamp::from_millisecond(millis).expect("a time")
}

fn allowance(free: u32) -> Allowance {
    Allowance {
        limit: CALLS_PER_MINUTE,
        window: Duration::from_secs(60),
        free,
    }
}

impl AtDesk {
    pub fn new(kind: &Kind, world: &World, policy: Policy, may_wait: bool) -> AtDesk {
        let mut desk = Desk::new(policy, at(0.0));
        let stamps: Vec<f64> = (0..kind.records)
            .map(|record| world.last_change(record, world.fetched[record]))
            .collect();
        let slots = (0..kind.records)
            .map(|record| {
                desk.add(
                    at(world.fetched[record]),
                    Some(at(stamps[record])),
                    Duration::from_secs_f64(kind.max_age),
                )
            })
            .collect();
        AtDesk {
            desk,
            slots,
            stamps,
            policy,
            may_wait,
        }
    }

    /// The table of an open deal without a closing date: 30 s, 60 s, 15 min by the age of its last change.
    fn lifetime(&self, record: usize, now: f64) -> Duration {
        let age = now - self.stamps[record];
        Duration::from_secs(if age <= 5.0 * DAY {
            30
        } else if age <= 14.0 * DAY {
            60
        } else {
            900
        })
    }
}

impl Spender for AtDesk {
    fn read(&mut self, record: u32, now: f64, free: u32) -> Act {
        let slot = self.slots[record as usize];
        if self.policy == Policy::Tiers {
            self.desk
                .set_lifetime(slot, Some(self.lifetime(record as usize, now)));
        }
        match self
            .desk
            .read(slot, at(now), &allowance(free), self.may_wait)
        {
            Decision::Serve => Act::Serve,
            Decision::ServeThenRefresh => Act::Behind,
            Decision::RefreshFirst => Act::First,
        }
    }

    fn next(&mut self, now: f64, free: u32) -> Option<u32> {
        self.desk.next(at(now), &allowance(free)).map(Slot::number)
    }

    fn forecast(&self, now: f64) -> Option<(f64, f64, f64)> {
        // Readers that never wait are no policy of their own.
        if !self.may_wait {
            return None;
        }
        let forecast = self
            .desk
            .forecast(self.policy, f64::from(CALLS_PER_MINUTE), at(now));
        Some((
            forecast.fresh,
            forecast.age_p95.as_secs_f64(),
            forecast.calls_per_minute,
        ))
    }

    fn fetched(&mut self, record: u32, now: f64, changed: bool, stamp: f64) {
        let slot = self.slots[record as usize];
        let seen = if changed {
            Seen::ChangedAt(at(stamp))
        } else {
            Seen::Unchanged
        };
        self.stamps[record as usize] = stamp;
        self.desk.fetched(slot, at(now), seen);
        if self.policy == Policy::Tiers {
            self.desk
                .set_lifetime(slot, Some(self.lifetime(record as usize, now)));
        }
    }
}

/// A full pass over all records, again and again; readers get what there is.
pub struct FullPass {
    records: u32,
    position: u32,
}

impl FullPass {
    pub fn new(kind: &Kind) -> FullPass {
        FullPass {
            records: kind.records as u32,
            position: 0,
        }
    }
}

impl Spender for FullPass {
    fn read(&mut self, _: u32, _: f64, _: u32) -> Act {
        Act::Serve
    }

    fn next(&mut self, _: f64, free: u32) -> Option<u32> {
        if free == 0 {
            return None;
        }
        self.position = (self.position + 1) % self.records;
        Some(self.position)
    }

    fn fetched(&mut self, _: u32, _: f64, _: bool, _: f64) {}
}
