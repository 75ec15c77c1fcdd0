//! What is counted per endpoint and per kind of error.

use crate::bounded::{Bounded, Count};
use crate::durations::Durations;
use crate::line::{Line, plain_text};

/// The most endpoints told apart.
pub(crate) const ENDPOINTS_MAX: usize = 500;
/// The most kinds of errors told apart, in all and per endpoint.
pub(crate) const CODES_MAX: usize = 64;

/// What is counted of one endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) durations: Durations,
    pub(crate) errors: u64,
    pub(crate) codes: Bounded<u64>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            durations: Durations::default(),
            errors: 0,
            codes: Bounded::new(CODES_MAX),
        }
    }
}

impl Count for Endpoint {
    fn add(&mut self, other: Self) {
        self.durations.merge(other.durations);
        self.errors += other.errors;
        self.codes.merge(other.codes);
    }
}

/// Whether a line tells of a failure: an error, no answer, or a status of 400 and more.
pub(crate) fn is_error(line: &Line<'_>) -> bool {
    line.error.is_some() || line.status.is_none_or(|status| status >= 400)
}

/// The kind of an error: the code that its text begins with, else its status.
pub(crate) fn code_of(line: &Line<'_>) -> String {
    let said = line.error.and_then(|error| {
        if error.first() == Some(&b'{') {
            let object: serde_json::Value = serde_json::from_slice(error).ok()?;
            return Some(object.get("code")?.as_str()?.to_owned());
        }
        Some(plain_text(error).into_owned())
    });
    let word = said.as_deref().and_then(|text| {
        let word = text.split([' ', ':', ',', ';']).next()?;
        let is_code = word.len() >= 3
            && word.len() <= 40
            && word.starts_with(|first: char| first.is_ascii_uppercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        is_code.then(|| word.to_owned())
    });
    match (word, line.status) {
        (Some(word), _) => word,
        (None, Some(status)) => format!("HTTP_{status}"),
        (None, None) => "UNKNOWN".to_owned(),
    }
}

/// The text of an error, for people.
pub(crate) fn error_text(error: &[u8]) -> String {
    if error.first() == Some(&b'{') {
        return String::from_utf8_lossy(error).into_owned();
    }
    plain_text(error).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_by_its_code_or_else_by_its_status() {
        let code = |error: Option<&'static str>, status| {
            code_of(&Line {
                error: error.map(str::as_bytes),
                status,
                ..Line::default()
            })
        };
        assert_eq!(
            code(Some("ECONNRESET connection reset"), None),
            "ECONNRESET"
        );
        assert_eq!(
            code(Some("ECONNABORTED: timeout of 30000ms exceeded"), None),
            "ECONNABORTED"
        );
        assert_eq!(code(Some("TORN_JSON at byte 7"), Some(200)), "TORN_JSON");
        assert_eq!(
            code(Some("Request failed with status code 404"), Some(404)),
            "HTTP_404"
        );
        assert_eq!(
            code(Some("{\"code\":\"EPIPE\",\"message\":\"m\"}"), None),
            "EPIPE"
        );
        assert_eq!(code(Some("{\"message\":\"m\"}"), None), "UNKNOWN");
        assert_eq!(code(None, Some(500)), "HTTP_500");
        assert_eq!(code(None, None), "UNKNOWN");
    }
}
