//! One line of the log: a JSON object of which only the fields of the report are read.
//!
//! The reader walks over a line once and copies nothing. Lines of one log have their keys in the same order, so the
//! keys of the line before are expected first. It trusts a line to be JSON where that shows on the way; what could
//! hide something (escapes, control characters, bytes that are no UTF-8) is judged by `serde_json`.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// The longest duration believed, in milliseconds: a week.
pub(crate) const DURATION_MAX_MS: u64 = 7 * 24 * 3_600_000;

/// One attempt, as its line tells it. Texts are as in the log: between their quotes, escapes and all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// When it ended, in milliseconds since 1970.
    pub(crate) ended_ms: i64,
    pub(crate) method: &'a [u8],
    pub(crate) url: &'a [u8],
    pub(crate) base_url: &'a [u8],
    pub(crate) status: Option<u16>,
    pub(crate) duration_ms: u64,
    /// A text between its quotes, or an object.
    pub(crate) error: Option<&'a [u8]>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) instance: &'a [u8],
    pub(crate) connection: &'a [u8],
    pub(crate) attempt: Option<u64>,
    pub(crate) wait_ms: u64,
}

/// Why a line is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    Empty,
    /// Not a JSON object, or not a whole one.
    NotJson,
    /// JSON, but without the fields of a call.
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Timestamp,
    Method,
    Url,
    BaseUrl,
    Status,
    DurationMs,
    Error,
    Timeout,
    Instance,
    Connection,
    Attempt,
    WaitMs,
    Other,
}

/// A value, read as far as needed.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    Null,
    Nested(&'a [u8]),
    Bool,
}

/// Reads lines; remembers the order of keys.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// `"key":` as they stood in the lines before.
    layout: Vec<(Box<[u8]>, Field)>,
    days: Days,
}

/// The most keys whose order is remembered.
const LAYOUT_MAX: usize = 64;

impl LineReader {
    /// Reads a line without its line break. `is_plain`: it is UTF-8 without control characters.
    pub(crate) fn read<'a>(&mut self, line: &'a [u8], is_plain: bool) -> Result<Line<'a>, Unread> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Err(Unread::Empty);
        }
        let is_plain = is_plain
            || (line.iter().all(|byte| *byte >= 0x20) && std::str::from_utf8(line).is_ok());
        let mut walk = Walk {
            bytes: line,
            at: 0,
            is_plain,
        };
        let read = self.object(&mut walk);
        if walk.is_plain || matches!(read, Err(Unread::NotJson)) {
            return read;
        }
        let text = std::str::from_utf8(line).map_err(|_| Unread::NotJson)?;
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => read,
            Err(_) => Err(Unread::NotJson),
        }
    }

    fn object<'a>(&mut self, walk: &mut Walk<'a>) -> Result<Line<'a>, Unread> {
        let mut line = Line::default();
        let (mut ended, mut duration, mut is_wrong) = (None, None, false);
        walk.expect(b'{')?;
        walk.skip_space();
        if walk.peek() == Some(b'}') {
            walk.at += 1;
            return if walk.at == walk.bytes.len() {
                Err(Unread::Foreign)
            } else {
                Err(Unread::NotJson)
            };
        }
        for number in 0.. {
            let field = self.key(walk, number)?;
            let value = walk.value(0)?;
            match (field, value) {
                (Field::Other, _) => {}
                (Field::Timestamp, Value::Text(text)) => ended = self.days.moment(text),
                (Field::Method, Value::Text(text)) => line.method = text,
                (Field::Url, Value::Text(text)) => line.url = text,
                (Field::BaseUrl, Value::Text(text)) => line.base_url = text,
                (Field::Instance, Value::Text(text)) => line.instance = text,
                (Field::Connection, Value::Text(text)) => line.connection = text,
                (Field::Status, Value::Number(text)) => {
                    line.status = whole(text).and_then(|status| u16::try_from(status).ok());
                }
                (Field::DurationMs, Value::Number(text)) => duration = whole(text),
                (Field::Timeout, Value::Number(text)) => line.timeout_ms = whole(text),
                (Field::Attempt, Value::Number(text)) => line.attempt = whole(text),
                (Field::WaitMs, Value::Number(text)) => line.wait_ms = whole(text).unwrap_or(0),
                (Field::Error, Value::Text(text) | Value::Nested(text)) => {
                    line.error = Some(text).filter(|text| !text.is_empty());
                }
                (Field::Timestamp | Field::Method | Field::Url | Field::DurationMs, _) => {
                    is_wrong = true;
                }
                _ => {}
            }
            walk.skip_space();
            match walk.next() {
                Some(b',') => walk.skip_space(),
                Some(b'}') if walk.at == walk.bytes.len() => break,
                _ => return Err(Unread::NotJson),
            }
        }
        match (ended, duration) {
            (Some(ended), Some(duration))
                if !is_wrong && duration <= DURATION_MAX_MS && !line.method.is_empty() =>
            {
                line.ended_ms = ended;
                line.duration_ms = duration;
                Ok(line)
            }
            _ => Err(Unread::Foreign),
        }
    }

    fn key(&mut self, walk: &mut Walk<'_>, number: usize) -> Result<Field, Unread> {
        if let Some((key, field)) = self.layout.get(number)
            && walk.bytes[walk.at..].starts_with(key)
        {
            walk.at += key.len();
            return Ok(*field);
        }
        let begin = walk.at;
        walk.expect(b'"')?;
        let name = walk.text()?;
        walk.skip_space();
        walk.expect(b':')?;
        let field = match name {
            b"timestamp" => Field::Timestamp,
            b"method" => Field::Method,
            b"url" => Field::Url,
            b"baseURL" => Field::BaseUrl,
            b"status" => Field::Status,
            b"durationMs" => Field::DurationMs,
            b"error" => Field::Error,
            b"timeout" => Field::Timeout,
            b"instance" => Field::Instance,
            b"connection" => Field::Connection,
            b"attempt" => Field::Attempt,
            b"waitMs" => Field::WaitMs,
            _ => Field::Other,
        };
        let seen = (Box::from(&walk.bytes[begin..walk.at]), field);
        if number < self.layout.len() {
            self.layout[number] = seen;
        } else if number < LAYOUT_MAX {
            self.layout.push(seen);
        }
        Ok(field)
    }
}

