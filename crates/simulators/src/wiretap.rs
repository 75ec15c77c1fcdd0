//! The simulator's own record of every request it received: the witness that tests ask.

use http::{Method, Uri};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most calls kept; older ones are dropped, and counted in [`Wiretap::dropped`].
pub const CALLS_MAX: usize = 2_000_000;

/// One request as it was received and answered.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// When the request was complete, on the monotonic clock.
    #[serde(skip)]
    pub arrived: Instant,
    /// When its answer was handed to the network; `None` while it is worked on.
    #[serde(skip)]
    pub answered: Option<Instant>,
    /// When it arrived, by the machine's clock (not the simulated one).
    pub at: Timestamp,
    /// Milliseconds to the answer; 0 while it is worked on.
    pub duration_ms: u64,
    /// The application key as sent, empty if there was none.
    pub key: String,
    /// The account id as sent, empty if there was none.
    pub account_id: String,
    /// HTTP method.
    pub method: String,
    /// Path below the base, as sent: `saleList`.
    pub path: String,
    /// Query string as sent, without `?`.
    pub query: String,
    /// Status of the answer; 0 if the connection was cut instead, or while it is worked on.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

/// Handle on the record. Clones see the same calls.
#[derive(Clone, Debug, Default)]
pub struct Wiretap(Arc<Mutex<Tape>>);

#[derive(Debug, Default)]
struct Tape {
    calls: VecDeque<Call>,
    // Number of the first call in `calls`, so that one in flight is found after older ones were dropped.
    first: u64,
    dropped: u64,
    in_flight: usize,
    in_flight_max: usize,
}

impl Wiretap {
    /// All calls kept, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.tape().calls.iter().cloned().collect()
    }

    /// How many calls are kept.
    pub fn len(&self) -> usize {
        self.tape().calls.len()
    }

    /// Whether no call is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls were dropped because more than [`CALLS_MAX`] came.
    pub fn dropped(&self) -> u64 {
        self.tape().dropped
    }

    /// Forgets all calls and the greatest number in flight.
    pub fn clear(&self) {
        let mut tape = self.tape();
        tape.first += tape.calls.len() as u64;
        tape.calls.clear();
        tape.dropped = 0;
        tape.in_flight_max = tape.in_flight;
    }

    /// The calls whose path equals `path`, without regard to case.
    pub fn of(&self, path: &str) -> Vec<Call> {
        self.tape()
            .calls
            .iter()
            .filter(|c| c.path.eq_ignore_ascii_case(path))
            .cloned()
            .collect()
    }

    /// The most calls that arrived within any `window`, of one key if `per_key`, else of all together. Calls that were
    /// refused for the limit count too. A window is half open: calls exactly `window` apart are not in one.
    pub fn max_in_window(&self, per_key: bool, window: Duration) -> usize {
        let tape = self.tape();
        let mut open: std::collections::HashMap<&str, VecDeque<Instant>> = Default::default();
        let mut most = 0;
        for call in &tape.calls {
            let recent = open
                .entry(if per_key { &call.key } else { "" })
                .or_default();
            while recent
                .front()
                .is_some_and(|t| call.arrived.duration_since(*t) >= window)
            {
                recent.pop_front();
            }
            recent.push_back(call.arrived);
            most = most.max(recent.len());
        }
        most
    }

    /// The most calls that were being worked on at one moment.
    pub fn max_in_flight(&self) -> usize {
        self.tape().in_flight_max
    }

    /// Notes that a call has arrived; it is on the record until the answer to it ends.
    pub(crate) fn open(
        &self,
        method: &Method,
        uri: &Uri,
        path: &str,
        key: String,
        account_id: String,
    ) -> Answering {
        let number = self.arrive(Call {
            arrived: Instant::now(),
            answered: None,
            at: Timestamp::now(),
            duration_ms: 0,
            key,
            account_id,
            method: method.to_string(),
            path: path.to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            status: 0,
            bytes: 0,
        });
        Answering {
            tap: self.clone(),
            number,
            ended: false,
        }
    }

    /// Notes an arrival and returns its number.
    fn arrive(&self, call: Call) -> u64 {
        let mut tape = self.tape();
        tape.in_flight += 1;
        tape.in_flight_max = tape.in_flight_max.max(tape.in_flight);
        if tape.calls.len() == CALLS_MAX {
            tape.calls.pop_front();
            tape.first += 1;
            tape.dropped += 1;
        }
        tape.calls.push_back(call);
        tape.first + tape.calls.len() as u64 - 1
    }

    /// Notes that call `number` was answered; `status` 0 says that its connection was cut or given up.
    fn answer(&self, number: u64, status: u16, bytes: usize) {
        let mut tape = self.tape();
        tape.in_flight = tape.in_flight.saturating_sub(1);
        let first = tape.first;
        let Some(at) = number.checked_sub(first) else {
            return;
        };
        if let Some(call) = tape.calls.get_mut(at as usize) {
            let now = Instant::now();
            call.answered = Some(now);
            call.duration_ms = now.duration_since(call.arrived).as_millis() as u64;
            call.status = status;
            call.bytes = bytes;
        }
    }

    fn tape(&self) -> std::sync::MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is being answered; one whose client goes away is closed with status 0.
pub(crate) struct Answering {
    tap: Wiretap,
    number: u64,
    ended: bool,
}

impl Answering {
    /// Notes the answer; status 0 says that the connection was cut instead.
    pub(crate) fn end(mut self, status: u16, bytes: usize) {
        self.ended = true;
        self.tap.answer(self.number, status, bytes);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.ended {
            self.tap.answer(self.number, 0, 0);
        }
    }
}
