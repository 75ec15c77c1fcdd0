//! Cuts an answer into records: one walk over the bytes finds the records, their ids and stamps, and what the
//! envelope says. Nothing is parsed into trees and no record is copied.

mod walk;

use bytes::Bytes;

use crate::call::CallError;
use crate::connector::{Connector, ErrorRules, PagingKind, Resource, TotalAt};
use crate::field_path::FieldPath;
use crate::json::{NotJson, Scanner, Wants};
use crate::page::RawRecord;
use walk::{CODE, MESSAGE, MODIFIED, NEXT, RECORD_TOTAL, RECORDS, TOTAL, Walk};

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

#[cfg(test)]
mod tests;
