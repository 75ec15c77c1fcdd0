//! What the planner expects of a statement, before it is begun.

use serde_json::Value;
use sqlx::{AssertSqlSafe, postgres::PgConnection};

use super::{Estimate, Limits, error::QueryError, run::refused};

const EXPLAIN: &str = "EXPLAIN (FORMAT JSON) ";

/// Lets a statement pass that is expected to cost no more than `limits` say, and tells what is expected if they ask for
/// it. `prefix` characters of the statement are ours. One more round trip, and none where nothing is asked of it.
pub(super) async fn admit(
    connection: &mut PgConnection,
    statement: &str,
    prefix: usize,
    limits: &Limits,
) -> Result<Option<Estimate>, QueryError> {
    if limits.cost_max == 0 && !limits.estimates {
        return Ok(None);
    }
    let explain = AssertSqlSafe(format!("{EXPLAIN}{statement}"));
    let plan: Value = sqlx::query_scalar(explain)
        .persistent(false)
        .fetch_one(connection)
        .await
        .map_err(|error| refused(error, prefix.saturating_add(EXPLAIN.len())))?;
    let Some(estimate) = estimate(&plan) else {
        return Ok(None);
    };
    if limits.cost_max > 0 && estimate.cost > limits.cost_max as f64 {
        return Err(QueryError::TooCostly {
            cost: estimate.cost,
            rows: estimate.rows,
            cost_max: limits.cost_max,
        });
    }
    Ok(limits.estimates.then_some(estimate))
}

/// The cost of the whole plan, and the rows below the limit that we put on top of it.
fn estimate(plan: &Value) -> Option<Estimate> {
    let top = &plan[0]["Plan"];
    let below = match top["Node Type"].as_str() {
        Some("Limit") => top["Plans"].get(0).unwrap_or(top),
        _ => top,
    };
    Some(Estimate {
        cost: top["Total Cost"].as_f64()?,
        rows: below["Plan Rows"].as_f64()?,
    })
}

#[cfg(test)]
mod tests;
