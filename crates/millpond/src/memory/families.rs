//! What is kept hot: vectors of texts, and answers to questions.

use std::{sync::Arc, time::Duration};

use cache::{
    Bytes, Cache, CacheBuilder, Cacheable, CodecError, Family, FamilyError, FamilySpec, Key,
    LIFE_MAX, Loaded, Model, PerModel, PerUser, SizeClass, Tenant as Owner, Ttl, User,
};
use jiff::Timestamp;
use memory::{EmbedError, Embedder};
use serde::{Deserialize, Serialize};
use store::Store;

use super::{EMBEDDING_TOKENS, Hit};
use crate::{cli::chain_of, http::declared};

/// How long the answer to a question is kept.
pub const QUERY_TTL: Duration = Duration::from_secs(300);

/// A vector as it is kept hot, bit by bit as it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct HotVector(pub Vec<f32>);

impl Cacheable for HotVector {
    const SHAPE: u32 = 1;

    fn to_bytes(&self) -> Result<Bytes, CodecError> {
        Ok(self.0.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn from_bytes(bytes: Bytes) -> Result<Self, CodecError> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(CodecError::decoding::<Self>("it ends within a number"));
        }
        Ok(Self(
            numbers
                .iter()
                .map(|four| f32::from_le_bytes(*four))
                .collect(),
        ))
    }
}

/// The answer to a question as it is kept hot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HotRecall {
    /// The best first.
    pub hits: Vec<Hit>,
    /// The newest snapshot when it was made.
    pub snapshot: i64,
    /// Why vectors had no part in it.
    pub without_vectors: Option<String>,
}
cache::cacheable!(HotRecall, shape = 1);

/// Handles of both families. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryFamilies {
    embeddings: Family<PerModel, str, HotVector>,
    queries: Family<PerUser, (String, String, String), HotRecall>,
}

impl MemoryFamilies {
    /// Registers both.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] when another family could name the same key.
    pub fn register(builder: &mut CacheBuilder) -> Result<Self, FamilyError> {
        // Nobody pays ahead for what may never be asked again.
        let embeddings = FamilySpec::new(
            declared::EMBEDDING,
            "memory.embedding",
            Ttl::fixed(LIFE_MAX),
            SizeClass::Bulk,
        );
        let queries = FamilySpec::new(
            declared::QUERY,
            "memory.query",
            Ttl::fixed(QUERY_TTL),
            SizeClass::Bulk,
        );
        Ok(Self {
            embeddings: builder.family(embeddings.refresh_at(1.0))?,
            queries: builder.family(queries.refresh_at(1.0))?,
        })
    }

    /// The key of the vector that `embedder` makes of the text of this hash.
    pub fn embedding(&self, cache: &Cache, embedder: &str, text_hash: &str) -> Key<HotVector> {
        cache.key(&self.embeddings, Model(embedder), text_hash)
    }

    /// The key of the answer to a user's question of this hash.
    pub fn query(&self, cache: &Cache, tenant: &str, user: &str, hash: &str) -> Key<HotRecall> {
        let owner = User {
            tenant: Owner(tenant),
            user,
        };
        let parts = (tenant.to_owned(), user.to_owned(), hash.to_owned());
        cache.key(&self.queries, owner, &parts)
    }
}

/// Makes the vector of a text, and counts what it costs: for everybody, and as used by `payer`, a tenant in its
/// quota window.
pub(super) async fn embed(
    embedder: Arc<dyn Embedder>,
    text: String,
    store: Store,
    payer: Option<(String, Timestamp)>,
) -> Result<Loaded<HotVector>, EmbedError> {
    let asked = Timestamp::now();
    let mut made = embedder.embed(&[text]).await?;
    count(embedder.id(), 1, made.tokens);
    if let Some((tenant, window)) = payer
        && made.tokens > 0
    {
        let tokens = i64::try_from(made.tokens).unwrap_or(i64::MAX);
        let counted = store
            .count_used(&tenant, EMBEDDING_TOKENS, window, tokens)
            .await;
        if let Err(error) = counted {
            tracing::warn!(
                error = chain_of(&error),
                "{tokens} tokens could not be counted"
            );
        }
    }
    let vector = made.vectors.pop().unwrap_or_default();
    Ok(Loaded::found(HotVector(vector), asked))
}

/// Counts texts and tokens for the metrics.
pub(super) fn count(embedder: &str, texts: usize, tokens: u64) {
    let labels = [("embedder", embedder.to_owned())];
    metrics::counter!("memory_embedded_texts_total", &labels).increment(texts as u64);
    metrics::counter!("memory_embedding_tokens_total", &labels).increment(tokens);
}
