//! One record: its body as a tree, where it comes from, and what it said before.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::{Value, json};

use super::{Console, diff::differences, forms::Visit, tree::Tree};
use crate::door::{Refusal, encoded};

/// Former versions that are shown.
const VERSIONS: usize = 20;
/// Elements of a part that is an array.
const PART_ELEMENTS: usize = 200;
/// Hints that lead to related records.
const RELATED_MAX: usize = 12;

pub(super) type RecordPath = (String, String, String);

/// Where the API has a record.
pub(super) fn api_path((resource, instance, id): &RecordPath) -> String {
    format!(
        "/v1/records/{}/{}/{}",
        encoded(resource),
        encoded(instance),
        encoded(id)
    )
}

/// Where the console has it.
pub(super) fn page_path((resource, instance, id): &RecordPath) -> String {
    format!(
        "/console/records/{}/{}/{}",
        encoded(resource),
        encoded(instance),
        encoded(id)
    )
}

/// `GET /console/records/{resource}/{instance}/{id}`; `part` and `from` for a part of a large body.
pub(super) async fn show(
    State(console): State<Console>,
    Path(of): Path<RecordPath>,
    visit: Visit,
) -> Response {
    let viewer = visit.viewer("/console/records");
    match load(&console, &visit, &of).await {
        Ok(content) => console.pages().show("record.html", &viewer, content),
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}

async fn load(console: &Console, visit: &Visit, of: &RecordPath) -> Result<Value, Refusal> {
    let api = api_path(of);
    let record = visit.get(console, &format!("{api}?no_calls=true")).await?;
    let history = visit
        .get(console, &format!("{api}/history?limit={VERSIONS}"))
        .await?;
    let known = visit.get(console, "/v1/resources").await?;
    let explained = format!(
        "/v1/freshness/{}/{}/{}",
        encoded(&of.0),
        encoded(&of.1),
        encoded(&of.2)
    );
    // Of what nobody read there is nothing to say.
    let explained = visit.get(console, &explained).await.ok();
    let hot = api.replacen("/v1/", "/v1/cache/", 1);
    let hot = visit.get(console, &hot).await.ok();
    let body = &record["body"];
    let pointer = visit.one("part").unwrap_or_default();
    let from: usize = visit
        .one("from")
        .and_then(|from| from.parse().ok())
        .unwrap_or(0);
    let part = body.pointer(pointer).ok_or_else(|| Refusal {
        status: http::StatusCode::NOT_FOUND,
        message: format!("the record has nothing at `{pointer}`"),
        hint: String::new(),
    })?;
    let page = page_path(of);
    let alike = format!(
        "/console/records?resource={}&instance={}",
        encoded(&of.0),
        encoded(&of.1)
    );
    let tree = Tree {
        page: &page,
        alike: Some(&alike),
    };
    let (body_html, next) = match part {
        Value::Array(items) if items.len() > PART_ELEMENTS || from > 0 => {
            let window: Vec<Value> = items
                .iter()
                .skip(from)
                .take(PART_ELEMENTS)
                .cloned()
                .collect();
            let end = from + window.len();
            // Within a part of an array, numbers would be wrong: nothing leads to its elements.
            let drawn = tree.draw(&Value::Array(window), pointer);
            let next =
                (end < items.len()).then(|| format!("{page}?part={}&from={end}", encoded(pointer)));
            (drawn, next)
        }
        part => (tree.draw(part, pointer), None),
    };
    let has_get = known["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|resource| resource["name"] == of.0.as_str() && resource["has_get"] == true);
    Ok(json!({
        "title": format!("{} {}", of.0, of.2),
        "record": json!({
            "resource": of.0, "instance": of.1, "id": of.2,
            "version": record["version"], "upstream_at": record["upstream_at"], "changed_at": record["changed_at"],
            "as_of": record["as_of"], "deleted_at": record["deleted_at"], "run": record["run"],
            "age_secs": record["age_secs"],
        }),
        "chars": body.to_string().len(),
        "body": body_html,
        "part": pointer,
        "from": from,
        "next": next,
        "page": page,
        "can_fetch": has_get,
        "explained": explained,
        "hot": hot.as_ref().map(|hot| kept(&hot["values"])),
        "versions": steps(&record, &history),
        "related": related(body, &known, &of.0, &of.1),
    }))
}

/// Hot values as rows of a table, each with a way to what is known of its key.
fn kept(values: &Value) -> Vec<Value> {
    let values = values.as_array().into_iter().flatten();
    let row = |value: &Value| {
        let key = value["key"].as_str().unwrap_or_default();
        json!({
            "value": value["value"], "state": value["state"], "age_secs": value["age_secs"],
            "expires_in_secs": value["expires_in_secs"], "key": key,
            "explain": format!("/console/cache?key={}", encoded(key)),
        })
    };
    values.map(row).collect()
}

/// What each version changed of the one before, newest first.
fn steps(record: &Value, history: &Value) -> Vec<Value> {
    let former = history["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut newer = (
        record["body"].clone(),
        record["changed_at"].clone(),
        record["run"].clone(),
    );
    let mut steps = Vec::new();
    for version in former {
        let (changes, more) = differences(&version["body"], &newer.0);
        steps.push(json!({
            "at": newer.1, "run": newer.2, "was_deleted": version["deleted"],
            "changes": changes, "more": more, "before_version": version["version"],
        }));
        newer = (
            version["body"].clone(),
            version["changed_at"].clone(),
            version["run"].clone(),
        );
    }
    steps
}

/// Records that this one names: `CustomerID` may be the id of a `customer`.
fn related(body: &Value, known: &Value, resource: &str, instance: &str) -> Vec<Value> {
    // Another connector's resources are another company's words.
    let connector = resource
        .split_once('.')
        .map_or("", |(connector, _)| connector);
    let Some(body) = body.as_object() else {
        return Vec::new();
    };
    let resources: Vec<&str> = known["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|resource| resource["name"].as_str())
        .collect();
    let mut found = Vec::new();
    for (key, value) in body {
        let id = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Object(inner) => match inner.get("id") {
                Some(Value::Number(number)) => number.to_string(),
                _ => continue,
            },
            _ => continue,
        };
        let stem = key.strip_suffix("ID").or_else(|| key.strip_suffix("Id"));
        let Some(stem) = stem.or_else(|| value.is_object().then_some(key.as_str())) else {
            continue;
        };
        let wanted = stem.to_ascii_lowercase();
        let named = resources.iter().find(|name| {
            let (of, table) = name.split_once('.').unwrap_or_default();
            of == connector && !wanted.is_empty() && table.replace('_', "") == wanted
        });
        if let Some(resource) = named {
            found.push(json!({
                "key": key,
                "resource": resource,
                "id": id,
                "href": format!("/console/records/{resource}/{}/{}", encoded(instance), encoded(&id)),
            }));
        }
        if found.len() == RELATED_MAX {
            break;
        }
    }
    found
}

/// `GET …/raw`: the body as it is.
pub(super) async fn raw(
    State(console): State<Console>,
    Path(of): Path<RecordPath>,
    visit: Visit,
) -> Response {
    let viewer = visit.viewer("/console/records");
    match visit
        .get(&console, &format!("{}?no_calls=true", api_path(&of)))
        .await
    {
        Ok(record) => {
            let text = serde_json::to_string_pretty(&record["body"]).unwrap_or_default();
            // Text, so that no browser reads it as anything else.
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        Err(refusal) => console.pages().refusal(&viewer, &refusal),
    }
}
