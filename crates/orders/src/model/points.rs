//! Points of the program: from uses, to uses, and which among equals.

use super::{Model, Slot, Use};
use crate::engine::program::{Expr, tidy, value};

/// Most variables whose ties are broken.
const TIES_MAX: usize = 160;

impl Model<'_> {
    /// Lets exactly `uses` ship; what was allowed before is returned for [`Model::unfix`].
    pub fn fix(&mut self, uses: &[Use]) -> Vec<(usize, i64, i64)> {
        let mut fixed = Vec::new();
        for slot in &self.slots {
            let used = uses.iter().find(|used| {
                used.order == slot.order && used.loc == slot.loc && used.date == slot.date
            });
            for (line, x) in slot.x.iter().enumerate() {
                if let Some(x) = x {
                    fixed.push((*x, used.map_or(0, |used| used.lines[line])));
                }
            }
            for sku in &slot.skus {
                if let Some(runs) = sku.runs {
                    let of = used.and_then(|used| used.runs.iter().find(|run| run.0 == sku.sku));
                    fixed.push((runs, of.map_or(0, |run| run.1)));
                }
            }
        }
        let mut before = Vec::new();
        for (var, value) in fixed {
            before.push((
                var,
                self.search.program.lo[var],
                self.search.program.hi[var],
            ));
            self.search.set_var(var, value, value);
        }
        before
    }

    /// Takes back [`Model::fix`].
    pub fn unfix(&mut self, before: Vec<(usize, i64, i64)>) {
        for (var, lo, hi) in before {
            self.search.set_var(var, lo, hi);
        }
    }

    /// Among equals the plan whose list of takes comes first: by order, line and location, larger quantities first.
    /// Left out where there are too many variables; the plan is then one of the best, the same in every run.
    pub fn break_ties(&mut self, x: &mut Vec<i64>) {
        let mut vars: Vec<(usize, bool)> = Vec::new();
        for (ask, of) in self.asks.iter().enumerate() {
            let slots: Vec<&Slot> = self.slots.iter().filter(|slot| slot.ask == ask).collect();
            for line in 0..of.lines.len() {
                vars.extend(
                    slots
                        .iter()
                        .filter_map(|slot| slot.x[line])
                        .map(|x| (x, true)),
                );
            }
            let skus = slots.iter().flat_map(|slot| &slot.skus);
            vars.extend(skus.filter_map(|sku| sku.runs).map(|runs| (runs, false)));
        }
        if vars.len() > TIES_MAX {
            return;
        }
        let mut rest = vars.as_slice();
        while !rest.is_empty() {
            // As many variables as fit into one objective, the first weighing most.
            let mut size: i64 = 1;
            let mut count = 0;
            for &(var, _) in rest {
                let (lo, hi) = (self.search.program.lo[var], self.search.program.hi[var]);
                match size.checked_mul(hi - lo + 1).filter(|size| *size < 1 << 30) {
                    Some(next) => size = next,
                    None if count == 0 => {}
                    None => break,
                }
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            let mut weight: i64 = 1;
            let mut goal = Expr::new();
            for &(var, large) in now.iter().rev() {
                goal.push((var, if large { -weight } else { weight }));
                let width = self.search.program.hi[var] - self.search.program.lo[var] + 1;
                weight = weight.saturating_mul(width);
            }
            self.maximise(tidy(goal), x);
            for &(var, _) in now {
                self.search.set_var(var, x[var], x[var]);
            }
            rest = later;
        }
    }

    /// What a point means.
    pub fn uses(&self, x: &[i64]) -> Vec<Use> {
        let mut uses = Vec::new();
        for slot in &self.slots {
            let lines: Vec<i64> = slot.x.iter().map(|v| v.map_or(0, |v| x[v])).collect();
            if lines.iter().all(|&qty| qty == 0) {
                continue;
            }
            let mut takes = Vec::new();
            let mut runs = Vec::new();
            for sku in &slot.skus {
                let take = value(&sku.take, x) as i64;
                if take > 0 {
                    takes.push((sku.sku, take));
                }
                if let Some(count) = sku.runs.map(|v| x[v])
                    && count > 0
                {
                    runs.push((sku.sku, count));
                }
            }
            uses.push(Use {
                order: slot.order,
                loc: slot.loc,
                date: slot.date,
                lines,
                takes,
                runs,
                held: self.asks[slot.ask].held,
            });
        }
        uses
    }
}
