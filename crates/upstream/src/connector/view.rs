//! `[[view]]`: a resource flattened into typed columns.

use super::reader::{Table, is_name};
use crate::field_path::FieldPath;

/// A resource flattened into typed columns. The SQL is made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name, unlike any resource's.
    pub name: String,
    /// What one row is.
    pub title: String,
    /// The resource it flattens.
    pub of: String,
    /// The arrays that are unrolled, outermost first: one row per element of the innermost. Each path starts in an
    /// element of the one before; a record that is itself an array has an empty path. None: one row per record.
    pub each: Vec<FieldPath>,
    /// Where the record says in which currency its money columns are; absent: in the instance's own.
    pub currency: Option<FieldPath>,
    /// Where the record says which date's rate converts its money columns; absent: when it last changed.
    pub rate_date: Option<FieldPath>,
    /// The columns, beside those that every view has ([`View::RESERVED`]).
    pub columns: Vec<Column>,
}

/// One column of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// 0: the record; n: the element of `each[n - 1]`.
    pub level: usize,
    /// The keys that lead to the value within its level.
    pub path: FieldPath,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it is money, which also gets a value in the reporting currency.
    pub money: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A text.
    Text,
    /// A number, exact to the last digit.
    Numeric,
    /// A moment.
    Timestamptz,
    /// A calendar date, never converted between zones.
    Date,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// JSON as it stands.
    Jsonb,
}

impl View {
    /// Names of columns that every view has by itself: the instance, the record's id, the position (from 1) in the
    /// innermost and in the outer array.
    pub const RESERVED: [&'static str; 4] = ["instance", "id", "line", "outer_line"];

    pub(super) fn read(table: &Table<'_>) -> View {
        let each: Vec<FieldPath> = table
            .texts("each")
            .unwrap_or_default()
            .iter()
            .filter_map(|text| match text.as_str() {
                "." => Some(FieldPath::whole()),
                path => table.parse_path("each", path),
            })
            .collect();
        if each.len() > LEVELS_MAX {
            table.problem(
                "each",
                format!("{} arrays in each other; at most {LEVELS_MAX}", each.len()),
            );
        }
        let columns: Vec<Column> = table
            .tables("columns")
            .iter()
            .map(|column| Column::read(column, each.len()))
            .collect();
        if columns.is_empty() {
            table.problem("columns", "is missing: a view needs at least one column");
        }
        View {
            name: table.need_name("name"),
            title: table.text("title").unwrap_or_default(),
            of: table.need_text("of"),
            each,
            currency: table.path("currency"),
            rate_date: table.path("rate_date"),
            columns,
        }
    }
}

impl Column {
    fn read(table: &Table<'_>, levels: usize) -> Column {
        let types = [
            ("text", ColumnType::Text),
            ("numeric", ColumnType::Numeric),
            ("timestamptz", ColumnType::Timestamptz),
            ("date", ColumnType::Date),
            ("boolean", ColumnType::Boolean),
            ("integer", ColumnType::Integer),
            ("jsonb", ColumnType::Jsonb),
        ];
        let most = i64::try_from(levels).unwrap_or(0);
        let level = table
            .integer("level", 0, most)
            .and_then(|level| usize::try_from(level).ok());
        let name = table.need_text("name");
        if !name.is_empty() && !is_name(&name) {
            table.problem(
                "name",
                format!("`{name}` is no name: use a-z, 0-9 and _, a letter first, at most 48"),
            );
        }
        if View::RESERVED.contains(&name.as_str()) {
            table.problem("name", format!("a column `{name}` is there by itself"));
        }
        let path = table.need_path("path");
        let kind = table.choice("type", &types).unwrap_or(ColumnType::Text);
        let money = table.flag("money").unwrap_or(false);
        if money && kind != ColumnType::Numeric {
            table.problem("money", "needs `type = \"numeric\"`");
        }
        Column {
            name,
            level: level.unwrap_or(levels),
            path,
            kind,
            money,
        }
    }
}

/// The most arrays in each other.
const LEVELS_MAX: usize = 2;
