//! The way of one call: record, authenticate, limit, misbehave, answer.

use super::admin;
use super::login;
use super::query::Query;
use super::render::Model;
use super::reply::{Refusal, Reply};
use super::routes;
use super::serve::{self, Call as Asked};
use super::server::Service;
use crate::faults::{Outcome, Strike};
use crate::wire::Wire;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use http::{HeaderMap, Method, Request, Response, Uri};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// Longest request body that is read.
const BODY_MAX: usize = 32 << 20;

pub(crate) async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return Reply::html(413, "Request Entity Too Large").into_response();
    };
    let path = parts.uri.path();
    if path.starts_with("/_sim") {
        return match wire.peer.ip().is_loopback() {
            true => admin::answer(&service, &parts.method, &parts.uri, &body),
            false => Reply::html(403, "Only for this machine"),
        }
        .into_response();
    }
    let below = below(path, &service.codebase());
    let login = login::credentials(&parts.headers);
    let (key, account_id) = login
        .map(|login| (login.public, login.company))
        .unwrap_or_default();
    let path = below.unwrap_or(path);
    let answering = service
        .tap
        .open(&parts.method, &parts.uri, path, key, account_id);
    let call = Incoming {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
        below,
        body: &body,
    };
    match answer(&service, &call).await {
        Some(mut reply) => {
            answering.end(reply.status, reply.body.len());
            let id = uuid::Uuid::new_v4().to_string();
            reply.headers.push(("x-cw-request-id", id));
            reply.headers.push(("x-server-name", "SIMULATED-01".into()));
            reply
                .headers
                .push(("api-current-version", version(&service.codebase())));
            reply.into_response()
        }
        None => {
            wire.cut();
            answering.end(0, 0);
            Response::new(Body::empty())
        }
    }
}

struct Incoming<'c> {
    method: &'c Method,
    uri: &'c Uri,
    headers: &'c HeaderMap,
    /// The path below `apis/3.0`; `None` outside of the interface.
    below: Option<&'c str>,
    body: &'c [u8],
}

/// What follows `/{codebase}/apis/3.0/`, without slashes at its ends, if that codebase is served.
fn below<'p>(path: &'p str, codebase: &str) -> Option<&'p str> {
    let mut rest = path;
    for expected in [None, Some("apis"), Some("3.0")] {
        rest = rest.trim_start_matches('/');
        let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = match expected {
            None => {
                part.eq_ignore_ascii_case("v4_6_release") || part.eq_ignore_ascii_case(codebase)
            }
            Some(expected) => part.eq_ignore_ascii_case(expected),
        };
        if !fits {
            return None;
        }
        rest = after;
    }
    Some(rest.trim_matches('/'))
}

/// `v2026_1` is the codebase of version `2026.1`.
pub(super) fn version(codebase: &str) -> String {
    codebase.trim_start_matches('v').replace('_', ".")
}

/// `None` cuts the connection.
async fn answer(service: &Service, call: &Incoming<'_>) -> Option<Reply> {
    let wait = service.options.latency.draw();
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let target = call
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > service.options.url_max {
        return Some(Refusal::uri_too_long().reply());
    }
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(call.uri);
    let Ok(axum::extract::Query(pairs)) = pairs else {
        return Some(Refusal::bad_query("The query string cannot be read").reply());
    };
    let Some(below) = call.below else {
        return Some(login::outside(
            service,
            call.method,
            call.uri.path(),
            call.headers,
            &pairs,
        ));
    };
    let actor = match login::login(service, call.headers, &pairs) {
        Ok(actor) => actor,
        Err(refusal) => return Some(refusal.reply()),
    };
    let over = || Reply::throttled(service.options.retry_after, service.options.throttle_html);
    if let Some(limit) = service.options.limit {
        let key = login::credentials(call.headers).map(|login| login.public);
        if !service
            .limiter
            .allow(limit, &key.unwrap_or_default(), Instant::now())
        {
            return Some(over());
        }
    }
    let strike = service.faults.next(*call.method != Method::GET);
    if let Some(wait) = strike.wait {
        tokio::time::sleep(wait).await;
    }
    match strike.outcome {
        Some(Outcome::Throttle) => return Some(over()),
        Some(Outcome::Status(status)) => return Some(Reply::html(status, "Server Error")),
        Some(Outcome::Html200) => return Some(Reply::html(200, "Maintenance")),
        Some(Outcome::ErrorIn200) => {
            let error = Refusal::bad_query("An error has occurred.").reply();
            return Some(Reply {
                status: 200,
                ..error
            });
        }
        _ => {}
    }
    let forward = header(call.headers, "pagination-type").eq_ignore_ascii_case("forward-only");
    let model = model(call.headers, &service.codebase());
    let asked = Asked {
        method: call.method,
        path: below,
        query: Query::new(pairs, forward),
        body: call.body,
        model: model.0,
        actor,
    };
    let (mut reply, rows) = served(service, &asked, strike);
    if reply.status < 300 && !reply.body.is_empty() {
        reply.content_type = format!(
            "application/vnd.connectwise.com+json; version={}; charset=utf-8",
            model.1
        );
    }
    let wait = service.options.latency_per_row * u32::try_from(rows).unwrap_or(u32::MAX);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if let Some(hold) = strike.hold {
        tokio::time::sleep(hold).await;
    }
    match strike.outcome {
        Some(Outcome::Reset) => return None,
        Some(Outcome::StatusAfter(status)) => reply = Reply::html(status, "Server Error"),
        Some(Outcome::Torn) => reply.body.truncate(reply.body.len() / 2),
        _ => {}
    }
    Some(reply)
}

/// The answer, and how many rows it lists.
fn served(service: &Service, call: &Asked<'_>, strike: Strike) -> (Reply, usize) {
    let Some(place) = routes::find(call.path) else {
        return (Refusal::no_endpoint().reply(), 0);
    };
    let plan = service.faults.plan();
    let twist = super::list::Twist {
        duplicate_rows: plan.duplicate_rows,
        out_of_order: plan.out_of_order,
        rows_missing_every: plan.rows_missing_every,
    };
    let reads = serve::only_reads(call.method, place);
    let answer = if reads {
        serve::read(&service.read(), place, call, twist)
    } else if strike.not_applied {
        serve::pretend(&service.read(), place, call)
    } else {
        serve::write(&mut service.write(), place, call)
    };
    match answer {
        Ok(done) => {
            if plan.page_drift && reads && done.rows > 0 {
                service.write().drift(place, &done.ids);
            }
            (done.reply, done.rows)
        }
        Err(refusal) => (refusal.reply(), 0),
    }
}

/// The model version that `Accept` asks for; without one the newest.
fn model(headers: &HeaderMap, codebase: &str) -> (Model, String) {
    let accept = header(headers, "accept");
    let asked = accept
        .split_once("version=")
        .map(|(_, rest)| {
            rest.split([';', ',', ' '])
                .next()
                .unwrap_or_default()
                .trim_matches('"')
        })
        .filter(|asked| !asked.is_empty());
    let year = asked.and_then(|asked| asked.split('.').next()?.parse::<u32>().ok());
    let new = year.is_none_or(|year| year >= 2025);
    (
        Model { new },
        asked.map_or_else(|| version(codebase), str::to_owned),
    )
}

pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim()
}

/// A body as JSON.
pub(super) fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|_| Refusal::bad_body("request", "The body is no valid JSON"))
}
