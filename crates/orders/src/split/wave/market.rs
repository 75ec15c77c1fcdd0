//! Orders as buyers of units that are scarce: each buys, at given prices, what costs it least. All in whole numbers.

use std::collections::BTreeMap;

use super::TIMES;
use super::buyer::{AMPLE, Basket, Buyer};
use crate::split::single::Plain;
use crate::world::World;

/// Whole prices by SKU and location, in parts of [`TIMES`].
pub(super) type Prices = BTreeMap<(usize, usize), i128>;

/// What the takes of one key can never exceed together: the sum over buyers of `of(units taken)` is at most 1.
pub(super) struct Cut {
    pub key: usize,
    /// (index into the key's seats, by units taken from 0): never falling.
    pub curves: Vec<(usize, Vec<f64>)>,
}

/// An offer of a key: buyer, line and offer, by index.
pub(super) type Seat = (usize, usize, usize);

/// Everybody who buys, and what may run out.
pub(super) struct Market {
    /// What all together could want more of than there is: (SKU, location), in order.
    keys: Vec<(usize, usize)>,
    /// Units of each key.
    pub there: Vec<i64>,
    pub buyers: Vec<Buyer>,
    /// Who could buy each key.
    pub seats: Vec<Vec<Seat>>,
    pub cuts: Vec<Cut>,
    /// What an order costs on average, times [`TIMES`].
    unit: f64,
}

impl Market {
    /// The market of orders with fills; `cost` is what a known plan costs.
    pub fn new(
        world: &World<'_>,
        plains: &[Option<(Plain, Vec<i64>)>],
        stock: &BTreeMap<(usize, usize), i64>,
        cost: i128,
    ) -> Self {
        let sku = |plain: &Plain, line: usize| world.orders[plain.order].lines[line].sku;
        let mut wanted: BTreeMap<(usize, usize), i64> = BTreeMap::new();
        for (plain, fills) in plains.iter().flatten() {
            for (i, (line, &fill)) in plain.lines.iter().zip(fills).enumerate() {
                let mut most: BTreeMap<usize, i64> = BTreeMap::new();
                for &(p, units, _) in &line.offers {
                    *most.entry(p).or_default() += units;
                }
                for (p, units) in most {
                    let key = (sku(plain, i), plain.places[p]);
                    let wanted = wanted.entry(key).or_default();
                    *wanted = wanted.saturating_add(units.min(fill));
                }
            }
        }
        let scarce: BTreeMap<(usize, usize), i64> = stock
            .iter()
            .filter(|(key, units)| wanted.get(key).is_some_and(|wanted| wanted > units))
            .map(|(key, units)| (*key, *units))
            .collect();
        let keys: Vec<(usize, usize)> = scarce.keys().copied().collect();
        let count = plains.iter().flatten().count();
        let buyers = plains.iter().enumerate().filter_map(|(at, plain)| {
            let (plain, fills) = plain.as_ref()?;
            Buyer::new(at, plain, fills, |line, p| {
                let place = (sku(plain, line), plain.places[p]);
                // What is held by orders that are not planned this way is not in `stock`.
                let known = stock.contains_key(&place);
                known.then(|| keys.binary_search(&place).unwrap_or(AMPLE))
            })
        });
        let buyers: Vec<Buyer> = buyers.collect();
        let mut seats = vec![Vec::new(); keys.len()];
        for (b, buyer) in buyers.iter().enumerate() {
            for (w, o, key) in buyer.keys() {
                seats[key].push((b, w, o));
            }
        }
        Self {
            keys,
            there: scarce.into_values().collect(),
            buyers,
            seats,
            cuts: Vec::new(),
            unit: (cost as f64 / count.max(1) as f64).max(1.0) * TIMES as f64,
        }
    }

    /// A cost, times [`TIMES`], in parts of what an order costs on average.
    pub fn part(&self, cost: i128) -> f64 {
        cost as f64 / self.unit
    }

    /// Prices of keys in whole numbers.
    pub fn whole(&self, prices: &[f64]) -> Prices {
        let priced = self.keys.iter().zip(prices);
        priced
            .map(|(key, price)| (*key, (price * self.unit).round() as i128))
            .filter(|(_, price)| *price > 0)
            .collect()
    }

    /// What limits the program has: units of keys, then cuts.
    pub fn limits(&self) -> Vec<f64> {
        let there = self.there.iter().map(|&units| units as f64);
        there.chain(self.cuts.iter().map(|_| 1.0)).collect()
    }

    /// What a buyer's basket uses of a cut.
    pub fn used(&self, cut: &Cut, buyer: usize, basket: &Basket) -> f64 {
        let Ok(seat) = self.seats[cut.key].binary_search_by_key(&buyer, |seat| seat.0) else {
            return 0.0;
        };
        let Ok(at) = cut.curves.binary_search_by_key(&seat, |curve| curve.0) else {
            return 0.0;
        };
        cut.curves[at].1[basket.taken(cut.key) as usize]
    }

    /// Tells every buyer the prices of keys and cuts, rounded, and says the most that all units together can earn at
    /// them. Whatever the prices: what orders pay at the least, less these earnings, is a lower bound of the cost.
    pub fn quote(&mut self, prices: &[f64]) -> i128 {
        let mut cuts: Vec<Vec<usize>> = vec![Vec::new(); self.keys.len()];
        for (c, cut) in self.cuts.iter().enumerate() {
            if prices[self.keys.len() + c] > 0.0 {
                cuts[cut.key].push(c);
            }
        }
        let mut earned = 0;
        for (key, cuts) in cuts.into_iter().enumerate() {
            let price = (prices[key] * self.unit).round() as i128;
            if cuts.is_empty() {
                for &(b, w, o) in &self.seats[key] {
                    self.buyers[b].quote(w, o, price, None);
                }
                earned += price * i128::from(self.there[key]);
                continue;
            }
            let seats = &self.seats[key];
            let mut curves = Vec::with_capacity(seats.len());
            for (s, &(b, w, o)) in seats.iter().enumerate() {
                let most = self.buyers[b].most(w, o);
                let mut extra = vec![0.0; most + 1];
                for &c in &cuts {
                    let of = self.cuts[c].curves.iter().find(|curve| curve.0 == s);
                    for (sum, part) in extra.iter_mut().zip(of.iter().flat_map(|of| &of.1)) {
                        *sum += prices[self.keys.len() + c] * part;
                    }
                }
                let paid = extra.iter().zip(0i128..);
                let curve: Vec<i128> = paid
                    .map(|(extra, units)| price * units + (extra * self.unit).round() as i128)
                    .collect();
                self.buyers[b].quote(w, o, price, Some(&curve));
                curves.push(curve);
            }
            earned += most_earned(&curves, self.there[key] as usize);
        }
        earned
    }
}

/// The most that `units` earn, given to buyers who pay by curves.
fn most_earned(curves: &[Vec<i128>], units: usize) -> i128 {
    let mut best = vec![0i128; units + 1];
    for curve in curves {
        for left in (0..=units).rev() {
            let options = curve.iter().take(left + 1).enumerate();
            let most = options.map(|(taken, paid)| best[left - taken] + paid).max();
            best[left] = most.unwrap_or(best[left]);
        }
    }
    best[units]
}
