//! What a search finds, taken away as CSV or JSON.

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures::stream;
use http::header;
use serde_json::Value;

use super::{Console, forms::Visit, records::search};

/// Records of one page that is asked for.
const PAGE: i64 = 1000;
/// Records that can be taken away at once, as CSV: its columns are known when all are in.
const CSV_MAX: usize = 20_000;
/// Records that can be taken away at once, as JSON: page by page, none is kept.
const JSON_MAX: usize = 1_000_000;

/// `GET /console/records.csv`: what a search finds, with the plain values of its records.
pub(super) async fn csv(State(console): State<Console>, visit: Visit) -> Response {
    let viewer = visit.viewer("/console/records");
    let mut records: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = search(&console, &visit, PAGE, after.as_deref()).await;
        let mut page = match page {
            Ok(page) => page,
            Err(refusal) => return console.pages().refusal(&viewer, &refusal),
        };
        for record in page["records"].as_array_mut().into_iter().flatten() {
            records.push(record.take());
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() || records.len() >= CSV_MAX {
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

/// Where an answer of JSON has got to.
struct Going {
    console: Console,
    visit: Visit,
    told: usize,
    after: Option<String>,
}

/// `GET /console/records.json`: what a search finds as an array, whole. It is written while it is read: should
/// something fail on the way the answer breaks off, and is no JSON.
pub(super) async fn json(State(console): State<Console>, visit: Visit) -> Response {
    let first = match search(&console, &visit, PAGE, None).await {
        Ok(first) => first,
        Err(refusal) => {
            let viewer = visit.viewer("/console/records");
            return console.pages().refusal(&viewer, &refusal);
        }
    };
    let going = Going {
        console,
        visit,
        told: 0,
        after: None,
    };
    let pages = stream::try_unfold(Some((going, first)), async |state| {
        let Some((mut going, page)) = state else {
            return Ok(None);
        };
        let text = going.write(&page);
        let Some(after) = &going.after else {
            return Ok(Some((text, None)));
        };
        let next = search(&going.console, &going.visit, PAGE, Some(after)).await?;
        Ok::<_, crate::door::Refusal>(Some((text, Some((going, next)))))
    });
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (
                header::CONTENT_DISPOSITION,
                "attachment; filename=\"records.json\"",
            ),
        ],
        Body::from_stream(pages),
    )
        .into_response()
}

impl Going {
    /// The part of the array that a page is.
    fn write(&mut self, page: &Value) -> Bytes {
        let mut text = String::new();
        for record in page["records"].as_array().into_iter().flatten() {
            text.push_str(if self.told == 0 { "[\n" } else { ",\n" });
            text.push_str(&record.to_string());
            self.told += 1;
        }
        let next = page["next"].as_str().filter(|_| self.told < JSON_MAX);
        self.after = next.map(str::to_owned);
        if self.after.is_none() {
            text.push_str(if self.told == 0 { "[]\n" } else { "\n]\n" });
        }
        text.into()
    }
}
