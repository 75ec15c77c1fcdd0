//! The parameters of a call.

use super::reply::{Answer, Refusal};

/// Rows of a page when nothing is asked for.
const PAGE_SIZE: usize = 25;
/// Most rows of a page.
pub(crate) const PAGE_SIZE_MAX: usize = 1_000;

/// The pairs of the query string. Names are taken in any case; unknown ones do no harm.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    /// The call asked for forward-only paging by header.
    pub forward_only: bool,
}

impl Query {
    pub(crate) fn new(pairs: Vec<(String, String)>, forward_only: bool) -> Query {
        Query {
            pairs,
            forward_only,
        }
    }

    /// The value of a parameter; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Sets what a body of `search` says.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.pairs
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.pairs.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    pub(crate) fn number(&self, name: &str) -> Answer<Option<i64>> {
        let wrong = || Refusal::bad_query(format!("{name} must be a number"));
        self.get(name)
            .map(|text| text.parse::<i64>().map_err(|_| wrong()))
            .transpose()
    }

    pub(crate) fn page(&self) -> Answer<usize> {
        match self.number("page")? {
            None => Ok(1),
            Some(page) => usize::try_from(page)
                .ok()
                .filter(|page| *page > 0)
                .ok_or_else(|| Refusal::bad_query("page must be 1 or more")),
        }
    }

    /// Rows of a page; more than the service gives are refused or cut to what it gives.
    pub(crate) fn page_size(&self, refuse_large: bool) -> Answer<usize> {
        let wrong =
            || Refusal::bad_query(format!("pageSize must be between 1 and {PAGE_SIZE_MAX}"));
        let size = match self.number("pageSize")? {
            None => return Ok(PAGE_SIZE),
            Some(size) => usize::try_from(size).map_err(|_| wrong())?,
        };
        match size {
            0 => Err(wrong()),
            size if size > PAGE_SIZE_MAX && refuse_large => Err(wrong()),
            size => Ok(size.min(PAGE_SIZE_MAX)),
        }
    }
}
