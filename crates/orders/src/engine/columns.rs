//! A linear program that grows by columns and by limits: demands to be met exactly, limits to be kept.
//!
//! A primal simplex on a dense inverse, in floating point. Its answers only guide: whatever is claimed of them is
//! proven elsewhere in whole numbers.

/// Reduced costs above `-CHEAPER` do not improve anything.
const CHEAPER: f64 = 1e-9;
/// The first fine for what is not allowed. A fine that outweighs all else leads astray before it leads to the end.
const FINE: f64 = 2.0;
/// By how much the fine grows while it is paid.
const FINE_STEP: f64 = 8.0;
/// Smallest entry to pivot on.
const PIVOT_MIN: f64 = 1e-7;
/// Pivots after which the inverse is built again.
const PIVOTS_BETWEEN_REBUILDS: u32 = 400;
/// Entries of the inverse below this are zero.
const TINY: f64 = 1e-12;
/// How far below zero rounding may lead before all starts again.
const LOST: f64 = 1e-5;
/// How much a value may pass zero for the sake of a larger pivot.
const SLACK: f64 = 1e-8;
/// Limits are widened by up to this much, each by another part of it, so that no two bind at the same step.
const LOOSE: f64 = 1e-6;

struct Column {
    cost: f64,
    banned: bool,
    /// (row, entry), each row once.
    entries: Vec<(usize, f64)>,
}

/// What stands in the basis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    /// The row's own unit column: the slack of a limit, the lack of a demand.
    Unit(usize),
    Column(usize),
    /// What passes the limit of a row.
    Over(usize),
}

/// The program; see the module. Rows are numbered as they were added, demands first.
pub(crate) struct Columns {
    demands: usize,
    right: Vec<f64>,
    /// What a unit costs of a demand that is not met.
    dear: f64,
    /// What a unit costs of a limit that is passed, and of a banned column more than before.
    fine: f64,
    columns: Vec<Column>,
    /// By row.
    basis: Vec<Member>,
    /// Row by row.
    inverse: Vec<f64>,
    x: Vec<f64>,
    duals: Vec<f64>,
    pivots: u32,
    /// Cells of the inverse passed so far: the deterministic clock.
    pub work: u64,
}

impl Columns {
    /// Demands and limits, none below zero, without columns. `dear` outweighs whatever meeting all demands costs.
    pub fn new(demands: &[f64], limits: &[f64], dear: f64) -> Self {
        let rows = demands.len() + limits.len();
        let mut right = demands.to_vec();
        right.extend(limits.iter().enumerate().map(|(k, &limit)| loose(limit, k)));
        let mut program = Self {
            demands: demands.len(),
            right,
            dear,
            fine: FINE,
            columns: Vec::new(),
            basis: (0..rows).map(Member::Unit).collect(),
            inverse: Vec::new(),
            x: Vec::new(),
            duals: Vec::new(),
            pivots: 0,
            work: 0,
        };
        program.start();
        program.price();
        program
    }

    /// Adds a column with its entries by row; its number.
    pub fn add(&mut self, cost: f64, entries: Vec<(usize, f64)>) -> usize {
        self.columns.push(Column {
            cost,
            banned: false,
            entries,
        });
        self.columns.len() - 1
    }

    /// Adds a limit, not below zero, with its entries by column. [`Columns::settle`] must follow.
    pub fn limit(&mut self, limit: f64, entries: impl Iterator<Item = (usize, f64)>) {
        let row = self.right.len();
        self.right.push(loose(limit, row));
        for (column, entry) in entries {
            self.columns[column].entries.push((row, entry));
        }
        // What passes the limit at present stands in the basis until a pivot drives it out.
        let basic = self.basis.iter().zip(&self.x);
        let used: f64 = basic
            .map(|(&v, x)| match v {
                Member::Column(c) => self.columns[c].at(row) * x,
                Member::Unit(_) | Member::Over(_) => 0.0,
            })
            .sum();
        self.basis.push(if used > self.right[row] {
            Member::Over(row)
        } else {
            Member::Unit(row)
        });
    }

    /// Takes up the limits that were added.
    pub fn settle(&mut self) {
        self.rebuild();
    }

    /// Makes a column too dear to use, or takes that back.
    pub fn ban(&mut self, column: usize, banned: bool) {
        self.columns[column].banned = banned;
    }

    /// The prices of limits, none below zero.
    pub fn prices(&self) -> Vec<f64> {
        let duals = &self.duals[self.demands..];
        duals.iter().map(|y| (-y).max(0.0)).collect()
    }

    /// What one more unit of a demand would cost.
    pub fn worth(&self, demand: usize) -> f64 {
        self.duals[demand]
    }

