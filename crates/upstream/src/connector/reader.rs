//! Reads TOML tables key by key and remembers which keys were asked for, so that what nobody asked for is an
//! error with its line and the closest allowed name.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Diagnostics, closest};
use super::notes::Notes;
use crate::duration::parse_duration;
use crate::field_path::FieldPath;

/// Reads `text` with `build`; all problems that `build` met come back together.
pub(super) fn read<T>(
    file_name: &str,
    text: &str,
    build: impl FnOnce(&Table<'_>) -> T,
) -> Result<T, Diagnostics> {
    let notes = Notes::new(text);
    let built = match DeTable::parse(text) {
        Ok(root) => {
            let root = Table {
                path: String::new(),
                table: root.get_ref(),
                asked: RefCell::default(),
                unchecked: Cell::default(),
                notes: &notes,
            };
            Some(build(&root))
        }
        Err(error) => {
            let line = error.span().map_or(1, |span| notes.line_at(span.start));
            notes.push(
                line,
                String::new(),
                format!("not TOML: {}", error.message().replace('\n', ": ")),
            );
            None
        }
    };
    let mut problems = notes.problems.into_inner();
    problems.sort();
    problems.dedup();
    match built {
        Some(built) if problems.is_empty() => Ok(built),
        _ => Err(Diagnostics {
            file: file_name.to_owned(),
            problems,
        }),
    }
}

/// One table of the file. When it drops, every key that nobody asked for is a problem.
pub(super) struct Table<'a> {
    path: String,
    table: &'a DeTable<'a>,
    asked: RefCell<BTreeSet<&'static str>>,
    unchecked: Cell<bool>,
    notes: &'a Notes,
}

