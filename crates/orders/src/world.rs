//! The input, checked and turned into indices: orders in sequence, locations by preference, nodes by rotation.

use std::collections::HashMap;

use crate::bills::{Bill, Bills};
use crate::claims::{self, Claims};
use crate::faults::{self, InputErrors, QTY_MAX, WEIGHT_MAX};
use crate::input::{Complete, Input, Rotation};
use crate::plan::Code;
use crate::sequence;

/// A day without end, for units that do not expire.
pub(crate) const NEVER: i32 = i32::MAX;

pub(crate) struct Place<'a> {
    pub id: &'a str,
    pub rank: i64,
    pub capacity: Option<i64>,
}

pub(crate) struct Node<'a> {
    pub id: &'a str,
    pub sku: usize,
    pub loc: usize,
    /// When its units are there.
    pub date: i32,
    /// Last day on which they may ship.
    pub expiry: i32,
    pub received: i32,
    pub inbound: bool,
    /// Units the planner may give, hard claims included.
    pub units: i64,
    /// `units` without surviving hard claims.
    pub free: i64,
    /// Confirmed and inside the horizon.
    pub usable: bool,
}

pub(crate) struct LineInfo {
    pub sku: usize,
    pub qty: i64,
    pub weight: i64,
}

pub(crate) struct OrderInfo<'a> {
    pub id: &'a str,
    /// Its index in the input.
    pub raw: usize,
    pub lines: Vec<LineInfo>,
    pub complete: Complete,
    /// Shipments it may still get.
    pub shipments_left: Option<i64>,
    /// Least units that one run may ship.
    pub units_min: i64,
    pub units: i64,
    pub shelf: i32,
    /// First day on which it may ship.
    pub start: i32,
    /// Locations it may ship from, by index.
    pub from: Vec<bool>,
    /// SKUs it may touch, kits before components.
    pub closure: Vec<usize>,
    /// Why it is not planned at all.
    pub refused: Option<(Code, String)>,
}

impl OrderInfo<'_> {
    /// Whether no line can be assembled and no SKU stands on two lines.
    pub fn plain(&self, bills: &Bills) -> bool {
        self.closure.len() == self.lines.len()
            && self.lines.iter().all(|line| bills.of[line.sku].is_none())
    }
}

pub(crate) struct World<'a> {
    pub input: &'a Input,
    pub now: i32,
    pub horizon: i32,
    pub places: Vec<Place<'a>>,
    pub skus: Vec<&'a str>,
    pub bills: Bills,
    pub nodes: Vec<Node<'a>>,
    /// Usable nodes by SKU: location, then date, then rotation.
    pub sku_nodes: Vec<Vec<usize>>,
    pub rotation: Vec<Rotation>,
    pub orders: Vec<OrderInfo<'a>>,
    pub order_index: HashMap<&'a str, usize>,
    pub node_index: HashMap<&'a str, usize>,
    /// (fixed, per unit, distance) for any order, by location.
    pub cost_any: Vec<(i64, i64, i64)>,
    pub cost_own: HashMap<(usize, usize), (i64, i64, i64)>,
    pub assembly_cost: Vec<i64>,
    /// (SKU, location, units).
    pub reserves: Vec<(usize, usize, i64)>,
    pub claims: Claims,
    /// Candidate days, ascending; the first is today.
    pub dates: Vec<i32>,
}

