//! API keys: made, rotated, changed and revoked over HTTP.

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    routing::{get, post},
};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::keys::{ApiKey, Credential, NewKey, Role};

use super::{
    App,
    caller::{Caller, manage},
    error::ApiError,
    projects::given,
    query::Params,
};

/// The most keys of a page.
const PAGE_MAX: i64 = 1000;
/// The most calls a minute that a key can be given.
const CALLS_MAX: i32 = 1_000_000;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/keys", get(list_keys).post(create_key))
        .route(
            "/v1/keys/{key}",
            get(show_key).patch(change_key).delete(revoke_key),
        )
        .route("/v1/keys/{key}/rotate", post(rotate_key))
}

/// Keys, newest first.
#[derive(Debug, Serialize)]
pub struct KeysView {
    keys: Vec<ApiKey>,
}

/// `GET /v1/keys`: those that the caller manages.
pub async fn list_keys(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<KeysView>, ApiError> {
    let params = Params::read(query.as_deref(), &["tenant", "limit"])?;
    let limit = params.limit("limit", 100, PAGE_MAX)?;
    let asked = params.one("tenant")?;
    let tenant = asked.or_else(|| caller.principal().tenant.clone());
    manage(&caller, tenant.as_deref())?;
    let keys = app.store().keys(tenant.as_deref(), limit).await?;
    Ok(Json(KeysView { keys }))
}

/// A key and, this once, its credential.
#[derive(Debug, Serialize)]
pub struct NewKeyView {
    #[serde(flatten)]
    key: ApiKey,
    /// To be presented as `Authorization: Bearer …`. It cannot be shown again.
    credential: Credential,
}

/// The names of the roles, for the description of the API.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum RoleName {
    User,
    Developer,
    Admin,
}

/// A key to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyValues {
    /// Whose it is; the caller's own tenant when absent.
    tenant: Option<String>,
    /// The one project it is confined to.
    project: Option<String>,
    /// What it may do.
    #[schemars(with = "RoleName")]
    role: Role,
    /// What it is for.
    title: String,
    /// Calls it may make in a minute.
    calls_per_minute: Option<i32>,
    /// When it ends by itself.
    #[schemars(with = "Option<String>")]
    expires_at: Option<Timestamp>,
}

/// `POST /v1/keys`: a new one.
pub async fn create_key(
    State(app): State<App>,
    caller: Caller,
    values: Result<Json<KeyValues>, JsonRejection>,
) -> Result<(StatusCode, Json<NewKeyView>), ApiError> {
    let Json(values) = values?;
    let tenant = values.tenant.or_else(|| caller.principal().tenant.clone());
    manage(&caller, tenant.as_deref())?;
    check_rate(values.calls_per_minute)?;
    if tenant.is_none() && (values.role != Role::Admin || values.project.is_some()) {
        let message =
            "a key without a tenant is an operator's: it is an admin's, and of no project";
        return Err(ApiError::bad_request("bad_body", message));
    }
    let new = NewKey {
        tenant,
        project: values.project,
        role: values.role,
        title: values.title,
        calls_per_minute: values.calls_per_minute,
        expires_at: values.expires_at,
    };
    let (key, credential, told) = app.store().create_key(&new).await?;
    app.access().settle(told).await?;
    Ok((StatusCode::CREATED, Json(NewKeyView { key, credential })))
}

fn check_rate(rate: Option<i32>) -> Result<(), ApiError> {
    match rate {
        Some(rate) if !(1..=CALLS_MAX).contains(&rate) => Err(ApiError::bad_request(
            "bad_body",
            format!("`calls_per_minute` must be from 1 to {CALLS_MAX}"),
        )),
        _ => Ok(()),
    }
}

/// The key of that id, if the caller manages it.
async fn managed(app: &App, caller: &Caller, id: &str) -> Result<ApiKey, ApiError> {
    let key = app.store().load_key(id).await?;
    let hidden = manage(caller, key.tenant.as_deref()).is_err();
    if hidden {
        return Err(ApiError::not_found(format!("there is no key `{id}`")));
    }
    Ok(key)
}

/// `GET /v1/keys/{key}`: one of them.
pub async fn show_key(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ApiKey>, ApiError> {
    Ok(Json(managed(&app, &caller, &id).await?))
}

/// What is to change of a key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// What it may do.
    #[schemars(with = "Option<RoleName>")]
    role: Option<Role>,
    /// What it is for.
    title: Option<String>,
    /// Calls it may make in a minute; null: as many as it likes.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<i32>")]
    calls_per_minute: Option<Option<i32>>,
}

/// `PATCH /v1/keys/{key}`: holds from the next request on, on every server.
pub async fn change_key(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    change: Result<Json<KeyChange>, JsonRejection>,
) -> Result<Json<ApiKey>, ApiError> {
    let Json(change) = change?;
    let key = managed(&app, &caller, &id).await?;
    check_rate(change.calls_per_minute.flatten())?;
    if key.tenant.is_none() && change.role.is_some_and(|role| role != Role::Admin) {
        let message = "a key without a tenant is an operator's, and always an admin's";
        return Err(ApiError::bad_request("bad_body", message));
    }
    let title = change.title.as_deref();
    let (key, told) = app
        .store()
        .change_key(&id, change.role, title, change.calls_per_minute)
        .await?;
    app.access().settle(told).await?;
    Ok(Json(key))
}

/// `POST /v1/keys/{key}/rotate`: the old credential is refused from the next request on, on every server.
pub async fn rotate_key(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<NewKeyView>, ApiError> {
    managed(&app, &caller, &id).await?;
    let (key, credential, told) = app.store().rotate_key(&id).await?;
    app.access().settle(told).await?;
    Ok(Json(NewKeyView { key, credential }))
}

/// `DELETE /v1/keys/{key}`: the key is refused from the next request on, on every server.
pub async fn revoke_key(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ApiKey>, ApiError> {
    managed(&app, &caller, &id).await?;
    let (key, told) = app.store().revoke_key(&id).await?;
    app.access().settle(told).await?;
    Ok(Json(key))
}
