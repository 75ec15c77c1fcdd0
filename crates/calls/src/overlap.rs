//! How many calls are under way at the same time.
//!
//! A call counts from its start up to, but without, its end; one of 0 ms counts for 1 ms. Starts and ends are kept by
//! minute; when there are too many, the oldest minutes are swept, in order of time, and forgotten. So the result is
//! exact for any log whose lines are at most [`EDGES_MAX`] ÷ 4 calls out of order. A log that goes further back (two logs
//! behind each other) is swept anew from there: overlaps are then those within each stretch.

use std::collections::BTreeMap;

use crate::timeline::{MINUTE_MS, Timeline};

/// The most starts and ends that wait to be swept.
const EDGES_MAX: usize = 1 << 21;
/// Starts and ends of one minute are folded together when there are as many.
const FOLD_AT: usize = 1 << 18;
/// The most connections that are told apart.
pub(crate) const GROUPS_MAX: usize = 256;
/// Levels whose time is measured; the last stands for all above.
pub(crate) const LEVELS: usize = 33;

/// Starts and ends within a minute: the key orders them by time, ends before starts.
#[derive(Debug, Default)]
struct Edges {
    loose: Vec<u32>,
    folded: Vec<(u32, u32)>,
}

/// What is known of one connection's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupPeak {
    level: u32,
    /// The most at the same time.
    pub(crate) peak: u32,
    /// The most that began in one minute of the clock.
    pub(crate) minute_max: u32,
    minute: u32,
}

/// The sweep.
#[derive(Debug)]
pub(crate) struct Overlap {
    pending: BTreeMap<i64, Edges>,
    /// The minute of the last start or end, kept at hand: the next is mostly of the same.
    open: Option<(i64, Edges)>,
    waiting: usize,
    edges_max: usize,
    /// Minutes before this are swept.
    swept_to: i64,
    level: u32,
    /// Up to when the time of levels is accounted for.
    at_ms: i64,
    pub(crate) peak: u32,
    pub(crate) peak_at_ms: i64,
    pub(crate) level_ms: [u64; LEVELS],
    /// Milliseconds of all calls together.
    pub(crate) call_ms: u64,
    pub(crate) groups: Vec<GroupPeak>,
    /// Places where the log goes back in time further than what waits.
    pub(crate) restarts: u64,
    /// Calls whose beginning lies further back than what waits: counted from there.
    pub(crate) clipped: u64,
}

impl Default for Overlap {
    fn default() -> Self {
        Self::new(EDGES_MAX)
    }
}

impl Overlap {
    fn new(edges_max: usize) -> Self {
        Self {
            pending: BTreeMap::new(),
            open: None,
            waiting: 0,
            edges_max,
            swept_to: i64::MIN,
            level: 0,
            at_ms: i64::MIN,
            peak: 0,
            peak_at_ms: 0,
            level_ms: [0; LEVELS],
            call_ms: 0,
            groups: vec![GroupPeak::default(); GROUPS_MAX],
            restarts: 0,
            clipped: 0,
        }
    }

    /// Adds a call from `start_ms` to `end_ms`.
    pub(crate) fn add(&mut self, start_ms: i64, end_ms: i64, group: u8, timeline: &mut Timeline) {
        let end_ms = end_ms.max(start_ms + 1);
        let mut start_ms = start_ms;
        if end_ms.div_euclid(MINUTE_MS) < self.swept_to {
            self.restarts += 1;
            self.sweep_to(i64::MAX, timeline);
            self.swept_to = i64::MIN;
            self.at_ms = i64::MIN;
        }
        if start_ms.div_euclid(MINUTE_MS) < self.swept_to {
            self.clipped += 1;
            start_ms = self.swept_to * MINUTE_MS;
            if start_ms == end_ms {
                return;
            }
        }
        self.push(start_ms, true, group);
        self.push(end_ms, false, group);
        if self.waiting > self.edges_max {
            self.sweep_some(timeline);
        }
    }

