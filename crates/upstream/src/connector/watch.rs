//! `[[watch]]`: a listing whose lines tell of other records.

use std::time::Duration;

use super::reader::Table;
use crate::field_path::FieldPath;

/// The most records that one look may fetch.
const PER_CYCLE_MAX: i64 = 10_000;

/// A listing whose lines tell that other records moved: what they add up to per record is compared with the last look,
/// and a payload of the records that differ is fetched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Its name, unlike any resource's.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// The resource that is listed.
    pub of: String,
    /// From the start of one look to the start of the next.
    pub every: Duration,
    /// Where a listed record holds its lines; absent: it is a line itself.
    pub lines_at: Option<FieldPath>,
    /// Where a line names the record that it tells of.
    pub item: FieldPath,
    /// The numbers of a line that are summed up per record.
    pub totals: Vec<FieldPath>,
    /// The payload that is fetched for a record whose sums changed.
    pub payload: String,
    /// The most records fetched per look; the others come with the next ones.
    pub per_cycle_max: u32,
    /// For so long after its fetch a record is not fetched again; what it came to meanwhile is fetched then.
    pub cooldown: Duration,
}

impl Watch {
    pub(super) fn read(table: &Table<'_>) -> Self {
        let totals = table.texts("totals").unwrap_or_default();
        if totals.is_empty() {
            table.problem("totals", "is missing: name the numbers that are compared");
        }
        Self {
            name: table.need_name("name"),
            title: table.text("title").unwrap_or_default(),
            of: table.need_text("of"),
            every: table.need_duration("every"),
            lines_at: table.path("lines_at"),
            item: table.need_path("item"),
            totals: totals
                .iter()
                .filter_map(|text| table.parse_path("totals", text))
                .collect(),
            payload: table.need_text("payload"),
            per_cycle_max: table
                .integer("per_cycle_max", 1, PER_CYCLE_MAX)
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(50),
            cooldown: table
                .duration("cooldown")
                .unwrap_or(Duration::from_secs(600)),
        }
    }
}
