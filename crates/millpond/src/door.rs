//! The HTTP API, asked from within this process, by the doors that stand on it: agents and the console.

use std::fmt;

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tower_service::Service as _;

use crate::access::Caller;

/// The most bytes that are read of an answer.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why there is no answer, with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.told())]
pub(crate) struct Refusal {
    /// What the API answered with.
    pub status: StatusCode,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Refusal {
    /// A question that was not asked.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.to_string(),
            hint: String::new(),
        }
    }

    fn told(&self) -> String {
        match &*self.hint {
            "" => format!("{} ({})", self.message, self.status),
            hint => format!("{} ({}); {hint}", self.message, self.status),
        }
    }
}

/// The routes, behind the same guard as everybody else's.
#[derive(Clone)]
pub(crate) struct Door {
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
            .map_err(|error| Refusal::new(format!("`{path}` cannot be asked: {error}")))?;
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
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Refusal::new(format!("the answer ({status}) is no JSON")))?;
        if status.is_success() {
            return Ok(value);
        }
        let said = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Err(Refusal {
            status,
            message: said("message"),
            hint: said("hint"),
        })
    }
}

/// What a value needs in a URL's path or query.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
