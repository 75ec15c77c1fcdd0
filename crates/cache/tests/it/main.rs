//! The cache from outside: every store, real servers, real outages.

mod compile_fail;
mod conformance;
mod garbage;
mod kit;
mod loads;
mod netbox;
mod outage;
mod replay;
mod server;
mod two_processes;