    fn push(&mut self, at_ms: i64, is_start: bool, group: u8) {
        let offset = at_ms.rem_euclid(MINUTE_MS) as u32;
        let key = (offset << 9) | (u32::from(is_start) << 8) | u32::from(group);
        let minute = at_ms.div_euclid(MINUTE_MS);
        if self.open.as_ref().is_none_or(|open| open.0 != minute) {
            self.close();
            let edges = self.pending.remove(&minute).unwrap_or_default();
            self.open = Some((minute, edges));
        }
        let Some((_, edges)) = &mut self.open else {
            return;
        };
        edges.loose.push(key);
        self.waiting += 1;
        if edges.loose.len() >= FOLD_AT {
            self.waiting -= edges.loose.len() + edges.folded.len();
            edges.fold();
            self.waiting += edges.folded.len();
        }
    }

    /// Puts the minute at hand back to the others.
    fn close(&mut self) {
        if let Some((minute, edges)) = self.open.take() {
            self.pending.insert(minute, edges);
        }
    }

    /// Sweeps the oldest minutes until half of what may wait is left, or one minute.
    fn sweep_some(&mut self, timeline: &mut Timeline) {
        self.close();
        let mut left = self.waiting;
        let mut to = self.swept_to;
        let mut minutes = self.pending.iter().peekable();
        while let Some((minute, edges)) = minutes.next() {
            if left <= self.edges_max / 2 || minutes.peek().is_none() {
                break;
            }
            left -= edges.loose.len() + edges.folded.len();
            to = minute + 1;
        }
        self.sweep_to(to, timeline);
    }

    /// Sweeps all minutes before `to`.
    pub(crate) fn sweep_to(&mut self, to: i64, timeline: &mut Timeline) {
        self.close();
        while let Some(first) = self.pending.first_entry() {
            if *first.key() >= to {
                break;
            }
            let (minute, edges) = first.remove_entry();
            self.waiting -= edges.loose.len() + edges.folded.len();
            self.sweep_minute(minute, edges, timeline);
        }
        self.swept_to = self.swept_to.max(to);
    }

    fn sweep_minute(&mut self, minute: i64, mut edges: Edges, timeline: &mut Timeline) {
        edges.fold();
        let mut minute_peak = 0;
        for (key, count) in &edges.folded {
            let at_ms = minute * MINUTE_MS + i64::from(key >> 9);
            let group = &mut self.groups[(key & 0xFF) as usize];
            if at_ms > self.at_ms {
                if self.level > 0 {
                    let slot = (self.level as usize).min(LEVELS - 1);
                    let ms = (at_ms - self.at_ms).unsigned_abs();
                    self.level_ms[slot] += ms;
                    self.call_ms += ms * u64::from(self.level);
                    // What ends with the first moment of a minute was not under way in it.
                    if at_ms > minute * MINUTE_MS {
                        minute_peak = minute_peak.max(self.level);
                    }
                }
                self.at_ms = at_ms;
            }
            if key & 0x100 == 0 {
                self.level -= count;
                group.level -= count;
                continue;
            }
            self.level += count;
            group.level += count;
            group.peak = group.peak.max(group.level);
            group.minute += count;
            minute_peak = minute_peak.max(self.level);
            if self.level > self.peak {
                self.peak = self.level;
                self.peak_at_ms = at_ms;
            }
        }
        for group in &mut self.groups {
            group.minute_max = group.minute_max.max(group.minute);
            group.minute = 0;
        }
        // What is left after the last start or end lasts into the next minute.
        timeline.overlap(minute, minute_peak.max(self.level), self.level);
    }
}

impl Edges {
    fn fold(&mut self) {
        self.loose.sort_unstable();
        let loose = self.loose.iter().map(|key| (*key, 1));
        let mut all: Vec<(u32, u32)> = std::mem::take(&mut self.folded);
        all.extend(loose);
        self.loose = Vec::new();
        if !all.is_sorted() {
            all.sort_unstable();
        }
        all.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 += next.1;
            }
            is_same
        });
        self.folded = all;
    }
}

#[cfg(test)]
mod tests;
