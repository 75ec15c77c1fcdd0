//! When a job runs next. Pure: time and chance are arguments.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};

/// After a failure a job waits this long at first, twice that after the next, and never longer than its interval.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(5);

/// Hours in which no run starts, in UTC. They may span midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
}

/// A text that names no hours.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` are not quiet hours: expected HH:MM-HH:MM in UTC with two different times, for example 22:00-06:00"
)]
pub struct BadQuietHours(String);

impl std::str::FromStr for QuietHours {
    type Err = BadQuietHours;

    fn from_str(text: &str) -> Result<Self, BadQuietHours> {
        let bad = || BadQuietHours(text.to_owned());
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':').ok_or_else(bad)?;
            let number = |text: &str| text.parse::<i8>().map_err(|_| bad());
            Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| bad())
        };
        let (from, to) = text.split_once('-').ok_or_else(bad)?;
        let quiet = Self {
            from: time(from)?,
            to: time(to)?,
        };
        if quiet.from == quiet.to {
            Err(bad())
        } else {
            Ok(quiet)
        }
    }
}

impl QuietHours {
    /// When the quiet that `now` lies in ends; `None` when it is not quiet.
    pub fn end_after(&self, now: Timestamp) -> Option<Timestamp> {
        let here = now.to_zoned(TimeZone::UTC);
        let time = here.time();
        let quiet = if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            time >= self.from || time < self.to
        };
        if !quiet {
            return None;
        }
        let date = if time < self.to {
            here.date()
        } else {
            here.date().tomorrow().ok()?
        };
        Some(
            date.to_datetime(self.to)
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp(),
        )
    }
}

/// How a turn of a job ended, as far as its next start depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// All is in.
    Whole,
    /// It failed, after so many failures in a row before it.
    Failed(u32),
    /// It was interrupted and goes on as soon as a worker is free.
    Interrupted,
}

/// When the job is due again that began at `began` and ended at `now`.
///
/// `chance` in `0.0..1.0` spreads starts over `jitter`. Never before `now`: a run that takes longer than its
/// interval is followed by the next at once, and no start is made up for.
pub fn next_start(
    began: Timestamp,
    now: Timestamp,
    every: Duration,
    jitter: Duration,
    chance: f64,
    turn: Turn,
    retry_after: Option<Duration>,
) -> Timestamp {
    let add = |at: Timestamp, by: Duration| {
        SignedDuration::try_from(by)
            .ok()
            .and_then(|by| at.checked_add(by).ok())
            .unwrap_or(Timestamp::MAX)
    };
    match turn {
        Turn::Interrupted => now,
        Turn::Whole => add(add(began, every), jitter.mul_f64(chance.clamp(0.0, 1.0))).max(now),
        Turn::Failed(before) => {
            let backoff = BACKOFF_FIRST
                .saturating_mul(1 << before.min(16))
                .min(every.max(BACKOFF_FIRST));
            add(
                now,
                retry_after
                    .unwrap_or(backoff)
                    .max(Duration::from_millis(100)),
            )
        }
    }
}

#[cfg(test)]
mod tests;
