//! Notes kept beside the records, and the recall of both by words and vectors.
//!
//! PostgreSQL keeps notes, texts and vectors; the cache keeps vectors of texts and answers to questions. An answer is
//! kept under the generation of what it was made from, which PostgreSQL raises in the transaction of every write: a
//! question that is asked after a write was acknowledged never finds an answer from before it.

mod embedders;
mod families;
mod index;
mod recall;

use std::{fmt, sync::Arc, time::Duration};

use cache::LoadError;
use jiff::Timestamp;
use memory::{EmbedError, Embedder, Field, sketch_of, text_hash, words_of};
use mirror::Mirror;
use store::{
    ResourceName, StoreError,
    memory::{Link, Memory as Row, MemoryChange, NewMemory, Shelf, Vectored},
    tenants::Tenant,
};

pub use self::{
    embedders::embedder_of,
    families::{HotRecall, HotVector, MemoryFamilies},
    recall::{Hit, RecallAnswer, RecallAsk, RecalledRecord},
};

/// The meter of notes added.
pub const MEMORIES: &str = "memories";
/// The meter of tokens that vectors cost.
pub const EMBEDDING_TOKENS: &str = "embedding_tokens";
/// How long somebody who asks waits for a vector. It is made all the same, and kept.
const VECTOR_WAIT_MAX: Duration = Duration::from_secs(8);

/// What can be recalled. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    mirror: Mirror,
    families: MemoryFamilies,
    embedder: Arc<dyn Embedder>,
    /// The resources whose records can be recalled, and the fields of their texts.
    indexed: Vec<(ResourceName, Vec<Field>)>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("embedder", &self.inner.embedder)
            .finish_non_exhaustive()
    }
}

/// Why something is not remembered or recalled.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The database's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no vector of the text.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// Many asked the same at once, and what was done for all of them failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The tenant has used its quota of notes until then.
    #[error("the tenant has used its quota of {MEMORIES}; the next window begins at {until}")]
    OverQuota {
        /// When the next window begins.
        until: Timestamp,
    },
    /// The records of that resource cannot be recalled.
    #[error("the records of `{resource}` cannot be recalled; those of these can: {indexed}")]
    NotIndexed {
        /// The resource that was named.
        resource: String,
        /// Those that are indexed.
        indexed: String,
    },
}

/// A note to be added.
#[derive(Debug, Clone)]
pub struct AddAsk {
    /// Whose.
    pub shelf: Shelf,
    /// Of which end user; empty: of everybody who sees the project.
    pub user: String,
    /// What it says.
    pub text: String,
    /// Labels.
    pub tags: Vec<String>,
    /// `hot`, `warm` or `cold`.
    pub tier: String,
    /// The conversation that it is of.
    pub session: Option<String>,
    /// A JSON object.
    pub metadata: serde_json::Value,
    /// The record that it is about.
    pub about: Option<Link>,
}

/// What is to change of a note; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ChangeAsk {
    /// What it says.
    pub text: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// `hot`, `warm` or `cold`.
    pub tier: Option<String>,
    /// A JSON object.
    pub metadata: Option<serde_json::Value>,
}

