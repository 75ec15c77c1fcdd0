//! What `store` does, seen from outside, on a real PostgreSQL.

mod budget;
mod events;
mod hot_reads;
mod learned;
mod memory;
mod private;
mod reader;
mod records;
mod scope;
mod snapshots;
mod statistics;
mod testing;
mod watched;
mod webhooks;

/// How often a condition is looked at.
const POLL: std::time::Duration = std::time::Duration::from_millis(5);
