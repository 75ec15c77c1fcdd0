//! Prices to the end: a linear program over all baskets bought so far says what prices they bear, each order buys at
//! those and brings its basket, until none is new; then what whole units cannot do is cut off, and so on. The same
//! program leads to a plan when baskets are fixed one by one.

use std::collections::HashSet;

use super::buyer::{Basket, Takes};
use super::cuts;
use super::market::{Cut, Market, Prices};
use super::{Mine, prices};
use crate::engine::columns::Columns;
use crate::split::single::Plain;

/// Most rows of the program without cuts; waves beyond are left to the climb alone.
const ROWS_MAX: usize = 900;
/// Rounds of the climb before the program of a whole wave starts.
pub(super) const CLIMB_ROUNDS: usize = 300;
/// Rounds of the climb whose baskets come into the program.
const CLIMB_KEPT: usize = 120;
/// Rounds in which orders buy at the program's prices, between two rounds of cuts.
const ROUNDS_MAX: usize = 200;
/// The same after each basket that is fixed.
const DIVE_ROUNDS_MAX: usize = 3;
/// Rounds of cuts of a whole wave.
pub(super) const CUT_ROUNDS_MAX: usize = 40;
/// A round of cuts that raises the bound by less than this part of it is the last.
const GAIN_MIN: i128 = 2_000;
/// Most cuts.
const CUTS_MAX: usize = 600;
/// Cells of the program passed while the bound is raised.
const RAISE_WORK_MAX: u64 = 25_000_000_000;
/// The same by the time a plan is found.
const DIVE_WORK_MAX: u64 = 40_000_000_000;
/// Pivots of one solve.
const PIVOTS_MAX: u32 = 4_000;
/// How much prices lean to the best known ones: those of the program alone swing.
const LEAN: f64 = 0.7;
/// Parts of the cost below which bound and program agree.
const AGREED: f64 = 1e-6;
/// What leaving an order out costs, in parts of what the whole plan costs.
const DEAR: f64 = 20.0;
/// Baskets used in more than this part are settled together.
const SURE: f64 = 0.75;

/// The program and the market it prices.
pub(super) struct Master {
    pub market: Market,
    program: Columns,
    /// (buyer, basket) by column.
    baskets: Vec<(usize, Basket)>,
    /// Who bought what before.
    seen: HashSet<(usize, Takes)>,
    /// The column of each buyer that is settled.
    fixed: Vec<Option<usize>>,
    /// Units that settled baskets leave.
    room: Vec<i64>,
    /// The best bound so far, times `TIMES`, exact.
    pub bound: i128,
    /// Prices of keys, then of cuts: those of the bound.
    pub prices: Vec<f64>,
    /// Prices met on the way: starts for attempts.
    pub seeds: Vec<Prices>,
}

impl Master {
    /// Whether the wave is small enough.
    pub fn takes(market: &Market) -> bool {
        (1..=ROWS_MAX).contains(&(market.buyers.len() + market.there.len()))
    }

    /// Climbs, and keeps what was bought on the way.
    pub fn new(mut market: Market, cost: i128, climb: usize) -> Self {
        let buyers = market.buyers.len();
        let mut bought = Vec::new();
        let climbed = prices::climb(&mut market, cost, climb, |buyer, basket| {
            bought.push((buyer, basket));
        });
        let mut master = Self {
            program: Columns::new(&vec![1.0; buyers], &market.limits(), DEAR * buyers as f64),
            fixed: vec![None; buyers],
            room: market.there.clone(),
            market,
            baskets: Vec::new(),
            seen: HashSet::new(),
            bound: climbed.bound,
            prices: climbed.prices,
            seeds: climbed.seeds,
        };
        let kept = bought.len().saturating_sub(CLIMB_KEPT * buyers);
        for (buyer, basket) in bought.drain(kept..) {
            master.add(buyer, basket);
        }
        master
    }

