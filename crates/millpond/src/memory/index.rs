//! The texts of records follow the feed of changes; vectors that could not be made are made later.

use std::{collections::BTreeSet, time::Duration};

use memory::{EmbedError, Field, text_of, words_of};
use store::{
    ResourceName,
    changes::ChangeCursor,
    memory::Vectored,
    recall::{Indexed, IndexedText, Kept, RecallPlace},
};
use tokio_util::sync::CancellationToken;

use super::{Memory, MemoryError, families};
use crate::cli::chain_of;

/// How often the feed is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Changes, and records, read at once.
const BATCH: i64 = 500;
/// Vectors of another embedder that are forgotten at once.
const FORGOTTEN_MAX: i64 = 5_000;
/// How long a text rests that the embedder refused.
const REST: Duration = Duration::from_secs(3600);
/// How long nobody asks an embedder that is away.
const AWAY: Duration = Duration::from_secs(15);

impl Memory {
    /// Keeps the texts of records and the vectors of all texts up to date, until `stop`. Any number of processes may do
    /// so: what two do at once is done twice and is the same.
    pub async fn keep(&self, stop: &CancellationToken) {
        let mut is_begun = false;
        loop {
            let round = async {
                if !is_begun {
                    self.begin().await?;
                    is_begun = true;
                }
                self.follow().await
            };
            let wait = tokio::select! {
                () = stop.cancelled() => return,
                done = round => match done {
                    Ok(()) => LOOK_EVERY,
                    Err(error) => {
                        tracing::warn!(error = chain_of(&error), "what can be recalled is not up to date; it is tried again");
                        AWAY
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Brings everything up to date at once: compares all records that can be recalled with their texts, and forgets
    /// what another embedder made.
    ///
    /// # Errors
    ///
    /// The database's own. What was done until then stays done.
    pub async fn begin(&self) -> Result<(), MemoryError> {
        let store = self.inner.mirror.store();
        let names: Vec<String> = self
            .inner
            .indexed
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        store.drop_other_texts(&names).await?;
        for kept in [Kept::Notes, Kept::Records] {
            let embedder = self.inner.embedder.id();
            while store
                .forget_vectors_of_others(kept, embedder, FORGOTTEN_MAX)
                .await?
                > 0
            {}
        }
        for (resource, fields) in &self.inner.indexed {
            self.compare_all(resource, fields).await?;
        }
        Ok(())
    }

    /// Follows the changes to the end of the feed, and makes vectors that are still to be made.
    ///
    /// # Errors
    ///
    /// The database's own, or the embedder is away and vectors wait for it. What was done until then stays done.
    pub async fn follow(&self) -> Result<(), MemoryError> {
        for (resource, fields) in &self.inner.indexed {
            self.follow_one(resource, fields).await?;
        }
        for kept in [Kept::Notes, Kept::Records] {
            self.make_pending(kept).await?;
        }
        Ok(())
    }

    async fn compare_all(
        &self,
        resource: &ResourceName,
        fields: &[Field],
    ) -> Result<(), MemoryError> {
        let store = self.inner.mirror.store();
        // What changes from here on is looked at again.
        let cursor = store.newest_change().await?.to_string();
        let mut after: Option<(String, String)> = None;
        loop {
            let place = after.as_ref().map(|(instance, id)| (&**instance, &**id));
            let page = store.all_indexed(resource, place, BATCH).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.instance.clone(), last.id.clone()));
            self.update(resource, fields, page).await?;
        }
        let place = RecallPlace {
            shape: shape(fields),
            cursor,
        };
        Ok(store.set_recall_place(resource, &place, true).await?)
    }

    async fn follow_one(
        &self,
        resource: &ResourceName,
        fields: &[Field],
    ) -> Result<(), MemoryError> {
        let store = self.inner.mirror.store();
        let place = store.recall_place(resource).await?;
        let Some(mut place) = place.filter(|place| place.shape == shape(fields)) else {
            return self.compare_all(resource, fields).await;
        };
        loop {
            let cursor: ChangeCursor = place.cursor.parse().unwrap_or_default();
            let (changes, next) = store.changes_after(cursor, BATCH).await?;
            if changes.is_empty() {
                return Ok(());
            }
            let keys: BTreeSet<(String, String)> = changes
                .into_iter()
                .filter(|change| change.resource == resource.as_str())
                .map(|change| (change.instance, change.id))
                .collect();
            if !keys.is_empty() {
                let keys: Vec<(String, String)> = keys.into_iter().collect();
                let records = store.some_indexed(resource, &keys).await?;
                self.update(resource, fields, records).await?;
            }
            place.cursor = next.to_string();
            store.set_recall_place(resource, &place, false).await?;
        }
    }

    /// Keeps the texts of these records where they say something else than what is kept.
    async fn update(
        &self,
        resource: &ResourceName,
        fields: &[Field],
        records: Vec<Indexed>,
    ) -> Result<(), MemoryError> {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for record in records {
            let text = record
                .body
                .as_ref()
                .map(|body| text_of(body, fields))
                .unwrap_or_default();
            if text.is_empty() {
                if record.text.is_some() {
                    gone.push((record.instance, record.id));
                }
            } else if record.text.as_ref() != Some(&text) {
                new.push(IndexedText {
                    words: words_of(&text),
                    instance: record.instance,
                    id: record.id,
                    version: record.version,
                    text,
                    vectored: None,
                });
            }
        }
        let store = self.inner.mirror.store();
        if !gone.is_empty() {
            store.drop_texts(resource, &gone).await?;
        }
        for texts in new.chunks_mut(self.inner.embedder.batch_max().max(1)) {
            let said: Vec<String> = texts.iter().map(|text| text.text.clone()).collect();
            // Without vectors words find them, and they are tried again.
            if let Ok(made) = self.embed(&said).await {
                for (text, made) in texts.iter_mut().zip(made) {
                    text.vectored = Some(made);
                }
            }
            store.keep_texts(resource, texts).await?;
        }
        Ok(())
    }

    async fn make_pending(&self, kept: Kept) -> Result<(), MemoryError> {
        let store = self.inner.mirror.store();
        let limit = i64::try_from(self.inner.embedder.batch_max().max(1)).unwrap_or(1);
        loop {
            let pending = store.pending_vectors(kept, REST, limit).await?;
            if pending.is_empty() {
                return Ok(());
            }
            let texts: Vec<String> = pending.iter().map(|pending| pending.text.clone()).collect();
            match self.embed(&texts).await {
                Ok(made) => {
                    for (pending, made) in pending.iter().zip(&made) {
                        store.give_vector(kept, pending, made).await?;
                    }
                }
                Err(EmbedError::Refused { .. }) => {
                    for (pending, text) in pending.iter().zip(texts) {
                        match self.embed(&[text]).await {
                            Ok(made) => {
                                for made in &made {
                                    store.give_vector(kept, pending, made).await?;
                                }
                            }
                            Err(EmbedError::Refused { .. }) => {
                                store.rest_vector(kept, pending).await?
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Vectors of many texts, each made now: what is recalled once needs no place in the cache.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vectored>, EmbedError> {
        let embedder = &self.inner.embedder;
        let made = embedder.embed(texts).await?;
        families::count(embedder.id(), texts.len(), made.tokens);
        Ok(made
            .vectors
            .into_iter()
            .map(|vector| self.vectored(vector))
            .collect())
    }
}

/// What the texts are made of, to be compared.
fn shape(fields: &[Field]) -> String {
    let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
    fields.join(" ")
}
