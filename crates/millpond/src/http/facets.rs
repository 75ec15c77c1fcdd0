//! Which values the records of a search have, and how often.

use std::time::Instant;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    routing::get,
};
use serde::Serialize;
use store::{
    read::{FACET_RECORDS_MAX, FACET_VALUES_MAX, FACETS_MAX, FacetAsk, Facets, FieldPath},
    reader::{Scope, SearchError},
};

use super::{
    App,
    caller::Caller,
    error::ApiError,
    query::Params,
    records::{Question, refused, see},
};

/// Records that are looked into unless the caller says: some tens of milliseconds.
const RECORDS: i64 = 2_000;
/// Values of each path unless the caller says.
const VALUES: i64 = 10;

const PARAMS: [&str; 9] = [
    "resource",
    "path",
    "where",
    "contains",
    "json_path",
    "instance",
    "deleted",
    "records",
    "limit",
];

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/facets", get(facets))
}

/// The values, and how long it took to count them.
#[derive(Debug, Serialize)]
pub struct FacetsView {
    #[serde(flatten)]
    counted: Facets,
    duration_ms: f64,
}

/// `GET /v1/facets`: the values of some paths among the newest records that a search finds.
pub async fn facets(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<FacetsView>, ApiError> {
    let params = Params::read(query.as_deref(), &PARAMS)?;
    let paths = params.all("path");
    if paths.is_empty() || paths.len() > FACETS_MAX {
        let message = format!("`path` must be given, at most {FACETS_MAX} times");
        return Err(ApiError::bad_request("bad_parameter", message)
            .hint("for example path=Status&path=Order.Lines[].SKU"));
    }
    let paths = paths.iter().map(|path| {
        path.parse::<FieldPath>()
            .map_err(|error| ApiError::bad_request("bad_parameter", error.to_string()))
    });
    let ask = FacetAsk {
        paths: paths.collect::<Result<_, _>>()?,
        records: params.limit("records", RECORDS, FACET_RECORDS_MAX)?,
        values: params.limit("limit", VALUES, FACET_VALUES_MAX)?,
    };
    let mut search = Question::of(&params)?.into_search(app.sql_timeout())?;
    see(&app, &caller, &mut search)?;
    // A resource that nothing is known of has no table.
    app.feed(&search.resource)?;
    let began = Instant::now();
    let counted = match caller.scope() {
        None => app.store().facets(&search, &ask).await,
        Some(scope) => {
            let reader = app.reader()?;
            let counted = reader.facets_as(Scope::Instances(scope), &search, &ask);
            match counted.await {
                Err(SearchError::Door(error)) => return Err(error.into()),
                Err(SearchError::Search(error)) => Err(error),
                Ok(counted) => Ok(counted),
            }
        }
    };
    let counted = counted.map_err(|error| refused(&search, &error))?;
    Ok(Json(FacetsView {
        counted,
        duration_ms: (began.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    }))
}
