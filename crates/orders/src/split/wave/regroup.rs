//! Takes a dozen orders or so that want the same units out of the plan and plans them together, as a wave of their own.

use super::market::Market;
use super::master::Master;
use super::repair::{Dice, neighbours};
use super::{Mine, TIMES, Wave, grid_cost, remove, take_all};
use crate::split::single::Plain;
use crate::stock::Stock;

/// Fewest orders planned together.
const SIZE_MIN: usize = 8;
/// So many sizes there are.
const SIZES: usize = 13;
/// How often orders are planned together.
const REGROUPS_MAX: usize = 600;
/// How often in vain, one after the other, before it is enough.
const IDLE_MAX: usize = 150;
/// Rounds of the climb of such a group.
const CLIMB_ROUNDS: usize = 40;
/// Rounds of cuts of such a group.
const CUT_ROUNDS: usize = 4;

/// Improves the best plan until `bound`, times [`TIMES`], is met.
pub(super) fn improve(wave: &mut Wave<'_>, bound: i128) {
    let neighbours = neighbours(wave);
    let free: Vec<usize> = (0..wave.group.len())
        .filter(|&at| !neighbours[at].is_empty())
        .collect();
    if free.is_empty() {
        return;
    }
    let mut dice = Dice(2);
    let mut stock = wave.stock.clone();
    for (at, mine) in wave.best.iter().enumerate() {
        if wave.plains[at].is_some() {
            mine.iter()
                .for_each(|(used, takes)| remove(&mut stock, used, takes));
        }
    }
    let mut idle = 0;
    for _ in 0..REGROUPS_MAX {
        if wave.best_cost * TIMES <= bound || idle == IDLE_MAX {
            break;
        }
        let mut torn = vec![free[dice.below(free.len() as u64) as usize]];
        let size = SIZE_MIN + dice.below(SIZES as u64) as usize;
        for _ in 0..4 * size {
            let from = torn[dice.below(torn.len() as u64) as usize];
            let near = &neighbours[from];
            let next = near[dice.below(near.len() as u64) as usize];
            if torn.len() < size && !torn.contains(&next) {
                torn.push(next);
            }
        }
        torn.sort_unstable();
        let old: Vec<Mine> = torn.iter().map(|&at| wave.best[at].clone()).collect();
        for (used, takes) in old.iter().flatten() {
            stock.put_back(used, takes);
        }
        let new = together(wave, &stock, &torn);
        let (saved, mines) = new.unwrap_or((0, old));
        for (&at, mine) in torn.iter().zip(mines) {
            mine.iter()
                .for_each(|(used, takes)| remove(&mut stock, used, takes));
            wave.best[at] = mine;
        }
        wave.best_cost -= saved;
        idle = if saved > 0 { 0 } else { idle + 1 };
    }
    wave.best_cost = wave.cost(&wave.best);
}

/// The orders `torn` planned together on `stock`, and what that saves; `None` when nothing as good was found.
fn together(wave: &Wave<'_>, stock: &Stock, torn: &[usize]) -> Option<(i128, Vec<Mine>)> {
    let mut plains = Vec::new();
    plains.resize_with(wave.group.len(), || None);
    let mut cost = 0;
    for &at in torn {
        let (_, fills) = wave.plains[at].as_ref()?;
        let plain = Plain::new(wave.world, stock, wave.scale, wave.group[at])?;
        cost += grid_cost(&plain, &wave.best[at]);
        plains[at] = Some((plain, fills.clone()));
    }
    let market = Market::new(wave.world, &plains, &wave.units(stock), cost);
    if !Master::takes(&market) {
        return None;
    }
    let mut master = Master::new(market, cost, CLIMB_ROUNDS);
    master.know(&plains, &wave.best);
    master.raise(CUT_ROUNDS);
    // Costs are whole, so less than one step below the present cost is nothing.
    if master.bound > (cost - 1) * TIMES {
        return None;
    }
    let baskets = master.dive()?;
    let mut stock = stock.clone();
    let mut mines = vec![Mine::new(); torn.len()];
    let mut new = 0;
    for (at, basket) in baskets {
        let (plain, _) = plains[at].as_ref()?;
        let grid = basket.grid(plain.lines.len(), plain.places.len());
        let mine = take_all(wave.world, &mut stock, plain.uses(wave.world, &grid))?;
        new += grid_cost(plain, &mine);
        mines[torn.binary_search(&at).ok()?] = mine;
    }
    (new <= cost).then_some((cost - new, mines))
}
