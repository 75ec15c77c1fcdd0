//! Records: found by resource, instance, criteria and JSON path, page by page.

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{
    Console,
    columns::{at, columns},
    facets,
    forms::Visit,
};
use crate::door::{Refusal, encoded};

/// Records of a page.
const PAGE: i64 = 50;
/// Letters of a value in the table.
const CELL_CHARS: usize = 80;

/// What a search is asked with.
pub(super) const ASKED: [&str; 6] = [
    "resource",
    "instance",
    "where",
    "contains",
    "json_path",
    "deleted",
];

/// `GET /console/records`.
pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console/records");
    let known = match visit.get(&console, "/v1/resources").await {
        Ok(known) => known,
        Err(refusal) => return console.pages().refusal(&viewer, &refusal),
    };
    let mut instances: Vec<&str> = known["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|resource| resource["instances"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    instances.sort_unstable();
    instances.dedup();
    let found = match visit.one("resource") {
        Some(_) => Some(search(&console, &visit, PAGE, visit.one("after")).await),
        None => None,
    };
    let (page, refusal) = match found {
        Some(Ok(page)) => (Some(page), None),
        Some(Err(refusal)) => (None, Some(refusal)),
        None => (None, None),
    };
    let records = page.as_ref().and_then(|page| page["records"].as_array());
    let records = records.map(Vec::as_slice).unwrap_or_default();
    let shown: Vec<&str> = known["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|resource| resource["name"].as_str() == visit.one("resource"))
        .flat_map(|resource| resource["columns"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let columns = columns(records, &shown);
    let rows: Vec<Value> = records.iter().map(|record| row(record, &columns)).collect();
    let next = page.as_ref().and_then(|page| page["next"].as_str());
    let criteria: Vec<&str> = visit.all("where").collect();
    let facets = facets::of(&console, &visit, records, &shown).await;
    let content = json!({
        "title": "Records",
        "known": known,
        "instances": instances,
        "resource": visit.one("resource"),
        "instance": visit.one("instance"),
        "criteria": criteria,
        "contains": visit.one("contains"),
        "json_path": visit.one("json_path"),
        "deleted": visit.one("deleted").is_some(),
        "columns": columns,
        "rows": rows,
        "asked": page.is_some(),
        "took": page.as_ref().map(|page| page["duration_ms"].clone()),
        "next": next.map(|after| format!("/console/records{}", visit.query(&ASKED, &[("after", after)]))),
        "first": visit.one("after").map(|_| format!("/console/records{}", visit.query(&ASKED, &[]))),
        "facets": facets,
        "csv": format!("/console/records.csv{}", visit.query(&ASKED, &[])),
        "json": format!("/console/records.json{}", visit.query(&ASKED, &[])),
        "refused": refusal.map(|refusal| json!({ "message": refusal.message, "hint": refusal.hint })),
    });
    console.pages().show("records.html", &viewer, content)
}

/// A page of what is searched for.
pub(super) async fn search(
    console: &Console,
    visit: &Visit,
    limit: i64,
    after: Option<&str>,
) -> Result<Value, Refusal> {
    let limit = limit.to_string();
    let mut more = vec![("limit", limit.as_str())];
    if let Some(after) = after {
        more.push(("after", after));
    }
    let path = format!("/v1/search{}", visit.query(&ASKED, &more));
    visit.get(console, &path).await
}

fn row(record: &Value, columns: &[String]) -> Value {
    let cells: Vec<String> = columns
        .iter()
        .map(|path| cell(at(&record["body"], path)))
        .collect();
    let part = |key: &str| encoded(record[key].as_str().unwrap_or_default());
    json!({
        "id": record["id"],
        "instance": record["instance"],
        "upstream_at": record["upstream_at"],
        "age_secs": record["age_secs"],
        "deleted": !record["deleted_at"].is_null(),
        "cells": cells,
        "href": format!(
            "/console/records/{}/{}/{}",
            part("resource"), part("instance"), part("id")
        ),
    })
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        // A day that is written as its midnight is a day.
        Value::String(text) => match text.split_once("T00:00:00") {
            Some((day, "" | "Z")) => day.to_owned(),
            _ => text.clone(),
        },
        other => other.to_string(),
    };
    match text.char_indices().nth(CELL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
