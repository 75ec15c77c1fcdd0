//! Tears a few orders that want the same units out of the plan and plans them again, many times.

use super::{Mine, Wave, grid_cost, remove, take_all};
use crate::split::single::Plain;
use crate::stock::Stock;

/// Most orders torn out at once.
const GROUP_MAX: u64 = 6;

/// How much worse a change may be at first, in thousandths of what an order costs on average.
const HEAT: i128 = 150;

/// The same numbers in every run.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % n.max(1)
    }
}

/// Improves the best plan with at most `solves` orders planned.
pub(super) fn improve(wave: &mut Wave<'_>, mut solves: usize) {
    let neighbours = neighbours(wave);
    let free: Vec<usize> = (0..wave.group.len())
        .filter(|&at| !neighbours[at].is_empty())
        .collect();
    if free.is_empty() {
        return;
    }
    let joined = !wave.world.reserves.is_empty() || !wave.world.claims.soft.is_empty();
    let mut dice = Dice(1);
    let mut plan = wave.best.clone();
    let total = solves.max(1) as i128;
    let heat = wave.best_cost / wave.group.len().max(1) as i128 * HEAT / 1000;
    let mut cost = wave.best_cost;
    let mut stock = wave.stock.clone();
    for (at, mine) in plan.iter().enumerate() {
        if wave.plains[at].is_some() {
            mine.iter()
                .for_each(|(used, takes)| remove(&mut stock, used, takes));
        }
    }
    while solves > 0 {
        let first = free[dice.below(free.len() as u64) as usize];
        let mut torn = vec![first];
        let size = 2 + dice.below(GROUP_MAX - 1) as usize;
        for _ in 0..2 * size {
            let from = torn[dice.below(torn.len() as u64) as usize];
            let near = &neighbours[from];
            let next = near[dice.below(near.len() as u64) as usize];
            if torn.len() < size && !torn.contains(&next) {
                torn.push(next);
            }
        }
        solves = solves.saturating_sub(torn.len());
        let before = if joined { wave.cost(&plan) } else { 0 };
        let old: Vec<Mine> = torn.iter().map(|&at| plan[at].clone()).collect();
        for mine in &old {
            mine.iter()
                .for_each(|(used, takes)| stock.put_back(used, takes));
        }
        let price_times = dice.below(3) as i128;
        let after = replan(wave, &mut stock, &mut plan, &torn, price_times);
        let change = match after {
            Some(new) if !joined => Some(new - old_cost(wave, &torn, &old)),
            Some(_) => Some(wave.cost(&plan) - before),
            None => None,
        };
        // A little worse is taken at first, less and less: what only several changes together mend is found so.
        let warmth = heat * solves as i128 / total;
        if let Some(change) = change.filter(|change| *change <= warmth) {
            cost += change;
            if cost < wave.best_cost {
                wave.best_cost = cost;
                wave.best.clone_from(&plan);
            }
        } else {
            for &at in &torn {
                plan[at]
                    .iter()
                    .for_each(|(used, takes)| stock.put_back(used, takes));
            }
            for (&at, mine) in torn.iter().zip(old) {
                mine.iter()
                    .for_each(|(used, takes)| remove(&mut stock, used, takes));
                plan[at] = mine;
            }
        }
    }
    wave.best_cost = wave.cost(&wave.best);
}

/// Plans the torn orders in turn; what they cost, or `None` with nothing kept when one does not get its fills.
fn replan(
    wave: &Wave<'_>,
    stock: &mut Stock,
    plan: &mut [Mine],
    torn: &[usize],
    price_times: i128,
) -> Option<i128> {
    for &at in torn {
        plan[at] = Vec::new();
    }
    let mut cost = 0;
    for &at in torn {
        let (_, fills) = wave.plains[at].as_ref()?;
        if fills.iter().all(|&qty| qty == 0) {
            continue;
        }
        let plain = Plain::new(wave.world, stock, wave.scale, wave.group[at])?;
        let grid = if price_times == 0 {
            plain.best_grid(wave.world, Some(fills))
        } else {
            let lines = &wave.world.orders[plain.order].lines;
            let price = |line: usize, p: usize| {
                let key = (lines[line].sku, plain.places[p]);
                wave.prices
                    .get(&key)
                    .map_or(0, |price| price * price_times / 2)
            };
            plain
                .priced(super::TIMES, price)
                .best_grid(wave.world, Some(fills))
        };
        let (_, grid) = grid?;
        plan[at] = take_all(wave.world, stock, plain.uses(wave.world, &grid))?;
        cost += grid_cost(&plain, &plan[at]);
    }
    Some(cost)
}

fn old_cost(wave: &Wave<'_>, torn: &[usize], old: &[Mine]) -> i128 {
    let plains = torn.iter().zip(old).filter_map(|(&at, mine)| {
        let (plain, _) = wave.plains[at].as_ref()?;
        Some(grid_cost(plain, mine))
    });
    plains.sum()
}

/// Orders that share a SKU, by index into the group.
pub(super) fn neighbours(wave: &Wave<'_>) -> Vec<Vec<usize>> {
    let skus = |at: usize| &wave.world.orders[wave.group[at]].closure;
    let mut by_sku: std::collections::BTreeMap<usize, Vec<usize>> = Default::default();
    for at in (0..wave.group.len()).filter(|&at| wave.plains[at].is_some()) {
        for &sku in skus(at) {
            by_sku.entry(sku).or_default().push(at);
        }
    }
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); wave.group.len()];
    for orders in by_sku.values() {
        for pair in orders.windows(8.min(orders.len()).max(2)) {
            for &a in pair {
                near[a].extend(pair.iter().copied().filter(|&b| b != a));
            }
        }
    }
    for list in &mut near {
        list.sort_unstable();
        list.dedup();
    }
    near
}
