//! What a desk holds of one record.

use crate::change_rate::ChangeRate;
use crate::read_rate::ReadRate;

/// Times are in tenths of a second since the desk's epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// When upstream was last asked.
    pub fetched: u32,
    /// How old its last known change was then, in seconds.
    pub age: f32,
    pub rate: ChangeRate,
    pub reads: ReadRate,
    /// The stated maximum age, in tenths of a second.
    pub max_age: u32,
    /// The lifetime by the TTL tables, in tenths of a second.
    pub ttl: u32,
    /// Whether the slot is taken.
    pub is_in: bool,
    /// Whether a call for it is under way.
    pub is_calling: bool,
    /// Whether a feed said that it changed.
    pub is_told: bool,
}

/// Age of the last change of a record of which upstream does not tell: a month.
const AGE_UNKNOWN: f32 = 30.0 * 86_400.0;

impl Record {
    pub fn new(fetched: u32, max_age: u32) -> Record {
        Record {
            fetched,
            age: AGE_UNKNOWN,
            rate: ChangeRate::unknown(),
            reads: ReadRate::none(fetched),
            max_age,
            ttl: 0,
            is_in: true,
            is_calling: false,
            is_told: false,
        }
    }

    /// How long after a fetch the next one is made for the promise's sake, in tenths of a second.
    ///
    /// Earlier than promised, by 5 to 30 %, each slot by its own share: records that came in together do not run out together.
    pub fn promise_tenths(&self, slot: u32) -> u32 {
        let share = f64::from(slot.wrapping_mul(2_654_435_769)) / f64::from(u32::MAX);
        (f64::from(self.max_age) * (0.70 + 0.25 * share)) as u32
    }

    /// The latest moment of which the record knows.
    pub fn reads_tick(&self) -> u32 {
        self.reads.at().max(self.fetched)
    }
}