    /// The cost of the present point.
    pub fn value(&self) -> f64 {
        let basic = self.basis.iter().zip(&self.x);
        basic.map(|(&v, x)| self.cost(v) * x).sum()
    }

    /// How much of each column is used: (column, units), those used at all.
    pub fn parts(&self) -> Vec<(usize, f64)> {
        let basic = self.basis.iter().zip(&self.x);
        let mut parts: Vec<(usize, f64)> = basic
            .filter_map(|(&v, &x)| match v {
                Member::Column(column) if x > CHEAPER => Some((column, x)),
                _ => None,
            })
            .collect();
        parts.sort_unstable_by_key(|part| part.0);
        parts
    }

    /// Minimises the cost with at most `pivots` pivots; whether the end was reached.
    pub fn solve(&mut self, pivots: u32) -> bool {
        self.fine = FINE;
        self.price();
        for _ in 0..pivots {
            let Some((entering, reduced)) = self.entering() else {
                if self.fine < self.dear && self.is_fined() {
                    // Cheaper to pay than to obey: not for long.
                    self.fine *= FINE_STEP;
                    self.price();
                    continue;
                }
                return true;
            };
            let alpha = self.image(entering);
            let Some(row) = self.leaving(&alpha) else {
                return false;
            };
            self.pivot(entering, reduced, row, &alpha);
        }
        false
    }

    /// Whether a limit is passed or a banned column used.
    fn is_fined(&self) -> bool {
        let mut basic = self.basis.iter().zip(&self.x);
        basic.any(|(&v, &x)| {
            let is_wrong = match v {
                Member::Over(_) => true,
                Member::Column(column) => self.columns[column].banned,
                Member::Unit(_) => false,
            };
            is_wrong && x > PIVOT_MIN
        })
    }

    fn cost(&self, v: Member) -> f64 {
        match v {
            Member::Unit(row) if row < self.demands => self.dear,
            Member::Unit(_) => 0.0,
            Member::Over(_) => self.fine,
            Member::Column(column) if self.columns[column].banned => {
                self.columns[column].cost + self.fine
            }
            Member::Column(column) => self.columns[column].cost,
        }
    }

    fn price(&mut self) {
        let rows = self.right.len();
        let mut duals = vec![0.0; rows];
        for (row, &v) in self.basis.iter().enumerate() {
            let cost = self.cost(v);
            if cost != 0.0 {
                let line = &self.inverse[row * rows..(row + 1) * rows];
                for (y, b) in duals.iter_mut().zip(line) {
                    *y += cost * b;
                }
            }
        }
        self.duals = duals;
    }

    /// The column that saves most per unit.
    fn entering(&self) -> Option<(Member, f64)> {
        let mut best: Option<(Member, f64)> = None;
        let mut offer = |v: Member, reduced: f64| {
            if reduced < best.map_or(-CHEAPER, |(_, least)| least) {
                best = Some((v, reduced));
            }
        };
        for row in self.demands..self.right.len() {
            offer(Member::Unit(row), -self.duals[row]);
        }
        for (c, column) in self.columns.iter().enumerate() {
            if !column.banned {
                offer(Member::Column(c), column.cost - column.along(&self.duals));
            }
        }
        best
    }

    /// The column in terms of the basis.
    fn image(&self, v: Member) -> Vec<f64> {
        let unit;
        let entries = match v {
            Member::Unit(row) => {
                unit = [(row, 1.0)];
                &unit[..]
            }
            Member::Over(row) => {
                unit = [(row, -1.0)];
                &unit[..]
            }
            Member::Column(column) => &self.columns[column].entries,
        };
        let lines = self.inverse.chunks_exact(self.right.len().max(1));
        let along = |line: &[f64]| entries.iter().map(|&(r, a)| line[r] * a).sum();
        lines.map(along).collect()
    }

    fn leaving(&self, alpha: &[f64]) -> Option<usize> {
        let rows = alpha.iter().zip(&self.x).enumerate();
        let rows = rows.filter(|(_, (a, _))| **a > PIVOT_MIN);
        let reach = rows
            .clone()
            .map(|(_, (a, x))| (x.max(0.0) + SLACK) / a)
            .fold(f64::INFINITY, f64::min);
        // Of those that are at zero by then the largest entry is the safest.
        let near = rows.filter(|(_, (a, x))| x.max(0.0) / **a <= reach);
        near.max_by(|x, y| x.1.0.total_cmp(y.1.0).then(y.0.cmp(&x.0)))
            .map(|(row, _)| row)
    }

