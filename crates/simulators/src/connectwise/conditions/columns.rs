//! What a condition may ask of a record, and how a value compares with a literal.

use super::{Op, RULES, instant};
use crate::connectwise::kinds::{Field, Kind, Ty, kind};
use crate::connectwise::world::{Members, Row, World};
use jiff::Timestamp;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A value that a condition compares with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(f64),
    Time(Timestamp),
    Bool(bool),
    Null,
}

/// A value found in a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(f64),
    Time(Timestamp),
    Bool(bool),
}

/// One thing that can be asked of a record.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    Id,
    Updated,
    UpdatedBy,
    Entered,
    EnteredBy,
    /// A member that holds a value.
    Member(&'static str, Kinship),
    /// A part of the label of the record that a member refers to.
    Label(&'static str, &'static Kind, String),
    /// What follows the member's name, within what was sent for it.
    Within(&'static str, Vec<String>),
    /// Whether an opportunity is closed, which it has no member for.
    Closed,
}

/// How literals for it must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinship {
    Text,
    Number,
    Time,
    Bool,
    Any,
}

/// Where conditions look for their columns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    /// `conditions`: the record's own members and references. The flag lets opportunities be asked for `closedFlag`.
    Record(&'static Kind, bool),
    /// `childConditions`: members of the rows of one array.
    Rows(&'static Kind),
    /// `customFieldConditions`: the members of a custom field.
    Custom,
}

impl Asked {
    pub(crate) fn column(self, path: &str) -> Result<Column, String> {
        let unknown = || format!("The field '{path}' is not known");
        let mut parts = path.split('/');
        let mut first = parts.next().unwrap_or_default();
        let kind = match self {
            Asked::Custom => {
                let known = [
                    ("id", Kinship::Number),
                    ("caption", Kinship::Text),
                    ("type", Kinship::Text),
                    ("entryMethod", Kinship::Text),
                    ("value", Kinship::Any),
                ];
                let found = known
                    .into_iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(path));
                return found
                    .map(|(name, kinship)| Column::Member(name, kinship))
                    .ok_or_else(unknown);
            }
            Asked::Rows(kind) => {
                // `communicationItems/value`: the array, then the member of its rows.
                let array = kind.field(first).map(|field| &field.ty);
                let Some(Ty::Rows(rows)) = array else {
                    return Err(format!("'{first}' is not a list of child records"));
                };
                first = parts.next().ok_or_else(unknown)?;
                super::super::kinds::kind(rows)
            }
            Asked::Record(kind, _) => kind,
        };
        let rest: Vec<&str> = parts.collect();
        if first.eq_ignore_ascii_case("_info") {
            let [part] = rest.as_slice() else {
                return Err(unknown());
            };
            return stamp_column(part).ok_or_else(unknown);
        }
        if first.eq_ignore_ascii_case("id") && rest.is_empty() {
            return Ok(Column::Id);
        }
        match (kind.field(first), rest.as_slice()) {
            (Some(field), rest) => member_column(field, rest).ok_or_else(unknown),
            // Every list knows these, whether its records have such members or not.
            (None, []) => match self {
                Asked::Record(kind, true)
                    if kind.name == "opportunity" && first.eq_ignore_ascii_case("closedFlag") =>
                {
                    Ok(Column::Closed)
                }
                _ => stamp_column(first).ok_or_else(unknown),
            },
            _ => Err(unknown()),
        }
    }
}

fn stamp_column(name: &str) -> Option<Column> {
    let known = [
        ("lastUpdated", Column::Updated),
        ("updatedBy", Column::UpdatedBy),
        ("dateEntered", Column::Entered),
        ("enteredBy", Column::EnteredBy),
    ];
    let found = known
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, column)| column)
}

