//! What every request passes: its id, its key, its time.

use std::{convert::Infallible, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::{
    App, cache,
    caller::{self, Caller},
    declared,
    error::ApiError,
};
pub use crate::access::ApiKeys;

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries a key, beside `Authorization`.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The most letters of an id that a caller brings.
const REQUEST_ID_MAX: usize = 100;

/// Gives each request an id, logs it, and ends it when it takes too long.
pub async fn accompany(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let began = Instant::now();
    let asked = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (request.method().clone(), request.uri().path().to_owned()));
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
    if let Some((method, path)) = asked {
        tracing::debug!(
            request.id = id.to_str().unwrap_or_default(),
            status = response.status().as_u16(),
            duration_ms = duration.as_millis() as u64,
            "{method} {path}",
        );
    }
    response
}

/// The most bytes of a refusal that was not told as a problem.
const REFUSAL_BYTES_MAX: usize = 4096;

/// Refusals of the framework itself, such as a path that is no UTF-8, told as all others are.
pub async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_told = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/problem+json");
    if !is_refusal || is_told {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, REFUSAL_BYTES_MAX)
        .await
        .unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut told = ApiError::refused_with(status, said).into_response();
    for (name, value) in &parts.headers {
        if !told.headers().contains_key(name) && name != header::CONTENT_LENGTH {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
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

/// Lets a request through whose caller may ask for the route. Without any key, that is everybody on this machine.
pub async fn admit(
    State(app): State<App>,
    route: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let needs = declared::needs(request.method().as_str(), route.as_str());
    // Nobody but this process can have put a caller there.
    let caller = match request.extensions().get::<Caller>().cloned() {
        Some(caller) => {
            request.extensions_mut().insert(Brought);
            caller
        }
        None => match caller(&app, request.headers()).await {
            Ok(caller) => caller,
            Err(error) => return error.into_response(),
        },
    };
    if let Err(error) = caller::check(&caller, needs) {
        return error.into_response();
    }
    match app.access().count(&caller).await {
        Ok(Ok(())) => {}
        Ok(Err(over)) => return ApiError::from(over).into_response(),
        Err(error) => return ApiError::from(error).into_response(),
    }
    request.extensions_mut().insert(caller);
    let method = request.method().clone();
    cache::noted(app.routes(), &method, &route, next.run(request)).await
}

/// Marks a request whose caller this process itself brought.
#[derive(Clone)]
struct Brought;

/// What a caller was admitted with, so that an answer that goes on can look again.
pub(super) struct Standing(Option<(App, HeaderMap)>);

impl FromRequestParts<App> for Standing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        if parts.extensions.get::<Brought>().is_some() {
            return Ok(Self(None));
        }
        let kept = [header::AUTHORIZATION, header::HOST, X_API_KEY];
        let shown = kept
            .into_iter()
            .filter_map(|name| Some((name.clone(), parts.headers.get(&name)?.clone())));
        Ok(Self(Some((app.clone(), shown.collect()))))
    }
}

impl Standing {
    /// Who asks, and what there is for them by now; `None` once their key no longer counts, or nobody can say whether
    /// it does. A caller whom this process itself brought stays `known`.
    pub async fn look_again(&self, known: &Caller) -> Option<Caller> {
        match &self.0 {
            Some((app, headers)) => caller(app, headers).await.ok(),
            None => Some(known.clone()),
        }
    }
}

/// Finds out who asks, for a door behind which [`admit`] looks at each question and counts it.
pub async fn know(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match caller(&app, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// What is known of somebody who brings a credential, or none.
pub enum KnownBy {
    /// This caller.
    Caller(Caller),
    /// Nobody: a key is asked for.
    Nobody,
    /// There is no telling; the words say why.
    Refused(String),
}

/// Who stands behind a credential; without one, behind the request's own headers.
pub async fn known_by(app: &App, credential: Option<&str>, headers: &HeaderMap) -> KnownBy {
    if let Some(credential) = credential.filter(|credential| !credential.is_empty()) {
        return match app.access().caller(credential.as_bytes()).await {
            Ok(Some(caller)) => KnownBy::Caller(caller),
            Ok(None) => KnownBy::Nobody,
            Err(error) => KnownBy::Refused(crate::cli::chain_of(&error)),
        };
    }
    match caller(app, headers).await {
        Ok(caller) => KnownBy::Caller(caller),
        Err(error) if error.is_unauthorized() => KnownBy::Nobody,
        Err(error) => KnownBy::Refused(error.to_string()),
    }
}

async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if let Some(credential) = credential(headers)
        && let Some(caller) = app.access().caller(credential).await?
    {
        return Ok(caller);
    }
    if !app.access().is_open().await? {
        return Err(ApiError::unauthorized());
    }
    // A page in a browser may send requests here under a name that leads to this machine.
    match foreign_host(headers) {
        Some(host) => Err(ApiError::forbidden(format!("`{host}` is not this machine"))
            .hint("without any key only localhost is answered")),
        None => Ok(Caller::operator()),
    }
}

fn credential(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked(7))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .map(|(_, key)| key);
    let key = bearer.or_else(|| headers.get(X_API_KEY).map(HeaderValue::as_bytes))?;
    Some(key.trim_ascii()).filter(|key| !key.is_empty())
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
