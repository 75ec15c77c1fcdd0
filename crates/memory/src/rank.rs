//! How what words found and what vectors found becomes one list.
//!
//! Each candidate's score is a weighted sum: of the share of the question's words that it has (each word by how rare it
//! is, and less for one that is only near), and of the cosine between its vector and the question's. Both are 0 to 1, and
//! both are known of every candidate, whichever of them found it. `make bench-recall` compares it with reciprocal rank
//! fusion.

use serde::{Deserialize, Serialize};

/// How much words and vectors count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Of what has the question's words, 0 to 1.
    pub words: f64,
    /// Of what has a vector near the question's, 0 to 1. With 0 no vector is made.
    pub vectors: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            words: 0.5,
            vectors: 0.5,
        }
    }
}

/// Weights that rank nothing.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("weights must be from 0 to 1, and not both 0")]
pub struct BadWeights;

impl Weights {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`BadWeights`].
    pub fn checked(self) -> Result<Self, BadWeights> {
        let is_share = |x: f64| (0.0..=1.0).contains(&x);
        let holds =
            is_share(self.words) && is_share(self.vectors) && self.words + self.vectors > 0.0;
        holds.then_some(self).ok_or(BadWeights)
    }
}

/// What words or vectors, or both, have found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<I> {
    /// What it is.
    pub id: I,
    /// The share of the question's words that it has; `None`: it has none.
    pub words: Option<f64>,
    /// The cosine of its vector and the question's; `None`: they cannot be compared.
    pub cosine: Option<f64>,
}

/// A candidate with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked<I> {
    /// The candidate.
    pub candidate: Candidate<I>,
    /// 0 to 1.
    pub score: f64,
}

/// The best `most` of the candidates, best first; what scores nothing is left out. Equal scores are in the order of
/// their ids, so that the same question has the same answer.
pub fn ranked<I: Ord>(
    candidates: impl IntoIterator<Item = Candidate<I>>,
    weights: Weights,
    most: usize,
) -> Vec<Ranked<I>> {
    let total = weights.words + weights.vectors;
    let share = |score: Option<f64>| score.unwrap_or(0.0).clamp(0.0, 1.0);
    let mut ranked: Vec<Ranked<I>> = candidates
        .into_iter()
        .map(|candidate| {
            let words = weights.words * share(candidate.words);
            let vectors = weights.vectors * share(candidate.cosine);
            let score = (words + vectors) / total;
            Ranked { candidate, score }
        })
        .filter(|ranked| ranked.score > 0.0)
        .collect();
    ranked.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then_with(|| a.candidate.id.cmp(&b.candidate.id))
    });
    ranked.truncate(most);
    ranked
}

#[cfg(test)]
mod tests;
