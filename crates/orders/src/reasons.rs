//! Why a unit is not given: for each missing unit the first obstacle of section 16 that keeps it away.

mod kits;
mod text;

use std::collections::HashMap;

use crate::input::{Complete, Scope};
use crate::outcome::{Given, line_id};
use crate::plan::{Code, Op, Reason};
use crate::world::World;

/// Who holds what after the plan.
pub(crate) struct Explainer<'a> {
    world: &'a World<'a>,
    op: Op,
    /// Units that nobody holds, by node.
    left: Vec<i64>,
    /// (order, units, hard) by node; no order for claims from outside the run.
    holders: HashMap<usize, Vec<(Option<usize>, i64, bool)>>,
    /// Shipments of each order.
    shipments: HashMap<usize, i64>,
    /// Units that each location still may ship.
    room: Vec<Option<i64>>,
    unconfirmed: Vec<bool>,
}

/// Units that exist but do not reach the order, and what keeps each away.
struct Chunk {
    node: usize,
    qty: i64,
    holder: Option<Option<usize>>,
    obstacles: Vec<Code>,
}

impl<'a> Explainer<'a> {
    pub fn new(world: &'a World<'a>, given: &[Given], op: Op) -> Self {
        let mut explainer = Self {
            world,
            op,
            left: world.nodes.iter().map(|node| node.free).collect(),
            holders: HashMap::new(),
            shipments: HashMap::new(),
            room: world.places.iter().map(|place| place.capacity).collect(),
            unconfirmed: vec![false; world.skus.len()],
        };
        for node in world
            .nodes
            .iter()
            .filter(|node| !node.usable && node.units > 0)
        {
            explainer.unconfirmed[node.sku] = true;
        }
        for hard in &world.claims.hard {
            explainer
                .holders
                .entry(hard.node)
                .or_default()
                .push((hard.order, hard.qty, true));
        }
        for given in given {
            for take in given.takes.iter().filter(|take| take.hard.is_none()) {
                explainer.left[take.node] -= take.qty;
                let holder = (Some(given.used.order), take.qty, false);
                explainer.holders.entry(take.node).or_default().push(holder);
            }
            if given.ships {
                *explainer.shipments.entry(given.used.order).or_default() += 1;
                if let Some(room) = &mut explainer.room[given.used.loc] {
                    *room -= given.used.lines.iter().sum::<i64>();
                }
            }
        }
        explainer
    }

    /// Names the obstacles of `qty` missing units of `line` of `order`; the quantities add up to `qty`.
    pub fn explain(&self, order: usize, line: usize, qty: i64) -> Vec<Reason> {
        let info = &self.world.orders[order];
        if let Some((code, text)) = &info.refused {
            return vec![self.reason(*code, order, line, qty, text.clone())];
        }
        let sku = info.lines[line].sku;
        let mut left = qty;
        let mut reasons = Vec::new();
        let mut chunks = self.chunks(order, sku);
        // Units that only the order's own rules keep away, then units with one obstacle, then the others.
        chunks.sort_by_key(|chunk| (chunk.obstacles.len(), chunk.obstacles.first().copied()));
        let mut by_code: Vec<(Code, i64, Vec<Chunk>)> = Vec::new();
        for chunk in chunks {
            let part = left.min(chunk.qty);
            if part == 0 {
                break;
            }
            left -= part;
            let code = match chunk.obstacles.first() {
                Some(code) => *code,
                None => self.own_rule(order, chunk.node),
            };
            match by_code.iter_mut().find(|entry| entry.0 == code) {
                Some(entry) => {
                    entry.1 += part;
                    entry.2.push(chunk);
                }
                None => by_code.push((code, part, vec![chunk])),
            }
        }
        for (code, qty, chunks) in by_code {
            let text = self.chunk_text(code, order, sku, qty, &chunks);
            reasons.push(self.reason(code, order, line, qty, text));
        }
        if left > 0 {
            let (code, text) = match &self.world.bills.of[sku] {
                Some(_) => self.kit_obstacle(order, sku, left),
                None => self.nothing_there(sku, left),
            };
            match reasons.iter_mut().find(|reason| reason.code == code) {
                Some(reason) => reason.qty = reason.qty.map(|qty| qty + left),
                None => reasons.push(self.reason(code, order, line, left, text)),
            }
        }
        reasons.sort_by_key(|reason| reason.code);
        reasons
    }

    fn reason(&self, code: Code, order: usize, line: usize, qty: i64, text: String) -> Reason {
        Reason {
            code,
            order: Some(self.world.orders[order].id.to_owned()),
            line: Some(line_id(self.world, order, line).to_owned()),
            node: None,
            qty: Some(qty),
            text,
        }
    }

    /// Units of `sku` that the order does not have.
    fn chunks(&self, order: usize, sku: usize) -> Vec<Chunk> {
        let info = &self.world.orders[order];
        let mut chunks = Vec::new();
        for &node in &self.world.sku_nodes[sku] {
            let n = &self.world.nodes[node];
            if self.op != Op::Allocate && self.op != Op::Fill && n.inbound {
                continue;
            }
            let date = n.date.max(if self.later() {
                info.start
            } else {
                self.world.now
            });
            let mut own = Vec::new();
            if n.expiry < date {
                own.push(Code::Expired);
            } else if n.expiry.saturating_sub(info.shelf) < date {
                own.push(Code::ShelfLife);
            }
            if !info.from[n.loc] {
                own.push(Code::ShipFrom);
            }
            if info.start
                > if self.later() {
                    self.world.horizon
                } else {
                    self.world.now
                }
            {
                own.push(Code::NotBefore);
            }
            if self.left[node] > 0 {
                let obstacles = own.clone();
                chunks.push(Chunk {
                    node,
                    qty: self.left[node],
                    holder: None,
                    obstacles,
                });
            }
            for &(holder, qty, hard) in self.holders.get(&node).map_or(&[][..], |list| list) {
                if holder == Some(order) {
                    continue;
                }
                let code = if hard { Code::HardOfOther } else { Code::Ahead };
                // An order behind has what this one could not use; it is not what keeps the units away.
                let behind = !hard && holder.is_some_and(|holder| holder > order);
                let mut obstacles = own.clone();
                let joint = self.op == Op::Split && self.world.input.config.scope == Scope::Joint;
                if !behind || (joint && own.is_empty()) {
                    obstacles.insert(0, code);
                }
                chunks.push(Chunk {
                    node,
                    qty,
                    holder: Some(holder),
                    obstacles,
                });
            }
        }
        chunks
    }

    /// Whether days after today count.
    fn later(&self) -> bool {
        matches!(self.op, Op::Allocate | Op::Fill)
    }

    /// The rule of the order, or of the location of free units, that keeps them away.
    fn own_rule(&self, order: usize, node: usize) -> Code {
        let info = &self.world.orders[order];
        let ships = self.shipments.get(&order).copied().unwrap_or(0);
        let full = self.room[self.world.nodes[node].loc].is_some_and(|room| room <= 0);
        match info.complete {
            _ if full && !self.later() => Code::Capacity,
            _ if info.shipments_left.is_some_and(|left| ships >= left) => Code::MaxShipments,
            Complete::Line => Code::CompleteLine,
            Complete::Order => Code::CompleteOrder,
            Complete::None if info.units_min > 1 && ships == 0 => Code::MinFill,
            Complete::None if info.shipments_left.is_some() => Code::MaxShipments,
            Complete::None => Code::Capacity,
        }
    }
}
