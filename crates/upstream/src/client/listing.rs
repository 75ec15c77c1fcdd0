//! Pages of a listing, and single records.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Client;
use super::exchange::{Misread, Response};
use crate::call::{Answer, Call, CallError};
use crate::connector::{ChangeFilter, Endpoint, PagingKind, Payload, Resource};
use crate::cut::{Cut, CutError, Cutter};
use crate::gate::Class;
use crate::page::{Fetched, Page, PageAsk, Position, RawRecord};
use crate::record_key::normal_id;
use crate::stamp::write_stamp;

impl Client {
    /// Fetches one page of a resource's listing. A torn page is asked for again and never cut.
    ///
    /// # Errors
    ///
    /// Besides what every call can meet: [`CallError::Unusable`] when the resource has no listing, the answer has no
    /// list of records, a page repeats the one before, or the listing has more pages than the settings allow.
    pub async fn list_page(
        &self,
        resource: &Resource,
        ask: PageAsk,
        class: Class,
    ) -> Result<Page, CallError> {
        let Some(list) = &resource.list else {
            return Err(unusable(resource, "it has no listing"));
        };
        let number = ask.position.number();
        if number > self.inner.settings.pages_max {
            return Err(unusable(
                resource,
                &format!("more than {} pages", self.inner.settings.pages_max),
            ));
        }
        let size = ask
            .page_size
            .unwrap_or(resource.paging.size)
            .clamp(1, resource.paging.size_max);
        let mut call = Call::get(fill_path(resource, list, "")?, class);
        call.query = list_query(resource, list, &ask, size)?;
        call.headers = resource.paging.headers.clone();
        call.resource = Some(resource.name.clone());
        call.label = Some(format!("GET {}", list.path.as_str()));
        let cutter = self.cutter(resource);
        let read = move |response: &Response| -> Result<Cut, Misread> {
            let cut = cutter.cut_page(&response.body).map_err(misread)?;
            match cut {
                Cut {
                    error: Some((code, message)),
                    ..
                } => Err(Misread::ErrorInside { code, message }),
                cut if cut.has_records => Ok(cut),
                _ => Err(Misread::Unusable(no_records(resource))),
            }
        };
        let (answer, cut) = self.exchange(&call, &read).await?;
        turn_page(resource, ask.position, size, answer, cut)
    }

    /// Fetches one record by its id.
    ///
    /// # Errors
    ///
    /// Besides what every call can meet: [`CallError::Unusable`] when the resource cannot be fetched one by one or
    /// the answer is no record. A record under another id comes back with a problem.
    pub async fn get_record(
        &self,
        resource: &Resource,
        id: &str,
        class: Class,
    ) -> Result<Fetched, CallError> {
        let Some(get) = &resource.get else {
            return Err(unusable(resource, "it cannot be fetched one by one"));
        };
        let mut call = Call::get(fill_path(resource, get, id)?, class);
        call.query = resource.params.clone();
        fill_query(&mut call.query, get, id);
        call.resource = Some(resource.name.clone());
        call.label = Some(get_label(get));
        let cutter = self.cutter(resource);
        let read = move |response: &Response| -> Result<Cut, Misread> {
            if response.body.is_empty() {
                return Err(Misread::Torn("an empty answer".to_owned()));
            }
            match cutter.cut_single(&response.body).map_err(misread)? {
                Cut {
                    error: Some((code, message)),
                    ..
                } => Err(Misread::ErrorInside { code, message }),
                // What is no record at all must never pass for "there is none".
                cut if cut.has_records => Ok(cut),
                _ => Err(Misread::Unusable("no record".to_owned())),
            }
        };
        let (answer, cut) = match self.exchange(&call, &read).await {
            Ok(found) => found,
            Err(CallError::Missing { meta, .. }) => return Ok(Fetched::Missing(*meta)),
            Err(error) => return Err(error),
        };
        let wanted = normal_id(id, resource.key_lower);
        Ok(match pick(cut.records, &wanted) {
            Some(record) => Fetched::Found(record, answer.meta),
            None => Fetched::Missing(answer.meta),
        })
    }

    /// Fetches one part of a payload for the parent record `id`.
    ///
    /// # Errors
    ///
    /// What every call can meet; [`CallError::Missing`] when the parent is gone.
    pub async fn get_part(
        &self,
        payload: &Payload,
        part: &Endpoint,
        id: &str,
        class: Class,
    ) -> Result<Answer, CallError> {
        let path = fill(part, id).map_err(|reason| CallError::Impossible {
            call: payload.name.clone(),
            reason,
        })?;
        let mut call = Call::get(path, class);
        fill_query(&mut call.query, part, id);
        call.resource = Some(payload.name.clone());
        call.label = Some(get_label(part));
        self.call(call).await
    }

