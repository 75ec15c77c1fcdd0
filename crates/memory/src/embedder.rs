//! Who makes vectors of texts.

use std::fmt;

/// Makes vectors of texts. Two texts that mean alike get vectors that point alike.
#[async_trait::async_trait]
pub trait Embedder: Send + Sync + fmt::Debug {
    /// Its name and version: vectors of another one cannot be compared with its own.
    fn id(&self) -> &str;

    /// How many numbers its vectors have.
    fn dimensions(&self) -> usize;

    /// The most texts that are asked for at once.
    fn batch_max(&self) -> usize;

    /// The vectors of `texts`, in their order, each of length one or all zero. Dropping the future may have spent
    /// its tokens.
    ///
    /// # Errors
    ///
    /// [`EmbedError`]; no vector is answered then.
    async fn embed(&self, texts: &[String]) -> Result<Embedded, EmbedError>;
}

/// What an embedder made.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One vector per text.
    pub vectors: Vec<Vec<f32>>,
    /// What that cost.
    pub tokens: u64,
}

/// Why there are no vectors.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    /// It does not answer now, is overloaded or throttles; asking later can help.
    #[error("the embedder `{embedder}` does not answer: {reason}")]
    Away {
        /// Which one.
        embedder: String,
        /// What happened.
        reason: String,
    },
    /// It will not have these texts, such as one that is too long for its model.
    #[error("the embedder `{embedder}` refuses the text: {reason}")]
    Refused {
        /// Which one.
        embedder: String,
        /// What it said.
        reason: String,
    },
    /// It answers otherwise than configuration says: no such model, a key it does not take, vectors of another length.
    #[error("the embedder `{embedder}` is not what configuration says: {reason}")]
    Wrong {
        /// Which one.
        embedder: String,
        /// What does not fit.
        reason: String,
    },
}

/// Makes a vector's length one. One without direction stays all zero.
pub(crate) fn normalise(vector: &mut [f32]) {
    let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let length = square.sqrt();
    if length > 0.0 && length.is_finite() {
        for x in vector {
            *x = (f64::from(*x) / length) as f32;
        }
    }
}
