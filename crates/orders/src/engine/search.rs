//! Branch and bound over an integer program, one objective after another.

use super::program::{Program, value};
use super::simplex::{Relaxed, Simplex};

/// Values this near to a whole number are whole; the rounded point is then checked exactly.
const WHOLE: f64 = 1e-6;

/// How much searching one objective may cost. Counts, never seconds, so that every run ends alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Relaxations solved.
    pub nodes: u32,
    /// Tableau cells touched.
    pub work: u64,
}

/// What is known after a search.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The best point, if any was found.
    pub x: Option<Vec<i64>>,
    /// Whether `x` is proven best, or its absence proven.
    pub proven: bool,
}

/// A program under search. Bounds may be tightened between objectives.
pub(crate) struct Search {
    pub program: Program,
    simplex: Simplex,
}

struct Tree<'a> {
    objective: &'a [(usize, i64)],
    /// Every objective value is a multiple of this.
    step: i128,
    best: Option<(i128, Vec<i64>)>,
    proven: bool,
    nodes_left: u32,
    work_end: u64,
    /// Stop at the first point.
    any: bool,
}

impl Search {
    pub fn new(program: Program) -> Self {
        let simplex = Simplex::new(&program);
        Self { program, simplex }
    }

    /// Replaces the range of row `row`.
    pub fn set_row(&mut self, row: usize, lo: i64, hi: i64) {
        self.program.rows[row].lo = lo;
        self.program.rows[row].hi = hi;
        self.simplex.set_bounds(self.program.lo.len() + row, lo, hi);
    }

    /// Replaces the bounds of variable `var`.
    pub fn set_var(&mut self, var: usize, lo: i64, hi: i64) {
        self.program.lo[var] = lo;
        self.program.hi[var] = hi;
        self.simplex.set_bounds(var, lo, hi);
    }

    /// Adds a row; the simplex starts again.
    pub fn add_row(&mut self, terms: Vec<(usize, i64)>, lo: Option<i64>, hi: Option<i64>) -> usize {
        let row = self.program.row(terms, lo, hi);
        let work = self.simplex.work;
        self.simplex = Simplex::new(&self.program);
        self.simplex.work += work;
        row
    }

    /// Looks for any point.
    pub fn feasible(&mut self, limits: Limits) -> Found {
        self.run(&[], None, limits, true)
    }

    /// Minimises `objective`, starting from `incumbent`, which must be a point of the program.
    pub fn minimise(
        &mut self,
        objective: &[(usize, i64)],
        incumbent: Option<Vec<i64>>,
        limits: Limits,
    ) -> Found {
        self.run(objective, incumbent, limits, false)
    }

    fn run(
        &mut self,
        objective: &[(usize, i64)],
        incumbent: Option<Vec<i64>>,
        limits: Limits,
        any: bool,
    ) -> Found {
        self.simplex.set_objective(objective);
        let step = objective
            .iter()
            .fold(0i128, |g, &(_, c)| gcd(g, i128::from(c).abs()))
            .max(1);
        let best = incumbent
            .filter(|x| self.program.admits(x))
            .map(|x| (value(objective, &x), x));
        let mut tree = Tree {
            objective,
            step,
            best,
            proven: true,
            nodes_left: limits.nodes,
            work_end: self.simplex.work.saturating_add(limits.work),
            any,
        };
        if !(any && tree.best.is_some()) {
            self.descend(&mut tree, 0);
        }
        Found {
            x: tree.best.map(|(_, x)| x),
            proven: tree.proven,
        }
    }

