//! Where the calls go, and what more or fewer of them would give.

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use mirror::{Explained, Forecasted, hot::HotValue};
use serde::Serialize;

use super::{
    App,
    caller::{Caller, see_instance},
    error::ApiError,
    records::name,
};

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/freshness/{resource}/{instance}/{id}", get(explain))
        .route("/v1/cache/records/{resource}/{instance}/{id}", get(hot))
        .route("/v1/instances/{instance}/forecast", get(forecast))
}

/// `GET /v1/freshness/{resource}/{instance}/{id}`: why a record or payload was or was not fetched.
pub async fn explain(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id)): Path<(String, String, String)>,
) -> Result<Json<Explained>, ApiError> {
    let resource = name(&resource)?;
    see_instance(&caller, &instance)?;
    let mirror = app.mirror();
    let explained = Box::pin(mirror.explain(&resource, &instance, &id)).await?;
    explained.map(Json).ok_or_else(|| {
        let message =
            format!("nobody has read {resource} `{id}` of {instance} in the last day: nothing is known of it");
        ApiError::not_found(message).hint("read it, and ask again")
    })
}

/// What is kept hot for a record.
#[derive(Debug, Serialize)]
pub struct HotView {
    /// The record's own value, and its payloads'.
    values: Vec<HotValue>,
}

/// `GET /v1/cache/records/{resource}/{instance}/{id}`: what is kept hot for a record, and for how much longer.
pub async fn hot(
    State(app): State<App>,
    caller: Caller,
    Path((resource, instance, id)): Path<(String, String, String)>,
) -> Result<Json<HotView>, ApiError> {
    let resource = name(&resource)?;
    see_instance(&caller, &instance)?;
    let mirror = app.mirror();
    let values = Box::pin(mirror.hot_values(&resource, &instance, &id)).await?;
    values
        .map(|values| Json(HotView { values }))
        .ok_or_else(|| {
            ApiError::not_found(format!("{resource} of {instance} has no record `{id}`"))
        })
}

/// `GET /v1/instances/{instance}/forecast`: what each policy would reach with this budget, half of it and twice as much.
pub async fn forecast(
    State(app): State<App>,
    caller: Caller,
    Path(instance): Path<String>,
) -> Result<Json<Forecasted>, ApiError> {
    see_instance(&caller, &instance)?;
    let mirror = app.mirror();
    Ok(Json(Box::pin(mirror.forecast(&instance)).await?))
}
