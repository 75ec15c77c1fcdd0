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
mod conditional;
mod config;
mod console;
mod desk;
mod events;
mod fuzz;
mod hooks;
mod http;
mod killed;
mod live;
mod mcp;
mod memory;
mod mirroring;
#[path = "../../../cache/tests/it/netbox.rs"]
#[expect(dead_code, reason = "the cache's own tests use more of it")]
mod netbox;
mod operator;
mod orders;
mod outages;
mod rates;
mod redis;
mod remembered;
mod served;
mod shared_budget;
mod snapshots;
mod streams;
mod webhooks;
mod world;