    fn cutter(&self, resource: &Resource) -> Cutter {
        let inner = &self.inner;
        let known = inner.cutters.get(&resource.name).cloned();
        known.unwrap_or_else(|| {
            Cutter::new(
                resource,
                &inner.settings.connector.errors,
                inner.settings.record_max,
            )
        })
    }
}

impl Resource {
    /// The id of this resource's record that belongs to `parent`, a record of [`Resource::of`]; `None` when there
    /// is none by `when` and `unless`, or the parent does not name it.
    pub fn detail_id(&self, parent: &RawRecord) -> Option<String> {
        crate::cut::detail_id(self, parent)
    }
}

fn list_query(
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

/// Says where the next page is, if there is one.
fn turn_page(
    resource: &Resource,
    position: Position,
    size: u32,
    answer: Answer,
    cut: Cut,
) -> Result<Page, CallError> {
    let number = position.number();
    let (seen_before, hash_before) = match &position {
        Position::At { seen, before, .. } => (*seen, *before),
        Position::First => (0, 0),
    };
    let count = cut.records.len() as u64;
    let seen = seen_before + count;
    let hash = hash_of(&cut.records);
    let is_walked_by_number = matches!(
        resource.paging.kind,
        PagingKind::Page { .. } | PagingKind::Offset { .. }
    );
    if count > 0 && hash == hash_before && number > 1 {
        let text = format!(
            "page {number} repeats the one before; does the API know the paging parameters?"
        );
        return Err(unusable(resource, &text));
    }
    let next = Position::At {
        number: number + 1,
        seen,
        before: hash,
        token: None,
    };
    let with = |token: String| Position::At {
        number: number + 1,
        seen,
        before: hash,
        token: Some(token),
    };
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
            (!is_end).then_some(next)
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
fn next_link(headers: &http::HeaderMap) -> Option<String> {
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

fn fill(endpoint: &Endpoint, id: &str) -> Result<String, String> {
    // Even encoded, these are steps in a path and no segments.
    if matches!(id, "." | "..") && endpoint.path.places().next().is_some() {
        return Err(format!("`{id}` cannot be an id in a path"));
    }
    let encoded = encode_segment(id);
    endpoint
        .path
        .fill(|_| Some(encoded.as_str()))
        .map_err(|place| format!("{{{place}}} has no value"))
}

fn fill_path(resource: &Resource, endpoint: &Endpoint, id: &str) -> Result<String, CallError> {
    fill(endpoint, id).map_err(|reason| CallError::Impossible {
        call: resource.name.clone(),
        reason,
    })
}

fn fill_query(query: &mut Vec<(String, String)>, endpoint: &Endpoint, id: &str) {
    for (name, template) in &endpoint.query {
        set(query, name, template.fill(|_| Some(id)).unwrap_or_default());
    }
}

/// An id as one segment of a path: what could end the segment or begin a query is encoded.
fn encode_segment(id: &str) -> String {
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

fn get_label(endpoint: &Endpoint) -> String {
    format!("GET {}", endpoint.path.as_str())
}

/// The record with the wanted id; one alone under another id comes back with a problem.
fn pick(mut records: Vec<RawRecord>, wanted: &str) -> Option<RawRecord> {
    let is_wanted = |record: &RawRecord| record.id.as_deref() == Some(wanted);
    if let Some(position) = records.iter().position(is_wanted) {
        return Some(records.swap_remove(position));
    }
    let mut record = records.pop().filter(|_| records.is_empty())?;
    if let Some(id) = &record.id {
        record.problem = Some(format!("asked for id `{wanted}`, got `{id}`"));
    }
    Some(record)
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

fn misread(error: CutError) -> Misread {
    match error {
        CutError::NotJson(error) => Misread::Torn(error.to_string()),
        CutError::TooManyRecords => Misread::Unusable(error.to_string()),
    }
}

fn no_records(resource: &Resource) -> String {
    match &resource.records_at {
        Some(path) => format!("no list of records at `{path}`"),
        None => "no list of records".to_owned(),
    }
}

fn unusable(resource: &Resource, reason: &str) -> CallError {
    CallError::Unusable {
        call: resource.name.clone(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