    /// Brings the baskets of a plan into the program.
    pub fn know(&mut self, plains: &[Option<(Plain, Vec<i64>)>], plan: &[Mine]) {
        for buyer in 0..self.market.buyers.len() {
            let at = self.market.buyers[buyer].at;
            if let Some((plain, _)) = &plains[at] {
                let basket = self.market.buyers[buyer].holding(plain, &plan[at]);
                self.add(buyer, basket);
            }
        }
    }

    /// Raises the bound as far as prices and cuts go in so many rounds of cuts.
    pub fn raise(&mut self, cut_rounds: usize) {
        self.converge(ROUNDS_MAX);
        let cuttable = self.market.buyers.iter().all(|buyer| buyer.takes_curves());
        for _ in 0..cut_rounds {
            let before = self.bound;
            let is_enough = self.market.cuts.len() > CUTS_MAX || self.program.work > RAISE_WORK_MAX;
            if !cuttable || is_enough || !self.cut() {
                break;
            }
            self.converge(ROUNDS_MAX);
            if (self.bound - before) * GAIN_MIN < self.bound {
                break;
            }
        }
    }

    /// Adds a basket; whether it was new.
    fn add(&mut self, buyer: usize, basket: Basket) -> bool {
        if !self.seen.insert((buyer, basket.takes.clone())) {
            return false;
        }
        let buyers = self.fixed.len();
        let mut entries = vec![(buyer, 1.0)];
        let scarce = basket.scarce.iter();
        entries.extend(scarce.map(|&(key, units)| (buyers + key, units as f64)));
        for (c, cut) in self.market.cuts.iter().enumerate() {
            let used = self.market.used(cut, buyer, &basket);
            if used > 0.0 {
                entries.push((buyers + self.market.there.len() + c, used));
            }
        }
        self.program.add(self.market.part(basket.cost), entries);
        self.baskets.push((buyer, basket));
        true
    }

    /// Lets orders buy at the program's prices until they bring nothing new, `rounds` times at the most. Raises the
    /// bound while nothing is settled. `false` when an order cannot get its fills from what is left.
    fn converge(&mut self, rounds: usize) -> bool {
        let is_root = self.fixed.iter().all(Option::is_none);
        for _ in 0..rounds {
            let is_solved = self.program.solve(PIVOTS_MAX);
            let work_max = if is_root {
                RAISE_WORK_MAX
            } else {
                DIVE_WORK_MAX
            };
            if !is_solved || self.program.work > work_max {
                return is_root;
            }
            let value = self.program.value();
            if is_root && value - self.market.part(self.bound) <= AGREED * value.abs() {
                return true;
            }
            let prices = self.program.prices();
            let mut lean = if is_root { LEAN } else { 0.0 };
            loop {
                match self.buy_at(&prices, lean, is_root) {
                    None => return false,
                    Some(0) if lean == 0.0 => return true,
                    // Nothing new at these prices: nearer to the program's own.
                    Some(0) => lean = if lean > 0.1 { lean / 2.0 } else { 0.0 },
                    Some(_) => break,
                }
            }
        }
        true
    }

    /// Lets everybody buy at prices between the program's and the best known; how many baskets are new.
    fn buy_at(&mut self, prices: &[f64], lean: f64, is_root: bool) -> Option<usize> {
        let known = self.prices.iter().chain(std::iter::repeat(&0.0));
        let at: Vec<f64> = prices
            .iter()
            .zip(known)
            .map(|(new, known)| lean * known + (1.0 - lean) * new)
            .collect();
        let mut bound = -self.market.quote(&at);
        let mut new = 0;
        for buyer in 0..self.fixed.len() {
            if self.fixed[buyer].is_some() {
                continue;
            }
            let basket = self.market.buyers[buyer].buy()?;
            bound += basket.priced;
            let scarce = basket.scarce.iter();
            let mut reduced = self.market.part(basket.cost) - self.program.worth(buyer);
            reduced += scarce
                .map(|&(key, units)| prices[key] * units as f64)
                .sum::<f64>();
            let cuts = self
                .market
                .cuts
                .iter()
                .zip(&prices[self.market.there.len()..]);
            reduced += cuts
                .filter(|(_, price)| **price > 0.0)
                .map(|(cut, price)| price * self.market.used(cut, buyer, &basket))
                .sum::<f64>();
            if reduced < -AGREED {
                new += usize::from(self.add(buyer, basket));
            }
        }
        if is_root && bound > self.bound {
            self.bound = bound;
            self.prices = at;
        }
        Some(new)
    }

