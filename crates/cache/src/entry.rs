//! One entry: a value (or the knowledge that there is none), its window, and its form in a shared store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;

use crate::life::{Window, millis};
use crate::value::{Cacheable, CodecError};

/// Bytes in front of a stored value: mark, window, version, checksum.
pub(crate) const HEADER_BYTES: usize = 44;
/// Where the version begins; the store's script looks there too.
const VERSION_AT: usize = 28;
/// Where the checksum begins: it covers what stands before it.
const SUM_AT: usize = HEADER_BYTES - 8;
const MARK: [u8; 3] = *b"mp2";
const FOUND: u8 = 1;
const ABSENT: u8 = 0;

/// An entry as it is held in this process.
#[derive(Debug)]
pub(crate) struct Entry<V> {
    pub value: Option<V>,
    pub window: Window,
    /// The version of the row that it was made of; 0 when its loader does not say.
    pub version: u64,
    /// What the calendar was ahead of the uptime when the entry came, in milliseconds. The window is
    /// compared on the uptime, where no calendar step reaches it.
    calendar_ahead: i64,
    /// Stored size of the value in bytes.
    pub bytes: u32,
    refreshing: AtomicBool,
}

/// The time on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub now: Timestamp,
    pub uptime: Duration,
    /// Not ahead of the true uptime.
    pub uptime_floor: Duration,
}

impl<V> Entry<V> {
    /// Holds `value` from `moment` on.
    pub fn new(
        value: Option<V>,
        window: Window,
        version: u64,
        bytes: usize,
        moment: Moment,
    ) -> Self {
        let calendar_ahead = moment.now.as_millisecond() - on_calendar(moment.uptime_floor, 0);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            value,
            window,
            version,
            calendar_ahead,
            bytes,
            refreshing: AtomicBool::new(false),
        }
    }

    /// Whether there is a time in which the value may be served again.
    pub fn has_life(&self) -> bool {
        self.window.expires_at > self.window.fetched_at
    }

    pub fn is_fresh(&self, uptime: Duration) -> bool {
        on_calendar(uptime, self.calendar_ahead) < self.window.expires_at
    }

    pub fn is_kept(&self, uptime: Duration) -> bool {
        on_calendar(uptime, self.calendar_ahead) < self.window.stale_until
    }

    /// Whether this read should start the refresh: the first one after the fraction `refresh_at` of the
    /// life. 1.0 or more never asks.
    pub fn claim_refresh(&self, refresh_at: f64, uptime: Duration) -> bool {
        let life = (self.window.expires_at - self.window.fetched_at) as f64;
        let due = self
            .window
            .fetched_at
            .saturating_add((life * refresh_at) as i64);
        refresh_at < 1.0
            && on_calendar(uptime, self.calendar_ahead) >= due
            && !self.refreshing.swap(true, Ordering::Relaxed)
    }

    pub fn fetched_at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.window.fetched_at).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether the value is no older than `age_max` at `now`.
    pub fn is_younger_than(&self, age_max: Duration, now: Timestamp) -> bool {
        now.as_millisecond().saturating_sub(self.window.fetched_at) <= millis(age_max)
    }
}

/// An uptime as the calendar would show it had it never been stepped.
fn on_calendar(uptime: Duration, ahead: i64) -> i64 {
    // Not `as_millis`: every hit pays for this, and 128 bits are not needed before the year 292 million.
    uptime.as_secs() as i64 * 1000 + i64::from(uptime.subsec_millis()) + ahead
}

/// Why stored bytes are no entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the stored bytes have no entry's header")]
    Header,
    #[error("the stored bytes do not match their checksum")]
    Checksum,
    #[error(transparent)]
    Value(CodecError),
}

/// Writes an entry as it lies in a shared store.
pub(crate) fn encode(payload: Option<&Bytes>, window: &Window, version: u64) -> Bytes {
    let body = payload.map_or(&[][..], |bytes| &bytes[..]);
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    out.put_slice(&MARK);
    out.put_u8(if payload.is_some() { FOUND } else { ABSENT });
    out.put_i64_le(window.fetched_at);
    out.put_i64_le(window.expires_at);
    out.put_i64_le(window.stale_until);
    out.put_u64_le(version);
    let sum = checksum(&out, body);
    out.put_u64_le(sum);
    out.put_slice(body);
    out.freeze()
}

/// The window of stored bytes, if they have one; the value is not looked at.
pub(crate) fn peek(bytes: &[u8]) -> Option<Window> {
    if bytes.len() < HEADER_BYTES || bytes[..3] != MARK || bytes[3] > FOUND {
        return None;
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        i64::from_le_bytes(word)
    };
    Some(Window {
        fetched_at: word(4),
        expires_at: word(12),
        stale_until: word(20),
    })
}

/// Reads an entry from a shared store.
pub(crate) fn decode<V: Cacheable>(bytes: Bytes, moment: Moment) -> Result<Entry<V>, WireError> {
    let window = peek(&bytes).ok_or(WireError::Header)?;
    let sum = checksum(&bytes[..SUM_AT], &bytes[HEADER_BYTES..]);
    if bytes[SUM_AT..HEADER_BYTES] != sum.to_le_bytes() {
        return Err(WireError::Checksum);
    }
    let length = bytes.len() - HEADER_BYTES;
    let value = match bytes[3] {
        FOUND => Some(V::from_bytes(bytes.slice(HEADER_BYTES..)).map_err(WireError::Value)?),
        _ => None,
    };
    let mut version = [0; 8];
    version.copy_from_slice(&bytes[VERSION_AT..SUM_AT]);
    let version = u64::from_le_bytes(version);
    Ok(Entry::new(value, window, version, length, moment))
}

fn checksum(header: &[u8], body: &[u8]) -> u64 {
    let seed = xxhash_rust::xxh3::xxh3_64(header);
    xxhash_rust::xxh3::xxh3_64_with_seed(body, seed)
}

#[cfg(test)]
mod tests;
