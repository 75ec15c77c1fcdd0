//! Lines, read and refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const GOOD: &str = r#"{"timestamp":"2026-03-02T14:31:07.501Z","method":"GET","url":"/saleList?Limit=1000","baseURL":"https://x/v2","status":200,"durationMs":231,"error":null,"timeout":30000,"instance":"cin7-au","connection":"main","resource":"sale_header","label":"GET saleList","class":"changes","attempt":1,"waitMs":12,"bytes":912334}"#;

fn read(line: &str) -> Result<Line<'_>, Unread> {
    LineReader::default().read(line.as_bytes(), false)
}

#[test]
fn a_line_of_ours_is_read() {
    let line = read(GOOD).unwrap();
    let ended: jiff::Timestamp = "2026-03-02T14:31:07.501Z".parse().unwrap();
    assert_eq!(
        line,
        Line {
            ended_ms: ended.as_millisecond(),
            method: b"GET",
            url: b"/saleList?Limit=1000",
            base_url: b"https://x/v2",
            status: Some(200),
            duration_ms: 231,
            error: None,
            timeout_ms: Some(30_000),
            instance: b"cin7-au",
            connection: b"main",
            attempt: Some(1),
            wait_ms: 12,
        }
    );
}

#[test]
fn keys_may_come_in_any_order_with_spaces_and_more_beside_them() {
    let line = r#" { "more" : {"url":"/no","a":["}",{}]} , "durationMs" : 1.5, "url":"https:\/\/x\/a", "status": null,
        "error":"ECONNRESET x", "method":"POST","timestamp":"2026-03-02T15:31:07.501+01:00" } "#
        .replace('\n', " ");
    let line = read(&line).unwrap();
    assert_eq!((line.duration_ms, line.status), (2, None));
    assert_eq!(plain_text(line.url), "https://x/a");
    assert_eq!(line.error, Some(b"ECONNRESET x".as_slice()));
    assert_eq!(line.ended_ms, 1_772_461_867_501);
}

#[test]
fn every_beginning_of_a_line_is_torn() {
    for end in 1..GOOD.len() {
        assert_eq!(read(&GOOD[..end]), Err(Unread::NotJson), "{}", &GOOD[..end]);
    }
}

#[test]
fn what_is_no_call_is_refused_by_its_kind() {
    for line in ["", "   ", "\r"] {
        assert_eq!(read(line), Err(Unread::Empty));
    }
    let control = GOOD.replace("saleList", "sale\u{1}List");
    let number = GOOD.replace("30000", "030");
    for line in [
        "hello",
        "[1]",
        "{",
        "{]",
        "{\"a\":1}}",
        "{\"a\":[1}",
        "{\"a\" 1}",
        &control,
        &number,
    ] {
        assert_eq!(read(line), Err(Unread::NotJson), "{line}");
    }
    assert_eq!(
        LineReader::default().read(b"{\"a\":\"\xFF\"}", false),
        Err(Unread::NotJson)
    );
    for (from, to) in [
        ("\"durationMs\":231", "\"durationMs\":-1"),
        ("\"durationMs\":231", "\"durationMs\":\"231\""),
        ("\"durationMs\":231", "\"durationMs\":1e300"),
        ("\"durationMs\":231", "\"ms\":231"),
        ("2026-03-02T14", "2026-13-02T14"),
        ("2026-03-02T14:31:07.501Z", "yesterday"),
        ("\"GET\"", "7"),
        ("\"method\"", "\"verb\""),
    ] {
        let line = GOOD.replacen(from, to, 1);
        assert_ne!(line, GOOD);
        assert_eq!(read(&line), Err(Unread::Foreign), "{line}");
    }
    assert_eq!(read("{}"), Err(Unread::Foreign));
}

#[test]
fn moments_are_the_same_however_they_are_read() {
    let mut days = Days::default();
    for text in [
        "2026-03-02T00:00:00.000Z",
        "2026-03-02T23:59:59.999Z",
        "2026-03-02T23:59:60.999Z",
        "2024-02-29T12:00:00.001Z",
        "2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00.001999Z",
        "1969-12-31T23:59:59.999Z",
        "1969-12-31T01:00:00.000Z",
    ] {
        let expected: jiff::Timestamp = text.parse().unwrap();
        for _ in 0..2 {
            assert_eq!(
                days.moment(text.as_bytes()),
                Some(expected.as_millisecond()),
                "{text}"
            );
        }
    }
    assert_eq!(days.moment(b"2024-02-29T25:00:00.001Z"), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"\\\\]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn fields_are_what_serde_reads_whatever_stands_beside_them(
        more in prop::collection::hash_map("[a-y\"\\\\/é]{1,6}", any_json(), 0..5),
        url in ".{0,20}", status in prop::option::of(100u16..600), ms in 0u64..100_000,
        last in any::<bool>(),
    ) {
        let mut object = serde_json::Map::new();
        let call = json!({"timestamp": "2026-03-02T14:31:07.501Z", "method": "GET", "url": url, "status": status, "durationMs": ms});
        let Value::Object(call) = call else { unreachable!() };
        if last { object.extend(more.clone()); }
        object.extend(call);
        if !last { object.extend(more); }
        let text = serde_json::to_string(&object).unwrap();
        let read = LineReader::default().read(text.as_bytes(), false);
        let expected = &object["url"];
        let line = read.unwrap();
        prop_assert_eq!(&Value::from(plain_text(line.url).into_owned()), expected);
        prop_assert_eq!((line.status, line.duration_ms), (status, ms));
    }

    #[test]
    fn what_is_taken_for_a_call_is_json(
        at in 0..GOOD.len(), byte in any::<u8>(), cut in 0..3usize,
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(bytes.len()), [byte]);
        if byte != b'\n' && LineReader::default().read(&bytes, false).is_ok() {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&bytes).is_ok(), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
