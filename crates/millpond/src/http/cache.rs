//! The cache: its families, one key, what is wrong with it, and which routes read through it.

use ::cache::{Invalidated, PhysicalKey, RouteEvidence, Routes};
use axum::{
    Json, Router,
    extract::{MatchedPath, Path, State},
    response::Response,
    routing::get,
};
use http::{Method, StatusCode};
use serde::Serialize;

use super::{App, declared::DECLARED, error::ApiError};
use crate::hot::report::{self, FamiliesView, KeyView};

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/cache/families", get(list_families))
        .route("/v1/cache/doctor", get(doctor))
        .route("/v1/cache/keys/{key}", get(explain).delete(forget))
}

/// Waits for the answer to a request of `method` on `route`, so that the doctor learns which families it read.
pub(super) async fn noted(
    seen: &Routes,
    method: &Method,
    route: &MatchedPath,
    answer: impl Future<Output = Response>,
) -> Response {
    let (response, families) = ::cache::watch(answer).await;
    // A request that was refused had nothing to read.
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        seen.note(&format!("{method} {}", route.as_str()), &families);
    }
    response
}

/// `GET /v1/cache/families`: every family, and how it fares in this process.
pub async fn list_families(State(app): State<App>) -> Json<FamiliesView> {
    Json(FamiliesView::of(app.mirror().hot().cache()))
}

/// What is wrong with the caching.
#[derive(Debug, Serialize)]
pub struct DoctorView {
    /// In sentences.
    findings: Vec<String>,
    /// The routes that are declared cached, and what they read.
    routes: Vec<RouteView>,
}

#[derive(Debug, Serialize)]
struct RouteView {
    route: String,
    /// Requests answered.
    requests: u64,
    /// Those that read something through the cache.
    through_cache: u64,
}

/// `GET /v1/cache/doctor`: families that hit too little and routes that are not wrapped.
pub async fn doctor(State(app): State<App>) -> Json<DoctorView> {
    let cache = app.mirror().hot().cache();
    let evidence = evidence(&app);
    let routes = evidence.iter().map(|route| RouteView {
        route: route.route.clone(),
        requests: route.requests,
        through_cache: route.touched.values().max().copied().unwrap_or_default(),
    });
    Json(DoctorView {
        routes: routes.collect(),
        findings: report::findings(cache, &evidence),
    })
}

/// What the routes that are declared cached did so far in this process.
fn evidence(app: &App) -> Vec<RouteEvidence> {
    let families = app.mirror().hot().cache().families();
    let names: Vec<String> = families.iter().map(|(info, _)| info.name.clone()).collect();
    let cached = DECLARED.iter().filter(|route| !route.cached.is_empty());
    let evidence = cached.map(|route| {
        let declared = families
            .iter()
            .filter(|(info, _)| route.cached.contains(&info.loader.as_str()))
            .map(|(info, _)| info.name.as_str());
        let declared: Vec<&str> = declared.collect();
        let name = format!("{} {}", route.method, route.path);
        app.routes().evidence(&name, &declared, &names)
    });
    evidence.collect()
}

/// What is known about the keys of one name.
#[derive(Debug, Serialize)]
pub struct KeysView {
    keys: Vec<KeyView>,
}

/// `GET /v1/cache/keys/{key}`: where a value is, how old, and until when.
pub async fn explain(
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<Json<KeysView>, ApiError> {
    let cache = app.mirror().hot().cache();
    let mut keys = Vec::new();
    for key in find(&app, &key)? {
        keys.extend(KeyView::of(cache, &key).await);
    }
    Ok(Json(KeysView { keys }))
}

/// What was forgotten.
#[derive(Debug, Serialize)]
pub struct ForgottenView {
    keys: Vec<String>,
    /// `everywhere`; `here`: each process keeps values of its own; `when_back`: here now, in the shared store before it
    /// is read again.
    forgotten: &'static str,
}

/// `DELETE /v1/cache/keys/{key}`: forgets a value; the next read loads it.
pub async fn forget(
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<Json<ForgottenView>, ApiError> {
    let keys = find(&app, &key)?;
    let cache = app.mirror().hot().cache();
    let done = cache.invalidate(&keys).await;
    let forgotten = match done {
        Invalidated::WhenBack => "when_back",
        Invalidated::Everywhere if cache.health().shared.is_none() => "here",
        Invalidated::Everywhere => "everywhere",
    };
    let names = keys.iter().map(|key| key.unversioned().to_owned());
    Ok(Json(ForgottenView {
        keys: names.collect(),
        forgotten,
    }))
}

fn find(app: &App, name: &str) -> Result<Vec<PhysicalKey>, ApiError> {
    let mirror = app.mirror();
    let keys = report::locate(mirror.hot().cache(), name, &mirror.instances());
    if keys.is_empty() {
        let message = format!("no family of the cache has a key `{name}`");
        return Err(ApiError::not_found(message).hint(
            "GET /v1/cache/families lists the families; an owner stands before the name, as in i=INSTANCE:NAME",
        ));
    }
    Ok(keys)
}
