//! What the lines of a listing add up to, per record that they tell of.

use std::{collections::BTreeMap, str::FromStr};

use rust_decimal::Decimal;
use serde_json::Value;
use upstream::{FieldPath, connector::Watch};

/// What lines add up to per record, each number in its plainest form, in the connector's order.
pub(crate) type Totals = BTreeMap<String, Vec<String>>;

/// Adds lines up. The order of records, lines and fields makes no difference, and a record that is listed twice because
/// the pages shifted counts once.
#[derive(Debug)]
pub(crate) struct Sums<'a> {
    watch: &'a Watch,
    records: BTreeMap<String, Vec<(String, Vec<Decimal>)>>,
    /// Lines that name no record, or a number that cannot be read.
    pub unreadable: u64,
}

impl<'a> Sums<'a> {
    pub fn new(watch: &'a Watch) -> Self {
        Self {
            watch,
            records: BTreeMap::new(),
            unreadable: 0,
        }
    }

    /// Adds a listed record; a later one of the same id takes its place.
    pub fn add(&mut self, id: &str, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            self.unreadable += 1;
            return;
        };
        let lines: &[Value] = match &self.watch.lines_at {
            None => std::slice::from_ref(&body),
            Some(path) => match find(&body, path) {
                Some(Value::Array(lines)) => lines,
                _ => &[],
            },
        };
        let mut read = Vec::with_capacity(lines.len());
        for line in lines {
            match self.read(line) {
                Some(line) => read.push(line),
                None => self.unreadable += 1,
            }
        }
        self.records.insert(id.to_owned(), read);
    }

    fn read(&self, line: &Value) -> Option<(String, Vec<Decimal>)> {
        let item = match find(line, &self.watch.item)? {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let numbers = self.watch.totals.iter().map(|path| match find(line, path) {
            None | Some(Value::Null) => Some(Decimal::ZERO),
            Some(Value::Number(number)) => decimal(&number.to_string()),
            Some(Value::String(text)) => decimal(text.trim()),
            Some(_) => None,
        });
        Some((item, numbers.collect::<Option<_>>()?))
    }

    /// Whether any record had a line.
    pub fn has_lines(&self) -> bool {
        self.records.values().any(|lines| !lines.is_empty())
    }

    /// Records listed.
    pub fn listed(&self) -> usize {
        self.records.len()
    }

    /// What it all adds up to. Numbers too large to add are left at the largest.
    pub fn totals(self) -> Totals {
        let mut sums: BTreeMap<String, Vec<Decimal>> = BTreeMap::new();
        for (item, numbers) in self.records.into_values().flatten() {
            match sums.get_mut(&item) {
                None => drop(sums.insert(item, numbers)),
                Some(sum) => {
                    for (sum, number) in sum.iter_mut().zip(numbers) {
                        *sum = sum.saturating_add(number);
                    }
                }
            }
        }
        let plain = |number: Decimal| number.normalize().to_string();
        sums.into_iter()
            .map(|(item, sums)| (item, sums.into_iter().map(plain).collect()))
            .collect()
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str(text)
        .or_else(|_| Decimal::from_scientific(text))
        .ok()
}

fn find<'v>(body: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.keys().iter().try_fold(body, |at, key| at.get(key))
}

#[cfg(test)]
mod tests;
