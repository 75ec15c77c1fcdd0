//! Looks for prices by subgradient steps, in floating point: what is found is proven elsewhere in whole numbers.

use super::buyer::Basket;
use super::market::{Market, Prices};

/// Rounds of price finding.
const ROUNDS_MAX: usize = 2_500;
/// Orders priced in all rounds together.
const PRICED_MAX: usize = 100_000;
/// Rounds without a better bound after which steps are halved.
const PATIENCE: u32 = 30;

/// Where the climb ended.
pub(super) struct Climbed {
    /// The best lower bound of the cost, times `TIMES`, exact.
    pub bound: i128,
    pub prices: Vec<f64>,
    /// Prices met on the way: starts for attempts.
    pub seeds: Vec<Prices>,
}

/// Raises prices of what is wanted too much and lowers others, as long as the bound gets better. `cost` is that of a
/// known plan; `seen` gets what is bought on the way.
pub(super) fn climb(
    market: &mut Market,
    cost: i128,
    rounds_max: usize,
    mut seen: impl FnMut(usize, Basket),
) -> Climbed {
    let rounds = ROUNDS_MAX
        .min(rounds_max)
        .min(PRICED_MAX / market.buyers.len().max(1))
        .max(1);
    let there: Vec<f64> = market.there.iter().map(|&units| units as f64).collect();
    let cost = market.part(cost * super::TIMES);
    let mut prices = vec![0.0f64; there.len()];
    let mut best = (i128::MIN, prices.clone());
    let mut direction = vec![0.0f64; there.len()];
    let mut seeds = Vec::new();
    let (mut pace, mut since) = (1.0f64, 0u32);
    for round in 0..rounds {
        let mut over: Vec<f64> = there.iter().map(|units| -units).collect();
        let mut bound = -market.quote(&prices);
        for (index, buyer) in market.buyers.iter_mut().enumerate() {
            let Some(basket) = buyer.buy() else {
                continue;
            };
            bound += basket.priced;
            for &(key, units) in &basket.scarce {
                over[key] += units as f64;
            }
            seen(index, basket);
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
            seeds.push(market.whole(&prices));
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
        let room = cost - market.part(bound);
        if norm == 0.0 || room <= 0.0 {
            break;
        }
        for (price, d) in prices.iter_mut().zip(&direction) {
            *price = (*price + pace * room * d / norm).max(0.0);
        }
    }
    Climbed {
        bound: best.0,
        prices: best.1,
        seeds,
    }
}
