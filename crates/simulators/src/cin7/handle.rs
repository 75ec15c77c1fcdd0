//! The way of one call: record, authenticate, limit, misbehave, answer.

use super::admin;
use super::query::{Cut, Query};
use super::reply::{Refusal, Reply};
use super::routes::{self, Route};
use super::server::Service;
use super::{read, write};
use crate::faults::{Outcome, Strike};
use crate::wire::Wire;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use http::{HeaderMap, Method, Request, Response, Uri};
use std::sync::Arc;
use std::time::Instant;

/// Longest request body that is read.
const BODY_MAX: usize = 32 << 20;
/// Below this path the API lives, in any case.
const BASE: &str = "/externalapi/v2/";

pub(crate) async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let date = service.clock.now().to_zoned(jiff::tz::TimeZone::UTC);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return Reply::text(413, "Request entity too large").into_response(&date);
    };
    let path = parts.uri.path();
    if path.starts_with("/_sim") {
        let reply = match wire.peer.ip().is_loopback() {
            true => admin::answer(&service, &parts.method, &parts.uri, &body),
            false => Reply::text(
                403,
                "The simulator's own doors are open to this machine only.",
            ),
        };
        return reply.into_response(&date);
    }
    // Whatever the case of the base, what follows it is kept as sent for the record.
    let below = match path.get(..BASE.len()) {
        Some(base) if base.eq_ignore_ascii_case(BASE) => path[BASE.len()..].trim_end_matches('/'),
        _ => return Reply::page_not_found(service.options.unknown_path_404).into_response(&date),
    };
    let (key, account) = (header(&parts.headers, KEY), header(&parts.headers, ACCOUNT));
    let answering = service.tap.open(
        &parts.method,
        &parts.uri,
        below,
        key.to_owned(),
        account.to_owned(),
    );
    let reply = answer(
        &service,
        &parts.method,
        &parts.uri,
        &parts.headers,
        below,
        &body,
    )
    .await;
    match reply {
        Some(reply) => {
            answering.end(reply.status, reply.body.len());
            reply.into_response(&date)
        }
        None => {
            wire.cut();
            answering.end(0, 0);
            Response::new(Body::empty())
        }
    }
}

const ACCOUNT: &str = "api-auth-accountid";
const KEY: &str = "api-auth-applicationkey";

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim()
}

/// `None` cuts the connection.
async fn answer(
    service: &Service,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    below: &str,
    body: &[u8],
) -> Option<Reply> {
    let wait = service.options.latency.draw();
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let key = header(headers, KEY);
    let account = service.find_account(header(headers, ACCOUNT)).filter(|at| {
        service.options.accounts[*at]
            .keys
            .iter()
            .any(|known| known.eq_ignore_ascii_case(key))
    });
    let Some(account) = account else {
        return Some(Reply::bad_credentials());
    };
    let over = |service: &Service| {
        Reply::over_limit(
            service.options.limit.unwrap_or_default(),
            service.options.legacy_503,
        )
    };
    if let Some(limit) = service.options.limit
        && !service
            .limiter
            .allow(limit, &key.to_ascii_lowercase(), Instant::now())
    {
        return Some(over(service));
    }
    let strike = service.faults.next(*method != Method::GET);
    if let Some(wait) = strike.wait {
        tokio::time::sleep(wait).await;
    }
    match strike.outcome {
        Some(Outcome::Throttle) => return Some(over(service)),
        Some(Outcome::Status(status)) => return Some(Reply::html(status, "Server Error")),
        Some(Outcome::Html200) => return Some(Reply::html(200, "Maintenance")),
        Some(Outcome::ErrorIn200) => {
            let refusal = Refusal {
                status: 200,
                faults: vec![(500, "An error has occurred.".into())],
            };
            return Some(refusal.reply());
        }
        _ => {}
    }
    let mut reply = serve(service, account, method, uri, below, body, strike);
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

fn serve(
    service: &Service,
    account: usize,
    method: &Method,
    uri: &Uri,
    below: &str,
    body: &[u8],
    strike: Strike,
) -> Reply {
    let lower = below.to_ascii_lowercase();
    let Some(route) = routes::find(routes::canonical(&lower)) else {
        return Reply::page_not_found(service.options.unknown_path_404);
    };
    if !route.verbs.split(' ').any(|verb| verb == method.as_str()) {
        return Refusal::wrong_verb(method.as_str()).reply();
    }
    let params = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let plan = service.faults.plan();
    let cut = Cut {
        everything: false,
        duplicate_rows: plan.duplicate_rows,
        out_of_order: plan.out_of_order,
        rows_missing_every: plan.rows_missing_every,
        refuse_large_limit: service.options.refuse_large_limit,
        since_exclusive: service.options.since_exclusive,
    };
    let query = Query::new(params.map(|params| params.0).unwrap_or_default(), cut);
    let reply = match *method == Method::GET {
        true => get(service, account, route, &query),
        false => write::call(
            service,
            account,
            method,
            route,
            &query,
            body,
            strike.not_applied,
        ),
    };
    if plan.page_drift && matches!(route.path, "salelist" | "salecreditnotelist") {
        service.write(account).play_new_sale();
    }
    reply
}

fn get(service: &Service, account: usize, route: &'static Route, query: &Query) -> Reply {
    let world = service.read(account);
    match read::get(&world, route, query) {
        Ok(document) => Reply::json(200, document.bytes()),
        Err(refusal) => refusal.reply(),
    }
}
