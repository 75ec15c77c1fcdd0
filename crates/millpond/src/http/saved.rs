//! Saved queries: SQL under a name, a tenant's own or the operators', and the reports that come with Millpond.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    routing::{get, post, put},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::saved_queries::SavedQuery;

use super::{
    App,
    caller::Caller,
    error::ApiError,
    sql::{self, SqlQuery, SqlView},
};

/// The most letters of a name, of a title and of a statement.
const NAME_MAX: usize = 64;
const TITLE_MAX: usize = 200;
const SQL_MAX: usize = 100_000;

/// Sales of each month by instance, and in the reporting currency: null when a rate is missing, never one to one.
const SALES_BY_MONTH: &str = "\
SELECT to_char(order_date, 'YYYY-MM') AS month, instance, currency, count(*) AS sales, sum(total) AS total,
       reporting_currency,
       CASE WHEN bool_and(total_reporting IS NOT NULL OR total IS NULL) THEN round(sum(total_reporting), 2) END
         AS total_reporting,
       count(*) FILTER (WHERE total IS NOT NULL AND total_reporting IS NULL) AS without_rate
FROM cin7.sale_overview
WHERE status <> 'VOIDED' AND ($1::text IS NULL OR order_date >= $1::text::date)
GROUP BY 1, 2, 3, reporting_currency
ORDER BY 1 DESC, 2, 3";
/// Where a product is, over all instances.
const WHERE_IS: &str = "\
SELECT instance, location, sku, sum(on_hand) AS on_hand, sum(allocated) AS allocated, sum(available) AS available,
       max(on_order) AS on_order, max(in_transit) AS in_transit
FROM cin7.stock
WHERE sku = $1::text
GROUP BY 1, 2, 3
ORDER BY 1, 2";

/// What comes with Millpond: name, title, statement.
const BUILT_IN: [(&str, &str, &str); 2] = [
    (
        "sales-by-month",
        "Sales by month and instance, also in the reporting currency. $1: from which day",
        SALES_BY_MONTH,
    ),
    (
        "where-is",
        "How much of a SKU is where, in all instances. $1: the SKU",
        WHERE_IS,
    ),
];

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/queries", get(list_queries))
        .route("/v1/queries/{name}", put(save_query).delete(remove_query))
        .route("/v1/queries/{name}/run", post(run_query))
}

/// Saved queries, by name.
#[derive(Debug, Serialize)]
pub struct QueriesView {
    queries: Vec<QueryView>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub struct QueryView {
    #[serde(flatten)]
    query: SavedQuery,
    /// Whether it comes with Millpond and stays as it is.
    built_in: bool,
}

async fn queries(app: &App, caller: &Caller) -> Result<Vec<QueryView>, ApiError> {
    let tenant = caller.principal().tenant.as_deref();
    let own = app.store().saved_queries(tenant).await?;
    let built_in = BUILT_IN.map(|(name, title, sql)| SavedQuery {
        name: name.to_owned(),
        title: title.to_owned(),
        sql: sql.to_owned(),
    });
    let mark = |built_in| move |query| QueryView { query, built_in };
    let mut all: Vec<QueryView> = own.into_iter().map(mark(false)).collect();
    all.extend(built_in.into_iter().map(mark(true)));
    all.sort_by(|a, b| a.query.name.cmp(&b.query.name));
    Ok(all)
}

/// `GET /v1/queries`: those of the caller's tenant, or the operators', and what comes with Millpond.
pub async fn list_queries(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<QueriesView>, ApiError> {
    let queries = queries(&app, &caller).await?;
    Ok(Json(QueriesView { queries }))
}

/// A query to be saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuery {
    /// What it tells, for people; its name when absent.
    #[schemars(length(min = 1, max = 200))]
    title: Option<String>,
    /// One statement that reads.
    #[schemars(length(min = 1, max = 100_000))]
    sql: String,
}

/// `PUT /v1/queries/{name}`: saves one under a name; another of that name is replaced.
pub async fn save_query(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    new: Result<Json<NewQuery>, JsonRejection>,
) -> Result<Json<SavedQuery>, ApiError> {
    let Json(new) = new?;
    let is_plain = (1..=NAME_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_plain {
        let message = format!("`{name}` is no name: use a-z, 0-9 and -, at most {NAME_MAX}");
        return Err(ApiError::bad_request("bad_name", message));
    }
    if BUILT_IN.iter().any(|(built_in, ..)| *built_in == name) {
        let message = format!("`{name}` comes with Millpond and stays as it is");
        return Err(ApiError::conflict("built_in", message));
    }
    let title = new.title.unwrap_or_else(|| name.clone());
    for (what, text, most) in [("title", &title, TITLE_MAX), ("sql", &new.sql, SQL_MAX)] {
        let letters = text.chars().count();
        if letters == 0 || letters > most || text.contains('\0') {
            let message =
                format!("`{what}` must have 1 to {most} letters and no NUL; it has {letters}");
            return Err(ApiError::bad_request("bad_body", message));
        }
    }
    let query = SavedQuery {
        name,
        title,
        sql: new.sql,
    };
    let tenant = caller.principal().tenant.as_deref();
    app.store().save_query(tenant, &query).await?;
    Ok(Json(query))
}

/// `DELETE /v1/queries/{name}`: removes one.
pub async fn remove_query(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let tenant = caller.principal().tenant.as_deref();
    app.store().remove_query(tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The values of a saved query.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryValues {
    /// The values of `$1`, `$2`, …
    #[serde(default)]
    params: Vec<Value>,
    /// Whether the answer tells what the planner expected of it: `estimate`.
    #[serde(default)]
    explain: bool,
}

/// `POST /v1/queries/{name}/run`: its answer, under the caller's own rights.
pub async fn run_query(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    values: Result<Json<QueryValues>, JsonRejection>,
) -> Result<Json<SqlView>, ApiError> {
    let Json(values) = values?;
    let found = queries(&app, &caller)
        .await?
        .into_iter()
        .find(|known| known.query.name == name);
    let Some(found) = found else {
        let message = format!("there is no saved query `{name}`");
        return Err(ApiError::not_found(message).hint("GET /v1/queries names them"));
    };
    let query = SqlQuery {
        sql: found.query.sql,
        params: values.params,
        explain: values.explain,
    };
    sql::query(State(app), caller, Ok(Json(query))).await
}
