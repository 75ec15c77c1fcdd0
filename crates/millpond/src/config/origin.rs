//! Which value holds, and where it comes from: what `millpond config check` prints.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use super::{Loaded, place::Place};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment { name } => write!(f, "environment {name}"),
        }
    }
}

/// One setting as it holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    /// Its key, `server.listen`.
    pub key: String,
    /// Its value. Secrets stand here as references only.
    pub value: Value,
    /// Where the value comes from.
    #[serde(flatten)]
    pub origin: Origin,
}

/// What is needed to say where a value comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    file: String,
    text: String,
    set: BTreeMap<String, Origin>,
}

impl Origins {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            set: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, key: &str, origin: Origin) {
        self.set.insert(key.to_owned(), origin);
    }

    fn of(&self, place: &Place) -> Origin {
        if let Some(origin) = self.set.get(&place.to_string()) {
            return origin.clone();
        }
        match place.line(&self.text) {
            (line, true) => Origin::File {
                file: self.file.clone(),
                line,
            },
            _ => Origin::Default,
        }
    }
}

impl Loaded {
    /// Every setting that holds, in the order of the file's reference.
    pub fn effective(&self) -> Vec<Effective> {
        let mut all = Vec::new();
        if let Ok(value) = serde_json::to_value(&self.config) {
            self.walk(&Place::default(), value, &mut all);
        }
        all
    }

    fn walk(&self, place: &Place, value: Value, all: &mut Vec<Effective>) {
        match value {
            Value::Object(keys) => {
                for (key, value) in keys {
                    self.walk(&place.key(&key), value, all);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (n, item) in items.into_iter().enumerate() {
                    self.walk(&place.index(n), item, all);
                }
            }
            value => all.push(Effective {
                key: place.to_string(),
                value,
                origin: self.origins.of(place),
            }),
        }
    }
}
