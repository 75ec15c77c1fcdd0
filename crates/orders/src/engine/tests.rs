use proptest::prelude::*;

use super::program::{Program, value};
use super::search::{Limits, Search};

const LIMITS: Limits = Limits {
    nodes: 20_000,
    work: 200_000_000,
};

fn brute(program: &Program, objective: &[(usize, i64)]) -> Option<i128> {
    let mut x = program.lo.clone();
    let mut best = None;
    loop {
        if program.admits(&x) {
            let v = value(objective, &x);
            best = Some(best.map_or(v, |b: i128| b.min(v)));
        }
        let mut k = 0;
        loop {
            if k == x.len() {
                return best;
            }
            if x[k] < program.hi[k] {
                x[k] += 1;
                break;
            }
            x[k] = program.lo[k];
            k += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn the_search_agrees_with_counting_every_point(
        bounds in prop::collection::vec((-2i64..2, 0i64..4), 1..6),
        rows in prop::collection::vec((prop::collection::vec(-3i64..4, 6), -6i64..7, 0i64..8), 0..5),
        costs in prop::collection::vec(-5i64..6, 6),
    ) {
        let mut program = Program::default();
        for &(lo, width) in &bounds {
            program.var(lo, lo + width, 0);
        }
        for (a, lo, width) in &rows {
            let terms = (0..bounds.len()).map(|v| (v, a[v])).collect();
            program.row(terms, Some(*lo), Some(lo + width));
        }
        let objective: Vec<(usize, i64)> = (0..bounds.len()).map(|v| (v, costs[v])).collect();
        let expected = brute(&program, &objective);
        let mut search = Search::new(program);
        let found = search.minimise(&objective, None, LIMITS);
        prop_assert!(found.proven);
        prop_assert_eq!(found.x.map(|x| value(&objective, &x)), expected);
        let again = search.feasible(LIMITS);
        prop_assert_eq!(again.x.is_some(), expected.is_some());
    }
}
