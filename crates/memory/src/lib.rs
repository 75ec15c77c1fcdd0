//! What can be recalled: the words and vectors of texts, who makes vectors, and how what both find is ranked.
//!
//! An [`Embedder`] turns texts into vectors: the built-in [`Lexical`] one, which needs nothing, or an [`Endpoint`]
//! that speaks the widespread embeddings protocol. Everything else here is pure: [`words_of`] a text, the
//! [`sketch_of`] a vector, [`ranked`] candidates, the [`Question`] that a kept answer belongs to.

mod embedder;
mod endpoint;
mod fields;
mod lexical;
mod near;
mod question;
mod rank;
mod sketch;
mod terms;
mod words;

pub use embedder::{EmbedError, Embedded, Embedder};
pub use endpoint::{Endpoint, EndpointSettings};
pub use fields::{BadField, Field, text_of};
pub use lexical::{LEXICAL_DIMENSIONS, Lexical};
pub use question::{Question, text_hash};
pub use rank::{BadWeights, Candidate, Ranked, Weights, ranked};
pub use sketch::{SKETCH_BITS, sketch_of};
pub use terms::{Counts, Form, Matcher, TERMS_MAX, Term, terms_of};
pub use words::{WORDS_MAX, words_of};
