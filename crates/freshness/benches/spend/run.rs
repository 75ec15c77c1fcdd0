//! One policy in one world: reads come, calls go out under the cap, and each answer is compared with the truth.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::workload::{Kind, World};

/// Calls that may start in any window of a minute.
pub const CALLS_PER_MINUTE: u32 = 60;
const WINDOW: f64 = 60.0;
/// From asking upstream to the answer; upstream looks in the middle of it.
const LATENCY: f64 = 0.23;
/// How often a policy is asked for background calls.
const TICK: f64 = 0.5;

/// What a policy does for a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Serve,
    Behind,
    First,
}

/// A policy, seen from outside: it is told what it would be told in life.
pub trait Spender {
    fn read(&mut self, record: u32, now: f64, free: u32) -> Act;
    fn next(&mut self, now: f64, free: u32) -> Option<u32>;
    /// What the policy expects from `now` on: the share of fresh reads, the age that 95 % of reads do not exceed, in
    /// seconds, and calls a minute.
    fn forecast(&self, _now: f64) -> Option<(f64, f64, f64)> {
        None
    }
    /// A fetch asked at `now` showed that the record last changed at `stamp`.
    fn fetched(&mut self, record: u32, now: f64, changed: bool, stamp: f64);
}

/// What came out, over the measured stretch.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Share of reads that met a fresh copy.
    pub fresh: f64,
    /// Share of reads that waited for a call.
    pub waited: f64,
    pub calls_per_minute: f64,
    /// Most calls started in any 60 s.
    pub calls_max: u32,
    /// How long an answer had been stale, 95th percentile over all reads, in seconds.
    pub stale_p95: f64,
    /// How old the copy in an answer was, 95th percentile, in seconds.
    pub age_p95: f64,
    /// The oldest that any copy grew, in seconds.
    pub age_max: f64,
    /// Share of records not fetched at all.
    pub unfetched: f64,
    /// Time of one decision, in microseconds.
    pub decision_us: f64,
    /// What the policy expected of these figures when measuring began: fresh, age, calls.
    pub forecast: Option<(f64, f64, f64)>,
}

/// Runs from time 0 to the world's end, measuring from `warm` on.
pub fn run(kind: &Kind, world: &World, warm: f64, end: f64, spender: &mut dyn Spender) -> Outcome {
    let mut sim = Sim {
        world,
        warm,
        copies: world.fetched.clone(),
        started: VecDeque::new(),
        under_way: BinaryHeap::new(),
        joined: vec![Vec::new(); kind.records],
        calling: vec![false; kind.records],
        fetched: vec![false; kind.records],
        outcome: Outcome::default(),
        reads: 0,
        fresh: 0,
        waited: 0,
        calls: 0,
        staleness: Vec::new(),
        ages: Vec::new(),
    };
    let mut decisions = 0_u64;
    let clock = std::time::Instant::now();
    let mut tick = 0.0;
    let mut reads = world.reads.iter().peekable();
    while tick < end {
        tick += TICK;
        if sim.outcome.forecast.is_none() && tick >= warm {
            sim.outcome.forecast = spender.forecast(tick);
        }
        while let Some((time, record)) = reads.next_if(|(time, _)| *time <= tick) {
            sim.settle(*time, spender);
            let free = sim.free(*time);
            decisions += 1;
            match spender.read(*record, *time, free) {
                Act::Serve => sim.answer(*record, *time, false),
                Act::Behind => {
                    sim.answer(*record, *time, false);
                    sim.call(*record, *time);
                }
                Act::First => {
                    sim.joined[*record as usize].push(*time);
                    sim.call(*record, *time);
                }
            }
        }
        sim.settle(tick, spender);
        loop {
            let free = sim.free(tick);
            decisions += 1;
            match spender.next(tick, free) {
                Some(record) => sim.call(record, tick),
                None => break,
            }
        }
    }
    let seconds = clock.elapsed().as_secs_f64();
    sim.finish(kind, end, seconds * 1e6 / decisions as f64)
}

