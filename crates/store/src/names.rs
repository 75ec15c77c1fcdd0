//! Names that become SQL identifiers: checked once, then safe to print into a statement.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `connector.resource`, for example `cin7.sale`: the table that users query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    full: String,
    dot: usize,
}

/// Why a text is not a [`ResourceName`].
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not the name of a resource: expected connector.resource, each part a lower-case \
     letter followed by at most 40 letters, digits or underscores, for example cin7.sale"
)]
pub struct BadName(pub String);

impl ResourceName {
    /// The name of `resource` of `connector`.
    ///
    /// # Errors
    ///
    /// [`BadName`] when a part is not a plain lower-case SQL identifier.
    pub fn new(connector: &str, resource: &str) -> Result<Self, BadName> {
        format!("{connector}.{resource}").parse()
    }

    /// The whole name, `cin7.sale`.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The part before the dot: the connector, and the PostgreSQL schema.
    pub fn schema(&self) -> &str {
        &self.full[..self.dot]
    }

    /// The part after the dot: the resource, and the table.
    pub fn table(&self) -> &str {
        &self.full[self.dot + 1..]
    }

    /// The quoted SQL name of the table.
    pub(crate) fn sql(&self) -> String {
        format!("\"{}\".\"{}\"", self.schema(), self.table())
    }
}

/// Whether `part` may stand as an SQL identifier.
pub(crate) fn is_identifier(part: &str) -> bool {
    part.len() <= 41
        && part.starts_with(|c: char| c.is_ascii_lowercase())
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl FromStr for ResourceName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.split_once('.') {
            Some((schema, table)) if is_identifier(schema) && is_identifier(table) => Ok(Self {
                full: text.to_owned(),
                dot: schema.len(),
            }),
            _ => Err(BadName(text.to_owned())),
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl Serialize for ResourceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.full)
    }
}

impl<'de> Deserialize<'de> for ResourceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
