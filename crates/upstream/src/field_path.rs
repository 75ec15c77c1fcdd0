//! Where a value stands in a record: `_info.lastUpdated`.

use std::fmt;

/// A dotted path of object keys. Arrays cannot be entered by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Reads `a.b.c`. A key that itself contains a dot cannot be named.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong: an empty path or an empty key in it.
    pub fn parse(text: &str) -> Result<FieldPath, String> {
        let keys: Vec<String> = text.split('.').map(str::to_owned).collect();
        if keys.iter().any(|key| key.is_empty() || key.trim() != key) {
            return Err(format!(
                "`{text}` is no path: write keys with dots between, as in `_info.lastUpdated`"
            ));
        }
        if keys.iter().any(|key| key.contains(['[', ']', '*', '$'])) {
            return Err(format!(
                "`{text}` is no path of keys: arrays cannot be entered here"
            ));
        }
        Ok(FieldPath(keys))
    }

    /// A path to nothing, for what has been reported as wrong already.
    pub(crate) fn nowhere() -> FieldPath {
        FieldPath(vec![String::new()])
    }

    /// The path of one plain key.
    pub(crate) fn of_key(key: &str) -> FieldPath {
        FieldPath(vec![key.to_owned()])
    }

    /// The path to the whole record, for views of records that are arrays.
    pub(crate) fn whole() -> FieldPath {
        FieldPath(Vec::new())
    }

    /// The keys from the outermost in. Empty only for a view's array that is the whole record.
    pub fn keys(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
