//! The price of a call: how many stale reads it must save to be made.
//!
//! It follows the budget's window. The base moves slowly, so that in the long run calls worth the base price just use up the
//! budget; around it the price rises as the window fills and falls as calls stay unused, so that a rush is met with the calls
//! that matter most.

use std::time::Duration;

/// What the budget has, at the moment of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Most calls in any window.
    pub limit: u32,
    /// How long the window is.
    pub window: Duration,
    /// Calls that could start right now.
    pub free: u32,
}

impl Allowance {
    /// The share of the window's calls that is free, 0 to 1. 0 when there is no budget at all.
    pub(crate) fn free_share(&self) -> f64 {
        if self.limit == 0 {
            return 0.0;
        }
        (f64::from(self.free) / f64::from(self.limit)).min(1.0)
    }
}

/// The price, in stale reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Price {
    log_base: f64,
    /// When it last moved, in tenths of a second since the desk's epoch.
    moved_at: Option<u32>,
}

/// The share of the window that should be free on average: room for what matters most. What is free goes unused.
pub(crate) const FREE_AIM: f64 = 0.03;

/// How strongly the price answers to the window: full against empty is a factor of e to this.
const STEEPNESS: f64 = 20.0;

/// How many windows it takes the base to move by a factor of e while the window is quite full, or quite empty.
const SLOWNESS: f64 = 8.0;

/// Longest pause that moves the base; a clock that jumps ahead moves it no further.
const PAUSE_WINDOWS_MAX: f64 = 2.0;

const LOG_MIN: f64 = -16.0;
const LOG_MAX: f64 = 16.0;

impl Price {
    pub fn start() -> Price {
        Price {
            log_base: -2.0,
            moved_at: None,
        }
    }

    pub fn from_log(log_base: f64) -> Price {
        let log_base = if log_base.is_finite() {
            log_base.clamp(LOG_MIN, LOG_MAX)
        } else {
            -2.0
        };
        Price {
            log_base,
            moved_at: None,
        }
    }

    pub fn log_base(&self) -> f64 {
        self.log_base
    }

    /// The price that uses up the budget in the long run.
    pub fn base(&self) -> f64 {
        self.log_base.exp()
    }

    /// The price right now.
    pub fn current(&self, allowance: &Allowance) -> f64 {
        (self.log_base + STEEPNESS * (FREE_AIM - allowance.free_share())).exp()
    }

    /// Moves the base by a factor of e to `push`.
    pub fn nudge(&mut self, push: f64) {
        self.log_base = (self.log_base + push).clamp(LOG_MIN, LOG_MAX);
    }

    /// When the price last moved.
    pub fn moved_at(&self) -> Option<u32> {
        self.moved_at
    }

    /// Notes the time, and lets the base follow the window if it `follows`.
    pub fn observe(&mut self, now: u32, allowance: &Allowance, follows: bool) {
        let Some(before) = self.moved_at.replace(now) else {
            return;
        };
        if !follows {
            return;
        }
        let window = allowance.window.as_secs_f64().max(0.1);
        let pause = (f64::from(now.saturating_sub(before)) / 10.0 / window).min(PAUSE_WINDOWS_MAX);
        let above = allowance.free_share() - FREE_AIM;
        let push = if above > 0.0 {
            -above / (1.0 - FREE_AIM)
        } else {
            -above / FREE_AIM
        };
        let push = push / SLOWNESS;
        self.log_base = (self.log_base + push * pause).clamp(LOG_MIN, LOG_MAX);
    }
}
