//! Waves too large for one program: prices on scarce units bound the cost from below and lead to good plans, and each
//! order is planned again on what the others leave until nothing improves.

mod buyer;
mod cuts;
mod market;
mod master;
mod prices;
mod regroup;
mod repair;

use std::collections::BTreeMap;

use self::market::Market;
use self::master::Master;
use super::offers::Scale;
use super::single::Plain;
use super::{Baseline, Part};
use crate::input::{Complete, Term};
use crate::model::Use;
use crate::stock::{Stock, Take};
use crate::world::World;

/// Orders planned again in all, over every attempt.
const SOLVES_MAX: usize = 120_000;
/// Prices are whole multiples of this part of the smallest cost step.
const TIMES: i128 = 1_000;

/// Improves the baseline of a group of orders.
pub(crate) fn improve(
    world: &World<'_>,
    stock: &Stock,
    scale: &Scale,
    group: &[usize],
    baseline: &Baseline,
) -> Part {
    let mut wave = Wave::new(world, stock, scale, group, baseline);
    let bound = wave.find_prices();
    wave.search(bound);
    let (engine, exact) = wave.verdict(bound);
    let uses = wave
        .best
        .into_iter()
        .flatten()
        .map(|(used, _)| used)
        .collect();
    Part {
        uses,
        exact,
        engine,
    }
}

type Mine = Vec<(Use, Vec<Take>)>;

struct Wave<'a> {
    world: &'a World<'a>,
    scale: &'a Scale,
    group: &'a [usize],
    /// Stock without what orders hold that cannot be planned this way.
    stock: Stock,
    /// The order as plain items on all stock, and its fills; absent for orders that stay as they are.
    plains: Vec<Option<(Plain, Vec<i64>)>>,
    best: Vec<Mine>,
    best_cost: i128,
    /// Price of a unit by SKU and location, in parts of [`TIMES`].
    prices: BTreeMap<(usize, usize), i128>,
    /// Prices of every so many rounds: starts for attempts.
    seeds: Vec<BTreeMap<(usize, usize), i128>>,
    /// What the program of baskets led to.
    start: Option<Vec<Mine>>,
    /// Whether parts of the plan are small enough to be planned together.
    regroups: bool,
    /// Whether no service can be better, whoever ships from where.
    service_proven: bool,
}

impl<'a> Wave<'a> {
    fn new(
        world: &'a World<'a>,
        stock: &Stock,
        scale: &'a Scale,
        group: &'a [usize],
        baseline: &Baseline,
    ) -> Self {
        let mut best: Vec<Mine> = vec![Vec::new(); group.len()];
        for (used, takes) in &baseline.uses {
            if let Ok(at) = group.binary_search(&used.order) {
                best[at].push((used.clone(), takes.clone()));
            }
        }
        let mut rest = stock.clone();
        let mut plains = Vec::new();
        for (&order, mine) in group.iter().zip(&best) {
            let plain = Plain::new(world, stock, scale, order);
            match plain {
                Some(plain) => {
                    let lines = world.orders[order].lines.len();
                    let fills = (0..lines)
                        .map(|line| mine.iter().map(|(used, _)| used.lines[line]).sum())
                        .collect();
                    plains.push(Some((plain, fills)));
                }
                None => {
                    for (used, takes) in mine {
                        remove(&mut rest, used, takes);
                    }
                    plains.push(None);
                }
            }
        }
        let mut wave = Self {
            world,
            scale,
            group,
            stock: rest,
            plains,
            best,
            best_cost: 0,
            prices: BTreeMap::new(),
            seeds: Vec::new(),
            start: None,
            regroups: false,
            service_proven: false,
        };
        wave.service_proven = wave.nothing_better();
        wave.best_cost = wave.cost(&wave.best);
        wave
    }

