//! Listings: which rows, in which order, which page of them, and the `Link` to the others.

use super::conditions::{Asked, Column, Expr, Scalar, parse};
use super::kinds::{Kind, Ty};
use super::query::Query;
use super::reply::{Answer, Refusal};
use super::world::{Row, World};
use serde_json::Value;

/// One page of a listing.
pub(crate) struct Page {
    /// Ids in order.
    pub ids: Vec<i64>,
    /// The `Link` header; present and empty at the end of forward-only paging.
    pub link: Option<String>,
}

/// What may go wrong with the rows of a page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Twist {
    pub duplicate_rows: bool,
    pub out_of_order: bool,
    pub rows_missing_every: Option<u64>,
}

impl World {
    /// The ids that fit the query's conditions, ascending.
    pub(crate) fn matching(
        &self,
        kind: &'static Kind,
        parent: Option<i64>,
        query: &Query,
    ) -> Answer<Vec<i64>> {
        let read = |name: &str, asked: Asked| {
            let text = query.get(name);
            text.map(|text| parse(text, asked).map_err(Refusal::bad_query))
                .transpose()
        };
        let own = read(
            "conditions",
            Asked::Record(kind, self.options.closed_flag_condition),
        )?;
        let children = match query.get("childConditions") {
            Some(text) => {
                let array = text
                    .trim_start_matches('(')
                    .split('/')
                    .next()
                    .unwrap_or_default();
                let field = kind
                    .field(array.trim())
                    .map(|field| (field.name, &field.ty));
                match field {
                    // Adjustments keep their details as records.
                    Some((name, Ty::Rows(rows))) => {
                        read("childConditions", Asked::Rows(kind))?.map(|expr| (name, *rows, expr))
                    }
                    _ => {
                        let text = format!("'{array}' is not a list of child records");
                        return Err(Refusal::bad_query(text));
                    }
                }
            }
            None => None,
        };
        let custom = read("customFieldConditions", Asked::Custom)?;
        let fits = |id: &i64| {
            let Some(row) = self.row(kind, *id) else {
                return false;
            };
            own.as_ref()
                .is_none_or(|expr| expr.holds(&|column| self.scalar(row, column)))
                && children
                    .as_ref()
                    .is_none_or(|(name, rows, expr)| self.any_child(row, name, rows, expr))
                && custom
                    .as_ref()
                    .is_none_or(|expr| self.any_element(row, "customFields", expr))
        };
        Ok(self.ids(kind, parent).into_iter().filter(fits).collect())
    }

    fn any_child(&self, row: &Row, name: &str, rows: &str, expr: &Expr) -> bool {
        let below = super::kinds::kind(rows);
        if below.embedded {
            return self.any_element(row, name, expr);
        }
        self.ids(below, Some(row.id)).iter().any(|id| {
            self.row(below, *id)
                .is_some_and(|child| expr.holds(&|column| self.scalar(child, column)))
        })
    }

    fn any_element(&self, row: &Row, name: &str, expr: &Expr) -> bool {
        let rows = row.members.get(name).and_then(Value::as_array);
        rows.into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .any(|element| expr.holds(&|column| self.member(element, column)))
    }

    /// The page that the query asks for. `at` is the path as called, for the links.
    pub(crate) fn page(
        &self,
        kind: &'static Kind,
        parent: Option<i64>,
        query: &Query,
        at: &str,
        twist: Twist,
    ) -> Answer<Page> {
        let size = query.page_size(self.options.refuse_large_page)?;
        let mut ids = self.matching(kind, parent, query)?;
        if let Some(n) = twist.rows_missing_every.filter(|n| *n > 0) {
            let mut nth = 0;
            ids.retain(|_| {
                nth += 1;
                nth % n != 0
            });
        }
        if query.forward_only {
            return self.forward(ids, query, at, size, twist);
        }
        self.sort(kind, &mut ids, query.get("orderBy"))?;
        let page = query.page()?;
        let last = ids.len().div_ceil(size).max(1);
        let from = (page - 1).saturating_mul(size).min(ids.len());
        let mut rows = ids[from..(from + size).min(ids.len())].to_vec();
        if twist.duplicate_rows && from > 0 && !rows.is_empty() {
            rows.insert(0, ids[from - 1]);
        }
        if twist.out_of_order {
            rows.reverse();
        }
        let mut links = vec![];
        let mut link = |page: usize, rel: &str| {
            links.push(format!(
                "<{}>; rel=\"{rel}\"",
                self.address(query, at, "page", page)
            ))
        };
        if last > 1 || self.options.link_on_single_page {
            if page > 1 {
                link(1, "first");
                link((page - 1).min(last), "prev");
            }
            if page < last {
                link(page + 1, "next");
            }
            link(last, "last");
        }
        Ok(Page {
            ids: rows,
            link: (!links.is_empty()).then(|| links.join(", ")),
        })
    }

    /// By id only; `page` and `orderBy` are not looked at.
    fn forward(
        &self,
        mut ids: Vec<i64>,
        query: &Query,
        at: &str,
        size: usize,
        twist: Twist,
    ) -> Answer<Page> {
        let after = query.number("pageId")?.unwrap_or(0);
        ids.retain(|id| *id > after);
        let more = ids.len() > size;
        ids.truncate(size);
        let next = ids.last().filter(|_| more).map(|last| {
            format!(
                "<{}>; rel=\"next\"",
                self.address(query, at, "pageId", *last as usize)
            )
        });
        if twist.out_of_order {
            ids.reverse();
        }
        Ok(Page {
            ids,
            link: Some(next.unwrap_or_default()),
        })
    }

    /// A link repeats the query as the service encodes it and ends with the place to go on from.
    fn address(&self, query: &Query, at: &str, name: &str, value: usize) -> String {
        let mut pairs = String::new();
        for (key, value) in query.pairs() {
            if key.is_empty() || ["page", "pageid"].contains(&key.to_ascii_lowercase().as_str()) {
                continue;
            }
            pairs.push_str(&format!("{key}={}&", encode(value)));
        }
        format!("{}/{at}/?{pairs}{name}={value}", self.base)
    }

    fn sort(&self, kind: &'static Kind, ids: &mut [i64], order: Option<&str>) -> Answer<()> {
        let mut columns: Vec<(Column, bool)> = vec![];
        for part in order.unwrap_or_default().split(',') {
            let mut words = part.split_whitespace();
            let Some(path) = words.next() else {
                continue;
            };
            let down = match words.next().map(str::to_ascii_lowercase).as_deref() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => {
                    let text = format!("Expected asc or desc after '{path}' and found '{other}'");
                    return Err(Refusal::bad_query(text));
                }
            };
            let asked = Asked::Record(kind, self.options.closed_flag_condition);
            columns.push((asked.column(path).map_err(Refusal::bad_query)?, down));
        }
        if columns.is_empty() {
            return Ok(());
        }
        let scalar = |id: i64, column| {
            self.row(kind, id)
                .map_or(Scalar::Null, |row| self.scalar(row, column))
        };
        ids.sort_by(|a, b| {
            columns
                .iter()
                .map(|(column, down)| {
                    let order = scalar(*a, column).order(&scalar(*b, column));
                    if *down { order.reverse() } else { order }
                })
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.cmp(b))
        });
        Ok(())
    }
}

/// Percent-encoding with small letters, and `+` for a blank.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9'
            | b'a'..=b'z'
            | b'A'..=b'Z'
            | b'-'
            | b'_'
            | b'.'
            | b'('
            | b')'
            | b'*'
            | b'!' => {
                out.push(byte as char);
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}
