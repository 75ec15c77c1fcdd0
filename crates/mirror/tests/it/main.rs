//! The mirror against simulated upstreams and a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod asking;
mod budget;
mod convergence;
mod desk;
mod hot;
mod house;
mod listings;
mod logging;
mod outage;
mod pace;
mod passes;
mod payloads;
mod shelf;
mod sweeping;
mod syncing;
mod verifying;
mod watching;
mod whole;
mod wire;
