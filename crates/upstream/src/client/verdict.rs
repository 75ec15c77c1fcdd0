//! What an HTTP answer means. Decides only; nothing is sent or waited for here.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

use crate::connector::ErrorRules;
use crate::json::{Scanner, Wants, string_of};
use crate::retry_after::{find_wait, read_retry_after};

/// What an HTTP answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The body may be read.
    Good,
    /// Too many calls: stay away for so long.
    Throttled(Duration),
    /// The credentials are refused.
    Refused,
    /// The thing does not exist.
    Missing,
    /// It leads elsewhere.
    Redirect(String),
    /// It may pass.
    Transient { code: String, message: String },
    /// No.
    Rejected {
        code: Option<String>,
        message: String,
    },
}

/// How much of a body is looked through for sentences.
const LOOK_MAX: usize = 4_096;

/// The longest message taken over from a body.
const MESSAGE_MAX: usize = 300;

/// No answer parks a connection for less.
const THROTTLED_MIN: Duration = Duration::from_millis(100);

/// Judges an answer.
pub(crate) fn judge(
    rules: &ErrorRules,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Verdict {
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .map(|value| value.to_str().unwrap_or_default());
    let code = status.as_u16();
    // A page of records is longer than any sentence about limits.
    let look = if status.is_success() && body.len() > LOOK_MAX {
        &[][..]
    } else {
        &body[..body.len().min(LOOK_MAX)]
    };
    let text = String::from_utf8_lossy(look);
    let lower = text.to_lowercase();
    let throttled = rules.throttled.statuses.contains(&code)
        || (retry_after.is_some() && rules.throttled.with_retry_after.contains(&code))
        || rules
            .throttled
            .texts
            .iter()
            .any(|sentence| lower.contains(sentence.as_str()));
    if throttled {
        let wait = retry_after
            .and_then(|header| read_retry_after(header, now))
            .or_else(|| find_wait(&text));
        return Verdict::Throttled(wait.unwrap_or(rules.throttled.wait).max(THROTTLED_MIN));
    }
    if status.is_redirection() {
        let location = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        return match location {
            Some(location) => Verdict::Redirect(location.to_owned()),
            None => rejected(rules, status, look),
        };
    }
    if rules.refused.contains(&code) {
        return Verdict::Refused;
    }
    if status.is_client_error() {
        return if is_missing(rules, code, headers, look, &lower) {
            Verdict::Missing
        } else {
            rejected(rules, status, look)
        };
    }
    if status.is_server_error() || status.is_informational() {
        let message = format!("upstream answered {status}");
        return Verdict::Transient {
            code: format!("HTTP_{code}"),
            message,
        };
    }
    if is_html(headers, body) {
        let message = "an HTML page where JSON should be; is the path right?".to_owned();
        return Verdict::Transient {
            code: "NOT_JSON".to_owned(),
            message,
        };
    }
    Verdict::Good
}

/// The code and message in an error body: an object, an array of objects, or an array of texts.
pub(crate) fn read_error(rules: &ErrorRules, body: &[u8]) -> Option<(Option<String>, String)> {
    let mut scanner = Scanner::new(body);
    if scanner.peek().ok()? == b'[' {
        let start = scanner.position() + 1;
        scanner = Scanner::new(&body[start..]);
        if scanner.peek().ok()? == b'"' {
            let range = scanner.value().ok()?;
            return Some((None, shorten(&string_of(&body[start..][range])?)));
        }
        return read_error_object(rules, &body[start..]);
    }
    read_error_object(rules, body)
}

fn read_error_object(rules: &ErrorRules, body: &[u8]) -> Option<(Option<String>, String)> {
    let mut wants = Wants::default();
    if let Some(path) = &rules.code {
        wants.add(path.keys(), 0);
    }
    if let Some(path) = &rules.message {
        wants.add(path.keys(), 1);
    }
    for name in [
        "message",
        "Message",
        "error_description",
        "error",
        "detail",
        "title",
    ] {
        wants.add(
            &[name.to_owned()],
            if rules.message.is_some() { 2 } else { 1 },
        );
    }
    let mut found = [None, None, None];
    wants.find(&mut Scanner::new(body), &mut found).ok()?;
    let text = |slot: usize| -> Option<String> {
        let raw = body.get(found[slot].clone()?)?;
        match raw.first()? {
            b'"' => string_of(raw),
            b'-' | b'0'..=b'9' => Some(String::from_utf8_lossy(raw).into_owned()),
            _ => None,
        }
    };
    let message = text(1).or_else(|| text(2));
    let code = text(0);
    if code.is_none() && message.is_none() {
        return None;
    }
    Some((code, shorten(&message.unwrap_or_default())))
}

fn rejected(rules: &ErrorRules, status: StatusCode, look: &[u8]) -> Verdict {
    match read_error(rules, look) {
        Some((code, message)) => Verdict::Rejected { code, message },
        None => {
            let message = status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned();
            Verdict::Rejected {
                code: None,
                message,
            }
        }
    }
}

fn is_missing(
    rules: &ErrorRules,
    status: u16,
    headers: &HeaderMap,
    look: &[u8],
    lower: &str,
) -> bool {
    let missing = &rules.missing;
    if is_html(headers, look)
        || missing
            .unless
            .iter()
            .any(|sentence| lower.contains(sentence.as_str()))
    {
        return false;
    }
    if missing.statuses.contains(&status) {
        return true;
    }
    if missing
        .texts
        .iter()
        .any(|sentence| lower.contains(sentence.as_str()))
    {
        return true;
    }
    let code = read_error(rules, look).and_then(|(code, _)| code);
    code.is_some_and(|code| missing.codes.contains(&code))
}

pub(crate) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if kind
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("text/html")
        && !looks_like_json(body)
    {
        return true;
    }
    body.trim_ascii_start().first() == Some(&b'<')
}

fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn shorten(message: &str) -> String {
    let message: Cow<'_, str> = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .into();
    match message.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.into_owned(),
    }
}

#[cfg(test)]
mod tests;
