//! The supply side of the program: which units may serve which slot, and whose they are.

use std::collections::{BTreeMap, HashMap};

use super::Model;
use crate::engine::program::{Expr, Program, tidy};
use crate::world::World;

/// The most that one order could get of a SKU in one slot, were it alone.
pub(super) struct Reach<'w> {
    world: &'w World<'w>,
    free: &'w [i64],
    order: usize,
    loc: usize,
    date: i32,
    known: HashMap<usize, i64>,
}

impl<'w> Reach<'w> {
    pub fn new(world: &'w World<'w>, free: &'w [i64], order: usize, loc: usize, date: i32) -> Self {
        Self {
            world,
            free,
            order,
            loc,
            date,
            known: HashMap::new(),
        }
    }

    /// Finished units and whole kits.
    pub fn most(&mut self, sku: usize) -> i64 {
        if let Some(&most) = self.known.get(&sku) {
            return most;
        }
        let shelf = self.world.orders[self.order].shelf;
        let mut most: i64 = 0;
        for &node in self.world.at(sku, self.loc) {
            if self.world.serves(node, self.date, shelf) {
                most = most.saturating_add(self.free[node]);
            }
        }
        for hard in own_claims(self.world, self.order) {
            let node = &self.world.nodes[hard.node];
            if node.sku == sku
                && node.loc == self.loc
                && self.world.serves(hard.node, self.date, shelf)
            {
                most = most.saturating_add(hard.qty);
            }
        }
        if let Some(bill) = &self.world.bills.of[sku] {
            most = most.saturating_add(self.runs(sku).saturating_mul(bill.yields));
        }
        self.known.insert(sku, most);
        most
    }

    /// Runs of the bill of `sku` that components allow.
    pub fn runs(&mut self, sku: usize) -> i64 {
        let world = self.world;
        let Some(bill) = &world.bills.of[sku] else {
            return 0;
        };
        bill.lines
            .iter()
            .map(|&(component, qty)| self.most(component) / qty)
            .min()
            .unwrap_or(0)
    }
}

/// The surviving hard claims of an order.
pub(crate) fn own_claims<'w>(
    world: &'w World<'_>,
    order: usize,
) -> impl Iterator<Item = &'w crate::claims::Hard> {
    let indices = world
        .claims
        .hard_of
        .get(&order)
        .map_or(&[][..], |list| list.as_slice());
    indices.iter().map(|&i| &world.claims.hard[i])
}

/// One use of a SKU at a location: by which slot, how much from the common stock.
struct Demand {
    date: i32,
    shelf: i32,
    terms: Expr,
}

