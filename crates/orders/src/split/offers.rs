//! What a location offers of a SKU, in pieces of equal cost, with the whole objective in one number.

use crate::input::Term;
use crate::stock::Stock;
use crate::world::World;

/// Free units of `sku` at `loc` that may ship today with `shelf` days of life.
pub(super) fn available(
    world: &World<'_>,
    stock: &Stock,
    sku: usize,
    loc: usize,
    shelf: i32,
) -> i64 {
    let nodes = world
        .at(sku, loc)
        .iter()
        .filter(|&&node| world.serves(node, world.now, shelf));
    nodes.map(|&node| stock.free[node]).sum()
}

/// Weights that turn the lexicographic objective into one number.
pub(crate) struct Scale(pub Vec<(Term, i128)>);

impl Scale {
    pub fn of(&self, value: impl Fn(Term) -> i64) -> i128 {
        self.0
            .iter()
            .map(|&(term, weight)| i128::from(value(term)) * weight)
            .sum()
    }
}

/// The weights of the configured terms; `None` when the numbers are too large for one.
pub(crate) fn scale(world: &World<'_>) -> Option<Scale> {
    let units: i128 = world
        .orders
        .iter()
        .map(|order| i128::from(order.units))
        .sum();
    let shipments = (world.orders.len() * world.places.len()) as i128;
    let entries = || world.cost_any.iter().chain(world.cost_own.values());
    let most = |pick: fn(&(i64, i64, i64)) -> i64| -> i128 {
        entries()
            .map(|cost| i128::from(pick(cost)))
            .max()
            .unwrap_or(0)
    };
    let bound = |term: Term| -> i128 {
        match term {
            Term::Cost => shipments * most(|cost| cost.0) + units * most(|cost| cost.1),
            Term::Shipments => shipments,
            Term::Distance => shipments * most(|cost| cost.2),
            Term::Rank => {
                let ranks = world
                    .places
                    .iter()
                    .map(|place| i128::from(place.rank).abs());
                2 * units * ranks.max().unwrap_or(0)
            }
            Term::Assembled => 0,
            Term::Balance => world.reserves.iter().map(|x| i128::from(x.2)).sum(),
            Term::Churn => {
                2 * world
                    .claims
                    .soft
                    .iter()
                    .map(|x| i128::from(x.qty))
                    .sum::<i128>()
            }
        }
    };
    let mut weights = Vec::new();
    let mut weight: i128 = 1;
    for &term in world.input.config.efficiency.iter().rev() {
        weights.push((term, weight));
        weight = weight
            .checked_mul(2 * bound(term) + 1)
            .filter(|w| *w < 1i128 << 100)?;
    }
    Some(Scale(weights))
}

/// The units of one location in pieces of equal cost; `None` when a claim moves in a way that is no such list.
pub(super) fn offer(
    world: &World<'_>,
    stock: &Stock,
    order: usize,
    sku: usize,
    loc: usize,
    units: i64,
    scale: &Scale,
) -> Option<Vec<(i64, i128)>> {
    let reserve = world
        .reserves
        .binary_search_by_key(&(sku, loc), |&(sku, loc, _)| (sku, loc))
        .ok()
        .map(|i| world.reserves[i].2);
    let spare = reserve.map_or(i64::MAX, |reserve| {
        let nodes = world.at(sku, loc).iter().map(|&node| &world.nodes[node]);
        let there: i64 = nodes
            .filter(|node| !node.inbound)
            .map(|node| node.units)
            .sum();
        (there - stock.taken.get(&(sku, loc)).copied().unwrap_or(0) - reserve).max(0)
    });
    let mut held = 0;
    for &soft in world
        .claims
        .soft_of
        .get(&order)
        .map_or(&[][..], |list| list)
    {
        let claim = &world.claims.soft[soft];
        let node = &world.nodes[claim.node];
        if node.sku == sku && node.loc == loc {
            if world.at(sku, loc).len() > 1 || held > 0 {
                return None;
            }
            held = claim.qty;
        }
    }
    let (_, per_unit, _) = world.cost(order, loc);
    let mut cuts = vec![spare.min(units), held.min(units), units];
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for cut in cuts {
        if cut > from {
            let cost = scale.of(|term| match term {
                Term::Cost => per_unit,
                Term::Rank => world.places[loc].rank,
                Term::Balance => i64::from(from >= spare),
                Term::Churn => -i64::from(from < held),
                _ => 0,
            });
            pieces.push((cut - from, cost));
            from = cut;
        }
    }
    Some(pieces)
}
