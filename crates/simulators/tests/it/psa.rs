//! ConnectWise PSA.

mod activity;
mod callbacks;
mod client;
mod conditions;
mod paging;
mod records;
mod seeds;
mod transport;
