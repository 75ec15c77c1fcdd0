//! Calls: what the call log tells, with charts.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{Console, forms::Visit, page::merged};

/// Columns of a chart over time.
const COLUMNS: usize = 120;
/// The height of a chart, in its own units.
const HEIGHT: f64 = 100.0;
/// Endpoints and calls that are shown.
const ROWS_MAX: usize = 50;

/// `GET /console/calls`.
pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console/calls");
    let frame = json!({ "title": "Calls" });
    let content = match visit.get(&console, "/v1/calls/report").await {
        Ok(mut report) => {
            for list in ["endpoints", "slowest"] {
                if let Some(rows) = report[list].as_array_mut() {
                    rows.truncate(ROWS_MAX);
                }
            }
            let timeline = timeline(&report["timeline"]["steps"]);
            let histogram = histogram(&report["durations"]["histogram"]);
            json!({ "report": report, "timeline": timeline, "histogram": histogram })
        }
        Err(refusal) if refusal.status == http::StatusCode::NOT_FOUND => {
            json!({ "absent": refusal.message, "hint": refusal.hint })
        }
        Err(refusal) => return console.pages().refusal(&viewer, &refusal),
    };
    console
        .pages()
        .show("calls.html", &viewer, merged(frame, content))
}

/// Steps of the timeline as columns: each stands for so many steps that all fit.
fn timeline(steps: &Value) -> Value {
    let steps = steps.as_array().map(Vec::as_slice).unwrap_or_default();
    let each = steps.len().div_ceil(COLUMNS).max(1);
    let sum = |steps: &[Value], key: &str| -> u64 {
        steps.iter().filter_map(|step| step[key].as_u64()).sum()
    };
    let chunks: Vec<(&Value, u64, u64)> = steps
        .chunks(each)
        .map(|steps| (&steps[0]["at"], sum(steps, "calls"), sum(steps, "errors")))
        .collect();
    let most = chunks.iter().map(|(_, calls, _)| *calls).max();
    let most = most.unwrap_or_default();
    let scale = |count: u64| (count as f64 / most.max(1) as f64 * HEIGHT * 10.0).round() / 10.0;
    let columns: Vec<Value> = chunks
        .iter()
        .enumerate()
        .map(|(n, (at, calls, errors))| {
            let (height, failed) = (scale(*calls), scale(*errors));
            json!({
                "at": at, "calls": calls, "errors": errors, "x": n,
                "y": HEIGHT - height, "height": height,
                "failed_y": HEIGHT - failed, "failed_height": failed,
            })
        })
        .collect();
    json!({ "columns": columns, "most": most, "width": chunks.len().max(1), "height": HEIGHT })
}

/// Buckets with their ends in words.
fn histogram(buckets: &Value) -> Vec<Value> {
    let buckets = buckets.as_array().map(Vec::as_slice).unwrap_or_default();
    let most = buckets.iter().filter_map(|bucket| bucket["calls"].as_u64());
    let most = most.max().unwrap_or_default().max(1);
    let row = |bucket: &Value| {
        let (from, to) = (&bucket["from_ms"], &bucket["to_ms"]);
        let range = match to.as_u64() {
            Some(to) => format!("{from} to {to} ms"),
            None => format!("{from} ms and more"),
        };
        json!({ "range": range, "calls": bucket["calls"], "most": most })
    };
    buckets.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{COLUMNS, HEIGHT, histogram, timeline};

    #[test]
    fn a_long_timeline_fits_and_loses_no_call() {
        for steps in [0, 1, 7, 120, 121, 20_000] {
            let list: Vec<Value> = (0..steps)
                .map(|n| json!({ "at": n, "calls": n % 5, "errors": n % 2 }))
                .collect();
            let chart = timeline(&Value::Array(list.clone()));
            let columns = chart["columns"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            assert!(columns.len() <= COLUMNS);
            for key in ["calls", "errors"] {
                let sum = |rows: &[Value]| -> u64 {
                    rows.iter().filter_map(|row| row[key].as_u64()).sum()
                };
                assert_eq!(sum(columns), sum(&list), "{steps} {key}");
            }
            for column in columns {
                let height = column["height"].as_f64().unwrap_or(-1.0);
                assert!((0.0..=HEIGHT).contains(&height), "{column}");
            }
        }
    }

    #[test]
    fn buckets_are_named_by_their_ends() {
        let rows = histogram(&json!([
            { "from_ms": 0, "to_ms": 10, "calls": 3 },
            { "from_ms": 30000, "to_ms": null, "calls": 0 },
        ]));
        assert_eq!(rows[0]["range"], "0 to 10 ms");
        assert_eq!(rows[1]["range"], "30000 ms and more");
    }
}
