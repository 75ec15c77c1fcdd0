//! `[ttl]`: how fresh is fresh.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Table;

/// One row of a table of freshness rules. The first whose `when` holds decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtlRule {
    /// A CEL condition over the resource's signals; absent: always.
    pub when: Option<String>,
    /// How long the value stays hot; `None`: it is never kept.
    pub ttl: Option<Duration>,
}

pub(super) fn read_ttl(root: &Table<'_>) -> BTreeMap<String, Vec<TtlRule>> {
    let mut tables = BTreeMap::new();
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
