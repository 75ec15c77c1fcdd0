//! `[limits]`: what one connection may call.

use std::time::Duration;

use super::reader::Table;

/// What one connection may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The most calls in any window of length `per`.
    pub calls: u32,
    /// The window.
    pub per: Duration,
    /// The most calls at once.
    pub concurrency: u32,
    /// The most time for one call, from connecting to the last byte.
    pub timeout: Duration,
    /// The share of `calls` that is ours; the rest belongs to other programs with the same key.
    pub share: f64,
    /// How many calls of a window only reads and events may take.
    pub reserve: u32,
}

impl Limits {
    /// The calls of a window that are ours: `calls × share`, at least one.
    pub fn calls_usable(&self) -> u32 {
        // In bounds: `calls` is at most a million and `share` at most 1.
        ((f64::from(self.calls) * self.share).floor() as u32).max(1)
    }

    pub(super) fn read(root: &Table<'_>) -> Limits {
        let Some(table) = root.table("limits") else {
            if !root.has("limits") {
                root.problem(
                    "limits",
                    "is missing: say how many calls one connection has",
                );
            }
            return Limits::of(60, Duration::from_secs(60));
        };
        let count = |key| {
            table
                .integer(key, 1, 1_000_000)
                .and_then(|count| u32::try_from(count).ok())
        };
        let (per_minute, calls, per) = (
            count("calls_per_minute"),
            count("calls"),
            table.duration("per"),
        );
        let has_minute = table.has("calls_per_minute");
        let has_pair = table.has("calls") || table.has("per");
        if has_minute && has_pair {
            table.problem(
                "calls_per_minute",
                "stands beside `calls` and `per`: give one or the other",
            );
        } else if !(has_minute || table.has("calls") && table.has("per")) {
            table.problem(
                "calls",
                "is missing: give `calls_per_minute`, or `calls` and `per`",
            );
        }
        if per == Some(Duration::ZERO) {
            table.problem("per", "must be more than 0");
        }
        let mut limits = match per_minute {
            Some(calls) => Limits::of(calls, Duration::from_secs(60)),
            None => Limits::of(calls.unwrap_or(60), per.unwrap_or(Duration::from_secs(60))),
        };
        if let Some(concurrency) = table.integer("concurrency", 1, 1_000) {
            limits.concurrency = u32::try_from(concurrency).unwrap_or(1);
        }
        if table.has("timeout") {
            limits.timeout = table.need_duration("timeout");
        }
        if let Some(share) = table.share("share") {
            limits.share = share;
            limits.reserve = reserve_of(limits.calls_usable());
        }
        let most = i64::from(limits.calls_usable()) - 1;
        if let Some(reserve) = table.integer("reserve", 0, most) {
            limits.reserve = u32::try_from(reserve).unwrap_or(0);
        }
        limits
    }

    fn of(calls: u32, per: Duration) -> Limits {
        Limits {
            calls,
            per,
            concurrency: 4,
            timeout: Duration::from_secs(30),
            share: 1.0,
            reserve: reserve_of(calls),
        }
    }
}

/// One call in twenty, where there are twenty.
fn reserve_of(calls: u32) -> u32 {
    calls / 20
}
