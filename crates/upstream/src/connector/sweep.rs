//! `[[sweep]]`: hot values that are looked after on a schedule.

use std::time::Duration;

use super::reader::Table;

/// Hot values that are looked after: those that ran out are fetched again before anybody asks.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Its name, unlike any resource's; its events are `cache:NAME:refresh:started` and `…:completed`.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// The resource whose records are looked after, as long as its `ttl` keeps them hot at all.
    pub of: String,
    /// From the start of one sweep to the start of the next.
    pub every: Duration,
    /// Whether it may run as soon as the process starts. Otherwise it waits for its time, and one that was missed
    /// meanwhile is made up for later.
    pub at_start: bool,
    /// Whether what is still fresh is fetched as well: a safety net that finds what nothing else told of.
    pub all: bool,
    /// The payloads that are looked after; absent: those with `warm`.
    pub payloads: Option<Vec<String>>,
    /// Payloads that are fetched only for records for which this CEL condition over their signals holds; whether they
    /// are hot is asked all the same.
    pub only_when: Vec<(String, String)>,
}

impl Sweep {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self {
            name: table.need_name("name"),
            title: table.text("title").unwrap_or_default(),
            of: table.need_text("of"),
            every: table.need_duration("every"),
            at_start: table.flag("at_start").unwrap_or(true),
            all: table.flag("all").unwrap_or(false),
            payloads: table.texts("payloads"),
            only_when: table.pairs("only_when").unwrap_or_default(),
        }
    }
}
