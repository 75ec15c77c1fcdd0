//! Order workflows against the simulator: plan on the mirror, approve, write, and look at what upstream has then.

mod arrival;
mod cross;
mod day;
mod door;
mod faults;
mod fire;
mod killed;
mod ledger;
mod odd;
pub mod shop;
mod worker;
