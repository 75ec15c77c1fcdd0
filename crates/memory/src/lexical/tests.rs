use super::{LEXICAL_DIMENSIONS, vector_of};

fn alike(one: &str, other: &str) -> f32 {
    let (one, other) = (vector_of(one), vector_of(other));
    one.iter().zip(&other).map(|(a, b)| a * b).sum()
}

#[test]
fn the_same_text_has_the_same_vector_of_length_one() {
    let text = "WHITE HANGING HEART T-LIGHT HOLDER";
    assert_eq!(vector_of(text), vector_of(text));
    assert_eq!(vector_of(text).len(), LEXICAL_DIMENSIONS);
    assert!((alike(text, text) - 1.0).abs() < 1e-5);
    assert!(vector_of("").iter().all(|x| *x == 0.0));
}

/// A vector that changes must come with another version: those of the last one are kept for months.
#[test]
fn the_vectors_of_version_1_stay_as_they_are() {
    let vector = vector_of("Straße 85123A, café au lait");
    // What a machine rounds otherwise in the last digits is no other vector.
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|x| ((x * 10_000.0).round() as i32).to_le_bytes())
        .collect();
    let found = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes));
    assert_eq!(found, "da52ab02e8a9ade9");
}

#[test]
fn another_notation_a_slip_and_another_order_stay_near() {
    let near = [
        ("85123A", "85123-a"),
        (
            "WHITE HANGING HEART T-LIGHT HOLDER",
            "white tlight holders, hanging hearts",
        ),
        ("Wentworth Trading", "Wentwroth Tradng"),
        ("lunchbox", "lunch box"),
    ];
    for (one, other) in near {
        let (near, far) = (
            alike(one, other),
            alike(one, "KNITTED UNION FLAG HOT WATER BOTTLE 84029G"),
        );
        assert!(
            near > 0.25 && near > 3.0 * far,
            "{one} and {other}: {near}, {far} to another"
        );
    }
}
