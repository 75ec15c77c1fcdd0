//! Webhooks over HTTP: made, changed, looked at, and told again.

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    routing::{get, post},
};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::webhooks::{Delivery, NewWebhook, Webhook, WebhookChange};

use super::{
    App,
    caller::{Caller, manage},
    error::ApiError,
    projects::given,
    query::Params,
};
use crate::webhooks::{Replay, WebhookError, WebhookSecret};

/// The most deliveries of a page.
const PAGE_MAX: i64 = 1000;
/// What deliveries can be.
const STATES: [&str; 4] = ["pending", "delivered", "dead", "withheld"];

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/webhooks", get(list_webhooks).post(create_webhook))
        .route(
            "/v1/webhooks/{name}",
            get(show_webhook)
                .patch(change_webhook)
                .delete(delete_webhook),
        )
        .route("/v1/webhooks/{name}/rotate", post(rotate_webhook))
        .route("/v1/webhooks/{name}/deliveries", get(list_deliveries))
        .route("/v1/webhooks/{name}/replay", post(replay))
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        let code = match &error {
            WebhookError::Store(error) => return error.into(),
            WebhookError::Name(_) => "bad_name",
            WebhookError::Url(_) => {
                return Self::bad_request("bad_url", error.to_string()).hint(
                    "give an https:// address on the internet, or set `webhooks.private_hosts`",
                );
            }
            WebhookError::Names { .. } => "bad_body",
            WebhookError::Cursor(_) | WebhookError::Beyond(_) => "bad_cursor",
        };
        Self::bad_request(code, error.to_string())
    }
}

/// Whose webhooks are meant: `?tenant=`, else the caller's own tenant. Answers the other parameters too.
fn owner(
    caller: &Caller,
    query: Option<&str>,
    others: &[&str],
) -> Result<(Option<String>, Params), ApiError> {
    let mut allowed = vec!["tenant"];
    allowed.extend(others);
    let params = Params::read(query, &allowed)?;
    let asked = params.one("tenant")?;
    let tenant = asked.or_else(|| caller.principal().tenant.clone());
    manage(caller, tenant.as_deref())?;
    Ok((tenant, params))
}

/// Webhooks, by name.
#[derive(Debug, Serialize)]
pub struct WebhooksView {
    webhooks: Vec<Webhook>,
}

/// `GET /v1/webhooks`: those of the caller's tenant, of another that it manages, or the operators'.
pub async fn list_webhooks(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<WebhooksView>, ApiError> {
    let (tenant, _) = owner(&caller, query.as_deref(), &[])?;
    let webhooks = app.store().webhooks(tenant.as_deref()).await?;
    Ok(Json(WebhooksView { webhooks }))
}

/// A webhook and, this once, its secret.
#[derive(Debug, Serialize)]
pub struct NewWebhookView {
    #[serde(flatten)]
    webhook: Webhook,
    /// What receivers verify signatures with. It cannot be shown again.
    secret: WebhookSecret,
}

/// A webhook to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookValues {
    /// Its name: lower-case letters, digits and hyphens, at most 64.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// Where changes are posted: https, on the internet.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// Whose it is; the caller's own tenant when absent.
    tenant: Option<String>,
    /// The one project whose instances it is told of.
    project: Option<String>,
    /// Only changes of these resources.
    #[schemars(length(min = 1, max = 100))]
    resources: Option<Vec<String>>,
    /// Only changes in these instances.
    #[schemars(length(min = 1, max = 100))]
    instances: Option<Vec<String>>,
    /// A cursor of the feed of changes: those after it are told. Absent: those from now on. `0-0`: all that are kept.
    after: Option<String>,
}

/// `POST /v1/webhooks`: a new one.
pub async fn create_webhook(
    State(app): State<App>,
    caller: Caller,
    values: Result<Json<WebhookValues>, JsonRejection>,
) -> Result<(StatusCode, Json<NewWebhookView>), ApiError> {
    let Json(values) = values?;
    let tenant = values.tenant.or_else(|| caller.principal().tenant.clone());
    manage(&caller, tenant.as_deref())?;
    if tenant.is_none() && values.project.is_some() {
        let message = "a project is a tenant's: say whose with `tenant`";
        return Err(ApiError::bad_request("bad_body", message));
    }
    let after = values.after.map(|text| text.parse()).transpose();
    let new = NewWebhook {
        name: values.name,
        tenant,
        project: values.project,
        url: values.url,
        resources: values.resources,
        instances: values.instances,
        after: after.map_err(WebhookError::Cursor)?,
    };
    let (webhook, secret) = Box::pin(app.webhooks().create(&new)).await?;
    Ok((
        StatusCode::CREATED,
        Json(NewWebhookView { webhook, secret }),
    ))
}

