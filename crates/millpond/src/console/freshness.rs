//! What the calls there are will buy, and what half of them or twice as many would.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{Console, forms::Visit};
use crate::door::{Refusal, encoded};

/// `GET /console/freshness`.
pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console/freshness");
    match forecasts(&console, &visit).await {
        Ok(instances) => {
            let content = json!({ "title": "Freshness", "instances": instances });
            console.pages().show("freshness.html", &viewer, content)
        }
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}

async fn forecasts(console: &Console, visit: &Visit) -> Result<Vec<Value>, Refusal> {
    let status = visit.get(console, "/v1/instances").await?;
    let mut shown = Vec::new();
    for instance in status["instances"].as_array().into_iter().flatten() {
        let name = instance["name"].as_str().unwrap_or_default();
        let path = format!("/v1/instances/{}/forecast", encoded(name));
        shown.push(match visit.get(console, &path).await {
            Ok(forecast) => side_by_side(&forecast),
            // One instance that cannot be told hides no other.
            Err(refusal) => json!({ "instance": name, "refused": refusal.message }),
        });
    }
    Ok(shown)
}

/// A forecast with a line for each resource and policy, and the budgets beside each other.
fn side_by_side(forecast: &Value) -> Value {
    let rows = forecast["rows"].as_array();
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<(&Value, &Value)> = Vec::new();
    for row in rows {
        let line = (&row["resource"], &row["policy"]);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    // All together first; then by resource, its policies next to each other.
    lines.sort_by_key(|(resource, policy)| {
        let name = resource.as_str().unwrap_or_default();
        (name != "all", name.to_owned(), policy.to_string())
    });
    let lines: Vec<Value> = lines
        .into_iter()
        .map(|(resource, policy)| {
            let of = |budget: &str| {
                rows.iter().find(|row| {
                    row["resource"] == *resource
                        && row["policy"] == *policy
                        && row["budget"] == budget
                })
            };
            json!({
                "resource": resource, "policy": policy, "is_used": *policy == forecast["policy"],
                "half": of("half"), "present": of("present"), "double": of("double"),
            })
        })
        .collect();
    let mut shown = forecast.clone();
    shown["lines"] = Value::Array(lines);
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::side_by_side;

    #[test]
    fn budgets_stand_side_by_side_and_all_together_comes_first() {
        let row = |resource: &str, policy: &str, budget: &str, fresh: f64| json!({ "resource": resource, "policy": policy, "budget": budget, "fresh": fresh });
        let shown = side_by_side(&json!({
            "policy": "priced",
            "rows": [
                row("a.deal", "tiers", "half", 0.5), row("a.deal", "priced", "half", 0.6),
                row("all", "priced", "half", 0.7), row("all", "priced", "present", 0.8),
            ],
        }));
        let lines = shown["lines"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let names: Vec<String> = lines
            .iter()
            .map(|l| format!("{} {}", l["resource"], l["policy"]))
            .collect();
        assert_eq!(
            names,
            [
                "\"all\" \"priced\"",
                "\"a.deal\" \"priced\"",
                "\"a.deal\" \"tiers\""
            ]
        );
        assert_eq!(lines[0]["present"]["fresh"], 0.8);
        assert_eq!(lines[0]["is_used"], true);
        assert!(lines[2]["double"].is_null());
    }
}
