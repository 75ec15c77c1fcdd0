//! A dual simplex over boxed variables, on a dense tableau.
//!
//! Every variable has two finite bounds, so any basis is dual feasible once each nonbasic variable sits at the bound
//! its reduced cost asks for: there is no first phase, and bounds and objective may change between solves.
//! Its floating-point answers only guide the search. What is claimed (a bound, an infeasibility) is proven again in
//! integers by [`Simplex::proven_bound`] and [`Simplex::proves_infeasible`].

use super::program::{Expr, Program};

/// Violations below this, relative to the bound, do not count.
const FEASIBLE: f64 = 1e-7;
/// Tableau entries below this are zero.
const TINY: f64 = 1e-10;
/// Smallest entry to pivot on.
const PIVOT_MIN: f64 = 1e-7;
/// Pivots after which the tableau is built again from the exact rows.
const PIVOTS_BETWEEN_REBUILDS: u32 = 1_500;
/// Multipliers are rounded to multiples of `2^-SHIFT` for proofs.
const SHIFT: u32 = 30;

/// How one relaxation ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Relaxed {
    /// The tableau holds an optimal vertex.
    Optimal,
    /// The bound passed the cutoff on the way.
    CutOff,
    /// The given row of the tableau cannot be satisfied.
    Infeasible(usize),
    /// The pivot limit was reached.
    Stalled,
}

pub(crate) struct Simplex {
    vars: usize,
    rows: usize,
    tableau: Vec<f64>,
    /// Reduced cost by column.
    reduced: Vec<f64>,
    objective: Expr,
    basic: Vec<usize>,
    nonbasic: Vec<usize>,
    at_upper: Vec<bool>,
    beta: Vec<f64>,
    /// Bounds of variables, then of rows.
    lo: Vec<i64>,
    hi: Vec<i64>,
    matrix: Vec<Expr>,
    pivots: u32,
    /// Tableau cells touched so far: the deterministic clock of the search.
    pub work: u64,
}

impl Simplex {
    pub fn new(program: &Program) -> Self {
        let (vars, rows) = (program.lo.len(), program.rows.len());
        let mut lo = program.lo.clone();
        let mut hi = program.hi.clone();
        lo.extend(program.rows.iter().map(|row| row.lo));
        hi.extend(program.rows.iter().map(|row| row.hi));
        let mut simplex = Self {
            vars,
            rows,
            tableau: Vec::new(),
            reduced: vec![0.0; vars],
            objective: Vec::new(),
            basic: Vec::new(),
            nonbasic: Vec::new(),
            at_upper: vec![false; vars],
            beta: vec![0.0; rows],
            lo,
            hi,
            matrix: program.rows.iter().map(|row| row.terms.clone()).collect(),
            pivots: 0,
            work: 0,
        };
        simplex.rebuild();
        simplex
    }

    /// Bounds of variable `index`; rows follow the variables.
    pub fn bounds(&self, index: usize) -> (i64, i64) {
        (self.lo[index], self.hi[index])
    }

    pub fn set_bounds(&mut self, index: usize, lo: i64, hi: i64) {
        self.lo[index] = lo;
        self.hi[index] = hi;
    }

    pub fn set_objective(&mut self, objective: &[(usize, i64)]) {
        self.objective = objective.to_vec();
        self.price();
    }

    /// Starts again from the basis of all rows.
    pub fn rebuild(&mut self) {
        self.tableau = vec![0.0; self.rows * self.vars];
        for (i, terms) in self.matrix.iter().enumerate() {
            for &(v, a) in terms {
                self.tableau[i * self.vars + v] = a as f64;
            }
        }
        self.basic = (self.vars..self.vars + self.rows).collect();
        self.nonbasic = (0..self.vars).collect();
        self.pivots = 0;
        self.work += (self.rows * self.vars) as u64;
        self.price();
    }

    fn price(&mut self) {
        let mut cost = vec![0.0; self.vars + self.rows];
        for &(v, c) in &self.objective {
            cost[v] = c as f64;
        }
        for (column, &v) in self.nonbasic.iter().enumerate() {
            self.reduced[column] = cost[v];
        }
        for (i, &v) in self.basic.iter().enumerate() {
            if cost[v] != 0.0 {
                let row = &self.tableau[i * self.vars..(i + 1) * self.vars];
                for (d, t) in self.reduced.iter_mut().zip(row) {
                    *d += cost[v] * t;
                }
            }
        }
    }

    fn at(&self, column: usize) -> f64 {
        let v = self.nonbasic[column];
        if self.at_upper[column] {
            self.hi[v] as f64
        } else {
            self.lo[v] as f64
        }
    }

    fn place(&mut self) {
        for column in 0..self.vars {
            let d = self.reduced[column];
            if d > TINY {
                self.at_upper[column] = false;
            } else if d < -TINY {
                self.at_upper[column] = true;
            }
        }
        let at: Vec<f64> = (0..self.vars).map(|column| self.at(column)).collect();
        for i in 0..self.rows {
            let row = &self.tableau[i * self.vars..(i + 1) * self.vars];
            self.beta[i] = row.iter().zip(&at).map(|(t, x)| t * x).sum();
        }
        self.work += (self.rows * self.vars) as u64 / 4;
    }

