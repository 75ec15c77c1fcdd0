//! JSON posted to one address that is no instance of a connector, such as an embedder: bounded, retried as calls are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use reqwest::Url;

use crate::call::Cause;
use crate::client::{Address, Fault, SettingsError, build_http, name_fault};
use crate::clock::{Clock, SystemClock};
use crate::retry_after::read_retry_after;
use crate::secret::Secret;

/// The longest wait before another attempt that an answer may ask for; a longer one ends the call.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The most letters of a refusal that are shown.
const MESSAGE_CHARS_MAX: usize = 300;

/// Where and how JSON is posted.
#[derive(Debug, Clone)]
pub struct PostSettings {
    /// What it is called in logs and errors.
    pub name: String,
    /// The whole URL.
    pub url: String,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// Whether it may be inside this machine or its network, and plain `http`.
    pub allow_private_hosts: bool,
    /// The most time of one attempt.
    pub timeout: Duration,
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The wait before the second one, doubled before each further one.
    pub backoff_first: Duration,
    /// The most bytes of an answer.
    pub body_max: u64,
}

/// Posts JSON to one address.
pub struct Poster {
    settings: PostSettings,
    url: Url,
    headers: HeaderMap,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// It did not answer, failed or throttled at every attempt; asking later can help.
    #[error("no answer after {attempts} attempts: {cause}")]
    Away {
        /// How often it was tried.
        attempts: u32,
        /// What happened last.
        cause: Cause,
    },
    /// It said no to what was sent.
    #[error("it answered {status}: {message}")]
    Rejected {
        /// The status.
        status: u16,
        /// What it said, at its beginning.
        message: String,
    },
    /// The answer is larger than it may be.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// It cannot be asked at all: a certificate, a private address.
    #[error("it cannot be asked: {reason}")]
    Impossible {
        /// Why.
        reason: String,
    },
}

/// What an attempt leads to.
enum Tried {
    Answered(Bytes),
    Again(Cause, Option<Duration>),
}

impl Poster {
    /// Ready to post. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The URL is none, or private without leave; the secret cannot stand in a header.
    pub fn new(settings: PostSettings) -> Result<Self, SettingsError> {
        let address =
            Address::parse(&settings.url, settings.allow_private_hosts).map_err(|reason| {
                SettingsError::BaseUrl {
                    instance: settings.name.clone(),
                    url: crate::client::without_user(&settings.url),
                    reason,
                }
            })?;
        let url = address.url();
        let http =
            build_http(&settings.name, settings.allow_private_hosts, &[]).map_err(|source| {
                SettingsError::Build {
                    instance: settings.name.clone(),
                    source,
                }
            })?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(secret) = &settings.bearer {
            let value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()));
            let mut value = value.map_err(|_| SettingsError::SecretUnusable {
                instance: settings.name.clone(),
                connection: "key".to_owned(),
                header: "Authorization".to_owned(),
            })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(Self {
            settings,
            url,
            headers,
            http,
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// Posts `body` and answers what came back. What may pass is tried again: timeouts, faults of the network, 5xx,
    /// 408 and 429, with the wait that the answer asks for. Dropping the future cancels it; it may have arrived.
    ///
    /// # Errors
    ///
    /// See [`PostError`].
    pub async fn post(&self, body: Vec<u8>) -> Result<Bytes, PostError> {
        let body = Bytes::from(body);
        let mut backoff = self.settings.backoff_first;
        let mut attempt = 1;
        loop {
            let (cause, asked_wait) = match self.attempt(body.clone()).await? {
                Tried::Answered(answer) => return Ok(answer),
                Tried::Again(cause, wait) => (cause, wait),
            };
            let wait = asked_wait.unwrap_or(backoff);
            if attempt >= self.settings.attempts || wait > WAIT_MAX {
                return Err(PostError::Away {
                    attempts: attempt,
                    cause,
                });
            }
            tracing::debug!(api.name = self.settings.name, attempt, %cause, "an attempt failed");
            self.clock.sleep(wait).await;
            backoff *= 2;
            attempt += 1;
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<Tried, PostError> {
        let timeout = self.settings.timeout;
        let request = self
            .http
            .post(self.url.clone())
            .headers(self.headers.clone());
        let fault = |error: reqwest::Error| name_fault(&error.without_url(), timeout.as_millis());
        let received = async {
            let mut response = request
                .timeout(timeout)
                .body(body)
                .send()
                .await
                .map_err(fault)?;
            let limit = self.settings.body_max;
            let mut answer = BytesMut::new();
            while let Some(chunk) = response.chunk().await.map_err(fault)? {
                if answer.len() as u64 + chunk.len() as u64 > limit {
                    return Ok(Err(PostError::TooLarge { limit }));
                }
                answer.extend_from_slice(&chunk);
            }
            let headers = std::mem::take(response.headers_mut());
            Ok(Ok((response.status(), headers, answer.freeze())))
        };
        match received.await {
            Ok(Ok((status, headers, answer))) => {
                let secret = self.settings.bearer.as_ref();
                judge(status, &headers, answer, secret, self.clock.now())
            }
            Ok(Err(error)) => Err(error),
            Err(Fault::Transient { cause, .. }) => Ok(Tried::Again(cause, None)),
            Err(
                Fault::Certificate(reason) | Fault::Private(reason) | Fault::Unbuildable(reason),
            ) => Err(PostError::Impossible { reason }),
        }
    }
}

fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    answer: Bytes,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<Tried, PostError> {
    if status.is_success() {
        return Ok(Tried::Answered(answer));
    }
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    if !may_pass {
        let said: String = String::from_utf8_lossy(&answer)
            .chars()
            .take(MESSAGE_CHARS_MAX)
            .collect();
        // Some services repeat the key that they do not know.
        let message = match secret {
            Some(secret) => said.replace(secret.expose(), "…"),
            None => said,
        };
        return Err(PostError::Rejected {
            status: status.as_u16(),
            message,
        });
    }
    let wait = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| read_retry_after(value.to_str().ok()?, now));
    let cause = Cause {
        code: format!("HTTP_{}", status.as_u16()),
        message: status.canonical_reason().unwrap_or_default().to_owned(),
    };
    Ok(Tried::Again(cause, wait))
}
