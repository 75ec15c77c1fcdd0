//! The words of a text as full text finds them: folded, stemmed, with codes kept whole.
//!
//! A note and a question go through the same steps, so `85123a`, `85123-A` and `85 123 A` are near one another,
//! `café` is `cafe` and `holders` is `holder`.

use std::collections::BTreeSet;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// The most different words that are kept of one text.
pub const WORDS_MAX: usize = 4096;
/// The most letters of a word; what follows is cut off.
const WORD_CHARS_MAX: usize = 48;
/// The most pieces that one word with hyphens, dots or slashes in it may have to be taken for a whole.
const PIECES_MAX: usize = 6;

/// The different words of a text, sorted; the first [`WORDS_MAX`] of them as they come.
pub fn words_of(text: &str) -> Vec<String> {
    let mut words = BTreeSet::new();
    for token in tokens(text) {
        if words.len() >= WORDS_MAX {
            break;
        }
        words.insert(token.word);
    }
    words.into_iter().collect()
}

/// A word as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Folded, and stemmed unless it is a code.
    pub word: String,
    /// Folded, as it was written.
    pub written: String,
    /// Whether there is a digit in it.
    pub is_code: bool,
    /// Whether it joins pieces that also come by themselves: `tlight` of `T-LIGHT`.
    pub is_joined: bool,
}

/// The words of a text in order. A word with hyphens, dots or slashes in it comes in pieces and as a whole.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let folded = fold(text);
    let mut tokens = Vec::new();
    for run in folded.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '/' | '_')))
    {
        let pieces: Vec<&str> = run
            .split(['-', '.', '/', '_'])
            .filter(|piece| !piece.is_empty())
            .collect();
        if pieces.len() > 1 && pieces.len() <= PIECES_MAX {
            tokens.extend(token(&pieces.concat(), true));
        }
        for piece in pieces {
            tokens.extend(token(piece, false));
        }
    }
    tokens
}

fn token(word: &str, is_joined: bool) -> Option<Token> {
    let written: String = word.chars().take(WORD_CHARS_MAX).collect();
    let (word, is_code) = stemmed(&written);
    (!word.is_empty()).then_some(Token {
        word,
        written,
        is_code,
        is_joined,
    })
}

/// A folded word as it is compared, and whether it is a code.
pub(crate) fn stemmed(word: &str) -> (String, bool) {
    let is_code = word.chars().any(char::is_numeric);
    let word = if is_code { word.to_owned() } else { stem(word) };
    (word, is_code)
}

/// Lower case, without accents and apostrophes.
fn fold(text: &str) -> String {
    let folded = text
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !matches!(c, '\'' | '\u{2019}' | '\0'));
    folded.flat_map(char::to_lowercase).collect()
}

/// Takes the commonest English endings off, so that what differs only by them is one word. Short words stay.
fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 {
        return word.to_owned();
    }
    let mut stem = word.to_owned();
    if let Some(body) = stem.strip_suffix("ies").filter(|body| body.len() >= 2) {
        stem = format!("{body}y");
    } else if ["sses", "shes", "ches", "xes", "zes"]
        .iter()
        .any(|end| stem.ends_with(end))
    {
        stem.truncate(stem.len() - 2);
    } else if stem.ends_with('s') && !stem.ends_with("ss") && !stem.ends_with("us") {
        stem.truncate(stem.len() - 1);
    }
    for end in ["ing", "ed"] {
        let Some(body) = stem.strip_suffix(end) else {
            continue;
        };
        if body.len() >= 3 && body.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
            stem = undoubled(body);
            break;
        }
    }
    // What is spelt with and without an `e` before an ending is one word without it.
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    stem.replace("our", "or")
}

/// `stopped` is `stop`.
fn undoubled(body: &str) -> String {
    let bytes = body.as_bytes();
    let twice = bytes.len() > 3 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2];
    let keeps = matches!(bytes.last(), Some(b'l' | b's' | b'z'));
    let end = if twice && !keeps {
        body.len() - 1
    } else {
        body.len()
    };
    body[..end].to_owned()
}

#[cfg(test)]
mod tests;
