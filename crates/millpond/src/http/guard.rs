//! What every request passes: its id, its key, its time.

use std::time::Instant;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use subtle::ConstantTimeEq as _;
use upstream::Secret;

use super::{App, error::ApiError};

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most letters of an id that a caller brings.
const REQUEST_ID_MAX: usize = 100;

/// The keys that callers may present. None at all: everybody on this machine may call.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Vec<Secret>);

impl ApiKeys {
    /// These keys.
    pub fn new(keys: Vec<Secret>) -> Self {
        Self(keys)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` is one of them. Takes as long for a wrong key as for a right one.
    fn admits(&self, key: &[u8]) -> bool {
        let mut admitted = subtle::Choice::from(0);
        for known in &self.0 {
            admitted |= known.expose().as_bytes().ct_eq(key);
        }
        admitted.into()
    }
}

/// Gives each request an id, logs it, and ends it when it takes too long.
pub async fn accompany(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let limit = app.request_timeout();
    let mut response = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ApiError::timed_out(format!("the request took longer than {limit:?}")).into_response()
        }
    };
    response.headers_mut().insert(REQUEST_ID, id.clone());
    let duration = began.elapsed();
    super::metrics::count_request(response.status(), duration);
    tracing::debug!(
        request.id = id.to_str().unwrap_or_default(),
        status = response.status().as_u16(),
        duration_ms = duration.as_millis() as u64,
        "{method} {path}",
    );
    response
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |value: &&HeaderValue| {
        (1..=REQUEST_ID_MAX).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers
        .get(REQUEST_ID)
        .filter(is_plain)
        .cloned()
        .unwrap_or_else(|| {
            let id = format!("{:016x}", rand::random::<u64>());
            HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("0"))
        })
}

/// Lets a request through that shows a key; where no keys are configured, one that is meant for this machine.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let keys = app.keys();
    let headers = request.headers();
    if keys.is_empty() {
        // A page in a browser may send requests here under a name that leads to this machine.
        return match foreign_host(headers) {
            Some(host) => ApiError::forbidden(format!("`{host}` is not this machine"))
                .hint("without `server.api_keys` only localhost is answered")
                .into_response(),
            None => next.run(request).await,
        };
    }
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked(7))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .map(|(_, key)| key);
    let key = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes));
    if key.is_some_and(|key| keys.admits(key.trim_ascii())) {
        next.run(request).await
    } else {
        ApiError::unauthorized().into_response()
    }
}

fn foreign_host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().unwrap_or("?");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    (!is_local).then(|| name.chars().take(100).collect())
}
