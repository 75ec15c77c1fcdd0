//! Cin7 Core (formerly DEAR), the v2 `ExternalApi`, as its documentation and its users describe it.
//!
//! [`Cin7::start`] serves one or more accounts built from real orders; see `docs/simulators.md` for the rules. Where the
//! documentation and observation disagree, the observation wins, and [`Options`] has a switch.

mod action;
mod admin;
mod alone;
mod data;
mod handle;
mod json;
mod options;
mod query;
mod read;
mod render;
mod reply;
mod routes;
mod server;
mod truth;
mod webhook;
mod world;
mod write;

pub use crate::clock::Clock;
pub use crate::faults::{FaultPlan, FaultRates, Faults};
pub use crate::latency::Latency;
pub use crate::limiter::Limit;
pub use crate::wiretap::{CALLS_MAX, Call, Wiretap};
pub use alone::{SimulateArgs, run};
pub use options::{Account, EUR_PER_GBP, OnHandFalls, Options};
pub use server::Cin7;
pub use truth::Truth;

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum Cin7Error {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The shipped orders cannot be read: the program was built from a damaged file.
    #[error("the shipped file of orders {what}")]
    Data {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two accounts claim the same id.
    #[error("two accounts have the id `{account_id}`")]
    TwinAccounts {
        /// The id.
        account_id: String,
    },
}

/// Result of starting the simulator.
pub type Result<T> = std::result::Result<T, Cin7Error>;
