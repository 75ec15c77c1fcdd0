//! Which location ships what, today: service in sequence, then efficiency over all orders together.

mod joint;
mod offers;
mod single;
mod wave;

use crate::model::Use;
use crate::split::offers::Scale;
use crate::stock::{Stock, Take};
use crate::world::World;

/// What a wave ships, and how sure it is that nothing better exists.
#[derive(Default)]
pub(crate) struct Wave {
    pub uses: Vec<(Use, Vec<Take>)>,
    /// What planning one order after another would ship.
    pub baseline: Vec<(Use, Vec<Take>)>,
    pub exact: bool,
    /// One line per engine that was needed.
    pub engines: Vec<String>,
}

/// Splits every order of the world over locations.
pub(crate) fn split(world: &World<'_>) -> Wave {
    let mut wave = Wave {
        exact: true,
        ..Wave::default()
    };
    let scale = offers::scale(world);
    let stock = Stock::new(world);
    for group in groups(world) {
        // Groups share neither stock nor room, so each may start from all of it.
        let baseline = baseline(world, stock.clone(), scale.as_ref(), &group);
        let mut best = Part {
            uses: baseline.uses.iter().map(|(used, _)| used.clone()).collect(),
            exact: baseline.exact,
            engine: "one order, exact".to_owned(),
        };
        if !baseline.exact {
            best.engine = "orders one after another, heuristic".to_owned();
        }
        if group.len() > 1 {
            best = joint::improve(world, &stock, scale.as_ref(), &group, &baseline);
        }
        let taken = assign(world, stock.clone(), best.uses).unwrap_or_else(|| {
            best.exact = false;
            best.engine = "orders one after another, heuristic".to_owned();
            baseline.uses.clone()
        });
        wave.uses.extend(taken);
        wave.baseline.extend(baseline.uses);
        wave.exact &= best.exact;
        if !wave.engines.contains(&best.engine) {
            wave.engines.push(best.engine);
        }
    }
    wave.engines.sort();
    wave
}

/// The plan of one group of orders.
pub(crate) struct Part {
    pub uses: Vec<Use>,
    pub exact: bool,
    pub engine: String,
}

/// Orders planned one after another.
pub(crate) struct Baseline {
    pub uses: Vec<(Use, Vec<Take>)>,
    /// Every order was solved exactly on what those ahead left.
    pub exact: bool,
}

fn baseline(
    world: &World<'_>,
    mut stock: Stock,
    scale: Option<&Scale>,
    group: &[usize],
) -> Baseline {
    let mut uses = Vec::new();
    let mut exact = true;
    for &order in group {
        let (mine, proven) = single::best(world, &stock, scale, order);
        exact &= proven;
        for used in mine {
            match stock
                .take(world, &used, false)
                .or_else(|| stock.take(world, &used, true))
            {
                Some(takes) => uses.push((used, takes)),
                None => exact = false,
            }
        }
    }
    Baseline { uses, exact }
}

/// Gives nodes to the uses of a group, by sequence; `None` when even the tightest rotation does not fit.
pub(crate) fn assign(
    world: &World<'_>,
    stock: Stock,
    mut uses: Vec<Use>,
) -> Option<Vec<(Use, Vec<Take>)>> {
    uses.sort_by_key(|used| (used.order, used.date, used.loc));
    for (by_date, tight) in [(false, false), (true, false), (true, true)] {
        if by_date {
            uses.sort_by_key(|used| (used.date, used.order, used.loc));
        }
        let mut stock = stock.clone();
        let takes: Option<Vec<Vec<Take>>> = uses
            .iter()
            .map(|used| stock.take(world, used, tight))
            .collect();
        if let Some(takes) = takes {
            return Some(uses.into_iter().zip(takes).collect());
        }
    }
    None
}

/// Orders that may ship today, in groups that share no SKU and no limited location. Each group is in sequence.
fn groups(world: &World<'_>) -> Vec<Vec<usize>> {
    let skus = world.skus.len();
    let mut parent: Vec<usize> = (0..skus + world.places.len() + world.orders.len()).collect();
    let ready: Vec<usize> = (0..world.orders.len())
        .filter(|&order| {
            let info = &world.orders[order];
            info.refused.is_none()
                && !info.lines.is_empty()
                && info.start <= world.now
                && info.shipments_left != Some(0)
        })
        .collect();
    for &order in &ready {
        let me = skus + world.places.len() + order;
        for &sku in &world.orders[order].closure {
            if !world.sku_nodes[sku].is_empty() {
                join(&mut parent, me, sku);
            }
        }
        for (loc, place) in world.places.iter().enumerate() {
            if place.capacity.is_some() && world.orders[order].from[loc] {
                join(&mut parent, me, skus + loc);
            }
        }
    }
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for &order in &ready {
        let root = find(&mut parent, skus + world.places.len() + order);
        let at = *index.entry(root).or_insert_with(|| {
            groups.push((root, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(order);
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

pub(crate) fn find(parent: &mut [usize], mut x: usize) -> usize {
    while parent[x] != x {
        parent[x] = parent[parent[x]];
        x = parent[x];
    }
    x
}

pub(crate) fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parent, a), find(parent, b));
    parent[a.max(b)] = a.min(b);
}

#[cfg(test)]
mod tests;
