//! A service that makes vectors of texts, as many vendors offer it: `POST /v1/embeddings`, counted in tokens.
//!
//! Its vectors are made up, but texts that share words get vectors that point alike. It counts what it is asked, and
//! can be told to be slow, to fail, to throttle, or to make vectors of another length.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the service is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Numbers of a vector.
    pub dimensions: usize,
    /// The key that it takes; `None`: any, or none.
    pub key: Option<String>,
    /// The most tokens of one text; a longer one is refused.
    pub text_tokens_max: usize,
    /// The most texts of one request.
    pub batch_max: usize,
    /// How long every answer takes at least.
    pub latency: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dimensions: 256,
            key: None,
            text_tokens_max: 8191,
            batch_max: 2048,
            latency: Duration::ZERO,
        }
    }
}

/// How the service misbehaves, from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// It does not.
    #[default]
    Fair,
    /// Every answer is 503.
    Down,
    /// Every answer is 429 and asks to come back in an hour.
    Throttling,
    /// No answer ever comes.
    Silent,
    /// Vectors have one number less.
    OtherDimensions,
    /// Answers are HTML with a 200.
    Portal,
}

/// What it was asked so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meter {
    /// Requests, the refused ones included.
    pub requests: u64,
    /// Texts that it made vectors of.
    pub texts: u64,
    /// Tokens of those texts: their words.
    pub tokens: u64,
    /// The most texts of one request.
    pub batch_most: usize,
}

struct Inner {
    options: Options,
    mood: Mutex<Mood>,
    meter: Mutex<Meter>,
}

/// The service, listening.
pub struct Embeddings {
    inner: Arc<Inner>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Embeddings {
    /// Listens on `address`; port 0 takes any.
    ///
    /// # Errors
    ///
    /// The address is taken.
    pub async fn start(options: Options, address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            options,
            mood: Mutex::default(),
            meter: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let router = Router::new()
            .route("/v1/embeddings", post(embed))
            .with_state(Arc::clone(&inner));
        let until = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = until.cancelled() => {}
                ended = axum::serve(listener, router) => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the simulated embedder has ended");
                    }
                }
            }
        });
        Ok(Self {
            inner,
            address,
            stop,
        })
    }

    /// Where vectors are made.
    pub fn url(&self) -> String {
        format!("http://{}/v1/embeddings", self.address)
    }

    /// Misbehaves from now on as told.
    pub fn set(&self, mood: Mood) {
        *lock(&self.inner.mood) = mood;
    }

    /// What it was asked so far.
    pub fn meter(&self) -> Meter {
        lock(&self.inner.meter).clone()
    }
}

impl Drop for Embeddings {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn embed(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Response {
    lock(&inner.meter).requests += 1;
    let mood = *lock(&inner.mood);
    tokio::time::sleep(inner.options.latency).await;
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Down => return refuse(StatusCode::SERVICE_UNAVAILABLE, "the model is loading"),
        Mood::Throttling => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "rate limit reached");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, 3600.into());
            return response;
        }
        Mood::Portal => return "<html>please sign in</html>".into_response(),
        Mood::Fair | Mood::OtherDimensions => {}
    }
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if let Some(key) = &inner.options.key
        && bearer != Some(&format!("Bearer {key}"))
    {
        let shown = bearer.unwrap_or_default();
        return refuse(
            StatusCode::UNAUTHORIZED,
            &format!("Incorrect API key provided: {shown}"),
        );
    }
    let Ok(body) = serde_json::from_str::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "the body is no JSON");
    };
    let input: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !body["model"].is_string() || input.is_empty() || input.len() > inner.options.batch_max {
        return refuse(
            StatusCode::BAD_REQUEST,
            "`model` and `input` are needed, and not too many texts",
        );
    }
    let tokens: Vec<usize> = input
        .iter()
        .map(|text| text.split_whitespace().count())
        .collect();
    let most = inner.options.text_tokens_max;
    if tokens.iter().any(|count| *count > most) {
        let message = format!("maximum context length is {most} tokens");
        return refuse(StatusCode::BAD_REQUEST, &message);
    }
    if input.iter().any(|text| text.is_empty()) {
        return refuse(StatusCode::BAD_REQUEST, "input cannot be an empty string");
    }
    let total = tokens.iter().sum::<usize>() as u64;
    {
        let mut meter = lock(&inner.meter);
        meter.texts += input.len() as u64;
        meter.tokens += total;
        meter.batch_most = meter.batch_most.max(input.len());
    }
    let dimensions = inner.options.dimensions - usize::from(mood == Mood::OtherDimensions);
    let data: Vec<Value> = input
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": vector(text, dimensions) }))
        .collect();
    Json(json!({
        "object": "list",
        "data": data,
        "model": body["model"],
        "usage": { "prompt_tokens": total, "total_tokens": total },
    }))
    .into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    (status, Json(body)).into_response()
}

/// The sum of a random direction per word.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
    let mut sum = vec![0.0_f32; dimensions];
    for word in text.split_whitespace() {
        // FNV-1a: any fixed function will do.
        let seed = word
            .to_lowercase()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut random = StdRng::seed_from_u64(seed);
        sum.iter_mut()
            .for_each(|x| *x += random.random_range(-1.0_f32..1.0));
    }
    sum
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
