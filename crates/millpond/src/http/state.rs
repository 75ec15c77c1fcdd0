//! How the server and the mirror are: health, readiness, instances.

use axum::{
    Json,
    extract::{Path, State},
};
use mirror::{ResourceStatus, Status};
use serde::Serialize;
use store::{
    instances::{ConnectionRow, Instance},
    jobs::Job,
};

use super::{App, caller::Caller, error::ApiError};

/// That the process lives.
#[derive(Debug, Serialize)]
pub struct Health {
    status: &'static str,
    version: &'static str,
}

/// `GET /healthz`: the process lives.
pub async fn healthz() -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// `GET /readyz`: the database answers, and the server is not about to stop.
pub async fn readyz(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    if app.stop().is_cancelled() {
        return Err(ApiError::unavailable(
            "stopping",
            "the server is about to stop",
        ));
    }
    app.store().ping().await?;
    Ok(healthz().await)
}

/// Every instance and how its copy is.
#[derive(Debug, Serialize)]
pub struct InstancesView {
    instances: Vec<InstanceView>,
    /// The newest snapshot.
    snapshot: i64,
    /// Records that PostgreSQL could not hold; only operators are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<i64>,
}

/// One instance and how its copy is.
#[derive(Debug, Serialize)]
pub struct InstanceView {
    #[serde(flatten)]
    instance: Instance,
    resources: Vec<ResourceStatus>,
    connections: Vec<ConnectionRow>,
    /// Jobs whose last runs failed.
    failing: Vec<Job>,
}

/// `GET /v1/instances`: is the mirror fresh, what fails, what happens next.
pub async fn list_instances(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<InstancesView>, ApiError> {
    let Status {
        mut resources,
        mut connections,
        mut failing,
        quarantined,
        snapshot,
    } = app.mirror().status().await?;
    let configured = app.mirror().instances();
    let rows = app.store().instances().await?;
    let instances = rows
        .into_iter()
        .filter(|row| configured.contains(&row.name) && caller.sees(&row.name))
        .map(|row| InstanceView {
            resources: resources
                .extract_if(.., |r| r.instance == row.name)
                .collect(),
            // Where credentials are found is the operators' business.
            connections: connections
                .extract_if(.., |c| c.instance == row.name && caller.scope().is_none())
                .collect(),
            failing: failing.extract_if(.., |j| j.instance == row.name).collect(),
            instance: row,
        });
    Ok(Json(InstancesView {
        instances: instances.collect(),
        snapshot,
        quarantined: caller.scope().is_none().then_some(quarantined),
    }))
}

/// `GET /v1/instances/{instance}`: one of them.
pub async fn show_instance(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<InstanceView>, ApiError> {
    let Json(all) = list_instances(State(app), caller).await?;
    all.instances
        .into_iter()
        .find(|view| view.instance.name == name)
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("there is no instance `{name}`")))
}