    /// Cuts off the present point where it does what whole units cannot; whether there was anything to cut.
    fn cut(&mut self) -> bool {
        let parts = self.program.parts();
        let mut found: Vec<(f64, Cut)> = Vec::new();
        for key in 0..self.market.there.len() {
            let seats = &self.market.seats[key];
            let mut taken: Vec<Vec<f64>> = seats
                .iter()
                .map(|&(b, w, o)| vec![0.0; self.market.buyers[b].most(w, o) + 1])
                .collect();
            for &(column, part) in &parts {
                let (buyer, basket) = &self.baskets[column];
                if let Ok(seat) = seats.binary_search_by_key(buyer, |seat| seat.0) {
                    taken[seat][basket.taken(key) as usize] += part;
                }
            }
            found.extend(cuts::separate(key, self.market.there[key] as usize, &taken));
        }
        let any = !found.is_empty();
        for (_, cut) in found {
            let entries = self.baskets.iter().enumerate();
            let entries =
                entries.map(|(column, (b, basket))| (column, self.market.used(&cut, *b, basket)));
            self.program
                .limit(1.0, entries.filter(|(_, used)| *used > 0.0));
            self.market.cuts.push(cut);
        }
        self.program.settle();
        any
    }

    /// Settles one basket after the other, the surest first; what each order gets, by index into the group, or `None`
    /// when fills are lost on the way.
    pub fn dive(&mut self) -> Option<Vec<(usize, &Basket)>> {
        while self.fixed.iter().any(Option::is_none) {
            self.program.solve(PIVOTS_MAX);
            let parts = self.program.parts();
            let open = |&(column, _): &(usize, f64)| {
                let (buyer, basket) = &self.baskets[column];
                self.fixed[*buyer].is_none() && self.fits(basket)
            };
            let mut sure: Vec<usize> = Vec::new();
            let mut surest: Option<(f64, usize)> = None;
            for &(column, part) in parts.iter().filter(|part| open(part)) {
                if part > SURE {
                    sure.push(column);
                } else if surest.is_none_or(|(most, _)| part > most + 1e-9) {
                    surest = Some((part, column));
                }
            }
            sure.extend(surest.map(|(_, column)| column));
            if sure.is_empty() {
                return None;
            }
            for column in sure {
                self.fix(column);
            }
            if !self.converge(DIVE_ROUNDS_MAX) {
                return None;
            }
        }
        let columns = self.fixed.iter().flatten();
        let baskets = columns.map(|&column| {
            let (buyer, basket) = &self.baskets[column];
            (self.market.buyers[*buyer].at, basket)
        });
        Some(baskets.collect())
    }

    fn fits(&self, basket: &Basket) -> bool {
        let scarce = &basket.scarce;
        scarce.iter().all(|&(key, units)| units <= self.room[key])
    }

    /// Fixes a basket, and rules out what then no longer fits.
    fn fix(&mut self, column: usize) {
        let (buyer, basket) = &self.baskets[column];
        if self.fixed[*buyer].is_some() || !self.fits(basket) {
            return;
        }
        self.fixed[*buyer] = Some(column);
        for &(key, units) in &basket.scarce {
            self.room[key] -= units;
        }
        for (other, (buyer, basket)) in self.baskets.iter().enumerate() {
            let stays = match self.fixed[*buyer] {
                Some(fixed) => fixed == other,
                None => self.fits(basket),
            };
            self.program.ban(other, !stays);
        }
        for buyer in &mut self.market.buyers {
            buyer.shrink(&self.room);
        }
    }
}
