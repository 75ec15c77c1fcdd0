//! An order of plain items on the stock that is left: no search, units by day, then location, then rotation.

use std::collections::BTreeMap;

use super::{Grant, holds, last_day};
use crate::input::{Complete, Rotation};
use crate::model::{Ask, Use};
use crate::stock::{Stock, Take};
use crate::world::{NEVER, World};

/// Units of a line given on a day.
struct Part {
    line: usize,
    date: i32,
    held: bool,
    takes: Vec<(usize, i64)>,
}

/// The best service of `order`; `None` when it has kits, hard claims or lines that
/// compete, or needs more shipments than it may have.
pub(super) fn grant(world: &World<'_>, stock: &Stock, order: usize) -> Option<Grant> {
    let info = &world.orders[order];
    if info
        .lines
        .iter()
        .any(|line| world.bills.of[line.sku].is_some())
        || info
            .lines
            .iter()
            .any(|line| world.rotation[line.sku] == Rotation::Any)
        || world.claims.hard_of.contains_key(&order)
        || lines_compete(world, order)
    {
        return None;
    }
    let mut shelf = Shelf {
        world,
        stock,
        order,
        used: BTreeMap::new(),
    };
    let mut parts = Vec::new();
    match info.complete {
        Complete::Order => shelf.whole_order(&mut parts),
        Complete::Line => shelf.whole_lines(&mut parts),
        Complete::None => shelf.anything(&mut parts),
    }
    share_out(world, order, &mut parts);
    let grant = write(world, order, parts);
    let shipments = grant.uses.iter().filter(|(used, _)| !used.held).count() as i64;
    if info.shipments_left.is_some_and(|left| shipments > left) {
        return None;
    }
    Some(grant)
}

/// Whether lines of one SKU cannot be served one after the other: the first could take units that live too short or
/// lie too far for the second, where others would do.
fn lines_compete(world: &World<'_>, order: usize) -> bool {
    let info = &world.orders[order];
    let mut skus: Vec<usize> = info.lines.iter().map(|line| line.sku).collect();
    skus.sort_unstable();
    let expires = |sku: usize| {
        let mut nodes = world.sku_nodes[sku].iter();
        nodes.any(|&node| world.nodes[node].expiry != NEVER)
    };
    let mut twice = skus.windows(2).filter(|pair| pair[0] == pair[1]);
    info.complete != Complete::None
        && twice.any(|pair| info.shipments_left.is_some() || expires(pair[0]))
}

struct Shelf<'a> {
    world: &'a World<'a>,
    stock: &'a Stock,
    order: usize,
    /// Units that this order took already, by node.
    used: BTreeMap<usize, i64>,
}

