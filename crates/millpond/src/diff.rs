//! What differs between two bodies, exactly: numbers are compared by all their digits, as PostgreSQL wrote them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Bodies are compared so deep; what differs below is told as a whole.
const DEPTH_MAX: usize = 64;

/// One value that differs.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// Where: keys and numbers of elements.
    pub path: Vec<String>,
    /// What stood there; absent: nothing.
    pub before: Option<&'a RawValue>,
    /// What stands there now; absent: nothing.
    pub after: Option<&'a RawValue>,
}

/// The changes that lead from one body to the other, at most `most`, and whether there are more. Carried out in this
/// order they lead there: elements that went are named from the last to the first.
pub(crate) fn changes<'a>(
    before: &'a RawValue,
    after: &'a RawValue,
    most: usize,
) -> (Vec<Change<'a>>, bool) {
    let mut search = Search {
        path: Vec::new(),
        found: Vec::new(),
        most,
    };
    search.compare(before, after);
    let mut found = search.found;
    let more = found.len() > most;
    found.truncate(most);
    (found, more)
}

/// What a value is made of.
enum Parts<'a> {
    Object(BTreeMap<String, &'a RawValue>),
    Array(Vec<&'a RawValue>),
    Whole,
}

impl<'a> Parts<'a> {
    fn of(value: &'a RawValue) -> Self {
        let text = value.get();
        let parts = match text.as_bytes().first() {
            Some(b'{') => serde_json::from_str(text).map(Self::Object),
            Some(b'[') => serde_json::from_str(text).map(Self::Array),
            _ => return Self::Whole,
        };
        parts.unwrap_or(Self::Whole)
    }
}

struct Search<'a> {
    path: Vec<String>,
    found: Vec<Change<'a>>,
    most: usize,
}

impl<'a> Search<'a> {
    fn compare(&mut self, before: &'a RawValue, after: &'a RawValue) {
        if before.get() == after.get() || self.found.len() > self.most {
            return;
        }
        if self.path.len() == DEPTH_MAX {
            self.note(Some(before), Some(after));
            return;
        }
        match (Parts::of(before), Parts::of(after)) {
            (Parts::Object(old), Parts::Object(new)) => {
                for (key, after) in &new {
                    self.below(key.clone(), |search| match old.get(key) {
                        Some(before) => search.compare(before, after),
                        None => search.note(None, Some(after)),
                    });
                }
                for (key, before) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
                    self.below(key.clone(), |search| search.note(Some(before), None));
                }
            }
            (Parts::Array(old), Parts::Array(new)) => {
                for (n, after) in new.iter().enumerate() {
                    self.below(n.to_string(), |search| match old.get(n) {
                        Some(before) => search.compare(before, after),
                        None => search.note(None, Some(after)),
                    });
                }
                for (n, before) in old.iter().enumerate().skip(new.len()).rev() {
                    self.below(n.to_string(), |search| search.note(Some(before), None));
                }
            }
            _ => self.note(Some(before), Some(after)),
        }
    }

    fn below(&mut self, step: String, visit: impl FnOnce(&mut Self)) {
        self.path.push(step);
        visit(self);
        self.path.pop();
    }

    fn note(&mut self, before: Option<&'a RawValue>, after: Option<&'a RawValue>) {
        if self.found.len() <= self.most {
            self.found.push(Change {
                path: self.path.clone(),
                before,
                after,
            });
        }
    }
}

#[cfg(test)]
mod tests;
