//! Who deserves the next call: one desk for the records of an instance that share a call budget.
//!
//! The desk is told of every fetch and every read, learns how often each record changes and is read, and answers two
//! questions: what to do for the reader at hand ([`Desk::read`]), and which record to refresh with a call that nobody else
//! wants ([`Desk::next`]). It does no I/O and keeps no clock. Each answer takes O(log n); a record takes [`RECORD_BYTES`].

mod explain;
mod forecast;
mod reads;
mod record;
mod state;

use std::time::Duration;

use jiff::Timestamp;

use crate::age_hazard::AgeHazard;
use crate::price::{Allowance, Price};
use crate::queue::Queue;
use crate::staleness::{Staleness, Worth};

pub use explain::{Explanation, Reason};
pub use forecast::{Cover, Forecast};
pub use reads::READ_FADE;
pub use state::{Learned, RecordState, SharedState, StateError};

use record::Record;

/// How calls are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// By the TTL tables: a read of a value past its lifetime calls, as long as there are calls; calls left over go to the
    /// values that are longest past theirs.
    Tiers,
    /// In the background only: always the record whose call saves most stale reads. Readers never wait.
    Optimal,
    /// At read time: a reader waits for a call that is worth its price; calls left over go to the records worth most.
    Priced,
}

/// A record at a desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    /// The slot's number. Numbers are dense and those of removed records are given out again.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What a fetch showed, compared with the copy before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The record is as it was.
    Unchanged,
    /// It differs, and upstream does not say since when.
    Changed,
    /// It differs, and upstream says when it last changed. A stamp in the future counts as the moment of the fetch.
    ChangedAt(Timestamp),
}

/// What to do for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer with the copy.
    Serve,
    /// Answer with the copy, and fetch behind the reader's back.
    ServeThenRefresh,
    /// Fetch (or join the call under way), then answer.
    RefreshFirst,
}

/// Most bytes that a record takes, all queues included, when the tables have just been filled. Tables that grow by
/// doubling can hold up to as much again in spare room. A test measures it.
pub const RECORD_BYTES: usize = 64;

/// See the module's comment.
#[derive(Clone, Debug)]
pub struct Desk {
    policy: Policy,
    /// What times are counted from: well before the desk began, so that older fetches have a place.
    epoch: Timestamp,
    /// Since when reads are counted.
    watched_from: u32,
    records: Vec<Record>,
    /// Slots of removed records.
    vacant: Vec<u32>,
    hazard: AgeHazard,
    price: Price,
    /// By when a background call is worth the base price (`Tiers`: when the lifetime ends).
    worth_queue: Queue,
    /// By when the stated maximum age would be broken, less a margin.
    promise_queue: Queue,
    /// What promises may still take of the calls, in calls.
    promise_credit: f64,
    /// The record whose due time is worked out anew next.
    rolling: u32,
    fetches: u32,
}

impl Desk {
    /// An empty desk that counts time from `now` on.
    pub fn new(policy: Policy, now: Timestamp) -> Desk {
        Desk {
            policy,
            epoch: Timestamp::from_millisecond(now.as_millisecond() - BEFORE_MS).unwrap_or(now),
            watched_from: (BEFORE_MS / 100) as u32,
            records: Vec::new(),
            vacant: Vec::new(),
            hazard: AgeHazard::flat(),
            price: Price::start(),
            worth_queue: Queue::default(),
            promise_queue: Queue::default(),
            promise_credit: 0.0,
            rolling: 0,
            fetches: 0,
        }
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Changes the policy. What was learned stays.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        for slot in 0..self.records.len() as u32 {
            self.requeue(slot);
        }
    }

