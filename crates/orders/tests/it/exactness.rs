//! Plans against counting: P2 and P3.

use std::cell::Cell;

use orders::input::*;
use orders::plan::Service;
use orders::{Op, Plan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::build::plan;
use crate::oracle::Oracle;
use crate::tape::{Size, Tape, world};

/// Runs `test` on random tapes; a failure prints the shrunk tape, and the seed before the run repeats it.
pub fn on_tapes(cases: u32, test: impl Fn(&[u8]) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let tapes = prop::collection::vec(any::<u8>(), 0..160);
    runner.run(&tapes, |tape| test(&tape)).unwrap();
}

pub fn show(input: &Input) -> String {
    orders::json::write(input).unwrap()
}

/// The plan's service of one order, as the numbers that the oracle compares.
fn service(input: &Input, plan: &Plan, id: &str) -> Vec<i64> {
    let order = input.orders.iter().find(|order| order.id == id).unwrap();
    let day = |day: orders::Day| {
        candidate_days(input)
            .iter()
            .position(|d| *d == day)
            .unwrap() as i64
    };
    match &plan.service[id] {
        Service::Unfilled(lines) => {
            let short: Vec<i64> = order
                .lines
                .iter()
                .map(|line| lines[&line.id] * line.weight)
                .collect();
            let mut service = vec![short.iter().sum()];
            service.extend(short);
            service
        }
        Service::Order(found) => match found.date {
            Some(date) => vec![day(date)],
            None => {
                let lines = found.unfilled_lines.as_ref().unwrap();
                let mut service = vec![i64::MAX, found.unfilled];
                service.extend(order.lines.iter().map(|line| lines[&line.id]));
                service
            }
        },
        Service::Lines(found) => {
            let mut service: Vec<i64> = order
                .lines
                .iter()
                .map(|line| found.lines[&line.id].map_or(i64::MAX, day))
                .collect();
            let open = order
                .lines
                .iter()
                .map(|l| found.unfilled.get(&l.id).copied().unwrap_or(0));
            let open: Vec<i64> = open.collect();
            service.push(open.iter().sum());
            service.extend(open);
            service
        }
        Service::ByDate(found) => {
            // Units by line follow from the promises only in the end; compare the totals.
            found
                .unfilled_by_date
                .0
                .iter()
                .map(|(_, qty)| *qty)
                .collect()
        }
    }
}

fn candidate_days(input: &Input) -> Vec<orders::Day> {
    let mut days = vec![input.now];
    days.extend(input.inbound.iter().filter(|i| i.confirmed).map(|i| i.eta));
    days.extend(input.orders.iter().filter_map(|order| order.not_before));
    days.sort();
    days.dedup();
    days
}

/// The oracle's service of an order that ships anything, reduced to totals by day.
fn totals(order: &Order, service: &[i64], split: bool) -> Vec<i64> {
    if split || order.complete != Complete::None {
        return service.to_vec();
    }
    service
        .chunks(order.lines.len() + 1)
        .map(|day| day[0])
        .collect()
}

#[test]
fn p2_a_split_is_the_best_of_all_divisions() {
    let counted = Cell::new(0u32);
    let skipped = Cell::new(0u32);
    let size = Size {
        orders: 4,
        lines: 3,
        locs: 3,
        qty: 3,
        inbound: 0,
        claims: 2,
        one_lot: true,
    };
    on_tapes(10_000, |bytes| {
        let mut input = world(&mut Tape::new(bytes), size);
        input
            .allocations
            .retain(|claim| claim.strength == Strength::Soft);
        let plan = plan(Op::Split, &input);
        let Some((services, terms)) = Oracle::new(&input, true).best(&plan.sequence) else {
            skipped.set(skipped.get() + 1);
            return Ok(());
        };
        counted.set(counted.get() + 1);
        let mine: Vec<Vec<i64>> = plan
            .sequence
            .iter()
            .map(|id| service(&input, &plan, id))
            .collect();
        let mine = match input.config.scope {
            Scope::Sequence => mine,
            Scope::Joint => vec![vec![mine.iter().map(|s| s[0]).sum()]],
        };
        prop_assert_eq!(&mine, &services, "{}", show(&input));
        let values: Vec<i64> = input
            .config
            .efficiency
            .iter()
            .map(|term| plan.efficiency[term] as i64)
            .collect();
        prop_assert_eq!(
            &values,
            &terms,
            "{:?} {}",
            &input.config.efficiency,
            show(&input)
        );
        prop_assert!(plan.exact, "{}", show(&input));
        Ok(())
    });
    println!("counted {}, too large {}", counted.get(), skipped.get());
    assert!(counted.get() > 5_000);
}

#[test]
fn p3_an_allocation_with_lending_is_the_best_of_all_divisions_over_days() {
    let counted = Cell::new(0u32);
    let size = Size {
        orders: 3,
        lines: 2,
        locs: 2,
        qty: 3,
        inbound: 3,
        claims: 0,
        one_lot: true,
    };
    on_tapes(10_000, |bytes| {
        let mut input = world(&mut Tape::new(bytes), size);
        input.config.lend = true;
        let plan = plan(Op::Allocate, &input);
        let Some((services, _)) = Oracle::new(&input, false).best(&plan.sequence) else {
            return Ok(());
        };
        counted.set(counted.get() + 1);
        for (id, best) in plan.sequence.iter().zip(&services) {
            let order = input.orders.iter().find(|order| order.id == *id).unwrap();
            let (mine, best) = (service(&input, &plan, id), totals(order, best, false));
            prop_assert_eq!(mine, best, "{} {}", id, show(&input));
        }
        prop_assert!(plan.exact, "{}", show(&input));
        Ok(())
    });
    println!("counted {}", counted.get());
    assert!(counted.get() > 2_000);
}

#[test]
fn p3_lending_never_makes_the_service_of_the_sequence_worse() {
    let size = Size {
        orders: 5,
        lines: 3,
        locs: 3,
        qty: 6,
        inbound: 4,
        claims: 0,
        one_lot: false,
    };
    on_tapes(2_000, |bytes| {
        let mut input = world(&mut Tape::new(bytes), size);
        input.config.lend = false;
        let mut on = input.clone();
        on.config.lend = true;
        let vector = |plan: &Plan| -> Vec<Vec<i64>> {
            plan.sequence
                .iter()
                .map(|id| service(&input, plan, id))
                .collect()
        };
        let (with, without) = (plan(Op::Allocate, &on), plan(Op::Allocate, &input));
        if with.exact && without.exact {
            prop_assert!(vector(&with) <= vector(&without), "{}", show(&input));
        }
        Ok(())
    });
}