impl Shelf<'_> {
    fn left(&self, node: usize) -> i64 {
        self.stock.free[node] - self.used.get(&node).copied().unwrap_or(0)
    }

    /// Nodes of `sku` that may ship on `date`, with units left.
    fn nodes(&self, sku: usize, date: i32) -> Vec<usize> {
        let info = &self.world.orders[self.order];
        let nodes = self.world.sku_nodes[sku].iter().copied();
        nodes
            .filter(|&node| {
                info.from[self.world.nodes[node].loc]
                    && self.world.serves(node, date, info.shelf)
                    && self.left(node) > 0
            })
            .collect()
    }

    /// Days on which something new may be there, ascending.
    fn days(&self, skus: impl Iterator<Item = usize>) -> Vec<i32> {
        let start = self.world.orders[self.order].start;
        let mut days = vec![start];
        for sku in skus {
            let nodes = self.world.sku_nodes[sku].iter();
            days.extend(
                nodes
                    .map(|&node| self.world.nodes[node].date)
                    .filter(|&day| day > start),
            );
        }
        days.sort_unstable();
        days.dedup();
        days
    }

    fn there(&self, sku: usize, date: i32) -> i64 {
        self.nodes(sku, date)
            .into_iter()
            .map(|node| self.left(node))
            .sum()
    }

    /// Takes up to `qty`: earliest units first, then where the order held units before, then by location.
    fn take(&mut self, sku: usize, date: i32, qty: i64) -> Vec<(usize, i64)> {
        let mut nodes = self.nodes(sku, date);
        let world = self.world;
        nodes.sort_by_key(|&node| {
            let info = &world.nodes[node];
            (info.date, info.loc, world.rotation_key(node))
        });
        let mut quota = self.held_before(sku);
        let mut takes: BTreeMap<usize, i64> = BTreeMap::new();
        let mut left = qty;
        let mut from = 0;
        while from < nodes.len() && left > 0 {
            let day = world.nodes[nodes[from]].date;
            let group = nodes[from..]
                .iter()
                .take_while(|&&n| world.nodes[n].date == day);
            let to = from + group.count();
            for first in [true, false] {
                for &node in &nodes[from..to] {
                    let there = self.left(node) - takes.get(&node).copied().unwrap_or(0);
                    let mut part = left.min(there);
                    if first {
                        let quota = quota.entry(world.nodes[node].loc).or_default();
                        part = part.min(*quota);
                        *quota -= part;
                    }
                    if part > 0 {
                        *takes.entry(node).or_default() += part;
                        left -= part;
                    }
                }
            }
            from = to;
        }
        for (&node, &qty) in &takes {
            *self.used.entry(node).or_default() += qty;
        }
        nodes
            .into_iter()
            .filter_map(|n| takes.get(&n).map(|&qty| (n, qty)))
            .collect()
    }

    /// Units of `sku` that the order's soft claims hold and it did not take yet, by location.
    fn held_before(&self, sku: usize) -> BTreeMap<usize, i64> {
        let mut held: BTreeMap<usize, i64> = BTreeMap::new();
        let soft = self.world.claims.soft_of.get(&self.order);
        for &soft in soft.map_or(&[][..], |list| list) {
            let claim = &self.world.claims.soft[soft];
            let node = &self.world.nodes[claim.node];
            if node.sku == sku {
                *held.entry(node.loc).or_default() += claim.qty;
            }
        }
        for (&node, &qty) in &self.used {
            let info = &self.world.nodes[node];
            if let Some(held) = held.get_mut(&info.loc).filter(|_| info.sku == sku) {
                *held = (*held - qty).max(0);
            }
        }
        held
    }

    fn whole_order(&mut self, parts: &mut Vec<Part>) {
        let info = &self.world.orders[self.order];
        let mut wanted: BTreeMap<usize, i64> = BTreeMap::new();
        for line in &info.lines {
            *wanted.entry(line.sku).or_default() += line.qty;
        }
        let days = self.days(wanted.keys().copied());
        let fits = |day: &i32| {
            wanted
                .iter()
                .all(|(&sku, &qty)| self.there(sku, *day) >= qty)
        };
        let date = days.into_iter().find(fits);
        if date.is_none() && !holds(self.world) {
            return;
        }
        for (line, wanted) in info.lines.iter().enumerate() {
            let day = date.unwrap_or(last_day(self.world));
            let takes = self.take(wanted.sku, day, wanted.qty);
            parts.push(Part {
                line,
                date: day,
                held: date.is_none(),
                takes,
            });
        }
    }

    fn whole_lines(&mut self, parts: &mut Vec<Part>) {
        let info = &self.world.orders[self.order];
        let mut undated = Vec::new();
        for (line, wanted) in info.lines.iter().enumerate() {
            let days = self.days(std::iter::once(wanted.sku));
            match days
                .into_iter()
                .find(|&day| self.there(wanted.sku, day) >= wanted.qty)
            {
                Some(date) => {
                    let takes = self.take(wanted.sku, date, wanted.qty);
                    parts.push(Part {
                        line,
                        date,
                        held: false,
                        takes,
                    });
                }
                None => undated.push(line),
            }
        }
        if holds(self.world) {
            for line in undated {
                let date = last_day(self.world);
                let takes = self.take(info.lines[line].sku, date, info.lines[line].qty);
                parts.push(Part {
                    line,
                    date,
                    held: true,
                    takes,
                });
            }
        }
    }

    fn anything(&mut self, parts: &mut Vec<Part>) {
        let info = &self.world.orders[self.order];
        let mut left: Vec<i64> = info.lines.iter().map(|line| line.qty).collect();
        for date in self.days(info.lines.iter().map(|line| line.sku)) {
            if left.iter().all(|&qty| qty == 0) {
                break;
            }
            for (line, left) in left.iter_mut().enumerate() {
                if *left > 0 {
                    let takes = self.take(info.lines[line].sku, date, *left);
                    *left -= takes.iter().map(|take| take.1).sum::<i64>();
                    parts.push(Part {
                        line,
                        date,
                        held: false,
                        takes,
                    });
                }
            }
        }
    }
}

