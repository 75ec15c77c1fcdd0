//! The upstreams for tests and the demo, over real HTTP. Shares no type with the client.
//!
//! Each simulator listens on a port of its own, answers as the documented service does, records every
//! request it receives, and can be told to misbehave in named ways.
// The documents of the production module nest deeper than `json!` may by default.
#![recursion_limit = "256"]

pub mod cin7;
pub mod connectwise;
pub mod embeddings;

mod alone;
mod chance;
mod clock;
mod doors;
mod faults;
mod latency;
mod limiter;
mod wire;
mod wiretap;