    fn descend(&mut self, tree: &mut Tree<'_>, depth: u32) {
        if tree.any && tree.best.is_some() {
            return;
        }
        if tree.nodes_left == 0 || self.simplex.work > tree.work_end || depth > 2_000 {
            tree.proven = false;
            return;
        }
        tree.nodes_left -= 1;
        let cutoff = match &tree.best {
            Some((best, _)) => *best as f64 - tree.step as f64 + 0.5,
            None => f64::INFINITY,
        };
        let mut relaxed = self.simplex.solve(cutoff);
        let mut pruned = self.prunes(tree, relaxed);
        if pruned.is_none() {
            // The tableau may have drifted: say it again from the exact rows.
            self.simplex.rebuild();
            relaxed = self.simplex.solve(f64::INFINITY);
            pruned = self.prunes(tree, relaxed);
        }
        match pruned {
            Some(true) => return,
            Some(false) => {}
            None => {
                tree.proven = false;
                return;
            }
        }
        let x = self.simplex.values();
        let Some(var) = self.branching(&x) else {
            let point: Vec<i64> = x.iter().map(|v| v.round() as i64).collect();
            if self.program.admits(&point) {
                let objective = value(tree.objective, &point);
                if tree.best.as_ref().is_none_or(|(best, _)| objective < *best) {
                    tree.best = Some((objective, point));
                }
                // The vertex is optimal for this part of the tree only as far as its bound says.
                let best = tree.best.as_ref().map_or(i128::MAX, |(best, _)| *best);
                if self.simplex.proven_bound() <= best - tree.step {
                    self.split_widest(tree, depth);
                }
            } else {
                self.split_widest(tree, depth);
            }
            return;
        };
        let (lo, hi) = self.simplex.bounds(var);
        let floor = (x[var].floor() as i64).clamp(lo, hi - 1);
        let down_first = x[var] - x[var].floor() < 0.5;
        self.both(tree, depth, var, floor, down_first);
    }

    fn both(&mut self, tree: &mut Tree<'_>, depth: u32, var: usize, floor: i64, down_first: bool) {
        let (lo, hi) = self.simplex.bounds(var);
        for down in [down_first, !down_first] {
            if down {
                self.simplex.set_bounds(var, lo, floor);
            } else {
                self.simplex.set_bounds(var, floor + 1, hi);
            }
            self.descend(tree, depth + 1);
        }
        self.simplex.set_bounds(var, lo, hi);
    }

    /// Halves the widest box: the way on when the relaxation is whole but not good enough as a proof.
    fn split_widest(&mut self, tree: &mut Tree<'_>, depth: u32) {
        let widest = (0..self.program.lo.len())
            .map(|v| (self.simplex.bounds(v), v))
            .filter(|((lo, hi), _)| lo < hi)
            .max_by_key(|&((lo, hi), v)| (hi - lo, std::cmp::Reverse(v)));
        match widest {
            Some(((lo, hi), var)) => self.both(tree, depth, var, lo + (hi - lo) / 2, true),
            None => {
                // A single point, and it is no solution or already counted.
            }
        }
    }

    /// Whether this node needs no further look; `None` when the claim could not be proven.
    fn prunes(&self, tree: &Tree<'_>, relaxed: Relaxed) -> Option<bool> {
        match relaxed {
            Relaxed::Infeasible(row) => self.simplex.proves_infeasible(row).then_some(true),
            Relaxed::Stalled => None,
            Relaxed::CutOff | Relaxed::Optimal => match &tree.best {
                Some((best, _)) if self.simplex.proven_bound() > best - tree.step => Some(true),
                _ if relaxed == Relaxed::CutOff => None,
                _ => Some(false),
            },
        }
    }

    fn branching(&self, x: &[f64]) -> Option<usize> {
        let mut best: Option<(u8, f64, usize)> = None;
        for (var, &value) in x.iter().enumerate() {
            let away = (value - value.round()).abs();
            if away <= WHOLE {
                continue;
            }
            let (lo, hi) = self.simplex.bounds(var);
            if lo == hi {
                continue;
            }
            let weight = self.program.weight[var];
            let better = match best {
                None => true,
                Some((w, a, _)) => weight > w || (weight == w && away > a + 1e-9),
            };
            if better {
                best = Some((weight, away, var));
            }
        }
        best.map(|(_, _, var)| var)
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
