//! What the program does, seen from outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod access;
mod cached;
mod caching;
mod calls;
mod commands;
mod config;
mod desk;
mod events;
mod fuzz;
mod http;
mod killed;
mod mcp;
mod mirroring;
mod orders;
mod redis;
mod shared_budget;
mod world;
