use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Lifetime, RuleError, Rules};
use crate::signals::{Signal, Signals};

fn now() -> Timestamp {
    "2026-03-01T10:00:00.250Z".parse().expect("a time")
}

fn ago(millis: i64) -> Signal {
    Signal::Time(now() - SignedDuration::from_millis(millis))
}

/// A table of conditions, each with as many seconds as its place, and a last row that always holds.
fn table(conditions: &[&str]) -> Result<Rules, RuleError> {
    let mut rows: Vec<(Option<&str>, Option<Duration>)> = conditions
        .iter()
        .zip(1..)
        .map(|(condition, place)| (Some(*condition), Some(Duration::from_secs(place))))
        .collect();
    rows.push((None, None));
    Rules::compile(&rows)
}

fn holds(condition: &str, signals: &[(&str, Signal)]) -> bool {
    let rules = table(&[condition]).expect(condition);
    let lifetime = rules.lifetime(&Signals::from_pairs(signals.iter().cloned()), now());
    assert_eq!(lifetime.notes, [], "{condition}");
    lifetime.row == 0
}

fn refused(conditions: &[&str]) -> String {
    table(conditions).expect_err("refused").to_string()
}

#[test]
fn the_first_row_that_holds_decides() {
    let rules = table(&["a > 3.0", "a > 2.0", "a > 1.0"]).expect("rules");
    let row = |a: f64| {
        let signals = Signals::from_pairs([("a", Signal::Number(a))]);
        rules.lifetime(&signals, now()).row
    };
    assert_eq!([row(9.0), row(3.0), row(2.0), row(1.0)], [0, 1, 2, 3]);
    let ttl = rules
        .lifetime(&Signals::from_pairs([("a", Signal::Number(2.5))]), now())
        .ttl;
    assert_eq!(ttl, Some(Duration::from_secs(2)));
}

#[test]
fn within_looks_back_and_takes_the_future_for_now() {
    let within = |signal: Signal| holds("within(t, duration('2h'))", &[("t", signal)]);
    assert!(within(ago(0)));
    assert!(within(ago(7_200_000)));
    assert!(!within(ago(7_200_001)));
    assert!(within(ago(-1)));
    assert!(within(ago(-400 * 86_400_000)));
}

#[test]
fn near_looks_both_ways() {
    let near = |signal: Signal| holds("near(t, duration('2h'))", &[("t", signal)]);
    assert!(near(ago(7_200_000)) && near(ago(-7_200_000)));
    assert!(!near(ago(7_200_001)) && !near(ago(-7_200_001)));
}

#[test]
fn parts_of_a_millisecond_do_not_count() {
    let two_hours = SignedDuration::from_hours(2);
    let part = SignedDuration::from_nanos(999_999);
    let early = Signal::Time(now() - two_hours - part);
    // A part of a millisecond earlier falls into the millisecond before.
    assert!(!holds("within(t, duration('2h'))", &[("t", early)]));
    let rules = table(&["within(t, duration('2h'))"]).expect("rules");
    let signals = Signals::from_pairs([("t", Signal::Time(now() - two_hours))]);
    assert_eq!(rules.lifetime(&signals, now() + part).row, 0);
}

#[test]
fn what_is_absent_or_of_another_kind_matches_nothing() {
    for condition in [
        "within(t, duration('2h'))",
        "near(t, duration('2h'))",
        "one_of(t, ['a', 'true', '1'])",
        "fold(t) == 'x'",
    ] {
        assert!(!holds(condition, &[]), "{condition}");
        for signal in [
            Signal::Flag(true),
            Signal::Number(1.0),
            Signal::Text("soon".to_owned()),
        ] {
            assert!(
                !holds(condition, &[("t", signal.clone())]),
                "{condition} {signal:?}"
            );
        }
    }
}

#[test]
fn texts_are_compared_whatever_their_case_and_spaces() {
    for status in [
        "Pending Won",
        "pending won",
        " PENDING  WON ",
        "PendingWon",
        "pending\u{a0}won",
    ] {
        let signals = [("status", Signal::Text(status.to_owned()))];
        assert!(
            holds("one_of(status, ['Won', 'Pending Won'])", &signals),
            "{status}"
        );
        assert!(
            holds("fold(status) in ['won', 'pendingwon']", &signals),
            "{status}"
        );
    }
    let won = [("status", Signal::Text("Wonder".to_owned()))];
    assert!(!holds("one_of(status, ['Won', 'Pending Won'])", &won));
}

#[test]
fn cel_s_own_arithmetic_works_on_times() {
    let condition = "closed && (closed_at == null || now - closed_at > duration('720h'))";
    let closed = ("closed", Signal::Flag(true));
    let days_30 = 30 * 86_400_000;
    assert!(holds(condition, std::slice::from_ref(&closed)));
    assert!(!holds(
        condition,
        &[closed.clone(), ("closed_at", ago(days_30))]
    ));
    assert!(holds(condition, &[closed, ("closed_at", ago(days_30 + 1))]));
}

