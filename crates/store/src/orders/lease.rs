//! Who applies a plan: one process at a time, under a lease that runs out by itself.

use std::time::Duration;

use sqlx::Row;

use super::{claims, claims::ClaimEnd, plans};
use crate::{
    Store,
    error::{For, Result},
};

/// The right to apply a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLease {
    /// The plan.
    pub plan: i64,
    /// Its instance.
    pub instance: String,
    /// Tells this holder from an earlier one.
    pub token: i64,
}

impl Store {
    /// Takes a plan that is approved, or whose last applier is gone; `None` when it is neither.
    pub async fn take_plan(
        &self,
        id: i64,
        owner: &str,
        lease: Duration,
    ) -> Result<Option<PlanLease>> {
        let row = sqlx::query(
            "UPDATE millpond.order_plan SET state = 'applying', owner = $2, token = token + 1, \
               lease_until = clock_timestamp() + $3 * interval '1 millisecond' \
             WHERE id = $1 AND (state = 'approved' OR (state = 'applying' AND lease_until < clock_timestamp())) \
             RETURNING instance, token",
        )
        .bind(id)
        .bind(owner)
        .bind(lease.as_millis() as f64)
        .fetch_optional(self.pool())
        .await
        .to("take a plan")?;
        Ok(row.map(|row| PlanLease {
            plan: id,
            instance: row.get(0),
            token: row.get(1),
        }))
    }

    /// Prolongs a lease; `false` when another process has taken the plan: stop at once.
    pub async fn renew_plan(&self, lease: &PlanLease, by: Duration) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE millpond.order_plan SET lease_until = clock_timestamp() + $4 * interval '1 millisecond' \
             WHERE id = $1 AND instance = $2 AND token = $3 AND state = 'applying'",
        )
        .bind(lease.plan)
        .bind(&lease.instance)
        .bind(lease.token)
        .bind(by.as_millis() as f64)
        .execute(self.pool())
        .await
        .to("prolong the lease of a plan")?;
        Ok(done.rows_affected() > 0)
    }

    /// Lets a plan go before it is through: whoever comes next may take it once `rest` is over.
    pub async fn put_plan_down(&self, lease: &PlanLease, rest: Duration, why: &str) -> Result<()> {
        sqlx::query(
            "UPDATE millpond.order_plan SET lease_until = clock_timestamp() + $4 * interval '1 millisecond', why = $5 \
             WHERE id = $1 AND instance = $2 AND token = $3 AND state = 'applying'",
        )
        .bind(lease.plan)
        .bind(&lease.instance)
        .bind(lease.token)
        .bind(rest.as_millis() as f64)
        .bind(why)
        .execute(self.pool())
        .await
        .to("put a plan down")?;
        Ok(())
    }

    /// Ends a plan as `done`, `partial` or `needs_person`; what it still holds for itself is given back, unless a
    /// person must look: then the units stay out of reach. `false` when the lease was lost.
    pub async fn end_plan(
        &self,
        lease: &PlanLease,
        state: &str,
        why: Option<&str>,
    ) -> Result<bool> {
        const WHAT: &str = "end a plan";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        claims::lock(&mut tx, &lease.instance).await?;
        let done = sqlx::query(
            "UPDATE millpond.order_plan SET state = $4, why = $5, ended_at = clock_timestamp(), lease_until = NULL \
             WHERE id = $1 AND instance = $2 AND token = $3 AND state = 'applying'",
        )
        .bind(lease.plan)
        .bind(&lease.instance)
        .bind(lease.token)
        .bind(state)
        .bind(why)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if state != "needs_person" {
            let by = format!("plan {}", lease.plan);
            let why = ClaimEnd {
                by: &by,
                why: "the plan is through",
            };
            if plans::end_of_plan(&mut tx, &lease.instance, lease.plan, why).await? > 0 {
                claims::raise(&mut tx, &lease.instance).await?;
            }
        }
        tx.commit().await.to(WHAT)?;
        Ok(true)
    }

    /// Plans whose applier is gone, oldest first.
    pub async fn abandoned_plans(&self, limit: i64) -> Result<Vec<i64>> {
        sqlx::query_scalar(
            "SELECT id FROM millpond.order_plan WHERE state = 'applying' AND lease_until < clock_timestamp() ORDER BY id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("look for abandoned plans")
    }
}
