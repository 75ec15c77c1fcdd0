//! `POST /v1/query/sql`: one statement that reads, under a role that can do nothing else.

use axum::{Json, extract::State, extract::rejection::JsonRejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reader::{Limits, QueryAnswer, Scope};

use super::{App, caller::Caller, error::ApiError};

/// The most values of a query.
const PARAMS_MAX: usize = 100;

/// A query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    pub(super) sql: String,
    /// The values of `$1`, `$2`, …
    #[serde(default)]
    pub(super) params: Vec<Value>,
    /// Whether the answer tells what the planner expected of it: `estimate`.
    #[serde(default)]
    pub(super) explain: bool,
}

/// What it found.
#[derive(Debug, Serialize)]
pub struct SqlView {
    #[serde(flatten)]
    answer: QueryAnswer,
    /// The newest snapshot when this was read.
    snapshot: i64,
}

/// Answers one statement.
pub async fn query(
    State(app): State<App>,
    caller: Caller,
    query: Result<Json<SqlQuery>, JsonRejection>,
) -> Result<Json<SqlView>, ApiError> {
    let Json(query) = query?;
    if query.params.len() > PARAMS_MAX {
        let message = format!("there are more than {PARAMS_MAX} values");
        return Err(ApiError::bad_request("bad_parameter", message));
    }
    let reader = app.reader()?;
    let snapshot = app.store().newest_snapshot().await?;
    let scope = caller.scope().map_or(Scope::All, Scope::Instances);
    let limits = Limits {
        estimates: query.explain,
        ..app.sql_limits().clone()
    };
    let answer = reader
        .query_as(scope, &query.sql, &query.params, &limits)
        .await?;
    Ok(Json(SqlView { answer, snapshot }))
}
