//! The mirror against simulated upstreams and a real PostgreSQL.

mod asking;
mod budget;
mod convergence;
mod house;
mod listings;
mod shelf;
mod syncing;
mod verifying;
mod whole;
