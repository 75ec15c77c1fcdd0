//! An independent judge of plans: recomputes the invariants from input and plan, and shares no code with any engine.

mod kits;
mod policy;
mod units;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::day::Day;
use crate::input::{Bom, Input, Order};
use crate::plan::Plan;
use crate::value;

/// A broken invariant of section 9.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Its id: `I1` to `I15`, or `form`.
    pub invariant: &'static str,
    /// What is wrong, with the records.
    pub text: String,
}

/// A lot or inbound, as the judge sees it.
struct Unit<'a> {
    sku: &'a str,
    loc: &'a str,
    date: Day,
    expiry: Option<Day>,
    received: Option<Day>,
    free: i128,
    usable: bool,
}

struct Judge<'a> {
    input: &'a Input,
    plan: &'a Plan,
    orders: HashMap<&'a str, &'a Order>,
    nodes: BTreeMap<&'a str, Unit<'a>>,
    boms: HashMap<&'a str, &'a Bom>,
    found: Vec<Violation>,
}

/// Every invariant that `plan` breaks; empty for a plan that may be stored.
pub fn check(input: &Input, plan: &Plan) -> Vec<Violation> {
    let mut judge = Judge::new(input, plan);
    judge.form();
    if judge.found.is_empty() {
        judge.conservation();
        judge.lines();
        judge.hard_claims();
        judge.soft_moves();
        judge.kits();
        judge.policies();
        judge.life_and_rotation();
        judge.values();
    }
    judge.found
}

impl<'a> Judge<'a> {
    fn new(input: &'a Input, plan: &'a Plan) -> Self {
        let last = input.now.number() + input.config.horizon_days as i32;
        let lots = input.lots.iter().map(|lot| {
            let free = (i128::from(lot.qty) - i128::from(lot.external)).max(0);
            let unit = Unit {
                sku: &lot.sku,
                loc: &lot.loc,
                date: input.now,
                expiry: lot.expiry,
                received: lot.received,
                free,
                usable: true,
            };
            (lot.id.as_str(), unit)
        });
        let inbound = input.inbound.iter().map(|inbound| {
            let unit = Unit {
                sku: &inbound.sku,
                loc: &inbound.loc,
                date: inbound.eta.max(input.now),
                expiry: inbound.expiry,
                received: Some(inbound.eta.max(input.now)),
                free: i128::from(inbound.qty),
                usable: inbound.confirmed && inbound.eta.number() <= last,
            };
            (inbound.id.as_str(), unit)
        });
        Self {
            input,
            plan,
            orders: input
                .orders
                .iter()
                .map(|order| (order.id.as_str(), order))
                .collect(),
            nodes: lots.chain(inbound).collect(),
            boms: input
                .boms
                .iter()
                .filter(|bom| bom.auto)
                .map(|bom| (bom.parent.as_str(), bom))
                .collect(),
            found: Vec::new(),
        }
    }

    fn say(&mut self, invariant: &'static str, text: String) {
        self.found.push(Violation { invariant, text });
    }

    /// Names that exist, quantities above zero, nothing twice.
    fn form(&mut self) {
        let mut wrong = Vec::new();
        if self.plan.schema != Plan::SCHEMA {
            wrong.push(format!("schema is `{}`", self.plan.schema));
        }
        for shipment in &self.plan.shipments {
            let name = format!("shipment of {} from {}", shipment.order, shipment.loc);
            let Some(order) = self.orders.get(shipment.order.as_str()) else {
                wrong.push(format!("{name}: no such order"));
                continue;
            };
            if !self
                .input
                .locations
                .iter()
                .any(|loc| loc.id == shipment.loc)
            {
                wrong.push(format!("{name}: no such location"));
            }
            if shipment.lines.is_empty() {
                wrong.push(format!("{name} is empty"));
            }
            for (i, line) in shipment.lines.iter().enumerate() {
                let known = order.lines.iter().any(|known| known.id == line.line);
                let twice = shipment.lines[..i]
                    .iter()
                    .any(|other| other.line == line.line);
                if !known || twice || line.qty <= 0 {
                    wrong.push(format!("{name}: line `{}` with {}", line.line, line.qty));
                }
            }
            for take in &shipment.takes {
                let here = self.nodes.get(take.node.as_str());
                if here.is_none_or(|node| node.loc != shipment.loc) || take.qty <= 0 {
                    wrong.push(format!("{name}: takes {} of `{}`", take.qty, take.node));
                }
            }
        }
        for claim in &self.plan.claims {
            if !self.nodes.contains_key(claim.node.as_str()) || claim.qty <= 0 {
                wrong.push(format!("claim `{}` on `{}`", claim.id, claim.node));
            }
        }
        for text in wrong {
            self.say("form", text);
        }
    }

    fn values(&mut self) {
        let values = value::value(self.input, self.plan);
        if values.efficiency != self.plan.efficiency {
            let text = format!(
                "efficiency is {:?}, the plan says {:?}",
                values.efficiency, self.plan.efficiency
            );
            self.say("I9", text);
        }
        if values.service != self.plan.service {
            self.say("I9", "service is not what the shipments give".to_owned());
        }
    }
}
