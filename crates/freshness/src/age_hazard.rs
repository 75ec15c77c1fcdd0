//! How much likelier a change is soon after a change than long after one, learned over all records together.
//!
//! In life changes come in bursts: a deal is edited ten times in an hour and then rests for weeks. A multiplier per bracket
//! of age since the last known change captures that: tiers whose boundaries are measured, not set. For changes that are
//! truly independent all multipliers come out as 1.

/// Brackets of age: under a minute, then each twice as long as all before; the last is open (from 45 days on).
pub(crate) const BRACKETS: usize = 18;

/// Where the first bracket ends, in seconds.
const FIRST_END: f64 = 60.0;

/// So many expected changes weigh as much as the belief that age does not matter.
const DOUBT: f64 = 20.0;

/// When so many changes have been seen, older ones weigh half.
const EVENTS_MAX: f64 = 20_000.0;

/// Bounds of a multiplier.
const MULTIPLIER_MIN: f64 = 0.02;
const MULTIPLIER_MAX: f64 = 64.0;

/// The multipliers, and what they were learned from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AgeHazard {
    /// Changes seen at this age, and changes expected if age did not matter.
    seen: [(f64, f64); BRACKETS],
    multiplier: [f64; BRACKETS],
    /// Operational time from age 0 to the start of each bracket.
    start: [f64; BRACKETS],
}

impl AgeHazard {
    /// Age does not matter.
    pub fn flat() -> AgeHazard {
        AgeHazard::from_seen([(0.0, 0.0); BRACKETS])
    }

    pub fn from_seen(seen: [(f64, f64); BRACKETS]) -> AgeHazard {
        let mut hazard = AgeHazard {
            seen,
            multiplier: [1.0; BRACKETS],
            start: [0.0; BRACKETS],
        };
        hazard.refresh();
        hazard
    }

    pub fn seen(&self) -> &[(f64, f64); BRACKETS] {
        &self.seen
    }

    /// Operational seconds from age 0 to `age` seconds.
    pub fn operational(&self, age: f64) -> f64 {
        let bracket = bracket_of(age);
        self.start[bracket] + (age - bracket_start(bracket)).max(0.0) * self.multiplier[bracket]
    }

    /// The multiplier at an age, and how long it holds from there (infinite in the last bracket).
    pub fn at(&self, age: f64) -> (f64, f64) {
        let bracket = bracket_of(age);
        let holds = if bracket + 1 == BRACKETS {
            f64::INFINITY
        } else {
            (bracket_start(bracket + 1) - age).max(0.0)
        };
        (self.multiplier[bracket], holds)
    }

    /// Learns from a stretch without a change, during which the age ran from `from` to `to`, of a record with this rate.
    pub fn unchanged(&mut self, from: f64, to: f64, rate: f64) {
        for_brackets(from, to, |bracket, length| {
            self.seen[bracket].1 += rate * length
        });
    }

    /// Learns from a stretch in which a change ended the age that ran from `from`, at an unknown moment before it would have
    /// reached `to`.
    pub fn changed(&mut self, from: f64, to: f64, rate: f64) {
        let mut total = 0.0;
        for_brackets(from, to, |bracket, length| {
            total += self.multiplier[bracket] * length
        });
        if total <= 0.0 {
            let bracket = bracket_of(from);
            self.seen[bracket].0 += 1.0;
            return;
        }
        let mut before = 0.0;
        for_brackets(from, to, |bracket, length| {
            // The chance that the first change fell into this bracket; half its length passed before it, if so.
            let share = self.multiplier[bracket] * length / total;
            self.seen[bracket].0 += share;
            self.seen[bracket].1 += rate * length * (1.0 - before - share / 2.0);
            before += share;
        });
    }

    /// Makes what was learned count. Cheap; call it every now and then.
    pub fn refresh(&mut self) {
        let events: f64 = self.seen.iter().map(|(events, _)| events).sum();
        if events > EVENTS_MAX {
            for (events, expected) in &mut self.seen {
                *events /= 2.0;
                *expected /= 2.0;
            }
        }
        let mut operational = 0.0;
        for bracket in 0..BRACKETS {
            let (events, expected) = self.seen[bracket];
            self.multiplier[bracket] =
                ((events + DOUBT) / (expected + DOUBT)).clamp(MULTIPLIER_MIN, MULTIPLIER_MAX);
            self.start[bracket] = operational;
            if bracket + 1 < BRACKETS {
                operational += self.multiplier[bracket]
                    * (bracket_start(bracket + 1) - bracket_start(bracket));
            }
        }
    }
}

fn bracket_start(bracket: usize) -> f64 {
    if bracket == 0 {
        0.0
    } else {
        FIRST_END * f64::from(1_u32 << (bracket - 1))
    }
}

fn bracket_of(age: f64) -> usize {
    if age < FIRST_END {
        return 0;
    }
    // The exponent of a float is its whole binary logarithm.
    let doublings = ((age / FIRST_END).to_bits() >> 52) as usize - 1023;
    (doublings + 1).min(BRACKETS - 1)
}

fn for_brackets(from: f64, to: f64, mut each: impl FnMut(usize, f64)) {
    let mut age = from.max(0.0);
    let mut bracket = bracket_of(age);
    while age < to {
        let end = if bracket + 1 == BRACKETS {
            to
        } else {
            bracket_start(bracket + 1).min(to)
        };
        if end > age {
            each(bracket, end - age);
        }
        age = end;
        bracket = (bracket + 1).min(BRACKETS - 1);
    }
}

#[cfg(test)]
mod tests;
