//! Where the calls go, and what more or fewer of them would give.

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use mirror::{Explained, Forecasted};

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
