//! What is counted per connection.

use crate::bounded::Count;

/// What is counted of one connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    /// Answers that say "too many calls".
    pub(crate) throttled: u64,
    /// Answers that refuse the credentials.
    pub(crate) refused: u64,
    pub(crate) total_ms: u64,
    pub(crate) wait_ms: u64,
    pub(crate) base_url: Vec<u8>,
}

impl Count for Connection {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.throttled += other.throttled;
        self.refused += other.refused;
        self.total_ms += other.total_ms;
        self.wait_ms += other.wait_ms;
        if self.base_url.is_empty() {
            self.base_url = other.base_url;
        }
    }
}
