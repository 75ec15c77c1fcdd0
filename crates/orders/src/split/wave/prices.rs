//! Looks for prices by subgradient steps, in floating point: what is found is proven elsewhere in whole numbers.

use std::collections::BTreeMap;

use super::TIMES;
use crate::split::single::Plain;
use crate::world::World;

/// Rounds of price finding.
const ROUNDS_MAX: usize = 2_500;
/// Orders priced in all rounds together.
const PRICED_MAX: usize = 100_000;
/// Rounds without a better bound after which steps are halved.
const PATIENCE: u32 = 30;

pub(super) type Prices = BTreeMap<(usize, usize), i128>;

/// One order with its costs as floats.
struct Buyer {
    open: Vec<f64>,
    lines: Vec<Want>,
    sets_max: u32,
}

struct Want {
    fill: f64,
    /// (place, units, cost of a unit, index of the price).
    offers: Vec<(usize, f64, f64, usize)>,
}

/// The best prices, and prices met on the way.
pub(super) fn find(
    world: &World<'_>,
    plains: &[Option<(Plain, Vec<i64>)>],
    stock: &BTreeMap<(usize, usize), i64>,
    cost: i128,
) -> (Prices, Vec<Prices>) {
    let keys: Vec<(usize, usize)> = stock.keys().copied().collect();
    let there: Vec<f64> = stock.values().map(|&units| units as f64).collect();
    let mut buyers: Vec<Buyer> = plains
        .iter()
        .flatten()
        .map(|(plain, fills)| buyer(world, plain, fills, &keys))
        .collect();
    let rounds = ROUNDS_MAX.min(PRICED_MAX / buyers.len().max(1)).max(1);
    let mut prices = vec![0.0f64; keys.len()];
    let mut best = (f64::NEG_INFINITY, prices.clone());
    let mut direction = vec![0.0f64; keys.len()];
    let mut seeds = Vec::new();
    let (mut pace, mut since) = (1.0f64, 0u32);
    for round in 0..rounds {
        let mut over: Vec<f64> = there.iter().map(|units| -units).collect();
        let mut bound: f64 = -prices.iter().zip(&there).map(|(p, t)| p * t).sum::<f64>();
        for buyer in &mut buyers {
            bound += buyer.buy(&prices, &mut over);
        }
        if bound > best.0 {
            best = (bound, prices.clone());
            since = 0;
        } else {
            since += 1;
            if since == PATIENCE {
                pace /= 2.0;
                since = 0;
                prices.clone_from(&best.1);
                direction.fill(0.0);
                if pace < 1e-4 {
                    break;
                }
                continue;
            }
        }
        if round % (rounds / 64).max(1) == 0 {
            seeds.push(whole(&keys, &prices));
        }
        for (over, price) in over.iter_mut().zip(&prices) {
            if *price <= 0.0 && *over < 0.0 {
                *over = 0.0;
            }
        }
        // Turning away from the last direction where the new one opposes it keeps steps from zigzagging.
        let dot: f64 = over.iter().zip(&direction).map(|(a, b)| a * b).sum();
        let square: f64 = direction.iter().map(|d| d * d).sum();
        let turn = if dot < 0.0 && square > 0.0 {
            -1.5 * dot / square
        } else {
            0.0
        };
        for (d, over) in direction.iter_mut().zip(&over) {
            *d = over + turn * *d;
        }
        let norm: f64 = direction.iter().map(|d| d * d).sum();
        let room = cost as f64 - bound;
        if norm == 0.0 || room <= 0.0 {
            break;
        }
        for (price, d) in prices.iter_mut().zip(&direction) {
            *price = (*price + pace * room * d / norm).max(0.0);
        }
    }
    (whole(&keys, &best.1), seeds)
}

fn whole(keys: &[(usize, usize)], prices: &[f64]) -> Prices {
    let priced = keys.iter().zip(prices).filter(|(_, price)| **price > 0.0);
    priced
        .map(|(key, price)| (*key, (price * TIMES as f64).round() as i128))
        .collect()
}

fn buyer(world: &World<'_>, plain: &Plain, fills: &[i64], keys: &[(usize, usize)]) -> Buyer {
    let lines = plain
        .lines
        .iter()
        .zip(fills)
        .enumerate()
        .map(|(i, (line, &fill))| {
            let sku = world.orders[plain.order].lines[i].sku;
            let offers = line.offers.iter().filter_map(|&(p, units, cost)| {
                let key = keys.binary_search(&(sku, plain.places[p])).ok()?;
                Some((p, units as f64, cost as f64, key))
            });
            Want {
                fill: fill as f64,
                offers: offers.collect(),
            }
        });
    Buyer {
        open: plain.open.iter().map(|&cost| cost as f64).collect(),
        lines: lines.filter(|want| want.fill > 0.0).collect(),
        sets_max: u32::try_from(plain.sets_max).unwrap_or(u32::MAX),
    }
}

impl Buyer {
    /// Buys at `prices` what costs least, adds it to `over`, and says what it costs.
    fn buy(&mut self, prices: &[f64], over: &mut [f64]) -> f64 {
        if self.lines.is_empty() {
            return 0.0;
        }
        for want in &mut self.lines {
            want.offers.sort_unstable_by(|a, b| {
                (a.2 + prices[a.3])
                    .total_cmp(&(b.2 + prices[b.3]))
                    .then(a.0.cmp(&b.0))
            });
        }
        let least: f64 = self
            .lines
            .iter()
            .filter_map(|want| want.cost(prices, u32::MAX))
            .sum();
        let mut openings = vec![0.0f64; 1 << self.open.len()];
        let mut best = (f64::INFINITY, 0u32);
        'sets: for set in 1..1u32 << self.open.len() {
            let opening =
                openings[(set & (set - 1)) as usize] + self.open[set.trailing_zeros() as usize];
            openings[set as usize] = opening;
            if set.count_ones() > self.sets_max || opening + least >= best.0 {
                continue;
            }
            let mut cost = opening;
            for want in &self.lines {
                match want.cost(prices, set) {
                    Some(more) if cost + more < best.0 => cost += more,
                    _ => continue 'sets,
                }
            }
            best = (cost, set);
        }
        for want in &self.lines {
            let mut left = want.fill;
            for &(p, units, _, key) in &want.offers {
                if left > 0.0 && best.1 >> p & 1 == 1 {
                    let part = left.min(units);
                    over[key] += part;
                    left -= part;
                }
            }
        }
        best.0
    }
}

impl Want {
    fn cost(&self, prices: &[f64], set: u32) -> Option<f64> {
        let (mut left, mut cost) = (self.fill, 0.0);
        for &(p, units, unit, key) in &self.offers {
            if set >> p & 1 == 1 {
                let part = left.min(units);
                cost += part * (unit + prices[key]);
                left -= part;
                if left <= 0.0 {
                    return Some(cost);
                }
            }
        }
        None
    }
}
