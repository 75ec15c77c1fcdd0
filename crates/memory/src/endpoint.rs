//! An embedder elsewhere: any service that speaks the widespread protocol, `POST …/embeddings` with `model` and
//! `input`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upstream::{PostError, PostSettings, Poster, Secret, SettingsError};

use crate::embedder::{EmbedError, Embedded, Embedder, normalise};

/// The most bytes of an answer: 2,048 vectors of 3,072 numbers in JSON.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// Where vectors are made, and which.
#[derive(Debug, Clone)]
pub struct EndpointSettings {
    /// The whole URL: `https://…/v1/embeddings`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// How many numbers its vectors have.
    pub dimensions: usize,
    /// Whether the service is asked for so many; not all models can be.
    pub asks_dimensions: bool,
    /// Told apart from the vectors of another version of the model.
    pub version: String,
    /// What lets us in.
    pub key: Option<Secret>,
    /// The most texts of one request.
    pub batch_max: usize,
    /// The most time of one attempt.
    pub timeout: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// The wait before the second one, doubled before each further one.
    pub backoff_first: Duration,
    /// Whether it may be inside this machine or its network, and plain `http`.
    pub private_hosts: bool,
}

/// An embedder elsewhere.
#[derive(Debug)]
pub struct Endpoint {
    settings: EndpointSettings,
    id: String,
    poster: Poster,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize, Default)]
struct Usage {
    #[serde(default)]
    total_tokens: u64,
}

impl Endpoint {
    /// An embedder at `settings.url`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// The URL is none, or private without leave; the key cannot stand in a header.
    pub fn new(settings: EndpointSettings) -> Result<Self, SettingsError> {
        let poster = Poster::new(PostSettings {
            name: "embedder".to_owned(),
            url: settings.url.clone(),
            bearer: settings.key.clone(),
            allow_private_hosts: settings.private_hosts,
            timeout: settings.timeout,
            attempts: settings.attempts,
            backoff_first: settings.backoff_first,
            body_max: ANSWER_BYTES_MAX,
        })?;
        let id = format!(
            "{}/{}/{}",
            settings.model, settings.dimensions, settings.version
        );
        Ok(Self {
            settings,
            id,
            poster,
        })
    }

    fn wrong(&self, reason: impl Into<String>) -> EmbedError {
        EmbedError::Wrong {
            embedder: self.id.clone(),
            reason: reason.into(),
        }
    }

    fn failed(&self, error: &PostError) -> EmbedError {
        let (embedder, reason) = (self.id.clone(), error.to_string());
        match error {
            PostError::Away { .. } => EmbedError::Away { embedder, reason },
            // What the texts are is the caller's; everything else is configuration's.
            PostError::Rejected {
                status: 400 | 413 | 422,
                ..
            } => EmbedError::Refused { embedder, reason },
            _ => EmbedError::Wrong { embedder, reason },
        }
    }

    async fn batch(&self, texts: &[String]) -> Result<Embedded, EmbedError> {
        let request = Request {
            model: &self.settings.model,
            input: texts,
            encoding_format: "float",
            dimensions: self
                .settings
                .asks_dimensions
                .then_some(self.settings.dimensions),
        };
        let body = serde_json::to_vec(&request).map_err(|error| self.wrong(error.to_string()))?;
        let answer = self
            .poster
            .post(body)
            .await
            .map_err(|error| self.failed(&error))?;
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|error| self.wrong(format!("an answer without vectors: {error}")))?;
        self.read(answer, texts.len())
    }

    fn read(&self, answer: Answer, count: usize) -> Result<Embedded, EmbedError> {
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
        for Item {
            index,
            mut embedding,
        } in answer.data
        {
            let dimensions = self.settings.dimensions;
            if embedding.len() != dimensions {
                return Err(self.wrong(format!(
                    "vectors of {} numbers instead of {dimensions}: set `memory.dimensions`",
                    embedding.len()
                )));
            }
            if embedding.iter().any(|x| !x.is_finite()) {
                return Err(self.wrong("a vector with something in it that is no number"));
            }
            normalise(&mut embedding);
            if let Some(place) = vectors.get_mut(index) {
                *place = Some(embedding);
            }
        }
        let vectors: Option<Vec<Vec<f32>>> = vectors.into_iter().collect();
        Ok(Embedded {
            vectors: vectors.ok_or_else(|| {
                self.wrong(format!("fewer than {count} vectors for {count} texts"))
            })?,
            tokens: answer.usage.total_tokens,
        })
    }
}

#[async_trait::async_trait]
impl Embedder for Endpoint {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.settings.dimensions
    }

    fn batch_max(&self) -> usize {
        self.settings.batch_max
    }

    async fn embed(&self, texts: &[String]) -> Result<Embedded, EmbedError> {
        let mut all = Embedded {
            vectors: Vec::with_capacity(texts.len()),
            tokens: 0,
        };
        for texts in texts.chunks(self.settings.batch_max.max(1)) {
            let made = self.batch(texts).await?;
            all.vectors.extend(made.vectors);
            all.tokens += made.tokens;
        }
        Ok(all)
    }
}