/// `GET /v1/webhooks/{name}`: one of them.
pub async fn show_webhook(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Webhook>, ApiError> {
    let (tenant, _) = owner(&caller, query.as_deref(), &[])?;
    Ok(Json(app.webhooks().load(tenant.as_deref(), &name).await?))
}

/// What is to change of a webhook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChanges {
    /// Where changes are posted.
    #[schemars(length(min = 1, max = 2000))]
    url: Option<String>,
    /// Only changes of these resources; null: of all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 100))]
    resources: Option<Option<Vec<String>>>,
    /// Only changes in these instances; null: in all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 100))]
    instances: Option<Option<Vec<String>>>,
    /// Whether it is told anything. Where it stopped it goes on.
    enabled: Option<bool>,
}

/// `PATCH /v1/webhooks/{name}`: holds from the next attempt on.
pub async fn change_webhook(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    changes: Result<Json<WebhookChanges>, JsonRejection>,
) -> Result<Json<Webhook>, ApiError> {
    let Json(changes) = changes?;
    let (tenant, _) = owner(&caller, query.as_deref(), &[])?;
    let change = WebhookChange {
        url: changes.url,
        resources: changes.resources,
        instances: changes.instances,
        enabled: changes.enabled,
    };
    let changed = Box::pin(app.webhooks().change(tenant.as_deref(), &name, &change)).await?;
    Ok(Json(changed))
}

/// `DELETE /v1/webhooks/{name}`: with its deliveries.
pub async fn delete_webhook(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    let (tenant, _) = owner(&caller, query.as_deref(), &[])?;
    app.webhooks().delete(tenant.as_deref(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/webhooks/{name}/rotate`: for a day deliveries are signed with both secrets.
pub async fn rotate_webhook(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<NewWebhookView>, ApiError> {
    let (tenant, _) = owner(&caller, query.as_deref(), &[])?;
    let (webhook, secret) = app.webhooks().rotate(tenant.as_deref(), &name).await?;
    Ok(Json(NewWebhookView { webhook, secret }))
}

/// Deliveries, newest first.
#[derive(Debug, Serialize)]
pub struct DeliveriesView {
    deliveries: Vec<Delivery>,
    /// Where the next page begins: `before`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// `GET /v1/webhooks/{name}/deliveries`: what was sent, what waits, what was given up and why.
pub async fn list_deliveries(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveriesView>, ApiError> {
    let allowed = ["state", "before", "limit"];
    let (tenant, params) = owner(&caller, query.as_deref(), &allowed)?;
    let limit = params.limit("limit", 50, PAGE_MAX)?;
    let state = params.one("state")?;
    if let Some(state) = &state
        && !STATES.contains(&state.as_str())
    {
        let message = format!("`state` is one of {}", STATES.join(", "));
        return Err(ApiError::bad_request("bad_parameter", message));
    }
    let before = params.parsed("before")?;
    let webhook = app.webhooks().load(tenant.as_deref(), &name).await?;
    let deliveries = app
        .store()
        .deliveries(&webhook, state.as_deref(), before, limit)
        .await?;
    let is_full = deliveries.len() as i64 == limit;
    let next = deliveries.last().filter(|_| is_full).map(|d| d.number);
    Ok(Json(DeliveriesView { deliveries, next }))
}

/// What is to be told again: exactly one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayAsk {
    /// A dead delivery, by its id.
    delivery: Option<String>,
    /// All dead deliveries.
    #[serde(default)]
    dead: bool,
    /// Every change after this cursor of the feed, in new deliveries.
    after: Option<String>,
    /// Every change that came in since, in new deliveries.
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
}

/// What is told again.
#[derive(Debug, Serialize)]
pub struct ReplayedView {
    /// Dead deliveries that are on their way again.
    deliveries: u64,
    /// The place in the feed after which changes are put into deliveries.
    cursor: String,
}

/// `POST /v1/webhooks/{name}/replay`: tells something again.
pub async fn replay(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    ask: Result<Json<ReplayAsk>, JsonRejection>,
) -> Result<(StatusCode, Json<ReplayedView>), ApiError> {
    let Json(ask) = ask?;
    let (tenant, _) = owner(&caller, query.as_deref(), &[])?;
    let what = match (ask.delivery, ask.dead, ask.after, ask.since) {
        (Some(id), false, None, None) => Replay::Delivery(id),
        (None, true, None, None) => Replay::Dead,
        (None, false, Some(text), None) => {
            Replay::After(text.parse().map_err(WebhookError::Cursor)?)
        }
        (None, false, None, Some(since)) => Replay::Since(since),
        _ => {
            let message = "give exactly one of `delivery`, `dead`, `after` and `since`";
            return Err(ApiError::bad_request("bad_body", message));
        }
    };
    let deliveries = Box::pin(app.webhooks().replay(tenant.as_deref(), &name, &what)).await?;
    let cursor = app.webhooks().load(tenant.as_deref(), &name).await?.cursor;
    Ok((
        StatusCode::ACCEPTED,
        Json(ReplayedView { deliveries, cursor }),
    ))
}
