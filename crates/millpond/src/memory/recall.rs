//! Recall: one question, the notes and records that answer it best.

use std::collections::HashMap;

use cache::{Life, LoadError, Loaded, Source};
use futures::future::BoxFuture;
use jiff::Timestamp;
use memory::{
    Candidate, Counts, EmbedError, Matcher, Question, Ranked, Term, Weights, ranked, terms_of,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    ResourceName,
    memory::{Memory as Row, Shelf},
    recall::{AllFound, NoteFilter, OtherForm, RecordFilter, RecordKey, Sought, SoughtTerm},
};

use super::{HotRecall, Memory, MemoryError};

/// What is asked.
#[derive(Debug, Clone)]
pub struct RecallAsk {
    /// Whose notes.
    pub shelf: Shelf,
    /// Of this end user, and of everybody.
    pub user: String,
    /// What is looked for.
    pub text: String,
    /// The most hits.
    pub limit: i64,
    /// Only notes of this tier.
    pub tier: Option<String>,
    /// Only notes with all of these.
    pub tags: Vec<String>,
    /// Only notes whose metadata contain this.
    pub metadata: Option<Value>,
    /// Only notes of this conversation. The answer is then made for this question alone.
    pub session: Option<String>,
    /// Whether notes are looked at.
    pub notes: bool,
    /// Only records of these; `None`: all that can be recalled.
    pub resources: Option<Vec<String>>,
    /// The instances whose records there are for whoever asks; `None`: all.
    pub instances: Option<Vec<String>>,
    /// How words and vectors count.
    pub weights: Weights,
}

/// Something recalled, with its score and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// `memory` or `record`.
    pub kind: String,
    /// 0 to 1.
    pub score: f64,
    /// The share of the question's words that it has, by how rare they are; a word that is near counts in part.
    pub words: Option<f64>,
    /// The cosine between its vector and the question's.
    pub cosine: Option<f64>,
    /// The note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Row>,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecalledRecord>,
}

/// A record by its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecalledRecord {
    /// Its resource.
    pub resource: String,
    /// Its instance.
    pub instance: String,
    /// Its id.
    pub id: String,
    /// The version that the text is of.
    pub version: i64,
    /// Its text, of the fields that configuration names.
    pub text: String,
    /// When upstream was last known to say so.
    pub as_of: Timestamp,
}

/// The answer to a question.
#[derive(Debug, Serialize)]
pub struct RecallAnswer {
    /// The best first.
    pub hits: Vec<Hit>,
    /// `cache`, or `scan`: it was made for this question.
    pub served: &'static str,
    /// When it was made. Every write that was acknowledged before then is in it, and since then none was made.
    pub as_of: Timestamp,
    /// The newest snapshot of the records when it was made.
    pub snapshot: i64,
    /// Who made the vectors.
    pub embedder: String,
    /// Why vectors had no part in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_vectors: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Memory(String),
    Record(RecordKey),
}

