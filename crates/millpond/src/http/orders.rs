//! Order plans over HTTP: make, look, explain, approve, apply, cancel.

mod claims;
mod refusal;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    routing::{get, post},
};
use http::StatusCode;
use serde::Serialize;
use store::orders::PlanRow;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::claims::ReleaseUnits;
use super::{
    App,
    caller::{Caller, see_instance},
    error::ApiError,
    query::Params,
};
use crate::{
    cli::{chain_of, serve::owner},
    orders::{Explanation, Orders, OrdersError, PlanAsk, PlanView},
};

/// The most rows of a page, and of each list of a plan.
const PAGE_MAX: i64 = 1000;
/// So many plans are made at once at the most: making one can take a core for minutes.
const MAKING_MAX: usize = 2;
/// So many plans are applied at once by one server at the most.
const APPLYING_MAX: usize = 8;
/// Who says so when nobody is named.
const NOBODY: &str = "the API";

static MAKING: Semaphore = Semaphore::const_new(MAKING_MAX);
static APPLYING: Semaphore = Semaphore::const_new(APPLYING_MAX);

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/orders/plans", get(list_plans).post(make_plan))
        .route("/v1/orders/plans/{plan}", get(show_plan))
        .route("/v1/orders/plans/{plan}/orders/{order}", get(explain_order))
        .route("/v1/orders/plans/{plan}/approve", post(approve_plan))
        .route("/v1/orders/plans/{plan}/apply", post(apply_plan))
        .route("/v1/orders/plans/{plan}/cancel", post(cancel_plan))
        .merge(claims::routes())
}

/// `POST /v1/orders/plans`: plans from the mirror, without a call. A caller who goes away leaves the plan to be
/// finished and stored.
pub async fn make_plan(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
    ask: Result<Json<PlanAsk>, JsonRejection>,
) -> Result<(StatusCode, Json<PlanPage>), ApiError> {
    let Json(ask) = ask?;
    let by = said_by(&caller, query.as_deref())?;
    see_instance(&caller, &ask.instance)?;
    if let Some(serves) = &ask.serves {
        see_instance(&caller, &serves.instance)?;
    }
    let permit = admitted(&MAKING, "as many plans as can be are being made")?;
    let orders = orders(&app);
    let made = tokio::spawn(async move {
        let _permit = permit;
        orders.plan(&ask, &by).await
    });
    let view = made
        .await
        .map_err(|error| ApiError::internal(error.to_string()))??;
    Ok((
        StatusCode::CREATED,
        Json(PlanPage::of(view, 0, PAGE_MAX as usize)),
    ))
}

