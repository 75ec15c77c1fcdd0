//! Turns the records of an input into indices, and finds the orders that contradict themselves.

use std::collections::HashMap;

use super::{LineInfo, NEVER, Node, OrderInfo, World};
use crate::bills::Bills;
use crate::faults::{self, QTY_MAX, WEIGHT_MAX};
use crate::input::{Input, Rotation};
use crate::plan::Code;
use crate::sequence;

pub(super) fn all_skus(input: &Input) -> Vec<&str> {
    let mut skus: Vec<&str> = input.lots.iter().map(|x| x.sku.as_str()).collect();
    skus.extend(input.inbound.iter().map(|x| x.sku.as_str()));
    skus.extend(
        input
            .orders
            .iter()
            .flat_map(|x| x.lines.iter().map(|l| l.sku.as_str())),
    );
    skus.extend(input.reserves.iter().map(|x| x.sku.as_str()));
    skus.extend(input.items.iter().map(|x| x.sku.as_str()));
    for bom in &input.boms {
        skus.push(&bom.parent);
        skus.extend(bom.lines.iter().map(|x| x.sku.as_str()));
    }
    skus.sort_unstable();
    skus.dedup();
    skus
}

pub(super) fn nodes<'a>(
    input: &'a Input,
    now: i32,
    horizon: i32,
    skus: &HashMap<&str, usize>,
    places: &HashMap<&str, usize>,
) -> Vec<Node<'a>> {
    let lots = input.lots.iter().map(|x| {
        let units = (x.qty - x.external).max(0);
        Node {
            id: &x.id,
            sku: skus[x.sku.as_str()],
            loc: places[x.loc.as_str()],
            date: now,
            expiry: x.expiry.map_or(NEVER, |day| day.number()),
            received: x.received.map_or(NEVER, |day| day.number()),
            inbound: false,
            units,
            free: units,
            usable: true,
        }
    });
    let inbound = input.inbound.iter().map(|x| {
        let date = x.eta.number().max(now);
        Node {
            id: &x.id,
            sku: skus[x.sku.as_str()],
            loc: places[x.loc.as_str()],
            date,
            expiry: x.expiry.map_or(NEVER, |day| day.number()),
            received: date,
            inbound: true,
            units: x.qty,
            free: x.qty,
            usable: x.confirmed && date <= horizon,
        }
    });
    let mut nodes: Vec<Node<'a>> = lots.chain(inbound).collect();
    nodes.sort_unstable_by_key(|x| x.id);
    nodes
}

pub(super) fn rotation(
    input: &Input,
    skus: &[&str],
    index: &HashMap<&str, usize>,
    nodes: &[Node<'_>],
) -> Vec<Rotation> {
    let mut rotation = vec![Rotation::Fifo; skus.len()];
    for node in nodes
        .iter()
        .filter(|node| !node.inbound && node.expiry != NEVER)
    {
        rotation[node.sku] = Rotation::Fefo;
    }
    for item in &input.items {
        if let Some(rule) = item.rotation {
            rotation[index[item.sku.as_str()]] = rule;
        }
    }
    rotation
}

pub(super) fn orders<'a>(
    input: &'a Input,
    now: i32,
    skus: &HashMap<&str, usize>,
    places: &HashMap<&str, usize>,
    bills: &Bills,
) -> Vec<OrderInfo<'a>> {
    let mut raw: Vec<usize> = (0..input.orders.len()).collect();
    raw.sort_by_cached_key(|&i| sequence::key(&input.orders[i], &input.config, input.now));
    raw.into_iter()
        .map(|raw| order(input, raw, now, skus, places, bills))
        .collect()
}