    fn pivot(&mut self, entering: Member, reduced: f64, row: usize, alpha: &[f64]) {
        let step = self.x[row].max(0.0) / alpha[row];
        for (x, a) in self.x.iter_mut().zip(alpha) {
            *x -= step * a;
        }
        self.x[row] = step;
        let pivot_row = self.eliminate(row, alpha);
        for (y, b) in self.duals.iter_mut().zip(&pivot_row) {
            *y += reduced * b;
        }
        self.basis[row] = entering;
        self.pivots += 1;
        if self.pivots >= PIVOTS_BETWEEN_REBUILDS {
            self.rebuild();
        }
    }

    /// Makes `alpha` the unit column of `row`; the row's new line of the inverse.
    fn eliminate(&mut self, row: usize, alpha: &[f64]) -> Vec<f64> {
        let rows = self.right.len();
        self.work += (rows * rows) as u64;
        let mut pivot_row = self.inverse[row * rows..(row + 1) * rows].to_vec();
        pivot_row.iter_mut().for_each(|b| *b /= alpha[row]);
        let there = pivot_row.iter().enumerate().filter(|(_, b)| **b != 0.0);
        let there: Vec<(usize, f64)> = there.map(|(k, b)| (k, *b)).collect();
        let is_dense = there.len() * 3 > rows;
        for (i, line) in self.inverse.chunks_exact_mut(rows).enumerate() {
            let a = alpha[i];
            if i == row || a == 0.0 {
                continue;
            }
            if is_dense {
                for (b, p) in line.iter_mut().zip(&pivot_row) {
                    let new = *b - a * p;
                    *b = if new.abs() < TINY { 0.0 } else { new };
                }
            } else {
                for &(k, p) in &there {
                    let new = line[k] - a * p;
                    line[k] = if new.abs() < TINY { 0.0 } else { new };
                }
            }
        }
        self.inverse[row * rows..(row + 1) * rows].copy_from_slice(&pivot_row);
        pivot_row
    }

    /// The basis of all units: nothing is met, and nothing passed.
    fn start(&mut self) {
        let rows = self.right.len();
        self.basis = (0..rows).map(Member::Unit).collect();
        self.inverse = vec![0.0; rows * rows];
        for row in 0..rows {
            self.inverse[row * rows + row] = 1.0;
        }
        self.x.clone_from(&self.right);
    }

    /// Builds the inverse again from the members of the basis.
    fn rebuild(&mut self) {
        let rows = self.right.len();
        self.inverse = vec![0.0; rows * rows];
        for row in 0..rows {
            self.inverse[row * rows + row] = 1.0;
        }
        let mut members = std::mem::take(&mut self.basis);
        members.sort_unstable();
        // Units that were not members stand in for what no row can take.
        let rest = (0..rows).map(Member::Unit);
        let rest: Vec<Member> = rest.filter(|v| members.binary_search(v).is_err()).collect();
        let mut places: Vec<Option<Member>> = vec![None; rows];
        for v in members.into_iter().chain(rest) {
            let alpha = match v {
                Member::Unit(row) if places.iter().flatten().all(is_unit) => {
                    places[row] = Some(v);
                    continue;
                }
                _ => self.image(v),
            };
            let free = (0..rows).filter(|&row| places[row].is_none());
            let row = free.max_by(|&a, &b| alpha[a].abs().total_cmp(&alpha[b].abs()));
            match row {
                Some(row) if alpha[row].abs() > PIVOT_MIN => {
                    self.eliminate(row, &alpha);
                    places[row] = Some(v);
                }
                Some(_) => {}
                None => break,
            }
        }
        let places = places.into_iter().enumerate();
        self.basis = places
            .map(|(row, v)| v.unwrap_or(Member::Unit(row)))
            .collect();
        let lines = self.inverse.chunks_exact(rows.max(1));
        let along = |line: &[f64]| line.iter().zip(&self.right).map(|(b, r)| b * r).sum();
        self.x = lines.map(along).collect();
        self.pivots = 0;
        if self.x.iter().any(|x| *x < -LOST) {
            self.start();
        }
        self.price();
    }
}

impl Column {
    fn at(&self, row: usize) -> f64 {
        let entry = self.entries.iter().find(|entry| entry.0 == row);
        entry.map_or(0.0, |entry| entry.1)
    }

    fn along(&self, line: &[f64]) -> f64 {
        self.entries.iter().map(|&(row, a)| line[row] * a).sum()
    }
}

fn is_unit(v: &Member) -> bool {
    matches!(v, Member::Unit(_))
}

fn loose(limit: f64, row: usize) -> f64 {
    limit + LOOSE * (1.0 + (row * 7_919 % 1_009) as f64 / 1_009.0)
}

#[cfg(test)]
mod tests;
