//! Why a record was or was not refreshed.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::{Desk, Policy, Slot};
use crate::price::Allowance;

/// What a desk knows of a record, and what it would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What the desk would do for a reader who may wait, and why.
    pub reason: Reason,
    /// How old the copy is.
    pub age: Duration,
    /// Changes per day, as learned.
    pub changes_per_day: f64,
    /// Changes that this rests on, about; a third of one is assumed before any.
    pub changes_seen: f64,
    /// Reads per hour, as learned.
    pub reads_per_hour: f64,
    /// The chance that the copy is stale, 0 to 1.
    pub stale: f64,
    /// Stale reads that a call would save, the reader's own included.
    pub saves: f64,
    /// Stale reads that a call has to save, right now.
    pub price: f64,
    /// In how long a background call is worth it; `None`: not before the promise is due.
    pub worth_in: Option<Duration>,
    /// In how long the stated maximum age is reached.
    pub promise_in: Duration,
}

/// Why a reader's call would or would not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A call is under way.
    Calling,
    /// No call is free.
    NoCalls,
    /// Readers never wait under this policy.
    BackgroundOnly,
    /// The value is within its lifetime.
    Alive,
    /// The value is past its lifetime.
    Expired,
    /// The call saves more than its price.
    Worth,
    /// The call saves less than its price.
    NotWorth,
}

impl Desk {
    /// Why the record would or would not be refreshed for a reader at `now` who may wait. Changes nothing.
    pub fn explain(&self, slot: Slot, now: Timestamp, allowance: &Allowance) -> Explanation {
        let tick = self.tick(now);
        let record = &self.records[slot.0 as usize];
        let reads = self.reads(record, tick);
        let worth = self.worth(record, tick);
        let price = self.price.current(allowance);
        let age = tick.saturating_sub(record.fetched);
        let reason = match self.policy {
            _ if record.is_calling => Reason::Calling,
            _ if allowance.free == 0 => Reason::NoCalls,
            Policy::Optimal => Reason::BackgroundOnly,
            Policy::Tiers if age < record.ttl => Reason::Alive,
            Policy::Tiers => Reason::Expired,
            Policy::Priced if worth.first(reads) >= price => Reason::Worth,
            Policy::Priced => Reason::NotWorth,
        };
        let (changes_seen, _) = record.rate.parts();
        let day = 86_400.0;
        let change_age = f64::from(record.age) + f64::from(age) / 10.0;
        let worth_in = self
            .staleness(record)
            .due(self.price.base() / reads, f64::from(record.max_age) / 10.0)
            .map(|after| Duration::from_secs_f64((after - f64::from(age) / 10.0).max(0.0)));
        Explanation {
            reason,
            age: from_tenths(age),
            changes_per_day: record.rate.mean() * self.hazard.at(change_age).0 * day,
            changes_seen: f64::from(changes_seen),
            reads_per_hour: reads * 3_600.0,
            stale: worth.stale,
            saves: worth.first(reads),
            price,
            worth_in,
            promise_in: from_tenths(record.max_age.saturating_sub(age)),
        }
    }
}

fn from_tenths(tenths: u32) -> Duration {
    Duration::from_millis(u64::from(tenths) * 100)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = match self.reason {
            Reason::Calling => "is being fetched",
            Reason::NoCalls => "is served as it is: no call is free",
            Reason::BackgroundOnly => "is served as it is: readers never wait under this policy",
            Reason::Alive => "is served as it is: it is within its lifetime",
            Reason::Expired => "is fetched for the next reader: it is past its lifetime",
            Reason::Worth => {
                "is fetched for the next reader: that saves more than a call costs now"
            }
            Reason::NotWorth => "is served as it is: a call would save less than it costs now",
        };
        write!(
            f,
            "{because}; fetched {} ago, read {} an hour, changes {} a day ({:.1} seen), {:.0} % likely stale; \
             a call saves {} stale reads at a price of {}; ",
            rough(self.age),
            figures(self.reads_per_hour),
            figures(self.changes_per_day),
            self.changes_seen,
            self.stale * 100.0,
            figures(self.saves),
            figures(self.price),
        )?;
        match self.worth_in {
            Some(Duration::ZERO) => write!(f, "due in the background now")?,
            Some(wait) => write!(f, "due in the background in {}", rough(wait))?,
            None => write!(f, "not due in the background")?,
        }
        write!(f, ", promised within {}", rough(self.promise_in))
    }
}

/// Two figures, without a long tail.
fn figures(number: f64) -> String {
    match number {
        number if number >= 10.0 => format!("{number:.0}"),
        number if number >= 0.1 => format!("{number:.1}"),
        number if number >= 0.001 => format!("{number:.3}"),
        _ => "under 0.001".to_owned(),
    }
}

fn rough(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}
