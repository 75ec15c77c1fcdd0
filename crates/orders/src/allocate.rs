//! Who may count on which units, and from which day: orders in sequence, nobody ahead loses.

mod curve;
mod lend;
mod plain;
mod search;

use std::collections::BTreeMap;

use crate::day::Day;
use crate::input::{Complete, HoldNoDate};
use crate::model::{Ask, Use};
use crate::outcome::{Decision, Given, line_id};
use crate::plan::{ByDateService, DayMap, LinesService, Op, OrderService, Promise, Service};
use crate::stock::{Stock, Take};
use crate::world::World;

/// What an order was given: units of each line on a day, or held without one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grant {
    /// Shipping days, ascending.
    pub asks: Vec<Ask>,
    /// Units held without a date; dated at the last candidate day.
    pub held: Option<Ask>,
    /// Which nodes, once that is settled.
    pub uses: Vec<(Use, Vec<Take>)>,
    pub unproven: bool,
}

impl Grant {
    /// Units of `line` up to day `date`, held ones not counted.
    fn by(&self, line: usize, date: i32) -> i64 {
        let asks = self.asks.iter().filter(|ask| ask.date <= date);
        asks.map(|ask| ask.lines[line].1).sum()
    }

    fn date_of(&self, line: usize, qty: i64) -> Option<i32> {
        let mut sum = 0;
        for ask in &self.asks {
            sum += ask.lines[line].1;
            if sum >= qty {
                return Some(ask.date);
            }
        }
        None
    }

    fn held_of(&self, line: usize) -> i64 {
        self.held.as_ref().map_or(0, |ask| ask.lines[line].1)
    }
}

/// Plans all orders over all days.
pub(crate) fn allocate(world: &World<'_>, op: Op) -> Decision {
    let (grants, engine, exact) = if world.input.config.lend {
        lend::grants(world)
    } else {
        pinned(world)
    };
    let mut decision = Decision {
        op,
        given: Vec::new(),
        baseline: None,
        service: BTreeMap::new(),
        promises: Vec::new(),
        engine,
        exact,
    };
    for (order, grant) in grants.into_iter().enumerate() {
        report(world, order, &grant, &mut decision);
        let shipping = released(world, order, &grant);
        for (used, takes) in grant.uses {
            let ships = !used.held && shipping.contains(&used.date);
            decision.given.push(Given { used, takes, ships });
        }
    }
    decision
}

/// Lending off: each order pins units, and those behind plan on what is left.
fn pinned(world: &World<'_>) -> (Vec<Grant>, String, bool) {
    let mut stock = unlimited(world);
    let mut grants = Vec::with_capacity(world.orders.len());
    let mut searched = false;
    let mut exact = true;
    for order in 0..world.orders.len() {
        let grant = pin(world, &mut stock, order, &mut searched);
        exact &= !grant.unproven;
        grants.push(grant);
    }
    let engine = match (searched, exact) {
        (false, _) => "pinned in sequence, exact",
        (true, true) => "pinned in sequence, branch and bound where kits or limits need it, exact",
        (true, false) => "pinned in sequence, branch and bound stopped at its node limit",
    };
    (grants, engine.to_owned(), exact)
}

/// Serves `order` from what is left in `stock`, and takes it.
pub(crate) fn pin(
    world: &World<'_>,
    stock: &mut Stock,
    order: usize,
    searched: &mut bool,
) -> Grant {
    if !plannable(world, order) {
        return Grant::default();
    }
    if let Some(mut grant) = plain::grant(world, stock, order) {
        for (used, takes) in &mut grant.uses {
            for take in takes.iter() {
                stock.free[take.node] -= take.qty;
            }
            for &(sku, qty) in &used.takes {
                *stock.taken.entry((sku, used.loc)).or_default() += qty;
            }
        }
        return grant;
    }
    *searched = true;
    search::grant(world, stock, order)
}

/// Stock without limits of a single run: a promise is not a release.
pub(crate) fn unlimited(world: &World<'_>) -> Stock {
    let mut stock = Stock::new(world);
    stock.room.fill(None);
    stock
}

pub(crate) fn plannable(world: &World<'_>, order: usize) -> bool {
    let info = &world.orders[order];
    info.refused.is_none()
        && !info.lines.is_empty()
        && info.start <= world.horizon
        && info.shipments_left != Some(0)
}

/// The last candidate day: where demand without a date is measured.
pub(crate) fn last_day(world: &World<'_>) -> i32 {
    world.dates.last().copied().unwrap_or(world.now)
}

/// Whether units without a date are held at all.
pub(crate) fn holds(world: &World<'_>) -> bool {
    world.input.config.hold_no_date == HoldNoDate::Strict
}

/// Days on which the order's least fill lets a shipment go.
fn released(world: &World<'_>, order: usize, grant: &Grant) -> Vec<i32> {
    let least = world.orders[order].units_min;
    let days = grant.asks.iter().filter(|ask| {
        let units: i64 = ask.lines.iter().map(|line| line.1).sum();
        units > 0 && units >= least
    });
    days.map(|ask| ask.date).collect()
}

fn report(world: &World<'_>, order: usize, grant: &Grant, decision: &mut Decision) {
    let info = &world.orders[order];
    let id = |line| line_id(world, order, line).to_owned();
    let promise = |line: Option<usize>, date: Option<i32>| Promise {
        order: info.id.to_owned(),
        line: line.map(id),
        date: date.map(Day::from_number),
    };
    let dates: Vec<Option<i32>> = info
        .lines
        .iter()
        .enumerate()
        .map(|(line, wanted)| grant.date_of(line, wanted.qty))
        .collect();
    let missing = |line: usize| info.lines[line].qty - grant.held_of(line);
    let service = match info.complete {
        Complete::Order => {
            let date = dates.iter().copied().collect::<Option<Vec<i32>>>();
            let date = date.and_then(|dates| dates.into_iter().max());
            decision.promises.push(promise(None, date));
            let lines = (0..info.lines.len()).map(|line| (id(line), missing(line)));
            Service::Order(OrderService {
                date: date.map(Day::from_number),
                unfilled: match date {
                    Some(_) => 0,
                    None => (0..info.lines.len()).map(missing).sum(),
                },
                unfilled_lines: date.is_none().then(|| lines.collect()),
            })
        }
        Complete::Line => {
            for (line, &date) in dates.iter().enumerate() {
                decision.promises.push(promise(Some(line), date));
            }
            let undated = (0..info.lines.len()).filter(|&line| dates[line].is_none());
            Service::Lines(LinesService {
                unfilled: undated.map(|line| (id(line), missing(line))).collect(),
                lines: dates
                    .iter()
                    .enumerate()
                    .map(|(line, date)| (id(line), date.map(Day::from_number)))
                    .collect(),
            })
        }
        Complete::None => {
            for (line, &date) in dates.iter().enumerate() {
                decision.promises.push(promise(Some(line), date));
            }
            let by_date = world.dates.iter().map(|&date| {
                let given: i64 = (0..info.lines.len()).map(|line| grant.by(line, date)).sum();
                (Day::from_number(date), info.units - given)
            });
            Service::ByDate(ByDateService {
                unfilled_by_date: DayMap(by_date.collect()),
            })
        }
    };
    decision.service.insert(info.id.to_owned(), service);
}
