//! What one worker counts.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::blocks::Block;
use crate::bounded::Bounded;
use crate::connections::Connection;
use crate::durations::{Durations, Pages};
use crate::endpoints::{CODES_MAX, ENDPOINTS_MAX, Endpoint, code_of, error_text, is_error};
use crate::line::{Line, LineReader, Unread, plain_text};
use crate::overlap::GROUPS_MAX;
use crate::repeats::{Again, Repeats};
use crate::route;
use crate::shared::{GROUP_OTHERS, MinuteCount, Shared, Span};
use crate::skipped::Skipped;
use crate::slowest::{Slow, SlowWhat, Slowest};
use crate::timeline::MINUTE_MS;

/// Sums that do not depend on order, so that those of several workers can be added.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) not_found: u64,
    pub(crate) timed_out: u64,
    pub(crate) server_errors: u64,
    pub(crate) network_errors: u64,
    pub(crate) retries: u64,
    pub(crate) repeats: u64,
    pub(crate) wait_ms: u64,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) codes: Bounded<u64>,
    pub(crate) statuses: Bounded<u64>,
    pub(crate) endpoints: Bounded<Endpoint>,
    pub(crate) connections: Bounded<Connection>,
    pub(crate) slowest: Slowest,
    pub(crate) skipped: Skipped,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            calls: 0,
            errors: 0,
            not_found: 0,
            timed_out: 0,
            server_errors: 0,
            network_errors: 0,
            retries: 0,
            repeats: 0,
            wait_ms: 0,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            codes: Bounded::new(CODES_MAX),
            statuses: Bounded::new(CODES_MAX * 8),
            endpoints: Bounded::new(ENDPOINTS_MAX),
            connections: Bounded::new(GROUPS_MAX - 1),
            slowest: Slowest::default(),
            skipped: Skipped::default(),
        }
    }
}

impl Sums {
    pub(crate) fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.not_found += other.not_found;
        self.timed_out += other.timed_out;
        self.server_errors += other.server_errors;
        self.network_errors += other.network_errors;
        self.retries += other.retries;
        self.repeats += other.repeats;
        self.wait_ms = self.wait_ms.saturating_add(other.wait_ms);
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.codes.merge(other.codes);
        self.statuses.merge(other.statuses);
        self.endpoints.merge(other.endpoints);
        self.connections.merge(other.connections);
        self.slowest.merge(other.slowest);
        self.skipped.merge(other.skipped);
    }
}