    /// The objective at the present vertex.
    pub fn objective_value(&self) -> f64 {
        (0..self.vars)
            .map(|column| self.reduced[column] * self.at(column))
            .sum()
    }

    /// Values of the variables at the present vertex.
    pub fn values(&self) -> Vec<f64> {
        let mut x = vec![0.0; self.vars];
        for (column, &v) in self.nonbasic.iter().enumerate() {
            if v < self.vars {
                x[v] = self.at(column);
            }
        }
        for (i, &v) in self.basic.iter().enumerate() {
            if v < self.vars {
                x[v] = self.beta[i];
            }
        }
        x
    }

    /// Minimises the objective; gives up early once it must exceed `cutoff`.
    pub fn solve(&mut self, cutoff: f64) -> Relaxed {
        if self.pivots > PIVOTS_BETWEEN_REBUILDS {
            self.rebuild();
        }
        self.place();
        let limit = 40 * (self.rows + self.vars) + 400;
        for iteration in 0..limit {
            if iteration % 8 == 7 && self.objective_value() > cutoff {
                return Relaxed::CutOff;
            }
            let Some((row, up)) = self.leaving(iteration > limit / 2) else {
                return Relaxed::Optimal;
            };
            let Some(column) = self.entering(row, up) else {
                return Relaxed::Infeasible(row);
            };
            self.pivot(row, column, up);
        }
        Relaxed::Stalled
    }

    /// The basic row that violates its bounds most, and whether it must rise; the first one when `first`.
    fn leaving(&self, first: bool) -> Option<(usize, bool)> {
        let mut best = None;
        let mut most = 0.0;
        for (i, &v) in self.basic.iter().enumerate() {
            let (lo, hi) = (self.lo[v] as f64, self.hi[v] as f64);
            let below = lo - self.beta[i];
            let above = self.beta[i] - hi;
            let violation = below.max(above);
            let scale = 1.0 + if below > above { lo.abs() } else { hi.abs() };
            if violation > FEASIBLE * scale && violation > most {
                most = violation;
                best = Some((i, below > above));
                if first {
                    return best;
                }
            }
        }
        best
    }

    /// The column that enters for `row`, after flipping the columns that may pass it.
    fn entering(&mut self, row: usize, up: bool) -> Option<usize> {
        let start = row * self.vars;
        let v = self.basic[row];
        let target = if up { self.lo[v] } else { self.hi[v] } as f64;
        let mut missing = (target - self.beta[row]).abs();
        let mut candidates: Vec<(f64, usize)> = Vec::new();
        for column in 0..self.vars {
            let t = self.tableau[start + column];
            if t.abs() < PIVOT_MIN {
                continue;
            }
            let n = self.nonbasic[column];
            if self.lo[n] == self.hi[n] {
                continue;
            }
            // Moving the column off its bound must move the row the right way.
            let rises = (t > 0.0) != self.at_upper[column];
            if rises == up {
                candidates.push((self.reduced[column].abs() / t.abs(), column));
            }
        }
        candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut flips = Vec::new();
        let mut next = 0;
        let entering = loop {
            if next == candidates.len() {
                // Nothing is left to enter: flipping all of them would not suffice either.
                return None;
            }
            // Of nearly equal ratios the largest entry is the safest pivot.
            let ratio = candidates[next].0;
            let mut group_end = next + 1;
            while group_end < candidates.len()
                && candidates[group_end].0 <= ratio + 1e-9 * (1.0 + ratio)
            {
                group_end += 1;
            }
            let reach: f64 = candidates[next..group_end]
                .iter()
                .map(|&(_, c)| {
                    let n = self.nonbasic[c];
                    self.tableau[start + c].abs() * (self.hi[n] as f64 - self.lo[n] as f64)
                })
                .sum();
            if reach >= missing - FEASIBLE {
                let mut chosen = candidates[next].1;
                for &(_, c) in &candidates[next..group_end] {
                    if self.tableau[start + c].abs() > self.tableau[start + chosen].abs() + 1e-12 {
                        chosen = c;
                    }
                }
                break chosen;
            }
            missing -= reach;
            flips.extend(candidates[next..group_end].iter().map(|&(_, c)| c));
            next = group_end;
        };
        for column in flips {
            let n = self.nonbasic[column];
            let width = self.hi[n] as f64 - self.lo[n] as f64;
            let step = if self.at_upper[column] { -width } else { width };
            self.at_upper[column] = !self.at_upper[column];
            for i in 0..self.rows {
                self.beta[i] += self.tableau[i * self.vars + column] * step;
            }
        }
        Some(entering)
    }

