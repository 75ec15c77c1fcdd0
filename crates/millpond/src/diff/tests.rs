use serde_json::{Value, json, value::RawValue};

use super::changes;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// The changes as lines: path, before, after.
fn lines(before: &str, after: &str, most: usize) -> (Vec<String>, bool) {
    let (before, after) = (raw(before), raw(after));
    let (found, more) = changes(&before, &after, most);
    let text = |value: Option<&RawValue>| value.map_or("nothing", RawValue::get).to_owned();
    let lines = found.iter().map(|change| {
        let path = change.path.join("/");
        format!("{path}: {} -> {}", text(change.before), text(change.after))
    });
    (lines.collect(), more)
}

#[test]
fn what_came_went_and_changed_is_told_by_its_path() {
    let before = r#"{"Status": "OPEN", "Lines": [{"Q": 1}, {"Q": 2}], "Memo": "x"}"#;
    let after = r#"{"Status": "DONE", "Lines": [{"Q": 1}, {"Q": 3}, {"Q": 4}], "Ship": null}"#;
    let (found, more) = lines(before, after, 100);
    assert!(!more);
    assert_eq!(
        found,
        [
            "Lines/1/Q: 2 -> 3",
            r#"Lines/2: nothing -> {"Q": 4}"#,
            "Ship: nothing -> null",
            r#"Status: "OPEN" -> "DONE""#,
            r#"Memo: "x" -> nothing"#,
        ]
    );
    assert_eq!(lines(after, after, 100), (Vec::new(), false));
}

#[test]
fn digits_that_no_float_holds_are_a_change() {
    let (found, _) = lines(
        r#"{"Total": 12345678901234567.890123456789}"#,
        r#"{"Total": 12345678901234567.890123456788}"#,
        9,
    );
    assert_eq!(
        found,
        ["Total: 12345678901234567.890123456789 -> 12345678901234567.890123456788"]
    );
}

#[test]
fn a_step_that_changes_everything_is_cut() {
    let before = json!((0..5000).collect::<Vec<_>>()).to_string();
    let after = json!((1..5001).collect::<Vec<_>>()).to_string();
    let (found, more) = lines(&before, &after, 100);
    assert!(more);
    assert_eq!(found.len(), 100);
}

#[test]
fn what_is_nested_without_end_is_told_as_a_whole() {
    let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (found, more) = lines(&nested("1"), &nested("2"), 100);
    assert!(!more);
    assert_eq!(found.len(), 1);
}

#[test]
fn the_changes_carried_out_in_their_order_lead_to_the_newer_body() {
    let before = json!({"a": [1, 2, 3, {"x": [5]}, 9], "b": {"c": 1}, "d": "e", "f": [[]]});
    let after = json!({"a": [1, 7], "b": [2], "f": [[1, 2], {}], "g": {"h": []}});
    let (old, new) = (raw(&before.to_string()), raw(&after.to_string()));
    let (found, _) = changes(&old, &new, 100);
    let mut body = before;
    for change in &found {
        let Some((last, parents)) = change.path.split_last() else {
            panic!("a body is replaced as a whole: {change:?}");
        };
        let parent = parents.iter().fold(&mut body, |at, step| match at {
            Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
            other => &mut other[step.as_str()],
        });
        let value = change
            .after
            .map(|after| serde_json::from_str::<Value>(after.get()).unwrap());
        match (parent, value) {
            (Value::Array(items), Some(value)) if change.before.is_none() => {
                items.insert(last.parse().unwrap(), value);
            }
            (Value::Array(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
            (Value::Array(items), None) => {
                items.remove(last.parse().unwrap());
            }
            (Value::Object(map), Some(value)) => {
                map.insert(last.clone(), value);
            }
            (Value::Object(map), None) => {
                map.remove(last);
            }
            (other, _) => panic!("{other} has no parts"),
        }
    }
    assert_eq!(body, after);
}
