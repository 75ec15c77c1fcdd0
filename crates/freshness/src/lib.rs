//! Pure decisions about freshness. No I/O and no clock: the time is an argument.
//!
//! [`Rules`] say how long a value may live by what a record says about itself. A [`Desk`] learns how often records change
//! and are read, and says which of them deserve the calls there are.

mod age_hazard;
mod change_rate;
mod desk;
mod feed;
mod price;
mod queue;
mod read_rate;
mod rules;
mod signals;
mod staleness;

pub use desk::{
    Cover, Decision, Desk, Explanation, Forecast, Learned, PROMISE_SHARE_MAX, Policy, READ_FADE,
    RECORD_BYTES, Reason, RecordState, Seen, SharedState, Slot, StateError,
};
pub use feed::look_every;
pub use price::Allowance;
pub use rules::{Lifetime, Note, RuleError, Rules};
pub use signals::{Signal, SignalMap, Signals};
