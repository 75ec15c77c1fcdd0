//! What of an answer an agent is shown: all of it when it is short, else its outline or what fits.

use serde_json::{Map, Value, json};

/// The most letters of JSON in one answer: about 12,000 tokens.
pub(super) const ANSWER_CHARS_MAX: usize = 48_000;
/// The most keys that an outline names on one level.
const OUTLINE_KEYS_MAX: usize = 100;
/// Levels of an outline.
const OUTLINE_DEPTH: usize = 3;

/// Whether an agent can take it in.
pub(super) fn fits(value: &Value) -> bool {
    value.to_string().len() <= ANSWER_CHARS_MAX
}

/// The part of a body that an RFC 6901 pointer names; of an array, `count` elements after the first `from`.
pub(super) fn part<'a>(
    body: &'a Value,
    pointer: &str,
    from: usize,
    count: usize,
) -> Option<std::borrow::Cow<'a, Value>> {
    use std::borrow::Cow;
    Some(match body.pointer(pointer)? {
        Value::Array(items) if from > 0 || count < items.len() => Cow::Owned(Value::Array(
            items.iter().skip(from).take(count).cloned().collect(),
        )),
        found => Cow::Borrowed(found),
    })
}

/// Which keys a value has, and what stands behind them.
pub(super) fn outline(value: &Value) -> Value {
    sketch(value, OUTLINE_DEPTH)
}

fn sketch(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(entries) if depth > 0 => {
            let mut shown: Map<String, Value> = entries
                .iter()
                .take(OUTLINE_KEYS_MAX)
                .map(|(key, value)| (key.clone(), sketch(value, depth - 1)))
                .collect();
            if let Some(more) = entries.len().checked_sub(OUTLINE_KEYS_MAX + 1) {
                shown.insert("…".to_owned(), json!(format!("{} more keys", more + 1)));
            }
            Value::Object(shown)
        }
        Value::Object(entries) => json!(format!("object of {} keys", entries.len())),
        Value::Array(items) => {
            let kind = items.first().map(|first| sketch(first, depth.min(1)));
            json!({ "array_of": items.len(), "first": kind })
        }
        Value::String(text) if text.len() > 60 => {
            json!(format!("text of {} letters", text.chars().count()))
        }
        plain => plain.clone(),
    }
}

/// Takes rows from the end until what is left fits; answers how many went.
pub(super) fn trim_rows(value: &mut Value, key: &str) -> usize {
    let mut gone = 0;
    let mut chars = value.to_string().len();
    let Some(rows) = value.get_mut(key).and_then(Value::as_array_mut) else {
        return 0;
    };
    while chars > ANSWER_CHARS_MAX
        && let Some(row) = rows.pop()
    {
        chars = chars.saturating_sub(row.to_string().len() + 1);
        gone += 1;
    }
    gone
}

#[cfg(test)]
mod tests;
