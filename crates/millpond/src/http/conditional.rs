//! `ETag` and `If-None-Match`: who has an answer already is told so, without the body.
//!
//! Tags are weak. Two answers with one tag say the same about the same records; their age, their source and the newest
//! snapshot may differ. Those are told in headers, also with a 304: an answer knows its age.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use jiff::Timestamp;
use mirror::ReadAnswer;
use serde::Serialize;
use store::read::RecordRow;
use xxhash_rust::xxh3::Xxh3Default;

use super::error::ApiError;

/// Says when upstream was last known to say this; of a page, the oldest of its records.
const AS_OF: HeaderName = HeaderName::from_static("x-as-of");
/// Says the newest snapshot when this was read.
const SNAPSHOT: HeaderName = HeaderName::from_static("x-snapshot");
/// May be kept by whoever asked, and is to be asked about before it is used again.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What an answer says besides its records' bodies, in bytes.
const FRAME_BYTES: usize = 512;

/// The tags that a caller has answers for: `If-None-Match`.
#[derive(Debug, Default)]
pub struct Known(Vec<HeaderValue>);

impl Known {
    /// Whether `tag` is among them, or any tag will do. Compared as weak tags are.
    fn has(&self, tag: &str) -> bool {
        // Our tags hold no comma: a foreign one that does cannot be taken for ours.
        let listed = self.0.iter().filter_map(|line| line.to_str().ok());
        let mut tags = listed.flat_map(|line| line.split(','));
        tags.any(|known| {
            let known = known.trim();
            known == "*" || known.trim_start_matches("W/") == tag.trim_start_matches("W/")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lines = parts.headers.get_all(header::IF_NONE_MATCH);
        Ok(Self(lines.iter().cloned().collect()))
    }
}

/// What an answer says, on the way to its tag and its headers.
pub struct Told {
    hash: Xxh3Default,
    as_of: Option<Timestamp>,
    snapshot: Option<i64>,
    bytes: usize,
}

impl Default for Told {
    fn default() -> Self {
        let mut hash = Xxh3Default::new();
        // Another version may say the same in other words.
        hash.update(env!("CARGO_PKG_VERSION").as_bytes());
        Self {
            hash,
            as_of: None,
            snapshot: None,
            bytes: FRAME_BYTES,
        }
    }
}

impl Told {
    /// A text: a name, where the next page begins.
    pub fn text(&mut self, text: &str) {
        // The length in front keeps two texts from being taken for one.
        self.number(text.len() as i64);
        self.hash.update(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.hash.update(&number.to_le_bytes());
    }

    /// A text that may be absent.
    pub fn maybe(&mut self, text: Option<&str>) {
        self.number(i64::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    /// The newest snapshot.
    pub fn snapshot(&mut self, snapshot: Option<i64>) {
        self.snapshot = snapshot;
    }

    /// A record, without its age.
    pub fn record(&mut self, record: &RecordRow) {
        for text in [&record.resource, &record.instance, &record.id] {
            self.text(text);
        }
        self.text(record.body.get());
        for number in [
            record.version,
            record.changed_at.as_microsecond(),
            record
                .upstream_at
                .map_or(i64::MIN, Timestamp::as_microsecond),
            record
                .deleted_at
                .map_or(i64::MIN, Timestamp::as_microsecond),
            record.run.unwrap_or(i64::MIN),
            i64::from(record.outdated),
        ] {
            self.number(number);
        }
        let oldest = self.as_of.map_or(record.as_of, |at| at.min(record.as_of));
        self.as_of = Some(oldest);
        self.bytes += record.body.get().len() + FRAME_BYTES;
    }

    /// An answer, without its age and its source.
    pub fn answer(&mut self, answer: &ReadAnswer) {
        self.record(&answer.record);
        self.maybe(answer.stale.as_deref());
    }

    fn tag(&self) -> String {
        format!("W/\"{:032x}\"", self.hash.digest128())
    }

    /// `body` with its tag; or that `known` has it, without the body.
    pub fn reply<T: Serialize>(self, known: &Known, body: &T) -> Response {
        let tag = self.tag();
        let mut response = if known.has(&tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut text = Vec::with_capacity(self.bytes);
            match serde_json::to_writer(&mut text, body) {
                Ok(()) => {
                    let kind = HeaderValue::from_static("application/json");
                    ([(header::CONTENT_TYPE, kind)], text).into_response()
                }
                Err(error) => return ApiError::internal(error.to_string()).into_response(),
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, REVALIDATE);
        let as_of = self.as_of.map(|at| at.to_string());
        let snapshot = self.snapshot.map(|number| number.to_string());
        let told = [
            (header::ETAG, Some(tag)),
            (AS_OF, as_of),
            (SNAPSHOT, snapshot),
        ];
        for (name, text) in told {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests;
