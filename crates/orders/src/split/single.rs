//! One order on the stock that is left: every set of locations where that is few, a search otherwise.

use super::offers::{Scale, available, offer};
use crate::input::{Complete, Scope, Term};
use crate::model::{Ask, Model, Shape, Use};
use crate::stock::Stock;
use crate::world::World;

/// Most locations of which every set is tried.
const PLACES_MAX: usize = 12;

/// The best service of `order`, then the best efficiency; and whether that is proven.
pub(crate) fn best(
    world: &World<'_>,
    stock: &Stock,
    scale: Option<&Scale>,
    order: usize,
) -> (Vec<Use>, bool) {
    if let Some(plain) = scale.and_then(|scale| Plain::new(world, stock, scale, order)) {
        return (plain.best(world, None), true);
    }
    search(world, stock, order)
}

/// Today's ask of an order: any part of each line.
pub(crate) fn ask(world: &World<'_>, order: usize) -> Ask {
    let lines = world.orders[order]
        .lines
        .iter()
        .map(|line| (0, line.qty))
        .collect();
    Ask {
        order,
        date: world.now,
        lines,
        held: false,
    }
}

fn search(world: &World<'_>, stock: &Stock, order: usize) -> (Vec<Use>, bool) {
    let shape = Shape {
        policies: true,
        efficiency: true,
        by_date: false,
    };
    let mut model = Model::new(world, stock, vec![ask(world, order)], shape);
    let mut x = vec![0; model.search.program.lo.len()];
    if !model.search.program.admits(&x) {
        let found = model.search.feasible(crate::model::LIMITS);
        match found.x {
            Some(point) => x = point,
            None => return (Vec::new(), false),
        }
    }
    super::joint::serve_all(&mut model, 1, &mut x);
    for &term in &world.input.config.efficiency {
        let objective = model.term(term);
        model.improve(objective, &mut x);
    }
    model.break_ties(&mut x);
    (model.uses(&x), model.proven)
}

/// An order of plain items: each line is a list of offers, and opening a location costs.
pub(crate) struct Plain {
    pub order: usize,
    /// Locations with anything to offer.
    pub places: Vec<usize>,
    /// Cost of a shipment, by index into `places`.
    pub open: Vec<i128>,
    pub lines: Vec<PlainLine>,
    pub sets_max: usize,
}

pub(crate) struct PlainLine {
    pub qty: i64,
    /// Cheapest first: (index into places, units, cost of a unit).
    pub offers: Vec<(usize, i64, i128)>,
}

/// Units by line and place.
pub(crate) type Grid = Vec<Vec<i64>>;

impl Plain {
    /// The order as plain items; `None` when it has kits, repeated SKUs, hard claims, limited locations, or too many
    /// locations or too large numbers for this way.
    pub fn new(world: &World<'_>, stock: &Stock, scale: &Scale, order: usize) -> Option<Self> {
        let info = &world.orders[order];
        if !info.plain(&world.bills) || world.claims.hard_of.contains_key(&order) {
            return None;
        }
        if info.lines.iter().any(|line| line.weight == 0) {
            return None;
        }
        let mut places: Vec<usize> = Vec::new();
        let mut units: Vec<Vec<i64>> = Vec::new();
        for loc in (0..world.places.len()).filter(|&loc| info.from[loc]) {
            let there: Vec<i64> = info
                .lines
                .iter()
                .map(|line| available(world, stock, line.sku, loc, info.shelf))
                .collect();
            if there.iter().any(|&units| units > 0) {
                if stock.room[loc].is_some() {
                    return None;
                }
                places.push(loc);
                units.push(there);
            }
        }
        let left = info
            .shipments_left
            .map_or(usize::MAX, |left| left.max(0) as usize);
        // Without sequence, lines of equal total are a choice that efficiency makes.
        let chooses = world.input.config.scope == Scope::Joint && left < places.len();
        if places.len() > PLACES_MAX || chooses {
            return None;
        }
        let mut lines = Vec::new();
        for (i, line) in info.lines.iter().enumerate() {
            let mut offers = Vec::new();
            for (p, &loc) in places.iter().enumerate() {
                offers.extend(
                    offer(
                        world,
                        stock,
                        order,
                        line.sku,
                        loc,
                        units[p][i].min(line.qty),
                        scale,
                    )?
                    .into_iter()
                    .map(|(units, cost)| (p, units, cost)),
                );
            }
            offers.sort_by_key(|&(p, _, cost)| (cost, p));
            lines.push(PlainLine {
                qty: line.qty,
                offers,
            });
        }
        let open = places
            .iter()
            .map(|&loc| {
                let (fixed, _, distance) = world.cost(order, loc);
                scale.of(|term| match term {
                    Term::Cost => fixed,
                    Term::Shipments => 1,
                    Term::Distance => distance,
                    _ => 0,
                })
            })
            .collect();
        Some(Self {
            order,
            places,
            open,
            lines,
            sets_max: left,
        })
    }

