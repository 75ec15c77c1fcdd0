//! Where the next page is, if there is one.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::listing::unusable;
use crate::call::{Answer, CallError};
use crate::connector::{PagingKind, Resource};
use crate::cut::Cut;
use crate::page::{Page, Position, RawRecord};

/// So many pages in a row that are all the same end a listing with an error.
const REPEATS_MAX: u8 = 2;

/// Says where the next page is, if there is one.
pub(super) fn turn_page(
    resource: &Resource,
    position: Position,
    size: u32,
    answer: Answer,
    cut: Cut,
) -> Result<Page, CallError> {
    let number = position.number();
    let (seen_before, hash_before, repeats_before) = match &position {
        Position::At {
            seen,
            before,
            repeats,
            ..
        } => (*seen, *before, *repeats),
        Position::First => (0, 0, 0),
    };
    let count = cut.records.len() as u64;
    let seen = seen_before + count;
    let hash = hash_of(&cut.records);
    let is_walked_by_number = matches!(
        resource.paging.kind,
        PagingKind::Page { .. } | PagingKind::Offset { .. }
    );
    let is_repeated = count > 0 && number > 1 && hash == hash_before;
    let repeats = if is_repeated { repeats_before + 1 } else { 0 };
    if repeats >= REPEATS_MAX {
        let text = format!(
            "page {number} repeats the ones before; does the API know the paging parameters?"
        );
        return Err(unusable(resource, &text));
    }
    let at = |token: Option<String>| Position::At {
        number: number + 1,
        seen,
        before: hash,
        repeats,
        token,
    };
    let with = |token: String| at(Some(token));
    let next = match &resource.paging.kind {
        PagingKind::None => None,
        _ if count == 0 && is_walked_by_number => None,
        PagingKind::Page { .. } | PagingKind::Offset { .. } => {
            // A page may be shorter than asked for (the API clamps, or hides rows): then only the total tells.
            let is_full = count >= u64::from(size);
            let is_end = match cut.total {
                Some(total) => seen >= total,
                None => !is_full,
            };
            (!is_end).then(|| at(None))
        }
        PagingKind::Cursor { .. } => cut.next.map(with),
        PagingKind::Link => next_link(&answer.headers).map(with),
        PagingKind::Id { .. } => {
            let last = cut
                .records
                .iter()
                .rev()
                .find_map(|record| record.id.clone());
            last.filter(|_| count >= u64::from(size)).map(with)
        }
    };
    let bytes = answer.body.len() as u64;
    Ok(Page {
        records: cut.records,
        total: cut.total,
        next,
        page_number: number,
        bytes,
        meta: answer.meta,
    })
}

/// The query of the link to the next page. Its host may be wrong and its path may differ: neither is used.
pub(super) fn next_link(headers: &http::HeaderMap) -> Option<String> {
    let links = headers.get_all(http::header::LINK);
    let texts = links.iter().filter_map(|link| link.to_str().ok());
    for text in texts {
        let mut rest = text;
        // Commas stand in URLs too: every link begins with `<`.
        while let Some(open) = rest.find('<') {
            let close = rest[open..].find('>')? + open;
            let after = &rest[close + 1..];
            let end = after.find('<').unwrap_or(after.len());
            let relation = after[..end]
                .replace(['"', '\'', ' '], "")
                .to_ascii_lowercase();
            if relation.split([';', ',']).any(|part| part == "rel=next") {
                return rest[open + 1..close]
                    .split_once('?')
                    .map(|(_, query)| query.to_owned());
            }
            rest = &after[end..];
        }
    }
    None
}

fn hash_of(records: &[RawRecord]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for record in records {
        record.id.hash(&mut hasher);
        if record.id.is_none() {
            record.body.hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;

    #[test]
    fn the_next_link_is_found_whatever_stands_around_it() {
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LINK, HeaderValue::from_str(link).unwrap());
            next_link(&headers)
        };
        let two = r#"<https://na.x/v1/a?conditions=id+in+(1,2)&pageSize=50&page=2>; rel="next", <https://na.x/v1/a?page=4>; rel="last""#;
        assert_eq!(
            next(two).as_deref(),
            Some("conditions=id+in+(1,2)&pageSize=50&page=2")
        );
        assert_eq!(next(r#"<https://na.x/a?page=4>; rel="last""#), None);
        assert_eq!(
            next(r#"<https://na.x/a?pageId=7>;rel=next"#).as_deref(),
            Some("pageId=7")
        );
        assert_eq!(next(""), None);
        assert_eq!(next("<broken"), None);
    }
}
