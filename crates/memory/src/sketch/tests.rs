use proptest::prelude::*;

use super::{SKETCH_BITS, sketch_of};

fn differing(one: &[f32], other: &[f32]) -> f64 {
    let (one, other) = (sketch_of(one), sketch_of(other));
    let differ = one
        .bytes()
        .zip(other.bytes())
        .filter(|(a, b)| a != b)
        .count();
    differ as f64 / SKETCH_BITS as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The share of differing bits is the angle over 180 degrees, within five standard deviations.
    #[test]
    fn bits_differ_by_the_angle(
        one in proptest::collection::vec(-1.0_f32..1.0, 1..1600),
        seed in proptest::collection::vec(-1.0_f32..1.0, 1600),
        mix in 0.0_f32..1.0,
    ) {
        let other: Vec<f32> = one.iter().zip(&seed).map(|(a, b)| a * (1.0 - mix) + b * mix).collect();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let lengths = (dot(&one, &one) * dot(&other, &other)).sqrt();
        prop_assume!(lengths > 1e-3);
        let angle = (dot(&one, &other) / lengths).clamp(-1.0, 1.0).acos() / std::f64::consts::PI;
        let found = differing(&one, &other);
        let sigma = (angle * (1.0 - angle) / SKETCH_BITS as f64).sqrt();
        prop_assert!((found - angle).abs() < 5.0 * sigma + 0.02, "{found} for {angle}");
    }
}

#[test]
fn a_sketch_has_its_length_whatever_the_vector() {
    for length in [0, 1, 3, 768, 1024, 1536, 3072] {
        assert_eq!(sketch_of(&vec![0.5; length]).len(), SKETCH_BITS);
    }
}