    /// How many records are at the desk.
    pub fn len(&self) -> usize {
        self.records.len() - self.vacant.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a record that was fetched at `fetched_at`.
    ///
    /// `changed_at` is when upstream says it last changed; without it nothing is assumed. `max_age` is the promise: no older
    /// than this, as long as promises take no more than [`PROMISE_SHARE_MAX`] of the calls.
    pub fn add(
        &mut self,
        fetched_at: Timestamp,
        changed_at: Option<Timestamp>,
        max_age: Duration,
    ) -> Slot {
        let fetched = self.tick(fetched_at);
        let age = changed_at.map(|at| seconds_between(at, fetched_at));
        let mut record = Record::new(fetched, tenths(max_age));
        if let Some(age) = age {
            record.age = age as f32;
            record.rate.changed_at(self.hazard.operational(age));
        }
        self.put(record)
    }

    fn put(&mut self, record: Record) -> Slot {
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.records[slot as usize] = record;
                slot
            }
            None => {
                self.records.push(record);
                (self.records.len() - 1) as u32
            }
        };
        self.requeue(slot);
        Slot(slot)
    }

    /// Forgets a record.
    pub fn remove(&mut self, slot: Slot) {
        if self.records[slot.0 as usize].is_in {
            self.records[slot.0 as usize].is_in = false;
            self.worth_queue.remove(slot.0);
            self.promise_queue.remove(slot.0);
            self.vacant.push(slot.0);
        }
    }

    /// Sets how long the record's value may live by the TTL tables; `None`: it is not kept. Only [`Policy::Tiers`] asks for it.
    pub fn set_lifetime(&mut self, slot: Slot, ttl: Option<Duration>) {
        let ttl = ttl.map_or(0, tenths);
        let record = &mut self.records[slot.0 as usize];
        if record.ttl != ttl {
            record.ttl = ttl;
            if self.policy == Policy::Tiers {
                self.requeue(slot.0);
            }
        }
    }

    /// A reader asks for the record at `now`. `may_wait`: whether the reader can wait for a call.
    ///
    /// An answer other than `Serve` is a promise to call: report with [`Desk::fetched`] or [`Desk::failed`].
    pub fn read(
        &mut self,
        slot: Slot,
        now: Timestamp,
        allowance: &Allowance,
        may_wait: bool,
    ) -> Decision {
        let tick = self.tick(now);
        self.observe(tick, allowance);
        self.records[slot.0 as usize].reads.read(tick);
        self.roll();
        let record = &self.records[slot.0 as usize];
        if record.is_calling {
            let joins = may_wait && self.policy != Policy::Optimal;
            return if joins {
                Decision::RefreshFirst
            } else {
                Decision::Serve
            };
        }
        if allowance.free == 0 {
            return Decision::Serve;
        }
        let decision = match self.policy {
            Policy::Optimal => Decision::Serve,
            Policy::Tiers if tick.saturating_sub(record.fetched) < record.ttl => Decision::Serve,
            Policy::Tiers if may_wait => Decision::RefreshFirst,
            Policy::Tiers => Decision::ServeThenRefresh,
            Policy::Priced => {
                let worth = self.worth(record, tick);
                let reads = self.reads(record, tick);
                let price = self.price.current(allowance);
                if may_wait && worth.first(reads) >= price {
                    Decision::RefreshFirst
                } else if worth.behind(reads) >= price {
                    Decision::ServeThenRefresh
                } else {
                    Decision::Serve
                }
            }
        };
        if decision != Decision::Serve {
            self.calling(slot.0);
        } else if self.policy == Policy::Optimal {
            self.requeue(slot.0);
        }
        decision
    }

    /// The record to refresh with a call that nobody else wants right now; `None`: none is worth it, or there is none free.
    ///
    /// An answer is a promise to call: report with [`Desk::fetched`] or [`Desk::failed`]. Ask again until there is none.
    pub fn next(&mut self, now: Timestamp, allowance: &Allowance) -> Option<Slot> {
        let tick = self.tick(now);
        self.earn_credit(tick, allowance);
        self.observe(tick, allowance);
        self.roll();
        if allowance.free == 0 {
            return None;
        }
        let slot = self.promised(tick).or_else(|| match self.policy {
            Policy::Tiers => self.expired(tick, allowance),
            Policy::Optimal => self.best(tick, allowance),
            Policy::Priced => self.spare(tick, allowance),
        })?;
        self.calling(slot);
        Some(Slot(slot))
    }

    /// The record was fetched: `asked_at` is when upstream was asked.
    pub fn fetched(&mut self, slot: Slot, asked_at: Timestamp, seen: Seen) {
        let tick = self.tick(asked_at);
        let record = &mut self.records[slot.0 as usize];
        let elapsed = f64::from(tick.saturating_sub(record.fetched)) / 10.0;
        let age = f64::from(record.age);
        let rate = record.rate.mean();
        let whole = self.hazard.operational(age + elapsed) - self.hazard.operational(age);
        match seen {
            Seen::Unchanged => {
                self.hazard.unchanged(age, age + elapsed, rate);
                record.rate.unchanged(whole);
                record.age = (age + elapsed) as f32;
            }
            Seen::Changed => {
                self.hazard.changed(age, age + elapsed, rate);
                record.rate.changed(whole);
                record.age = (elapsed / 2.0) as f32;
            }
            Seen::ChangedAt(at) => {
                let since = seconds_between(at, asked_at);
                self.hazard
                    .changed(age, age + (elapsed - since).max(0.0), rate);
                self.hazard.unchanged(0.0, since.min(elapsed), rate);
                record.rate.changed_at(self.hazard.operational(since));
                record.age = since as f32;
            }
        }
        record.fetched = record.fetched.max(tick);
        record.is_calling = false;
        record.is_told = false;
        self.fetches = self.fetches.wrapping_add(1);
        if self.fetches.is_multiple_of(FETCHES_PER_REFRESH) {
            self.hazard.refresh();
        }
        self.requeue(slot.0);
    }

    /// The call failed: nothing was learned, and the record may be chosen again.
    pub fn failed(&mut self, slot: Slot) {
        self.records[slot.0 as usize].is_calling = false;
        self.requeue(slot.0);
    }

    /// A feed says that the record changed: its copy is stale for certain.
    pub fn told_changed(&mut self, slot: Slot) {
        self.records[slot.0 as usize].is_told = true;
        self.requeue(slot.0);
    }

    /// Bytes that the desk holds.
    pub fn bytes(&self) -> usize {
        size_of::<Desk>()
            + self.records.capacity() * size_of::<Record>()
            + self.vacant.capacity() * size_of::<u32>()
            + self.worth_queue.bytes()
            + self.promise_queue.bytes()
    }

    /// Lets the price follow the window; under `Optimal` it follows the queue instead.
    fn observe(&mut self, tick: u32, allowance: &Allowance) {
        self.price
            .observe(tick, allowance, self.policy == Policy::Priced);
    }

    /// The next record whose promise is about to be broken.
    fn promised(&mut self, tick: u32) -> Option<u32> {
        let (due, slot) = self.promise_queue.first()?;
        if due > tick || self.promise_credit < 1.0 {
            return None;
        }
        self.promise_credit -= 1.0;
        Some(slot)
    }

    /// The value that is longest past its lifetime.
    fn expired(&self, tick: u32, allowance: &Allowance) -> Option<u32> {
        let (due, slot) = self.worth_queue.first()?;
        (due <= tick && allowance.free_share() >= SPARE_SHARE).then_some(slot)
    }

    /// The record worth most, which is the one due first once the price is right: the price follows the head of the queue.
    fn best(&mut self, tick: u32, allowance: &Allowance) -> Option<u32> {
        let mut best: Option<(f64, u32)> = None;
        for _ in 0..LOOKS_MAX {
            let Some((due, slot)) = self.worth_queue.first() else {
                break;
            };
            let record = &self.records[slot as usize];
            let worth = self.worth(record, tick).behind(self.reads(record, tick));
            if best.is_none_or(|(most, _)| worth > most) {
                best = Some((worth, slot));
            }
            let window = allowance.window.as_secs_f64().max(0.1) * 10.0;
            let late = (f64::from(tick) - f64::from(due)) / window;
            self.price.nudge(NUDGE * late.clamp(-1.0, 1.0));
            self.requeue(slot);
            if self
                .worth_queue
                .first()
                .is_none_or(|(_, first)| first == slot)
            {
                break;
            }
        }
        if self.worth_queue.first().is_none() {
            self.price.nudge(-NUDGE);
        }
        best.filter(|(worth, _)| *worth > WORTHLESS)
            .map(|(_, slot)| slot)
    }

    /// A record that is worth the price of the moment, or with a window mostly idle, any that is worth something.
    fn spare(&mut self, tick: u32, allowance: &Allowance) -> Option<u32> {
        let free = allowance.free_share();
        if free < SPARE_SHARE {
            return None;
        }
        for _ in 0..LOOKS_MAX {
            let (_, slot) = self.worth_queue.first()?;
            let record = &self.records[slot as usize];
            let worth = self.worth(record, tick).behind(self.reads(record, tick));
            if worth >= self.price.current(allowance) || (free >= IDLE_SHARE && worth > WORTHLESS) {
                return Some(slot);
            }
            self.requeue(slot);
            if self
                .worth_queue
                .first()
                .is_some_and(|(_, first)| first == slot)
            {
                return None;
            }
        }
        None
    }

    fn worth(&self, record: &Record, tick: u32) -> Worth {
        let after = f64::from(tick.saturating_sub(record.fetched)) / 10.0;
        if record.is_told {
            // Fresh until the next change, or the promise's end.
            let saved = (1.0 / record.rate.mean()).min(f64::from(record.max_age) / 10.0);
            return Worth { stale: 1.0, saved };
        }
        self.staleness(record).worth(after)
    }

    fn staleness(&self, record: &Record) -> Staleness<'_> {
        Staleness::new(&self.hazard, record.rate, f64::from(record.age))
    }

    fn reads(&self, record: &Record, tick: u32) -> f64 {
        record.reads.per_second(tick, self.watched(tick))
    }

    fn watched(&self, tick: u32) -> f64 {
        f64::from(tick.saturating_sub(self.watched_from)) / 10.0
    }

    fn calling(&mut self, slot: u32) {
        self.records[slot as usize].is_calling = true;
        self.worth_queue.remove(slot);
        self.promise_queue.remove(slot);
    }

    /// Works out anew when a record is due.
    fn requeue(&mut self, slot: u32) {
        let record = &self.records[slot as usize];
        if !record.is_in || record.is_calling {
            return;
        }
        let promise = record.fetched.saturating_add(record.promise_tenths(slot));
        let worth = match self.policy {
            Policy::Tiers => Some(record.fetched.saturating_add(record.ttl)),
            _ if record.is_told => Some(record.fetched),
            _ => {
                let reads = self.reads(record, record.reads_tick());
                let within = f64::from(record.max_age) / 10.0;
                self.staleness(record)
                    .due(self.price.base() / reads, within)
                    .map(|after| record.fetched.saturating_add((after * 10.0) as u32))
            }
        };
        self.promise_queue.set(slot, promise);
        match worth {
            Some(due) => self.worth_queue.set(slot, due),
            // Past the promise: that queue sees to it.
            None => self.worth_queue.remove(slot),
        }
    }

    /// Due times age as prices and rates move: each question works out one of them anew.
    fn roll(&mut self) {
        if self.policy == Policy::Tiers || self.records.is_empty() {
            return;
        }
        for _ in 0..ROLLS {
            self.rolling = (self.rolling + 1) % self.records.len() as u32;
            self.requeue(self.rolling);
        }
    }

    fn earn_credit(&mut self, tick: u32, allowance: &Allowance) {
        let Some(before) = self.price.moved_at() else {
            return;
        };
        let elapsed = f64::from(tick.saturating_sub(before)) / 10.0;
        let per_second = f64::from(allowance.limit) / allowance.window.as_secs_f64().max(0.1);
        let most = (f64::from(allowance.limit) * PROMISE_SHARE_MAX).max(1.0);
        self.promise_credit =
            (self.promise_credit + elapsed * per_second * PROMISE_SHARE_MAX).min(most);
    }

    fn tick(&self, time: Timestamp) -> u32 {
        let millis = time
            .as_millisecond()
            .saturating_sub(self.epoch.as_millisecond());
        u32::try_from((millis / 100).max(0)).unwrap_or(u32::MAX)
    }
}

