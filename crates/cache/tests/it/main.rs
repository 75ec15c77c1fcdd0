//! The cache from outside: every store, real servers, real outages.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

mod ages;
mod cluster;
mod compile_fail;
mod conformance;
mod garbage;
mod keys;
mod kit;
mod loads;
mod logs;
mod model;
mod netbox;
mod outage;
mod overtaken;
mod replay;
mod rolling;
mod server;
mod two_processes;
