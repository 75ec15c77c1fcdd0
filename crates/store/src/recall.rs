//! Finding notes and records by words and vectors. What they score is the caller's to say.
//!
//! Words are weighed by how rare they are among what may be found (BM25 with every word counted once per text;
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009). Vectors are compared exactly, with those
//! whose sketches are nearest: as long as no more than [`CANDIDATES_MAX`] texts may be found, with all of them. What one
//! of the two found comes with what the other says of it.

mod index;
mod pending;
mod search;

use serde_json::Value;

use self::search::Docs;
use crate::{
    Store,
    error::Result,
    memory::{Shelf, Vectored},
};

pub use self::{
    index::{FoundText, Indexed, IndexedText, RecallPlace},
    pending::{Kept, Pending},
};

/// The most texts that words, and that vectors, find for one question.
pub const CANDIDATES_MAX: i64 = 256;
/// A text of more different words than these comes with those alone that the question asks for.
pub const WORDS_TOLD_MAX: i32 = 512;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sought {
    /// The question's words; none: words find nothing.
    pub terms: Vec<SoughtTerm>,
    /// The question's vector; `None`: vectors find nothing.
    pub vectored: Option<Vectored>,
}

/// A word of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct SoughtTerm {
    /// The word itself.
    pub word: String,
    /// What stands for it as well.
    pub others: Vec<OtherForm>,
}

/// What stands for a word of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherForm {
    /// As it stands in texts.
    pub word: String,
    /// How much of the word it is worth, 0 to 1.
    pub worth: f64,
    /// Whether it is looked for only where no text has the word itself.
    pub is_guess: bool,
}

/// Which notes count.
#[derive(Debug, Clone)]
pub struct NoteFilter {
    /// Whose.
    pub shelf: Shelf,
    /// Of this end user, and of everybody.
    pub user: String,
    /// Only of this tier.
    pub tier: Option<String>,
    /// With all of these.
    pub tags: Vec<String>,
    /// Whose metadata contain this.
    pub metadata: Option<Value>,
    /// Only of this conversation.
    pub session: Option<String>,
}

/// Which records count.
#[derive(Debug, Clone)]
pub struct RecordFilter {
    /// Of these.
    pub resources: Vec<String>,
    /// Of these instances; `None`: all.
    pub instances: Option<Vec<String>>,
}

/// What words or vectors found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<K> {
    /// Which text.
    pub key: K,
    /// Its different words; of a text with more than [`WORDS_TOLD_MAX`], those that the question asks for.
    pub words: Vec<String>,
    /// Less than 1 the longer the text is, beside the mean of those that may be found: a word in a short text says more.
    pub brevity: f64,
    /// The cosine between its vector and the question's; `None`: it has no vector that can be compared.
    pub cosine: Option<f64>,
}

/// All that words or vectors found, and how rare the question's words are.
#[derive(Debug, Clone, PartialEq)]
pub struct AllFound<K> {
    /// Of each of the question's words.
    pub terms: Vec<FoundTerm>,
    /// At most twice [`CANDIDATES_MAX`], in no order.
    pub texts: Vec<Found<K>>,
}

/// How rare a word of the question is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundTerm {
    /// The logarithm of how many texts there are for one that has it. More than 0.
    pub rarity: f64,
    /// Whether a text has the word itself.
    pub is_known: bool,
}

/// A record's resource, instance and id.
pub type RecordKey = (String, String, String);

impl Store {
    /// The notes that words or vectors find.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] when the database looked for too long, or a filter is none.
    pub async fn recall_notes(
        &self,
        sought: &Sought,
        filter: &NoteFilter,
    ) -> Result<AllFound<String>> {
        let found = self.search_texts(sought, Docs::Notes(filter)).await?;
        Ok(found.keyed(|key| key.into_iter().next()))
    }

    /// The records that words or vectors find by their texts. What is gone upstream may be among them for a moment.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] when the database looked for too long.
    pub async fn recall_records(
        &self,
        sought: &Sought,
        filter: &RecordFilter,
    ) -> Result<AllFound<RecordKey>> {
        let found = self.search_texts(sought, Docs::Records(filter)).await?;
        Ok(found.keyed(|key| {
            let mut key = key.into_iter();
            Some((key.next()?, key.next()?, key.next()?))
        }))
    }
}

impl<K> AllFound<K> {
    fn keyed<L>(self, keyed: impl Fn(K) -> Option<L>) -> AllFound<L> {
        let texts = self.texts.into_iter().filter_map(|found| {
            Some(Found {
                key: keyed(found.key)?,
                words: found.words,
                brevity: found.brevity,
                cosine: found.cosine,
            })
        });
        AllFound {
            terms: self.terms,
            texts: texts.collect(),
        }
    }
}
