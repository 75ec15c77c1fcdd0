//! What is still there while a plan is made.

use std::collections::HashMap;

use crate::model::Use;
use crate::world::World;

/// Units and room that nobody has taken yet.
#[derive(Clone)]
pub(crate) struct Stock {
    /// Free units by node, hard claims taken off.
    pub free: Vec<i64>,
    /// Units taken by SKU and location.
    pub taken: HashMap<(usize, usize), i64>,
    /// Units that a location may still ship.
    pub room: Vec<Option<i64>>,
    /// Units of hard claims (by index) that their order has taken already.
    pub claimed: Vec<i64>,
}

/// Units of one node given to one use; `hard` names the claim they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Take {
    pub node: usize,
    pub qty: i64,
    pub hard: Option<usize>,
}

impl Stock {
    pub fn new(world: &World<'_>) -> Self {
        Self {
            free: world.nodes.iter().map(|node| node.free).collect(),
            taken: HashMap::new(),
            room: world.places.iter().map(|place| place.capacity).collect(),
            claimed: vec![0; world.claims.hard.len()],
        }
    }

    /// Gives nodes to `used`, own hard claims first, then earliest units, then rotation. `None`, with nothing
    /// given, when the units are not there.
    pub fn take(&mut self, world: &World<'_>, used: &Use, tight: bool) -> Option<Vec<Take>> {
        let shelf = world.orders[used.order].shelf;
        let mut takes: Vec<Take> = Vec::new();
        let mut complete = true;
        for &(sku, qty) in &used.takes {
            let mut left = qty;
            let mine = world
                .claims
                .hard_of
                .get(&used.order)
                .map_or(&[][..], |list| list);
            for &hard in mine {
                let claim = &world.claims.hard[hard];
                let node = &world.nodes[claim.node];
                if node.sku != sku
                    || node.loc != used.loc
                    || !world.serves(claim.node, used.date, shelf)
                {
                    continue;
                }
                let given = left.min(claim.qty - self.claimed[hard]);
                if given > 0 {
                    self.claimed[hard] += given;
                    takes.push(Take {
                        node: claim.node,
                        qty: given,
                        hard: Some(hard),
                    });
                    left -= given;
                }
            }
            for node in self.in_rotation(world, sku, used, shelf, left, tight) {
                let given = left.min(self.free[node]);
                if given > 0 {
                    self.free[node] -= given;
                    takes.push(Take {
                        node,
                        qty: given,
                        hard: None,
                    });
                    left -= given;
                }
            }
            if left > 0 {
                complete = false;
                break;
            }
        }
        if !complete {
            for take in takes {
                match take.hard {
                    Some(hard) => self.claimed[hard] -= take.qty,
                    None => self.free[take.node] += take.qty,
                }
            }
            return None;
        }
        for &(sku, qty) in &used.takes {
            *self.taken.entry((sku, used.loc)).or_default() += qty;
        }
        if let Some(room) = &mut self.room[used.loc] {
            *room -= used.lines.iter().sum::<i64>();
        }
        Some(takes)
    }

    /// Books `takes`, found by [`Stock::take`] on a copy.
    pub fn give(&mut self, used: &Use, takes: &[Take]) {
        for take in takes {
            match take.hard {
                Some(hard) => self.claimed[hard] += take.qty,
                None => self.free[take.node] -= take.qty,
            }
        }
        for &(sku, qty) in &used.takes {
            *self.taken.entry((sku, used.loc)).or_default() += qty;
        }
        if let Some(room) = &mut self.room[used.loc] {
            *room -= used.lines.iter().sum::<i64>();
        }
    }

    /// Undoes [`Stock::take`].
    pub fn put_back(&mut self, used: &Use, takes: &[Take]) {
        for take in takes {
            match take.hard {
                Some(hard) => self.claimed[hard] -= take.qty,
                None => self.free[take.node] += take.qty,
            }
        }
        for &(sku, qty) in &used.takes {
            *self.taken.entry((sku, used.loc)).or_default() -= qty;
        }
        if let Some(room) = &mut self.room[used.loc] {
            *room += used.lines.iter().sum::<i64>();
        }
    }

    /// Nodes in the order in which their units leave.
    fn in_rotation(
        &self,
        world: &World<'_>,
        sku: usize,
        used: &Use,
        shelf: i32,
        wanted: i64,
        tight: bool,
    ) -> Vec<usize> {
        let mut nodes: Vec<usize> = world
            .at(sku, used.loc)
            .iter()
            .copied()
            .filter(|&node| self.free[node] > 0 && world.serves(node, used.date, shelf))
            .collect();
        if tight {
            // Shortest life first is always possible when anything is.
            nodes.sort_by_key(|&node| {
                let info = &world.nodes[node];
                (info.expiry, info.date, info.received, info.id)
            });
        } else if world.rotation[sku] == crate::input::Rotation::Any {
            nodes = fewest(&nodes, |node| self.free[node], wanted);
        }
        nodes
    }
}

/// The first set, by id, among those of fewest nodes that hold `wanted` units.
fn fewest(nodes: &[usize], free: impl Fn(usize) -> i64, wanted: i64) -> Vec<usize> {
    let mut by_id = nodes.to_vec();
    by_id.sort_unstable();
    let reach = |rest: &[usize], count: usize| -> i64 {
        let mut units: Vec<i64> = rest.iter().map(|&node| free(node)).collect();
        units.sort_unstable_by(|a, b| b.cmp(a));
        units.iter().take(count).sum()
    };
    let Some(count) = (0..=by_id.len()).find(|&count| reach(&by_id, count) >= wanted) else {
        return by_id;
    };
    let mut chosen = Vec::new();
    let mut left = wanted;
    for (i, &node) in by_id.iter().enumerate() {
        if chosen.len() == count {
            break;
        }
        if free(node) + reach(&by_id[i + 1..], count - chosen.len() - 1) >= left {
            chosen.push(node);
            left -= free(node);
        }
    }
    chosen
}
