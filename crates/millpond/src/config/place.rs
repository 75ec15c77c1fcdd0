//! From a key to the line that it stands on.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One step from a table to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// The steps to a key, `instance[1].connection[0].name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<Step>);

impl Place {
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(
            keys.iter()
                .map(|key| Step::Key((*key).to_owned()))
                .collect(),
        )
    }

    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    pub(super) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    pub(super) fn from_serde(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }

    pub(super) fn mentions(&self, keys: &[&str]) -> bool {
        self.0
            .iter()
            .any(|step| matches!(step, Step::Key(key) if keys.contains(&key.as_str())))
    }

    /// The line, from 1, of the deepest part of this place that the text has; and whether it has all of it.
    pub(super) fn line(&self, text: &str) -> (usize, bool) {
        let Ok(root) = DeTable::parse(text) else {
            return (1, false);
        };
        let mut at = 0;
        let mut table: Option<&DeTable<'_>> = Some(root.get_ref());
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        for step in &self.0 {
            let next = match step {
                Step::Key(key) => table.and_then(|table| {
                    let (name, value) = table.get_key_value(key.as_str())?;
                    Some((name.span().start, value))
                }),
                Step::Index(index) => value
                    .and_then(|value| value.get_ref().as_array())
                    .and_then(|array| array.get(*index))
                    .map(|value| (value.span().start, value)),
            };
            let Some((start, found)) = next else {
                return (line_of(text, at), false);
            };
            at = start;
            value = Some(found);
            table = found.get_ref().as_table();
        }
        (line_of(text, at), true)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if n == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

pub(super) fn line_of(text: &str, byte: usize) -> usize {
    let end = byte.min(text.len());
    1 + text.as_bytes()[..end]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
}
