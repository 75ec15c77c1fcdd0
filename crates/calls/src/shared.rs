//! What all workers write to: everything that depends on the order of time.

use hashbrown::HashMap;

use crate::overlap::{GROUPS_MAX, Overlap};
use crate::timeline::Timeline;

/// Overlaps, the timeline, and the numbers of connections.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) overlap: Overlap,
    pub(crate) timeline: Timeline,
    groups: HashMap<Box<[u8]>, u8>,
}

/// The number that stands for all connections beyond the bound.
pub(crate) const GROUP_OTHERS: u8 = (GROUPS_MAX - 1) as u8;

/// A call, as far as time goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) group: u8,
}

/// Calls that ended in the same minute.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MinuteCount {
    pub(crate) minute: i64,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) total_ms: u64,
}

impl Shared {
    /// The number of a connection, the same for all workers.
    pub(crate) fn group(&mut self, key: &[u8]) -> u8 {
        if let Some(group) = self.groups.get(key) {
            return *group;
        }
        let group = u8::try_from(self.groups.len()).unwrap_or(GROUP_OTHERS);
        if group < GROUP_OTHERS {
            self.groups.insert(Box::from(key), group);
        }
        group
    }

    pub(crate) fn take(&mut self, spans: &[Span], minutes: &[MinuteCount]) {
        for span in spans {
            self.overlap
                .add(span.start_ms, span.end_ms, span.group, &mut self.timeline);
        }
        for minute in minutes {
            self.timeline
                .add(minute.minute, minute.calls, minute.errors, minute.total_ms);
        }
    }

    /// Connections with their numbers.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&[u8], u8)> {
        self.groups.iter().map(|(key, group)| (&**key, *group))
    }
}
