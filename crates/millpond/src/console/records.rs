//! Records: found by resource, instance, criteria and JSON path, page by page, and taken away as CSV.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::{Value, json};

use super::{Console, forms::Visit};
use crate::door::{Refusal, encoded};

/// Records of a page.
const PAGE: i64 = 50;
/// Records of one page that is asked for when they are taken away.
const EXPORT_PAGE: i64 = 1000;
/// Records that can be taken away at once.
const EXPORT_MAX: usize = 20_000;
/// Columns of the table, besides id, instance and times.
const COLUMNS_MAX: usize = 7;
/// Letters of a value in the table.
const CELL_CHARS: usize = 80;

/// What a search is asked with.
const ASKED: [&str; 6] = [
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
    let columns = columns(records);
    let rows: Vec<Value> = records.iter().map(|record| row(record, &columns)).collect();
    let next = page.as_ref().and_then(|page| page["next"].as_str());
    let criteria: Vec<&str> = visit.all("where").collect();
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
        "export": format!("/console/records.csv{}", visit.query(&ASKED, &[])),
        "refused": refusal.map(|refusal| json!({ "message": refusal.message, "hint": refusal.hint })),
    });
    console.pages().show("records.html", &viewer, content)
}

async fn search(
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

/// Where the plain values are that most of these records have: keys, with dots between, those that tell records
/// apart first.
fn columns(records: &[Value]) -> Vec<String> {
    let mut seen: Vec<(String, usize)> = Vec::new();
    let mut note = |path: String, value: &Value| {
        let is_plain = match value {
            Value::String(text) => !text.is_empty() && !is_id(text),
            Value::Number(_) | Value::Bool(_) => true,
            _ => false,
        };
        if !is_plain {
            return;
        }
        match seen.iter_mut().find(|(name, _)| *name == path) {
            Some((_, times)) => *times += 1,
            None => seen.push((path, 1)),
        }
    };
    for body in records
        .iter()
        .filter_map(|record| record["body"].as_object())
    {
        for (key, value) in body {
            match value {
                Value::Object(inner) => {
                    for (below, value) in inner {
                        note(format!("{key}.{below}"), value);
                    }
                }
                value => note(key.clone(), value),
            }
        }
    }
    seen.retain(|(_, times)| times * 2 >= records.len());
    seen.sort_by_key(|(path, times)| (rank(path), std::cmp::Reverse(*times)));
    seen.truncate(COLUMNS_MAX);
    seen.into_iter().map(|(name, _)| name).collect()
}

/// How well a value tells a record apart, by its name: the less the better.
fn rank(path: &str) -> usize {
    let (above, name) = path
        .rsplit_once('.')
        .map_or(("", path), |(above, name)| (above, name));
    let name = name.to_ascii_lowercase();
    let ends = [
        "number",
        "sku",
        "name",
        "status",
        "customer",
        "orderdate",
        "date",
        "total",
        "summary",
    ];
    let told = ends
        .iter()
        .position(|end| name.ends_with(end))
        .unwrap_or(ends.len());
    let is_derived = name.starts_with("combined") || name.starts_with("additional");
    told * 2 + usize::from(!above.is_empty()) + if is_derived { 40 } else { 0 }
}

fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(body, |value, key| &value[key])
}

fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
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
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(CELL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `GET /console/records.csv`: what a search finds, with the plain values of its records.
pub(super) async fn csv(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console/records");
    let mut records: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = search(&console, &visit, EXPORT_PAGE, after.as_deref()).await;
        let mut page = match page {
            Ok(page) => page,
            Err(refusal) => return console.pages().refusal(&viewer, &refusal),
        };
        for record in page["records"].as_array_mut().into_iter().flatten() {
            records.push(record.take());
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() || records.len() >= EXPORT_MAX {
            break;
        }
    }
    let mut names: Vec<String> = Vec::new();
    for body in records
        .iter()
        .filter_map(|record| record["body"].as_object())
    {
        for (key, value) in body {
            if !value.is_object() && !value.is_array() && !names.contains(key) {
                names.push(key.clone());
            }
        }
    }
    let mut table = csv::Writer::from_writer(Vec::new());
    let heads = ["resource", "instance", "id", "upstream_at", "as_of"];
    let mut written = table.write_record(
        heads
            .iter()
            .copied()
            .chain(names.iter().map(String::as_str)),
    );
    for record in &records {
        let own = heads.iter().map(|key| plain(&record[*key]));
        let body = names.iter().map(|key| plain(&record["body"][key]));
        written = written.and_then(|()| table.write_record(own.chain(body)));
    }
    match written
        .map_err(|error| error.to_string())
        .and_then(|()| table.into_inner().map_err(|error| error.to_string()))
    {
        Ok(text) => (
            [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"records.csv\"",
                ),
            ],
            text,
        )
            .into_response(),
        Err(error) => console.pages().failed(&error),
    }
}

/// A value as a cell of a table that other programs open: what they might take for a formula is text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
