//! A tenant's projects.

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    routing::get,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::tenants::{Project, ProjectChange, ProjectCounts};

use super::{
    App,
    caller::{Caller, manage, see_tenant},
    error::ApiError,
    query::Params,
};

/// The most projects of a page.
const PAGE_MAX: i64 = 1000;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/v1/tenants/{tenant}/projects",
            get(list_projects).post(create_project),
        )
        .route(
            "/v1/tenants/{tenant}/projects/{project}",
            get(show_project)
                .patch(change_project)
                .delete(delete_project),
        )
}

/// A page of projects.
#[derive(Debug, Serialize)]
pub struct ProjectsView {
    projects: Vec<Project>,
    /// Where the next page begins: `after`. Absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/tenants/{tenant}/projects`: by id.
pub async fn list_projects(
    State(app): State<App>,
    caller: Caller,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ProjectsView>, ApiError> {
    let params = Params::read(query.as_deref(), &["after", "limit"])?;
    let limit = params.limit("limit", 100, PAGE_MAX)?;
    let after = params.one("after")?;
    see_tenant(&caller, &tenant)?;
    app.store().load_tenant(&tenant).await?;
    let mut projects = app
        .store()
        .projects(&tenant, after.as_deref(), limit)
        .await?;
    let is_full = projects.len() as i64 == limit;
    let next = projects.last().filter(|_| is_full).map(|p| p.id.clone());
    projects.retain(|project| caller.sees_project(&tenant, &project.id));
    Ok(Json(ProjectsView { projects, next }))
}

/// A project and what a dashboard shows of it.
#[derive(Debug, Serialize)]
pub struct ProjectView {
    #[serde(flatten)]
    project: Project,
    counts: ProjectCounts,
}

/// `GET /v1/tenants/{tenant}/projects/{project}`: one of them, with its counts.
pub async fn show_project(
    State(app): State<App>,
    caller: Caller,
    Path((tenant, project)): Path<(String, String)>,
) -> Result<Json<ProjectView>, ApiError> {
    if !caller.sees_project(&tenant, &project) {
        let message = format!("there is no project `{project}` of {tenant}");
        return Err(ApiError::not_found(message));
    }
    let row = app.store().load_project(&tenant, &project).await?;
    let counts = app.store().count_project(&tenant, &project).await?;
    Ok(Json(ProjectView {
        project: row,
        counts,
    }))
}

/// A project to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// Lower-case letters, digits and hyphens.
    id: String,
    /// Its name for people; its id when absent.
    title: Option<String>,
    /// The tenant's instances that it sees; all when absent.
    instances: Option<Vec<String>>,
}

/// `POST /v1/tenants/{tenant}/projects`: a new one.
pub async fn create_project(
    State(app): State<App>,
    caller: Caller,
    Path(tenant): Path<String>,
    new: Result<Json<NewProject>, JsonRejection>,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let Json(new) = new?;
    manage(&caller, Some(&tenant))?;
    let title = new.title.as_deref();
    let (project, told) = app
        .store()
        .create_project(&tenant, &new.id, title, new.instances.as_deref())
        .await?;
    app.access().settle(told).await?;
    Ok((StatusCode::CREATED, Json(project)))
}

/// What is to change of a project.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectValues {
    /// Its name for people.
    title: Option<String>,
    /// The tenant's instances that it sees; null: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<String>>")]
    instances: Option<Option<Vec<String>>>,
}

/// Tells a null from nothing at all.
pub(super) fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// `PATCH /v1/tenants/{tenant}/projects/{project}`: changes what the body names.
pub async fn change_project(
    State(app): State<App>,
    caller: Caller,
    Path((tenant, project)): Path<(String, String)>,
    values: Result<Json<ProjectValues>, JsonRejection>,
) -> Result<Json<Project>, ApiError> {
    let Json(values) = values?;
    manage(&caller, Some(&tenant))?;
    let change = ProjectChange {
        title: values.title,
        instances: values.instances,
    };
    let (project, told) = app
        .store()
        .change_project(&tenant, &project, &change)
        .await?;
    app.access().settle(told).await?;
    Ok(Json(project))
}

/// `DELETE /v1/tenants/{tenant}/projects/{project}`: with the keys confined to it.
pub async fn delete_project(
    State(app): State<App>,
    caller: Caller,
    Path((tenant, project)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    manage(&caller, Some(&tenant))?;
    let told = app.store().delete_project(&tenant, &project).await?;
    app.access().settle(told).await?;
    Ok(StatusCode::NO_CONTENT)
}
