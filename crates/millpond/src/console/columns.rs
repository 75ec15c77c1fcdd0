//! Which of its many values tell a record apart.

use serde_json::Value;

/// Fewer places than these that the connector shows are not enough.
const SHOWN_MIN: usize = 3;
/// Columns of the table, besides id, instance and times.
const COLUMNS_MAX: usize = 7;

/// What tells these records apart: `shown` by their connector, as far as they say anything there, or else the plain
/// values that most of them have. Keys, with dots between.
pub(super) fn columns(records: &[Value], shown: &[&str]) -> Vec<String> {
    let mut names = plain(records, shown);
    names.truncate(COLUMNS_MAX);
    names
}

/// All such places that criteria can name.
pub(super) fn plain(records: &[Value], shown: &[&str]) -> Vec<String> {
    let says = |path: &&&str| {
        let said = |record: &Value| match at(&record["body"], path) {
            Value::Null | Value::Array(_) | Value::Object(_) => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        records.iter().filter(|record| said(record)).count() * 2 >= records.len()
    };
    let named: Vec<String> = shown
        .iter()
        .filter(says)
        .map(|&path| path.to_owned())
        .collect();
    if named.len() >= SHOWN_MIN {
        return named;
    }
    let mut seen: Vec<(String, usize)> = Vec::new();
    let mut note = |path: String, value: &Value| {
        let is_plain = match value {
            Value::String(text) => !text.is_empty() && !is_id(text),
            Value::Number(_) | Value::Bool(_) => true,
            _ => false,
        };
        if !is_plain || path.contains(['[', ']', '=', '!', '<', '>', '~']) {
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
        for (key, value) in body.iter().filter(|(key, _)| !key.contains('.')) {
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

/// What a body has at keys with dots between.
pub(super) fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(body, |value, key| &value[key])
}

fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
