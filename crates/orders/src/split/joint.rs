//! Several orders at once: exact where the program is small, improved group by group where it is not.

use super::offers::Scale;
use super::{Baseline, Part, single, wave};
use crate::engine::program::Expr;
use crate::input::Scope;
use crate::model::{LIMITS, Model, Shape, Use};
use crate::stock::Stock;
use crate::world::World;

/// Largest tableau that is searched in one piece.
const CELLS_MAX: usize = 400_000;

/// The best plan for a group of orders, never worse than `baseline`.
pub(crate) fn improve(
    world: &World<'_>,
    stock: &Stock,
    scale: Option<&Scale>,
    group: &[usize],
    baseline: &Baseline,
) -> Part {
    let start: Vec<Use> = baseline.uses.iter().map(|(used, _)| used.clone()).collect();
    // A rough count of the program before it is built: about one row and one variable per line and location.
    let lines: usize = group
        .iter()
        .map(|&order| world.orders[order].closure.len())
        .sum();
    let size = lines * world.places.len();
    if size * size * 2 <= CELLS_MAX {
        let shape = Shape {
            policies: true,
            efficiency: true,
            by_date: false,
        };
        let asks = group
            .iter()
            .map(|&order| single::ask(world, order))
            .collect();
        let mut model = Model::new(world, stock, asks, shape);
        let cells = model.search.program.lo.len() * model.search.program.rows.len();
        if cells <= 3 * CELLS_MAX
            && let Some(mut x) = point(&mut model, &start)
        {
            serve_all(&mut model, group.len(), &mut x);
            for &term in &world.input.config.efficiency {
                let objective = model.term(term);
                model.improve(objective, &mut x);
            }
            model.break_ties(&mut x);
            let engine = if model.proven {
                "branch and bound over the wave, exact".to_owned()
            } else {
                "branch and bound over the wave, stopped at its node limit".to_owned()
            };
            return Part {
                uses: model.uses(&x),
                exact: model.proven,
                engine,
            };
        }
    }
    match scale {
        Some(scale) => wave::improve(world, stock, scale, group, baseline),
        None => {
            let engine = "orders one after another".to_owned();
            Part {
                uses: start,
                exact: false,
                engine,
            }
        }
    }
}

/// Gives the first `count` asks their best service, one after another or as one tier.
pub(crate) fn serve_all(model: &mut Model<'_>, count: usize, x: &mut Vec<i64>) {
    match model.world.input.config.scope {
        Scope::Sequence => (0..count).for_each(|ask| serve(model, ask, x)),
        Scope::Joint => {
            let unfilled: Expr = (0..count).flat_map(|ask| model.unfilled(ask)).collect();
            model.improve(unfilled, x);
        }
    }
}

/// Gives order `ask` its best service, keeping what is fixed already.
fn serve(model: &mut Model<'_>, ask: usize, x: &mut Vec<i64>) {
    let order = model.order(ask);
    let lines: Vec<(i64, i64)> = model.world.orders[order]
        .lines
        .iter()
        .map(|line| (line.qty, line.weight))
        .collect();
    let full = |model: &Model<'_>, x: &[i64]| {
        lines
            .iter()
            .enumerate()
            .all(|(i, &(qty, _))| model.shipped(ask, i, x) == qty)
    };
    if !full(model, x) {
        let unfilled = model.unfilled(ask);
        model.improve(unfilled, x);
    }
    let complete = full(model, x);
    for (line, &(qty, weight)) in lines.iter().enumerate() {
        if !complete && weight > 0 && model.shipped(ask, line, x) < qty {
            let more: Expr = model
                .line(ask, line)
                .into_iter()
                .map(|(v, _)| (v, -1))
                .collect();
            model.maximise(more, x);
        }
        if weight > 0 {
            let best = model.shipped(ask, line, x);
            model.set_line(ask, line, best, best);
        }
    }
}

/// A point of the program in which exactly `uses` ship.
pub(crate) fn point(model: &mut Model<'_>, uses: &[Use]) -> Option<Vec<i64>> {
    let before = model.fix(uses);
    let found = model.search.feasible(LIMITS);
    model.unfix(before);
    found.x
}
