//! Objectives over the program: unfilled units and the efficiency terms.

use std::collections::{BTreeMap, HashMap};

use super::{Model, SkuVars};
use crate::engine::program::{Expr, Program};
use crate::input::Term;

impl Model<'_> {
    /// Weighted units of `ask` that ship, negated: minimising it fills the order.
    pub fn unfilled(&self, ask: usize) -> Expr {
        let lines = &self.world.orders[self.asks[ask].order].lines;
        let mut terms = Expr::new();
        for (line, info) in lines.iter().enumerate() {
            terms.extend(
                self.line(ask, line)
                    .into_iter()
                    .map(|(x, _)| (x, -info.weight)),
            );
        }
        terms
    }

    /// The efficiency term as a linear objective; constants are left out.
    pub fn term(&self, term: Term) -> Expr {
        let mut terms = Expr::new();
        for slot in &self.slots {
            let (fixed, per_unit, distance) = self.world.cost(slot.order, slot.loc);
            let by_open = match term {
                Term::Cost => fixed,
                Term::Shipments => 1,
                Term::Distance => distance,
                _ => 0,
            };
            terms.extend(slot.open.map(|open| (open, by_open)));
            let by_unit = match term {
                Term::Cost => per_unit,
                Term::Rank => self.world.places[slot.loc].rank,
                _ => 0,
            };
            terms.extend(slot.x.iter().flatten().map(|&x| (x, by_unit)));
            for sku in &slot.skus {
                if let (Some(runs), Some(bill)) = (sku.runs, &self.world.bills.of[sku.sku]) {
                    let by_made = match term {
                        Term::Cost => self.world.assembly_cost[sku.sku],
                        Term::Assembled => 1,
                        _ => 0,
                    };
                    terms.push((runs, by_made.saturating_mul(bill.yields)));
                }
            }
        }
        match term {
            Term::Balance => terms.extend(self.balance.iter().map(|&v| (v, 1))),
            Term::Churn => terms.extend(self.churn.iter().map(|&v| (v, 1))),
            _ => {}
        }
        terms
    }

    /// Units times the days until they are there.
    pub fn lateness(&self) -> Expr {
        self.dated.iter().map(|&(days, var)| (var, days)).collect()
    }

    /// All units taken.
    pub fn units_taken(&self) -> Expr {
        let takes = self.slots.iter().flat_map(|slot| &slot.skus);
        takes.flat_map(|sku| sku.take.iter().copied()).collect()
    }

    /// Units of the orders' own hard claims, negated: the rest of what is taken is claimed beside them.
    pub fn hard_units(&self) -> Expr {
        let skus = self.slots.iter().flat_map(|slot| &slot.skus);
        skus.flat_map(|sku| sku.private.iter().map(|&(_, var)| (var, -1)))
            .collect()
    }

    /// A variable for each reserve that the slots can eat.
    pub(super) fn reserves(&mut self, program: &mut Program, taken: &HashMap<(usize, usize), i64>) {
        for &(sku, loc, reserve) in &self.world.reserves {
            let mut terms: Expr = self
                .slots
                .iter()
                .filter(|slot| slot.loc == loc)
                .flat_map(|slot| &slot.skus)
                .filter(|vars| vars.sku == sku)
                .flat_map(|vars| vars.take.iter().copied())
                .collect();
            if terms.is_empty() {
                continue;
            }
            let stock: i64 = self
                .world
                .at(sku, loc)
                .iter()
                .map(|&node| &self.world.nodes[node])
                .filter(|node| !node.inbound)
                .map(|node| node.units)
                .sum();
            let left = stock - taken.get(&(sku, loc)).copied().unwrap_or(0);
            let most = program.range(&terms).1;
            let eaten = program.var((reserve - left).max(0), (reserve - left + most).max(0), 0);
            terms.push((eaten, -1));
            program.row(terms, None, Some(left - reserve));
            self.balance.push(eaten);
        }
    }

    /// A variable for each soft claim that the slots could move; a lower estimate where a place has several nodes.
    /// `summed` counts claims of one order on one node together: the specification's term takes each alone, and so
    /// does not see when one of two is given up.
    pub(super) fn moved(&mut self, program: &mut Program, summed: bool) {
        let world = self.world;
        let mut places: BTreeMap<(usize, usize, usize), Vec<(usize, i64)>> = BTreeMap::new();
        for soft in &world.claims.soft {
            let node = &world.nodes[soft.node];
            let place = (soft.order, node.sku, node.loc);
            let claims = places.entry(place).or_default();
            match claims
                .iter_mut()
                .find(|claim| summed && claim.0 == soft.node)
            {
                Some(claim) => claim.1 += soft.qty,
                None => claims.push((soft.node, soft.qty)),
            }
        }
        for ((order, sku, loc), claims) in places {
            let vars: Vec<&SkuVars> = self
                .slots
                .iter()
                .filter(|slot| slot.order == order && slot.loc == loc)
                .flat_map(|slot| &slot.skus)
                .filter(|vars| vars.sku == sku)
                .collect();
            // Units of the order's own hard claims keep no soft claim; the specification's term lets them on its node.
            let kept = |of: &[usize]| -> Expr {
                let mut terms = Expr::new();
                for vars in &vars {
                    terms.extend(vars.take.iter().copied());
                    let hard = vars.private.iter();
                    let hard = hard.filter(|(node, _)| summed || !of.contains(node));
                    terms.extend(hard.map(|&(_, var)| (var, -1)));
                }
                terms
            };
            if vars.iter().all(|vars| vars.take.is_empty()) {
                continue;
            }
            let mut nodes: Vec<usize> = claims.iter().map(|&(node, _)| node).collect();
            nodes.sort_unstable();
            nodes.dedup();
            let mut all = kept(&nodes);
            for &(node, qty) in &claims {
                let moved = program.var(0, qty, 0);
                let mut terms = kept(&[node]);
                terms.push((moved, 1));
                program.row(terms, Some(qty), None);
                all.push((moved, 1));
                self.churn.push(moved);
            }
            if nodes.len() == claims.len() && claims.len() > 1 {
                program.row(all, Some(claims.iter().map(|&(_, qty)| qty).sum()), None);
            }
        }
    }
}
