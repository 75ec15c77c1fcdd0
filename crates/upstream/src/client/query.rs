//! What a listing or a fetch asks for: paths and queries.

use super::listing::unusable;
use crate::call::CallError;
use crate::connector::{ChangeFilter, Endpoint, PagingKind, Resource};
use crate::page::{PageAsk, Position};
use crate::stamp::write_stamp;

pub(super) fn list_query(
    resource: &Resource,
    list: &Endpoint,
    ask: &PageAsk,
    size: u32,
) -> Result<Vec<(String, String)>, CallError> {
    let paging = &resource.paging;
    if let (
        PagingKind::Link,
        Position::At {
            token: Some(query), ..
        },
    ) = (&paging.kind, &ask.position)
    {
        return Ok(split_query(query));
    }
    let mut query = resource.params.clone();
    fill_query(&mut query, list, "");
    let mut conditions: Vec<(String, String)> = Vec::new();
    if let Some(size_param) = &paging.size_param {
        set(&mut query, size_param, size.to_string());
    }
    let token = match &ask.position {
        Position::At { token, .. } => token.clone(),
        Position::First => None,
    };
    match (&paging.kind, &ask.position) {
        (PagingKind::Page { param, first }, position) => {
            set(
                &mut query,
                param,
                (position.number() - 1 + u64::from(*first)).to_string(),
            );
        }
        (PagingKind::Offset { param }, Position::At { seen, .. }) => {
            set(&mut query, param, seen.to_string())
        }
        (PagingKind::Cursor { param, .. }, Position::At { .. }) => {
            if let Some(token) = token {
                set(&mut query, param, token);
            }
        }
        (
            PagingKind::Id {
                param,
                condition,
                first,
            },
            _,
        ) => match (token.or_else(|| first.clone()), condition) {
            (Some(last), Some(condition)) => {
                let filled = condition.fill(|_| Some(last.as_str()));
                conditions.push((param.clone(), filled.unwrap_or_default()));
            }
            (Some(last), None) => set(&mut query, param, last),
            (None, _) => {}
        },
        _ => {}
    }
    add_change_filter(resource, ask, &mut query, &mut conditions)?;
    for (name, value) in &ask.extra {
        set(&mut query, name, value.clone());
    }
    for (name, condition) in conditions {
        let known = query.iter_mut().find(|(known, _)| *known == name);
        match known {
            Some((_, before)) => *before = format!("({before}) and ({condition})"),
            None => query.push((name, condition)),
        }
    }
    Ok(query)
}

fn add_change_filter(
    resource: &Resource,
    ask: &PageAsk,
    query: &mut Vec<(String, String)>,
    conditions: &mut Vec<(String, String)>,
) -> Result<(), CallError> {
    let (Some(since), changes) = (ask.since, &resource.changes) else {
        return Ok(());
    };
    let Some(changes) = changes else {
        return Err(unusable(resource, "it cannot be asked for changes"));
    };
    let since_text = write_stamp(since, changes.format);
    let until_text = ask.until.map(|until| write_stamp(until, changes.format));
    match &changes.filter {
        ChangeFilter::Param { since, until } => {
            set(query, since, since_text);
            if let (Some(param), Some(text)) = (until, until_text) {
                set(query, param, text);
            }
        }
        ChangeFilter::Condition {
            param,
            since,
            until,
        } => {
            let filled = since
                .fill(|_| Some(since_text.as_str()))
                .unwrap_or_default();
            conditions.push((param.clone(), filled));
            if let (Some(template), Some(text)) = (until, until_text) {
                let filled = template.fill(|_| Some(text.as_str())).unwrap_or_default();
                conditions.push((param.clone(), filled));
            }
        }
    }
    Ok(())
}

fn split_query(query: &str) -> Vec<(String, String)> {
    let url = format!("https://x/?{query}");
    match reqwest::Url::parse(&url) {
        Ok(url) => url
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn set(query: &mut Vec<(String, String)>, name: &str, value: String) {
    match query.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => query.push((name.to_owned(), value)),
    }
}

pub(super) fn fill(endpoint: &Endpoint, id: &str) -> Result<String, String> {
    fill_with(endpoint, |_| Some(id))
}

/// The endpoint's path with every place filled, each as one segment.
pub(super) fn fill_with<'v>(
    endpoint: &Endpoint,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, String> {
    // Even encoded, these are steps in a path and no segments.
    let step = endpoint
        .path
        .places()
        .find_map(|place| value(place).filter(|value| matches!(*value, "" | "." | "..")));
    if let Some(step) = step {
        return Err(format!("`{step}` cannot be an id in a path"));
    }
    endpoint
        .path
        .fill(|place| value(place).map(encode_segment))
        .map_err(|place| format!("{{{place}}} has no value"))
}

pub(super) fn fill_path(
    resource: &Resource,
    endpoint: &Endpoint,
    id: &str,
) -> Result<String, CallError> {
    fill(endpoint, id).map_err(|reason| CallError::Impossible {
        call: resource.name.clone(),
        reason,
    })
}

pub(super) fn fill_query(query: &mut Vec<(String, String)>, endpoint: &Endpoint, id: &str) {
    for (name, template) in &endpoint.query {
        set(query, name, template.fill(|_| Some(id)).unwrap_or_default());
    }
}

/// An id as one segment of a path: what could end the segment or begin a query is encoded.
pub(super) fn encode_segment(id: &str) -> String {
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_cannot_climb_or_split() {
        assert_eq!(encode_segment("12"), "12");
        assert_eq!(encode_segment("1.5"), "1.5");
        assert_eq!(encode_segment("a/b?c#d"), "a%2Fb%3Fc%23d");
    }
}
