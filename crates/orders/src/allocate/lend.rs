//! Lending on: an order ahead is protected by its date, so idle units of its may go to one behind.

use super::curve::Curves;
use super::search::{Question, settle};
use super::{Grant, pin, plannable, unlimited};
use crate::model::{Ask, Use};
use crate::split::{assign, find, join};
use crate::stock::{Stock, Take};
use crate::world::World;

/// Most lines times locations of a group that is planned by search.
const SIZE_MAX: usize = 400;

/// The grants of all orders.
pub(super) fn grants(world: &World<'_>) -> (Vec<Grant>, String, bool) {
    let mut grants: Vec<Grant> = vec![Grant::default(); world.orders.len()];
    let mut exact = true;
    let mut engines: Vec<&str> = Vec::new();
    for group in groups(world) {
        let (engine, proven) = group_grants(world, &group, &mut grants);
        exact &= proven;
        if !engines.contains(&engine) {
            engines.push(engine);
        }
    }
    engines.sort_unstable();
    (grants, engines.join("; "), exact)
}

fn group_grants(world: &World<'_>, group: &[usize], grants: &mut [Grant]) -> (&'static str, bool) {
    let slips = world.input.config.slip_days > 0;
    if !slips && let Some(mut curves) = Curves::new(world, group) {
        for &order in group {
            grants[order] = curves.grant(order);
        }
        let proven = hand_out(world, group, grants);
        return ("cumulative curves, exact", proven);
    }
    let lines: usize = group
        .iter()
        .map(|&order| world.orders[order].closure.len())
        .sum();
    if lines * world.places.len() <= SIZE_MAX && !slips {
        let stock = unlimited(world);
        let mut others: Vec<Ask> = Vec::new();
        let mut proven = true;
        for &order in group {
            let mut question = Question {
                world,
                stock: &stock,
                others: &others,
                proven: true,
            };
            let grant = question.best(order);
            proven &= question.proven;
            others.extend(grant.asks.iter().cloned());
            others.extend(grant.held.clone());
            grants[order] = grant;
        }
        let (uses, settled) = settle(world, &stock, others);
        if let Some(uses) = assign(world, stock, uses) {
            spread(grants, uses);
            let engine = if proven && settled {
                "branch and bound with lending, exact"
            } else {
                "branch and bound with lending, stopped at its node limit"
            };
            return (engine, proven && settled);
        }
    }
    let mut stock = unlimited(world);
    let mut searched = false;
    for &order in group {
        grants[order] = pin(world, &mut stock, order, &mut searched);
    }
    ("pinned in sequence, nothing lent", false)
}

/// Gives nodes to grants whose units are all alike: earliest shipping day first, earliest units first.
fn hand_out(world: &World<'_>, group: &[usize], grants: &mut [Grant]) -> bool {
    let mut stock = unlimited(world);
    let mut asks: Vec<Ask> = Vec::new();
    for &order in group {
        asks.extend(grants[order].asks.iter().cloned());
        asks.extend(grants[order].held.iter().cloned());
    }
    asks.sort_by_key(|ask| (ask.date, ask.held, ask.order));
    let mut complete = true;
    for ask in asks {
        complete &= give(world, &mut stock, &ask, &mut grants[ask.order]);
    }
    complete
}

fn give(world: &World<'_>, stock: &mut Stock, ask: &Ask, grant: &mut Grant) -> bool {
    let info = &world.orders[ask.order];
    let mut uses: std::collections::BTreeMap<usize, (Use, Vec<Take>)> = Default::default();
    let mut complete = true;
    for (line, &(_, qty)) in ask.lines.iter().enumerate() {
        let mut left = qty;
        let mut nodes = world.sku_nodes[info.lines[line].sku].clone();
        nodes.sort_by_key(|&node| {
            let info = &world.nodes[node];
            (info.date, info.loc, world.rotation_key(node))
        });
        for node in nodes {
            let part = left.min(stock.free[node]);
            if part <= 0 || world.nodes[node].date > ask.date {
                continue;
            }
            stock.free[node] -= part;
            left -= part;
            let loc = world.nodes[node].loc;
            let (used, takes) = uses.entry(loc).or_insert_with(|| {
                let lines = vec![0; info.lines.len()];
                let (takes, runs) = (Vec::new(), Vec::new());
                let (order, date, held) = (ask.order, ask.date, ask.held);
                (
                    Use {
                        order,
                        loc,
                        date,
                        lines,
                        takes,
                        runs,
                        held,
                    },
                    Vec::new(),
                )
            });
            used.lines[line] += part;
            let sku = info.lines[line].sku;
            match used.takes.iter_mut().find(|take| take.0 == sku) {
                Some(take) => take.1 += part,
                None => used.takes.push((sku, part)),
            }
            takes.push(Take {
                node,
                qty: part,
                hard: None,
            });
        }
        complete &= left == 0;
    }
    grant.uses.extend(uses.into_values());
    complete
}

fn spread(grants: &mut [Grant], uses: Vec<(Use, Vec<Take>)>) {
    for (used, takes) in uses {
        grants[used.order].uses.push((used, takes));
    }
}

/// Plannable orders in groups that share no SKU, each in sequence.
fn groups(world: &World<'_>) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..world.skus.len() + world.orders.len()).collect();
    let orders: Vec<usize> = (0..world.orders.len())
        .filter(|&order| plannable(world, order))
        .collect();
    for &order in &orders {
        for &sku in &world.orders[order].closure {
            join(&mut parent, world.skus.len() + order, sku);
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for &order in &orders {
        let root = find(&mut parent, world.skus.len() + order);
        let at = *index.entry(root).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(order);
    }
    groups
}