#[test]
fn a_row_that_cannot_be_told_is_noted_and_does_not_hold() {
    let rules = table(&[
        "closed && within(t, duration('2h'))",
        "t > timestamp('2020-01-01T00:00:00Z')",
    ])
    .expect("rules");
    let lifetime = rules.lifetime(&Signals::from_pairs([("t", ago(0))]), now());
    assert_eq!(lifetime.row, 1);
    assert_eq!(lifetime.notes.len(), 1);
    assert_eq!(lifetime.notes[0].row, 0);
    insta::assert_snapshot!(lifetime.notes[0].message, @"found no matching overload for '_&&_' applied to '(null_type, bool)'");
    // False whatever the unknown half is: nothing to note.
    let lifetime = rules.lifetime(&Signals::from_pairs([("t", ago(86_400_000))]), now());
    assert_eq!((lifetime.row, lifetime.notes.len()), (1, 0));
    let lifetime = rules.lifetime(
        &Signals::from_pairs([
            ("closed", Signal::Flag(false)),
            ("t", Signal::Text("x".to_owned())),
        ]),
        now(),
    );
    assert_eq!((lifetime.row, lifetime.notes.len()), (2, 1));
    let expected = Lifetime {
        ttl: None,
        row: 2,
        notes: lifetime.notes.clone(),
    };
    assert_eq!(lifetime, expected);
}

#[test]
fn mistakes_are_refused_with_their_row_and_column() {
    insta::assert_snapshot!(
        [
            refused(&["closed", "closed && "]),
            refused(&["closed || withn(updated, duration('2h'))"]),
            refused(&["'ü' == s || withn(updated, duration('2h'))"]),
            refused(&["'üü' == s |"]),
            refused(&["within(updated)"]),
            refused(&["within(updated, duration('5 days'))"]),
            refused(&["within(updated, '2h')"]),
            refused(&["now - 5 > 3"]),
            refused(&["now"]),
            refused(&["1 + 1"]),
            refused(&["Deal{x: 1} == closed"]),
            refused(&[""]),
        ]
        .join("\n"),
        @r"
    rule 2, column 11: `closed && ` is no CEL condition: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
    rule 1, column 11: there is no function `withn`; allowed here: within, near, one_of, fold, duration, timestamp, size, contains, startsWith, endsWith, int, double, string, getDayOfWeek, getHours
    rule 1, column 13: there is no function `withn`; allowed here: within, near, one_of, fold, duration, timestamp, size, contains, startsWith, endsWith, int, double, string, getDayOfWeek, getHours
    rule 1, column 11: `'üü' == s |` is no CEL condition: Syntax error: token recognition error at: '|'
    rule 1, column 1: `within` takes 2 arguments, not 1
    rule 1, column 26: no duration: write hours, minutes and seconds, as in `duration('36h')` or `duration('90m')`
    rule 1, column 1: it can be neither true nor false: found no matching overload for 'within' applied to '(double, string, google.protobuf.Timestamp)'
    rule 1, column 1: it can be neither true nor false: Unsupported binary operator 'sub': Timestamp(1970-01-01T00:00:00+00:00), Int(5)
    rule 1, column 1: it can be neither true nor false: the condition is google.protobuf.Timestamp, which is neither true nor false
    rule 1, column 1: it can be neither true nor false: the condition is int, which is neither true nor false
    rule 1, column 5: there is no type `Deal` here
    rule 1, column 1: `` is no CEL condition: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
    "
    );
    let seconds = |secs| Some(Duration::from_secs(secs));
    let error = |rows: &[(Option<&str>, Option<Duration>)]| {
        Rules::compile(rows).expect_err("refused").to_string()
    };
    insta::assert_snapshot!(
        [
            error(&[]),
            error(&[(None, seconds(1)), (None, seconds(1))]),
            error(&[(Some("closed"), seconds(1))]),
        ]
        .join("\n"),
        @r"
    rule 1, column 1: a table has 1 to 64 rows, not 0
    rule 1, column 1: there is no condition: only the last row may hold always
    rule 1, column 1: the last row must hold always: give it no condition
    "
    );
}

#[test]
fn a_signal_that_the_resource_lacks_is_refused_by_name() {
    let rules = table(&["closed", "closed && within(updatd, duration('2h'))"]).expect("rules");
    assert_eq!(rules.signals().collect::<Vec<_>>(), ["closed", "updatd"]);
    assert_eq!(rules.check_signals(&["closed", "updatd", "other"]), Ok(()));
    let error = rules
        .check_signals(&["closed", "updated"])
        .expect_err("refused");
    insta::assert_snapshot!(error, @"rule 2, column 18: there is no signal `updatd`; known here: now, closed, updated");
}

#[test]
fn names_that_a_comprehension_binds_are_no_signals() {
    let rules = table(&["['a', 'b'].exists(x, x == status)"]).expect("rules");
    assert_eq!(rules.signals().collect::<Vec<_>>(), ["status"]);
    let signals = Signals::from_pairs([("status", Signal::Text("b".to_owned()))]);
    assert_eq!(rules.lifetime(&signals, now()).row, 0);
}

#[test]
fn hours_and_days_of_the_week_can_be_asked_for() {
    assert!(holds("now.getHours() >= 9 && now.getDayOfWeek() == 0", &[]));
    assert!(holds("now.getHours('Australia/Sydney') == 21", &[]));
}
