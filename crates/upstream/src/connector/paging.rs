//! `[paging]`: how a listing is asked for page by page.

use super::reader::Table;
use super::template::Template;
use crate::field_path::FieldPath;

/// How a listing is asked for page by page. A resource may override any part.
#[derive(Clone, Debug)]
pub struct Paging {
    /// How the next page is named.
    pub kind: PagingKind,
    /// The parameter for the number of records in a page; absent when the API does not take one.
    pub size_param: Option<String>,
    /// Records asked for per page.
    pub size: u32,
    /// The most records the API gives per page.
    pub size_max: u32,
    /// Where the answer says how many records match.
    pub total: Option<TotalAt>,
    /// Headers that switch this paging on.
    pub headers: Vec<(String, String)>,
}

/// How the next page is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagingKind {
    /// One answer holds everything.
    None,
    /// By number.
    Page {
        /// The parameter.
        param: String,
        /// The number of the first page.
        first: u32,
    },
    /// By how many records to skip.
    Offset {
        /// The parameter.
        param: String,
    },
    /// By a token in the last answer.
    Cursor {
        /// The parameter.
        param: String,
        /// Where the token for the next page stands; absent or null there means the end.
        next_at: FieldPath,
    },
    /// By the `Link: …; rel="next"` header of the last answer. Only its query is used: its host may be wrong.
    Link,
    /// Everything after the greatest id seen.
    Id {
        /// The parameter that takes the id, or the condition.
        param: String,
        /// A condition with `{last}`, joined to others with `and`; absent: the parameter takes the bare id.
        condition: Option<Template>,
        /// What the first page asks for as `{last}`; absent: the first page is asked without.
        first: Option<String>,
    },
}

/// Where an answer says how many records match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TotalAt {
    /// In the envelope.
    Envelope(FieldPath),
    /// In every record.
    Record(FieldPath),
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Page,
    Offset,
    Cursor,
    Link,
    Id,
}

impl Paging {
    pub(super) fn read(table: &Table<'_>) -> Paging {
        let kinds = [
            ("none", Kind::None),
            ("page", Kind::Page),
            ("offset", Kind::Offset),
            ("cursor", Kind::Cursor),
            ("link", Kind::Link),
            ("id", Kind::Id),
        ];
        if !table.has("kind") {
            table.problem(
                "kind",
                "is missing: one of none, page, offset, cursor, link, id",
            );
        }
        let kind = match table.choice("kind", &kinds) {
            Some(Kind::Page) => PagingKind::Page {
                param: table.need_text("param"),
                first: table
                    .integer("first", 0, 1)
                    .and_then(|first| u32::try_from(first).ok())
                    .unwrap_or(1),
            },
            Some(Kind::Offset) => PagingKind::Offset {
                param: table.need_text("param"),
            },
            Some(Kind::Cursor) => PagingKind::Cursor {
                param: table.need_text("param"),
                next_at: table.need_path("next_at"),
            },
            Some(Kind::Id) => PagingKind::Id {
                param: table.need_text("param"),
                condition: table
                    .text("condition")
                    .and_then(|text| read_condition(table, &text)),
                first: table.text("first"),
            },
            Some(Kind::Link) => PagingKind::Link,
            Some(Kind::None) => PagingKind::None,
            None => {
                table.allow_anything();
                PagingKind::None
            }
        };
        let size_max = size(table, "size_max").unwrap_or(SIZE_MAX);
        let paging = Paging {
            kind,
            size_param: table.text("size_param"),
            size: size(table, "size").unwrap_or(size_max.min(100)),
            size_max,
            total: read_total(table),
            headers: table.pairs("headers").unwrap_or_default(),
        };
        if paging.size > paging.size_max {
            table.problem(
                "size",
                format!(
                    "{} is more than `size_max` = {}",
                    paging.size, paging.size_max
                ),
            );
        }
        paging
    }
}

impl Default for Paging {
    fn default() -> Paging {
        Paging {
            kind: PagingKind::None,
            size_param: None,
            size: SIZE_MAX,
            size_max: SIZE_MAX,
            total: None,
            headers: vec![],
        }
    }
}

/// The most records in a page, whatever the API would give.
const SIZE_MAX: u32 = 100_000;

fn size(table: &Table<'_>, key: &'static str) -> Option<u32> {
    table
        .integer(key, 1, i64::from(SIZE_MAX))
        .and_then(|size| u32::try_from(size).ok())
}

fn read_total(table: &Table<'_>) -> Option<TotalAt> {
    let in_envelope = table.path("total_at").map(TotalAt::Envelope);
    let in_record = table.path("total_in_record").map(TotalAt::Record);
    if in_envelope.is_some() && in_record.is_some() {
        table.problem(
            "total_in_record",
            "stands beside `total_at`: give one or the other",
        );
    }
    in_envelope.or(in_record)
}

fn read_condition(table: &Table<'_>, text: &str) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) if template.places().eq(["last"]) => Some(template),
        Ok(_) => {
            table.problem(
                "condition",
                "must have the place {last} once and no other, as in `id > {last}`",
            );
            None
        }
        Err(message) => {
            table.problem("condition", message);
            None
        }
    }
}