impl<'a> Table<'a> {
    pub(super) fn notes(&self) -> &'a Notes {
        self.notes
    }

    /// Notes a problem at `key` of this table.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        let path = self.key_path(key);
        if let Some((name, _)) = self.table.get_key_value(key) {
            self.remember(&path, name);
        }
        self.notes.problem(&path, message);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let value = self.value(key)?;
        let text = value.as_str().map(str::to_owned);
        text.or_else(|| self.wrong_type(key, value, "a text in quotes"))
    }

    /// A text that must be there and not be empty.
    pub(super) fn need_text(&self, key: &'static str) -> String {
        let text = self.text(key);
        match &text {
            None if !self.has(key) => self.problem(key, "is missing"),
            Some(text) if text.is_empty() => self.problem(key, "must not be empty"),
            _ => {}
        }
        text.unwrap_or_default()
    }

    /// A name that can stand in SQL without quotes.
    pub(super) fn need_name(&self, key: &'static str) -> String {
        let name = self.need_text(key);
        if !name.is_empty() && !is_name(&name) {
            self.problem(
                key,
                format!("`{name}` is no name: use a-z, 0-9 and _, a letter first, at most 48"),
            );
        }
        name
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        value
            .as_bool()
            .or_else(|| self.wrong_type(key, value, "true or false"))
    }

    /// A whole number from `least` to `most`.
    pub(super) fn integer(&self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        let value = self.value(key)?;
        let number = value
            .as_integer()
            .and_then(|number| number.as_str().parse::<i64>().ok());
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                self.problem(key, format!("{number} is out of bounds: {least} to {most}"));
                None
            }
            None => self.wrong_type(key, value, "a whole number"),
        }
    }

    /// A share above 0, at most 1.
    pub(super) fn share(&self, key: &'static str) -> Option<f64> {
        let value = self.value(key)?;
        let text = value.as_float().map(|number| number.as_str().to_owned());
        let text = text.or_else(|| value.as_integer().map(|number| number.as_str().to_owned()));
        match text.and_then(|text| text.parse::<f64>().ok()) {
            Some(share) if share > 0.0 && share <= 1.0 => Some(share),
            Some(share) => {
                self.problem(key, format!("{share} is no share: more than 0, at most 1"));
                None
            }
            None => self.wrong_type(key, value, "a number above 0, at most 1"),
        }
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        match parse_duration(&self.text(key)?) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.problem(key, message);
                None
            }
        }
    }

    /// A duration that must be there and be more than nothing.
    pub(super) fn need_duration(&self, key: &'static str) -> Duration {
        if !self.has(key) {
            self.problem(key, "is missing");
        }
        let duration = self.duration(key);
        if duration == Some(Duration::ZERO) {
            self.problem(key, "must be more than 0");
        }
        duration.unwrap_or(Duration::from_secs(1))
    }

    pub(super) fn path(&self, key: &'static str) -> Option<FieldPath> {
        let text = self.text(key)?;
        self.parse_path(key, &text)
    }

    /// A path that must be there.
    pub(super) fn need_path(&self, key: &'static str) -> FieldPath {
        let text = self.need_text(key);
        let path = if text.is_empty() {
            None
        } else {
            self.parse_path(key, &text)
        };
        path.unwrap_or_else(FieldPath::nowhere)
    }

    pub(super) fn parse_path(&self, key: &'static str, text: &str) -> Option<FieldPath> {
        FieldPath::parse(text)
            .map_err(|message| self.problem(key, message))
            .ok()
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let word = self.text(key)?;
        let found = choices
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.problem(key, unknown("value", &word, &names));
        }
        found
    }

    /// A list of texts; one text alone counts as a list of one.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let texts = match value {
            DeValue::String(text) => Some(vec![text.to_string()]),
            DeValue::Array(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        texts.or_else(|| self.wrong_type(key, value, "a list of texts"))
    }

    /// A list of whole numbers from `least` to `most`.
    pub(super) fn integers(&self, key: &'static str, least: i64, most: i64) -> Option<Vec<i64>> {
        let value = self.value(key)?;
        let numbers: Option<Vec<i64>> = value.as_array().and_then(|items| {
            items
                .iter()
                .map(|item| item.get_ref().as_integer()?.as_str().parse().ok())
                .collect()
        });
        match numbers {
            Some(numbers) if numbers.iter().all(|number| (least..=most).contains(number)) => {
                Some(numbers)
            }
            Some(_) => {
                self.problem(key, format!("every number must be from {least} to {most}"));
                None
            }
            None => self.wrong_type(key, value, "a list of whole numbers"),
        }
    }

    /// A table of texts under free keys, in the order of the file's keys.
    pub(super) fn pairs(&self, key: &'static str) -> Option<Vec<(String, String)>> {
        let value = self.value(key)?;
        let Some(table) = value.as_table() else {
            return self.wrong_type(key, value, "a table of texts");
        };
        let mut pairs = Vec::with_capacity(table.len());
        for (name, value) in table.iter() {
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                DeValue::Integer(number) => number.as_str().to_owned(),
                _ => {
                    self.problem(
                        key,
                        format!(
                            "`{}` must be a text, a whole number, true or false",
                            name.get_ref()
                        ),
                    );
                    continue;
                }
            };
            pairs.push((name.get_ref().to_string(), text));
        }
        Some(pairs)
    }

    /// The table at `key`.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        match value.as_table() {
            Some(table) => Some(self.inner(self.key_path(key), table)),
            None => self.wrong_type(key, value, "a table"),
        }
    }

    /// The tables at `[[key]]`, each known by its `name`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            return self
                .wrong_type(key, value, "a list of tables, each `[[...]]`")
                .unwrap_or_default();
        };
        let mut tables = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong_type::<()>(key, item.get_ref(), "a list of tables, each `[[...]]`");
                continue;
            };
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            let label = name.map_or_else(|| (position + 1).to_string(), str::to_owned);
            let mut repeated = false;
            let mut path = format!("{}.{label}", self.key_path(key));
            if self.notes.lines.borrow().contains_key(&path) {
                // A second table of the same name, which is a problem of its own.
                path = format!("{path}#{}", position + 1);
                repeated = true;
            }
            self.notes
                .lines
                .borrow_mut()
                .insert(path.clone(), self.notes.line_at(item.span().start));
            if repeated {
                self.notes
                    .problem(&path, format!("there is a `{label}` already"));
            }
            tables.push(self.inner(path, table));
        }
        tables
    }

    /// The tables of a table with free names: `[ttl]`, each a list of tables.
    pub(super) fn named_lists(&self, key: &'static str) -> Vec<(String, Vec<Table<'a>>)> {
        let mut lists = Vec::new();
        let Some(value) = self.value(key) else {
            return lists;
        };
        let Some(table) = value.as_table() else {
            return self
                .wrong_type(key, value, "a table of lists")
                .unwrap_or_default();
        };
        for (name, value) in table.iter() {
            let path = format!("{}.{}", self.key_path(key), name.get_ref());
            self.remember(&path, name);
            let Some(items) = value.get_ref().as_array() else {
                self.notes.problem(&path, "must be a list of tables");
                continue;
            };
            let tables = items.iter().enumerate().filter_map(|(position, item)| {
                let path = format!("{path}.{}", position + 1);
                self.notes
                    .lines
                    .borrow_mut()
                    .insert(path.clone(), self.notes.line_at(item.span().start));
                let table = item.get_ref().as_table();
                if table.is_none() {
                    self.notes.problem(&path, "must be a table");
                }
                Some(self.inner(path, table?))
            });
            lists.push((name.get_ref().to_string(), tables.collect()));
        }
        lists
    }

    fn inner(&self, path: String, table: &'a DeTable<'a>) -> Table<'a> {
        Table {
            path,
            table,
            asked: RefCell::default(),
            unchecked: Cell::default(),
            notes: self.notes,
        }
    }

    fn value(&self, key: &'static str) -> Option<&'a DeValue<'a>> {
        self.asked.borrow_mut().insert(key);
        let (name, value) = self.table.get_key_value(key)?;
        self.remember(&self.key_path(key), name);
        Some(value.get_ref())
    }

    fn remember(&self, path: &str, key: &Spanned<std::borrow::Cow<'_, str>>) {
        self.notes
            .lines
            .borrow_mut()
            .insert(path.to_owned(), self.notes.line_at(key.span().start));
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn wrong_type<T>(&self, key: &str, value: &DeValue<'_>, wanted: &str) -> Option<T> {
        let found = match value {
            DeValue::Array(_) if wanted.starts_with("a list") => "a list of something else",
            other => type_name(other),
        };
        self.problem(key, format!("must be {wanted}, not {found}"));
        None
    }

    /// Stops looking for keys that nobody asked for: what is allowed here depends on something that is wrong.
    pub(super) fn allow_anything(&self) {
        self.unchecked.set(true);
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        if self.unchecked.get() {
            return;
        }
        let asked = self.asked.borrow();
        let allowed: Vec<&str> = asked.iter().copied().collect();
        for (key, _) in self.table.iter() {
            if !asked.contains(key.get_ref().as_ref()) {
                let path = self.key_path(key.get_ref());
                self.remember(&path, key);
                self.notes
                    .problem(&path, unknown("key", key.get_ref(), &allowed));
            }
        }
    }
}

fn unknown(what: &str, word: &str, allowed: &[&str]) -> String {
    let mut message = format!("unknown {what} `{word}`");
    if let Some(near) = closest(word, allowed.iter().copied()) {
        message.push_str(&format!("; did you mean `{near}`?"));
    }
    message.push_str(&format!(" Allowed here: {}", allowed.join(", ")));
    message
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether `name` can stand in SQL without quotes and leaves room for suffixes.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 48
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
