//! Tenants and their instances.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    routing::{get, put},
};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{
    keys::Principal,
    tenants::{Tenant, TenantChange},
    usage::Meter,
};

use super::{
    App,
    caller::{Caller, see_tenant},
    error::ApiError,
    query::Params,
};

/// The most tenants of a page.
const PAGE_MAX: i64 = 1000;
/// The most meters of a tenant.
const METERS_MAX: usize = 50;
/// The most letters of a meter's name.
const METER_CHARS_MAX: usize = 50;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/principal", get(show_principal))
        .route("/v1/tenants", get(list_tenants).post(create_tenant))
        .route(
            "/v1/tenants/{tenant}",
            get(show_tenant).patch(change_tenant).delete(delete_tenant),
        )
        .route("/v1/tenants/{tenant}/usage", get(show_usage))
        .route(
            "/v1/tenants/{tenant}/instances/{instance}",
            put(own_instance).delete(disown_instance),
        )
}

/// Who asks.
#[derive(Debug, Serialize)]
pub struct PrincipalView {
    #[serde(flatten)]
    principal: Principal,
    operator: bool,
    /// The instances that are there for it.
    instances: Vec<String>,
}

/// `GET /v1/principal`: who asks, and what they see.
pub async fn show_principal(State(app): State<App>, caller: Caller) -> Json<PrincipalView> {
    let mut instances = app.mirror().instances();
    instances.retain(|name| caller.sees(name));
    Json(PrincipalView {
        principal: caller.principal().clone(),
        operator: caller.principal().is_operator(),
        instances,
    })
}

/// A page of tenants.
#[derive(Debug, Serialize)]
pub struct TenantsView {
    tenants: Vec<Tenant>,
    /// Where the next page begins: `after`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/tenants`: by id.
pub async fn list_tenants(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<TenantsView>, ApiError> {
    let params = Params::read(query.as_deref(), &["after", "limit"])?;
    let limit = params.limit("limit", 100, PAGE_MAX)?;
    let after = params.one("after")?;
    if let Some(own) = &caller.principal().tenant {
        let mut tenants: Vec<Tenant> = app.store().find_tenant(own).await?.into_iter().collect();
        tenants.retain(|tenant| after.as_ref().is_none_or(|after| tenant.id > *after));
        return Ok(Json(TenantsView {
            tenants,
            next: None,
        }));
    }
    let tenants = app.store().tenants(after.as_deref(), limit).await?;
    let is_full = tenants.len() as i64 == limit;
    let next = tenants
        .last()
        .filter(|_| is_full)
        .map(|tenant| tenant.id.clone());
    Ok(Json(TenantsView { tenants, next }))
}

/// `GET /v1/tenants/{tenant}`: one of them.
pub async fn show_tenant(
    State(app): State<App>,
    caller: Caller,
    Path(tenant): Path<String>,
) -> Result<Json<Tenant>, ApiError> {
    see_tenant(&caller, &tenant)?;
    Ok(Json(app.store().load_tenant(&tenant).await?))
}

/// What a tenant has used of its quota window.
#[derive(Debug, Serialize)]
pub struct UsageView {
    window_start: Timestamp,
    window_end: Timestamp,
    meters: Vec<Meter>,
}

/// `GET /v1/tenants/{tenant}/usage`: exact for meters with a limit; requests without one may be a second late.
pub async fn show_usage(
    State(app): State<App>,
    caller: Caller,
    Path(tenant): Path<String>,
) -> Result<Json<UsageView>, ApiError> {
    see_tenant(&caller, &tenant)?;
    let tenant = app.store().load_tenant(&tenant).await?;
    Ok(Json(UsageView {
        meters: app.store().usage(&tenant).await?,
        window_start: tenant.window_start,
        window_end: tenant.window_end,
    }))
}

/// A tenant to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Lower-case letters, digits and hyphens.
    id: String,
    /// Its name for people; its id when absent.
    title: Option<String>,
    /// What it pays for.
    plan: Option<String>,
    /// How long its quota window is: hour, day or month.
    cycle: Option<String>,
    /// The most of each meter in one window.
    limits: Option<BTreeMap<String, i64>>,
}

/// What a tenant may be given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantValues {
    /// Its name for people.
    title: Option<String>,
    /// What it pays for.
    plan: Option<String>,
    /// How long its quota window is: hour, day or month.
    cycle: Option<String>,
    /// All limits: the most of each meter in one window.
    limits: Option<BTreeMap<String, i64>>,
}

impl TenantValues {
    fn check(self) -> Result<TenantChange, ApiError> {
        if let Some(limits) = &self.limits {
            let bad = limits.iter().find(|(name, most)| {
                **most < 0 || name.is_empty() || name.chars().count() > METER_CHARS_MAX
            });
            if let Some((name, most)) = bad {
                let message = format!("`limits`: `{name}` cannot be {most}");
                return Err(ApiError::bad_request("bad_body", message));
            }
            if limits.len() > METERS_MAX {
                let message = format!("there are more than {METERS_MAX} limits");
                return Err(ApiError::bad_request("bad_body", message));
            }
        }
        Ok(TenantChange {
            title: self.title,
            plan: self.plan,
            cycle: self.cycle,
            limits: self.limits,
        })
    }
}

/// `POST /v1/tenants`: a new one.
pub async fn create_tenant(
    State(app): State<App>,
    new: Result<Json<NewTenant>, JsonRejection>,
) -> Result<(StatusCode, Json<Tenant>), ApiError> {
    let Json(new) = new?;
    let values = TenantValues {
        title: new.title,
        plan: new.plan,
        cycle: new.cycle,
        limits: new.limits,
    };
    let change = values.check()?;
    let tenant = app.store().create_tenant(&new.id, &change).await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}

/// `PATCH /v1/tenants/{tenant}`: changes what the body names.
pub async fn change_tenant(
    State(app): State<App>,
    Path(tenant): Path<String>,
    values: Result<Json<TenantValues>, JsonRejection>,
) -> Result<Json<Tenant>, ApiError> {
    let Json(values) = values?;
    let change = values.check()?;
    let (tenant, told) = app.store().change_tenant(&tenant, &change).await?;
    app.access().settle(told).await?;
    Ok(Json(tenant))
}

/// `DELETE /v1/tenants/{tenant}`: with its projects and keys. Its instances stay.
pub async fn delete_tenant(
    State(app): State<App>,
    Path(tenant): Path<String>,
) -> Result<StatusCode, ApiError> {
    let told = app.store().delete_tenant(&tenant).await?;
    app.access().settle(told).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v1/tenants/{tenant}/instances/{instance}`: makes the tenant its owner.
pub async fn own_instance(
    State(app): State<App>,
    Path((tenant, instance)): Path<(String, String)>,
) -> Result<Json<Tenant>, ApiError> {
    let told = app.store().own_instance(&instance, Some(&tenant)).await?;
    app.access().settle(told).await?;
    Ok(Json(app.store().load_tenant(&tenant).await?))
}

/// `DELETE /v1/tenants/{tenant}/instances/{instance}`: nobody owns it then.
pub async fn disown_instance(
    State(app): State<App>,
    Path((tenant, instance)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let owned = app.store().load_tenant(&tenant).await?.instances;
    if !owned.contains(&instance) {
        let message = format!("{tenant} does not own `{instance}`");
        return Err(ApiError::not_found(message));
    }
    let told = app.store().own_instance(&instance, None).await?;
    app.access().settle(told).await?;
    Ok(StatusCode::NO_CONTENT)
}
