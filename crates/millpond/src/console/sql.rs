//! SQL: one statement that reads, its answer or its plan.

use axum::{extract::State, response::Response};
use http::Method;
use serde_json::{Value, json};

use super::{
    Console, chart,
    forms::{Filled, Visit, done},
    page::merged,
};
use crate::door::encoded;

/// Rows that are shown.
const ROWS_MAX: usize = 500;
/// Views whose names are offered.
const VIEWS_MAX: usize = 200;

/// `GET /console/sql`; `sql` fills the field.
pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    let sql = visit.one("sql").unwrap_or_default().to_owned();
    let content = json!({ "name": visit.one("name"), "done": visit.one("done") });
    page(&console, &visit, &sql, content).await
}

/// `POST /console/sql`.
pub(super) async fn ask(State(console): State<Console>, visit: Visit, form: Filled) -> Response {
    let name = form.one("name");
    if let (Some("remove"), Some(name)) = (form.one("do"), name) {
        let path = format!("/v1/queries/{}", encoded(name));
        return match visit.send(&console, Method::DELETE, &path, None).await {
            Ok(_) => done("/console/sql", &format!("{name} is removed.")),
            Err(refusal) => console
                .pages()
                .refusal(&visit.viewer("/console/sql"), &refusal),
        };
    }
    let Some(sql) = form.one("sql") else {
        return page(&console, &visit, "", json!({})).await;
    };
    if form.one("do") == Some("save") {
        let path = format!("/v1/queries/{}", encoded(name.unwrap_or_default()));
        let query = json!({ "sql": sql });
        let content = match visit.send(&console, Method::PUT, &path, Some(&query)).await {
            Ok(_) => json!({ "done": "Saved.", "name": name }),
            Err(refusal) => {
                json!({ "refused": refusal.message, "hint": refusal.hint, "name": name })
            }
        };
        return page(&console, &visit, sql, content).await;
    }
    let explain = form.one("explain").is_some();
    let statement = match explain {
        true => format!("EXPLAIN (COSTS, VERBOSE off) {sql}"),
        false => sql.to_owned(),
    };
    let params: Vec<&str> = ["p1", "p2", "p3"]
        .iter()
        .filter(|place| statement.contains(&place.replace('p', "$")))
        .map(|place| form.one(place).unwrap_or_default())
        .collect();
    let values: Vec<Value> = params
        .iter()
        .map(|value| match *value {
            "" => Value::Null,
            value => value.into(),
        })
        .collect();
    let asked = json!({ "sql": statement, "params": values });
    let answer = visit
        .send(&console, Method::POST, "/v1/query/sql", Some(&asked))
        .await;
    let content = match answer {
        Ok(answer) => {
            let rows = answer["rows"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let shown: Vec<Vec<String>> = rows
                .iter()
                .take(ROWS_MAX)
                .map(|row| row.as_array().into_iter().flatten().map(cell).collect())
                .collect();
            json!({
                "columns": answer["columns"],
                "rows": shown,
                "chart": chart::of_rows(&answer["columns"], rows),
                "count": rows.len(),
                "shown_count": rows.len().min(ROWS_MAX),
                "truncated": answer["truncated"],
                "took": answer["duration_ms"],
                "explained": explain,
                "answered": true,
            })
        }
        Err(refusal) => json!({ "refused": refusal.message, "hint": refusal.hint }),
    };
    let more = json!({ "name": name, "params": params });
    page(&console, &visit, sql, merged(content, more)).await
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "∅".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn page(console: &Console, visit: &Visit, sql: &str, content: Value) -> Response {
    let viewer = visit.viewer("/console/sql");
    let known = visit.get(console, "/v1/resources").await;
    let views: Vec<Value> = known
        .ok()
        .and_then(|mut known| known["views"].as_array_mut().map(std::mem::take))
        .unwrap_or_default();
    let views = &views[..views.len().min(VIEWS_MAX)];
    let saved = visit.get(console, "/v1/queries").await.ok();
    let saved = saved.map(|mut saved| saved["queries"].take());
    // As many fields as it has values.
    let fields = ["$1", "$2", "$3"].map(|place| sql.contains(place));
    let fields = fields.iter().take_while(|is_there| **is_there).count();
    let content = merged(
        json!({ "title": "SQL", "sql": sql, "views": views, "saved": saved, "fields": fields, "params": [] }),
        content,
    );
    console.pages().show("sql.html", &viewer, content)
}
