//! The client against real sockets that answer, throttle, tear, reset and keep silent.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod alone;
mod calls;
mod courier;
mod gate;
mod listing;
mod log;
mod oauth;
mod server;
mod tls;
mod writes;
