use serde_json::{Value, json};

use super::{ELEMENTS_MAX, Tree};

fn draw(value: &Value) -> String {
    let tree = Tree {
        page: "/console/records/cin7.sale/uk/1",
        alike: Some("/console/records?resource=cin7.sale"),
    };
    tree.draw(value, "")
}

#[test]
fn scripts_in_keys_and_values_are_text() {
    let body = json!({"<script>alert(1)</script>": "\"><img src=x onerror=alert(2)>", "a": {"'": "</details>"}});
    let html = draw(&body);
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("<img"), "{html}");
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{html}"
    );
    assert_eq!(html.matches("</details>").count(), 1, "{html}");
}

#[test]
fn huge_and_deep_bodies_are_drawn_in_part_and_lead_on() {
    let items: Vec<Value> = (0..10_000)
        .map(|n| json!({"n": n, "text": "x".repeat(500)}))
        .collect();
    let html = draw(&json!({ "Lines": items }));
    assert!(html.len() < 2_000_000, "{}", html.len());
    let more = format!("{} more", 10_000 - ELEMENTS_MAX);
    assert!(html.contains(&more), "no `{more}`");
    assert!(
        html.contains("?part=%2FLines&amp;from=200"),
        "{}",
        &html[html.len() - 500..]
    );

    let mut deep = json!("bottom");
    for _ in 0..100 {
        deep = json!({ "a": deep });
    }
    let html = draw(&deep);
    assert!(html.contains("?part=%2Fa%2Fa"), "{html}");
    assert!(!html.contains("bottom"));
}

#[test]
fn a_value_leads_to_records_with_the_same() {
    let html = draw(&json!({"Order": {"Lines": [{"SKU": "A&B"}]}}));
    assert!(
        html.contains("href=\"/console/records?resource=cin7.sale&amp;where=Order%2ELines%5B%5D%2ESKU%3DA%26B\""),
        "{html}"
    );
}
