//! Counts by name, of a bounded number of names.

use hashbrown::HashMap;

/// What is counted by name and added up over workers.
pub(crate) trait Count: Default {
    fn add(&mut self, other: Self);
}

impl Count for u64 {
    fn add(&mut self, other: Self) {
        *self += other;
    }
}

/// Names with their values.
pub(crate) type Named<T> = Vec<(Box<[u8]>, T)>;

/// Values by name. Names beyond the bound share one value.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<T> {
    places: HashMap<Box<[u8]>, usize>,
    entries: Vec<T>,
    max: usize,
    others: Option<T>,
}

impl<T: Count> Bounded<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            places: HashMap::new(),
            entries: Vec::new(),
            max,
            others: None,
        }
    }

    pub(crate) fn entry(&mut self, name: &[u8]) -> &mut T {
        if let Some(place) = self.places.get(name) {
            return &mut self.entries[*place];
        }
        if self.entries.len() >= self.max {
            return self.others.get_or_insert_default();
        }
        self.places.insert(Box::from(name), self.entries.len());
        self.entries.push(T::default());
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let (named, others) = other.into_parts();
        // By name, so that what falls beyond the bound does not depend on the order of a hash table.
        for (name, value) in named {
            self.entry(&name).add(value);
        }
        if let Some(others) = others {
            self.others.get_or_insert_default().add(others);
        }
    }

    /// As [`Bounded::into_parts`], borrowed.
    pub(crate) fn parts(&self) -> (Vec<(&[u8], &T)>, Option<&T>) {
        let named = self.places.iter();
        let mut named: Vec<(&[u8], &T)> = named
            .map(|(name, place)| (&**name, &self.entries[*place]))
            .collect();
        named.sort_unstable_by(|a, b| a.0.cmp(b.0));
        (named, self.others.as_ref())
    }

    /// Names with their values, in order of names; and what stands for all names beyond the bound.
    pub(crate) fn into_parts(self) -> (Named<T>, Option<T>) {
        let mut names: Vec<(Box<[u8]>, usize)> = self.places.into_iter().collect();
        names.sort_unstable_by_key(|(_, place)| *place);
        let names = names.into_iter().map(|(name, _)| name);
        let mut named: Named<T> = names.zip(self.entries).collect();
        named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        (named, self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_share_one_count() {
        let mut counts = Bounded::<u64>::new(2);
        for name in ["b", "a", "c", "a", "d"] {
            *counts.entry(name.as_bytes()) += 1;
        }
        let mut more = Bounded::<u64>::new(2);
        for name in ["a", "x", "y"] {
            *more.entry(name.as_bytes()) += 1;
        }
        counts.merge(more);
        let (named, others) = counts.into_parts();
        let named: Vec<_> = named
            .iter()
            .map(|(name, count)| (&**name, *count))
            .collect();
        assert_eq!(named, [(b"a".as_slice(), 3), (b"b".as_slice(), 1)]);
        assert_eq!(others, Some(4));
    }
}