struct Sim<'a> {
    world: &'a World,
    warm: f64,
    /// As of when each copy is.
    copies: Vec<f64>,
    /// Starts of the calls of the last window.
    started: VecDeque<f64>,
    /// Calls by their end: (end in nanoseconds, record).
    under_way: BinaryHeap<Reverse<(u64, u32)>>,
    /// Reads that wait for a record's call.
    joined: Vec<Vec<f64>>,
    calling: Vec<bool>,
    fetched: Vec<bool>,
    outcome: Outcome,
    reads: u64,
    fresh: u64,
    waited: u64,
    calls: u64,
    staleness: Vec<f32>,
    ages: Vec<f32>,
}

impl Sim<'_> {
    fn free(&mut self, now: f64) -> u32 {
        while self
            .started
            .front()
            .is_some_and(|start| *start <= now - WINDOW)
        {
            self.started.pop_front();
        }
        CALLS_PER_MINUTE - self.started.len() as u32
    }

    fn call(&mut self, record: u32, now: f64) {
        if std::mem::replace(&mut self.calling[record as usize], true) {
            return;
        }
        assert!(self.free(now) > 0, "a call without a free slot");
        self.started.push_back(now);
        self.outcome.calls_max = self.outcome.calls_max.max(self.started.len() as u32);
        self.calls += u64::from(now >= self.warm);
        self.under_way
            .push(Reverse((((now + LATENCY) * 1e9) as u64, record)));
    }

    /// Ends the calls that are over by `now`.
    fn settle(&mut self, now: f64, spender: &mut dyn Spender) {
        while let Some(Reverse((end, record))) = self.under_way.peek().copied() {
            let end = end as f64 / 1e9;
            if end > now {
                return;
            }
            self.under_way.pop();
            let index = record as usize;
            let looked = end - LATENCY / 2.0;
            let stamp = self.world.last_change(index, looked);
            let changed = stamp > self.copies[index];
            if looked >= self.warm {
                self.note_age(index, looked);
                self.fetched[index] = true;
            }
            self.copies[index] = looked;
            self.calling[index] = false;
            spender.fetched(record, end - LATENCY, changed, stamp);
            for _ in std::mem::take(&mut self.joined[index]) {
                self.answer(record, end, true);
            }
        }
    }

    fn note_age(&mut self, record: usize, now: f64) {
        self.outcome.age_max = self.outcome.age_max.max(now - self.copies[record]);
    }

    fn answer(&mut self, record: u32, now: f64, waited: bool) {
        if now < self.warm {
            return;
        }
        let copy = self.copies[record as usize];
        let stale = self.world.stale_since(record as usize, copy, now);
        self.reads += 1;
        self.fresh += u64::from(stale.is_none());
        self.waited += u64::from(waited);
        self.staleness
            .push(stale.map_or(0.0, |since| (now - since) as f32));
        self.ages.push((now - copy) as f32);
    }

    fn finish(mut self, kind: &Kind, end: f64, decision_us: f64) -> Outcome {
        for record in 0..kind.records {
            self.note_age(record, end);
        }
        let share = |count: u64| count as f64 / self.reads as f64;
        let fetched = self.fetched.iter().filter(|fetched| **fetched).count();
        Outcome {
            fresh: share(self.fresh),
            waited: share(self.waited),
            calls_per_minute: self.calls as f64 / (end - self.warm) * 60.0,
            stale_p95: percentile(&mut self.staleness, 0.95),
            age_p95: percentile(&mut self.ages, 0.95),
            unfetched: 1.0 - fetched as f64 / kind.records as f64,
            decision_us,
            ..self.outcome
        }
    }
}

fn percentile(values: &mut [f32], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let index = ((values.len() - 1) as f64 * share) as usize;
    let (_, value, _) = values.select_nth_unstable_by(index, f32::total_cmp);
    f64::from(*value)
}
