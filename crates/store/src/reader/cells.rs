//! A value's text, as PostgreSQL writes it, to JSON. Numbers keep every digit: they are copied, not parsed.

use sqlx::TypeInfo;
use sqlx::postgres::{PgTypeInfo, PgTypeKind};

/// How the text of a column becomes JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Boolean,
    Json,
    Timestamp,
    Array(Box<Shape>),
    Text,
}

impl Shape {
    /// The shape of a type's values.
    pub fn of(type_info: &PgTypeInfo) -> Self {
        match type_info.kind() {
            PgTypeKind::Domain(base) => return Self::of(base),
            PgTypeKind::Array(element) => return Self::Array(Box::new(Self::of(element))),
            _ => {}
        }
        match type_info.name() {
            "INT2" | "INT4" | "INT8" | "FLOAT4" | "FLOAT8" | "NUMERIC" | "OID" => Self::Number,
            "BOOL" => Self::Boolean,
            "JSON" | "JSONB" => Self::Json,
            "TIMESTAMP" | "TIMESTAMPTZ" => Self::Timestamp,
            _ => Self::Text,
        }
    }

    /// Whether the text of any value is short, so that it needs no cut.
    pub fn is_short(type_info: &PgTypeInfo) -> bool {
        const SHORT: [&str; 14] = [
            "INT2",
            "INT4",
            "INT8",
            "FLOAT4",
            "FLOAT8",
            "OID",
            "BOOL",
            "DATE",
            "TIME",
            "TIMETZ",
            "TIMESTAMP",
            "TIMESTAMPTZ",
            "INTERVAL",
            "UUID",
        ];
        SHORT.contains(&type_info.name())
    }

    /// Appends the value as JSON.
    pub fn write(&self, text: &str, json: &mut String) {
        match self {
            Self::Number if is_json_number(text) => json.push_str(text),
            Self::Boolean => json.push_str(if text.starts_with('t') {
                "true"
            } else {
                "false"
            }),
            Self::Json => json.push_str(text),
            Self::Timestamp => write_string(&rfc3339(text), json),
            Self::Array(element) => match parse_array(text) {
                Some(items) => write_array(&items, element, json),
                None => write_string(text, json),
            },
            // Infinity and NaN are not JSON; their names are.
            Self::Number | Self::Text => write_string(text, json),
        }
    }
}

/// Appends text as a JSON string.
pub(super) fn write_string(text: &str, json: &mut String) {
    match serde_json::to_string(text) {
        Ok(quoted) => json.push_str(&quoted),
        Err(_) => json.push_str("null"),
    }
}

/// PostgreSQL writes no leading zeros, signs or points that JSON would refuse; only special values differ.
fn is_json_number(text: &str) -> bool {
    text.strip_prefix('-')
        .unwrap_or(text)
        .starts_with(|c: char| c.is_ascii_digit())
}

/// `2026-01-05 10:00:00+00` to `2026-01-05T10:00:00+00:00`; `infinity` and years before Christ stay.
fn rfc3339(text: &str) -> String {
    let Some((date, time)) = text.split_once(' ').filter(|(_, time)| !time.contains(' ')) else {
        return text.to_owned();
    };
    let offset_without_minutes = time
        .rfind(['+', '-'])
        .is_some_and(|sign| time[sign..].len() == "+00".len());
    format!(
        "{date}T{time}{}",
        if offset_without_minutes { ":00" } else { "" }
    )
}

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Null,
    Value(String),
    Array(Vec<Item>),
}

/// `{1,NULL,"a \"b\""}`, nested or not. Texts with bounds (`[0:1]={…}`) are not parsed.
fn parse_array(text: &str) -> Option<Vec<Item>> {
    let mut chars = text.chars().peekable();
    let items = parse_items(&mut chars)?;
    chars.next().is_none().then_some(items)
}

fn parse_items(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Vec<Item>> {
    chars.next_if_eq(&'{')?;
    let mut items = Vec::new();
    if chars.next_if_eq(&'}').is_some() {
        return Some(items);
    }
    loop {
        items.push(match chars.peek()? {
            // PostgreSQL allows six dimensions.
            '{' => Item::Array(parse_items(chars)?),
            '"' => Item::Value(parse_quoted(chars)?),
            _ => {
                let mut value = String::new();
                while let Some(c) = chars.next_if(|c| *c != ',' && *c != '}') {
                    value.push(if c == '\\' { chars.next()? } else { c });
                }
                if value == "NULL" {
                    Item::Null
                } else {
                    Item::Value(value)
                }
            }
        });
        match chars.next()? {
            ',' => {}
            '}' => return Some(items),
            _ => return None,
        }
    }
}

fn parse_quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    chars.next();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

fn write_array(items: &[Item], element: &Shape, json: &mut String) {
    json.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        match item {
            Item::Null => json.push_str("null"),
            Item::Value(text) => element.write(text, json),
            Item::Array(items) => write_array(items, element, json),
        }
    }
    json.push(']');
}

#[cfg(test)]
mod tests;
