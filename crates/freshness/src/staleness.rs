//! The chance that a copy is stale, and what a call for it is worth.
//!
//! With S(t) the chance that a copy is still fresh t seconds after its fetch, and reads at rate r, fetching now instead of
//! never saves r (integral of S from 0 to t - t S(t)) stale reads per call: the index of the best plan under a budget (Cho,
//! Garcia-Molina, TODS 2003, by Lagrange; for a known rate c it is (r/c)(1 - e^-x (1 + x)), x = c t). A reader who waits for the
//! call gains 1 - S(t) on top. S is not e^-x, since the rate is not known: averaging over the Gamma distribution of the rate
//! gives (1 + u/b)^-k, which is careful with records of which little is known.

use crate::age_hazard::AgeHazard;
use crate::change_rate::ChangeRate;

/// One record's S(t) from its last fetch on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staleness<'a> {
    hazard: &'a AgeHazard,
    /// Gamma distribution of the change rate.
    shape: f64,
    rate: f64,
    /// Age of the last known change at the fetch, in seconds.
    age: f64,
}

/// What is true some seconds after a fetch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Worth {
    /// The chance that the copy is stale.
    pub stale: f64,
    /// Seconds of freshness that a call buys, compared with not calling; times the read rate: stale reads saved.
    pub saved: f64,
}

impl Worth {
    /// Stale reads that a call saves when nobody waits for it.
    pub fn behind(self, reads: f64) -> f64 {
        reads * self.saved
    }

    /// Stale reads that a call saves when the reader at hand waits for it.
    pub fn first(self, reads: f64) -> f64 {
        reads * self.saved + self.stale
    }
}

impl<'a> Staleness<'a> {
    pub fn new(hazard: &'a AgeHazard, rate: ChangeRate, age: f64) -> Staleness<'a> {
        let (shape, rate) = rate.gamma();
        Staleness {
            hazard,
            shape,
            rate,
            age: age.max(0.0),
        }
    }

    /// `after` seconds after the fetch.
    pub fn worth(&self, after: f64) -> Worth {
        let mut walk = self.walk();
        while walk.time < after {
            let (multiplier, holds) = self.hazard.at(self.age + walk.time);
            walk.advance(multiplier, holds.min(after - walk.time).max(STEP_MIN));
        }
        walk.worth()
    }

    /// Seconds after the fetch at which a call saves `wanted` seconds of freshness; `None`: it never does, or not within
    /// `within` seconds.
    pub fn due(&self, wanted: f64, within: f64) -> Option<f64> {
        self.reach(within, |worth| worth.saved >= wanted)
    }

    /// Seconds after the fetch at which the worth is `enough`, which it must stay once it is.
    pub fn reach(&self, within: f64, enough: impl Fn(Worth) -> bool) -> Option<f64> {
        let mut walk = self.walk();
        while walk.time < within {
            let (multiplier, holds) = self.hazard.at(self.age + walk.time);
            let length = holds.min(within - walk.time).max(STEP_MIN);
            let mut ahead = walk;
            ahead.advance(multiplier, length);
            if !enough(ahead.worth()) {
                walk = ahead;
                continue;
            }
            let (mut low, mut high) = (0.0, length);
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(low, high);
                let mut probe = walk;
                probe.advance(multiplier, middle);
                if enough(probe.worth()) {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            return Some(walk.time + high);
        }
        None
    }

    fn walk(&self) -> Walk {
        Walk {
            shape: self.shape,
            rate: self.rate,
            time: 0.0,
            operational: 0.0,
            fresh: 1.0,
            fresh_time: 0.0,
        }
    }
}

/// Shorter steps would not move the time along.
const STEP_MIN: f64 = 1e-3;

/// A due time is found to a 128th of its bracket.
const HALVINGS: u32 = 7;

/// S and its integral, carried along stretches of constant multiplier.
#[derive(Clone, Copy)]
struct Walk {
    shape: f64,
    rate: f64,
    time: f64,
    operational: f64,
    /// S here.
    fresh: f64,
    /// The integral of S up to here.
    fresh_time: f64,
}

impl Walk {
    fn advance(&mut self, multiplier: f64, length: f64) {
        // From here on the distribution is that of a record that stayed unchanged so far: Gamma(shape, rate + operational).
        let rate = self.rate + self.operational;
        let step = multiplier * length;
        let log = (step / rate).ln_1p();
        // Integral of (1 + v/rate)^-shape over v from 0 to step.
        let power = self.shape - 1.0;
        let integral = if power.abs() < 1e-6 {
            rate * log
        } else {
            rate * -(-power * log).exp_m1() / power
        };
        self.fresh_time += self.fresh * integral / multiplier;
        self.fresh *= (-self.shape * log).exp();
        self.operational += step;
        self.time += length;
    }

    fn worth(&self) -> Worth {
        Worth {
            stale: 1.0 - self.fresh,
            saved: (self.fresh_time - self.time * self.fresh).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests;