/// Lines of one SKU: who among them has which unit follows from the units, not from how they were found.
fn share_out(world: &World<'_>, order: usize, parts: &mut [Part]) {
    let sku = |part: &Part| world.orders[order].lines[part.line].sku;
    for first in 0..parts.len() {
        let mine = sku(&parts[first]);
        let mut alike: Vec<usize> = (first..parts.len())
            .filter(|&p| sku(&parts[p]) == mine)
            .collect();
        let done = parts[..first].iter().any(|part| sku(part) == mine);
        if done || alike.len() < 2 {
            continue;
        }
        let mut pool: BTreeMap<usize, i64> = BTreeMap::new();
        for &(node, qty) in alike.iter().flat_map(|&p| &parts[p].takes) {
            *pool.entry(node).or_default() += qty;
        }
        let mut pool: Vec<(usize, i64)> = pool.into_iter().collect();
        // As the search breaks ties: day, line, location.
        alike.sort_by_key(|&p| (parts[p].held, parts[p].date, parts[p].line));
        pool.sort_by_key(|&(node, _)| (world.nodes[node].loc, world.rotation_key(node)));
        let mut dealt = deal(world, order, parts, &alike, pool.clone());
        if dealt.is_none() {
            // Earliest day and shortest life first is always possible when anything is.
            alike.sort_by_key(|&p| (parts[p].date, parts[p].held, parts[p].line));
            pool.sort_by_key(|&(node, _)| (world.nodes[node].expiry, world.rotation_key(node)));
            dealt = deal(world, order, parts, &alike, pool);
        }
        for (p, takes) in alike.into_iter().zip(dealt.unwrap_or_default()) {
            parts[p].takes = takes;
        }
    }
}

/// The units of `pool` for each of `alike`, first come, first served; `None` when somebody comes too late.
fn deal(
    world: &World<'_>,
    order: usize,
    parts: &[Part],
    alike: &[usize],
    mut pool: Vec<(usize, i64)>,
) -> Option<Vec<Vec<(usize, i64)>>> {
    let shelf = world.orders[order].shelf;
    let mut dealt = Vec::with_capacity(alike.len());
    for &p in alike {
        let mut left: i64 = parts[p].takes.iter().map(|take| take.1).sum();
        let mut takes = Vec::new();
        for (node, there) in &mut pool {
            let part = left.min(*there);
            if part > 0 && world.serves(*node, parts[p].date, shelf) {
                *there -= part;
                left -= part;
                takes.push((*node, part));
            }
        }
        if left > 0 {
            return None;
        }
        dealt.push(takes);
    }
    Some(dealt)
}

fn write(world: &World<'_>, order: usize, parts: Vec<Part>) -> Grant {
    let count = world.orders[order].lines.len();
    let mut asks: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
    let mut held: Option<Ask> = None;
    let mut uses: BTreeMap<(bool, i32, usize), (Use, Vec<Take>)> = BTreeMap::new();
    for part in parts.into_iter().filter(|part| !part.takes.is_empty()) {
        let qty: i64 = part.takes.iter().map(|take| take.1).sum();
        let lines = if part.held {
            let empty = || Ask {
                order,
                date: part.date,
                lines: vec![(0, 0); count],
                held: true,
            };
            &mut held.get_or_insert_with(empty).lines
        } else {
            asks.entry(part.date).or_insert_with(|| vec![(0, 0); count])
        };
        lines[part.line].0 += qty;
        lines[part.line].1 += qty;
        for (node, qty) in part.takes {
            let info = &world.nodes[node];
            let (used, takes) = uses
                .entry((part.held, part.date, info.loc))
                .or_insert_with(|| {
                    let used = Use {
                        order,
                        loc: info.loc,
                        date: part.date,
                        lines: vec![0; count],
                        takes: Vec::new(),
                        runs: Vec::new(),
                        held: part.held,
                    };
                    (used, Vec::new())
                });
            used.lines[part.line] += qty;
            match used.takes.iter_mut().find(|(sku, _)| *sku == info.sku) {
                Some((_, sum)) => *sum += qty,
                None => used.takes.push((info.sku, qty)),
            }
            takes.push(Take {
                node,
                qty,
                hard: None,
            });
        }
    }
    Grant {
        asks: asks
            .into_iter()
            .map(|(date, lines)| Ask {
                order,
                date,
                lines,
                held: false,
            })
            .collect(),
        held,
        uses: uses.into_values().collect(),
        unproven: false,
    }
}
