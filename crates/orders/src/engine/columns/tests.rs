use proptest::prelude::*;

use super::Columns;

/// Whether the present point is within demands and limits, and nothing could be cheaper.
fn is_best(program: &Columns, columns: &[(f64, Vec<(usize, f64)>)], right: &[f64], demands: usize) {
    let parts = program.parts();
    let mut met = vec![0.0; right.len()];
    for &(column, part) in &parts {
        for &(row, entry) in &columns[column].1 {
            met[row] += part * entry;
        }
    }
    for (row, (met, right)) in met.iter().zip(right).enumerate() {
        assert!(*met <= right + 1e-4, "row {row}: {met} of {right}");
        assert!(
            row >= demands || *met >= right - 1e-4,
            "row {row}: {met} of {right}"
        );
    }
    let prices = program.prices();
    let worth = |row: usize| {
        if row < demands {
            program.worth(row)
        } else {
            -prices[row - demands]
        }
    };
    for (cost, entries) in columns {
        let paid: f64 = entries.iter().map(|&(row, entry)| worth(row) * entry).sum();
        assert!(cost - paid >= -1e-6, "cheaper: {}", cost - paid);
    }
    let dual: f64 = (0..right.len()).map(|row| worth(row) * right[row]).sum();
    assert!(
        (dual - program.value()).abs() < 1e-3,
        "{dual} {}",
        program.value()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn the_end_is_the_best_also_after_limits_and_bans(
        choices in prop::collection::vec(
            prop::collection::vec((1u32..50, prop::collection::vec(0u32..5, 4)), 1..6),
            1..8,
        ),
        limits in prop::collection::vec(0u32..12, 4),
        late in 0u32..6,
    ) {
        let groups = choices.len();
        let mut right = vec![1.0; groups];
        right.extend(limits.iter().map(|limit| f64::from(*limit)));
        let mut program = Columns::new(&right[..groups], &right[groups..], 10_000.0);
        let mut columns = Vec::new();
        for (group, choices) in choices.iter().enumerate() {
            // Something that is always possible, so that demands can be met.
            let all = choices.iter().map(|(cost, uses)| (f64::from(*cost), uses.clone()));
            for (cost, uses) in all.chain([(100.0, vec![0; 4])]) {
                let mut entries = vec![(group, 1.0)];
                let uses = uses.iter().enumerate().filter(|(_, units)| **units > 0);
                entries.extend(uses.map(|(limit, units)| (groups + limit, f64::from(*units))));
                program.add(cost, entries.clone());
                columns.push((cost, entries));
            }
        }
        prop_assert!(program.solve(10_000));
        is_best(&program, &columns, &right, groups);

        // A limit on the first two of every three columns, but never on what is always possible.
        let row = right.len();
        right.push(f64::from(late) / 2.0);
        let used = (0..columns.len()).filter(|&column| column % 3 != 2 && columns[column].0 < 100.0);
        let used: Vec<usize> = used.collect();
        for &column in &used {
            columns[column].1.push((row, 1.0));
        }
        program.limit(right[row], used.iter().map(|&column| (column, 1.0)));
        program.settle();
        prop_assert!(program.solve(10_000));
        is_best(&program, &columns, &right, groups);

        let (banned, part) = program.parts()[0];
        prop_assert!(part > 0.0);
        if columns[banned].0 < 100.0 {
            program.ban(banned, true);
            prop_assert!(program.solve(10_000));
            prop_assert!(program.parts().iter().all(|part| part.0 != banned || part.1 < 1e-6));
            columns[banned].0 = 10_000.0;
            is_best(&program, &columns, &right, groups);
        }
    }
}