impl Memory {
    /// Recalls out of the database of `mirror`, through its cache, with vectors by `embedder`. The records of
    /// `indexed` are recalled by the texts at these fields.
    pub fn new(
        mirror: Mirror,
        families: MemoryFamilies,
        embedder: Arc<dyn Embedder>,
        indexed: Vec<(ResourceName, Vec<Field>)>,
    ) -> Self {
        let inner = Inner {
            mirror,
            families,
            embedder,
            indexed,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Adds a note, and counts it against the quota of `tenant`. Whoever asks after this returned finds it.
    ///
    /// When the embedder is away the note is kept all the same, and its vector is made later.
    ///
    /// # Errors
    ///
    /// [`MemoryError::OverQuota`]; [`MemoryError::Embed`] when the embedder refuses the text. Nothing is kept nor
    /// counted then.
    pub async fn add(&self, ask: AddAsk, tenant: Option<&Tenant>) -> Result<Row, MemoryError> {
        let store = self.inner.mirror.store();
        let over = |tenant: &Tenant| MemoryError::OverQuota {
            until: tenant.window_end,
        };
        // The exact look comes with the write; this one spares the embedder's tokens.
        if let Some(tenant) = tenant
            && !store.has_left(tenant, MEMORIES).await?
        {
            return Err(over(tenant));
        }
        let vectored = self.vector_if_there(&ask.text, tenant).await?;
        let new = NewMemory {
            words: words_of(&ask.text),
            shelf: ask.shelf,
            user: ask.user,
            text: ask.text,
            vectored,
            tags: ask.tags,
            tier: ask.tier,
            session: ask.session,
            metadata: ask.metadata,
            link: ask.about,
        };
        let spend = tenant.map(|tenant| (tenant, MEMORIES));
        match (store.add_memory(&new, spend).await?, tenant) {
            (Some(row), _) => Ok(row),
            (None, Some(tenant)) => Err(over(tenant)),
            (None, None) => Err(StoreError::Unknown {
                what: "tenant",
                name: new.shelf.tenant.unwrap_or_default(),
            }
            .into()),
        }
    }

    /// One note; `None`: there is none of that id on the shelf.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn find(&self, shelf: &Shelf, id: &str) -> Result<Option<Row>, MemoryError> {
        Ok(self.inner.mirror.store().find_memory(shelf, id).await?)
    }

    /// Changes a note; `None`: there is none of that id on the shelf. Whoever asks after this returned finds what it
    /// says now.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Embed`] when the embedder refuses the text; nothing is changed then.
    pub async fn change(
        &self,
        shelf: &Shelf,
        id: &str,
        ask: ChangeAsk,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Row>, MemoryError> {
        let text = match ask.text {
            Some(text) => {
                let vectored = self.vector_if_there(&text, tenant).await?;
                Some((text.clone(), words_of(&text), vectored))
            }
            None => None,
        };
        let change = MemoryChange {
            text,
            tags: ask.tags,
            tier: ask.tier,
            metadata: ask.metadata,
        };
        let store = self.inner.mirror.store();
        Ok(store.change_memory(shelf, id, &change).await?)
    }

    /// Deletes a note; `false`: there is none of that id on the shelf.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn delete(&self, shelf: &Shelf, id: &str) -> Result<bool, MemoryError> {
        Ok(self.inner.mirror.store().delete_memory(shelf, id).await?)
    }

    /// The vector of a text; `None`: the embedder does not make one now.
    async fn vector_if_there(
        &self,
        text: &str,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Vectored>, MemoryError> {
        match self.vector(text, tenant).await {
            Ok(made) => Ok(Some(made)),
            Err(MemoryError::Embed(EmbedError::Refused { embedder, reason })) => {
                Err(EmbedError::Refused { embedder, reason }.into())
            }
            Err(MemoryError::Embed(error)) => {
                tracing::warn!(%error, "a note is kept without a vector; it is made later");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The vector of exactly this text: kept, or made once however many ask. What it costs is counted as used by
    /// `tenant`.
    async fn vector(&self, text: &str, tenant: Option<&Tenant>) -> Result<Vectored, MemoryError> {
        let made = tokio::time::timeout(VECTOR_WAIT_MAX, self.vector_at_length(text, tenant));
        made.await.unwrap_or_else(|_| {
            Err(EmbedError::Away {
                embedder: self.inner.embedder.id().to_owned(),
                reason: format!("no vector within {VECTOR_WAIT_MAX:?}"),
            }
            .into())
        })
    }

    async fn vector_at_length(
        &self,
        text: &str,
        tenant: Option<&Tenant>,
    ) -> Result<Vectored, MemoryError> {
        let cache = self.inner.mirror.hot().cache();
        let embedder = &self.inner.embedder;
        let key = self
            .inner
            .families
            .embedding(cache, embedder.id(), &text_hash(text));
        let load = || {
            let (embedder, text) = (Arc::clone(embedder), text.to_owned());
            let store = self.inner.mirror.store().clone();
            let payer = tenant.map(|tenant| (tenant.id.clone(), tenant.window_start));
            move || families::embed(embedder, text, store, payer)
        };
        let answer = match cache.get_or_load(&key, load()).await {
            // Why it failed there is for this caller to know: only our own failure says it.
            Err(LoadError::FailedElsewhere { .. }) => cache.get_or_load(&key, load()).await,
            answer => answer,
        };
        let answer = answer.map_err(|error| match &error {
            LoadError::Failed { source, .. } => match source.downcast_ref::<EmbedError>() {
                Some(refusal) => MemoryError::Embed(refusal.clone()),
                None => MemoryError::Load(error),
            },
            _ => MemoryError::Load(error),
        })?;
        let vector = answer.value().map(|hot| hot.0.clone()).unwrap_or_default();
        Ok(self.vectored(vector))
    }

    fn vectored(&self, vector: Vec<f32>) -> Vectored {
        Vectored {
            embedder: self.inner.embedder.id().to_owned(),
            sketch: sketch_of(&vector),
            vector,
        }
    }
}
