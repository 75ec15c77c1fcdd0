//! The simulators as a client sees them: over HTTP, against the documented shapes.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod activity;
mod balance;
mod client;
mod documents;
mod faults;
mod fulfilment;
mod goods;
mod lists;
mod psa;
mod sales;
mod transport;
mod webhooks;
