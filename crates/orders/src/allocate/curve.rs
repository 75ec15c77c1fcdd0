//! Lending among plain items that are the same everywhere: cumulative supply against cumulative promises.

use std::collections::BTreeMap;

use super::{Grant, holds, last_day};
use crate::input::Complete;
use crate::model::Ask;
use crate::world::{NEVER, World};

/// What is still spare of each SKU up to each candidate day.
pub(super) struct Curves<'a> {
    world: &'a World<'a>,
    /// By SKU: supply minus promises, for each candidate day.
    spare: BTreeMap<usize, Vec<i64>>,
}

impl<'a> Curves<'a> {
    /// Curves for `group`; `None` when a location, a life, a kit, a limit or a hard claim makes units unlike.
    pub fn new(world: &'a World<'a>, group: &[usize]) -> Option<Self> {
        let mut spare = BTreeMap::new();
        for &order in group {
            let info = &world.orders[order];
            if info.shipments_left.is_some()
                || info.shelf > 0
                || info.from.iter().any(|from| !from)
                || world.claims.hard_of.contains_key(&order)
            {
                return None;
            }
            for line in &info.lines {
                let expires = world.sku_nodes[line.sku]
                    .iter()
                    .any(|&node| world.nodes[node].expiry != NEVER);
                if world.bills.of[line.sku].is_some() || expires {
                    return None;
                }
                spare
                    .entry(line.sku)
                    .or_insert_with(|| supply(world, line.sku));
            }
        }
        Some(Self { world, spare })
    }

    /// Gives `order` its best service and books it.
    pub fn grant(&mut self, order: usize) -> Grant {
        let info = &self.world.orders[order];
        let lines = info.lines.len();
        let mut grant = Grant::default();
        match info.complete {
            Complete::Order => {
                let mut wanted: BTreeMap<usize, i64> = BTreeMap::new();
                for line in &info.lines {
                    *wanted.entry(line.sku).or_default() += line.qty;
                }
                let days = self.days(info.start);
                let day = days
                    .into_iter()
                    .find(|&day| wanted.iter().all(|(&sku, &qty)| self.most(sku, day) >= qty));
                let quantities: Vec<i64> = info.lines.iter().map(|line| line.qty).collect();
                match day {
                    Some(day) => {
                        self.book_all(order, day, &quantities);
                        grant.asks.push(self.ask(order, day, &quantities));
                    }
                    None => self.hold(order, &quantities, &mut grant),
                }
            }
            Complete::Line => {
                let mut undated = vec![0; lines];
                let mut by_day: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
                for (line, wanted) in info.lines.iter().enumerate() {
                    let days = self.days(info.start);
                    match days
                        .into_iter()
                        .find(|&day| self.most(wanted.sku, day) >= wanted.qty)
                    {
                        Some(day) => {
                            self.book(wanted.sku, day, wanted.qty);
                            by_day.entry(day).or_insert_with(|| vec![0; lines])[line] = wanted.qty;
                        }
                        None => undated[line] = wanted.qty,
                    }
                }
                for (day, quantities) in by_day {
                    grant.asks.push(self.ask(order, day, &quantities));
                }
                self.hold(order, &undated, &mut grant);
            }
            Complete::None => {
                let mut left: Vec<i64> = info.lines.iter().map(|line| line.qty).collect();
                for day in self.days(info.start) {
                    let given = self.part(order, day, &left);
                    for (left, given) in left.iter_mut().zip(&given) {
                        *left -= given;
                    }
                    if given.iter().any(|&qty| qty > 0) {
                        grant.asks.push(self.ask(order, day, &given));
                    }
                }
            }
        }
        grant
    }

    fn hold(&mut self, order: usize, open: &[i64], grant: &mut Grant) {
        if !holds(self.world) {
            return;
        }
        let last = self.world.dates.len() - 1;
        let given = self.part(order, last, open);
        if given.iter().any(|&qty| qty > 0) {
            let mut ask = self.ask(order, last, &given);
            ask.date = last_day(self.world);
            ask.held = true;
            grant.held = Some(ask);
        }
    }

    /// Books as much as is spare on `day` of each line, in the order of the lines.
    fn part(&mut self, order: usize, day: usize, open: &[i64]) -> Vec<i64> {
        let mut given = Vec::with_capacity(open.len());
        for (line, &open) in open.iter().enumerate() {
            let sku = self.world.orders[order].lines[line].sku;
            let qty = if open > 0 {
                open.min(self.most(sku, day))
            } else {
                0
            };
            self.book(sku, day, qty);
            given.push(qty);
        }
        given
    }

    fn book_all(&mut self, order: usize, day: usize, quantities: &[i64]) {
        for (line, &qty) in quantities.iter().enumerate() {
            self.book(self.world.orders[order].lines[line].sku, day, qty);
        }
    }

    fn book(&mut self, sku: usize, day: usize, qty: i64) {
        if let Some(spare) = self.spare.get_mut(&sku) {
            for spare in &mut spare[day..] {
                *spare -= qty;
            }
        }
    }

    /// Units that may be promised for `day` without failing anyone later.
    fn most(&self, sku: usize, day: usize) -> i64 {
        let spare = self.spare.get(&sku).map_or(&[][..], |spare| &spare[day..]);
        spare.iter().copied().min().unwrap_or(0).max(0)
    }

    fn days(&self, start: i32) -> Vec<usize> {
        let dates = self.world.dates.iter().enumerate();
        dates
            .filter(|(_, date)| **date >= start)
            .map(|(day, _)| day)
            .collect()
    }

    fn ask(&self, order: usize, day: usize, quantities: &[i64]) -> Ask {
        let lines = quantities.iter().map(|&qty| (qty, qty)).collect();
        Ask {
            order,
            date: self.world.dates[day],
            lines,
            held: false,
        }
    }
}

fn supply(world: &World<'_>, sku: usize) -> Vec<i64> {
    let nodes = || world.sku_nodes[sku].iter().map(|&node| &world.nodes[node]);
    let up_to = |date: i32| {
        nodes()
            .filter(|node| node.date <= date)
            .map(|node| node.free)
            .sum()
    };
    world.dates.iter().map(|&date| up_to(date)).collect()
}
