#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use serde_json::{Value, json};

use super::{ANSWER_CHARS_MAX, fits, outline, part, trim_rows};

#[test]
fn a_pointer_names_a_part_and_a_range_of_an_array() {
    let body = json!({"Order": {"Lines": [1, 2, 3, 4], "Memo": "x"}});
    let lines = |from, count| {
        part(&body, "/Order/Lines", from, count)
            .unwrap()
            .into_owned()
    };
    assert_eq!(lines(1, 2), json!([2, 3]));
    assert_eq!(lines(9, 2), json!([]));
    assert_eq!(lines(0, usize::MAX), json!([1, 2, 3, 4]));
    assert_eq!(part(&body, "", 0, 1).unwrap().into_owned(), body);
    assert!(part(&body, "/Order/Nothing", 0, 1).is_none());
    assert!(part(&body, "Order", 0, 1).is_none());
}

#[test]
fn the_outline_of_a_huge_body_is_short_and_names_its_keys() {
    let lines: Vec<Value> = (0..5000)
        .map(|n| json!({"SKU": n, "Name": "x".repeat(100)}))
        .collect();
    let wide: serde_json::Map<String, Value> = (0..300)
        .map(|n| (format!("k{n:03}"), json!("y".repeat(500))))
        .collect();
    let body = json!({"Order": {"Lines": lines}, "Wide": wide, "ID": "a"});
    assert!(!fits(&body));
    let told = outline(&body);
    assert!(fits(&told));
    assert_eq!(told["ID"], "a");
    assert_eq!(told["Order"]["Lines"]["array_of"], 5000);
    assert_eq!(
        told["Order"]["Lines"]["first"]["Name"],
        "text of 100 letters"
    );
    assert_eq!(told["Wide"]["…"], "200 more keys");
}

#[test]
fn rows_are_taken_from_the_end_until_the_rest_fits() {
    let rows: Vec<Value> = (0..1000).map(|n| json!([n, "z".repeat(200)])).collect();
    let mut answer = json!({"rows": rows, "columns": []});
    let gone = trim_rows(&mut answer, "rows");
    assert!(fits(&answer), "{}", answer.to_string().len());
    let left = answer["rows"].as_array().unwrap().len();
    assert_eq!(left + gone, 1000);
    assert!(left > ANSWER_CHARS_MAX / 250, "{left}");
    assert_eq!(answer["rows"][0][0], 0);
}