    /// Whether everybody gets all, or all that is there is given and places do not matter.
    fn nothing_better(&self) -> bool {
        let all = self.group.iter().zip(&self.best).all(|(&order, mine)| {
            let given: i64 = mine.iter().flat_map(|(used, _)| &used.lines).sum();
            given == self.world.orders[order].units
        });
        let alike = self.group.iter().zip(&self.plains).all(|(&order, plain)| {
            let info = &self.world.orders[order];
            let fungible = info.closure.iter().all(|&sku| {
                let nodes = self.world.sku_nodes[sku]
                    .iter()
                    .map(|&node| &self.world.nodes[node]);
                nodes
                    .into_iter()
                    .all(|node| node.expiry == crate::world::NEVER)
            });
            plain.is_some()
                && info.shipments_left.is_none()
                && info.from.iter().all(|&from| from)
                && info.complete == Complete::None
                && info.units_min <= 1
                && fungible
        });
        all || alike && self.world.input.config.scope == crate::input::Scope::Sequence
    }

    /// Cost of a plan in one number. Reserves are counted once, over all orders.
    fn cost(&self, plan: &[Mine]) -> i128 {
        let world = self.world;
        let mut sum = 0;
        let mut taken: BTreeMap<(usize, usize), i64> = BTreeMap::new();
        for (used, _) in plan.iter().flatten() {
            let (fixed, per_unit, distance) = world.cost(used.order, used.loc);
            let units: i64 = used.lines.iter().sum();
            sum += self
                .scale
                .0
                .iter()
                .map(|&(term, weight)| {
                    let value = match term {
                        Term::Cost => i128::from(fixed) + i128::from(per_unit) * i128::from(units),
                        Term::Shipments => 1,
                        Term::Distance => i128::from(distance),
                        Term::Rank => i128::from(world.places[used.loc].rank) * i128::from(units),
                        Term::Assembled | Term::Balance | Term::Churn => 0,
                    };
                    value * weight
                })
                .sum::<i128>();
            for &(sku, qty) in &used.takes {
                *taken.entry((sku, used.loc)).or_default() += qty;
            }
        }
        for &(sku, loc, reserve) in &world.reserves {
            let nodes = world.at(sku, loc).iter().map(|&node| &world.nodes[node]);
            let there: i64 = nodes
                .filter(|node| !node.inbound)
                .map(|node| node.units)
                .sum();
            let left = there - taken.get(&(sku, loc)).copied().unwrap_or(0);
            let eaten = (reserve - left).max(0);
            sum += self
                .scale
                .of(|term| if term == Term::Balance { eaten } else { 0 });
        }
        for (at, &order) in self.group.iter().enumerate() {
            for &soft in world
                .claims
                .soft_of
                .get(&order)
                .map_or(&[][..], |list| list)
            {
                let claim = &world.claims.soft[soft];
                let takes = plan[at].iter().flat_map(|(_, takes)| takes);
                let kept: i64 = takes
                    .filter(|take| take.node == claim.node)
                    .map(|take| take.qty)
                    .sum();
                let moved = (claim.qty - kept).max(0);
                sum += self
                    .scale
                    .of(|term| if term == Term::Churn { moved } else { 0 });
            }
        }
        sum
    }

    /// Finds prices under which orders ask for no more than there is; the best lower bound of the cost, times
    /// [`TIMES`]. The bound is exact for whatever prices: they are whole numbers, and so is all that is summed.
    fn find_prices(&mut self) -> Option<i128> {
        let units = self.units(&self.stock);
        let mut market = Market::new(self.world, &self.plains, &units, self.best_cost);
        // Reserves and claims join orders in ways that prices do not see.
        let joined = !self.world.reserves.is_empty()
            || !self.world.claims.soft.is_empty()
            || self.plains.iter().any(Option::is_none);
        if joined || !Master::takes(&market) {
            let climbed = prices::climb(&mut market, self.best_cost, usize::MAX, |_, _| {});
            self.prices = market.whole(&climbed.prices);
            self.seeds = climbed.seeds;
            return (!joined).then_some(climbed.bound);
        }
        let mut master = Master::new(market, self.best_cost, master::CLIMB_ROUNDS);
        master.know(&self.plains, &self.best);
        master.raise(master::CUT_ROUNDS_MAX);
        let bound = master.bound;
        self.prices = master.market.whole(&master.prices);
        self.seeds = std::mem::take(&mut master.seeds);
        self.start = self.dive(master);
        self.regroups = true;
        Some(bound)
    }

