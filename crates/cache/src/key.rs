//! Keys: the logical name that people and tools see (`opp:notes:42`) and the physical name in a store
//! (`mp7-1f0c9a2b:i=au:opp:notes:42`), each derived from the other without loss.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::family::Rules;

/// Longest physical key in bytes. A longer one is answered by its loader and never stored.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

/// One part of a key, written into its logical name.
pub trait KeyPart {
    /// Appends the part, escaped, to `out`.
    fn write(&self, out: &mut String);
}

/// The parts that fill a family's template, in order: one [`KeyPart`] or a tuple of up to three.
pub trait KeyParts {
    /// How many parts there are.
    const COUNT: usize;
    /// Calls `each` with every part in order.
    fn each(&self, each: &mut dyn FnMut(&dyn KeyPart));
}

impl KeyPart for str {
    fn write(&self, out: &mut String) {
        escape(self, out);
    }
}

impl KeyPart for String {
    fn write(&self, out: &mut String) {
        escape(self, out);
    }
}

macro_rules! number_parts {
    ($($number:ty),*) => {$(
        impl KeyPart for $number {
            fn write(&self, out: &mut String) {
                // Writing into a String cannot fail.
                let _ = write!(out, "{self}");
            }
        }
        impl KeyParts for $number {
            const COUNT: usize = 1;
            fn each(&self, each: &mut dyn FnMut(&dyn KeyPart)) {
                each(self);
            }
        }
    )*};
}
number_parts!(u32, u64, i32, i64);

/// A borrowed text as a key part.
struct Text<'a>(&'a str);

impl KeyPart for Text<'_> {
    fn write(&self, out: &mut String) {
        escape(self.0, out);
    }
}

impl KeyParts for str {
    const COUNT: usize = 1;
    fn each(&self, each: &mut dyn FnMut(&dyn KeyPart)) {
        each(&Text(self));
    }
}

impl KeyParts for String {
    const COUNT: usize = 1;
    fn each(&self, each: &mut dyn FnMut(&dyn KeyPart)) {
        each(self);
    }
}

impl<A: KeyPart, B: KeyPart> KeyParts for (A, B) {
    const COUNT: usize = 2;
    fn each(&self, each: &mut dyn FnMut(&dyn KeyPart)) {
        each(&self.0);
        each(&self.1);
    }
}

impl<A: KeyPart, B: KeyPart, C: KeyPart> KeyParts for (A, B, C) {
    const COUNT: usize = 3;
    fn each(&self, each: &mut dyn FnMut(&dyn KeyPart)) {
        each(&self.0);
        each(&self.1);
        each(&self.2);
    }
}

/// Appends `text`, with everything but letters, digits and `-._~` as `%XX`. An empty text is `%`, so
/// that it still is a segment.
pub(crate) fn escape(text: &str, out: &mut String) {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if text.is_empty() {
        out.push('%');
    }
    // Almost every id: copied at once.
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The reverse of [`escape`]; `None` when `text` was not made by it.
pub(crate) fn unescape(text: &str) -> Option<String> {
    if text == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// One key of a family, ready to be read. Building it is the only way to name a cached value.
pub struct Key<V> {
    pub(crate) rules: Arc<Rules<V>>,
    pub(crate) name: PhysicalKey,
}

impl<V> Key<V> {
    /// The name that tools show, without build and owner.
    pub fn logical(&self) -> &str {
        self.name.logical()
    }

    /// The name in the store.
    pub fn physical(&self) -> &str {
        &self.name.text
    }

    /// The key without its value type, for invalidation lists.
    pub fn name(&self) -> &PhysicalKey {
        &self.name
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        Self {
            rules: self.rules.clone(),
            name: self.name.clone(),
        }
    }
}

impl<V> fmt::Debug for Key<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name.text).finish()
    }
}

/// A key's name in the store: build, owner and logical name.
#[derive(Clone)]
pub struct PhysicalKey {
    pub(crate) text: String,
    pub(crate) hash: u64,
    pub(crate) family: u32,
    schema_len: u16,
    logical_at: u16,
}

impl PhysicalKey {
    pub(crate) fn new(text: String, schema_len: usize, logical_at: usize, family: usize) -> Self {
        let hash = hash(&text);
        // Out of range only for keys that are too long to be stored or shown.
        let place = |at: usize| u16::try_from(at).unwrap_or(0);
        let (schema_len, logical_at) = (place(schema_len), place(logical_at));
        let family = family as u32;
        Self {
            text,
            hash,
            family,
            schema_len,
            logical_at,
        }
    }

    /// The build's part: `mp7-1f0c9a2b`.
    pub fn schema(&self) -> &str {
        self.text
            .get(..usize::from(self.schema_len))
            .unwrap_or_default()
    }

    /// The owner's part: `e`, `i=au`, `t=acme`, `u=acme/bob` or `m=lexical-1`, escaped.
    pub fn owner(&self) -> &str {
        let (from, to) = (
            usize::from(self.schema_len) + 1,
            usize::from(self.logical_at),
        );
        self.text
            .get(from..to.saturating_sub(1))
            .unwrap_or_default()
    }

    /// The name that tools show: `opp:notes:42`.
    pub fn logical(&self) -> &str {
        self.text
            .get(usize::from(self.logical_at)..)
            .unwrap_or_default()
    }

    /// The whole name in the store.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A key of which only the name in the store is known.
    pub(crate) fn nameless(text: String) -> Self {
        Self::new(text, 0, 0, u32::MAX as usize)
    }

    /// The name without the build: `i=au:opp:notes:42`.
    pub fn unversioned(&self) -> &str {
        let from = usize::from(self.schema_len) + 1;
        self.text.get(from..).unwrap_or_default()
    }

    /// Whether the key is too long to be stored; its reads always load.
    pub(crate) fn is_too_long(&self) -> bool {
        self.text.len() > KEY_BYTES_MAX
    }
}

impl PartialEq for PhysicalKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PhysicalKey {}

impl std::hash::Hash for PhysicalKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for PhysicalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits a physical name into build, owner and logical name.
pub fn split_physical(text: &str) -> Option<(&str, &str, &str)> {
    let (schema, rest) = text.split_once(':')?;
    let (owner, logical) = rest.split_once(':')?;
    Some((schema, owner, logical))
}

/// A keyed hash, another one in every process, so that nobody can aim keys at one bucket.
pub(crate) fn hash(text: &str) -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), *SEED.get_or_init(rand::random))
}

#[cfg(test)]
mod tests;
