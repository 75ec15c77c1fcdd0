//! The input, checked and turned into indices: orders in sequence, locations by preference, nodes by rotation.

mod read;

use std::collections::HashMap;

use crate::bills::{Bill, Bills};
use crate::claims::{self, Claims};
use crate::faults::{self, InputErrors};
use crate::input::{Complete, Input, Rotation};
use crate::plan::Code;

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

        let skus = read::all_skus(input);
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

        let nodes = read::nodes(input, now, horizon, &sku_index, &place_index);
        let rotation = read::rotation(input, &skus, &sku_index, &nodes);
        let orders = read::orders(input, now, &sku_index, &place_index, &bills);
        let (cost_any, cost_own) = read::costs(input, &orders, &place_index);
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
        world.dates = read::candidate_dates(&world);
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
