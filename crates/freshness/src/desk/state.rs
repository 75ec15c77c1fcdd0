//! What a desk has learned, in few bytes, so that it survives a restart.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::record::Record;
use super::{Desk, Policy, Slot, tenths};
use crate::age_hazard::{AgeHazard, BRACKETS};
use crate::change_rate::ChangeRate;
use crate::price::Price;
use crate::read_rate::ReadRate;

/// What is known of one record: [`RecordState::BYTES`] bytes, free of any desk's own numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordState([u8; RecordState::BYTES]);

/// A [`RecordState`] in numbers that a table can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// When upstream was last known to say what the copy says.
    pub fetched_at: Timestamp,
    /// Changes seen, the prior's included; above 0.
    pub events: f32,
    /// Operational seconds in which they were seen; above 0.
    pub exposure: f32,
    /// How old the last known change was at the fetch, in seconds.
    pub age: f32,
    /// Reads, faded, as of `read_at`.
    pub reads: f32,
    /// When it was read last.
    pub read_at: Timestamp,
}

/// What was learned over all records together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedState(Vec<u8>);

/// Why bytes are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The length is not that of any version.
    #[error("a learned state of {0} bytes is of no known version: drop it, and it is learned anew")]
    Length(usize),
    /// Another version, or numbers that no desk writes.
    #[error("a learned state is damaged or of another version: drop it, and it is learned anew")]
    Damaged,
}

const VERSION: u8 = 1;

impl RecordState {
    /// The size of a state.
    pub const BYTES: usize = 1 + 8 + 5 * 4;

    /// The bytes, to be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads kept bytes.
    ///
    /// # Errors
    ///
    /// [`StateError`] when they were not written by this version; nothing else is lost then than what was learned.
    pub fn from_bytes(bytes: &[u8]) -> Result<RecordState, StateError> {
        let bytes: [u8; RecordState::BYTES] = bytes
            .try_into()
            .map_err(|_| StateError::Length(bytes.len()))?;
        let state = RecordState(bytes);
        let [events, exposure, age, ..] = state.floats();
        let is_sound =
            bytes[0] == VERSION && age >= 0.0 && ChangeRate::from_parts(events, exposure).is_some();
        is_sound.then_some(state).ok_or(StateError::Damaged)
    }

    /// The numbers.
    pub fn learned(&self) -> Learned {
        let fetched_at = self.fetched_at();
        let [events, exposure, age, reads, read_after] = self.floats();
        let after = (f64::from(read_after) * 1_000.0) as i64;
        Learned {
            fetched_at,
            events,
            exposure,
            age,
            reads,
            read_at: fetched_at
                .saturating_add(SignedDuration::from_millis(after))
                .unwrap_or(fetched_at),
        }
    }

    /// The state that says these numbers.
    ///
    /// # Errors
    ///
    /// [`StateError::Damaged`] for numbers that no desk writes.
    pub fn of(learned: &Learned) -> Result<RecordState, StateError> {
        let after = learned.read_at.duration_since(learned.fetched_at);
        let floats = [
            learned.events,
            learned.exposure,
            learned.age,
            learned.reads,
            after.as_secs_f32(),
        ];
        RecordState::from_bytes(&state_bytes(learned.fetched_at, floats))
    }

