//! Narrowing a search down: the values that its records have, as links.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Console,
    columns::{at, plain},
    forms::Visit,
    records::ASKED,
};
/// Paths that are counted.
const FACETS: usize = 4;
/// Values of each.
const VALUES: &str = "8";
/// More different values than these on one page are no kinds.
const KINDS_MAX: usize = 12;

/// What the search can be narrowed down by; nothing where records say nothing of the kind.
pub(super) async fn of(
    console: &Console,
    visit: &Visit,
    records: &[Value],
    shown: &[&str],
) -> Value {
    let paths = telling(records, shown);
    if paths.is_empty() {
        return Value::Null;
    }
    let mut more: Vec<(&str, &str)> = paths.iter().map(|path| ("path", path.as_str())).collect();
    more.push(("limit", VALUES));
    let asked = format!("/v1/facets{}", visit.query(&ASKED, &more));
    // The records are there all the same: it is an aid.
    let Ok(counted) = visit.get(console, &asked).await else {
        return Value::Null;
    };
    let criteria: Vec<&str> = visit.all("where").collect();
    let facets: Vec<Value> = counted["facets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|facet| links(visit, facet, &criteria))
        .collect();
    json!({ "of": facets, "records": counted["records"], "whole": counted["whole"] })
}

/// The places that sort a page's records into a few kinds, those that tell most first.
fn telling(records: &[Value], shown: &[&str]) -> Vec<String> {
    let few = KINDS_MAX.min(records.len() / 2);
    let mut told: Vec<Vec<String>> = Vec::new();
    let mut paths: Vec<(usize, String)> = plain(records, shown)
        .into_iter()
        .filter_map(|path| {
            let values = records.iter().map(|record| at(&record["body"], &path));
            let values: Vec<String> = values.map(Value::to_string).collect();
            // Who is billed is mostly who buys: the same sorts nobody any further.
            if told.contains(&values) {
                return None;
            }
            told.push(values.clone());
            let values: BTreeSet<String> = values.into_iter().collect();
            let is_time = values
                .iter()
                .all(|value| value == "null" || value.contains(':'));
            (values.len() <= few && !is_time).then_some((usize::from(values.len() < 2), path))
        })
        .collect();
    // Where the whole page says the same there is least to choose from.
    paths.sort_by_key(|(says_one, _)| *says_one);
    paths.truncate(FACETS);
    paths.into_iter().map(|(_, path)| path).collect()
}

/// A facet whose values lead to the search that has them as a criterion, or no longer has.
fn links(visit: &Visit, facet: &Value, criteria: &[&str]) -> Option<Value> {
    let path = facet["path"].as_str()?;
    let values: Vec<Value> = facet["values"]
        .as_array()?
        .iter()
        .map(|found| {
            let value = match &found["value"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let criterion = format!("{path}={value}");
            let is_chosen = criteria.contains(&criterion.as_str());
            let others: Vec<&str> = ASKED.into_iter().filter(|name| *name != "where").collect();
            let mut kept: Vec<(&str, &str)> = criteria
                .iter()
                .filter(|kept| **kept != criterion)
                .map(|kept| ("where", *kept))
                .collect();
            if !is_chosen {
                kept.push(("where", &criterion));
            }
            json!({
                "value": if value.is_empty() { "nothing" } else { &value },
                "records": found["records"],
                "chosen": is_chosen,
                "href": format!("/console/records{}", visit.query(&others, &kept)),
            })
        })
        .collect();
    let is_chosen = values.iter().any(|value| value["chosen"] == true);
    let distinct = facet["distinct"].as_i64().unwrap_or_default();
    (distinct > 1 || is_chosen).then(|| {
        let more = distinct - values.len() as i64;
        json!({ "path": path, "values": values, "more": more })
    })
}
