//! What people read.

use super::*;

#[test]
fn bars_are_as_long_as_what_they_stand_for_and_never_too_long() {
    let draw = |value, most| {
        let mut out = String::new();
        bar(&mut out, "ab ", value, most, 13).unwrap();
        out
    };
    assert_eq!(draw(10, 10), "ab ██████████\n");
    assert_eq!(draw(5, 10), "ab █████\n");
    assert_eq!(draw(1, 1_000_000), "ab ▏\n");
    assert_eq!(draw(0, 10), "ab\n");
    assert_eq!(draw(0, 0), "ab\n");
}

#[test]
fn times_are_short() {
    let told = [
        0.0, 231.4, 999.4, 999.9, 1_230.0, 9_999.0, 30_000.0, 120_000.0, 7.2e6,
    ]
    .map(millis);
    assert_eq!(
        told,
        [
            "0ms", "231ms", "999ms", "1s", "1.23s", "10s", "30s", "2m", "2h"
        ]
    );
}

#[test]
fn what_a_log_says_cannot_command_the_terminal() {
    assert_eq!(cut("a\u{1b}[2Jb\n", 9), "a\u{FFFD}[2Jb\u{FFFD}  ");
    assert_eq!(cut("abcdef", 4), "abc…");
}
