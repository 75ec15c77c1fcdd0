//! What a person should hear of besides the plan: nodes below zero, broken and moved claims, refused orders.

use std::collections::HashMap;

use crate::input::Allocation;
use crate::plan::{Code, Plan, Reason};
use crate::world::World;

/// What went wrong before anything was decided.
pub(super) fn before(world: &World<'_>) -> Vec<Reason> {
    let input = world.input;
    let mut reasons = Vec::new();
    let mut lots: Vec<_> = input
        .lots
        .iter()
        .filter(|lot| lot.qty - lot.external < 0)
        .collect();
    lots.sort_by(|a, b| a.id.cmp(&b.id));
    for lot in lots {
        reasons.push(Reason {
            code: Code::NodeDeficit,
            order: None,
            line: None,
            node: Some(lot.id.clone()),
            qty: Some(lot.external - lot.qty),
            text: format!(
                "`{}` holds {} of {} at {}, and {} are spoken for elsewhere",
                lot.id, lot.qty, lot.sku, lot.loc, lot.external
            ),
        });
    }
    for &(raw, qty) in &world.claims.broken {
        let claim = &input.allocations[raw];
        reasons.push(Reason {
            code: Code::HardBroken,
            order: Some(claim.order.clone()),
            line: claim.line.clone(),
            node: Some(claim.node.clone()),
            qty: Some(qty),
            text: format!(
                "hard claim `{}` of {} lost {qty} of {}: `{}` no longer holds them",
                claim.id, claim.order, claim.qty, claim.node
            ),
        });
    }
    for order in &world.orders {
        if let Some((code, text)) = &order.refused {
            reasons.push(Reason {
                code: *code,
                order: Some(order.id.to_owned()),
                line: None,
                node: None,
                qty: None,
                text: format!("{} is not planned: {text}", order.id),
            });
        }
    }
    reasons
}

/// Soft claims that the plan moves, and who has the units now.
pub(super) fn moved(world: &World<'_>, plan: &Plan) -> Vec<Reason> {
    if world.claims.soft.is_empty() {
        return Vec::new();
    }
    let mut holders: HashMap<&str, Vec<(&str, i64)>> = HashMap::new();
    for claim in &plan.claims {
        holders
            .entry(&claim.node)
            .or_default()
            .push((&claim.order, claim.qty));
    }
    let mut softs: Vec<&Allocation> = world
        .claims
        .soft
        .iter()
        .map(|soft| &world.input.allocations[soft.raw])
        .collect();
    softs.sort_by(|a, b| a.id.cmp(&b.id));
    let mut reasons = Vec::new();
    for soft in softs {
        let now = holders
            .get(soft.node.as_str())
            .map_or(&[][..], |list| list.as_slice());
        let kept: i64 = now
            .iter()
            .filter(|(order, _)| *order == soft.order)
            .map(|x| x.1)
            .sum();
        if kept < soft.qty {
            let mut others: Vec<&str> = now
                .iter()
                .filter(|(order, _)| *order != soft.order)
                .map(|x| x.0)
                .collect();
            others.dedup();
            let to = match others.as_slice() {
                [] => "nobody".to_owned(),
                others => others.join(", "),
            };
            reasons.push(Reason {
                code: Code::SoftMoved,
                order: Some(soft.order.clone()),
                line: soft.line.clone(),
                node: Some(soft.node.clone()),
                qty: Some(soft.qty - kept),
                text: format!(
                    "{} of `{}` leave {} for {to}",
                    soft.qty - kept,
                    soft.node,
                    soft.order
                ),
            });
        }
    }
    reasons
}
