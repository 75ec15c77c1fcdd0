//! What one unit of a currency was worth in another, on average over a month.

use jiff::civil::Date;
use serde::Serialize;
use sqlx::Row as _;

use crate::{
    Store,
    error::{For as _, Result},
};

/// The average rate of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The first day of the month.
    pub month: Date,
    /// What is converted, `EUR`.
    pub currency: String,
    /// What it is converted to, `GBP`.
    pub reporting: String,
    /// What one unit of `currency` is worth in `reporting`: a positive decimal number with all its digits.
    pub rate: String,
}

impl Store {
    /// Sets the average rate of a month: one unit of `currency` in `reporting`.
    pub async fn save_rate(
        &self,
        month: Date,
        currency: &str,
        reporting: &str,
        rate: &str,
    ) -> Result<()> {
        self.save_rates(&[Rate {
            month,
            currency: currency.to_owned(),
            reporting: reporting.to_owned(),
            rate: rate.to_owned(),
        }])
        .await
        .map(drop)
    }

    /// Sets all of these or none; of two for the same month the later counts. Answers how many there are of them.
    ///
    /// # Errors
    ///
    /// The database's own, also for a rate that is no number.
    pub async fn save_rates(&self, rates: &[Rate]) -> Result<u64> {
        let of = |part: fn(&Rate) -> String| -> Vec<String> { rates.iter().map(part).collect() };
        let done = sqlx::query(
            "INSERT INTO millpond.rate (month, currency, reporting, rate) \
             SELECT DISTINCT ON (1, 2, 3) date_trunc('month', month::date)::date, currency, reporting, rate::numeric \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY \
               AS t (month, currency, reporting, rate, place) \
             ORDER BY 1, 2, 3, place DESC \
             ON CONFLICT (month, currency, reporting) DO UPDATE SET rate = excluded.rate",
        )
        .bind(of(|rate| rate.month.to_string()))
        .bind(of(|rate| rate.currency.clone()))
        .bind(of(|rate| rate.reporting.clone()))
        .bind(of(|rate| rate.rate.clone()))
        .execute(self.pool())
        .await
        .to("save rates")?;
        Ok(done.rows_affected())
    }

    /// The latest months' rates, `limit` at the most.
    pub async fn rates(&self, limit: i64) -> Result<Vec<Rate>> {
        let rows = sqlx::query(
            "SELECT month::text, currency, reporting, rate::text FROM millpond.rate \
             ORDER BY month DESC, currency, reporting LIMIT $1",
        )
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("list rates")?;
        let rate = |row: &sqlx::postgres::PgRow| {
            Some(Rate {
                month: row.get::<String, _>(0).parse().ok()?,
                currency: row.get(1),
                reporting: row.get(2),
                rate: row.get(3),
            })
        };
        Ok(rows.iter().filter_map(rate).collect())
    }
}
