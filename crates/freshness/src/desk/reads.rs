//! Reads that ask for no decision, and reads that another desk of the same records was told of.

use std::time::Duration;

use jiff::Timestamp;

use super::{Desk, Slot};
use crate::read_rate::{FADE, ReadRate};

/// In so long a read's weight falls to 1/e.
pub const READ_FADE: Duration = Duration::from_secs(FADE as u64);

impl Desk {
    /// Notes a read for which nobody asks what to do: the reader has said so, or another policy decides.
    pub fn note_read(&mut self, slot: Slot, now: Timestamp) {
        let tick = self.tick(now);
        self.records[slot.0 as usize].reads.read(tick);
        self.requeue(slot.0);
    }

    /// Takes over the reads of a record that all desks together have counted by `read_at`.
    pub fn adopt_reads(&mut self, slot: Slot, reads: f32, read_at: Timestamp) {
        let tick = self.tick(read_at);
        self.records[slot.0 as usize].reads = ReadRate::from_parts(reads, tick);
        self.requeue(slot.0);
    }

    /// How often a record is read, per second, as learned.
    pub fn reads_per_second(&self, slot: Slot, now: Timestamp) -> f64 {
        self.reads(&self.records[slot.0 as usize], self.tick(now))
    }
}
