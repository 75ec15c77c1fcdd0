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
            // The form has totals alone; lines decide between equal ones, and the shipments tell them.
            let mut service = Vec::new();
            for &(day, total) in &found.unfilled_by_date.0 {
                let lines: Vec<i64> = order
                    .lines
                    .iter()
                    .map(|line| line.qty - shipped_by(plan, id, &line.id, day))
                    .collect();
                // A plan that is not exact says so, and is compared with nothing.
                if plan.exact {
                    assert_eq!(total, lines.iter().sum::<i64>(), "{id} {}", show(input));
                }
                service.push(total);
                service.extend(lines);
            }
            service
        }
    }
}

fn shipped_by(plan: &Plan, order: &str, line: &str, day: orders::Day) -> i64 {
    let shipments = plan.shipments.iter();
    shipments
        .filter(|shipment| shipment.order == order && shipment.date <= day)
        .flat_map(|shipment| &shipment.lines)
        .filter(|given| given.line == line)
        .map(|given| given.qty)
        .sum()
}

/// The plan of `input` with every shipment shown: a least fill keeps shipments back, and changes no service.
fn unheld(op: Op, input: &Input) -> Plan {
    let planned = plan(op, input);
    if input.orders.iter().all(|order| order.min_fill_pct == 0) {
        return planned;
    }
    let mut open = input.clone();
    open.orders.iter_mut().for_each(|o| o.min_fill_pct = 0);
    let open = plan(op, &open);
    assert_eq!(planned.service, open.service, "{}", show(input));
    Plan {
        shipments: open.shipments,
        ..planned
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
        let plan = unheld(Op::Allocate, &input);
        let Some((services, _)) = Oracle::new(&input, false).best(&plan.sequence) else {
            return Ok(());
        };
        counted.set(counted.get() + 1);
        for (id, best) in plan.sequence.iter().zip(&services) {
            let mine = service(&input, &plan, id);
            prop_assert_eq!(&mine, best, "{} {}", id, show(&input));
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
        let ((with, with_exact), (without, without_exact)) = both(&input);
        if with_exact && without_exact {
            prop_assert!(with <= without, "{}", show(&input));
        }
        Ok(())
    });
}

/// The service vector of the sequence and whether it is exact, with lending on and with it off.
type Served = (Vec<Vec<i64>>, bool);

fn both(input: &Input) -> (Served, Served) {
    let served = |lend| {
        let mut input = input.clone();
        input.config.lend = lend;
        let plan = unheld(Op::Allocate, &input);
        let sequence = plan.sequence.iter();
        let vector = sequence.map(|id| service(&input, &plan, id)).collect();
        (vector, plan.exact)
    };
    (served(true), served(false))
}

/// By the totals of each order alone lending looks worse here, and it is not: order o2 gets all of line 1 and
/// o4, behind it, pays.
#[test]
fn lending_weighs_lines_before_orders_behind() {
    let input =
        orders::json::read_input(include_str!("worlds/lending_prefers_line_1.json")).unwrap();
    let ((with, with_exact), (without, without_exact)) = both(&input);
    assert!(with_exact && without_exact);
    let (o2, o4) = (3, 4);
    assert_eq!(with[..o2], without[..o2]);
    assert_eq!(
        (&with[o2][..], &with[o4][..]),
        (&[1, 0, 1][..], &[1, 1][..])
    );
    assert_eq!(
        (&without[o2][..], &without[o4][..]),
        (&[1, 1, 0][..], &[0, 0][..])
    );
    assert!(with < without);
}

/// Kits on two days from units that expire between them: both shipments find their nodes, so what is promised is held.
#[test]
fn units_for_two_days_are_found_together() {
    let text = include_str!("worlds/kits_on_two_days_of_units_that_expire.json");
    let input = orders::json::read_input(text).unwrap();
    let ((with, with_exact), (without, without_exact)) = both(&input);
    assert!(with_exact && without_exact);
    assert_eq!(with, without);
}
