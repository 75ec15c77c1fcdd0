//! The HTTP API, asked from within this process.

use std::fmt;

use axum::{Router, body::Body};
use http::{Method, Request, header};
use serde_json::Value;
use tower_service::Service as _;

use crate::access::Caller;

/// The most bytes that are read of an answer before it is cut to what an agent can take in.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why a tool has no answer, with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub String);

impl Refusal {
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

/// The routes, behind the same guard as everybody else's.
#[derive(Clone)]
pub(super) struct Door {
    api: Router,
}

impl Door {
    pub fn new(api: Router) -> Self {
        Self { api }
    }

    /// Asks as `caller`. Dropping the future gives the question up, as a client that hangs up does.
    pub async fn ask(
        &self,
        caller: &Caller,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(bytes))
            .map_err(|error| Refusal(format!("`{path}` cannot be asked: {error}")))?;
        // The guard believes this process.
        request.extensions_mut().insert(caller.clone());
        let mut api = self.api.clone();
        let response = match api.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX)
            .await
            .map_err(|_| {
                Refusal::new("the answer is larger than 32 MiB; ask for less with `limit`")
            })?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Refusal(format!("the answer ({status}) is no JSON")))?;
        if status.is_success() {
            return Ok(value);
        }
        let said = |key: &str| value[key].as_str().unwrap_or_default();
        Err(Refusal(match said("hint") {
            "" => format!("{} ({status})", said("message")),
            hint => format!("{} ({status}); {hint}", said("message")),
        }))
    }
}

/// What a value needs in a URL's path or query.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