    /// The same order with other costs: everything times `times`, and `price` more for a unit of a line at a place.
    pub fn priced(&self, times: i128, price: impl Fn(usize, usize) -> i128) -> Self {
        let lines = self.lines.iter().enumerate().map(|(i, line)| {
            let offer =
                |&(p, units, cost): &(usize, i64, i128)| (p, units, cost * times + price(i, p));
            let mut offers: Vec<_> = line.offers.iter().map(offer).collect();
            offers.sort_by_key(|&(p, _, cost)| (cost, p));
            PlainLine {
                qty: line.qty,
                offers,
            }
        });
        Self {
            order: self.order,
            places: self.places.clone(),
            open: self.open.iter().map(|cost| cost * times).collect(),
            lines: lines.collect(),
            sets_max: self.sets_max,
        }
    }

    /// The best set of locations and what ships from each. `fixed` demands exactly these fills.
    pub fn best(&self, world: &World<'_>, fixed: Option<&[i64]>) -> Vec<Use> {
        match self.best_grid(world, fixed) {
            Some((_, grid)) => self.uses(world, &grid),
            None => Vec::new(),
        }
    }

    /// The cheapest grid with the best fills, and its cost.
    pub fn best_grid(&self, world: &World<'_>, fixed: Option<&[i64]>) -> Option<(i128, Grid)> {
        let fills = match fixed {
            Some(fills) => fills.to_vec(),
            None => self.fills(world),
        };
        if fills.iter().all(|&qty| qty == 0) {
            return None;
        }
        let least: Vec<i128> = self
            .lines
            .iter()
            .zip(&fills)
            .map(|(line, &fill)| walk(line, fill, u32::MAX, |_, _| {}).unwrap_or(0))
            .collect();
        let units: i128 = least.iter().sum();
        let mut best = self.shrunk(&fills);
        // What opening a set costs follows from the set without its first place.
        let mut openings = vec![0i128; 1 << self.places.len()];
        'sets: for set in 1..1u32 << self.places.len() {
            let opening =
                openings[(set & (set - 1)) as usize] + self.open[set.trailing_zeros() as usize];
            openings[set as usize] = opening;
            if set.count_ones() as usize > self.sets_max
                || best
                    .as_ref()
                    .is_some_and(|(cost, _)| opening + units > *cost)
            {
                continue;
            }
            // What is known of the lines seen, and the least that the others cost.
            let mut cost = opening + units;
            for ((line, &fill), least) in self.lines.iter().zip(&fills).zip(&least) {
                match walk(line, fill, set, |_, _| {}) {
                    Some(more) => cost += more - least,
                    None => continue 'sets,
                }
                if best.as_ref().is_some_and(|(best, _)| cost > *best) {
                    continue 'sets;
                }
            }
            let grid = self.grid(&fills, set);
            // A set with a place that ships nothing is another set.
            cost += self.opening(self.used(&grid)) - opening;
            let better = best
                .as_ref()
                .is_none_or(|(least, old)| cost < *least || (cost == *least && grid > *old));
            if better {
                best = Some((cost, grid));
            }
        }
        best
    }

    /// A good start: every place, then one place less as long as that is cheaper.
    fn shrunk(&self, fills: &[i64]) -> Option<(i128, Grid)> {
        let price = |set: u32| -> Option<i128> {
            let lines = self.lines.iter().zip(fills);
            let costs: Option<i128> = lines
                .map(|(line, &fill)| walk(line, fill, set, |_, _| {}))
                .sum();
            costs.map(|cost| cost + self.opening(set))
        };
        let mut set = (1u32 << self.places.len()) - 1;
        let mut cost = price(set)?;
        loop {
            let smaller = (0..self.places.len())
                .map(|p| set & !(1 << p))
                .filter(|&less| less != set)
                .filter_map(|less| Some((price(less)?, less)))
                .min();
            match smaller {
                Some((less, next)) if less <= cost => (cost, set) = (less, next),
                _ => break,
            }
        }
        if set.count_ones() as usize > self.sets_max {
            return None;
        }
        let grid = self.grid(fills, set);
        cost += self.opening(self.used(&grid)) - self.opening(set);
        Some((cost, grid))
    }

    fn used(&self, grid: &Grid) -> u32 {
        let ships = |p: &usize| grid.iter().any(|line| line[*p] > 0);
        (0..self.places.len())
            .filter(ships)
            .fold(0, |set, p| set | 1 << p)
    }

    fn opening(&self, set: u32) -> i128 {
        (0..self.places.len())
            .filter(|p| set >> p & 1 == 1)
            .map(|p| self.open[p])
            .sum()
    }

    fn grid(&self, fills: &[i64], set: u32) -> Grid {
        let mut grid = vec![vec![0; self.places.len()]; self.lines.len()];
        for ((line, &fill), row) in self.lines.iter().zip(fills).zip(&mut grid) {
            walk(line, fill, set, |p, qty| row[p] += qty);
        }
        grid
    }

    /// The best service the order's rules allow.
    pub fn fills(&self, world: &World<'_>) -> Vec<i64> {
        let info = &world.orders[self.order];
        let all = (1u32 << self.places.len()) - 1;
        let limited = self.sets_max < self.places.len();
        let sets: Vec<u32> = if limited {
            (0..=all)
                .filter(|set| set.count_ones() as usize == self.sets_max)
                .collect()
        } else {
            vec![all]
        };
        let mut best: Option<(i128, Vec<i128>, Vec<i64>)> = None;
        for set in sets {
            let fills = self.fills_of(world, set);
            let short: Vec<i128> = info
                .lines
                .iter()
                .zip(&fills)
                .map(|(line, fill)| i128::from(line.qty - fill) * i128::from(line.weight))
                .collect();
            let total = short.iter().sum();
            let key = (total, short, fills);
            let better = best
                .as_ref()
                .is_none_or(|(t, s, _)| (&key.0, &key.1) < (t, s));
            if better {
                best = Some(key);
            }
        }
        best.map_or_else(|| vec![0; info.lines.len()], |(_, _, fills)| fills)
    }

    fn fills_of(&self, world: &World<'_>, set: u32) -> Vec<i64> {
        let info = &world.orders[self.order];
        let mut fills: Vec<i64> = self
            .lines
            .iter()
            .map(|line| {
                let there = line.offers.iter().filter(|offer| set >> offer.0 & 1 == 1);
                line.qty.min(there.map(|offer| offer.1).sum())
            })
            .collect();
        let full = |fill: &i64, i: usize| *fill == info.lines[i].qty;
        match info.complete {
            Complete::None => {}
            Complete::Line => {
                for (i, fill) in fills.iter_mut().enumerate() {
                    if !full(fill, i) {
                        *fill = 0;
                    }
                }
            }
            Complete::Order => {
                if !fills.iter().enumerate().all(|(i, fill)| full(fill, i)) {
                    fills.fill(0);
                }
            }
        }
        if fills.iter().sum::<i64>() < info.units_min {
            fills.fill(0);
        }
        fills
    }

    pub fn uses(&self, world: &World<'_>, grid: &Grid) -> Vec<Use> {
        let info = &world.orders[self.order];
        let mut uses = Vec::new();
        for (p, &loc) in self.places.iter().enumerate() {
            let lines: Vec<i64> = grid.iter().map(|line| line[p]).collect();
            if lines.iter().all(|&qty| qty == 0) {
                continue;
            }
            let takes = info
                .lines
                .iter()
                .zip(&lines)
                .filter(|(_, qty)| **qty > 0)
                .map(|(line, &qty)| (line.sku, qty))
                .collect();
            let runs = Vec::new();
            let (order, date, held) = (self.order, world.now, false);
            uses.push(Use {
                order,
                loc,
                date,
                lines,
                takes,
                runs,
                held,
            });
        }
        uses
    }
}

/// Fills a line from its cheapest offers inside `set`; `None` when they do not suffice.
fn walk(line: &PlainLine, fill: i64, set: u32, mut give: impl FnMut(usize, i64)) -> Option<i128> {
    let mut left = fill;
    let mut cost = 0;
    for &(p, units, unit) in &line.offers {
        if left == 0 {
            break;
        }
        if set >> p & 1 == 1 {
            let qty = left.min(units);
            give(p, qty);
            cost += i128::from(qty) * unit;
            left -= qty;
        }
    }
    (left == 0).then_some(cost)
}
