//! The store in this process: entries by key, weighted by bytes, the least useful leaving first.

use std::any::Any;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;
use quick_cache::sync::Cache as Quick;
use quick_cache::sync::DefaultLifecycle;
use quick_cache::{OptionsBuilder, Weighter};

use crate::entry::Entry;
use crate::family::SizeClass;
use crate::key::PhysicalKey;
use crate::life::Window;

/// What an entry weighs besides its key and its value, in bytes: measured by `make bench-cache`.
pub const ENTRY_OVERHEAD_BYTES: usize = 512;

/// Smallest memory store: below it a single value of the largest size could not be kept.
pub const MEMORY_BYTES_MIN: usize = 4 * 1024 * 1024;

/// Room that one shard needs to take any value, in bytes.
const SHARD_BYTES_MIN: usize = 1024 * 1024;

/// How the in-process store is sized.
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions {
    /// Most bytes of keys, values and bookkeeping. Values count by their stored size.
    pub bytes_max: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// The in-process store.
pub(crate) struct Memory {
    small: Shelf,
    bulk: Shelf,
}

type Shelf = Quick<StoredKey, Slot, ByBytes, PassHash>;

impl Memory {
    pub fn new(options: MemoryOptions) -> Self {
        let bytes_max = options.bytes_max.max(MEMORY_BYTES_MIN);
        Self {
            small: shelf(bytes_max / 4),
            bulk: shelf(bytes_max - bytes_max / 4),
        }
    }

    fn shelf(&self, class: SizeClass) -> &Shelf {
        match class {
            SizeClass::Small => &self.small,
            SizeClass::Bulk => &self.bulk,
        }
    }

    pub fn get<V: Send + Sync + 'static>(
        &self,
        class: SizeClass,
        key: &PhysicalKey,
    ) -> Option<Arc<Entry<V>>> {
        let slot = self.shelf(class).get(&Lookup {
            hash: key.hash,
            text: &key.text,
        })?;
        let entry: Arc<dyn Any + Send + Sync> = slot.entry;
        entry.downcast().ok()
    }

    /// Keeps `entry`. May push others, or itself, out.
    pub fn insert<V: Send + Sync + 'static>(
        &self,
        class: SizeClass,
        key: &PhysicalKey,
        entry: Arc<Entry<V>>,
    ) {
        let weight = entry.bytes as usize + key.text.len() + ENTRY_OVERHEAD_BYTES;
        let stored = StoredKey::new(key);
        self.shelf(class).insert(
            stored,
            Slot {
                entry,
                weight: u32::try_from(weight).unwrap_or(u32::MAX),
            },
        );
    }

    /// Forgets a key, whichever family it is of.
    pub fn remove(&self, key: &str, hash: u64) {
        let lookup = Lookup { hash, text: key };
        self.small.remove(&lookup);
        self.bulk.remove(&lookup);
    }

    /// The window of a key's entry and the size of its value.
    pub fn window(&self, key: &PhysicalKey) -> Option<(Window, usize)> {
        let lookup = Lookup {
            hash: key.hash,
            text: &key.text,
        };
        let slot = self
            .small
            .peek(&lookup)
            .or_else(|| self.bulk.peek(&lookup))?;
        Some((
            slot.entry.window(),
            slot.weight as usize - key.text.len() - ENTRY_OVERHEAD_BYTES,
        ))
    }

    /// Forgets a key unless its entry's version is `spared`.
    pub fn remove_unless(&self, key: &PhysicalKey, spared: impl Fn(u64) -> bool) {
        let lookup = Lookup {
            hash: key.hash,
            text: &key.text,
        };
        for shelf in [&self.small, &self.bulk] {
            if let Some(slot) = shelf.peek(&lookup)
                && !spared(slot.entry.version())
            {
                shelf.remove(&lookup);
            }
        }
    }

    pub fn clear(&self) {
        self.small.clear();
        self.bulk.clear();
    }

    /// Entries and their bytes.
    pub fn usage(&self) -> (usize, u64) {
        (
            self.small.len() + self.bulk.len(),
            self.small.weight() + self.bulk.weight(),
        )
    }
}

fn shelf(bytes_max: usize) -> Shelf {
    let entries = bytes_max / 2048;
    let cores = std::thread::available_parallelism().map_or(4, usize::from);
    let shards = (cores * 4).min(bytes_max / SHARD_BYTES_MIN).max(1);
    // A power of two is asked for; rounding down keeps the room of a shard.
    let shards = 1 << shards.ilog2();
    let options = OptionsBuilder::new()
        .shards(shards)
        .estimated_items_capacity(entries)
        .weight_capacity(bytes_max as u64)
        .build();
    match options {
        Ok(options) => Quick::with_options(options, ByBytes, PassHash, DefaultLifecycle::default()),
        // The builder only refuses missing capacities; both are given.
        Err(_) => Quick::with(
            entries,
            bytes_max as u64,
            ByBytes,
            PassHash,
            DefaultLifecycle::default(),
        ),
    }
}

/// A value of any type, and its weight in bytes.
#[derive(Clone)]
struct Slot {
    entry: Arc<dyn Held + Send + Sync>,
    weight: u32,
}

/// An entry whose value type is not known.
trait Held: Any {
    fn window(&self) -> Window;
    fn version(&self) -> u64;
}

impl<V: 'static> Held for Entry<V> {
    fn window(&self) -> Window {
        self.window
    }

    fn version(&self) -> u64 {
        self.version
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<StoredKey, Slot> for ByBytes {
    fn weight(&self, _: &StoredKey, slot: &Slot) -> u64 {
        u64::from(slot.weight)
    }
}

/// A key as it is stored: short ones beside their slot, where no further memory must be fetched.
struct StoredKey {
    hash: u64,
    text: Text,
}

enum Text {
    Short(u8, [u8; SHORT_MAX]),
    Long(Box<str>),
}

/// Longest key that lies beside its slot, in bytes.
const SHORT_MAX: usize = 55;

impl StoredKey {
    fn new(key: &PhysicalKey) -> Self {
        let bytes = key.text.as_bytes();
        let text = if bytes.len() <= SHORT_MAX {
            let mut short = [0; SHORT_MAX];
            short[..bytes.len()].copy_from_slice(bytes);
            Text::Short(bytes.len() as u8, short)
        } else {
            Text::Long(key.as_str().into())
        };
        Self {
            hash: key.hash,
            text,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.text {
            Text::Short(length, bytes) => &bytes[..usize::from(*length)],
            Text::Long(text) => text.as_bytes(),
        }
    }
}

impl PartialEq for StoredKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes() == other.bytes()
    }
}

impl Eq for StoredKey {}

impl Hash for StoredKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

struct Lookup<'a> {
    hash: u64,
    text: &'a str,
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<StoredKey> for Lookup<'_> {
    fn equivalent(&self, key: &StoredKey) -> bool {
        self.hash == key.hash && self.text.as_bytes() == key.bytes()
    }
}

/// Hands the key's own hash on: it is hashed once, when it is built.
#[derive(Clone, Default)]
pub(crate) struct PassHash;

impl BuildHasher for PassHash {
    type Hasher = Passed;
    fn build_hasher(&self) -> Passed {
        Passed(0)
    }
}

pub(crate) struct Passed(u64);

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
