//! `[[payload]]` and `[ttl]`: what is fetched per parent record and kept hot, and for how long.

use super::endpoint::Endpoint;
use super::reader::Table;

/// Something fetched per parent record, out of one or several calls.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Its name, unlike any resource's.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// The key family of the hot value: `opp:notes:{id}`.
    pub family: String,
    /// The resource whose records have it.
    pub of: String,
    /// The calls that make it up, by the key under which each answer stands; one call alone has the key "".
    /// All or nothing: a payload with a part missing is not a payload.
    pub parts: Vec<(String, Endpoint)>,
    /// The table of `[ttl]` that says how long it stays hot.
    pub ttl: Option<String>,
    /// Whether the sweep warms it.
    pub warm: bool,
}

impl Payload {
    pub(super) fn read(table: &Table<'_>) -> Payload {
        let single = Endpoint::read(table, "get", true);
        let parts = table.pairs("parts");
        let parts = match (single, parts) {
            (Some(endpoint), None) => vec![(String::new(), endpoint)],
            (None, Some(parts)) if !parts.is_empty() => parts
                .into_iter()
                .filter_map(|(key, text)| {
                    Some((key, Endpoint::parse(table, "parts", &text, true)?))
                })
                .collect(),
            (Some(_), Some(_)) => {
                table.problem("parts", "stands beside `get`: give one or the other");
                Vec::new()
            }
            _ => {
                if !table.has("get") {
                    table.problem("get", "is missing: give `get`, or `parts`");
                }
                Vec::new()
            }
        };
        Payload {
            name: table.need_name("name"),
            title: table.text("title").unwrap_or_default(),
            family: table.need_text("family"),
            of: table.need_text("of"),
            parts,
            ttl: table.text("ttl"),
            warm: table.flag("warm").unwrap_or(false),
        }
    }
}

/// One row of a table of freshness rules. The first whose `when` holds decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtlRule {
    /// A CEL condition over the resource's signals; absent: always.
    pub when: Option<String>,
    /// How long the value stays hot; `None`: it is never kept.
    pub ttl: Option<std::time::Duration>,
}

pub(super) fn read_ttl(root: &Table<'_>) -> std::collections::BTreeMap<String, Vec<TtlRule>> {
    let mut tables = std::collections::BTreeMap::new();
    for (name, rows) in root.named_lists("ttl") {
        let count = rows.len();
        let mut rules = Vec::with_capacity(count);
        for (position, row) in rows.iter().enumerate() {
            let when = row.text("when");
            let text = row.need_text("ttl");
            let ttl = if text == "none" || text.is_empty() {
                None
            } else {
                row.duration("ttl")
            };
            let is_last = position + 1 == count;
            if when.is_none() && !is_last {
                row.problem("when", "is missing: only the last row may hold always");
            }
            if when.is_some() && is_last {
                row.problem(
                    "when",
                    "must not stand in the last row: it is for all that no other row covers",
                );
            }
            rules.push(TtlRule { when, ttl });
        }
        tables.insert(name, rules);
    }
    tables
}
