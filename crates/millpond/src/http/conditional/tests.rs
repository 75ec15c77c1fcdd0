//! Which lists of tags hold one.

use http::HeaderValue;

use super::Known;

const TAG: &str = "W/\"00ff\"";

fn knows(lines: &[&'static str]) -> bool {
    let lines = lines.iter().map(|&line| HeaderValue::from_static(line));
    Known(lines.collect()).has(TAG)
}

#[test]
fn a_tag_is_found_weak_or_strong_alone_or_among_others() {
    assert!(knows(&["W/\"00ff\""]));
    assert!(knows(&["\"00ff\""]));
    assert!(knows(&["\"a\", W/\"00ff\" ,\"b\""]));
    assert!(knows(&["\"a\"", "\"00ff\""]));
    assert!(knows(&["*"]));
}

#[test]
fn what_is_no_such_tag_is_not_taken_for_it() {
    assert!(!knows(&[]));
    assert!(!knows(&[""]));
    assert!(!knows(&["00ff"]));
    assert!(!knows(&["W/\"00fe\", \"a,00ff\""]));
    assert!(!knows(&["\"*\""]));
}
