//! A path below the base URL.

use super::reader::Table;
use super::template::Template;

/// A path below the base URL with a fixed query: `sale?ID={id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The path, without a leading slash.
    pub path: Template,
    /// The query, not encoded.
    pub query: Vec<(String, Template)>,
}

impl Endpoint {
    /// Reads the endpoint at `key`; `with_id` says whether it must have `{id}` or must not.
    pub(super) fn read(table: &Table<'_>, key: &'static str, with_id: bool) -> Option<Endpoint> {
        let text = table.text(key)?;
        Endpoint::parse(table, key, &text, with_id)
    }

    /// Reads the endpoint at `key`, whatever places it has: they are checked elsewhere.
    pub(super) fn read_open(table: &Table<'_>, key: &'static str) -> Option<Endpoint> {
        let text = table.text(key)?;
        Endpoint::parse_open(table, key, &text)
    }

    fn parse(table: &Table<'_>, key: &str, text: &str, with_id: bool) -> Option<Endpoint> {
        let endpoint = Endpoint::parse_open(table, key, text)?;
        let places: Vec<&str> = endpoint.places().collect();
        if let Some(other) = places.iter().find(|place| **place != "id" || !with_id) {
            let allowed = if with_id { "only {id}" } else { "no place" };
            table.problem(
                key,
                format!("`{{{other}}}` has no meaning here: {allowed} is allowed"),
            );
        } else if with_id && places.is_empty() {
            table.problem(
                key,
                format!("`{text}` must say where the record's id goes: {{id}}"),
            );
        }
        Some(endpoint)
    }

    /// Reads an endpoint, whatever places it has.
    pub(super) fn parse_open(table: &Table<'_>, key: &str, text: &str) -> Option<Endpoint> {
        if text.contains("://")
            || text.contains('#')
            || text.split(['/', '?']).any(|part| part == "..")
        {
            table.problem(key, format!("`{text}` must be a path below `base_url`"));
            return None;
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((name.to_owned(), value));
        }
        let read = || -> Result<Endpoint, String> {
            let path = Template::parse(path.trim_start_matches('/'))?;
            let query: Result<Vec<_>, String> = pairs
                .iter()
                .map(|(name, value)| Ok((name.clone(), Template::parse(value)?)))
                .collect();
            Ok(Endpoint {
                path,
                query: query?,
            })
        };
        read().map_err(|message| table.problem(key, message)).ok()
    }

    /// The names of the places in path and query.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.path
            .places()
            .chain(self.query.iter().flat_map(|(_, value)| value.places()))
    }
}
