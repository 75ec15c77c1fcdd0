//! How often one record is read: a count that fades.

/// Reads, fading with time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ReadRate {
    count: f32,
    /// When `count` was last brought up to date, in tenths of a second since the desk's epoch.
    at: u32,
}

/// In so many seconds a read's weight falls to 1/e.
pub(crate) const FADE: f64 = 6.0 * 3_600.0;

/// What a record that was never read is taken for: so much of a read in so much of a fade.
const PRIOR_READS: f64 = 0.03;
const PRIOR_FADES: f64 = 0.05;

impl ReadRate {
    pub fn none(at: u32) -> ReadRate {
        ReadRate { count: 0.0, at }
    }

    pub fn from_parts(count: f32, at: u32) -> ReadRate {
        let count = if count.is_finite() {
            count.max(0.0)
        } else {
            0.0
        };
        ReadRate { count, at }
    }

    /// The count as of `now`.
    pub fn count(self, now: u32) -> f32 {
        // A clock that jumps back makes nothing fade.
        let elapsed = f64::from(now.saturating_sub(self.at)) / 10.0;
        self.count * (-elapsed / FADE).exp() as f32
    }

    /// When the count was last brought up to date.
    pub fn at(self) -> u32 {
        self.at
    }

    /// Notes one read.
    pub fn read(&mut self, now: u32) {
        self.count = self.count(now) + 1.0;
        self.at = self.at.max(now);
    }

    /// Reads per second. `watched`: for how many seconds reads have been counted at all.
    pub fn per_second(self, now: u32, watched: f64) -> f64 {
        let fades = -(-watched / FADE).exp_m1();
        (f64::from(self.count(now)) + PRIOR_READS) / ((fades + PRIOR_FADES) * FADE)
    }
}
