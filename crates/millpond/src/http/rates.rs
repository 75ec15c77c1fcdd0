//! What currencies are worth in the one that is reported in.

use axum::{
    Json, Router,
    extract::{RawQuery, State, rejection::JsonRejection},
    routing::get,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::rates::Rate;

use super::{App, error::ApiError, query::Params};
use crate::rates::{RATES_MAX, checked};

/// The most rates of a page.
const PAGE_MAX: i64 = 1000;

/// The routes of this file.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/rates", get(list_rates).put(put_rates))
}

/// Rates, the latest month first.
#[derive(Debug, Serialize)]
pub struct RatesView {
    rates: Vec<Rate>,
}

/// `GET /v1/rates`: the averages of each month.
pub async fn list_rates(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<RatesView>, ApiError> {
    let params = Params::read(query.as_deref(), &["limit"])?;
    let rates = app
        .store()
        .rates(params.limit("limit", 100, PAGE_MAX)?)
        .await?;
    Ok(Json(RatesView { rates }))
}

/// Rates to be saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRates {
    rates: Vec<NewRate>,
}

/// The average rate of a month.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRate {
    /// `2026-01`, or a day of it.
    month: String,
    /// What is converted: three letters.
    currency: String,
    /// What it is converted to: three letters.
    reporting: String,
    /// What one unit of `currency` is worth: a decimal number as a text, above 0.
    rate: String,
}

/// `PUT /v1/rates`: saves all of these or none; those that are there already are replaced.
pub async fn put_rates(
    State(app): State<App>,
    new: Result<Json<NewRates>, JsonRejection>,
) -> Result<Json<RatesView>, ApiError> {
    let Json(new) = new?;
    if new.rates.len() > RATES_MAX {
        let message = format!("there are more than {RATES_MAX} rates");
        return Err(ApiError::bad_request("bad_body", message));
    }
    let rates: Result<Vec<Rate>, String> = new
        .rates
        .iter()
        .enumerate()
        .map(|(n, rate)| {
            checked(&rate.month, &rate.currency, &rate.reporting, &rate.rate)
                .map_err(|why| format!("rate {}: {why}", n + 1))
        })
        .collect();
    let rates = rates.map_err(|why| ApiError::bad_request("bad_rate", why))?;
    app.store().save_rates(&rates).await?;
    Ok(Json(RatesView { rates }))
}
