//! Small inputs in few words.

use std::collections::BTreeMap;

use orders::input::*;
use orders::plan::{Code, Service};
use orders::{Day, Op, Plan};

pub fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

/// A day of March 2026.
pub fn march(d: i8) -> Day {
    Day::new(2026, 3, d).unwrap()
}

/// Empty input of 2 March 2026 with the given locations.
pub fn input(locs: &[&str]) -> Input {
    Input {
        schema: Input::SCHEMA.to_owned(),
        now: march(2),
        config: Config::default(),
        locations: locs
            .iter()
            .map(|id| Location {
                id: (*id).to_owned(),
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
    }
}

/// "A 5, B 3" as pairs.
pub fn pairs(text: &str) -> Vec<(String, i64)> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (sku, qty) = part.split_once(' ').unwrap();
            (sku.to_owned(), qty.parse().unwrap())
        })
        .collect()
}

pub trait Build {
    fn stock(&mut self, loc: &str, text: &str);
    fn inbound(&mut self, sku: &str, qty: i64, eta: Day);
    fn bom(&mut self, parent: &str, text: &str);
    fn order(&mut self, id: &str, text: &str) -> &mut Order;
    fn cost(&mut self, order: &str, loc: &str, fixed: i64, per_unit: i64);
    fn hold(&mut self, id: &str, order: &str, node: &str, qty: i64, strength: Strength, made: Day);
}

impl Build for Input {
    fn stock(&mut self, loc: &str, text: &str) {
        for (sku, qty) in pairs(text) {
            self.lots.push(Lot {
                id: format!("{loc}-{sku}"),
                sku,
                loc: loc.to_owned(),
                qty,
                external: 0,
                batch: None,
                expiry: None,
                received: None,
            });
        }
    }

    fn inbound(&mut self, sku: &str, qty: i64, eta: Day) {
        self.inbound.push(Inbound {
            id: format!("in-{sku}-{eta}"),
            sku: sku.to_owned(),
            loc: self.locations[0].id.clone(),
            qty,
            eta,
            confirmed: true,
            expiry: None,
        });
    }

    fn bom(&mut self, parent: &str, text: &str) {
        let lines = pairs(text)
            .into_iter()
            .map(|(sku, qty)| BomLine { sku, qty })
            .collect();
        self.boms.push(Bom {
            parent: parent.to_owned(),
            yields: 1,
            auto: true,
            lines,
        });
    }

    fn order(&mut self, id: &str, text: &str) -> &mut Order {
        let entered = Day::from_number(self.now.number() - 10 + self.orders.len() as i32);
        self.orders.push(Order {
            id: id.to_owned(),
            entered: entered.min(self.now),
            eligible: None,
            class: 5,
            ship_by: None,
            not_before: None,
            complete: Complete::None,
            max_shipments: None,
            shipments_made: 0,
            min_fill_pct: 0,
            min_shelf_days: 0,
            ship_from: None,
            lines: pairs(text)
                .into_iter()
                .enumerate()
                .map(|(i, (sku, qty))| Line {
                    id: (i + 1).to_string(),
                    sku,
                    qty,
                    weight: 1,
                })
                .collect(),
        });
        self.orders.last_mut().unwrap()
    }

    fn cost(&mut self, order: &str, loc: &str, fixed: i64, per_unit: i64) {
        self.costs.shipment.push(ShipmentCost {
            order: order.to_owned(),
            loc: loc.to_owned(),
            fixed,
            per_unit,
            distance: 0,
        });
    }

    fn hold(&mut self, id: &str, order: &str, node: &str, qty: i64, strength: Strength, made: Day) {
        self.allocations.push(Allocation {
            id: id.to_owned(),
            order: order.to_owned(),
            line: None,
            node: node.to_owned(),
            qty,
            strength,
            made,
            expires: None,
        });
    }
}

/// Plans, checks, and hands the plan on.
pub fn plan(op: Op, input: &Input) -> Plan {
    let plan = orders::plan(op, input).unwrap();
    let found = orders::check(input, &plan);
    assert!(
        found.is_empty(),
        "{found:#?}\n{}",
        orders::json::write(&plan).unwrap()
    );
    plan
}

/// "BIG L1: 1 x4 | takes L1-A 4 | makes K 2" per shipment of today and later.
pub fn shipped(plan: &Plan) -> Vec<String> {
    let shipments = plan.shipments.iter();
    shipments
        .map(|s| {
            let lines: Vec<String> = s
                .lines
                .iter()
                .map(|line| format!("{}x{}", line.line, line.qty))
                .collect();
            format!("{} {} {}", s.order, s.loc, lines.join(" "))
        })
        .collect()
}

pub fn takes(plan: &Plan, order: &str) -> BTreeMap<String, i64> {
    let mut sum = BTreeMap::new();
    for take in plan
        .shipments
        .iter()
        .filter(|s| s.order == order)
        .flat_map(|s| &s.takes)
    {
        *sum.entry(take.node.clone()).or_default() += take.qty;
    }
    sum
}

pub fn claimed(plan: &Plan, order: &str) -> i64 {
    plan.claims
        .iter()
        .filter(|claim| claim.order == order)
        .map(|claim| claim.qty)
        .sum()
}

pub fn short(plan: &Plan, order: &str) -> Vec<(String, i64, Code)> {
    let mine = plan.short.iter().filter(|short| short.order == order);
    mine.map(|short| (short.line.clone(), short.qty, short.reason))
        .collect()
}

/// The promise of a complete order.
pub fn date(plan: &Plan, order: &str) -> Option<Day> {
    match &plan.service[order] {
        Service::Order(service) => service.date,
        other => panic!("{other:?}"),
    }
}
