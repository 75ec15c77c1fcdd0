//! What of a record can be recalled: the texts at the fields that configuration names.

use std::{fmt, str::FromStr};

use serde_json::Value;

/// The most letters of the text of one record.
const TEXT_CHARS_MAX: usize = 8000;
/// The most keys of a field.
const STEPS_MAX: usize = 16;

/// A place in a record: keys with dots between them, `[]` after one whose every element counts: `Lines[].Name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    steps: Vec<(String, bool)>,
}

/// A text that is no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no field: expected keys with dots between them, such as Name or Lines[].Name")]
pub struct BadField(String);

impl FromStr for Field {
    type Err = BadField;

    fn from_str(text: &str) -> Result<Self, BadField> {
        let steps: Vec<(String, bool)> = text
            .split('.')
            .map(|step| match step.strip_suffix("[]") {
                Some(key) => (key.to_owned(), true),
                None => (step.to_owned(), false),
            })
            .collect();
        let holds = steps.len() <= STEPS_MAX
            && steps
                .iter()
                .all(|(key, _)| !key.is_empty() && !key.contains(['[', ']']));
        match holds {
            true => Ok(Self { steps }),
            false => Err(BadField(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, every)) in self.steps.iter().enumerate() {
            let dot = if n > 0 { "." } else { "" };
            let brackets = if *every { "[]" } else { "" };
            write!(f, "{dot}{key}{brackets}")?;
        }
        Ok(())
    }
}

/// The texts and numbers at `fields` of a record's body, each on a line of its own; what is not there is left out.
pub fn text_of(body: &Value, fields: &[Field]) -> String {
    let mut lines = Vec::new();
    for field in fields {
        collect(body, &field.steps, &mut lines);
    }
    lines.join("\n").chars().take(TEXT_CHARS_MAX).collect()
}

fn collect(value: &Value, steps: &[(String, bool)], lines: &mut Vec<String>) {
    let Some(((key, every), rest)) = steps.split_first() else {
        match value {
            Value::String(text) if !text.trim().is_empty() => lines.push(text.trim().to_owned()),
            Value::Number(number) => lines.push(number.to_string()),
            _ => {}
        }
        return;
    };
    match value.get(key) {
        Some(Value::Array(items)) if *every => {
            items.iter().for_each(|item| collect(item, rest, lines))
        }
        Some(found) if !every => collect(found, rest, lines),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
