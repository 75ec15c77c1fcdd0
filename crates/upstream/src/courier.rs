//! Bodies handed over to addresses that others name, such as those of webhooks: one attempt each, nothing followed,
//! nothing trusted. Whoever asks decides when to try again.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

use crate::call::Cause;
use crate::client::{Fault, SettingsError, build_http, name_fault, parse_target};
use crate::retry_after::read_retry_after;

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4096;
/// The most time for the body of an answer whose head is there.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);
/// The most letters of an answer that are shown.
const MESSAGE_CHARS_MAX: usize = 300;

/// Hands bodies over. Cheap to clone; connections are shared and kept.
#[derive(Clone)]
pub struct Courier {
    http: reqwest::Client,
    allow_private_hosts: bool,
    timeout: Duration,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier")
            .field("allow_private_hosts", &self.allow_private_hosts)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// It was taken: 2xx.
    Over {
        /// The status.
        status: u16,
    },
    /// It was answered with anything else, redirects among it.
    Refused {
        /// The status.
        status: u16,
        /// How long the answer says to wait; never more than [`RETRY_AFTER_MAX`](crate::RETRY_AFTER_MAX).
        retry_after: Option<Duration>,
        /// What it said, at its beginning, without control characters.
        message: String,
    },
    /// There was no answer in time, or no connection.
    Away {
        /// What happened.
        cause: Cause,
    },
    /// The address cannot be called at all: it is none, private without leave, or its certificate is not accepted.
    Impossible {
        /// Why.
        reason: String,
    },
}

impl Courier {
    /// Ready to hand over. With `allow_private_hosts` also to this machine, its network, and in plain `http`.
    /// `timeout` is the most time from the beginning of an attempt to the head of its answer.
    ///
    /// # Errors
    ///
    /// The HTTP or TLS library refused.
    pub fn new(allow_private_hosts: bool, timeout: Duration) -> Result<Self, SettingsError> {
        const NAME: &str = "webhooks";
        let http =
            build_http(NAME, allow_private_hosts, &[]).map_err(|source| SettingsError::Build {
                instance: NAME.to_owned(),
                source,
            })?;
        Ok(Self {
            http,
            allow_private_hosts,
            timeout,
        })
    }

    /// Whether something could be handed over at `url`; names are looked up only then.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, url: &str) -> Result<(), String> {
        parse_target(url, self.allow_private_hosts).map(drop)
    }

    /// Posts `body` to `url` once, as JSON. Dropping the future cancels it; it may have arrived. `now` is what an
    /// answer's `Retry-After` counts from.
    pub async fn hand_over(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        now: Timestamp,
    ) -> Handed {
        let url = match parse_target(url, self.allow_private_hosts) {
            Ok(url) => url,
            Err(reason) => return Handed::Impossible { reason },
        };
        let request = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .headers(headers)
            .body(body);
        // A limit on the request itself would also end the reading of the answer, whose status is known by then.
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return match name_fault(&error.without_url(), self.timeout.as_millis()) {
                    Fault::Transient { cause, .. } => Handed::Away { cause },
                    Fault::Certificate(reason)
                    | Fault::Private(reason)
                    | Fault::Unbuildable(reason) => Handed::Impossible { reason },
                };
            }
            Err(_) => {
                let cause = Cause {
                    code: "ECONNABORTED".to_owned(),
                    message: format!("timeout of {} ms exceeded", self.timeout.as_millis()),
                };
                return Handed::Away { cause };
            }
        };
        judge(response, now).await
    }
}

async fn judge(mut response: reqwest::Response, now: Timestamp) -> Handed {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| read_retry_after(value.to_str().ok()?, now));
    // Also of what was taken: a connection whose answer was read can be used again.
    let mut answer = BytesMut::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_BYTES_MAX - answer.len();
            answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if answer.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
    };
    // What came until then is shown.
    let _ = tokio::time::timeout(ANSWER_WAIT_MAX, read).await;
    if status.is_success() {
        return Handed::Over {
            status: status.as_u16(),
        };
    }
    Handed::Refused {
        status: status.as_u16(),
        retry_after,
        message: shown(status, &answer),
    }
}

/// The beginning of an answer, in one line.
fn shown(status: StatusCode, answer: &[u8]) -> String {
    let said: String = String::from_utf8_lossy(answer)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(MESSAGE_CHARS_MAX)
        .collect();
    match said.trim() {
        "" => status.canonical_reason().unwrap_or_default().to_owned(),
        said => said.to_owned(),
    }
}
