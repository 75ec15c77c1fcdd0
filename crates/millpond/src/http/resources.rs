//! `GET /v1/resources`: what is mirrored, and the views that SQL can ask.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use store::{ResourceName, resources::ViewColumns};

use super::{App, caller::Caller, error::ApiError, query::Params, records};

/// What is mirrored.
#[derive(Debug, Serialize)]
pub struct ResourcesView {
    resources: Vec<ResourceView>,
    /// Views of these resources, one row per record or per element of an array.
    views: Vec<ViewColumns>,
}

#[derive(Debug, Serialize)]
struct ResourceView {
    name: ResourceName,
    title: String,
    /// Instances that mirror it.
    instances: Vec<String>,
    /// Whether a record can be fetched by its id.
    has_get: bool,
    /// What tells its records apart, as its connector sees it: keys with dots between.
    columns: Vec<String>,
}

/// `GET /v1/resources`: resources that the caller sees, with their views.
pub async fn list_resources(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<ResourcesView>, ApiError> {
    let params = Params::read(query.as_deref(), &["resource"])?;
    let only = params.one("resource")?;
    let only = only.as_deref().map(records::name).transpose()?;
    if let Some(only) = &only {
        app.feed(only)?;
    }
    let known = app.mirror().resources().into_iter();
    let resources: Vec<ResourceView> = known
        .filter(|info| only.as_ref().is_none_or(|only| *only == info.name))
        .map(|info| ResourceView {
            instances: info
                .instances
                .into_iter()
                .filter(|name| caller.sees(name))
                .collect(),
            name: info.name,
            title: info.title,
            has_get: info.has_get,
            columns: info.columns,
        })
        .filter(|resource| !resource.instances.is_empty())
        .collect();
    let schemas: BTreeSet<String> = resources
        .iter()
        .map(|resource| resource.name.schema().to_owned())
        .collect();
    let schemas: Vec<String> = schemas.into_iter().collect();
    let mut views = app.store().view_columns(&schemas).await?;
    if let Some(only) = &only {
        let longer = format!("{only}_");
        views.retain(|view| view.name == only.as_str() || view.name.starts_with(&longer));
    }
    Ok(Json(ResourcesView { resources, views }))
}