impl<'a> World<'a> {
    pub fn new(input: &'a Input) -> Result<Self, InputErrors> {
        faults::find(input)?;
        let now = input.now.number();
        let horizon = now + input.config.horizon_days as i32;
        let mut places: Vec<Place<'_>> = input
            .locations
            .iter()
            .map(|x| Place {
                id: &x.id,
                rank: x.rank,
                capacity: x.capacity,
            })
            .collect();
        places.sort_unstable_by_key(|x| (x.rank, x.id));
        let place_index: HashMap<&str, usize> =
            places.iter().enumerate().map(|(i, x)| (x.id, i)).collect();

        let skus = all_skus(input);
        let sku_index: HashMap<&str, usize> =
            skus.iter().enumerate().map(|(i, &x)| (x, i)).collect();
        let mut raw_bills: Vec<Option<Bill>> = vec![None; skus.len()];
        for bom in input.boms.iter().filter(|bom| bom.auto) {
            let lines = bom
                .lines
                .iter()
                .map(|x| (sku_index[x.sku.as_str()], x.qty))
                .collect();
            raw_bills[sku_index[bom.parent.as_str()]] = Some(Bill {
                yields: bom.yields,
                lines,
            });
        }
        let bills = Bills::new(raw_bills);

        let nodes = nodes(input, now, horizon, &sku_index, &place_index);
        let rotation = rotation(input, &skus, &sku_index, &nodes);
        let orders = orders(input, now, &sku_index, &place_index, &bills);
        let (cost_any, cost_own) = costs(input, &orders, &place_index);
        let mut assembly_cost = vec![0; skus.len()];
        for (sku, &cost) in &input.costs.assembly {
            if let Some(&sku) = sku_index.get(sku.as_str()) {
                assembly_cost[sku] = cost;
            }
        }
        let mut reserves: Vec<(usize, usize, i64)> = input
            .reserves
            .iter()
            .map(|x| {
                (
                    sku_index[x.sku.as_str()],
                    place_index[x.loc.as_str()],
                    x.qty,
                )
            })
            .collect();
        reserves.sort_unstable();

        let mut world = Self {
            input,
            now,
            horizon,
            order_index: orders.iter().enumerate().map(|(i, x)| (x.id, i)).collect(),
            node_index: nodes.iter().enumerate().map(|(i, x)| (x.id, i)).collect(),
            places,
            skus,
            bills,
            nodes,
            sku_nodes: Vec::new(),
            rotation,
            orders,
            cost_any,
            cost_own,
            assembly_cost,
            reserves,
            claims: Claims::default(),
            dates: Vec::new(),
        };
        world.index_nodes();
        world.claims = claims::settle(&mut world);
        world.dates = candidate_dates(&world);
        Ok(world)
    }

    /// (fixed, per unit, distance) of shipping `order` from `loc`.
    pub fn cost(&self, order: usize, loc: usize) -> (i64, i64, i64) {
        if self.cost_own.is_empty() {
            return self.cost_any[loc];
        }
        self.cost_own
            .get(&(order, loc))
            .copied()
            .unwrap_or(self.cost_any[loc])
    }

    /// Usable nodes of `sku` at `loc`.
    pub fn at(&self, sku: usize, loc: usize) -> &[usize] {
        let nodes = &self.sku_nodes[sku];
        let start = nodes.partition_point(|&n| self.nodes[n].loc < loc);
        let end = nodes.partition_point(|&n| self.nodes[n].loc <= loc);
        &nodes[start..end]
    }

    /// Whether units of `node` may ship for an order with `shelf` days of life on `date`.
    pub fn serves(&self, node: usize, date: i32, shelf: i32) -> bool {
        let node = &self.nodes[node];
        node.usable
            && node.date <= date
            && (node.expiry == NEVER || node.expiry.saturating_sub(shelf) >= date)
    }

    /// Place of a node among those of its SKU, location and date.
    pub fn rotation_key(&self, node: usize) -> (i64, i64, &'a str) {
        let node = &self.nodes[node];
        match self.rotation[node.sku] {
            Rotation::Fefo => (i64::from(node.expiry), i64::from(node.received), node.id),
            Rotation::Fifo => (i64::from(node.received), 0, node.id),
            Rotation::Any => (0, 0, node.id),
        }
    }

    fn index_nodes(&mut self) {
        let mut lists: Vec<Vec<usize>> = vec![Vec::new(); self.skus.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            if node.usable {
                lists[node.sku].push(i);
            }
        }
        for list in &mut lists {
            list.sort_by_key(|&n| (self.nodes[n].loc, self.nodes[n].date, self.rotation_key(n)));
        }
        self.sku_nodes = lists;
    }
}

fn all_skus(input: &Input) -> Vec<&str> {
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

fn nodes<'a>(
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

fn rotation(
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

fn orders<'a>(
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

fn costs(
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

fn candidate_dates(world: &World<'_>) -> Vec<i32> {
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
