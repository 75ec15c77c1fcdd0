//! The built-in embedder: words, pairs of words and pieces of words, hashed into one vector.
//!
//! It knows how texts are written, not what they mean: it finds codes in other notations, misspelt names, compounds and
//! endings, and no synonym. The same text has the same vector on every machine, for as long as the version in
//! [`Lexical::id`](super::Embedder::id) is the same.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    embedder::{EmbedError, Embedded, Embedder, normalise},
    words::tokens,
};

/// How many numbers its vectors have.
pub const LEXICAL_DIMENSIONS: usize = 768;
/// Grows with every change of what the vector of a text is.
const ID: &str = "lexical-1";
/// The most features of one text.
const FEATURES_MAX: usize = 100_000;

/// What a whole word weighs; its pieces weigh [`PIECES`] together.
const WORD: f32 = 1.0;
const PIECES: f32 = 1.0;
/// What a word with a digit in it weighs: there are few that share one.
const CODE: f32 = 1.8;
/// What two words in a row weigh.
const PAIR: f32 = 0.25;
/// What words weigh that say nothing.
const COMMON: f32 = 0.15;
/// Words that stand everywhere.
const COMMON_WORDS: [&str; 36] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "for", "from", "has", "have",
    "i", "in", "is", "it", "my", "not", "of", "on", "or", "our", "that", "the", "thi", "to", "was",
    "we", "what", "which", "who", "with", "you", "your",
];

/// The built-in embedder.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lexical;

#[async_trait::async_trait]
impl Embedder for Lexical {
    fn id(&self) -> &str {
        ID
    }

    fn dimensions(&self) -> usize {
        LEXICAL_DIMENSIONS
    }

    fn batch_max(&self) -> usize {
        256
    }

    async fn embed(&self, texts: &[String]) -> Result<Embedded, EmbedError> {
        Ok(Embedded {
            vectors: texts.iter().map(|text| vector_of(text)).collect(),
            tokens: 0,
        })
    }
}

fn vector_of(text: &str) -> Vec<f32> {
    // By hash, so that the sum has one order.
    let mut features: BTreeMap<u64, (u32, f32)> = BTreeMap::new();
    let mut add = |feature: &str, weight: f32| {
        if features.len() < FEATURES_MAX {
            let entry = features
                .entry(xxh3_64(feature.as_bytes()))
                .or_insert((0, weight));
            entry.0 += 1;
        }
    };
    let mut before: Option<String> = None;
    for token in tokens(text) {
        let is_common = COMMON_WORDS.contains(&token.word.as_str());
        let weight = match (token.is_code, is_common) {
            (true, _) => CODE,
            (false, true) => COMMON,
            (false, false) => WORD,
        };
        add(&format!("w {}", token.word), weight);
        if !is_common {
            let pieces = pieces_of(&token.word);
            let each = PIECES * weight / (pieces.len().max(1) as f32).sqrt();
            for piece in &pieces {
                add(&format!("p {piece}"), each);
            }
        }
        if token.is_joined {
            continue;
        }
        if let Some(before) = before.replace(token.word.clone()) {
            add(&format!("2 {before} {}", token.word), PAIR);
            // Written as one word elsewhere.
            add(&format!("w {before}{}", token.word), PAIR);
        }
    }
    let mut vector = vec![0.0_f32; LEXICAL_DIMENSIONS];
    for (hash, (count, weight)) in features {
        let place = (hash >> 1) as usize % LEXICAL_DIMENSIONS;
        let sign = if hash & 1 == 0 { 1.0 } else { -1.0 };
        vector[place] += sign * weight * (1.0 + (count as f32).ln());
    }
    normalise(&mut vector);
    vector
}

/// Three and four letters in a row of a word, its ends marked.
fn pieces_of(word: &str) -> Vec<String> {
    let letters: Vec<char> = std::iter::once('^')
        .chain(word.chars())
        .chain(std::iter::once('$'))
        .collect();
    let mut pieces = Vec::new();
    for size in [3, 4] {
        pieces.extend(
            letters
                .windows(size)
                .map(|piece| piece.iter().collect::<String>()),
        );
    }
    pieces
}

#[cfg(test)]
mod tests;