/// A place in a line.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    is_plain: bool,
}

/// How deep values may nest; `serde_json` allows 128 as well.
const DEPTH_MAX: usize = 127;

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unread> {
        if self.next() == Some(byte) {
            Ok(())
        } else {
            Err(Unread::NotJson)
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// A text whose opening quote is behind us.
    fn text(&mut self) -> Result<&'a [u8], Unread> {
        let begin = self.at;
        loop {
            let found =
                memchr::memchr2(b'"', b'\\', &self.bytes[self.at..]).ok_or(Unread::NotJson)?;
            self.at += found + 1;
            if self.bytes[self.at - 1] == b'"' {
                return Ok(&self.bytes[begin..self.at - 1]);
            }
            self.is_plain = false;
            self.at += 1;
            if self.at > self.bytes.len() {
                return Err(Unread::NotJson);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Unread> {
        self.skip_space();
        let begin = self.at;
        match self.next().ok_or(Unread::NotJson)? {
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => {
                while matches!(
                    self.peek(),
                    Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
                ) {
                    self.at += 1;
                }
                let number = &self.bytes[begin..self.at];
                // 01, 1. and the like are left to the judge.
                let is_simple = number.iter().all(u8::is_ascii_digit)
                    && (number[0] != b'0' || number.len() == 1);
                self.is_plain &= is_simple;
                Ok(Value::Number(number))
            }
            b'n' => self.word(b"ull").map(|()| Value::Null),
            b't' => self.word(b"rue").map(|()| Value::Bool),
            b'f' => self.word(b"alse").map(|()| Value::Bool),
            open @ (b'{' | b'[') if depth < DEPTH_MAX => {
                // Only its end is sought here.
                self.is_plain = false;
                self.nested(open)?;
                Ok(Value::Nested(&self.bytes[begin..self.at]))
            }
            _ => Err(Unread::NotJson),
        }
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), Unread> {
        if self.bytes[self.at..].starts_with(rest) {
            self.at += rest.len();
            return Ok(());
        }
        Err(Unread::NotJson)
    }

    /// Goes to the end of an object or array whose first bracket is behind us.
    fn nested(&mut self, _open: u8) -> Result<(), Unread> {
        let mut depth = 1;
        while depth > 0 {
            match self.next().ok_or(Unread::NotJson)? {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A number that is not negative, rounded to a whole one.
fn whole(text: &[u8]) -> Option<u64> {
    if text.len() < 19 && text.iter().all(u8::is_ascii_digit) {
        return Some(
            text.iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        );
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // Above 2^53 no text is a time or a count.
    (0.0..9e15)
        .contains(&number)
        .then_some(number.round() as u64)
}

/// What a text between quotes means, escapes resolved.
pub(crate) fn plain_text(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_some() {
        let quoted = [b"\"", raw, b"\""].concat();
        if let Ok(text) = serde_json::from_slice::<String>(&quoted) {
            return Cow::Owned(text);
        }
    }
    String::from_utf8_lossy(raw)
}

/// Reads moments; remembers the last day.
#[derive(Debug, Default)]
struct Days {
    day: [u8; 10],
    begins_ms: i64,
}

impl Days {
    /// An ISO 8601 moment in milliseconds since 1970, what is finer cut off.
    fn moment(&mut self, text: &[u8]) -> Option<i64> {
        if let [
            day @ ..,
            b'T',
            h1,
            h2,
            b':',
            m1,
            m2,
            b':',
            s1,
            s2,
            b'.',
            f1,
            f2,
            f3,
            b'Z',
        ] = text
            && day.len() == 10
            && day == self.day
            && [h1, h2, m1, m2, s1, s2, f1, f2, f3]
                .iter()
                .all(|digit| digit.is_ascii_digit())
        {
            let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
            let (hour, minute, second) = (two(h1, h2), two(m1, m2), two(s1, s2));
            if hour < 24 && minute < 60 && second < 60 {
                let ms = two(f1, f2) * 10 + i64::from(f3 - b'0');
                return Some(self.begins_ms + ((hour * 60 + minute) * 60 + second) * 1_000 + ms);
            }
        }
        let text = std::str::from_utf8(text).ok()?;
        let moment: jiff::Timestamp = text.parse().ok()?;
        let ms = moment.as_millisecond();
        if let Some((day, _)) = text.as_bytes().split_first_chunk::<10>()
            && text.ends_with('Z')
            && text.as_bytes().get(10) == Some(&b'T')
        {
            self.day = *day;
            self.begins_ms = ms - ms.rem_euclid(86_400_000);
        }
        Some(ms)
    }
}

#[cfg(test)]
mod tests;
