//! What the pages of a listing add up to, and whether they are all of it.

use std::collections::HashSet;

use jiff::Timestamp;
use upstream::Page;
use xxhash_rust::xxh3::xxh3_128;

/// What is kept of a page once its records are written.
#[derive(Debug)]
pub(crate) struct Seen {
    ids: Vec<u128>,
    records: u64,
    pub total: Option<u64>,
    number: u64,
    stamp_max: Option<Timestamp>,
    asked_at: Timestamp,
    server_date: Option<Timestamp>,
}

impl Seen {
    pub fn of(page: &Page) -> Self {
        Self {
            ids: page
                .records
                .iter()
                .filter_map(|r| r.id.as_ref())
                .map(|id| id_hash(id))
                .collect(),
            records: page.records.len() as u64,
            total: page.total,
            number: page.page_number,
            stamp_max: page.records.iter().filter_map(|r| r.upstream_at).max(),
            asked_at: page.meta.asked_at,
            server_date: page.meta.server_date,
        }
    }
}

/// Ids are compared by hash: a million of them take 16 MB.
pub(crate) fn id_hash(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

/// What the pages so far add up to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub seen: HashSet<u128>,
    pub records: u64,
    pub total_last: Option<u64>,
    /// What the page that was asked for first says.
    total_first: Option<u64>,
    total_asked: Option<Timestamp>,
    total_moved: bool,
    without_id: u64,
    pub stamp_max: Option<Timestamp>,
    pub asked_first: Option<Timestamp>,
    pub server_first: Option<Timestamp>,
    last_number: u64,
}

impl Tally {
    /// `started` and `server_started`: when the listing began that this one goes on with, by both clocks.
    pub fn new(started: Option<Timestamp>, server_started: Option<Timestamp>) -> Self {
        Self {
            asked_first: started,
            server_first: server_started,
            ..Self::default()
        }
    }

    pub fn add(&mut self, page: &Seen) {
        self.records += page.records;
        self.without_id += page.records - page.ids.len() as u64;
        self.seen.extend(&page.ids);
        if let Some(total) = page.total {
            self.total_moved |= self.total_last.is_some_and(|last| last != total);
            if self.total_asked.is_none_or(|at| page.asked_at < at) {
                self.total_asked = Some(page.asked_at);
                self.total_first = Some(total);
            }
            if page.number >= self.last_number {
                self.total_last = Some(total);
                self.last_number = page.number;
            }
        }
        self.stamp_max = self.stamp_max.max(page.stamp_max);
        self.asked_first = Some(
            self.asked_first
                .map_or(page.asked_at, |at| at.min(page.asked_at)),
        );
        let server = page.server_date.unwrap_or(page.asked_at);
        self.server_first = Some(self.server_first.map_or(server, |at| at.min(server)));
    }

    /// Whether every record was seen that was there all along. Records that come in while we read only repeat
    /// others; one that goes moves the rest forward, past the place where we read, and hides one of them.
    pub fn is_complete(&self) -> bool {
        self.total_first
            .is_none_or(|total| self.seen.len() as u64 + self.without_id >= total)
    }

    /// Whether another pass saw the same.
    pub fn shows_same(&self, other: &Self) -> bool {
        self.total_last == other.total_last
            && !self.total_moved
            && !other.total_moved
            && self.records == other.records
            && self.seen == other.seen
    }

    /// Whether the listing stood still and every record in it was seen, so that what was not seen is not there.
    pub fn is_still(&self) -> bool {
        self.without_id == 0
            && !self.total_moved
            && self
                .total_last
                .is_none_or(|total| self.seen.len() as u64 == total)
    }
}
