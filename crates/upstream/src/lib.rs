//! The polite client: connector files, connections, budget, retry, paging, call log.
//!
//! A [`Connector`] says what an API looks like, a [`Gate`] says when a call may go out, and a [`Client`] makes
//! it. Bodies are cut into records here, never parsed into trees.

mod call;
mod call_log;
mod client;
mod clock;
pub mod connector;
mod courier;
mod cut;
mod detail;
mod duration;
mod field_path;
mod gate;
mod json;
mod page;
mod payload_key;
mod post;
mod record_key;
mod retry_after;
mod secret;
mod stamp;

pub use call::{Answer, Call, CallError, Cause, Meta};
pub use call_log::{CallLog, Cleared, LATEST, STABLE, call_logs, clear_call_logs};
pub use client::{Client, Connection, FetchedPart, PART_BYTES_MAX, Settings, SettingsError};
pub use clock::{Clock, JumpingClock, SystemClock};
pub use connector::{Connector, Diagnostics, Resource};
pub use courier::{Courier, Handed};
pub use cut::cut_records;
pub use duration::parse_duration;
pub use field_path::FieldPath;
pub use gate::{Ask, Class, Gate, GateConnection, GateError, MemoryGate, Outcome, Permit};
pub use page::{Fetched, Page, PageAsk, Position, RawRecord};
pub use payload_key::PayloadKey;
pub use post::{PostError, PostSettings, Poster};
pub use retry_after::{RETRY_AFTER_MAX, find_wait, read_retry_after};
pub use secret::Secret;
pub use stamp::read_stamp;
