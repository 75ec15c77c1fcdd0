//! Lending on: an order ahead is protected by its date, so idle units of its may go to one behind.

use super::curve::Curves;
use super::search::{Question, settle};
use super::{Grant, pin, plannable, unlimited};
use crate::day::Day;
use crate::input::Input;
use crate::model::{Ask, LIMITS, Model, Shape, Use};
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
    if lines * world.places.len() <= SIZE_MAX {
        let late = slipped_input(world);
        let late = if slips { World::new(&late).ok() } else { None };
        if let Some(proven) = searched_grants(world, late.as_ref(), group, grants) {
            let engine = if proven {
                "branch and bound with lending, exact"
            } else {
                "branch and bound with lending, stopped at its node limit"
            };
            return (engine, proven);
        }
    }
    let mut stock = unlimited(world);
    let mut searched = false;
    for &order in group {
        grants[order] = pin(world, &mut stock, order, &mut searched);
    }
    ("pinned in sequence, nothing lent", false)
}

/// Each order's best service while those ahead keep theirs; `None` when no nodes fit, which a proven answer excludes.
fn searched_grants(
    world: &World<'_>,
    late: Option<&World<'_>>,
    group: &[usize],
    grants: &mut [Grant],
) -> Option<bool> {
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
        let mut grant = question.best(order);
        proven &= question.proven;
        if late.is_some_and(|late| !stands(late, &others, &grant)) {
            // Were inbound late, somebody ahead would miss its day: the order gets what nobody has pinned.
            let rest = unpinned(world, &stock, &others)?;
            let mut question = Question {
                world,
                stock: &rest,
                others: &[],
                proven: true,
            };
            grant = question.best(order);
            proven &= question.proven;
        }
        others.extend(grant.asks.iter().cloned());
        others.extend(grant.held.clone());
        grants[order] = grant;
    }
    let (uses, settled) = settle(world, &stock, others);
    spread(grants, assign(world, stock, uses)?);
    Some(proven && settled)
}

/// The input with every inbound late by `slip_days`.
fn slipped_input(world: &World<'_>) -> Input {
    let mut late = world.input.clone();
    let days = late.config.slip_days as i32;
    for inbound in &mut late.inbound {
        inbound.eta = Day::from_number(inbound.eta.number() + days);
    }
    late.config.horizon_days += i64::from(days);
    late
}

/// Whether everybody is still met in full by the promised day.
fn stands(late: &World<'_>, others: &[Ask], grant: &Grant) -> bool {
    let mut asks = others.to_vec();
    asks.extend(grant.asks.iter().cloned());
    // Units held without a day are promised to nobody.
    asks.retain(|ask| !ask.held);
    let mut model = Model::new(late, &unlimited(late), asks, Shape::default());
    model.search.feasible(LIMITS).x.is_some()
}

/// What is left once everybody ahead has pinned its units.
fn unpinned(world: &World<'_>, stock: &Stock, others: &[Ask]) -> Option<Stock> {
    let (uses, _) = settle(world, stock, others.to_vec());
    let mut rest = stock.clone();
    for (_, takes) in assign(world, stock.clone(), uses)? {
        for take in takes {
            match take.hard {
                Some(hard) => rest.claimed[hard] += take.qty,
                None => rest.free[take.node] -= take.qty,
            }
        }
    }
    Some(rest)
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
