//! Cuts an answer into records: one walk over the bytes finds the records, their ids and stamps, and what the
//! envelope says. Nothing is parsed into trees and no record is copied.

use std::ops::Range;

use bytes::Bytes;

use crate::call::CallError;
use crate::connector::{Connector, ErrorRules, PagingKind, Resource, TotalAt};
use crate::field_path::FieldPath;
use crate::json::{Key, NotJson, Scanner, Wants, string_of};
use crate::page::RawRecord;
use crate::record_key::build_id;
use crate::stamp::read_stamp;

/// What an answer was cut into.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    pub records: Vec<RawRecord>,
    pub total: Option<u64>,
    /// The token for the next page, where paging is by cursor.
    pub next: Option<String>,
    /// The body says that it is an error: code and message.
    pub error: Option<(String, String)>,
    /// Whether there was an array (or one record) where records should be.
    pub has_records: bool,
}

/// Why an answer could not be cut.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CutError {
    #[error("{0}")]
    NotJson(NotJson),
    #[error("more than {PAGE_RECORDS_MAX} records in one answer")]
    TooManyRecords,
}

impl From<NotJson> for CutError {
    fn from(error: NotJson) -> CutError {
        CutError::NotJson(error)
    }
}

/// Cuts a page of `resource` that was obtained elsewhere: from a file, or for a measurement.
///
/// # Errors
///
/// [`CallError::Unusable`] when it is no JSON, has no list of records, or is an error body.
pub fn cut_records(
    connector: &Connector,
    resource: &Resource,
    body: &Bytes,
) -> Result<Vec<RawRecord>, CallError> {
    let unusable = |reason: String| CallError::Unusable {
        call: resource.name.clone(),
        reason,
    };
    let cutter = Cutter::new(resource, &connector.errors, usize::MAX);
    match cutter.cut_page(body) {
        Ok(Cut {
            error: Some((code, message)),
            ..
        }) => Err(unusable(format!("{code} {message}"))),
        Ok(cut) if cut.has_records => Ok(cut.records),
        Ok(_) => Err(unusable("no list of records".to_owned())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// The most records in one answer.
pub(crate) const PAGE_RECORDS_MAX: usize = 200_000;

/// How the answers of one resource are cut. Made once per resource.
#[derive(Debug, Clone)]
pub(crate) struct Cutter {
    listing: Envelope,
    single: Envelope,
    record: Wants,
    key_count: usize,
    key_lower: bool,
    record_size_max: usize,
}

#[derive(Debug, Clone)]
struct Envelope {
    wants: Wants,
    /// The answer itself is the array or the record.
    bare: bool,
}

/// Slots of the envelope.
const RECORDS: usize = 0;
const TOTAL: usize = 1;
const NEXT: usize = 2;
const CODE: usize = 3;
const MESSAGE: usize = 4;

/// Slots of a record, after those of the key.
const MODIFIED: usize = 0;
const RECORD_TOTAL: usize = 1;

impl Cutter {
    pub(crate) fn new(resource: &Resource, rules: &ErrorRules, record_size_max: usize) -> Cutter {
        let mut listing = envelope(resource.records_at.as_ref(), rules);
        let single = envelope(resource.get_at.as_ref(), rules);
        if let Some(TotalAt::Envelope(path)) = &resource.paging.total {
            listing.wants.add(path.keys(), TOTAL);
        }
        if let PagingKind::Cursor { next_at, .. } = &resource.paging.kind {
            listing.wants.add(next_at.keys(), NEXT);
        }
        let mut record = Wants::default();
        let key_count = resource.key.len();
        for (slot, path) in resource.key.iter().enumerate() {
            record.add(path.keys(), slot);
        }
        if let Some(path) = &resource.modified_at {
            record.add(path.keys(), key_count + MODIFIED);
        }
        if let Some(TotalAt::Record(path)) = &resource.paging.total {
            record.add(path.keys(), key_count + RECORD_TOTAL);
        }
        Cutter {
            listing,
            single,
            record,
            key_count,
            key_lower: resource.key_lower,
            record_size_max,
        }
    }

    /// Cuts a page of a listing.
    pub(crate) fn cut_page(&self, body: &Bytes) -> Result<Cut, CutError> {
        self.cut(body, &self.listing)
    }

    /// Cuts the answer to a fetch of one record, which may stand in an array.
    pub(crate) fn cut_single(&self, body: &Bytes) -> Result<Cut, CutError> {
        let cut = self.cut(body, &self.single)?;
        if cut.has_records || cut.error.is_some() || self.single.bare {
            return Ok(cut);
        }
        // Some APIs leave the envelope away when one record was asked for.
        let bare = self.cut(
            body,
            &Envelope {
                wants: self.single.wants.clone(),
                bare: true,
            },
        )?;
        let is_record = bare.records.len() == 1 && bare.records[0].id.is_some();
        Ok(if is_record { bare } else { cut })
    }

    fn cut(&self, body: &Bytes, envelope: &Envelope) -> Result<Cut, CutError> {
        if let Err(error) = std::str::from_utf8(body) {
            // A character may be cut in two where the text was torn off.
            let torn = error.error_len().is_none();
            return Err(if torn {
                NotJson::Torn
            } else {
                NotJson::At(error.valid_up_to())
            }
            .into());
        }
        let mut walk = Walk {
            cutter: self,
            body,
            cut: Cut::default(),
            found: Default::default(),
        };
        let mut found = vec![None; self.key_count + 2];
        let mut scanner = Scanner::new(body);
        if envelope.bare {
            walk.bare(&mut scanner, &envelope.wants, &mut found)?;
        } else {
            walk.inside(&mut scanner, &envelope.wants, &mut found)?;
        }
        scanner.end()?;
        Ok(walk.done())
    }
}

fn envelope(records_at: Option<&FieldPath>, rules: &ErrorRules) -> Envelope {
    let mut wants = Wants::default();
    if let Some(path) = records_at {
        wants.add(path.keys(), RECORDS);
    }
    if rules.in_200 {
        if let Some(path) = &rules.code {
            wants.add(path.keys(), CODE);
        }
        if let Some(path) = &rules.message {
            wants.add(path.keys(), MESSAGE);
        }
    }
    Envelope {
        wants,
        bare: records_at.is_none(),
    }
}

/// The id of `resource`'s record that belongs to the record `parent` of its parent resource.
pub(crate) fn detail_id(resource: &Resource, parent: &RawRecord) -> Option<String> {
    let mut wants = Wants::default();
    let conditions = resource.when.len() + resource.unless.len();
    for (slot, (path, _)) in resource.when.iter().chain(&resource.unless).enumerate() {
        wants.add(path.keys(), slot);
    }
    if let Some(path) = &resource.of_at {
        wants.add(path.keys(), conditions);
    }
    let mut found = vec![None; conditions + 1];
    wants
        .find(&mut Scanner::new(&parent.body), &mut found)
        .ok()?;
    let says = |slot: usize| {
        let raw = found[slot]
            .clone()
            .and_then(|range| parent.body.get(range))?;
        string_of(raw).or_else(|| Some(String::from_utf8_lossy(raw).into_owned()))
    };
    let holds = resource
        .when
        .iter()
        .enumerate()
        .all(|(slot, (_, text))| says(slot).as_deref() == Some(text));
    let count = resource.when.len();
    let forbidden = resource
        .unless
        .iter()
        .enumerate()
        .any(|(slot, (_, text))| says(count + slot).as_deref() == Some(text));
    if !holds || forbidden {
        return None;
    }
    match &resource.of_at {
        Some(_) => build_id(&parent.body, &found[conditions..], resource.key_lower).ok(),
        None => parent.id.clone(),
    }
}

struct Walk<'a> {
    cutter: &'a Cutter,
    body: &'a Bytes,
    cut: Cut,
    found: [Option<Range<usize>>; 5],
}

type Found = Vec<Option<Range<usize>>>;

impl Walk<'_> {
    /// The answer itself is the array of records, one record, or an error.
    fn bare(
        &mut self,
        scanner: &mut Scanner<'_>,
        wants: &Wants,
        found: &mut Found,
    ) -> Result<(), CutError> {
        match scanner.peek()? {
            b'[' => {
                self.first_error(scanner.position(), wants)?;
                self.records(scanner, found)?;
            }
            b'{' => {
                // One record, or an error body: walk it once for each, it is only one.
                let start = scanner.position();
                wants.find(&mut Scanner::new(&self.body[start..]), &mut self.found)?;
                for place in self.found.iter_mut().flatten() {
                    *place = place.start + start..place.end + start;
                }
                self.record(scanner, found)?;
                self.cut.has_records = true;
            }
            next => {
                // An API may say null where it has no record.
                self.cut.has_records = next == b'n';
                scanner.value()?;
            }
        }
        Ok(())
    }

    /// Walks the envelope; where the records are to be, they are cut.
    fn inside(
        &mut self,
        scanner: &mut Scanner<'_>,
        wants: &Wants,
        found: &mut Found,
    ) -> Result<(), CutError> {
        if scanner.peek()? == b'[' {
            // Not the envelope: an array of errors, or something else altogether.
            let start = scanner.position();
            scanner.value()?;
            self.first_error(start, wants)?;
            return Ok(());
        }
        if scanner.peek()? != b'{' {
            scanner.value()?;
            return Ok(());
        }
        self.object(scanner, wants, found)
    }

    fn object(
        &mut self,
        scanner: &mut Scanner<'_>,
        wants: &Wants,
        found: &mut Found,
    ) -> Result<(), CutError> {
        scanner.object(|scanner, key: Key<'_>| {
            let Some(below) = wants.below(key) else {
                scanner.value()?;
                return Ok(());
            };
            let next = scanner.peek()?;
            let start = scanner.position();
            match below.slot() {
                Some(RECORDS) if next == b'[' => self.records(scanner, found)?,
                Some(RECORDS) if next == b'{' => {
                    self.record(scanner, found)?;
                    self.cut.has_records = true;
                }
                // Some APIs write null for an empty list.
                Some(RECORDS) => {
                    scanner.value()?;
                    self.cut.has_records |= next == b'n';
                }
                None if next == b'{' => self.object(scanner, below, found)?,
                slot => {
                    scanner.value()?;
                    if let Some(slot) = slot {
                        self.found[slot] = Some(start..scanner.position());
                    }
                }
            }
            Ok(())
        })
    }

    fn records(&mut self, scanner: &mut Scanner<'_>, found: &mut Found) -> Result<(), CutError> {
        self.cut.has_records = true;
        scanner.array(|scanner| {
            if self.cut.records.len() >= PAGE_RECORDS_MAX {
                return Err(CutError::TooManyRecords);
            }
            self.record(scanner, found)
        })
    }

    fn record(&mut self, scanner: &mut Scanner<'_>, found: &mut Found) -> Result<(), CutError> {
        found.iter_mut().for_each(|place| *place = None);
        let is_object = scanner.peek()? == b'{';
        let start = scanner.position();
        self.cutter.record.find(scanner, found)?;
        let range = start..scanner.position();
        let count = self.cutter.key_count;
        let id = match is_object {
            true => build_id(self.body, &found[..count], self.cutter.key_lower),
            false => Err("not an object".to_owned()),
        };
        let too_large = range.len() > self.cutter.record_size_max;
        let size_problem = || {
            format!(
                "{} bytes; at most {} are kept",
                range.len(),
                self.cutter.record_size_max
            )
        };
        let (id, problem) = match id {
            Ok(id) => (Some(id), too_large.then(size_problem)),
            Err(problem) => (None, Some(problem)),
        };
        let text_at = |slot: usize| {
            found[count + slot]
                .clone()
                .and_then(|range| self.body.get(range))
        };
        let upstream_at = text_at(MODIFIED).and_then(read_stamp_json);
        if let Some(total) = text_at(RECORD_TOTAL).and_then(read_count) {
            self.cut.total = Some(total);
        }
        self.cut.records.push(RawRecord {
            id,
            body: self.body.slice(range),
            upstream_at,
            problem,
        });
        Ok(())
    }

    /// Looks for an error in the first element of the array that begins at `start`.
    fn first_error(&mut self, start: usize, wants: &Wants) -> Result<(), CutError> {
        let mut scanner = Scanner::new(&self.body[start + 1..]);
        if scanner.peek()? == b']' {
            return Ok(());
        }
        wants.find(&mut scanner, &mut self.found)?;
        for place in self.found.iter_mut().flatten() {
            *place = place.start + start + 1..place.end + start + 1;
        }
        Ok(())
    }

    fn done(mut self) -> Cut {
        let text = |slot: usize| {
            self.found[slot]
                .clone()
                .and_then(|range| self.body.get(range))
        };
        self.cut.total = text(TOTAL).and_then(read_count).or(self.cut.total);
        self.cut.next = text(NEXT).and_then(read_token);
        let code = text(CODE).and_then(read_token);
        // With records beside it, a code is a field like others.
        let plain_records = self.cut.records.iter().any(|record| record.id.is_some());
        if let Some(code) = code.filter(|_| !plain_records) {
            self.cut.error = Some((code, text(MESSAGE).and_then(read_token).unwrap_or_default()));
        }
        self.cut
    }
}

/// A stamp: a text, or seconds or milliseconds since 1970.
fn read_stamp_json(raw: &[u8]) -> Option<jiff::Timestamp> {
    if let Some(inner) = raw
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    {
        let plain = std::str::from_utf8(inner)
            .ok()
            .filter(|text| !text.contains('\\'));
        return match plain {
            Some(text) => read_stamp(text),
            None => read_stamp(&string_of(raw)?),
        };
    }
    let number: i64 = std::str::from_utf8(raw).ok()?.parse().ok()?;
    // Seconds reach this bound in the year 5138, milliseconds passed it in 1973.
    if number.abs() < 100_000_000_000 {
        jiff::Timestamp::from_second(number).ok()
    } else {
        jiff::Timestamp::from_millisecond(number).ok()
    }
}

fn read_count(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?;
    text.trim_matches('"').parse().ok()
}

/// A text or a number; absent, null and empty are nothing.
fn read_token(raw: &[u8]) -> Option<String> {
    match raw.first()? {
        b'"' => string_of(raw).filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(String::from_utf8_lossy(raw).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
