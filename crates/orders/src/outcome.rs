//! From decisions to the plan that people and programs read.

mod incidents;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::day::Day;
use crate::input::{Allocation, Strength, Term};
use crate::model::Use;
use crate::plan::{Broken, LineQty, NodeQty, Op, Plan, Promise, Service, Shipment, Short, SkuQty};
use crate::reasons::Explainer;
use crate::stock::Take;
use crate::value;
use crate::world::World;

/// Units given to an order, and whether they are scheduled to ship.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub used: Use,
    pub takes: Vec<Take>,
    /// False for units that are only held.
    pub ships: bool,
}

/// All that a block decided.
pub(crate) struct Decision {
    pub op: Op,
    pub given: Vec<Given>,
    pub baseline: Option<Vec<Given>>,
    pub service: BTreeMap<String, Service>,
    pub promises: Vec<Promise>,
    pub engine: String,
    pub exact: bool,
}

/// Writes a decision down.
pub(crate) fn plan(world: &World<'_>, mut decision: Decision) -> Plan {
    let term_values = |given: &[Given]| -> BTreeMap<Term, i128> {
        let draft = Plan {
            shipments: shipments(world, given),
            claims: claims(world, given),
            ..empty(world, decision.op)
        };
        value::efficiency(world.input, &draft)
    };
    let baseline = decision.baseline.take().map(|given| term_values(&given));
    decision
        .given
        .sort_by_key(|given| (given.used.order, given.used.date, given.used.loc));
    let mut plan = Plan {
        shipments: shipments(world, &decision.given),
        claims: claims(world, &decision.given),
        promises: decision.promises,
        broken: broken(world),
        service: decision.service,
        engine: decision.engine,
        exact: decision.exact,
        ..empty(world, decision.op)
    };
    plan.efficiency = value::efficiency(world.input, &plan);
    plan.baseline = baseline.unwrap_or_else(|| plan.efficiency.clone());
    plan.reasons = incidents::before(world);
    let explainer = Explainer::new(world, &decision.given, decision.op);
    for (order, line, qty) in shorts(world, &decision.given) {
        for found in explainer.explain(order, line, qty) {
            plan.short.push(Short {
                order: world.orders[order].id.to_owned(),
                line: line_id(world, order, line).to_owned(),
                qty: found.qty.unwrap_or(qty),
                reason: found.code,
            });
            plan.reasons.push(found);
        }
    }
    plan.reasons.extend(incidents::moved(world, &plan));
    plan
}

fn empty(world: &World<'_>, op: Op) -> Plan {
    Plan {
        schema: Plan::SCHEMA.to_owned(),
        op,
        sequence: world
            .orders
            .iter()
            .map(|order| order.id.to_owned())
            .collect(),
        shipments: Vec::new(),
        promises: Vec::new(),
        short: Vec::new(),
        claims: Vec::new(),
        broken: Vec::new(),
        service: BTreeMap::new(),
        efficiency: BTreeMap::new(),
        baseline: BTreeMap::new(),
        engine: String::new(),
        exact: true,
        reasons: Vec::new(),
    }
}

pub(crate) fn line_id<'a>(world: &World<'a>, order: usize, line: usize) -> &'a str {
    &world.input.orders[world.orders[order].raw].lines[line].id
}

