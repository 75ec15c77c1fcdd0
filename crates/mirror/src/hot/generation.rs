//! Which state of a resource's records this process has heard of: part of the key of what was computed from them.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache::Position;

/// Changes ahead of the settled ones that are told apart.
const AHEAD_MAX: usize = 65_536;

/// The state of every resource's records, as far as the change feed was read.
#[derive(Debug, Default)]
pub(super) struct Generations(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Where reading began.
    start: Position,
    of: HashMap<String, Generation>,
}

#[derive(Debug, Default)]
struct Generation {
    settled: Position,
    /// Changes that are visible although an earlier one could still commit. While there are any, this process's
    /// answers are its own.
    ahead: BTreeSet<Position>,
    nonce: u64,
}

impl Generations {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to `at` counts as heard of.
    pub fn begin(&self, at: Position) {
        let mut state = self.state();
        state.start = state.start.max(at);
    }

    /// Notes a change of `resource`; noting it again changes nothing.
    pub fn note(&self, resource: &str, at: Position, settled: bool) {
        let mut state = self.state();
        let start = state.start;
        let generation = match state.of.get_mut(resource) {
            Some(generation) => generation,
            None => state.of.entry(resource.to_owned()).or_insert(Generation {
                settled: start,
                ..Generation::default()
            }),
        };
        if settled {
            generation.ahead.remove(&at);
            generation.settled = generation.settled.max(at);
        } else {
            if generation.ahead.len() >= AHEAD_MAX {
                generation.ahead.clear();
            }
            if generation.ahead.insert(at) {
                generation.nonce = rand::random();
            }
        }
    }

    /// The present state of `resource`, as a text that no other state has.
    pub fn of(&self, resource: &str) -> String {
        let state = self.state();
        let Some(generation) = state.of.get(resource) else {
            return state.start.to_string();
        };
        let mut text = generation.settled.max(state.start).to_string();
        if !generation.ahead.is_empty() {
            // Writing into a String cannot fail.
            let _ = write!(text, "~{:x}", generation.nonce);
        }
        text
    }
}

#[cfg(test)]
mod tests;