fn order<'a>(
    input: &'a Input,
    raw: usize,
    now: i32,
    skus: &HashMap<&str, usize>,
    places: &HashMap<&str, usize>,
    bills: &Bills,
) -> OrderInfo<'a> {
    let order = &input.orders[raw];
    let refused = fault(order, skus, places, bills);
    let lines: Vec<LineInfo> = order
        .lines
        .iter()
        .map(|x| LineInfo {
            sku: skus[x.sku.as_str()],
            qty: x.qty.clamp(0, QTY_MAX),
            weight: x.weight,
        })
        .collect();
    let units: i64 = lines.iter().map(|x| x.qty).sum();
    let share = i128::from(units) * i128::from(order.min_fill_pct);
    let from = match &order.ship_from {
        None => vec![true; places.len()],
        Some(list) => {
            let mut from = vec![false; places.len()];
            for loc in list {
                if let Some(&loc) = places.get(loc.as_str()) {
                    from[loc] = true;
                }
            }
            from
        }
    };
    OrderInfo {
        id: &order.id,
        raw,
        closure: bills.closure(lines.iter().map(|x| x.sku)),
        lines,
        complete: order.complete,
        shipments_left: order
            .max_shipments
            .map(|most| (most - order.shipments_made).max(0)),
        units_min: i64::try_from((share + 99) / 100).unwrap_or(i64::MAX),
        units,
        shelf: order.min_shelf_days.clamp(0, faults::DAYS_MAX) as i32,
        start: order.not_before.map_or(now, |day| day.number().max(now)),
        from,
        refused,
    }
}

/// Why `order` cannot be planned; it is then refused alone.
fn fault(
    order: &crate::input::Order,
    skus: &HashMap<&str, usize>,
    places: &HashMap<&str, usize>,
    bills: &Bills,
) -> Option<(Code, String)> {
    let bad = |text: String| Some((Code::BadOrder, text));
    for (key, found, min, max) in [
        ("class", order.class, 0, 9),
        (
            "max_shipments",
            order.max_shipments.unwrap_or(0),
            0,
            QTY_MAX,
        ),
        ("shipments_made", order.shipments_made, 0, QTY_MAX),
        ("min_fill_pct", order.min_fill_pct, 0, 100),
        ("min_shelf_days", order.min_shelf_days, 0, faults::DAYS_MAX),
    ] {
        if !(min..=max).contains(&found) {
            return bad(format!("`{key}` is {found}, allowed is {min} to {max}"));
        }
    }
    let mut ids: Vec<&str> = Vec::new();
    for line in &order.lines {
        if !(1..=QTY_MAX).contains(&line.qty) {
            return bad(format!("line `{}` asks for {} units", line.id, line.qty));
        }
        if !(0..=WEIGHT_MAX).contains(&line.weight) {
            return bad(format!("line `{}` has weight {}", line.id, line.weight));
        }
        ids.push(&line.id);
    }
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return bad(format!("line `{}` stands in it twice", pair[0]));
    }
    for loc in order.ship_from.iter().flatten() {
        if !places.contains_key(loc.as_str()) {
            return bad(format!("it ships from `{loc}`, which is not listed"));
        }
    }
    for line in &order.lines {
        if bills.invalid[skus[line.sku.as_str()]] {
            let text = format!(
                "the bill of `{}` is cyclic, too deep or has a zero",
                line.sku
            );
            return Some((Code::BomInvalid, text));
        }
    }
    None
}

type Cost = (i64, i64, i64);

pub(super) fn costs(
    input: &Input,
    orders: &[OrderInfo<'_>],
    places: &HashMap<&str, usize>,
) -> (Vec<Cost>, HashMap<(usize, usize), Cost>) {
    let index: HashMap<&str, usize> = orders.iter().enumerate().map(|(i, x)| (x.id, i)).collect();
    let mut any = vec![(0, 0, 0); places.len()];
    let mut own = HashMap::new();
    for x in &input.costs.shipment {
        let loc = places[x.loc.as_str()];
        let cost = (x.fixed, x.per_unit, x.distance);
        if x.order == "*" {
            any[loc] = cost;
        } else if let Some(&order) = index.get(x.order.as_str()) {
            own.insert((order, loc), cost);
        }
    }
    (any, own)
}

pub(super) fn candidate_dates(world: &World<'_>) -> Vec<i32> {
    let mut dates = vec![world.now];
    dates.extend(
        world
            .nodes
            .iter()
            .filter(|x| x.inbound && x.usable)
            .map(|x| x.date),
    );
    let starts = world.orders.iter().map(|x| x.start);
    dates.extend(starts.filter(|&day| day <= world.horizon));
    dates.sort_unstable();
    dates.dedup();
    dates
}