impl Model<'_> {
    /// Units of an order's own hard claims serve that order only, and cover its demand whether they ship or not.
    pub(super) fn private(&mut self, program: &mut Program) {
        let world = self.world;
        let mut by_node: BTreeMap<(usize, usize), Expr> = BTreeMap::new();
        for slot in &mut self.slots {
            let shelf = world.orders[slot.order].shelf;
            for sku in &mut slot.skus {
                let mut mine: BTreeMap<usize, i64> = BTreeMap::new();
                for hard in own_claims(world, slot.order) {
                    let node = &world.nodes[hard.node];
                    let here = node.sku == sku.sku && node.loc == slot.loc;
                    if here && world.serves(hard.node, slot.date, shelf) {
                        *mine.entry(hard.node).or_default() += hard.qty;
                    }
                }
                for (node, qty) in mine {
                    let var = program.var(0, qty, 0);
                    sku.private.push((node, var));
                    by_node
                        .entry((slot.order, node))
                        .or_default()
                        .push((var, 1));
                }
                if !sku.private.is_empty() {
                    let mut terms = sku.take.clone();
                    terms.extend(sku.private.iter().map(|&(_, var)| (var, -1)));
                    program.row(terms, Some(0), None);
                }
            }
        }
        for (&(order, node), terms) in &by_node {
            let held: i64 = own_claims(world, order)
                .filter(|hard| hard.node == node)
                .map(|h| h.qty)
                .sum();
            program.row(terms.clone(), None, Some(held));
        }
        self.covered(program, &by_node);
    }

    /// Claimed units that do not ship cover their line all the same.
    fn covered(&self, program: &mut Program, by_node: &BTreeMap<(usize, usize), Expr>) {
        let world = self.world;
        let mut orders: Vec<usize> = self.asks.iter().map(|ask| ask.order).collect();
        orders.dedup();
        for order in orders {
            let count = world.orders[order].lines.len();
            let mut held: Vec<(i64, Vec<usize>)> = vec![(0, Vec::new()); count];
            for hard in own_claims(world, order) {
                if let Some(line) = hard.line {
                    held[line].0 += hard.qty;
                    if !held[line].1.contains(&hard.node) {
                        held[line].1.push(hard.node);
                    }
                }
            }
            for (line, (qty, nodes)) in held.into_iter().enumerate() {
                if qty == 0 {
                    continue;
                }
                let mut terms = Expr::new();
                for (index, ask) in self.asks.iter().enumerate() {
                    if ask.order == order {
                        terms.extend(super::line_terms(&self.slots, index, line));
                    }
                }
                for node in nodes {
                    if let Some(private) = by_node.get(&(order, node)) {
                        terms.extend(private.iter().map(|&(var, _)| (var, -1)));
                    }
                }
                let open = (world.orders[order].lines[line].qty - qty).max(0);
                program.row(terms, None, Some(open));
            }
        }
    }

    /// What all slots take of a SKU at a location fits what is there for them.
    pub(super) fn supply(&mut self, program: &mut Program, free: &[i64], by_date: bool) {
        let mut demands: BTreeMap<(usize, usize), Vec<Demand>> = BTreeMap::new();
        for slot in &self.slots {
            for sku in &slot.skus {
                let mut terms = sku.take.clone();
                terms.extend(sku.private.iter().map(|&(_, var)| (var, -1)));
                let shelf = self.world.orders[slot.order].shelf;
                let demand = Demand {
                    date: slot.date,
                    shelf,
                    terms: tidy(terms),
                };
                demands.entry((sku.sku, slot.loc)).or_default().push(demand);
            }
        }
        for ((sku, loc), demands) in demands {
            self.place(program, free, sku, loc, &demands, by_date);
        }
    }

    fn place(
        &mut self,
        program: &mut Program,
        free: &[i64],
        sku: usize,
        loc: usize,
        demands: &[Demand],
        by_date: bool,
    ) {
        let world = self.world;
        let nodes: Vec<usize> = world
            .at(sku, loc)
            .iter()
            .copied()
            .filter(|&node| free[node] > 0)
            .collect();
        // Slots that may use the same nodes are one class.
        let mut classes: BTreeMap<Vec<usize>, Expr> = BTreeMap::new();
        for demand in demands {
            let mut set = nodes.clone();
            set.retain(|&node| world.serves(node, demand.date, demand.shelf));
            classes
                .entry(set)
                .or_default()
                .extend(demand.terms.iter().copied());
        }
        let dates = |set: &[usize]| {
            let mut dates: Vec<i32> = set.iter().map(|&node| world.nodes[node].date).collect();
            dates.sort_unstable();
            dates.dedup();
            dates.len()
        };
        let mut sets: Vec<&Vec<usize>> = classes.keys().collect();
        sets.sort_by_key(|set| set.len());
        let chain = sets
            .windows(2)
            .all(|pair| pair[0].iter().all(|node| pair[1].contains(node)));
        let split_dates = by_date && sets.last().is_some_and(|set| dates(set) > 1);
        if chain && !split_dates {
            let mut terms = Expr::new();
            for set in sets {
                terms.extend(classes[set].iter().copied());
                let units = set.iter().map(|&node| free[node]).sum();
                program.row(terms.clone(), None, Some(units));
            }
        } else {
            self.transport(program, free, classes);
        }
        if by_date && !split_dates {
            // All units of the place are there on one day: its takes stand for themselves.
            let day = nodes
                .first()
                .map_or(0, |&node| i64::from(world.nodes[node].date - world.now));
            if day > 0 {
                let terms: Expr = demands
                    .iter()
                    .flat_map(|d| d.terms.iter().copied())
                    .collect();
                let (_, most) = program.range(&terms);
                let units: i64 = nodes.iter().map(|&node| free[node]).sum();
                let sum = program.var(0, most.min(units), 0);
                let mut row = terms;
                row.push((sum, -1));
                program.row(row, Some(0), Some(0));
                self.dated.push((day, sum));
            }
        }
    }

    /// Says which units serve which class, where admissible sets are not nested.
    fn transport(
        &mut self,
        program: &mut Program,
        free: &[i64],
        classes: BTreeMap<Vec<usize>, Expr>,
    ) {
        let world = self.world;
        // Nodes that serve the same classes on the same day are one group.
        let mut groups: BTreeMap<(Vec<usize>, i32), i64> = BTreeMap::new();
        let mut nodes: Vec<usize> = classes.keys().flatten().copied().collect();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            let serves: Vec<usize> = classes
                .keys()
                .enumerate()
                .filter(|(_, set)| set.contains(&node))
                .map(|(class, _)| class)
                .collect();
            *groups.entry((serves, world.nodes[node].date)).or_default() += free[node];
        }
        let mut covers: Vec<Expr> = classes.into_values().collect();
        for ((serves, date), units) in groups {
            let mut given = Expr::new();
            for class in serves {
                let most = program.range(&covers[class]).1.clamp(0, units);
                let var = program.var(0, most, 0);
                covers[class].push((var, -1));
                given.push((var, 1));
                if date > world.now {
                    self.dated.push((i64::from(date - world.now), var));
                }
            }
            program.row(given, None, Some(units));
        }
        for terms in covers {
            program.row(terms, Some(0), Some(0));
        }
    }
}
