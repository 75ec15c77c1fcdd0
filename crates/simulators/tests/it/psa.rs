//! ConnectWise PSA.

mod client;
mod conditions;
mod paging;
mod records;
mod seeds;
