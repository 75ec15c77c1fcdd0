//! What a plan is worth, recomputed from its own words: no engine is asked.

use std::collections::{BTreeMap, HashMap};

use crate::input::{Input, Strength, Term};
use crate::plan::{Op, Plan, Service};

/// The exact value of a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Value {
    /// Unfilled units by line for split and pick; for the others what the plan promises.
    pub service: BTreeMap<String, Service>,
    /// Each configured efficiency term.
    pub efficiency: BTreeMap<Term, i128>,
}

/// Recomputes service and efficiency of `plan`.
pub fn value(input: &Input, plan: &Plan) -> Value {
    let service = match plan.op {
        Op::Split | Op::Pick => unfilled(input, plan),
        Op::Allocate | Op::Fill => plan.service.clone(),
    };
    Value {
        service,
        efficiency: efficiency(input, plan),
    }
}

fn unfilled(input: &Input, plan: &Plan) -> BTreeMap<String, Service> {
    let mut left: BTreeMap<&str, BTreeMap<String, i64>> = BTreeMap::new();
    for order in &input.orders {
        // An order that contradicts itself is valued too: nothing is open below 0, and lines of one id are one.
        let mut lines: BTreeMap<String, i64> = BTreeMap::new();
        for line in &order.lines {
            let open = lines.entry(line.id.clone()).or_default();
            *open = open.saturating_add(line.qty.max(0));
        }
        left.insert(&order.id, lines);
    }
    for shipment in &plan.shipments {
        for line in &shipment.lines {
            if let Some(qty) = left
                .get_mut(shipment.order.as_str())
                .and_then(|lines| lines.get_mut(&line.line))
            {
                *qty -= line.qty;
            }
        }
    }
    left.into_iter()
        .map(|(id, lines)| (id.to_owned(), Service::Unfilled(lines)))
        .collect()
}

/// Recomputes the configured efficiency terms from the shipments of `plan`.
pub(crate) fn efficiency(input: &Input, plan: &Plan) -> BTreeMap<Term, i128> {
    let all: BTreeMap<Term, i128> = Term::ALL
        .into_iter()
        .filter(|term| input.config.efficiency.contains(term))
        .map(|term| (term, 0))
        .collect();
    let mut values = all;
    let mut add = |term: Term, amount: i128| {
        if let Some(value) = values.get_mut(&term) {
            *value += amount;
        }
    };
    let mut any = HashMap::new();
    let mut own = HashMap::new();
    for cost in &input.costs.shipment {
        if cost.order == "*" {
            any.insert(cost.loc.as_str(), cost);
        } else {
            own.insert((cost.order.as_str(), cost.loc.as_str()), cost);
        }
    }
    let ranks: HashMap<&str, i64> = input
        .locations
        .iter()
        .map(|x| (x.id.as_str(), x.rank))
        .collect();
    for shipment in &plan.shipments {
        let units: i128 = shipment.lines.iter().map(|line| i128::from(line.qty)).sum();
        add(Term::Shipments, 1);
        let rank = ranks.get(shipment.loc.as_str()).copied().unwrap_or(0);
        add(Term::Rank, units * i128::from(rank));
        let cost = own
            .get(&(shipment.order.as_str(), shipment.loc.as_str()))
            .or_else(|| any.get(shipment.loc.as_str()));
        if let Some(cost) = cost {
            add(
                Term::Cost,
                i128::from(cost.fixed) + i128::from(cost.per_unit) * units,
            );
            add(Term::Distance, i128::from(cost.distance));
        }
        for made in &shipment.assemble {
            add(Term::Assembled, i128::from(made.qty));
            let each = input.costs.assembly.get(&made.sku).copied().unwrap_or(0);
            add(Term::Cost, i128::from(made.qty) * i128::from(each));
        }
    }
    if input.config.efficiency.contains(&Term::Balance) && !input.reserves.is_empty() {
        add(Term::Balance, balance(input, plan));
    }
    if input.config.efficiency.contains(&Term::Churn) {
        add(Term::Churn, churn(input, plan));
    }
    values
}

fn balance(input: &Input, plan: &Plan) -> i128 {
    let lots: HashMap<&str, _> = input
        .lots
        .iter()
        .map(|lot| (lot.id.as_str(), lot))
        .collect();
    let mut free: HashMap<(&str, &str), i128> = HashMap::new();
    for lot in &input.lots {
        let units = (i128::from(lot.qty) - i128::from(lot.external)).max(0);
        *free.entry((&lot.sku, &lot.loc)).or_default() += units;
    }
    for take in plan.shipments.iter().flat_map(|shipment| &shipment.takes) {
        if let Some(lot) = lots.get(take.node.as_str()) {
            *free.entry((&lot.sku, &lot.loc)).or_default() -= i128::from(take.qty);
        }
    }
    let eaten = input.reserves.iter().map(|reserve| {
        let free = free
            .get(&(reserve.sku.as_str(), reserve.loc.as_str()))
            .copied();
        (i128::from(reserve.qty) - free.unwrap_or(0)).max(0)
    });
    eaten.sum()
}

fn churn(input: &Input, plan: &Plan) -> i128 {
    let mut taken: HashMap<(&str, &str), i128> = HashMap::new();
    match plan.op {
        Op::Split | Op::Pick => {
            for shipment in &plan.shipments {
                for take in &shipment.takes {
                    *taken.entry((&shipment.order, &take.node)).or_default() +=
                        i128::from(take.qty);
                }
            }
        }
        Op::Allocate | Op::Fill => {
            for claim in &plan.claims {
                *taken.entry((&claim.order, &claim.node)).or_default() += i128::from(claim.qty);
            }
        }
    }
    let soft = input
        .allocations
        .iter()
        .filter(|claim| claim.strength == Strength::Soft);
    soft.map(|claim| {
        let now = taken
            .get(&(claim.order.as_str(), claim.node.as_str()))
            .copied()
            .unwrap_or(0);
        (i128::from(claim.qty) - now).max(0)
    })
    .sum()
}