    /// The plan that the program of baskets leads to.
    fn dive(&self, mut master: Master) -> Option<Vec<Mine>> {
        let baskets = master.dive()?;
        let mut stock = self.stock.clone();
        let mut plan = vec![Mine::new(); self.group.len()];
        for (at, basket) in baskets {
            let (plain, _) = self.plains[at].as_ref()?;
            let grid = basket.grid(plain.lines.len(), plain.places.len());
            plan[at] = take_all(self.world, &mut stock, plain.uses(self.world, &grid))?;
        }
        Some(plan)
    }

    fn units(&self, stock: &Stock) -> BTreeMap<(usize, usize), i64> {
        let mut units = BTreeMap::new();
        for (node, &free) in self.world.nodes.iter().zip(&stock.free) {
            if !node.inbound && node.usable && free > 0 {
                *units.entry((node.sku, node.loc)).or_default() += free;
            }
        }
        units
    }

    /// Attempts from different prices, then small groups of the best plan torn out and planned again.
    fn search(&mut self, bound: Option<i128>) {
        let count = self.plains.iter().flatten().count();
        if count == 0 {
            return;
        }
        let mut solves = 0;
        let best = self.best.clone();
        self.polish(best, &mut solves);
        if let Some(plan) = self.start.take() {
            self.polish(plan, &mut solves);
        }
        let mut seeds = std::mem::take(&mut self.seeds);
        seeds.push(self.prices.clone());
        let order: Vec<usize> = (0..self.group.len()).collect();
        for prices in seeds.iter().rev() {
            if solves + 4 * count > SOLVES_MAX / 4 {
                break;
            }
            if let Some(plan) = self.build(prices, &order) {
                solves += count;
                self.polish(plan, &mut solves);
            }
        }
        let most = if self.regroups {
            SOLVES_MAX / 2
        } else {
            SOLVES_MAX
        };
        repair::improve(self, most.saturating_sub(solves));
        if let Some(bound) = bound.filter(|_| self.regroups) {
            regroup::improve(self, bound);
        }
    }

    /// Plans orders in the given order at priced cost; `None` when one does not get its fills.
    fn build(&self, prices: &BTreeMap<(usize, usize), i128>, order: &[usize]) -> Option<Vec<Mine>> {
        let mut stock = self.stock.clone();
        let mut plan = self.best.clone();
        for &at in order {
            let Some((_, fills)) = &self.plains[at] else {
                continue;
            };
            let plain = Plain::new(self.world, &stock, self.scale, self.group[at])?;
            let lines = &self.world.orders[plain.order].lines;
            let price = |line: usize, p: usize| {
                prices
                    .get(&(lines[line].sku, plain.places[p]))
                    .copied()
                    .unwrap_or(0)
            };
            let priced = plain.priced(TIMES, price);
            plan[at] = match priced.best_grid(self.world, Some(fills)) {
                Some((_, grid)) => take_all(self.world, &mut stock, plain.uses(self.world, &grid))?,
                None if fills.iter().all(|&qty| qty == 0) => Vec::new(),
                None => return None,
            };
        }
        Some(plan)
    }

