//! Pure order decisions: who gets which units, from where, when, and why not.
//!
//! An [`Input`] is everything a decision knows; [`plan()`] answers one of the four blocks with a [`Plan`];
//! [`check()`] judges a plan against its input without trusting whoever made it. Nothing here does I/O, reads a clock
//! or draws a random number: the same input gives the same plan, byte for byte, in whatever order its lists stand.

mod allocate;
mod bills;
mod check;
mod claims;
pub mod day;
mod engine;
mod faults;
pub mod input;
pub mod json;
mod model;
mod outcome;
pub mod plan;
mod reasons;
mod release;
mod sequence;
mod split;
mod stock;
mod value;
mod world;

use std::collections::BTreeMap;

pub use bills::BILL_DEPTH_MAX;
pub use check::{Violation, check};
pub use day::Day;
pub use faults::{COST_MAX, DAYS_MAX, InputError, InputErrors, QTY_MAX, WEIGHT_MAX};
pub use input::Input;
pub use plan::{Op, Plan};
pub use sequence::{cannot_be_passed_after, class_now};
pub use value::{Value, value};

use outcome::{Decision, Given};
use plan::Service;
use world::World;

/// Plans `input`. An order that contradicts itself is refused in the plan and stops nobody else.
///
/// # Errors
///
/// Every fault that makes the input unusable as a whole, each naming its record.
pub fn plan(op: Op, input: &Input) -> Result<Plan, InputErrors> {
    let world = World::new(input)?;
    let decision = match op {
        Op::Split => decide_split(&world),
        Op::Allocate => allocate::allocate(&world, op),
        Op::Pick => release::pick(&world),
        Op::Fill => release::fill(&world),
    };
    Ok(outcome::plan(&world, decision))
}

fn decide_split(world: &World<'_>) -> Decision {
    let wave = split::split(world);
    let given = |uses: Vec<(model::Use, Vec<stock::Take>)>| -> Vec<Given> {
        uses.into_iter()
            .map(|(used, takes)| Given {
                used,
                takes,
                ships: true,
            })
            .collect()
    };
    let given_now = given(wave.uses);
    Decision {
        op: Op::Split,
        service: unfilled(world, &given_now),
        given: given_now,
        baseline: Some(given(wave.baseline)),
        promises: Vec::new(),
        engine: wave.engines.join("; "),
        exact: wave.exact,
    }
}

/// Unfilled units by order and line.
fn unfilled(world: &World<'_>, given: &[Given]) -> BTreeMap<String, Service> {
    let mut left: Vec<Vec<i64>> = world
        .orders
        .iter()
        .map(|order| order.lines.iter().map(|line| line.qty).collect())
        .collect();
    for given in given.iter().filter(|given| given.ships) {
        for (line, qty) in given.used.lines.iter().enumerate() {
            left[given.used.order][line] -= qty;
        }
    }
    let orders = left.into_iter().enumerate();
    orders
        .map(|(order, lines)| {
            // Only an order that is refused has two lines of one id, or less than nothing open.
            let mut sums: BTreeMap<String, i64> = BTreeMap::new();
            for (line, qty) in lines.into_iter().enumerate() {
                let id = outcome::line_id(world, order, line).to_owned();
                let sum = sums.entry(id).or_default();
                *sum = sum.saturating_add(qty.max(0));
            }
            (world.orders[order].id.to_owned(), Service::Unfilled(sums))
        })
        .collect()
}