fn member_column(field: &'static Field, rest: &[&str]) -> Option<Column> {
    let kinship = match &field.ty {
        Ty::Int | Ty::Decimal => Kinship::Number,
        Ty::Text | Ty::Uuid | Ty::Enum(_) => Kinship::Text,
        Ty::Time => Kinship::Time,
        Ty::Bool => Kinship::Bool,
        Ty::Any => {
            return Some(Column::Within(
                field.name,
                rest.iter().map(|part| (*part).to_owned()).collect(),
            ));
        }
        Ty::Ref(target, members) => {
            let target = kind(target);
            return match rest {
                // `parentTicket = null`: whether there is any.
                [] => Some(Column::Member(field.name, Kinship::Any)),
                [part] => {
                    let part = label_part(target, members, part)?;
                    Some(Column::Label(field.name, target, part.to_owned()))
                }
                _ => None,
            };
        }
        Ty::Refs(_) | Ty::Rows(_) | Ty::Texts | Ty::Ints | Ty::Info | Ty::Custom => return None,
    };
    rest.is_empty()
        .then_some(Column::Member(field.name, kinship))
}

fn label_part(target: &'static Kind, members: &[&'static str], part: &str) -> Option<&'static str> {
    let own = target.label.iter().map(|(name, _)| *name);
    own.chain(members.iter().copied())
        .find(|name| name.eq_ignore_ascii_case(part))
}

impl Column {
    /// Whether the literals are of the column's type.
    pub(super) fn check(&self, path: &str, op: Op, values: &[Literal]) -> Result<(), String> {
        let kinship = self.kinship();
        let type_name = match kinship {
            Kinship::Any => return Ok(()),
            Kinship::Text => "String",
            Kinship::Number => "Decimal",
            Kinship::Time => "DateTime",
            Kinship::Bool => "Boolean",
        };
        if matches!(op, Op::Contains | Op::Like) && kinship != Kinship::Text {
            return Err(format!(
                "Operators 'contains' and 'like' need a string, and '{path}' is of type {type_name}"
            ));
        }
        let fits = |value: &Literal| {
            matches!(
                (kinship, value),
                (_, Literal::Null)
                    | (Kinship::Text, Literal::Text(_))
                    | (Kinship::Number, Literal::Number(_))
                    | (Kinship::Time, Literal::Time(_))
                    | (Kinship::Bool, Literal::Bool(_))
            )
        };
        match values.iter().all(fits) {
            true => Ok(()),
            false => Err(format!(
                "Expected a value of type {type_name} for '{path}'. {RULES}"
            )),
        }
    }

    fn kinship(&self) -> Kinship {
        match self {
            Column::Id => Kinship::Number,
            Column::Updated | Column::Entered => Kinship::Time,
            Column::UpdatedBy | Column::EnteredBy => Kinship::Text,
            Column::Closed => Kinship::Bool,
            Column::Member(_, kinship) => *kinship,
            Column::Within(..) => Kinship::Any,
            Column::Label(_, _, part) if part == "id" => Kinship::Number,
            Column::Label(_, target, part) => {
                let from = target
                    .label
                    .iter()
                    .find(|(name, _)| name == part)
                    .map(|(_, from)| from[0]);
                match target.field(from.unwrap_or(part)).map(|field| &field.ty) {
                    // A number that serves as name is answered as text.
                    Some(Ty::Int | Ty::Decimal) if part != "name" => Kinship::Number,
                    Some(Ty::Bool) => Kinship::Bool,
                    _ => Kinship::Text,
                }
            }
        }
    }
}

impl World {
    /// The value of a column of a record.
    pub(crate) fn scalar<'a>(&'a self, row: &'a Row, column: &Column) -> Scalar<'a> {
        match column {
            Column::Id => Scalar::Number(row.id as f64),
            Column::Updated => Scalar::Time(row.updated),
            Column::Entered => Scalar::Time(row.entered),
            Column::UpdatedBy => Scalar::Text(Cow::Borrowed(&row.updated_by)),
            Column::EnteredBy => Scalar::Text(Cow::Borrowed(&row.entered_by)),
            Column::Closed => {
                let status = row.members.get("status").and_then(Value::as_i64);
                Scalar::Bool(self.flag("opportunityStatus", status, "closedFlag"))
            }
            column => self.member(&row.members, column),
        }
    }

