//! Is the mirror fresh, what fails, what happens next.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{Console, forms::Visit};

/// Failed runs that are shown.
const FAILED_RUNS: usize = 5;

/// `GET /console`.
pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console");
    let status = match visit.get(&console, "/v1/instances").await {
        Ok(status) => status,
        Err(refusal) => return console.pages().refusal(&viewer, &refusal),
    };
    let runs = visit.get(&console, "/v1/runs?limit=200").await;
    let failed: Vec<Value> = runs
        .ok()
        .and_then(|mut runs| runs["runs"].as_array_mut().map(std::mem::take))
        .unwrap_or_default()
        .into_iter()
        .filter(|run| ["failed", "lost", "partial"].contains(&run["state"].as_str().unwrap_or("")))
        .take(FAILED_RUNS)
        .collect();
    let instances = status["instances"].as_array();
    let sum = |key: &str| -> i64 {
        let resources = instances.into_iter().flatten();
        resources
            .flat_map(|instance| instance["resources"].as_array().into_iter().flatten())
            .filter_map(|resource| resource[key].as_i64())
            .sum()
    };
    let failing: usize = instances
        .into_iter()
        .flatten()
        .filter_map(|instance| instance["failing"].as_array())
        .map(Vec::len)
        .sum();
    let content = json!({
        "title": "Overview",
        "status": status,
        "records": sum("records"),
        "waiting": sum("waiting"),
        "failing_details": sum("failing"),
        "failing_jobs": failing,
        "failed_runs": failed,
    });
    console.pages().show("overview.html", &viewer, content)
}
