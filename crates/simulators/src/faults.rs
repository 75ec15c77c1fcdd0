//! Misbehaviour on demand. Every fault is off until it is switched on, by count or by chance.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What may go wrong, with what rhythm. Rhythms count API calls that passed authentication: `n` hits every n-th.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// Answer as if the limit were exceeded.
    pub throttle_every: Option<u64>,
    /// Answer with this status (500, 502, 503, 504 …) and an HTML body.
    pub status_every: Option<(u64, u16)>,
    /// Work, then answer with this status and an HTML body.
    pub status_after_every: Option<(u64, u16)>,
    /// Strike no call but this write, counted from 1 since the faults were set: rhythms of 1 then hit it, and chances do
    /// nothing.
    pub only_write: Option<u64>,
    /// Wait so many milliseconds before the work begins.
    pub slow_every: Option<(u64, u64)>,
    /// Work, then hold the answer back so many milliseconds: later answers overtake it with newer content.
    pub hold_every: Option<(u64, u64)>,
    /// Cut the connection instead of answering; a write has been applied by then.
    pub reset_every: Option<u64>,
    /// Send 200 with the first half of the JSON.
    pub torn_json_every: Option<u64>,
    /// Send 200 with an error body.
    pub error_in_200_every: Option<u64>,
    /// Send 200 with an HTML page.
    pub html_200_every: Option<u64>,
    /// Answer a write with 200 and do nothing.
    pub not_applied_every: Option<u64>,
    /// Leave every n-th row out: with Cin7 Core of `ref/productavailability` and its total, with ConnectWise of every
    /// listing.
    pub rows_missing_every: Option<u64>,
    /// Never send every n-th webhook or callback. These three count events, not calls.
    pub drop_event_every: Option<u64>,
    /// Send every n-th webhook or callback twice.
    pub duplicate_event_every: Option<u64>,
    /// Send every n-th webhook or callback so many milliseconds late: later ones overtake it.
    pub hold_event_every: Option<(u64, u64)>,
    /// Change the records after every page of a listing, so that the rows of the next page have moved.
    pub page_drift: bool,
    /// Start every page after the first with the last row of the page before.
    pub duplicate_rows: bool,
    /// Send the rows of a page in reverse.
    pub out_of_order: bool,
    /// Faults by chance; they come on top of the rhythms.
    pub rates: Option<FaultRates>,
}

/// Chances per call, each from 0 to 1. At most one of them strikes a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRates {
    /// Seed of the chances; the same seed strikes the same calls.
    pub seed: u64,
    /// 500, 502, 503 or 504.
    pub p5xx: f64,
    /// The connection is held for `timeout_ms`, then cut.
    pub ptimeout: f64,
    /// How long a timed-out call is held.
    pub timeout_ms: u64,
    /// Half of the JSON with 200.
    pub ptorn: f64,
    /// An error body with 200.
    pub perr200: f64,
    /// The connection is cut.
    pub preset: f64,
    /// As if the limit were exceeded.
    pub pthrottle: f64,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strike {
    pub wait: Option<Duration>,
    pub hold: Option<Duration>,
    pub not_applied: bool,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Throttle,
    Status(u16),
    /// The same, once the work is done.
    StatusAfter(u16),
    Reset,
    Torn,
    ErrorIn200,
    Html200,
}

/// Switches of the faults; they take effect with the next call.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

/// What happens to one webhook or callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventStrike {
    pub drop: bool,
    pub twice: bool,
    pub hold: Option<Duration>,
}

#[derive(Debug, Default)]
struct State {
    plan: FaultPlan,
    calls: u64,
    writes: u64,
    events: u64,
    chance: Option<StdRng>,
    struck: u64,
}

