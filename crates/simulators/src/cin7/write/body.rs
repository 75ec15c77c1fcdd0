//! Request bodies: members without regard to case; an empty text counts as absent, as `null` does.

use crate::cin7::query::{parse_id, parse_instant};
use crate::cin7::reply::{Answer, Refusal};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Most lines one document may bring.
const LINES_MAX: usize = 5_000;

/// The members of a JSON object that a client sent.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The member as sent, `null` included.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).or_else(|| {
            self.0
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(key))
                .map(|(_, v)| v)
        })
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.raw(key)
            .filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(yes) => Some(yes.to_string()),
            _ => None,
        }
    }

    pub(crate) fn required(&self, key: &str) -> Answer<String> {
        self.text(key).ok_or_else(|| Refusal::missing(key))
    }

    /// A GUID; the empty GUID, which stands for "new", counts as absent.
    pub(crate) fn id(&self, key: &str) -> Answer<Option<Uuid>> {
        let id = self
            .text(key)
            .map(|text| parse_id(key, &text))
            .transpose()?;
        Ok(id.filter(|id| !id.is_nil()))
    }

    pub(crate) fn required_id(&self, key: &str) -> Answer<Uuid> {
        self.id(key)?.ok_or_else(|| Refusal::missing(key))
    }

    pub(crate) fn decimal(&self, key: &str) -> Answer<Option<Decimal>> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        let parsed = text
            .parse::<Decimal>()
            .or_else(|_| Decimal::from_scientific(&text));
        let number = parsed.map_err(|_| Refusal::bad(format!("'{key}' is not a number.")))?;
        // Beyond this the sums of a document could no longer be exact.
        if number.abs() > Decimal::from(1_000_000_000_000_i64) {
            return Err(Refusal::bad(format!("'{key}' is too large.")));
        }
        Ok(Some(number))
    }

    pub(crate) fn required_decimal(&self, key: &str) -> Answer<Decimal> {
        self.decimal(key)?.ok_or_else(|| Refusal::missing(key))
    }

    /// A quantity above zero with at most four places.
    pub(crate) fn quantity(&self, key: &str) -> Answer<Decimal> {
        let quantity = self.required_decimal(key)?.round_dp(4);
        if quantity <= Decimal::ZERO {
            return Err(Refusal::bad(format!("'{key}' must be greater than 0.")));
        }
        Ok(quantity)
    }

    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(yes) => Some(*yes),
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            Value::Number(number) => Some(number.as_i64() == Some(1)),
            _ => None,
        }
    }

    pub(crate) fn date(&self, key: &str) -> Answer<Option<Date>> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        let at = parse_instant(&text)
            .ok_or_else(|| Refusal::bad(format!("'{key}' has incorrect format.")))?;
        Ok(Some(at.to_zoned(TimeZone::UTC).date()))
    }

    /// The objects of an array member; none when it is absent.
    pub(crate) fn rows(&self, key: &str) -> Answer<Vec<Fields<'a>>> {
        match self.value(key) {
            None => Ok(vec![]),
            Some(Value::Array(rows)) if rows.len() > LINES_MAX => Err(Refusal::bad(format!(
                "{key} has more than {LINES_MAX} lines"
            ))),
            Some(Value::Array(rows)) => rows
                .iter()
                .map(|row| {
                    row.as_object()
                        .map(Fields)
                        .ok_or_else(|| Refusal::bad(format!("{key} is invalid")))
                })
                .collect(),
            Some(_) => Err(Refusal::bad(format!("{key} is invalid"))),
        }
    }

    /// Copies the named members that were sent, spelt as named.
    pub(crate) fn copy(&self, keys: &[&str], into: &mut Map<String, Value>) {
        for key in keys {
            if let Some(value) = self.raw(key) {
                into.insert((*key).to_owned(), value.clone());
            }
        }
    }
}
