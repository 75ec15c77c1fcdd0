//! Cuts: what whole units cannot do and parts of baskets seem to. Of five units at a location one order may take four or
//! another three, but not both, although half of each would fit.

use super::market::Cut;
use crate::engine::columns::Columns;

/// Parts below this do not count.
const PART_MIN: f64 = 1e-6;
/// By how much a cut must be passed to be worth a row.
const PASSED_MIN: f64 = 0.01;
/// Patterns of one key that are looked at.
const PATTERNS_MAX: usize = 200;
/// Pivots of one separation.
const PIVOTS_MAX: u32 = 2_000;
/// Outweighs whatever covering costs.
const DEAR: f64 = 1_000.0;
/// Cuts are reckoned in whole parts of this, so that what holds holds exactly.
const LIMIT: i64 = 1_000_000;

/// At least so many units for a seat, and in which part of the baskets it is so.
struct Step {
    seat: usize,
    units: usize,
    part: f64,
}

/// The cut of `key`, of which so many units are there, that the present parts pass most, and by how much; `None` when hardly any is. `taken` has for each
/// seat the part of its baskets that takes so many units, by units.
///
/// Whole ways to share the units are found that cover all steps; where that takes more than one way in all, what each
/// step is worth in the covering makes a cut.
pub(super) fn separate(key: usize, there: usize, taken: &[Vec<f64>]) -> Option<(f64, Cut)> {
    let mut steps: Vec<Step> = Vec::new();
    for (seat, parts) in taken.iter().enumerate() {
        let mut part = 0.0;
        for (units, of) in parts.iter().enumerate().skip(1).rev() {
            part += of;
            if *of > PART_MIN {
                steps.push(Step { seat, units, part });
            }
        }
    }
    if steps.iter().all(|step| step.part > 1.0 - PART_MIN) {
        return None;
    }
    let demands: Vec<f64> = steps.iter().map(|step| step.part).collect();
    let mut program = Columns::new(&demands, &[], DEAR);
    for (s, step) in steps.iter().enumerate() {
        program.add(0.0, vec![(s, -1.0)]);
        program.add(1.0, covers(&steps, &[(step.seat, step.units)]));
    }
    for _ in 0..PATTERNS_MAX {
        if !program.solve(PIVOTS_MAX) {
            return None;
        }
        let worth: Vec<f64> = (0..steps.len())
            .map(|s| program.worth(s).max(0.0))
            .collect();
        let (most, shares) = best_shares(&steps, &worth, there);
        if most <= 1.0 + 1e-7 {
            if program.value() < 1.0 + PASSED_MIN {
                return None;
            }
            return Some(lifted(key, there, taken, &steps, &worth))
                .filter(|(passed, _)| *passed > PASSED_MIN);
        }
        program.add(1.0, covers(&steps, &shares));
    }
    None
}

/// The steps that shares, (seat, units), cover.
fn covers(steps: &[Step], shares: &[(usize, usize)]) -> Vec<(usize, f64)> {
    let is_covered = |step: &Step| {
        let mine = shares.iter().find(|share| share.0 == step.seat);
        mine.is_some_and(|share| share.1 >= step.units)
    };
    let steps = steps.iter().enumerate();
    steps
        .filter(|(_, step)| is_covered(step))
        .map(|(s, _)| (s, 1.0))
        .collect()
}

/// The way to share units that is worth most, and its (seat, units).
fn best_shares(steps: &[Step], worth: &[f64], units: usize) -> (f64, Vec<(usize, usize)>) {
    let mut best = vec![0.0f64; units + 1];
    let mut choices: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut at = 0;
    for mine in steps.chunk_by(|a, b| a.seat == b.seat) {
        // Steps of a seat go from many units to few; units are worth their step and all below.
        let mut levels = Vec::new();
        let mut value = 0.0;
        for (step, worth) in mine.iter().zip(&worth[at..]).rev() {
            value += worth;
            levels.push((step.units, value));
        }
        at += mine.len();
        let mut choice = vec![0; units + 1];
        let mut next = best.clone();
        for left in 0..=units {
            for &(taken, value) in levels.iter().filter(|level| level.0 <= left) {
                if best[left - taken] + value > next[left] {
                    next[left] = best[left - taken] + value;
                    choice[left] = taken;
                }
            }
        }
        best = next;
        choices.push((mine[0].seat, choice));
    }
    let mut left = units;
    let mut shares = Vec::new();
    for (seat, choice) in choices.iter().rev() {
        let taken = choice[left];
        if taken > 0 {
            shares.push((*seat, taken));
            left -= taken;
        }
    }
    (best[units], shares)
}

/// The steps' worth as a cut, each curve raised as far as it holds; and by how much the present parts pass it.
fn lifted(
    key: usize,
    there: usize,
    taken: &[Vec<f64>],
    steps: &[Step],
    worth: &[f64],
) -> (f64, Cut) {
    let mut curves: Vec<Vec<i64>> = taken.iter().map(|parts| vec![0; parts.len()]).collect();
    for (step, worth) in steps.iter().zip(worth) {
        // Rounded down, so that no whole way to share is worth more than the limit.
        let worth = (worth / (1.0 + 1e-6) * LIMIT as f64).floor() as i64;
        let above = curves[step.seat].iter_mut().skip(step.units);
        above.for_each(|value| *value += worth);
    }
    for seat in 0..curves.len() {
        let others = most_of_others(&curves, seat, there);
        for (units, value) in curves[seat].iter_mut().enumerate().skip(1) {
            // The others have never less to gain from more units, so the curve does not fall.
            *value = (*value).max(LIMIT - others[there - units.min(there)]);
        }
    }
    let passed: f64 = curves
        .iter()
        .zip(taken)
        .flat_map(|(curve, parts)| curve.iter().zip(parts))
        .map(|(value, part)| *value as f64 / LIMIT as f64 * part)
        .sum();
    let curves = curves.into_iter().enumerate();
    let curves = curves.filter(|(_, curve)| curve.iter().any(|value| *value > 0));
    let curves = curves.map(|(seat, curve)| {
        let curve = curve.iter().map(|value| *value as f64 / LIMIT as f64);
        (seat, curve.collect())
    });
    let cut = Cut {
        key,
        curves: curves.collect(),
    };
    (passed - 1.0, cut)
}

/// The most that all but one seat are worth, by units shared among them.
fn most_of_others(curves: &[Vec<i64>], but: usize, units: usize) -> Vec<i64> {
    let mut best = vec![0i64; units + 1];
    let others = curves.iter().enumerate().filter(|(seat, _)| *seat != but);
    for (_, curve) in others {
        for left in (0..=units).rev() {
            let options = curve.iter().take(left + 1).enumerate();
            best[left] = options
                .map(|(taken, value)| best[left - taken] + value)
                .max()
                .unwrap_or(best[left]);
        }
    }
    best
}

#[cfg(test)]
mod tests;
