use proptest::prelude::*;

use super::separate;

/// What the best whole way to share `units` is worth.
fn most(curves: &[Vec<f64>], units: usize) -> f64 {
    let Some((first, rest)) = curves.split_first() else {
        return 0.0;
    };
    let worth = |taken: usize| first[taken] + most(rest, units - taken);
    (0..first.len().min(units + 1))
        .map(worth)
        .fold(0.0, f64::max)
}

fn curves(seats: usize, there: usize, taken: &[Vec<f64>]) -> Option<(f64, Vec<Vec<f64>>)> {
    let (passed, cut) = separate(0, there, taken)?;
    let mut curves: Vec<Vec<f64>> = taken.iter().map(|parts| vec![0.0; parts.len()]).collect();
    assert!(cut.curves.iter().all(|curve| curve.0 < seats));
    for (seat, curve) in cut.curves {
        curves[seat] = curve;
    }
    Some((passed, curves))
}

#[test]
fn four_or_three_of_five_units_but_not_both() {
    let taken = [vec![0.2, 0.0, 0.0, 0.0, 0.8], vec![0.4, 0.0, 0.0, 0.6]];
    let (passed, curves) = curves(2, 5, &taken).unwrap();
    assert!((passed - 0.4).abs() < 1e-4, "{passed}");
    assert!((curves[0][4] - 1.0).abs() < 1e-4 && (curves[1][3] - 1.0).abs() < 1e-4);
    assert!(curves[0][1] < 1e-4);
}

#[test]
fn what_whole_units_can_do_is_not_cut() {
    let taken = [vec![0.5, 0.0, 0.5], vec![0.5, 0.0, 0.5]];
    assert!(separate(0, 2, &taken).is_none());
    assert!(separate(0, 4, &taken).is_none());
    assert!(separate(0, 3, &[vec![0.0, 0.0, 1.0], vec![0.0, 1.0]]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn a_cut_holds_for_every_way_to_share_whole_units(
        there in 1usize..9,
        parts in prop::collection::vec(prop::collection::vec(0u32..5, 2..7), 2..5),
    ) {
        let taken: Vec<Vec<f64>> = parts
            .iter()
            .map(|parts| {
                let parts = &parts[..parts.len().min(there + 1)];
                let sum = parts.iter().sum::<u32>().max(1);
                parts.iter().map(|part| f64::from(*part) / f64::from(sum)).collect()
            })
            .collect();
        if let Some((passed, curves)) = curves(taken.len(), there, &taken) {
            prop_assert!(most(&curves, there) <= 1.0 + 1e-9);
            let worth: f64 = curves.iter().flatten().zip(taken.iter().flatten()).map(|(a, b)| a * b).sum();
            prop_assert!((worth - 1.0 - passed).abs() < 1e-9 && passed > 0.0);
            prop_assert!(curves.iter().all(|curve| curve.is_sorted()));
        }
    }
}
