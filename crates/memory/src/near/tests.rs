use super::Spelt;

fn nearness(one: &str, other: &str) -> f64 {
    Spelt::of(one).nearness(&Spelt::of(other))
}

#[test]
fn a_slip_is_near_and_another_word_is_not() {
    assert_eq!(nearness("holder", "holder"), 1.0);
    for (one, other) in [
        ("holder", "hodler"),
        ("holder", "holer"),
        ("holder", "hollder"),
        ("holder", "holdet"),
        ("wentworth", "wentwroht"),
        ("85123a", "81523a"),
    ] {
        let near = nearness(one, other);
        assert!((0.5..1.0).contains(&near), "{one} and {other}: {near}");
        assert_eq!(near, nearness(other, one));
    }
    for (one, other) in [
        ("holder", "hanger"),
        ("box", "fox"),
        ("85123a", "85214a"),
        ("", "holder"),
    ] {
        assert_eq!(nearness(one, other), 0.0, "{one} and {other}");
    }
}

#[test]
fn more_slips_are_farther() {
    assert!(nearness("decoration", "decoratoin") > nearness("decoration", "dceoratoin"));
}
