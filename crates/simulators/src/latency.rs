//! How long answers take.

use std::time::Duration;

/// How long an answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// As fast as it can be written.
    None,
    /// Always this long.
    Fixed(Duration),
    /// Log-normal with this median and sigma 0.5, as seen from clients of the real service (230 ms).
    LogNormal {
        /// Half of the answers are faster.
        median: Duration,
    },
}

impl Latency {
    /// The latency that integrators report: a median of 230 ms with a long tail.
    pub fn observed() -> Latency {
        Latency::LogNormal {
            median: Duration::from_millis(230),
        }
    }

    /// The time that the next answer takes.
    pub(crate) fn draw(self) -> Duration {
        match self {
            Latency::None => Duration::ZERO,
            Latency::Fixed(wait) => wait,
            Latency::LogNormal { median } => {
                // Box-Muller: two uniform numbers make one normal one.
                let (a, b): (f64, f64) = (rand::random::<f64>().max(1e-12), rand::random());
                let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
                median.mul_f64((0.5 * normal).exp())
            }
        }
    }
}
