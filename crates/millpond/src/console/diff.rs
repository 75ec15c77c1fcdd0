//! What changed from one version of a body to the next, as the console shows it.

use serde::Serialize;
use serde_json::{Value, value::RawValue, value::to_raw_value};

use crate::diff::changes;

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

/// The differences, and whether there are more.
pub(super) fn differences(before: &Value, after: &Value) -> (Vec<Difference>, bool) {
    // A value that was JSON is JSON.
    let (Ok(before), Ok(after)) = (to_raw_value(before), to_raw_value(after)) else {
        return (Vec::new(), true);
    };
    let (found, more) = changes(&before, &after, CHANGES_MAX);
    let shown = found.into_iter().map(|change| Difference {
        path: change.path.join("."),
        before: change.before.map(shown),
        after: change.after.map(shown),
    });
    (shown.collect(), more)
}

fn shown(value: &RawValue) -> String {
    let text =
        serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
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
    fn paths_have_dots_texts_no_quotes_and_long_values_are_cut() {
        let before = json!({"Lines": [{"Q": "two"}]});
        let after = json!({"Lines": [{"Q": "x".repeat(500)}, {"R": 1}]});
        let change = |path: &str, before: Option<&str>, after: String| Difference {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: Some(after),
        };
        let expected = vec![
            change("Lines.0.Q", Some("two"), format!("{}…", "x".repeat(200))),
            change("Lines.1", None, r#"{"R":1}"#.to_owned()),
        ];
        assert_eq!(differences(&before, &after), (expected, false));
        assert_eq!(differences(&after, &after), (Vec::new(), false));
    }
}
