//! ConnectWise PSA (Manage), the REST interface `apis/3.0`, as its documentation and its users describe it.
//!
//! [`ConnectWise::start`] serves one company made by rule; see `docs/simulators.md`. Where nobody has documented what the
//! service does, [`Options`] has a switch.

mod action;
mod activity;
mod admin;
mod alone;
mod callbacks;
mod conditions;
mod handle;
mod kinds;
mod list;
mod login;
mod options;
mod query;
mod render;
mod reply;
mod routes;
mod seed;
mod serve;
mod server;
mod tls;
mod truth;
mod world;
mod write;

pub use crate::clock::Clock;
pub use crate::faults::{FaultPlan, FaultRates, Faults};
pub use crate::latency::Latency;
pub use crate::limiter::Limit;
pub use crate::wiretap::{CALLS_MAX, Call, Wiretap};
pub use action::Refused;
pub use activity::{Script, Subject};
pub use alone::{SimulateArgs, run};
pub use options::{ApiKey, Company, Options, Size};
pub use server::ConnectWise;
pub use truth::Truth;

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectWiseError {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No certificate could be made for https.
    #[error("cannot make a certificate")]
    Certificate {
        /// What the maker said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The company has no keys, so nobody could call.
    #[error("the company has no API keys")]
    NoKeys,
    /// Making the records failed: a mistake in the simulator.
    #[error("cannot make the company's records")]
    World,
}

/// Result of starting the simulator.
pub type Result<T> = std::result::Result<T, ConnectWiseError>;