/// Plans, newest first.
#[derive(Debug, Serialize)]
pub struct PlansView {
    plans: Vec<PlanRow>,
    /// Where the next page begins: `before`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// `GET /v1/orders/plans`: plans, newest first.
pub async fn list_plans(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<PlansView>, ApiError> {
    let params = Params::read(query.as_deref(), &["instance", "state", "before", "limit"])?;
    let limit = params.limit("limit", 50, PAGE_MAX)?;
    let mut plans = orders(&app)
        .list(
            params.one("instance")?.as_deref(),
            params.one("state")?.as_deref(),
            params.parsed("before")?,
            limit,
        )
        .await?;
    let is_full = plans.len() as i64 == limit;
    let next = plans.last().filter(|_| is_full).map(|plan| plan.id);
    plans.retain(|plan| caller.sees(&plan.instance));
    Ok(Json(PlansView { plans, next }))
}

/// A plan, so much of each of its lists.
#[derive(Debug, Serialize)]
pub struct PlanPage {
    #[serde(flatten)]
    plan: PlanView,
    /// Where the lists go on: `after`. Absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<usize>,
}

impl PlanPage {
    fn of(mut plan: PlanView, after: usize, limit: usize) -> Self {
        let goes_on = plan.cut(after, limit);
        let next = goes_on.then(|| after.saturating_add(limit));
        Self { plan, next }
    }
}

/// `GET /v1/orders/plans/{plan}`: what it writes, has written, and leaves short.
pub async fn show_plan(
    State(app): State<App>,
    caller: Caller,
    Path(plan): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<PlanPage>, ApiError> {
    let params = Params::read(query.as_deref(), &["after", "limit"])?;
    let after: i64 = params.parsed("after")?.unwrap_or(0);
    let after = usize::try_from(after)
        .map_err(|_| ApiError::bad_request("bad_parameter", "`after` must be 0 or more"))?;
    let limit = params.limit("limit", PAGE_MAX, PAGE_MAX)?;
    let id = seen(&app, &caller, &plan).await?;
    let view = orders(&app).show(id).await?;
    Ok(Json(PlanPage::of(view, after, limit as usize)))
}

/// `GET /v1/orders/plans/{plan}/orders/{order}`: why one order gets what it gets.
pub async fn explain_order(
    State(app): State<App>,
    caller: Caller,
    Path((plan, order)): Path<(String, String)>,
) -> Result<Json<Explanation>, ApiError> {
    let id = seen(&app, &caller, &plan).await?;
    Ok(Json(orders(&app).explain(id, &order).await?))
}

/// `POST /v1/orders/plans/{plan}/approve`: its units are hard from then on.
pub async fn approve_plan(
    State(app): State<App>,
    caller: Caller,
    Path(plan): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<PlanRow>, ApiError> {
    let by = said_by(&caller, query.as_deref())?;
    let id = seen(&app, &caller, &plan).await?;
    orders(&app).approve(id, &by).await?;
    Ok(Json(app.store().load_plan(id).await?))
}

/// `POST /v1/orders/plans/{plan}/cancel`: gives its units back.
pub async fn cancel_plan(
    State(app): State<App>,
    caller: Caller,
    Path(plan): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<PlanRow>, ApiError> {
    let by = said_by(&caller, query.as_deref())?;
    let id = seen(&app, &caller, &plan).await?;
    orders(&app).cancel(id, &by).await?;
    Ok(Json(app.store().load_plan(id).await?))
}

/// `POST /v1/orders/plans/{plan}/apply`: begins to write it, or goes on where an apply was cut off. The plan itself,
/// and the event `orders:plan:ended`, say how far it is. Sent again, it writes nothing twice.
pub async fn apply_plan(
    State(app): State<App>,
    caller: Caller,
    Path(plan): Path<String>,
) -> Result<(StatusCode, Json<PlanRow>), ApiError> {
    let id = seen(&app, &caller, &plan).await?;
    let row = app.store().load_plan(id).await?;
    match row.state.as_str() {
        "done" | "partial" | "needs_person" => return Ok((StatusCode::OK, Json(row))),
        "approved" | "applying" => {}
        _ => {
            let state = row.state;
            return Err(OrdersError::NotNow { plan: id, state }.into());
        }
    }
    let permit = admitted(&APPLYING, "as many plans as can be are being applied")?;
    let (orders, stop) = (orders(&app), app.stop().clone());
    tokio::spawn(async move {
        let _permit = permit;
        let owner = owner();
        // An apply that is cut off has a row for every write: any worker, or the next apply, goes on from there.
        let ended = tokio::select! {
            ended = orders.apply(id, &owner) => ended.map(drop),
            () = stop.cancelled() => Ok(()),
        };
        match ended {
            Ok(()) | Err(OrdersError::Busy { .. }) => {}
            Err(error) => tracing::warn!(
                plan.id = id,
                error = chain_of(&error),
                "the apply of plan {id} rests"
            ),
        }
    });
    Ok((StatusCode::ACCEPTED, Json(row)))
}

fn admitted(
    gate: &'static Semaphore,
    full: &'static str,
) -> Result<SemaphorePermit<'static>, ApiError> {
    gate.try_acquire()
        .map_err(|_| ApiError::unavailable("busy", full).hint("ask again in a while"))
}

fn orders(app: &App) -> Orders {
    Orders::new(app.mirror().clone())
}

/// Who says so: `by`, and beside it the key that was shown.
fn said_by(caller: &Caller, query: Option<&str>) -> Result<String, ApiError> {
    let params = Params::read(query, &["by"])?;
    let by = params.one("by")?.filter(|by| !by.is_empty());
    Ok(match (by, &caller.principal().key) {
        (Some(by), Some(key)) => format!("{by} (key {key})"),
        (Some(by), None) => by,
        (None, Some(key)) => format!("key {key}"),
        (None, None) => NOBODY.to_owned(),
    })
}

/// The number of a plan of an instance that the caller sees.
async fn seen(app: &App, caller: &Caller, text: &str) -> Result<i64, ApiError> {
    let unknown = || ApiError::not_found(format!("there is no plan `{text}`"));
    let id = text.parse().map_err(|_| unknown())?;
    let plan = app.store().load_plan(id).await?;
    if caller.sees(&plan.instance) {
        Ok(id)
    } else {
        Err(unknown())
    }
}
