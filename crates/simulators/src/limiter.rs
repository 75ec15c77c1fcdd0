//! The call limit: so many calls per key and window, nothing carried over.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many calls a key may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Calls that fit into one window.
    pub calls: u32,
    /// Length of the window, in real time.
    pub per: Duration,
    /// Count the calls of the last `per` at every moment, instead of a window that starts with its first call.
    pub sliding: bool,
}

impl Default for Limit {
    fn default() -> Self {
        Limit {
            calls: 60,
            per: Duration::from_secs(60),
            sliding: false,
        }
    }
}

/// Counts calls per key. A refused call does not count.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    keys: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Limiter {
    /// Whether the key may make a call at `now`; if so, it has made it.
    pub(crate) fn allow(&self, limit: Limit, key: &str, now: Instant) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = keys.entry(key.to_owned()).or_default();
        if limit.sliding {
            while calls
                .front()
                .is_some_and(|first| now.duration_since(*first) >= limit.per)
            {
                calls.pop_front();
            }
        } else if calls
            .front()
            .is_some_and(|first| now.duration_since(*first) >= limit.per)
        {
            // A fixed window starts with its first call and is forgotten whole.
            calls.clear();
        }
        let free = calls.len() < limit.calls as usize;
        if free {
            calls.push_back(now);
        }
        free
    }

    /// Gives every key a fresh window.
    pub(crate) fn reset(&self) {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests;
