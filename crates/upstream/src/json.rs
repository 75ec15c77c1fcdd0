//! Walks JSON text without building anything: checks the grammar and says where wanted values stand.

use std::ops::Range;

/// Why a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotJson {
    /// It ends too early.
    #[error("JSON that ends too early")]
    Torn,
    /// There is something wrong at this byte.
    #[error("no JSON at byte {0}")]
    At(usize),
}

/// Objects and arrays in each other, at most. The same bound as `serde_json`.
const DEPTH_MAX: u32 = 128;

/// A walk over one text. The text must be UTF-8; that is checked elsewhere, once for the whole.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Scanner<'a> {
        Scanner { bytes, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next byte that is not blank, without passing it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, NotJson> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(NotJson::Torn),
            }
        }
    }

    /// Only blanks may follow.
    pub(crate) fn end(&mut self) -> Result<(), NotJson> {
        match self.peek() {
            Err(NotJson::Torn) => Ok(()),
            _ => Err(NotJson::At(self.at)),
        }
    }

    /// Passes one value and says where it stands.
    pub(crate) fn value(&mut self) -> Result<Range<usize>, NotJson> {
        self.peek()?;
        let start = self.at;
        self.skip(0)?;
        Ok(start..self.at)
    }

    /// Passes an object, calling `visit` on each key; `visit` must pass the value.
    #[inline]
    pub(crate) fn object<E: From<NotJson>>(
        &mut self,
        mut visit: impl FnMut(&mut Scanner<'a>, Key<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            visit(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(NotJson::At(self.at).into()),
            }
        }
    }

    /// Passes an array, calling `visit` before each element; `visit` must pass it.
    pub(crate) fn array<E: From<NotJson>>(
        &mut self,
        mut visit: impl FnMut(&mut Scanner<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek()?;
            visit(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(NotJson::At(self.at).into()),
            }
        }
    }

    #[inline]
    fn key(&mut self) -> Result<Key<'a>, NotJson> {
        if self.peek()? != b'"' {
            return Err(NotJson::At(self.at));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let key = Key {
            raw: &self.bytes[start..self.at - 1],
            escaped,
        };
        self.expect(b':')?;
        Ok(key)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.peek()? == byte {
            self.at += 1;
            return Ok(());
        }
        Err(NotJson::At(self.at))
    }

    fn skip(&mut self, depth: u32) -> Result<(), NotJson> {
        if depth > DEPTH_MAX {
            return self.skip_deep();
        }
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(|scanner, _| scanner.skip(depth + 1)),
            b'[' => self.array(|scanner| scanner.skip(depth + 1)),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(NotJson::At(self.at)),
        }
    }

    /// As [`skip`](Self::skip), but nesting takes a byte of heap instead of stack: one absurd record must not cost
    /// the page that it stands in.
    fn skip_deep(&mut self) -> Result<(), NotJson> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            let (is_object, close) = match self.peek()? {
                b'{' => (true, b'}'),
                b'[' => (false, b']'),
                _ => {
                    self.skip(0)?;
                    (false, 0)
                }
            };
            if close != 0 {
                self.at += 1;
                if self.peek()? == close {
                    self.at += 1;
                } else {
                    if is_object {
                        self.key()?;
                    }
                    open.push(close);
                    continue;
                }
            }
            // A value has ended: so may what it stands in.
            loop {
                let Some(&close) = open.last() else {
                    return Ok(());
                };
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        if close == b'}' {
                            self.key()?;
                        }
                        break;
                    }
                    byte if byte == close => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return Err(NotJson::At(self.at)),
                }
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NotJson> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(if word.starts_with(rest) {
            NotJson::Torn
        } else {
            NotJson::At(self.at)
        })
    }

    fn number(&mut self) -> Result<(), NotJson> {
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            Some(_) => return Err(NotJson::At(self.at)),
            None => return Err(NotJson::Torn),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        match (self.at > start, self.bytes.get(self.at)) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(NotJson::At(self.at)),
            (false, None) => Err(NotJson::Torn),
        }
    }

    /// Passes a string whose opening quote is next. Says whether it has escapes.
    #[inline]
    fn string(&mut self) -> Result<bool, NotJson> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(NotJson::At(self.at)),
                None => return Err(NotJson::Torn),
            }
        }
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.bytes.get(self.at) {
                        Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                        Some(_) => return Err(NotJson::At(self.at)),
                        None => return Err(NotJson::Torn),
                    }
                }
            }
            Some(_) => return Err(NotJson::At(self.at)),
            None => return Err(NotJson::Torn),
        }
        Ok(())
    }
}

/// How many bytes from the start are neither a quote, a backslash nor a control character. Eight at a time.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // A byte of `word` that is zero sets its high bit; false alarms only stand above a true one.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let stops = zeros(word ^ (ONES * u64::from(b'"')))
            | zeros(word ^ (ONES * u64::from(b'\\')))
            | controls;
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
        .unwrap_or(rest.len())
}

/// A key as it stands in the text.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl Key<'_> {
    #[inline]
    pub(crate) fn is(&self, name: &str) -> bool {
        if self.escaped {
            self.unescaped().as_deref() == Some(name)
        } else {
            self.raw == name.as_bytes()
        }
    }

    #[cold]
    fn unescaped(&self) -> Option<String> {
        let mut quoted = Vec::with_capacity(self.raw.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.raw);
        quoted.push(b'"');
        serde_json::from_slice(&quoted).ok()
    }
}

/// Wanted paths as a tree, so that one walk finds them all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Wants {
    slot: Option<usize>,
    inner: Vec<(String, Wants)>,
}

impl Wants {
    /// Wants the value at `keys`; it will be found under `slot`.
    pub(crate) fn add(&mut self, keys: &[String], slot: usize) {
        match keys {
            [] => self.slot = Some(slot),
            [first, rest @ ..] => {
                let known = self.inner.iter().position(|(key, _)| key == first);
                let position = known.unwrap_or_else(|| {
                    self.inner.push((first.clone(), Wants::default()));
                    self.inner.len() - 1
                });
                self.inner[position].1.add(rest, slot);
            }
        }
    }

    pub(crate) fn slot(&self) -> Option<usize> {
        self.slot
    }

    #[inline]
    pub(crate) fn below(&self, key: Key<'_>) -> Option<&Wants> {
        self.inner
            .iter()
            .find(|(name, _)| key.is(name))
            .map(|(_, wants)| wants)
    }

    /// Passes one value and puts the places of all wanted values into `found`. Of a key that is there twice, the
    /// last counts.
    pub(crate) fn find(
        &self,
        scanner: &mut Scanner<'_>,
        found: &mut [Option<Range<usize>>],
    ) -> Result<(), NotJson> {
        self.find_at(scanner, found, 0)
    }

    fn find_at(
        &self,
        scanner: &mut Scanner<'_>,
        found: &mut [Option<Range<usize>>],
        depth: u32,
    ) -> Result<(), NotJson> {
        let next = scanner.peek()?;
        let start = scanner.at;
        if next == b'{' && !self.inner.is_empty() {
            scanner.object(|scanner, key| match self.below(key) {
                Some(wants) => wants.find_at(scanner, found, depth + 1),
                None => scanner.skip(depth + 1),
            })?;
        } else {
            scanner.skip(depth)?;
        }
        if let Some(slot) = self.slot {
            found[slot] = Some(start..scanner.at);
        }
        Ok(())
    }
}

/// The text of a JSON string; `None` for any other value.
pub(crate) fn string_of(raw: &[u8]) -> Option<String> {
    if raw.first() == Some(&b'"') {
        serde_json::from_slice(raw).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