fn shipments(world: &World<'_>, given: &[Given]) -> Vec<Shipment> {
    let mut sorted: Vec<&Given> = given.iter().filter(|given| given.ships).collect();
    sorted.sort_by_key(|given| (given.used.order, given.used.date, given.used.loc));
    sorted
        .into_iter()
        .map(|given| {
            let used = &given.used;
            let lines = used.lines.iter().enumerate().filter(|(_, qty)| **qty > 0);
            let mut runs = used.runs.clone();
            runs.sort_unstable_by_key(|&(sku, _)| (world.bills.depth[sku], sku));
            Shipment {
                order: world.orders[used.order].id.to_owned(),
                loc: world.places[used.loc].id.to_owned(),
                date: Day::from_number(used.date),
                lines: lines
                    .map(|(line, &qty)| LineQty {
                        line: line_id(world, used.order, line).to_owned(),
                        qty,
                    })
                    .collect(),
                takes: merged(&given.takes)
                    .into_iter()
                    .map(|(node, qty)| NodeQty {
                        node: world.nodes[node].id.to_owned(),
                        qty,
                    })
                    .collect(),
                assemble: runs
                    .into_iter()
                    .map(|(sku, runs)| SkuQty {
                        sku: world.skus[sku].to_owned(),
                        qty: runs * world.bills.of[sku].as_ref().map_or(1, |bill| bill.yields),
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Units by node, in the order in which nodes first appear.
fn merged(takes: &[Take]) -> Vec<(usize, i64)> {
    let mut out: Vec<(usize, i64)> = Vec::new();
    for take in takes {
        match out.iter_mut().find(|(node, _)| *node == take.node) {
            Some((_, qty)) => *qty += take.qty,
            None => out.push((take.node, take.qty)),
        }
    }
    out
}

/// Surviving hard claims, then soft claims on everything else that was given.
fn claims(world: &World<'_>, given: &[Given]) -> Vec<Allocation> {
    let input = world.input;
    let mut claims: Vec<Allocation> = world
        .claims
        .hard
        .iter()
        .map(|hard| Allocation {
            qty: hard.qty,
            ..input.allocations[hard.raw].clone()
        })
        .collect();
    claims.sort_by(|a, b| a.id.cmp(&b.id));
    let mut soft: BTreeMap<(usize, usize, usize), i64> = BTreeMap::new();
    for given in given {
        for (line, node, qty) in by_line(world, given) {
            *soft.entry((given.used.order, line, node)).or_default() += qty;
        }
    }
    // A claim that stays keeps its id, so that planning again changes nothing.
    let mut known: HashMap<(&str, Option<&str>, &str), &Allocation> = HashMap::new();
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    for allocation in &input.allocations {
        ids.insert(&allocation.id);
        if allocation.strength == Strength::Soft
            && allocation.expires.is_none_or(|day| day > input.now)
        {
            let key = (
                allocation.order.as_str(),
                allocation.line.as_deref(),
                allocation.node.as_str(),
            );
            let entry = known.entry(key).or_insert(allocation);
            if allocation.id < entry.id {
                *entry = allocation;
            }
        }
    }
    for ((order, line, node), qty) in soft {
        let order_id = world.orders[order].id;
        let line = line_id(world, order, line);
        let node = world.nodes[node].id;
        let claim = match known.get(&(order_id, Some(line), node)) {
            Some(old) => Allocation {
                qty,
                ..(*old).clone()
            },
            None => {
                let mut id = format!("{order_id}/{line}/{node}");
                while ids.contains(id.as_str()) {
                    id.push('+');
                }
                Allocation {
                    id,
                    order: order_id.to_owned(),
                    line: Some(line.to_owned()),
                    node: node.to_owned(),
                    qty,
                    strength: Strength::Soft,
                    made: input.now,
                    expires: None,
                }
            }
        };
        claims.push(claim);
    }
    claims
}

/// Soft takes of one use, told apart by the line they are for: lines in order, finished units before components.
fn by_line(world: &World<'_>, given: &Given) -> Vec<(usize, usize, i64)> {
    let info = &world.orders[given.used.order];
    let mut pool: BTreeMap<usize, Vec<Take>> = BTreeMap::new();
    for take in &given.takes {
        pool.entry(world.nodes[take.node].sku)
            .or_default()
            .push(*take);
    }
    let mut runs: HashMap<usize, i64> = given.used.runs.iter().copied().collect();
    let mut spare: HashMap<usize, i64> = HashMap::new();
    let mut out = Vec::new();
    let mut give = |pool: &mut BTreeMap<usize, Vec<Take>>, sku: usize, line: usize, qty: i64| {
        let mut left = qty;
        if let Some(takes) = pool.get_mut(&sku) {
            for take in takes.iter_mut() {
                let part = left.min(take.qty);
                take.qty -= part;
                left -= part;
                if part > 0 && take.hard.is_none() {
                    out.push((line, take.node, part));
                }
            }
        }
        left
    };
    let last = given
        .used
        .lines
        .iter()
        .rposition(|&qty| qty > 0)
        .unwrap_or(0);
    for (line, &qty) in given.used.lines.iter().enumerate() {
        let mut need = BTreeMap::from([(info.lines[line].sku, qty)]);
        for &sku in &info.closure {
            let Some(qty) = need.remove(&sku) else {
                continue;
            };
            let mut left = give(&mut pool, sku, line, qty);
            if left > 0
                && let Some(bill) = &world.bills.of[sku]
            {
                let over = spare.entry(sku).or_default();
                let part = left.min(*over);
                *over -= part;
                left -= part;
                let wanted = left / bill.yields + i64::from(left % bill.yields != 0);
                let runs_left = runs.entry(sku).or_default();
                let now = wanted.min(*runs_left);
                *runs_left -= now;
                *over += (now * bill.yields - left).max(0);
                for &(component, qty) in &bill.lines {
                    *need.entry(component).or_default() += now * qty;
                }
            }
        }
    }
    let rest: Vec<usize> = pool.keys().copied().collect();
    for sku in rest {
        give(&mut pool, sku, last, i64::MAX);
    }
    out
}

fn broken(world: &World<'_>) -> Vec<Broken> {
    let claims = world.claims.broken.iter();
    claims
        .map(|&(raw, qty)| Broken {
            id: world.input.allocations[raw].id.clone(),
            qty,
        })
        .collect()
}

/// Units of lines that nobody gives: (order, line, units).
fn shorts(world: &World<'_>, given: &[Given]) -> Vec<(usize, usize, i64)> {
    let mut left: Vec<Vec<i64>> = world
        .orders
        .iter()
        .map(|order| order.lines.iter().map(|line| line.qty).collect())
        .collect();
    for given in given {
        for (line, qty) in given.used.lines.iter().enumerate() {
            left[given.used.order][line] -= qty;
        }
    }
    // What is claimed hard and not used is not short either.
    let mut unused: Vec<i64> = world.claims.hard.iter().map(|hard| hard.qty).collect();
    for take in given.iter().flat_map(|given| &given.takes) {
        if let Some(hard) = take.hard {
            unused[hard] -= take.qty;
        }
    }
    for (hard, unused) in world.claims.hard.iter().zip(unused) {
        if let (Some(order), Some(line)) = (hard.order, hard.line) {
            left[order][line] -= unused.min(left[order][line]);
        }
    }
    let orders = left.into_iter().enumerate();
    let lines = orders.flat_map(|(order, lines)| {
        lines
            .into_iter()
            .enumerate()
            .map(move |(line, qty)| (order, line, qty))
    });
    lines.filter(|&(_, _, qty)| qty > 0).collect()
}