    /// Plans each order again on what the others leave, until a whole pass changes nothing; keeps the plan if best.
    fn polish(&mut self, mut plan: Vec<Mine>, solves: &mut usize) {
        let mut stock = self.stock.clone();
        for (at, mine) in plan.iter().enumerate() {
            if self.plains[at].is_some() {
                mine.iter()
                    .for_each(|(used, takes)| remove(&mut stock, used, takes));
            }
        }
        loop {
            let mut changed = false;
            for (at, plain) in self.plains.iter().enumerate() {
                let Some((_, fills)) = plain else { continue };
                if *solves >= SOLVES_MAX {
                    break;
                }
                *solves += 1;
                let old = std::mem::take(&mut plan[at]);
                old.iter()
                    .for_each(|(used, takes)| stock.put_back(used, takes));
                let plain = Plain::new(self.world, &stock, self.scale, self.group[at]);
                let new = plain.and_then(|plain| {
                    let (cost, grid) = plain.best_grid(self.world, Some(fills))?;
                    (cost < grid_cost(&plain, &old)).then(|| plain.uses(self.world, &grid))
                });
                plan[at] = match new.and_then(|uses| take_all(self.world, &mut stock, uses)) {
                    Some(mine) => {
                        changed = true;
                        mine
                    }
                    None => {
                        old.iter()
                            .for_each(|(used, takes)| remove(&mut stock, used, takes));
                        old
                    }
                };
            }
            if !changed || *solves >= SOLVES_MAX {
                break;
            }
        }
        let cost = self.cost(&plan);
        if cost < self.best_cost {
            self.best_cost = cost;
            self.best = plan;
        }
    }

    /// How far the first term that is not nothing may be from its best, in hundredths of a per cent.
    fn distance(&self, bound: i128) -> Option<i128> {
        let (mut bound, mut cost) = (bound, self.best_cost);
        for &(_, weight) in self.scale.0.iter().rev() {
            let (least, found) = (bound.div_euclid(weight), cost.div_euclid(weight));
            if least > 0 {
                return Some((found - least) * 10_000 / least + 1);
            }
            if least < 0 || found > 0 {
                return None;
            }
            (bound, cost) = (bound.rem_euclid(weight), cost.rem_euclid(weight));
        }
        None
    }

    /// What is known about the plan, in words.
    fn verdict(&self, bound: Option<i128>) -> (String, bool) {
        let name = if self.regroups {
            "prices, cuts and local search"
        } else {
            "prices and local search"
        };
        let Some(bound) = bound else {
            return (format!("{name}, distance from the best unknown"), false);
        };
        // Costs are whole numbers, so the bound may be rounded up.
        let bound = -((-bound).div_euclid(TIMES));
        if bound >= self.best_cost && self.service_proven {
            return (format!("{name}, proven best"), true);
        }
        let given = if self.service_proven {
            ""
        } else {
            " for the service given"
        };
        let text = match self.distance(bound) {
            None => format!("{name}, distance from the best unknown"),
            Some(hundredths) => format!(
                "{name}, within {}.{:02} % of the best first term{given}",
                hundredths / 100,
                hundredths % 100
            ),
        };
        (text, false)
    }
}

/// What `old` costs on the stock that `plain` saw.
fn grid_cost(plain: &Plain, old: &[(Use, Vec<Take>)]) -> i128 {
    let mut cost = 0;
    for (used, _) in old {
        let Some(p) = plain.places.iter().position(|&loc| loc == used.loc) else {
            return i128::MAX;
        };
        cost += plain.open[p];
        for (line, &qty) in plain.lines.iter().zip(&used.lines) {
            let mut left = qty;
            for &(_, units, unit) in line.offers.iter().filter(|offer| offer.0 == p) {
                let part = left.min(units);
                cost += i128::from(part) * unit;
                left -= part;
            }
        }
    }
    cost
}

fn take_all(world: &World<'_>, stock: &mut Stock, uses: Vec<Use>) -> Option<Mine> {
    let mut mine = Vec::new();
    for used in uses {
        match stock.take(world, &used, false) {
            Some(takes) => mine.push((used, takes)),
            None => {
                mine.iter()
                    .for_each(|(used, takes): &(Use, _)| stock.put_back(used, takes));
                return None;
            }
        }
    }
    Some(mine)
}

/// Takes exactly `takes`, which are known to be there.
fn remove(stock: &mut Stock, used: &Use, takes: &[Take]) {
    for take in takes {
        match take.hard {
            Some(hard) => stock.claimed[hard] += take.qty,
            None => stock.free[take.node] -= take.qty,
        }
    }
    for &(sku, qty) in &used.takes {
        *stock.taken.entry((sku, used.loc)).or_default() += qty;
    }
    if let Some(room) = &mut stock.room[used.loc] {
        *room -= used.lines.iter().sum::<i64>();
    }
}
