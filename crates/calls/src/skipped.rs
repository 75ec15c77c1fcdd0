//! Lines of a log that are no calls, told apart and counted.

use serde::Serialize;

/// Lines that are no calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Lines with nothing in them.
    pub empty: u64,
    /// A last line without its end: the process was killed while it wrote, or writes still.
    pub torn: u64,
    /// Lines that are no JSON.
    pub not_json: u64,
    /// JSON that is not about a call.
    pub foreign: u64,
    /// Lines of more than 1 MiB.
    pub too_long: u64,
    /// Where the first of these begins, in bytes; empty and too long lines aside.
    pub first_at: Option<u64>,
}

impl Skipped {
    /// All of them, empty ones too.
    pub fn lines(&self) -> u64 {
        self.empty + self.torn + self.not_json + self.foreign + self.too_long
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.empty += other.empty;
        self.torn += other.torn;
        self.not_json += other.not_json;
        self.foreign += other.foreign;
        self.too_long += other.too_long;
        self.first_at = match (self.first_at, other.first_at) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [
            (self.torn, "torn at the end"),
            (self.not_json, "no JSON"),
            (self.foreign, "JSON but no call"),
            (self.too_long, "longer than 1 MiB"),
            (self.empty, "empty"),
        ];
        let told = kinds.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        f.write_str(&told.join(", "))?;
        if let Some(at) = self.first_at {
            write!(f, "; the first at byte {at}")?;
        }
        Ok(())
    }
}
