//! One walk over one answer.

use std::ops::Range;

use bytes::Bytes;

use super::{Cut, CutError, Cutter, PAGE_RECORDS_MAX};
use crate::json::{Key, Scanner, Wants, string_of};
use crate::page::RawRecord;
use crate::record_key::build_id;
use crate::stamp::read_stamp;

/// Slots of the envelope.
pub(super) const RECORDS: usize = 0;
pub(super) const TOTAL: usize = 1;
pub(super) const NEXT: usize = 2;
pub(super) const CODE: usize = 3;
pub(super) const MESSAGE: usize = 4;

/// Slots of a record, after those of the key.
pub(super) const MODIFIED: usize = 0;
pub(super) const RECORD_TOTAL: usize = 1;

/// A walk under way.
pub(super) struct Walk<'a> {
    pub(super) cutter: &'a Cutter,
    pub(super) body: &'a Bytes,
    pub(super) cut: Cut,
    pub(super) found: [Option<Range<usize>>; 5],
}

/// Where the wanted values of one record stand.
type Found = Vec<Option<Range<usize>>>;

impl Walk<'_> {
    /// The answer itself is the array of records, one record, or an error.
    pub(super) fn bare(
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
    pub(super) fn inside(
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

    pub(super) fn done(mut self) -> Cut {
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