impl Memory {
    /// The best answers to a question: kept, or made now. Two equal questions between which nothing was written have
    /// one answer; one of a conversation is always made.
    ///
    /// When the embedder is away, words alone decide, and the answer says so and is not kept.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Embed`] when the embedder refuses the text, or is away and words do not count;
    /// [`MemoryError::NotIndexed`].
    // Boxed: whoever awaits it would else prove again and again that all that is in it is `Send`.
    pub fn recall<'a>(
        &'a self,
        ask: &'a RecallAsk,
    ) -> BoxFuture<'a, Result<RecallAnswer, MemoryError>> {
        Box::pin(self.recall_one(ask))
    }

    async fn recall_one(&self, ask: &RecallAsk) -> Result<RecallAnswer, MemoryError> {
        let resources = self.resources(ask)?;
        if ask.session.is_some() {
            let began = Timestamp::now();
            let made = self.compute(ask, &resources).await?;
            return Ok(self.answer(made, "scan", began));
        }
        let store = self.inner.mirror.store();
        let generation = store
            .memory_generation(&ask.shelf, &ask.user, &resources)
            .await?;
        let question = Question {
            text: ask.text.clone(),
            project: ask.shelf.project.clone(),
            limit: ask.limit,
            tier: ask.tier.clone(),
            tags: ask.tags.clone(),
            metadata: ask.metadata.clone(),
            notes: ask.notes,
            resources: resources.clone(),
            instances: ask.instances.clone(),
            weights: ask.weights,
            embedder: self.inner.embedder.id().to_owned(),
            generation,
        };
        let cache = self.inner.mirror.hot().cache();
        let tenant = ask.shelf.tenant.as_deref().unwrap_or_default();
        let key = self
            .inner
            .families
            .query(cache, tenant, &ask.user, &question.hash());
        let load = || {
            let (memory, ask, resources) = (self.clone(), ask.clone(), resources.clone());
            move || -> BoxFuture<'static, Result<Loaded<HotRecall>, MemoryError>> {
                Box::pin(async move {
                    let began = Timestamp::now();
                    let made = memory.compute(&ask, &resources).await?;
                    let is_whole = made.without_vectors.is_none();
                    let loaded = Loaded::found(made, began);
                    Ok(if is_whole {
                        loaded
                    } else {
                        loaded.with_life(Life::Never)
                    })
                })
            }
        };
        let answer = match cache.get_or_load(&key, load()).await {
            // Why it failed there is for this caller to know: only our own failure says it.
            Err(LoadError::FailedElsewhere { .. }) => cache.get_or_load(&key, load()).await,
            answer => answer,
        };
        let answer = answer?;
        let served = match answer.source() {
            Source::Loader => "scan",
            _ => "cache",
        };
        let found = answer.value().cloned();
        Ok(self.answer(found.unwrap_or_default(), served, answer.as_of()))
    }

    fn answer(&self, made: HotRecall, served: &'static str, as_of: Timestamp) -> RecallAnswer {
        RecallAnswer {
            hits: made.hits,
            served,
            as_of,
            snapshot: made.snapshot,
            embedder: self.inner.embedder.id().to_owned(),
            without_vectors: made.without_vectors,
        }
    }

    /// The resources whose records are looked at, sorted.
    fn resources(&self, ask: &RecallAsk) -> Result<Vec<String>, MemoryError> {
        let indexed: Vec<String> = self
            .inner
            .indexed
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        let Some(asked) = &ask.resources else {
            return Ok(indexed);
        };
        match asked.iter().find(|name| !indexed.contains(name)) {
            None => Ok(asked.clone()),
            Some(other) => Err(MemoryError::NotIndexed {
                resource: other.chars().take(80).collect(),
                indexed: match indexed.is_empty() {
                    true => "none, see `memory.index`".to_owned(),
                    false => indexed.join(", "),
                },
            }),
        }
    }

    /// Makes the answer out of the database.
    async fn compute(
        &self,
        ask: &RecallAsk,
        resources: &[String],
    ) -> Result<HotRecall, MemoryError> {
        let store = self.inner.mirror.store();
        let snapshot = store.newest_snapshot().await?;
        let (vectored, without_vectors) = self.vector_of_question(ask).await?;
        let terms = if ask.weights.words > 0.0 {
            terms_of(&ask.text)
        } else {
            Vec::new()
        };
        let sought = Sought {
            terms: terms.iter().map(sought).collect(),
            vectored,
        };
        let mut candidates: Vec<Candidate<Place>> = Vec::new();
        if ask.notes {
            let filter = NoteFilter {
                shelf: ask.shelf.clone(),
                user: ask.user.clone(),
                tier: ask.tier.clone(),
                tags: ask.tags.clone(),
                metadata: ask.metadata.clone(),
                session: ask.session.clone(),
            };
            let found = store.recall_notes(&sought, &filter).await?;
            candidates.extend(scored(&terms, found, Place::Memory));
        }
        // What only notes have, records do not meet.
        let of_notes = ask.tier.is_some()
            || !ask.tags.is_empty()
            || ask.metadata.is_some()
            || ask.session.is_some();
        if !resources.is_empty() && !of_notes {
            let filter = RecordFilter {
                resources: resources.to_vec(),
                instances: ask.instances.clone(),
            };
            let found = store.recall_records(&sought, &filter).await?;
            candidates.extend(scored(&terms, found, Place::Record));
        }
        let most = usize::try_from(ask.limit).unwrap_or(0);
        let best = ranked(candidates, ask.weights, most);
        Ok(HotRecall {
            hits: self.hits(&ask.shelf, best).await?,
            snapshot,
            without_vectors,
        })
    }

    /// The question's vector; without one, why words alone decide.
    async fn vector_of_question(
        &self,
        ask: &RecallAsk,
    ) -> Result<(Option<store::memory::Vectored>, Option<String>), MemoryError> {
        if ask.weights.vectors == 0.0 {
            return Ok((None, None));
        }
        match self.vector(ask.text.trim(), None).await {
            Ok(made) => Ok((Some(made), None)),
            Err(MemoryError::Embed(
                error @ (EmbedError::Away { .. } | EmbedError::Wrong { .. }),
            )) if ask.weights.words > 0.0 => {
                tracing::warn!(%error, "recalled by words alone");
                Ok((None, Some(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// What stands at the best places, in their order. What went in the meantime is left out.
    async fn hits(&self, shelf: &Shelf, best: Vec<Ranked<Place>>) -> Result<Vec<Hit>, MemoryError> {
        let store = self.inner.mirror.store();
        let (mut ids, mut keys) = (Vec::new(), Vec::new());
        for ranked in &best {
            match &ranked.candidate.id {
                Place::Memory(id) => ids.push(id.clone()),
                Place::Record(key) => {
                    if let Some(feed) = self.feed(&key.0) {
                        keys.push((key.clone(), feed));
                    }
                }
            }
        }
        let mut memories = HashMap::new();
        if !ids.is_empty() {
            let found = store.find_memories(shelf, &ids).await?;
            memories.extend(found.into_iter().map(|row| (row.id.clone(), row)));
        }
        let mut texts = HashMap::new();
        if !keys.is_empty() {
            let found = store.find_texts(&keys).await?;
            texts.extend(found.into_iter().map(|found| (found.key.clone(), found)));
        }
        let hits = best.into_iter().filter_map(|ranked| {
            let (memory, record) = match &ranked.candidate.id {
                Place::Memory(id) => (Some(memories.remove(id)?), None),
                Place::Record(key) => {
                    let found = texts.remove(key)?;
                    let (resource, instance, id) = found.key;
                    let record = RecalledRecord {
                        resource,
                        instance,
                        id,
                        version: found.version,
                        text: found.text,
                        as_of: found.as_of,
                    };
                    (None, Some(record))
                }
            };
            Some(Hit {
                kind: if memory.is_some() { "memory" } else { "record" }.to_owned(),
                score: rounded(ranked.score),
                words: ranked.candidate.words.map(rounded),
                cosine: ranked.candidate.cosine.map(rounded),
                memory,
                record,
            })
        });
        Ok(hits.collect())
    }

    /// The resource whose watermark says how fresh the records of `resource` are.
    fn feed(&self, resource: &str) -> Option<ResourceName> {
        let name: ResourceName = resource.parse().ok()?;
        Some(
            self.inner
                .mirror
                .resource(&name)
                .map_or(name, |info| info.feed),
        )
    }
}

fn sought(term: &Term) -> SoughtTerm {
    let others = term.others.iter().map(|form| OtherForm {
        word: form.word.clone(),
        worth: form.worth,
        is_guess: form.is_guess,
    });
    SoughtTerm {
        word: term.word.clone(),
        others: others.collect(),
    }
}

/// What was found, with the share of the question that each text has.
fn scored<K>(
    terms: &[Term],
    found: AllFound<K>,
    place: impl Fn(K) -> Place,
) -> Vec<Candidate<Place>> {
    let counts = found.terms.iter().map(|term| Counts {
        rarity: term.rarity,
        is_known: term.is_known,
    });
    let mut matcher = Matcher::new(terms, &counts.collect::<Vec<_>>());
    let texts = found.texts.into_iter().map(|found| Candidate {
        words: matcher
            .share(&found.words)
            .map(|share| share * found.brevity),
        cosine: found.cosine,
        id: place(found.key),
    });
    texts.collect()
}

/// To six digits: more of a score says nothing.
fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}
