//! P4: two engines on the same waves.

use proptest::prelude::*;

use super::{Baseline, baseline, groups, joint, offers, wave};
use crate::day::Day;
use crate::input::{Config, Costs, Input, Line, Location, Lot, Order, ShipmentCost, Term};
use crate::model::Use;
use crate::stock::Stock;
use crate::world::World;

fn input(stock: &[Vec<i64>], orders: &[Vec<i64>], costs: &[Vec<(i64, i64)>]) -> Input {
    let now = Day::from_number(20_000);
    let loc = |l: usize| format!("L{l}");
    let mut input = Input {
        schema: Input::SCHEMA.to_owned(),
        now,
        config: Config {
            efficiency: vec![Term::Cost, Term::Shipments],
            ..Config::default()
        },
        locations: (0..stock.len())
            .map(|l| Location {
                id: loc(l),
                rank: 0,
                capacity: None,
            })
            .collect(),
        boms: Vec::new(),
        lots: Vec::new(),
        inbound: Vec::new(),
        orders: Vec::new(),
        allocations: Vec::new(),
        costs: Costs::default(),
        reserves: Vec::new(),
        items: Vec::new(),
    };
    for (l, row) in stock.iter().enumerate() {
        for (s, &qty) in row.iter().enumerate() {
            input.lots.push(Lot {
                id: format!("{l}-{s}"),
                sku: format!("S{s}"),
                loc: loc(l),
                qty,
                external: 0,
                batch: None,
                expiry: None,
                received: None,
            });
        }
    }
    for (o, row) in orders.iter().enumerate() {
        let wanted = row.iter().enumerate().filter(|(_, qty)| **qty > 0);
        let lines: Vec<Line> = wanted
            .map(|(s, &qty)| Line {
                id: s.to_string(),
                sku: format!("S{s}"),
                qty,
                weight: 1,
            })
            .collect();
        let text = serde_json::json!({ "id": format!("o{o}"), "entered": now, "lines": [] });
        let mut order: Order = serde_json::from_value(text).unwrap();
        order.lines = lines;
        input.orders.push(order);
        for (l, &(fixed, per_unit)) in costs[o].iter().enumerate() {
            let order = format!("o{o}");
            let cost = ShipmentCost {
                order,
                loc: loc(l),
                fixed,
                per_unit,
                distance: 0,
            };
            input.costs.shipment.push(cost);
        }
    }
    input
}

fn cost(world: &World<'_>, uses: &[Use]) -> i64 {
    let of = |used: &Use| {
        let (fixed, per_unit, _) = world.cost(used.order, used.loc);
        fixed + per_unit * used.lines.iter().sum::<i64>()
    };
    uses.iter().map(of).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]
    #[test]
    fn prices_bound_the_best_cost_and_local_search_lies_between_it_and_the_baseline(
        stock in prop::collection::vec(prop::collection::vec(1i64..7, 3), 3),
        orders in prop::collection::vec(prop::collection::vec(0i64..4, 3), 2..5),
        costs in prop::collection::vec(prop::collection::vec((0i64..40, 0i64..6), 3), 5),
    ) {
        let input = input(&stock, &orders, &costs);
        let world = World::new(&input).unwrap();
        let scale = offers::scale(&world).unwrap();
        let all = Stock::new(&world);
        for group in groups(&world) {
            let base: Baseline = baseline(&world, all.clone(), Some(&scale), &group);
            let exact = joint::improve(&world, &all, Some(&scale), &group, &base);
            let found = wave::improve(&world, &all, &scale, &group, &base);
            prop_assert!(exact.exact);
            let least = cost(&world, &exact.uses);
            let mine = cost(&world, &found.uses);
            let base = base.uses.iter().map(|(used, _)| used.clone()).collect::<Vec<_>>();
            prop_assert!(least <= mine, "{least} {mine}");
            prop_assert!(mine <= cost(&world, &base));
            if found.exact {
                prop_assert_eq!(least, mine);
            }
            if let Some(rest) = found.engine.split("within ").nth(1) {
                let gap: f64 = rest.split(' ').next().unwrap().parse().unwrap();
                prop_assert!(mine as f64 <= least as f64 * (1.0 + gap / 100.0) + 1e-6);
            }
        }
    }
}

/// Numbers from 0 up to `below`, the same in every run.
fn numbers(seed: u64) -> impl FnMut(u64) -> i64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) % below) as i64
    }
}

#[test]
fn a_wave_of_many_orders_is_within_two_per_cent_of_its_bound() {
    for seed in [1, 2] {
        let mut number = numbers(seed);
        // One in so many is more than nothing.
        let mut grid = |rows: usize, columns: usize, one_in: u64, most: u64| {
            let mut cell = || {
                if number(one_in) == 0 {
                    1 + number(most)
                } else {
                    0
                }
            };
            let mut row = || (0..columns).map(|_| cell()).collect();
            (0..rows).map(|_| row()).collect::<Vec<Vec<i64>>>()
        };
        let (stock, orders) = (grid(8, 24, 2, 8), grid(16, 24, 6, 7));
        let (fixed, units) = (grid(16, 8, 1, 800), grid(16, 8, 1, 60));
        let pair = |(fixed, unit): (&i64, &i64)| (400 + fixed, 10 + unit);
        let costs: Vec<Vec<(i64, i64)>> = fixed
            .iter()
            .zip(&units)
            .map(|(fixed, units)| fixed.iter().zip(units).map(pair).collect())
            .collect();
        let input = input(&stock, &orders, &costs);
        let plan = crate::plan(crate::plan::Op::Split, &input).unwrap();
        assert_eq!(crate::check(&input, &plan), []);
        assert!(plan.efficiency[&Term::Cost] < plan.baseline[&Term::Cost]);
        let gap = plan.engine.split("within ").nth(1);
        let gap = gap.map_or(0.0, |rest| {
            rest.split(' ').next().unwrap().parse::<f64>().unwrap()
        });
        assert!(plan.exact || gap > 0.0, "seed {seed}: {}", plan.engine);
        assert!(gap <= 2.0, "seed {seed}: {}", plan.engine);
    }
}
