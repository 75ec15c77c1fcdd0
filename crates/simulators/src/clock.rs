//! Business time of the simulated service: it moves with real time and can be pushed forward.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The clock that stamps every document. Clones share one time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Timestamp,
    started: Instant,
    advanced_ms: AtomicI64,
    // The last stamp given out: two changes never carry a stamp that runs backwards.
    last: Mutex<Timestamp>,
    moved: tokio::sync::Notify,
}

impl Clock {
    /// A clock that shows `start` now and then runs with real time.
    pub fn starting_at(start: Timestamp) -> Clock {
        Clock(Arc::new(Inner {
            start: to_millis(start),
            started: Instant::now(),
            advanced_ms: AtomicI64::new(0),
            last: Mutex::new(to_millis(start)),
            moved: tokio::sync::Notify::new(),
        }))
    }

    /// The simulated instant, in whole milliseconds.
    pub fn now(&self) -> Timestamp {
        let ran = self.0.started.elapsed().as_millis() as i64;
        let ms = ran.saturating_add(self.0.advanced_ms.load(Ordering::SeqCst));
        let now = self
            .0
            .start
            .saturating_add(SignedDuration::from_millis(ms))
            .unwrap_or(self.0.start);
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(*last);
        *last
    }

    /// The simulated calendar day in UTC.
    pub fn today(&self) -> Date {
        self.now().to_zoned(TimeZone::UTC).date()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.0.advanced_ms.fetch_add(ms, Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Moves the clock forward to `to`; an instant already passed leaves it alone.
    pub fn advance_to(&self, to: Timestamp) {
        let ahead = to.duration_since(self.now());
        if ahead.is_positive() {
            self.advance(ahead.unsigned_abs());
        }
    }

    /// Completes once somebody has pushed the clock forward. Safe to drop at any time.
    pub(crate) fn moved(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.moved.notified()
    }
}

/// `at` cut to whole milliseconds, as the service stores it.
pub(crate) fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
