//! Claims that stand before the run: which hard ones survive, and what each order holds.

use std::collections::HashMap;

use crate::input::Strength;
use crate::world::World;

/// A hard claim after nodes that shrank took their toll.
#[derive(Debug, Clone)]
pub(crate) struct Hard {
    /// Index in the input.
    pub raw: usize,
    /// `None`: the order is not in the run; its units are taken all the same.
    pub order: Option<usize>,
    /// The line it covers; `None` for a component.
    pub line: Option<usize>,
    pub node: usize,
    pub qty: i64,
}

/// A soft claim of an order of the run.
#[derive(Debug, Clone)]
pub(crate) struct Soft {
    pub raw: usize,
    pub order: usize,
    pub node: usize,
    pub qty: i64,
}

/// Claims that stand before the run.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub hard: Vec<Hard>,
    pub soft: Vec<Soft>,
    /// (index in the input, units lost).
    pub broken: Vec<(usize, i64)>,
    /// Indices into `hard`, by order.
    pub hard_of: HashMap<usize, Vec<usize>>,
    /// Indices into `soft`, by order.
    pub soft_of: HashMap<usize, Vec<usize>>,
}

/// Breaks hard claims whose units are gone, latest made first, and takes the rest off what is free.
pub(crate) fn settle(world: &mut World<'_>) -> Claims {
    let mut claims = Claims::default();
    let input = world.input;
    let mut raw: Vec<usize> = (0..input.allocations.len()).collect();
    // Oldest first, so that what remains of a node goes to those made first.
    raw.sort_by_key(|&i| (input.allocations[i].made, input.allocations[i].id.as_str()));
    let mut left: Vec<i64> = world.nodes.iter().map(|node| node.units).collect();
    for raw in raw {
        let claim = &input.allocations[raw];
        let expired = claim.expires.is_some_and(|day| day <= input.now);
        let order = world.order_index.get(claim.order.as_str()).copied();
        let node = world.node_index.get(claim.node.as_str()).copied();
        if claim.strength == Strength::Soft {
            if let (Some(order), Some(node), false) = (order, node, expired) {
                claims.soft.push(Soft {
                    raw,
                    order,
                    node,
                    qty: claim.qty,
                });
            }
            continue;
        }
        let qty = node.map_or(0, |node| claim.qty.min(left[node]));
        if qty < claim.qty {
            claims.broken.push((raw, claim.qty - qty));
        }
        if let (Some(node), true) = (node, qty > 0) {
            left[node] -= qty;
            let line = order.and_then(|order| line_of(world, raw, order, node));
            claims.hard.push(Hard {
                raw,
                order,
                line,
                node,
                qty,
            });
        }
    }
    for (node, left) in world.nodes.iter_mut().zip(left) {
        node.free = left;
    }
    claims
        .broken
        .sort_unstable_by_key(|&(raw, _)| input.allocations[raw].id.as_str());
    for (i, hard) in claims.hard.iter().enumerate() {
        if let Some(order) = hard.order {
            claims.hard_of.entry(order).or_default().push(i);
        }
    }
    for (i, soft) in claims.soft.iter().enumerate() {
        claims.soft_of.entry(soft.order).or_default().push(i);
    }
    claims
}

fn line_of(world: &World<'_>, raw: usize, order: usize, node: usize) -> Option<usize> {
    let sku = world.nodes[node].sku;
    let order = &world.orders[order];
    if let Some(id) = &world.input.allocations[raw].line {
        let lines = &world.input.orders[order.raw].lines;
        let line = lines.iter().position(|line| line.id == *id)?;
        return (order.lines[line].sku == sku).then_some(line);
    }
    order.lines.iter().position(|line| line.sku == sku)
}
