//! Claims over HTTP: who holds which units, held and released by hand.

use axum::{
    Json, Router,
    extract::{RawQuery, State, rejection::JsonRejection},
    routing::{get, post},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::orders::Claim;

use super::{PAGE_MAX, orders, said_by};
use crate::{
    http::{
        App,
        caller::{Caller, see_instance},
        error::ApiError,
        query::Params,
    },
    orders::HoldAsk,
};

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/orders/claims", get(list_claims).post(hold_units))
        .route("/v1/orders/claims/release", post(release_units))
}

/// Who holds which units, by id.
#[derive(Debug, Serialize)]
pub struct ClaimsView {
    claims: Vec<Claim>,
    /// Where the next page begins: `after`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/orders/claims`: who holds which units of an instance.
pub async fn list_claims(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<ClaimsView>, ApiError> {
    let params = Params::read(query.as_deref(), &["instance", "order", "after", "limit"])?;
    let limit = params.limit("limit", 100, PAGE_MAX)? as usize;
    let missing = || ApiError::bad_request("bad_parameter", "`instance` is needed");
    let instance = params.one("instance")?.ok_or_else(missing)?;
    see_instance(&caller, &instance)?;
    let (order, after) = (params.one("order")?, params.one("after")?);
    let mut claims = orders(&app).claims(&instance, order.as_deref()).await?;
    claims.sort_by(|a, b| a.id.cmp(&b.id));
    claims.retain(|claim| after.as_ref().is_none_or(|after| claim.id > *after));
    let goes_on = claims.len() > limit;
    claims.truncate(limit);
    let next = claims.last().filter(|_| goes_on);
    let next = next.map(|claim| claim.id.clone());
    Ok(Json(ClaimsView { claims, next }))
}

/// A claim's id.
#[derive(Debug, Serialize)]
pub struct HeldView {
    id: String,
}

/// `POST /v1/orders/claims`: holds units for an order, unless they are taken.
pub async fn hold_units(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
    ask: Result<Json<HoldAsk>, JsonRejection>,
) -> Result<(StatusCode, Json<HeldView>), ApiError> {
    let Json(ask) = ask?;
    let by = said_by(&caller, query.as_deref())?;
    see_instance(&caller, &ask.instance)?;
    let id = orders(&app).hold(&ask, &by).await?;
    Ok((StatusCode::CREATED, Json(HeldView { id })))
}

/// A claim to be released.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseUnits {
    /// The instance.
    instance: String,
    /// The claim.
    id: String,
    /// Why.
    reason: String,
}

/// `POST /v1/orders/claims/release`: gives held units back.
pub async fn release_units(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
    ask: Result<Json<ReleaseUnits>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let Json(ask) = ask?;
    let by = said_by(&caller, query.as_deref())?;
    see_instance(&caller, &ask.instance)?;
    let was_there = orders(&app)
        .release(&ask.instance, &ask.id, &by, &ask.reason)
        .await?;
    if was_there {
        return Ok(StatusCode::NO_CONTENT);
    }
    let message = format!("there is no claim `{}`", ask.id);
    Err(ApiError::not_found(message))
}
