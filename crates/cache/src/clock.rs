//! The two clocks a cache needs: the calendar for ages that other processes read, and an uptime that
//! nothing can step for lives in this process.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// What time it is. The cache decides nothing by any other clock.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The calendar. Must never go backwards within one process.
    fn now(&self) -> Timestamp;
    /// A steady time from some beginning; unaffected by calendar steps. May be ahead of the true one by
    /// some milliseconds, but never behind it: every hit reads it, so it should be cheap, and a life
    /// may end early but not late.
    fn uptime(&self) -> Duration;
    /// The same time, but never ahead of the true one. Lives are laid down by it.
    fn uptime_floor(&self) -> Duration {
        self.uptime()
    }
}

/// The machine's clock.
///
/// When the calendar steps backwards, [`Clock::now`] goes on from where it was: entries may then
/// expire early, but none lives longer than its life.
#[derive(Debug)]
pub struct SystemClock {
    anchor: Mutex<(Timestamp, Instant)>,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            anchor: Mutex::new((Timestamp::now(), Instant::now())),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut anchor = self
            .anchor
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let here = Instant::now();
        let (at, since) = *anchor;
        let steady = at + (here - since);
        let calendar = Timestamp::now();
        if calendar > steady {
            *anchor = (calendar, here);
        }
        calendar.max(steady)
    }

    fn uptime(&self) -> Duration {
        steady() + TICK_MAX
    }

    fn uptime_floor(&self) -> Duration {
        steady()
    }
}

/// The longest time between two ticks of a kernel's coarse clock.
const TICK_MAX: Duration = Duration::from_millis(10);

/// The kernel's tick clock, a third of the price of the exact one. It lags by up to one tick.
#[cfg(target_os = "linux")]
fn steady() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let tick = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(tick.tv_sec as u64, tick.tv_nsec as u32)
}

#[cfg(not(target_os = "linux"))]
fn steady() -> Duration {
    static BEGINNING: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGINNING.get_or_init(Instant::now).elapsed()
}

/// A clock that moves only when told to, for tests of whoever caches.
#[derive(Debug)]
pub struct ManualClock {
    at: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// A clock that stands at `now` with an uptime of zero.
    pub fn new(now: Timestamp) -> Self {
        Self {
            at: Mutex::new((now, Duration::ZERO)),
        }
    }

    /// Lets `by` pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut at = self
            .at
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *at = (at.0 + by, at.1 + by);
    }

    /// Sets the calendar without letting any time pass: a clock step, in either direction.
    pub fn step_to(&self, now: Timestamp) {
        self.at
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.at
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0
    }

    fn uptime(&self) -> Duration {
        self.at
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_uptime_encloses_the_exact_one() {
        let clock = SystemClock::default();
        let before = Instant::now();
        let (floor, uptime) = (clock.uptime_floor(), clock.uptime());
        let after = Instant::now();
        while before.elapsed() < Duration::from_millis(50) {
            // A pause of this thread between two readings only widens what is allowed.
            let passed = after.elapsed();
            assert!(clock.uptime() - floor >= passed, "a life would end late");
            let later = clock.uptime_floor();
            assert!(
                later.saturating_sub(uptime) <= before.elapsed(),
                "the floor is ahead"
            );
        }
    }

    #[test]
    fn the_calendar_never_runs_backwards() {
        let clock = SystemClock::default();
        let mut last = clock.now();
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