    fn fetched_at(&self) -> Timestamp {
        let mut millis = [0; 8];
        millis.copy_from_slice(&self.0[1..9]);
        Timestamp::from_millisecond(i64::from_le_bytes(millis)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Events, exposure, age at the fetch, reads as of the last one, seconds from the fetch to that one.
    fn floats(&self) -> [f32; 5] {
        let mut floats = [0.0; 5];
        for (float, bytes) in floats.iter_mut().zip(self.0[9..].chunks_exact(4)) {
            let mut four = [0; 4];
            four.copy_from_slice(bytes);
            *float = f32::from_le_bytes(four);
        }
        floats
    }
}

fn state_bytes(fetched_at: Timestamp, floats: [f32; 5]) -> [u8; RecordState::BYTES] {
    let mut bytes = [0; RecordState::BYTES];
    bytes[0] = VERSION;
    bytes[1..9].copy_from_slice(&fetched_at.as_millisecond().to_le_bytes());
    for (place, float) in bytes[9..].chunks_exact_mut(4).zip(floats) {
        place.copy_from_slice(&float.to_le_bytes());
    }
    bytes
}

impl SharedState {
    /// The bytes, to be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads kept bytes.
    ///
    /// # Errors
    ///
    /// [`StateError`] when they were not written by this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<SharedState, StateError> {
        if bytes.len() != SHARED_BYTES {
            return Err(StateError::Length(bytes.len()));
        }
        let state = SharedState(bytes.to_vec());
        let is_sound = bytes[0] == VERSION && state.numbers().all(f64::is_finite);
        is_sound.then_some(state).ok_or(StateError::Damaged)
    }

    fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        self.0[1..].chunks_exact(8).map(|bytes| {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            f64::from_le_bytes(eight)
        })
    }
}

const SHARED_BYTES: usize = 1 + 8 * (2 + 2 * BRACKETS);

/// Longer watching, in seconds, makes no difference: reads have faded long before.
const WATCHED_MAX: f64 = 30.0 * 86_400.0;

impl Desk {
    /// A desk that goes on with what another has learned.
    pub fn resume(policy: Policy, now: Timestamp, shared: &SharedState) -> Desk {
        let mut desk = Desk::new(policy, now);
        let mut numbers = shared.numbers();
        desk.price = Price::from_log(numbers.next().unwrap_or(0.0));
        let watched = numbers.next().unwrap_or(0.0).clamp(0.0, WATCHED_MAX);
        desk.watched_from = desk.watched_from.saturating_sub((watched * 10.0) as u32);
        let mut seen = [(0.0, 0.0); BRACKETS];
        for pair in &mut seen {
            *pair = (
                numbers.next().unwrap_or(0.0).max(0.0),
                numbers.next().unwrap_or(0.0).max(0.0),
            );
        }
        desk.hazard = AgeHazard::from_seen(seen);
        desk
    }

    /// What was learned over all records together, as of `now`.
    pub fn save_shared(&self, now: Timestamp) -> SharedState {
        let mut bytes = vec![VERSION];
        let pairs = self
            .hazard
            .seen()
            .iter()
            .flat_map(|(events, expected)| [*events, *expected]);
        let watched = self.watched(self.tick(now));
        for number in [self.price.log_base(), watched].into_iter().chain(pairs) {
            bytes.extend(number.to_le_bytes());
        }
        SharedState(bytes)
    }

    /// What is known of a record.
    pub fn save(&self, slot: Slot) -> RecordState {
        let record = &self.records[slot.0 as usize];
        let fetched_millis = self.epoch.as_millisecond() + i64::from(record.fetched) * 100;
        let fetched_at =
            Timestamp::from_millisecond(fetched_millis).unwrap_or(Timestamp::UNIX_EPOCH);
        let (events, exposure) = record.rate.parts();
        let read_after = f64::from(record.reads.at()) / 10.0 - f64::from(record.fetched) / 10.0;
        let floats = [
            events,
            exposure,
            record.age,
            record.reads.count(record.reads.at()),
            read_after as f32,
        ];
        RecordState(state_bytes(fetched_at, floats))
    }

    /// Takes in a record of which something was kept.
    pub fn restore(&mut self, state: &RecordState, max_age: Duration) -> Slot {
        let [events, exposure, age, reads, read_after] = state.floats();
        let mut record = Record::new(self.tick(state.fetched_at()), tenths(max_age));
        record.age = age;
        record.rate = ChangeRate::from_parts(events, exposure).unwrap_or(record.rate);
        let read_at = f64::from(record.fetched) + f64::from(read_after) * 10.0;
        record.reads = ReadRate::from_parts(reads, read_at.max(0.0) as u32);
        self.put(record)
    }
}
