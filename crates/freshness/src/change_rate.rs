//! How often one record changes, learned from what its fetches showed.
//!
//! Changes are taken as a Poisson process with an unknown rate, about which a Gamma distribution holds what is known: so many
//! events in so much time. An interval without a change adds its length; an interval that ends in a last change at a known
//! moment adds one event and only the time since that change (what came before it is integrated out, which makes this exact).
//! Where only "changed or not" is known, the expected number of changes is added: z / (1 - e^-z), z = rate x length
//! (Cho, Garcia-Molina: Estimating frequency of change, ACM TOIT 2003).

/// What is known of one record's change rate.
///
/// Time here is operational (see [`AgeHazard`](super::age_hazard::AgeHazard)): seconds weighted by how much likelier a
/// change is at the record's age than on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChangeRate {
    /// Changes seen, the prior's included.
    events: f32,
    /// Operational seconds in which they were seen, the prior's included.
    exposure: f32,
}

/// Before anything is known: an event in a day or so, believed lightly.
const PRIOR_EVENTS: f32 = 0.3;
const PRIOR_EXPOSURE: f32 = 21_600.0;

/// Past this many events older ones fade, so that a record whose habits change is learned anew.
const EVENTS_MAX: f32 = 60.0;

impl ChangeRate {
    /// Before anything is known.
    pub fn unknown() -> ChangeRate {
        ChangeRate {
            events: PRIOR_EVENTS,
            exposure: PRIOR_EXPOSURE,
        }
    }

    pub fn from_parts(events: f32, exposure: f32) -> Option<ChangeRate> {
        let sound = events.is_finite() && exposure.is_finite() && events > 0.0 && exposure > 0.0;
        sound.then_some(ChangeRate { events, exposure })
    }

    pub fn parts(self) -> (f32, f32) {
        (self.events, self.exposure)
    }

    /// No change in this much time.
    pub fn unchanged(&mut self, exposure: f64) {
        self.add(0.0, exposure);
    }

    /// At least one change, the last of them `since` ago.
    pub fn changed_at(&mut self, since: f64) {
        self.add(1.0, since);
    }

    /// At least one change at an unknown moment of this much time.
    pub fn changed(&mut self, exposure: f64) {
        let expected = self.mean() * exposure;
        let events = if expected > 1e-9 {
            expected / -(-expected).exp_m1()
        } else {
            1.0
        };
        self.add(events.min(f64::from(EVENTS_MAX)), exposure);
    }

    /// Changes per operational second.
    pub fn mean(self) -> f64 {
        f64::from(self.events) / f64::from(self.exposure)
    }

    /// Shape and rate of the Gamma distribution.
    pub fn gamma(self) -> (f64, f64) {
        (f64::from(self.events), f64::from(self.exposure))
    }

    fn add(&mut self, events: f64, exposure: f64) {
        self.events += events as f32;
        self.exposure += exposure.max(0.0) as f32;
        if self.events > EVENTS_MAX {
            self.exposure *= EVENTS_MAX / self.events;
            self.events = EVENTS_MAX;
        }
    }
}