/// One worker: reads blocks and counts.
#[derive(Debug)]
pub(crate) struct Tally {
    reader: LineReader,
    repeats: Repeats,
    pub(crate) sums: Sums,
    groups: HashMap<Box<[u8]>, u8>,
    spans: Vec<Span>,
    minutes: Vec<MinuteCount>,
    name: Vec<u8>,
    pages: Pages,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            reader: LineReader::default(),
            repeats: Repeats::new(),
            sums: Sums::default(),
            groups: HashMap::new(),
            spans: Vec::new(),
            minutes: Vec::new(),
            name: Vec::new(),
            pages: Pages::default(),
        }
    }

    /// Counts the lines of a block.
    pub(crate) fn block(&mut self, bytes: &[u8], block: Block, shared: &Mutex<Shared>) {
        // Mostly a whole block is plain, and no line needs a second look.
        let is_plain = !has_controls(bytes) && std::str::from_utf8(bytes).is_ok();
        self.sums.skipped.too_long += block.too_long;
        self.repeats.clear();
        let mut begin = 0;
        while begin < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[begin..]).map_or(bytes.len(), |len| begin + len);
            let at = block.at + begin as u64;
            let mut line = &bytes[begin..end];
            if at == 0 {
                line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
            }
            match self.reader.read(line, is_plain) {
                Ok(call) => self.call(&call, at, shared),
                Err(why) => {
                    let is_torn = block.is_open && end == bytes.len();
                    self.sums.skipped.note(why, is_torn, at);
                }
            }
            begin = end + 1;
        }
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.take(&self.spans, &self.minutes);
        self.spans.clear();
        self.minutes.clear();
    }

    fn call(&mut self, line: &Line<'_>, at: u64, shared: &Mutex<Shared>) {
        let failed = is_error(line);
        let start_ms = line.ended_ms - line.duration_ms as i64;
        self.time(line, failed, start_ms, shared);
        let sums = &mut self.sums;
        sums.calls += 1;
        sums.first_ms = sums.first_ms.min(start_ms);
        sums.last_ms = sums.last_ms.max(line.ended_ms);
        sums.wait_ms = sums.wait_ms.saturating_add(line.wait_ms);

        let seed = xxh3_64_with_seed(line.base_url, line.instance.len() as u64);
        let hash = xxh3_64_with_seed(line.url, seed ^ line.method.len() as u64);
        if line.method == b"GET" {
            let again = self.repeats.note(hash, start_ms, line.ended_ms, failed);
            let is_retry = line
                .attempt
                .map_or(again == Again::AfterFailure, |attempt| attempt > 1);
            sums.retries += u64::from(is_retry);
            sums.repeats += u64::from(!is_retry && again == Again::AfterSuccess);
        } else {
            sums.retries += u64::from(line.attempt.is_some_and(|attempt| attempt > 1));
        }

        self.name.clear();
        self.name.extend_from_slice(line.method);
        self.name.push(b' ');
        if memchr::memchr(b'\\', line.url).is_some() {
            let base = plain_text(line.base_url);
            route::fold(
                plain_text(line.url).as_bytes(),
                base.as_bytes(),
                &mut self.name,
            );
        } else {
            route::fold(line.url, line.base_url, &mut self.name);
        }
        let endpoint = sums.endpoints.entry(&self.name);
        endpoint.durations.add(line.duration_ms, &mut self.pages);
        match line.status {
            Some(200) => *sums.statuses.entry(b"200") += 1,
            Some(status) => *sums.statuses.entry(status.to_string().as_bytes()) += 1,
            None => *sums.statuses.entry(b"none") += 1,
        }
        if failed {
            let code = code_of(line);
            endpoint.errors += 1;
            *endpoint.codes.entry(code.as_bytes()) += 1;
            sums.failure(line, &code);
        }
        if sums.slowest.takes(line.duration_ms, line.ended_ms, at) {
            sums.slowest.add(Slow {
                duration_ms: Reverse(line.duration_ms),
                ended_ms: line.ended_ms,
                at,
                what: SlowWhat {
                    method: plain_text(line.method).into_owned(),
                    url: plain_text(line.url).into_owned(),
                    status: line.status,
                    error: line.error.map(error_text),
                    instance: plain_text(line.instance).into_owned(),
                },
            });
        }
    }

    /// What goes by time and by connection.
    fn time(&mut self, line: &Line<'_>, failed: bool, start_ms: i64, shared: &Mutex<Shared>) {
        self.name.clear();
        if line.instance.is_empty() && line.connection.is_empty() {
            self.name.extend_from_slice(line.base_url);
        } else {
            self.name.extend_from_slice(line.instance);
            self.name.push(b'/');
            self.name.extend_from_slice(line.connection);
        }
        let group = match self.groups.get(&*self.name) {
            Some(group) => *group,
            None => {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let group = shared.group(&self.name);
                if group < GROUP_OTHERS {
                    self.groups.insert(Box::from(&*self.name), group);
                }
                group
            }
        };
        self.spans.push(Span {
            start_ms,
            end_ms: line.ended_ms,
            group,
        });
        let minute = line.ended_ms.div_euclid(MINUTE_MS);
        if self.minutes.last().is_none_or(|last| last.minute != minute) {
            self.minutes.push(MinuteCount {
                minute,
                ..MinuteCount::default()
            });
        }
        if let Some(count) = self.minutes.last_mut() {
            count.calls += 1;
            count.errors += u64::from(failed);
            count.total_ms += line.duration_ms;
        }
        let connection = self.sums.connections.entry(&self.name);
        connection.calls += 1;
        connection.errors += u64::from(failed);
        connection.throttled += u64::from(line.status == Some(429));
        connection.refused += u64::from(matches!(line.status, Some(401 | 403)));
        connection.total_ms += line.duration_ms;
        connection.wait_ms = connection.wait_ms.saturating_add(line.wait_ms);
        if connection.base_url.is_empty() {
            connection.base_url.extend_from_slice(line.base_url);
        }
    }
}

/// Whether there are control characters other than line breaks.
fn has_controls(bytes: &[u8]) -> bool {
    // Without a way out of the inner loop, it looks at many bytes at once.
    bytes.chunks(4096).any(|chunk| {
        let found = chunk.iter().fold(0, |found, byte| {
            found | u8::from(*byte < 0x20) & u8::from(*byte != b'\n')
        });
        found != 0
    })
}

impl Sums {
    /// How long all calls took: the sum of what each endpoint counts.
    pub(crate) fn durations(&self) -> Durations {
        let mut all = Durations::default();
        let (named, others) = self.endpoints.parts();
        for endpoint in named
            .into_iter()
            .map(|(_, endpoint)| endpoint)
            .chain(others)
        {
            all.merge(endpoint.durations.clone());
        }
        all
    }

    fn failure(&mut self, line: &Line<'_>, code: &str) {
        self.errors += 1;
        *self.codes.entry(code.as_bytes()) += 1;
        self.not_found += u64::from(line.status == Some(404));
        self.server_errors += u64::from(line.status.is_some_and(|status| status >= 500));
        let is_timeout = matches!(code, "ECONNABORTED" | "ETIMEDOUT");
        self.timed_out += u64::from(is_timeout);
        let is_network = line.status.is_none() && !is_timeout && code != "ERR_CANCELED";
        self.network_errors += u64::from(is_network);
    }
}

impl Skipped {
    fn note(&mut self, why: Unread, is_torn: bool, at: u64) {
        match why {
            Unread::Empty => {
                self.empty += 1;
                return;
            }
            Unread::NotJson if is_torn => self.torn += 1,
            Unread::NotJson => self.not_json += 1,
            Unread::Foreign => self.foreign += 1,
        }
        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
    }
}
