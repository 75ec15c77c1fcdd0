//! Pure decisions about freshness: how long a value may live. No I/O and no clock: the time is an argument.

mod rules;
mod signals;

pub use rules::{Lifetime, Note, RuleError, Rules};
pub use signals::{Signal, SignalMap, Signals};
