use serde_json::json;

use super::estimate;

#[test]
fn the_cost_is_with_our_limit_and_the_rows_are_without() {
    let scan = json!({ "Node Type": "Seq Scan", "Total Cost": 900.5, "Plan Rows": 70_000 });
    let whole = estimate(&json!([{ "Plan": scan }])).unwrap();
    assert_eq!((whole.cost, whole.rows), (900.5, 70_000.0));
    let limited = json!([{ "Plan": { "Node Type": "Limit", "Total Cost": 12.25, "Plan Rows": 101, "Plans": [scan] } }]);
    let limited = estimate(&limited).unwrap();
    assert_eq!((limited.cost, limited.rows), (12.25, 70_000.0));
}

#[test]
fn what_is_no_plan_has_no_estimate() {
    for other in [json!(null), json!([]), json!([{ "Plan": {} }]), json!([{}])] {
        assert_eq!(estimate(&other), None, "{other}");
    }
}
