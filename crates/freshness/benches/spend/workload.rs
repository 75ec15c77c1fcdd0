//! What happens upstream and who reads it: the truth, which no policy sees.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How a workload is drawn. Rates are per second.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub records: usize,
    /// Changes per day of the median record.
    pub median_per_day: f64,
    /// Spread of the logarithm of the change rates.
    pub sigma: f64,
    /// No record changes oftener, in changes per second.
    pub cap: f64,
    /// One burst per record and so many seconds on average; 0: none.
    pub burst_every: f64,
    /// The stated maximum age, in seconds.
    pub max_age: f64,
}

pub const KINDS: [Kind; 4] = [
    Kind {
        name: "crm",
        records: 1_200,
        median_per_day: 0.5,
        sigma: 2.5,
        cap: 1.0 / 60.0,
        burst_every: 0.0,
        max_age: 6.0 * HOUR,
    },
    Kind {
        name: "busy",
        records: 1_200,
        median_per_day: 60.0,
        sigma: 1.5,
        cap: 1.0 / 60.0,
        burst_every: 0.0,
        max_age: 6.0 * HOUR,
    },
    Kind {
        name: "bursty",
        records: 1_200,
        median_per_day: 0.1,
        sigma: 2.5,
        cap: 1.0 / 60.0,
        burst_every: 12.0 * HOUR,
        max_age: 6.0 * HOUR,
    },
    Kind {
        name: "mirror",
        records: 50_000,
        median_per_day: 0.05,
        sigma: 2.0,
        cap: 1.0 / 300.0,
        burst_every: 0.0,
        max_age: 7.0 * DAY,
    },
];

pub const HOUR: f64 = 3_600.0;
pub const DAY: f64 = 86_400.0;

/// All reads together, per second.
pub const READS_PER_SECOND: f64 = 5.0;
const ZIPF: f64 = 0.99;
/// Rank correlation of 0.6 between change and read rates, as that of the normal variables behind both: 2 sin(0.6 pi / 6).
const CORRELATION: f64 = 0.618;
const BURST_LENGTH: f64 = 1_800.0;
const BURST_GAP: f64 = 180.0;
/// So long before time 0 changes are drawn one by one.
const HISTORY: f64 = 3.0 * DAY;

/// A company's records over a stretch of time.
pub struct World {
    /// Changes per second, bursts aside.
    pub change_rates: Vec<f64>,
    /// Reads per second.
    pub read_rates: Vec<f64>,
    /// When each record changed, ascending.
    changes: Vec<Vec<f64>>,
    /// Reads: when, and of which record, ascending.
    pub reads: Vec<(f64, u32)>,
    /// When the copy that everybody starts with was fetched.
    pub fetched: Vec<f64>,
}

impl World {
    /// From time 0 to `end`. `pass` is how long a full pass takes: the first copies are at most that old.
    pub fn draw(kind: &Kind, seed: u64, end: f64, pass: f64) -> World {
        let mut random = StdRng::seed_from_u64(seed);
        let normals: Vec<(f64, f64)> = (0..kind.records)
            .map(|_| {
                let (one, other) = (normal(&mut random), normal(&mut random));
                (
                    one,
                    CORRELATION * one + (1.0 - CORRELATION * CORRELATION).sqrt() * other,
                )
            })
            .collect();
        let change_rates: Vec<f64> = normals
            .iter()
            .map(|(one, _)| (kind.median_per_day / DAY * (kind.sigma * one).exp()).min(kind.cap))
            .collect();
        let read_rates = zipf(&normals.iter().map(|(_, other)| *other).collect::<Vec<_>>());
        let changes = change_rates
            .iter()
            .map(|rate| draw_changes(&mut random, kind, *rate, end))
            .collect();
        let fetched = (0..kind.records)
            .map(|_| -pass * random.random::<f64>())
            .collect();
        let reads = draw_reads(&mut random, &read_rates, end);
        World {
            change_rates,
            read_rates,
            changes,
            reads,
            fetched,
        }
    }

    /// The last change up to `time`.
    pub fn last_change(&self, record: usize, time: f64) -> f64 {
        let changes = &self.changes[record];
        match changes.partition_point(|change| *change <= time) {
            0 => f64::NEG_INFINITY,
            count => changes[count - 1],
        }
    }

    /// The first change after `time`, if there is one up to `until`: since then a copy of `time` is stale.
    pub fn stale_since(&self, record: usize, time: f64, until: f64) -> Option<f64> {
        let changes = &self.changes[record];
        let next = changes.partition_point(|change| *change <= time);
        changes.get(next).copied().filter(|change| *change <= until)
    }

    /// Changes in all from `from` to `to`.
    pub fn changes_between(&self, from: f64, to: f64) -> usize {
        let count =
            |changes: &Vec<f64>, time: f64| changes.partition_point(|change| *change <= time);
        self.changes
            .iter()
            .map(|changes| count(changes, to) - count(changes, from))
            .sum()
    }
}

fn draw_changes(random: &mut StdRng, kind: &Kind, rate: f64, end: f64) -> Vec<f64> {
    // One long ago, so that every record has a stamp.
    let mut changes = vec![-HISTORY - wait(random, rate)];
    let mut time = -HISTORY + wait(random, rate);
    while time < end {
        changes.push(time);
        time += wait(random, rate);
    }
    if kind.burst_every > 0.0 {
        let mut start = -HISTORY + wait(random, 1.0 / kind.burst_every);
        while start < end {
            let mut time = start;
            while time < start + BURST_LENGTH {
                changes.push(time);
                time += wait(random, 1.0 / BURST_GAP);
            }
            start += wait(random, 1.0 / kind.burst_every);
        }
        changes.sort_by(f64::total_cmp);
    }
    changes
}

fn draw_reads(random: &mut StdRng, rates: &[f64], end: f64) -> Vec<(f64, u32)> {
    let mut sums = Vec::with_capacity(rates.len());
    let mut sum = 0.0;
    for rate in rates {
        sum += rate;
        sums.push(sum);
    }
    let mut reads = Vec::with_capacity((end * sum * 1.1) as usize);
    let mut time = wait(random, sum);
    while time < end {
        let point = random.random::<f64>() * sum;
        let record = sums
            .partition_point(|sum| *sum <= point)
            .min(rates.len() - 1);
        reads.push((time, record as u32));
        time += wait(random, sum);
    }
    reads
}

/// Read rates by rank of `scores`, the highest first.
fn zipf(scores: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
    let total: f64 = (1..=scores.len())
        .map(|rank| (rank as f64).powf(-ZIPF))
        .sum();
    let mut rates = vec![0.0; scores.len()];
    for (rank, record) in order.into_iter().enumerate() {
        rates[record] = READS_PER_SECOND * ((rank + 1) as f64).powf(-ZIPF) / total;
    }
    rates
}

fn wait(random: &mut StdRng, rate: f64) -> f64 {
    -(1.0 - random.random::<f64>()).ln() / rate
}

fn normal(random: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}
