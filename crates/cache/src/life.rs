//! How long a value may be served. Pure: time and chance come in as arguments.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// Longest life of any entry: "until evicted" still carries an expiry (30 days).
pub const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How far ahead of ours another process's clock may be; a value from further ahead is a miss.
pub const SKEW_MAX: Duration = Duration::from_secs(2);

/// How long a value may be served, counted from when upstream was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// For this long; at most [`LIFE_MAX`].
    For(Duration),
    /// Not at all: the value is served once and never written. What TTL tables call `none`.
    Never,
}

type Rule<V> = Arc<dyn Fn(&V, Timestamp) -> Life + Send + Sync>;

/// A family's rule for the life of its values, with the name that tools show.
pub struct Ttl<V> {
    pub(crate) name: String,
    rule: Rule<V>,
}

impl<V> Ttl<V> {
    /// The same life for every value.
    pub fn fixed(life: Duration) -> Self {
        Self {
            name: format!("{life:?}"),
            rule: Arc::new(move |_, _| Life::For(life)),
        }
    }

    /// A life that depends on the value and the time, under the name of its rule table.
    pub fn rule(
        name: impl Into<String>,
        rule: impl Fn(&V, Timestamp) -> Life + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            rule: Arc::new(rule),
        }
    }

    pub(crate) fn life(&self, value: &V, now: Timestamp) -> Life {
        (self.rule)(value, now)
    }
}

impl<V> fmt::Debug for Ttl<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ttl").field(&self.name).finish()
    }
}

/// From when until when an entry counts, on the calendar, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub fetched_at: i64,
    /// Fresh before this.
    pub expires_at: i64,
    /// Kept before this, to be served marked as stale when loading fails.
    pub stale_until: i64,
}

impl Window {
    /// The window of a value fetched at `fetched_at`, or `None` when it is already over.
    ///
    /// `draw` in `0.0..1.0` takes up to `jitter` of the life away, so that entries filled together do
    /// not end together. A life is never prolonged, and a fetch time in the future counts as now.
    pub fn of(
        life: Duration,
        fetched_at: Timestamp,
        now: Timestamp,
        jitter: f64,
        draw: f64,
        stale_for: Duration,
    ) -> Option<Self> {
        let now = now.as_millisecond();
        let fetched_at = fetched_at.as_millisecond().min(now);
        let life = millis(life.min(LIFE_MAX));
        let taken = (life as f64 * jitter.clamp(0.0, 1.0) * draw.clamp(0.0, 1.0)) as i64;
        let expires_at = fetched_at.saturating_add(life - taken);
        if expires_at <= now {
            return None;
        }
        let stale_until = expires_at.saturating_add(millis(stale_for.min(LIFE_MAX)));
        Some(Self {
            fetched_at,
            expires_at,
            stale_until,
        })
    }

    /// Whether the window can be believed at `now`: not fetched in the future, not longer than any life.
    pub fn is_plausible(&self, now: Timestamp) -> bool {
        self.fetched_at <= now.as_millisecond().saturating_add(millis(SKEW_MAX))
            && self.expires_at >= self.fetched_at
            && self.expires_at - self.fetched_at <= millis(LIFE_MAX)
            && self.stale_until >= self.expires_at
    }
}

/// Whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
