//! Bills of materials: which are usable, and what a SKU needs down to its leaves.

/// Deepest nesting of bills.
pub const BILL_DEPTH_MAX: u32 = 16;

/// How one run of a kit is made, with SKUs as indices.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub yields: i64,
    pub lines: Vec<(usize, i64)>,
}

/// All bills of a run.
#[derive(Debug, Default)]
pub(crate) struct Bills {
    /// By SKU; absent for leaves and for bills that were rejected.
    pub of: Vec<Option<Bill>>,
    /// Levels of bills below the SKU: 0 for a leaf. A component is always lower than its kit.
    pub depth: Vec<u32>,
    /// SKUs whose bill, or a bill they need, was rejected.
    pub invalid: Vec<bool>,
}

impl Bills {
    /// Sorts good bills from bad ones. `raw` holds the bills that may be assembled, by SKU.
    pub fn new(raw: Vec<Option<Bill>>) -> Self {
        let count = raw.len();
        let mut bills = Self {
            of: raw,
            depth: vec![0; count],
            invalid: vec![false; count],
        };
        let mut state = vec![Visit::Not; count];
        for sku in 0..count {
            bills.visit(sku, &mut state);
        }
        for sku in 0..count {
            if bills.invalid[sku] {
                bills.of[sku] = None;
            }
        }
        bills
    }

    /// `sku` and everything it may be assembled from, kits before their components.
    pub fn closure(&self, skus: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = skus.collect();
        while let Some(sku) = open.pop() {
            if found.contains(&sku) {
                continue;
            }
            found.push(sku);
            if let Some(bill) = &self.of[sku] {
                open.extend(bill.lines.iter().map(|&(component, _)| component));
            }
        }
        found.sort_unstable_by_key(|&sku| (std::cmp::Reverse(self.depth[sku]), sku));
        found
    }

    /// Walks the bills below `root` without recursion, so that a long chain cannot exhaust the stack.
    fn visit(&mut self, root: usize, state: &mut [Visit]) {
        let mut stack = vec![(root, 0usize)];
        while let Some(&mut (sku, ref mut next)) = stack.last_mut() {
            if *next == 0 {
                if state[sku] == Visit::Done {
                    stack.pop();
                    continue;
                }
                state[sku] = Visit::Open;
            }
            let Some(bill) = &self.of[sku] else {
                state[sku] = Visit::Done;
                stack.pop();
                continue;
            };
            if let Some(&(component, _)) = bill.lines.get(*next) {
                *next += 1;
                match state[component] {
                    Visit::Not => stack.push((component, 0)),
                    Visit::Open => self.invalid[sku] = true,
                    Visit::Done => {}
                }
                continue;
            }
            let wrong = bill.lines.is_empty()
                || !(1..=crate::faults::QTY_MAX).contains(&bill.yields)
                || bill
                    .lines
                    .iter()
                    .any(|&(_, q)| !(1..=crate::faults::QTY_MAX).contains(&q));
            let below = bill
                .lines
                .iter()
                .map(|&(c, _)| self.depth[c])
                .max()
                .unwrap_or(0);
            let tainted = bill.lines.iter().any(|&(c, _)| self.invalid[c]);
            self.depth[sku] = (below + 1).min(BILL_DEPTH_MAX + 1);
            if wrong || tainted || self.depth[sku] > BILL_DEPTH_MAX {
                self.invalid[sku] = true;
            }
            state[sku] = Visit::Done;
            stack.pop();
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    Not,
    Open,
    Done,
}
