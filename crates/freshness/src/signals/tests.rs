use jiff::Timestamp;
use serde_json::json;

use super::{Signal, SignalMap};

/// What the signal `x` of `{"x": value}` is read as.
fn read(value: serde_json::Value) -> Option<Signal> {
    let map = SignalMap::new([("x".to_owned(), vec!["x".to_owned()])]);
    map.read(&json!({ "x": value })).get("x")
}

fn time(text: &str) -> Option<Signal> {
    Some(Signal::Time(text.parse::<Timestamp>().expect(text)))
}

#[test]
fn times_are_read_in_any_zone_and_any_iso_form() {
    for (text, same_as) in [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00.123Z", "2026-03-01T10:00:00.123Z"),
        (
            "2026-03-01T10:00:00.1234567Z",
            "2026-03-01T10:00:00.1234567Z",
        ),
        ("2026-03-01T21:00:00+11:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01T02:00:00-0800", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01 10:00", "2026-03-01T10:00:00Z"),
        (" 2026-03-01 ", "2026-03-01T00:00:00Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z"),
    ] {
        assert_eq!(read(json!(text)), time(same_as), "{text}");
    }
    for never in [
        "9999-12-31",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999",
    ] {
        let Some(Signal::Time(time)) = read(json!(never)) else {
            panic!("{never} is no time");
        };
        assert!(
            time > "9999-12-30T00:00:00Z".parse().expect("a time"),
            "{never}"
        );
    }
}

#[test]
fn what_is_no_value_is_absent() {
    for nothing in [
        json!(null),
        json!({}),
        json!({"id": 5}),
        json!([]),
        json!([true]),
        json!(""),
        json!("  "),
    ] {
        assert_eq!(read(nothing.clone()), None, "{nothing}");
    }
    let map = SignalMap::new([("x".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    for body in [
        json!({}),
        json!({"a": null}),
        json!({"a": 5}),
        json!({"a": [{"b": 1}]}),
        json!(7),
        json!(null),
    ] {
        assert_eq!(map.read(&body).get("x"), None, "{body}");
    }
    assert_eq!(
        map.read(&json!({"a": {"b": true}})).get("x"),
        Some(Signal::Flag(true))
    );
    assert_eq!(map.read(&json!({"a": {"b": true}})).get("y"), None);
}

#[test]
fn texts_that_are_no_time_stay_texts() {
    for text in [
        "Won",
        "soon",
        "20260301",
        "2026-02-30",
        "2026-13-01T00:00:00Z",
        "01/03/2026",
        "1234-56-78-A",
        "9999-12-31 or so",
    ] {
        assert_eq!(read(json!(text)), Some(Signal::Text(text.to_owned())));
    }
    assert_eq!(read(json!(12.5)), Some(Signal::Number(12.5)));
}

#[test]
fn a_signal_looked_up_elsewhere_takes_the_place_of_the_body_s() {
    let map = SignalMap::new([("closed".to_owned(), vec!["closedFlag".to_owned()])]);
    let mut signals = map.read(&json!({"closedFlag": false}));
    let another = map.read(&json!({"closedFlag": false}));
    signals.set("closed", Some(Signal::Flag(true)));
    signals.set("status", Some(Signal::Text("Won".to_owned())));
    assert_eq!(signals.get("closed"), Some(Signal::Flag(true)));
    assert_eq!(signals.get("status"), Some(Signal::Text("Won".to_owned())));
    assert_eq!(another.get("closed"), Some(Signal::Flag(false)));
    assert_eq!(another.get("status"), None);
    signals.set("closed", None);
    assert_eq!(signals.get("closed"), None);
}
