//! The calls that took longest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How many are kept.
pub(crate) const SLOWEST: usize = 20;

/// A slow call. The order is that of the list: the longest first, then by time, then by place in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slow {
    pub(crate) duration_ms: Reverse<u64>,
    pub(crate) ended_ms: i64,
    pub(crate) at: u64,
    pub(crate) what: SlowWhat,
}

/// What the list says about a slow call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlowWhat {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) instance: String,
}

/// The longest calls so far.
#[derive(Debug, Default)]
pub(crate) struct Slowest {
    // The top of the heap is the one to go.
    heap: BinaryHeap<Slow>,
}

impl Slowest {
    /// Whether a call belongs to the list, as it is so far.
    pub(crate) fn takes(&self, duration_ms: u64, ended_ms: i64, at: u64) -> bool {
        self.heap.len() < SLOWEST
            || self.heap.peek().is_some_and(|last| {
                (Reverse(duration_ms), ended_ms, at) < (last.duration_ms, last.ended_ms, last.at)
            })
    }

    pub(crate) fn add(&mut self, slow: Slow) {
        self.heap.push(slow);
        if self.heap.len() > SLOWEST {
            self.heap.pop();
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for slow in other.heap {
            self.add(slow);
        }
    }

    pub(crate) fn into_list(self) -> Vec<Slow> {
        self.heap.into_sorted_vec()
    }
}
