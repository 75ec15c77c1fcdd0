//! Who may call now: a gate hands out permits, one per call, and learns how each call went.

mod memory;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use memory::{GateConnection, MemoryGate};

/// What a call is for, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    /// Somebody waits for the answer.
    Read = 0,
    /// Something happened: a webhook or a watch.
    Event = 1,
    /// A hot record is due.
    Due = 2,
    /// What changed.
    Changes = 3,
    /// Warming what ran out, full listings, reconciliation.
    Sweep = 4,
    /// History.
    Backfill = 5,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Class; 6] = [
        Class::Read,
        Class::Event,
        Class::Due,
        Class::Changes,
        Class::Sweep,
        Class::Backfill,
    ];

    /// The number that databases keep, 0 for the most urgent.
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// Whether the reserve of a connection is open to it.
    pub fn may_use_reserve(self) -> bool {
        self <= Class::Event
    }

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Event => "event",
            Class::Due => "due",
            Class::Changes => "changes",
            Class::Sweep => "sweep",
            Class::Backfill => "backfill",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a caller asks a gate for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The instance to call.
    pub instance: String,
    /// What the call is for.
    pub class: Class,
    /// How long the caller is ready to wait.
    pub wait_max: Duration,
    /// Connections that have just refused this very call.
    pub avoid: Vec<String>,
}

/// The right to make one call on one connection. It must be given back, also when the call was not made.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    /// The connection to call on.
    pub connection: String,
    /// The gate's own number of the place in the window.
    pub slot: i64,
    /// Tells this permit from an earlier one for the same slot.
    pub token: i64,
    /// How long the caller waited for it.
    pub waited: Duration,
}

/// How the call went for which a permit was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call went out, or may have.
    Used,
    /// No call went out.
    Unused,
    /// Upstream said "too many calls": the connection is parked.
    Throttled {
        /// For how long.
        retry_after: Duration,
    },
    /// Upstream refused the credentials: the connection is set aside and reported.
    Refused {
        /// The HTTP status.
        status: u16,
    },
}

/// Why no permit was given. Nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// There would be one, but not soon enough.
    #[error("no call of `{instance}` is free within {wait_max:?}; the next one is in {next_in:?}")]
    WouldWait {
        /// The instance asked for.
        instance: String,
        /// What the caller was ready to wait.
        wait_max: Duration,
        /// When to ask again, as far as is known.
        next_in: Duration,
    },
    /// Every connection has been refused by upstream.
    #[error("every connection of `{instance}` is set aside because upstream refused it")]
    AllSetAside {
        /// The instance asked for.
        instance: String,
    },
    /// The instance has no enabled connection at all.
    #[error("`{instance}` has no connection")]
    NoConnection {
        /// The instance asked for.
        instance: String,
    },
    /// The gate itself does not work.
    #[error("the budget of `{instance}` cannot be asked")]
    Broken {
        /// The instance asked for.
        instance: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Hands out permits.
///
/// A gate promises that no window of a connection ever holds more calls than its limit, counting each call from
/// its permit's giving back.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Takes a permit, waiting for it for at most `ask.wait_max`.
    ///
    /// Dropping the future takes nothing.
    ///
    /// # Errors
    ///
    /// See [`GateError`]; nothing is taken then.
    async fn take(&self, ask: &Ask) -> Result<Permit, GateError>;

    /// Gives a permit back and says how the call went. A permit never given back must run out by itself.
    async fn give_back(&self, permit: Permit, outcome: Outcome);
}
