//! Quantities: upstream writes decimals, decisions count whole steps. The step of a SKU is as fine as the finest
//! quantity of it that is written anywhere.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits after the point that a quantity may have.
const DIGITS_MAX: u32 = 4;

/// A number as upstream writes it: a JSON number, a text, or nothing, which is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(pub(crate) Decimal);

impl Amount {
    /// As a JSON number, digit by digit.
    pub(crate) fn json(self) -> serde_json::Value {
        json(self.0)
    }
}

/// A decimal as a JSON number, digit by digit.
pub(crate) fn json(number: Decimal) -> serde_json::Value {
    let text = number.normalize().to_string();
    serde_json::from_str(&text).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null => return Ok(Self::default()),
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::String(text) if text.trim().is_empty() => return Ok(Self::default()),
            serde_json::Value::String(text) => text,
            other => return Err(serde::de::Error::custom(format!("{other} is no number"))),
        };
        let text = text.trim();
        let read = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        let read =
            read.map_err(|_| serde::de::Error::custom(format!("{text} is no number we can hold")))?;
        Ok(Self(read.normalize()))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(serializer)
    }
}

/// Why a quantity cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AmountError {
    /// It is finer than any step.
    #[error("{0} has more than {DIGITS_MAX} digits after the point")]
    TooFine(Decimal),
    /// It does not fit.
    #[error("{0} is too large to be counted")]
    TooLarge(Decimal),
}

/// Digits after the point of the step of each SKU.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Scales(HashMap<String, u32>);

impl Scales {
    /// Makes the step of `sku` fine enough for `qty`.
    pub(crate) fn admit(&mut self, sku: &str, qty: Decimal) -> Result<(), AmountError> {
        let digits = qty.normalize().scale();
        if digits > DIGITS_MAX {
            return Err(AmountError::TooFine(qty));
        }
        if digits > 0 {
            let known = self.0.entry(sku.to_owned()).or_default();
            *known = digits.max(*known);
        }
        Ok(())
    }

    /// Digits after the point of the step of `sku`.
    pub(crate) fn digits(&self, sku: &str) -> u32 {
        self.0.get(sku).copied().unwrap_or(0)
    }

    /// `qty` in steps of `sku`; what is finer is cut off towards zero.
    pub(crate) fn steps(&self, sku: &str, qty: Decimal) -> Result<i64, AmountError> {
        let factor = Decimal::from(10_i64.pow(self.digits(sku)));
        let steps = qty.checked_mul(factor).ok_or(AmountError::TooLarge(qty))?;
        i64::try_from(steps.trunc()).map_err(|_| AmountError::TooLarge(qty))
    }

    /// `steps` of `sku` as upstream writes it.
    pub(crate) fn qty(&self, sku: &str, steps: i64) -> Decimal {
        Decimal::new(steps, self.digits(sku)).normalize()
    }
}

#[cfg(test)]
mod tests;
