//! An integer program: boxed variables, ranged rows, all numbers exact.

/// A linear expression: (variable, coefficient), each variable at most once after [`tidy`].
pub(crate) type Expr = Vec<(usize, i64)>;

/// A ranged row `lo <= expr <= hi`.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub terms: Expr,
    pub lo: i64,
    pub hi: i64,
}

/// Boxed integer variables under ranged rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    pub lo: Vec<i64>,
    pub hi: Vec<i64>,
    /// Variables with a higher weight are branched on first.
    pub weight: Vec<u8>,
    pub rows: Vec<Row>,
}

impl Program {
    /// Adds a variable with `lo <= x <= hi`.
    pub fn var(&mut self, lo: i64, hi: i64, weight: u8) -> usize {
        self.lo.push(lo);
        self.hi.push(hi.max(lo));
        self.weight.push(weight);
        self.lo.len() - 1
    }

    /// Adds `lo <= terms <= hi`, with the open ends closed by what the box allows.
    pub fn row(&mut self, terms: Expr, lo: Option<i64>, hi: Option<i64>) -> usize {
        let terms = tidy(terms);
        let (least, most) = self.range(&terms);
        self.rows.push(Row {
            lo: lo.unwrap_or(least),
            hi: hi.unwrap_or(most),
            terms,
        });
        self.rows.len() - 1
    }

    /// What the box alone lets `terms` be.
    pub fn range(&self, terms: &[(usize, i64)]) -> (i64, i64) {
        let (mut least, mut most) = (0i64, 0i64);
        for &(v, a) in terms {
            let (x, y) = (a.saturating_mul(self.lo[v]), a.saturating_mul(self.hi[v]));
            least = least.saturating_add(x.min(y));
            most = most.saturating_add(x.max(y));
        }
        (least, most)
    }

    /// Whether `x` keeps every bound and row, exactly.
    pub fn admits(&self, x: &[i64]) -> bool {
        let boxed = x
            .iter()
            .zip(&self.lo)
            .zip(&self.hi)
            .all(|((x, lo), hi)| lo <= x && x <= hi);
        boxed
            && self.rows.iter().all(|row| {
                let activity = value(&row.terms, x);
                i128::from(row.lo) <= activity && activity <= i128::from(row.hi)
            })
    }
}

/// The exact value of `terms` at `x`.
pub(crate) fn value(terms: &[(usize, i64)], x: &[i64]) -> i128 {
    terms
        .iter()
        .map(|&(v, a)| i128::from(a) * i128::from(x[v]))
        .sum()
}

/// Sums coefficients of equal variables and drops zeros.
pub(crate) fn tidy(mut terms: Expr) -> Expr {
    terms.sort_unstable();
    let mut out: Expr = Vec::with_capacity(terms.len());
    for (v, a) in terms {
        match out.last_mut() {
            Some(last) if last.0 == v => last.1 += a,
            _ => out.push((v, a)),
        }
    }
    out.retain(|&(_, a)| a != 0);
    out
}