macro_rules! switches {
    ($($(#[$doc:meta])* $name:ident($($arg:ident : $ty:ty),*) => $field:ident = $value:expr;)*) => {
        $($(#[$doc])*
        pub fn $name(&self, $($arg: $ty),*) -> &Self {
            self.state().plan.$field = $value;
            self
        })*
    };
}

impl Faults {
    switches! {
        /// Answers every `n`-th call as if the limit were exceeded; 0 switches it off, as everywhere here.
        throttle_every(n: u64) => throttle_every = on(n);
        /// Answers every `n`-th call with `status`.
        status_every(n: u64, status: u16) => status_every = on(n).map(|n| (n, status));
        /// Delays every `n`-th call before its work begins.
        slow_every(n: u64, by: Duration) => slow_every = on(n).map(|n| (n, by.as_millis() as u64));
        /// Holds every `n`-th finished answer back, so that later ones overtake it.
        hold_every(n: u64, by: Duration) => hold_every = on(n).map(|n| (n, by.as_millis() as u64));
        /// Cuts the connection of every `n`-th call.
        reset_every(n: u64) => reset_every = on(n);
        /// Sends half of every `n`-th answer with 200.
        torn_json_every(n: u64) => torn_json_every = on(n);
        /// Sends an error body with 200 for every `n`-th call.
        error_in_200_every(n: u64) => error_in_200_every = on(n);
        /// Sends an HTML page with 200 for every `n`-th call.
        html_200_every(n: u64) => html_200_every = on(n);
        /// Answers every `n`-th write with 200 and does nothing.
        not_applied_every(n: u64) => not_applied_every = on(n);
        /// Never sends every `n`-th webhook or callback.
        drop_event_every(n: u64) => drop_event_every = on(n);
        /// Sends every `n`-th webhook or callback twice.
        duplicate_event_every(n: u64) => duplicate_event_every = on(n);
        /// Sends every `n`-th webhook or callback late.
        hold_event_every(n: u64, by: Duration) => hold_event_every = on(n).map(|n| (n, by.as_millis() as u64));
        /// Leaves every `n`-th row out.
        rows_missing_every(n: u64) => rows_missing_every = on(n);
        /// Changes the records after every page of a listing.
        page_drift(yes: bool) => page_drift = yes;
        /// Repeats the last row of the page before.
        duplicate_rows(yes: bool) => duplicate_rows = yes;
        /// Reverses the rows of each page.
        out_of_order(yes: bool) => out_of_order = yes;
    }

    /// Replaces all switches at once and starts counting anew.
    pub fn set(&self, plan: FaultPlan) {
        let chance = plan.rates.map(|rates| StdRng::seed_from_u64(rates.seed));
        let struck = self.state().struck;
        *self.state() = State {
            plan,
            calls: 0,
            writes: 0,
            events: 0,
            chance,
            struck,
        };
    }

    /// Switches faults by chance on.
    pub fn rates(&self, rates: FaultRates) -> &Self {
        let mut state = self.state();
        state.chance = Some(StdRng::seed_from_u64(rates.seed));
        state.plan.rates = Some(rates);
        drop(state);
        self
    }

    /// Switches everything off.
    pub fn clear(&self) {
        self.set(FaultPlan::default());
    }

    /// The switches as they stand.
    pub fn plan(&self) -> FaultPlan {
        self.state().plan.clone()
    }

    /// How many calls were answered wrongly so far.
    pub fn struck(&self) -> u64 {
        self.state().struck
    }

    /// Decides what happens to the next call.
    pub(crate) fn next(&self, is_write: bool) -> Strike {
        let mut state = self.state();
        state.calls += 1;
        state.writes += u64::from(is_write);
        let (mut calls, plan) = (state.calls, state.plan.clone());
        if let Some(nth) = plan.only_write {
            if !is_write || state.writes != nth {
                return Strike::default();
            }
            calls = 1;
        }
        let due = |every: Option<u64>| every.is_some_and(|n| calls % n == 0);
        let timed = |every: Option<(u64, u64)>| {
            every
                .filter(|(n, _)| calls % n == 0)
                .map(|(_, ms)| Duration::from_millis(ms))
        };
        let mut strike = Strike {
            wait: timed(plan.slow_every),
            hold: timed(plan.hold_every),
            not_applied: due(plan.not_applied_every),
            outcome: None,
        };
        strike.outcome = match plan.status_every {
            _ if due(plan.throttle_every) => Some(Outcome::Throttle),
            Some((n, status)) if calls % n == 0 => Some(Outcome::Status(status)),
            _ if let Some((n, status)) = plan.status_after_every
                && calls % n == 0 =>
            {
                Some(Outcome::StatusAfter(status))
            }
            _ if due(plan.reset_every) => Some(Outcome::Reset),
            _ if due(plan.torn_json_every) => Some(Outcome::Torn),
            _ if due(plan.error_in_200_every) => Some(Outcome::ErrorIn200),
            _ if due(plan.html_200_every) => Some(Outcome::Html200),
            _ => None,
        };
        if let (None, Some(rates), Some(chance)) =
            (strike.outcome, plan.rates, state.chance.as_mut())
        {
            by_chance(&mut strike, rates, chance);
        }
        state.struck += u64::from(strike.outcome.is_some() || strike.not_applied);
        strike
    }

    /// Decides what happens to the next webhook or callback.
    pub(crate) fn next_event(&self) -> EventStrike {
        let mut state = self.state();
        state.events += 1;
        let (events, plan) = (state.events, &state.plan);
        let due = |every: Option<u64>| every.is_some_and(|n| events % n == 0);
        let strike = EventStrike {
            drop: due(plan.drop_event_every),
            twice: due(plan.duplicate_event_every),
            hold: plan
                .hold_event_every
                .filter(|(n, _)| events % n == 0)
                .map(|(_, ms)| Duration::from_millis(ms)),
        };
        state.struck += u64::from(strike != EventStrike::default());
        strike
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_chance(strike: &mut Strike, rates: FaultRates, chance: &mut StdRng) {
    // Always two draws, so that the same seed strikes the same calls whatever struck before.
    let (mut roll, pick) = (chance.random::<f64>(), chance.random_range(0..4));
    let mut hit = |p: f64| {
        let hit = roll < p;
        roll -= p;
        hit
    };
    if hit(rates.p5xx) {
        strike.outcome = Some(Outcome::Status([500, 502, 503, 504][pick]));
    } else if hit(rates.ptimeout) {
        strike.wait = Some(Duration::from_millis(rates.timeout_ms));
        strike.outcome = Some(Outcome::Reset);
    } else if hit(rates.ptorn) {
        strike.outcome = Some(Outcome::Torn);
    } else if hit(rates.perr200) {
        strike.outcome = Some(Outcome::ErrorIn200);
    } else if hit(rates.preset) {
        strike.outcome = Some(Outcome::Reset);
    } else if hit(rates.pthrottle) {
        strike.outcome = Some(Outcome::Throttle);
    }
}

fn on(n: u64) -> Option<u64> {
    (n > 0).then_some(n)
}
