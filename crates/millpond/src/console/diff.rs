//! What changed from one version of a body to the next.

use serde::Serialize;
use serde_json::Value;

/// Changes that are shown of one step.
const CHANGES_MAX: usize = 100;
/// Letters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// One value that changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// Where: keys and numbers of elements, with dots between.
    pub path: String,
    /// What stood there; absent: nothing.
    pub before: Option<String>,
    /// What stands there now; absent: nothing.
    pub after: Option<String>,
}

/// The differences, in the order of the newer body, and whether there are more.
pub(super) fn differences(before: &Value, after: &Value) -> (Vec<Difference>, bool) {
    let mut found = Vec::new();
    compare(before, after, &mut String::new(), &mut found);
    let more = found.len() > CHANGES_MAX;
    found.truncate(CHANGES_MAX);
    (found, more)
}

fn compare(before: &Value, after: &Value, path: &mut String, found: &mut Vec<Difference>) {
    if before == after || found.len() > CHANGES_MAX {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                below(path, key, |path| match old.get(key) {
                    Some(before) => compare(before, value, path, found),
                    None => note(None, Some(value), path, found),
                });
            }
            for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
                below(path, key, |path| note(Some(value), None, path, found));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for n in 0..old.len().max(new.len()) {
                below(path, &n.to_string(), |path| {
                    match (old.get(n), new.get(n)) {
                        (Some(before), Some(after)) => compare(before, after, path, found),
                        (before, after) => note(before, after, path, found),
                    }
                });
            }
        }
        _ => note(Some(before), Some(after), path, found),
    }
}

fn below(path: &mut String, key: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(key);
    visit(path);
    path.truncate(length);
}

fn note(before: Option<&Value>, after: Option<&Value>, path: &str, found: &mut Vec<Difference>) {
    found.push(Difference {
        path: path.to_owned(),
        before: before.map(shown),
        after: after.map(shown),
    });
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Difference, differences};

    #[test]
    fn what_came_went_and_changed_is_told_by_its_path() {
        let before = json!({"Status": "OPEN", "Lines": [{"Q": 1}, {"Q": 2}], "Memo": "x"});
        let after =
            json!({"Status": "DONE", "Lines": [{"Q": 1}, {"Q": 3}, {"Q": 4}], "Ship": null});
        let change = |path: &str, before: Option<&str>, after: Option<&str>| Difference {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let (found, more) = differences(&before, &after);
        assert!(!more);
        let mut expected = vec![
            change("Status", Some("OPEN"), Some("DONE")),
            change("Lines.1.Q", Some("2"), Some("3")),
            change("Lines.2", None, Some("{\"Q\":4}")),
            change("Ship", None, Some("null")),
            change("Memo", Some("x"), None),
        ];
        for difference in found {
            let at = expected.iter().position(|e| *e == difference);
            expected.remove(at.unwrap_or_else(|| panic!("{difference:?}")));
        }
        assert!(expected.is_empty(), "{expected:?}");
        assert_eq!(differences(&after, &after), (Vec::new(), false));
    }

    #[test]
    fn a_step_that_changes_everything_is_cut() {
        let before = json!((0..5000).collect::<Vec<_>>());
        let after = json!((1..5001).collect::<Vec<_>>());
        let (found, more) = differences(&before, &after);
        assert!(more);
        assert_eq!(found.len(), 100);
    }
}
