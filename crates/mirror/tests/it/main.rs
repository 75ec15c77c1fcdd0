//! The mirror against simulated upstreams and a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod asking;
mod budget;
mod convergence;
mod desk;
mod due;
mod hot;
mod house;
mod kept;
mod listings;
mod logging;
mod odd;
mod outage;
mod pace;
mod passes;
mod payloads;
#[path = "../../../millpond/tests/it/redis.rs"]
#[expect(dead_code, reason = "the program's own tests use more of it")]
mod redis;
mod shelf;
mod spending;
mod sweeping;
mod syncing;
mod verifying;
mod watching;
mod whole;
mod wire;
