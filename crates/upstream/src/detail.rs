//! Which record of a child resource belongs to a record of its parent.

use crate::connector::Resource;
use crate::json::{Scanner, Wants, string_of};
use crate::page::RawRecord;
use crate::record_key::build_id;

impl Resource {
    /// The id of this resource's record that belongs to `parent`, a record of [`Resource::of`]; `None` when there
    /// is none by `when` and `unless`, or the parent does not name it.
    pub fn detail_id(&self, parent: &RawRecord) -> Option<String> {
        let mut wants = Wants::default();
        let conditions = self.when.len() + self.unless.len();
        for (slot, (path, _)) in self.when.iter().chain(&self.unless).enumerate() {
            wants.add(path.keys(), slot);
        }
        if let Some(path) = &self.of_at {
            wants.add(path.keys(), conditions);
        }
        let mut found = vec![None; conditions + 1];
        wants
            .find(&mut Scanner::new(&parent.body), &mut found)
            .ok()?;
        let says = |slot: usize| {
            let raw = found[slot]
                .clone()
                .and_then(|range| parent.body.get(range))?;
            string_of(raw).or_else(|| Some(String::from_utf8_lossy(raw).into_owned()))
        };
        let holds = self
            .when
            .iter()
            .enumerate()
            .all(|(slot, (_, text))| says(slot).as_deref() == Some(text));
        let count = self.when.len();
        let forbidden = self
            .unless
            .iter()
            .enumerate()
            .any(|(slot, (_, text))| says(count + slot).as_deref() == Some(text));
        if !holds || forbidden {
            return None;
        }
        match &self.of_at {
            Some(_) => build_id(&parent.body, &found[conditions..], self.key_lower).ok(),
            None => parent.id.clone(),
        }
    }
}
