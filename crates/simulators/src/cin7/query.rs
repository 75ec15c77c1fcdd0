//! Query parameters: names without regard to case, values as the service reads them, pages cut out of lists.

use super::json::J;
use super::reply::{Answer, Refusal};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use uuid::Uuid;

/// Rows per page when the client names no limit, and the most it can get.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// The parameters of one call, and how its pages are to be cut.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query {
    params: Vec<(String, String)>,
    pub cut: Cut,
}

/// Faults in the cutting of pages, and the switch that hands out all rows at once.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cut {
    pub everything: bool,
    pub duplicate_rows: bool,
    pub out_of_order: bool,
    pub rows_missing_every: Option<u64>,
    pub refuse_large_limit: bool,
    pub since_exclusive: bool,
}

impl Query {
    pub(crate) fn new(params: Vec<(String, String)>, cut: Cut) -> Query {
        let params = params
            .into_iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), value))
            .collect();
        Query { params, cut }
    }

    /// The value of a parameter; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let hit = self
            .params
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        hit.map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.bool(name) == Some(true)
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            yes if yes == "1" || yes.eq_ignore_ascii_case("true") => Some(true),
            no if no == "0" || no.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    pub(crate) fn id(&self, name: &str) -> Answer<Option<Uuid>> {
        self.get(name).map(|text| parse_id(name, text)).transpose()
    }

    pub(crate) fn required_id(&self, name: &str) -> Answer<Uuid> {
        self.id(name)?.ok_or_else(|| Refusal::missing(name))
    }

    pub(crate) fn since(&self, name: &str) -> Answer<Option<Timestamp>> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        parse_instant(text)
            .map(Some)
            .ok_or_else(|| Refusal::bad(format!("'{name}' has incorrect format.")))
    }

    pub(crate) fn date(&self, name: &str) -> Answer<Option<Date>> {
        Ok(self
            .since(name)?
            .map(|at| at.to_zoned(TimeZone::UTC).date()))
    }

    /// Whether `value` passes the filter `name`: equal without regard to case, or the filter is absent.
    pub(crate) fn matches(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
    }

    /// Whether `value` contains the filter `name`.
    pub(crate) fn contains(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_none_or(|wanted| value.to_lowercase().contains(&wanted.to_lowercase()))
    }

    pub(crate) fn starts(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_none_or(|wanted| value.to_lowercase().starts_with(&wanted.to_lowercase()))
    }

    /// Whether any of `values` contains the search text.
    pub(crate) fn found_in<'v>(&self, values: impl IntoIterator<Item = &'v str>) -> bool {
        let Some(wanted) = self.get("Search").map(str::to_lowercase) else {
            return true;
        };
        values
            .into_iter()
            .any(|value| value.to_lowercase().contains(&wanted))
    }

    /// Whether a stamp passes `since`, inclusively or not as the options say.
    pub(crate) fn after(&self, at: Timestamp, since: Option<Timestamp>) -> bool {
        since.is_none_or(|since| {
            if self.cut.since_exclusive {
                at > since
            } else {
                at >= since
            }
        })
    }

    fn window(&self) -> Answer<(usize, usize)> {
        let number = |name: &str, default: usize| -> Answer<usize> {
            let Some(text) = self.get(name) else {
                return Ok(default);
            };
            let number: i64 = text
                .parse()
                .map_err(|_| Refusal::bad(format!("'{name}' must be a number.")))?;
            Ok(usize::try_from(number).unwrap_or(0).max(1))
        };
        let (page, limit) = (number("Page", 1)?, number("Limit", LIMIT_DEFAULT)?);
        if self.cut.refuse_large_limit && limit > LIMIT_MAX {
            return Err(Refusal::bad(format!(
                "'Limit' must not exceed {LIMIT_MAX}."
            )));
        }
        Ok((page, limit.min(LIMIT_MAX)))
    }

    /// The rows of one page, rendered, and how many rows there are.
    pub(crate) fn rows<'a, T>(
        &self,
        all: impl Iterator<Item = T>,
        mut render: impl FnMut(T) -> J<'a>,
    ) -> Answer<(usize, usize, Vec<J<'a>>)> {
        let (page, limit) = self.window()?;
        let (mut from, to) = match self.cut.everything {
            true => (0, usize::MAX),
            false => ((page - 1).saturating_mul(limit), page.saturating_mul(limit)),
        };
        if self.cut.duplicate_rows && from > 0 {
            from -= 1;
        }
        let (mut total, mut rows) = (0, vec![]);
        for item in all {
            if (from..to).contains(&total) {
                rows.push(render(item));
            }
            total += 1;
        }
        // A page past the end is empty even when rows are repeated.
        if self.cut.duplicate_rows && page > 1 && rows.len() == 1 && total <= from + 1 {
            rows.clear();
        }
        if self.cut.out_of_order {
            rows.reverse();
        }
        Ok((total, page, rows))
    }

    /// The usual envelope: `Total`, `Page` and the list.
    pub(crate) fn page<'a, T>(
        &self,
        key: &'a str,
        all: impl Iterator<Item = T>,
        render: impl FnMut(T) -> J<'a>,
    ) -> Answer<J<'a>> {
        let (total, page, rows) = self.rows(all, render)?;
        Ok(J::Obj(vec![
            ("Total", total.into()),
            ("Page", page.into()),
            (key, J::Arr(rows)),
        ]))
    }
}

pub(crate) fn parse_id(name: &str, text: &str) -> Answer<Uuid> {
    Uuid::parse_str(text.trim()).map_err(|_| Refusal::bad(format!("'{name}' is not a valid GUID.")))
}

/// A bare date, a date and time, or an instant with `Z` or an offset. Without a zone it is UTC.
pub(crate) fn parse_instant(text: &str) -> Option<Timestamp> {
    // A `+` that was not percent-encoded arrives as a space.
    let repaired = match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains('T') => format!("{time}+{offset}"),
        _ => text.to_owned(),
    };
    if let Ok(at) = repaired.parse::<Timestamp>() {
        return Some(at);
    }
    if text.len() > 10 && text.ends_with(['Z', 'z']) {
        return None;
    }
    let civil = |at: DateTime| {
        at.to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    };
    text.parse::<DateTime>().ok().and_then(civil)
}

#[cfg(test)]
mod tests;
