//! What tenants use of what they may, counted exactly.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, Row};

use crate::{
    Store,
    error::{For, Result},
    tenants::Tenant,
};

/// Whether there was enough left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was, and is counted; so much has been used by now.
    Within {
        /// What has been used of the window, this included.
        used: i64,
    },
    /// It was not, and nothing is counted.
    Over,
}

/// One meter in one window.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Meter {
    /// Its name.
    pub meter: String,
    /// What has been used of the window.
    pub used: i64,
    /// The most; absent: no limit.
    pub limit: Option<i64>,
}

impl Store {
    /// Uses `amount` of a tenant's meter in its window, if so much is left. `tenant` may be remembered from before:
    /// its limits are looked at, its usage is not.
    ///
    /// Exact however many ask at once. A dropped future may have counted.
    pub async fn spend(&self, tenant: &Tenant, meter: &str, amount: i64) -> Result<Spent> {
        let limit = tenant.limits.get(meter).copied();
        if limit.is_some_and(|limit| amount > limit) {
            return Ok(Spent::Over);
        }
        count(
            self.pool(),
            (&tenant.id, meter, tenant.window_start),
            amount,
            limit,
        )
        .await
    }

    /// Counts what was used already, limits aside. Of a tenant that is gone, nothing.
    pub async fn count_used(
        &self,
        tenant: &str,
        meter: &str,
        window_start: Timestamp,
        amount: i64,
    ) -> Result<()> {
        count(self.pool(), (tenant, meter, window_start), amount, None)
            .await
            .map(drop)
    }

    /// Whether a tenant's window has something left of a meter now. Others may take it before it is used.
    pub async fn has_left(&self, tenant: &Tenant, meter: &str) -> Result<bool> {
        let Some(limit) = tenant.limits.get(meter) else {
            return Ok(true);
        };
        let used: Option<i64> = sqlx::query_scalar(
            "SELECT used FROM millpond.usage WHERE tenant = $1 AND meter = $2 AND window_start = $3",
        )
        .bind(&tenant.id)
        .bind(meter)
        .bind(tenant.window_start.to_sqlx())
        .fetch_optional(self.pool())
        .await
        .to("read what a tenant has used")?;
        Ok(used.unwrap_or(0) < *limit)
    }

    /// Every meter of a tenant in its window: those that were used, and those with a limit.
    pub async fn usage(&self, tenant: &Tenant) -> Result<Vec<Meter>> {
        let rows = sqlx::query(
            "SELECT meter, used FROM millpond.usage WHERE tenant = $1 AND window_start = $2 ORDER BY meter",
        )
        .bind(&tenant.id)
        .bind(tenant.window_start.to_sqlx())
        .fetch_all(self.pool())
        .await
        .to("read what a tenant has used")?;
        let mut meters: Vec<Meter> = rows
            .iter()
            .map(|row| {
                let meter: String = row.get(0);
                let limit = tenant.limits.get(&meter).copied();
                Meter {
                    used: row.get(1),
                    limit,
                    meter,
                }
            })
            .collect();
        for (name, limit) in &tenant.limits {
            if !meters.iter().any(|meter| meter.meter == *name) {
                meters.push(Meter {
                    meter: name.clone(),
                    used: 0,
                    limit: Some(*limit),
                });
            }
        }
        meters.sort_by(|a, b| a.meter.cmp(&b.meter));
        Ok(meters)
    }
}

/// As [`Store::spend`], within the transaction of what is paid for: if that is not done, nothing is counted.
pub(crate) async fn spend_on(
    tx: &mut PgConnection,
    tenant: &Tenant,
    meter: &str,
    amount: i64,
) -> Result<Spent> {
    let limit = tenant.limits.get(meter).copied();
    if limit.is_some_and(|limit| amount > limit) {
        return Ok(Spent::Over);
    }
    count(tx, (&tenant.id, meter, tenant.window_start), amount, limit).await
}

async fn count(
    on: impl PgExecutor<'_>,
    (tenant, meter, window_start): (&str, &str, Timestamp),
    amount: i64,
    limit: Option<i64>,
) -> Result<Spent> {
    let used: Option<i64> = sqlx::query_scalar(
        "INSERT INTO millpond.usage AS u (tenant, meter, window_start, used) \
         SELECT t.id, $2, $3, $4 FROM millpond.tenant t WHERE t.id = $1 \
         ON CONFLICT (tenant, meter, window_start) DO UPDATE SET used = u.used + excluded.used \
           WHERE $5::bigint IS NULL OR u.used + excluded.used <= $5 \
         RETURNING used",
    )
    .bind(tenant)
    .bind(meter)
    .bind(window_start.to_sqlx())
    .bind(amount)
    .bind(limit)
    .fetch_optional(on)
    .await
    .to("count what a tenant uses")?;
    Ok(used.map_or(Spent::Over, |used| Spent::Within { used }))
}
