//! Reports on whole logs.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod advising;
mod kit;
mod logs;
mod oracle;