    /// The value of a column of a row that stands inside a record.
    pub(crate) fn member<'a>(&'a self, members: &'a Members, column: &Column) -> Scalar<'a> {
        match column {
            Column::Id => members.get("id").map_or(Scalar::Null, plain),
            Column::Member(name, kinship) => match members.get(*name) {
                None | Some(Value::Null) => Scalar::Null,
                Some(Value::String(text)) if *kinship == Kinship::Time => {
                    instant(text).map_or(Scalar::Null, Scalar::Time)
                }
                Some(value) => plain(value),
            },
            Column::Label(name, target, part) => {
                let id = members.get(*name).and_then(Value::as_i64);
                let row = id.and_then(|id| self.row(target, id));
                let value = row.and_then(|row| {
                    self.label(target, row, part)
                        .or_else(|| row.members.get(part).cloned())
                });
                match value {
                    Some(Value::String(text)) => Scalar::Text(Cow::Owned(text)),
                    Some(Value::Number(number)) => Scalar::Number(number.as_f64().unwrap_or(0.0)),
                    Some(Value::Bool(yes)) => Scalar::Bool(yes),
                    _ => Scalar::Null,
                }
            }
            Column::Within(name, path) => {
                let mut value = members.get(*name);
                for part in path {
                    value = value.and_then(|value| {
                        value
                            .as_object()?
                            .iter()
                            .find(|(name, _)| name.eq_ignore_ascii_case(part))
                            .map(|(_, value)| value)
                    });
                }
                value.map_or(Scalar::Null, plain)
            }
            _ => Scalar::Null,
        }
    }
}

fn plain(value: &Value) -> Scalar<'_> {
    match value {
        Value::String(text) => Scalar::Text(Cow::Borrowed(text)),
        Value::Number(number) => Scalar::Number(number.as_f64().unwrap_or(0.0)),
        Value::Bool(yes) => Scalar::Bool(*yes),
        Value::Null => Scalar::Null,
        // A list or an object is there, and equals nothing.
        Value::Array(_) | Value::Object(_) => Scalar::Text(Cow::Borrowed("\u{0}")),
    }
}

impl Scalar<'_> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Scalar::Null)
    }

    /// As text without case.
    pub(super) fn lower(&self) -> String {
        match self {
            Scalar::Text(text) => text.to_lowercase(),
            Scalar::Number(number) => number.to_string(),
            _ => String::new(),
        }
    }

    /// `None` when the two are not of one type.
    pub(super) fn compare(&self, literal: &Literal) -> Option<Ordering> {
        match (self, literal) {
            (Scalar::Text(_), Literal::Text(_)) => Some(self.lower().cmp(&literal.lower())),
            (Scalar::Number(a), Literal::Number(b)) => a.partial_cmp(b),
            (Scalar::Time(a), Literal::Time(b)) => Some(a.cmp(b)),
            (Scalar::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The order of `orderBy`: what is missing first, then by value; texts without case.
    pub(crate) fn order(&self, other: &Scalar<'_>) -> Ordering {
        match (self, other) {
            (Scalar::Text(_), Scalar::Text(_)) => self.lower().cmp(&other.lower()),
            (Scalar::Number(a), Scalar::Number(b)) => a.total_cmp(b),
            (Scalar::Time(a), Scalar::Time(b)) => a.cmp(b),
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Scalar::Null => 0,
            Scalar::Bool(_) => 1,
            Scalar::Number(_) => 2,
            Scalar::Time(_) => 3,
            Scalar::Text(_) => 4,
        }
    }
}

impl Literal {
    pub(super) fn lower(&self) -> String {
        match self {
            Literal::Text(text) => text.to_lowercase(),
            _ => String::new(),
        }
    }
}