fn tenths(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() / 100).unwrap_or(u32::MAX)
}

/// Seconds from one moment to a later one; 0 when it is not later.
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millisecond()
        .saturating_sub(from.as_millisecond())
        .max(0)) as f64
        / 1_000.0
}

/// The most of the calls that promises of a maximum age may take; what does not fit is broken, and a forecast says so before.
pub const PROMISE_SHARE_MAX: f64 = 0.5;

/// Fetches older than this when a desk begins count as this old: 400 days.
const BEFORE_MS: i64 = 400 * 86_400_000;

/// So many fetches make the learned multipliers count anew.
const FETCHES_PER_REFRESH: u32 = 64;

/// With this share of the window free, calls go to background work that is worth the price of the moment.
const SPARE_SHARE: f64 = 0.1;

/// With this share of the window free, calls go to whatever is worth most.
const IDLE_SHARE: f64 = 0.4;

/// A call that saves fewer stale reads than this is not made even when it costs nothing.
const WORTHLESS: f64 = 1e-6;

/// Most records looked at for one background call.
const LOOKS_MAX: u32 = 4;

/// How far the price moves for one call when the head of the queue is a window late.
const NUDGE: f64 = 0.01;

/// Due times worked out anew with each question.
const ROLLS: u32 = 1;

#[cfg(test)]
mod tests;