    fn pivot(&mut self, row: usize, column: usize, up: bool) {
        let vars = self.vars;
        let p = self.tableau[row * vars + column];
        let leaving = self.basic[row];
        let target = if up {
            self.lo[leaving]
        } else {
            self.hi[leaving]
        } as f64;
        let step = (target - self.beta[row]) / p;
        for i in 0..self.rows {
            self.beta[i] += self.tableau[i * vars + column] * step;
        }
        self.beta[row] = self.at(column) + step;
        let mut pivot_row: Vec<(usize, f64)> = Vec::new();
        for k in 0..vars {
            let t = self.tableau[row * vars + k];
            let new = if k == column { 1.0 / p } else { -t / p };
            if k != column && t != 0.0 {
                if new.abs() < TINY {
                    self.tableau[row * vars + k] = 0.0;
                    continue;
                }
                pivot_row.push((k, new));
            }
            self.tableau[row * vars + k] = new;
        }
        for i in 0..self.rows {
            let factor = self.tableau[i * vars + column];
            if i == row || factor == 0.0 {
                continue;
            }
            let line = &mut self.tableau[i * vars..(i + 1) * vars];
            for &(k, t) in &pivot_row {
                let new = line[k] + factor * t;
                line[k] = if new.abs() < TINY { 0.0 } else { new };
            }
            line[column] = factor / p;
            self.work += pivot_row.len() as u64;
        }
        let factor = self.reduced[column];
        for &(k, t) in &pivot_row {
            self.reduced[k] += factor * t;
        }
        self.reduced[column] = factor / p;
        self.basic[row] = self.nonbasic[column];
        self.nonbasic[column] = leaving;
        self.at_upper[column] = !up;
        self.pivots += 1;
        self.work += vars as u64;
    }

    /// A lower bound of the objective over the box and the rows that holds exactly: with any multipliers `y`,
    /// `c x = (c - y A) x + y s`, and the smallest value of the right side over the box bounds the left.
    pub fn proven_bound(&self) -> i128 {
        let mut multipliers = vec![0i128; self.rows];
        for (column, &v) in self.nonbasic.iter().enumerate() {
            if v >= self.vars {
                multipliers[v - self.vars] = rounded(self.reduced[column]);
            }
        }
        let (least, _) = self.combined_range(&multipliers);
        // Ceiling division: the objective is an integer.
        -((-least) >> SHIFT)
    }

    /// Whether tableau row `row` proves, in integers, that no point of the box satisfies the rows.
    pub fn proves_infeasible(&self, row: usize) -> bool {
        let start = row * self.vars;
        // The row reads B - sum t N = 0, a combination of the identities a_i x - s_i = 0.
        let mut scale = 0.0f64;
        let mut multipliers = vec![0.0f64; self.rows];
        if self.basic[row] >= self.vars {
            multipliers[self.basic[row] - self.vars] = -1.0;
        }
        for (column, &v) in self.nonbasic.iter().enumerate() {
            if v >= self.vars {
                multipliers[v - self.vars] = self.tableau[start + column];
            }
        }
        for m in &multipliers {
            scale = scale.max(m.abs());
        }
        if scale == 0.0 {
            return false;
        }
        let exact: Vec<i128> = multipliers.iter().map(|m| rounded(m / scale)).collect();
        // 0 x = sum m (a x - s): infeasible when the range of the right side misses 0.
        let (least, most) = self.ray_range(&exact);
        least > 0 || most < 0
    }

    fn column_sums(&self, multipliers: &[i128]) -> Vec<i128> {
        let mut sums = vec![0i128; self.vars];
        for (terms, &m) in self.matrix.iter().zip(multipliers) {
            if m != 0 {
                for &(v, a) in terms {
                    sums[v] += m * i128::from(a);
                }
            }
        }
        sums
    }

    fn combined_range(&self, multipliers: &[i128]) -> (i128, i128) {
        let mut coefficients: Vec<i128> = self
            .column_sums(multipliers)
            .into_iter()
            .map(|sum| -sum)
            .collect();
        for &(v, c) in &self.objective {
            coefficients[v] += i128::from(c) << SHIFT;
        }
        coefficients.extend_from_slice(multipliers);
        self.range(&coefficients)
    }

    fn ray_range(&self, multipliers: &[i128]) -> (i128, i128) {
        let mut coefficients = self.column_sums(multipliers);
        coefficients.extend(multipliers.iter().map(|m| -m));
        self.range(&coefficients)
    }

    fn range(&self, coefficients: &[i128]) -> (i128, i128) {
        let (mut least, mut most) = (0i128, 0i128);
        for (index, &a) in coefficients.iter().enumerate() {
            if a == 0 {
                continue;
            }
            let (x, y) = (
                a.saturating_mul(i128::from(self.lo[index])),
                a.saturating_mul(i128::from(self.hi[index])),
            );
            least = least.saturating_add(x.min(y));
            most = most.saturating_add(x.max(y));
        }
        (least, most)
    }
}

fn rounded(multiplier: f64) -> i128 {
    let scaled = multiplier * (1u64 << SHIFT) as f64;
    // Beyond this nothing is gained, and products stay inside 128 bits.
    const LARGEST: f64 = 1e22;
    if scaled.is_finite() {
        scaled.clamp(-LARGEST, LARGEST).round() as i128
    } else {
        0
    }
}
