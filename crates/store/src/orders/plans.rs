//! Plans: proposed, approved, applied. Storing one replaces the soft claims of its instance in the same transaction.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::claims::{self, ClaimEnd, NewClaim, Node};
use crate::{
    Store, StoreError,
    error::{For, Result},
};

/// A plan that is to be stored.
#[derive(Debug, Clone)]
pub struct NewPlan<'a> {
    /// Its instance.
    pub instance: &'a str,
    /// `split`, `allocate`, `pick`, `fill` or `cross`.
    pub op: &'a str,
    /// Who made it.
    pub by: &'a str,
    /// JSON: what was asked.
    pub ask: &'a str,
    /// JSON: what it was made from.
    pub input: &'a str,
    /// JSON: what it says.
    pub plan: &'a str,
    /// JSON: what would be written.
    pub documents: &'a str,
    /// JSON: a few numbers for lists.
    pub summary: &'a str,
    /// The ledger's version it was made from.
    pub ledger: i64,
    /// What the claimed nodes have.
    pub nodes: &'a [Node],
    /// Every claim that is to stand; what stands and is not named ends.
    pub claims: &'a [NewClaim],
    /// Ids of `claims` whose units its shipments take.
    pub shipped: &'a [String],
}

/// What storing a plan came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposed {
    /// It is stored under this number.
    Stored(i64),
    /// Claims changed meanwhile: plan again from the ledger as it is now.
    Moved,
    /// A node would promise more than it has: nothing is stored.
    Oversold,
}

/// A plan's row without its large parts.
#[derive(Debug, Clone, Serialize)]
pub struct PlanRow {
    /// Its number.
    pub id: i64,
    /// Its instance.
    pub instance: String,
    /// Which block made it.
    pub op: String,
    /// `proposed`, `approved`, `applying`, `done`, `partial`, `needs_person`, `cancelled` or `superseded`.
    pub state: String,
    /// A few numbers.
    pub summary: serde_json::Value,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who made it.
    pub made_by: String,
    /// When it was approved.
    pub approved_at: Option<Timestamp>,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended so.
    pub why: Option<String>,
}

/// A plan's large parts, JSON each.
#[derive(Debug, Clone)]
pub struct PlanParts {
    /// What was asked.
    pub ask: String,
    /// What it was made from.
    pub input: String,
    /// What it says.
    pub plan: String,
    /// What would be written.
    pub documents: String,
}

/// What a person's order to a plan came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanChange {
    /// It was carried out.
    Made,
    /// It stood so already.
    Stood,
    /// The plan is in another state.
    NotNow(String),
}

const COLUMNS: &str =
    "id, instance, op, state, summary, made_at, made_by, approved_at, approved_by, ended_at, why";

fn plan(row: &PgRow) -> PlanRow {
    let at = |at: jiff_sqlx::Timestamp| at.to_jiff();
    PlanRow {
        id: row.get(0),
        instance: row.get(1),
        op: row.get(2),
        state: row.get(3),
        summary: row.get(4),
        made_at: at(row.get(5)),
        made_by: row.get(6),
        approved_at: row.get::<Option<jiff_sqlx::Timestamp>, _>(7).map(at),
        approved_by: row.get(8),
        ended_at: row.get::<Option<jiff_sqlx::Timestamp>, _>(9).map(at),
        why: row.get(10),
    }
}

impl Store {
    /// Stores a plan with the claims it leaves. Proposals of the same instance that nobody has approved are superseded.
    ///
    /// # Errors
    ///
    /// The database's own. A refusal for what others hold is no error: see [`Proposed`].
    pub async fn propose_plan(&self, new: &NewPlan<'_>) -> Result<Proposed> {
        const WHAT: &str = "store a plan";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        if claims::lock(&mut tx, new.instance).await? != new.ledger {
            return Ok(Proposed::Moved);
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO millpond.order_plan (instance, op, ask, input, plan, documents, summary, made_by) \
             VALUES ($1, $2, $3::json, $4::json, $5::json, $6::json, $7::jsonb, $8) RETURNING id",
        )
        .bind(new.instance)
        .bind(new.op)
        .bind(new.ask)
        .bind(new.input)
        .bind(new.plan)
        .bind(new.documents)
        .bind(new.summary)
        .bind(new.by)
        .fetch_one(&mut *tx)
        .await
        .to(WHAT)?;
        sqlx::query(
            "UPDATE millpond.order_plan SET state = 'superseded', ended_at = clock_timestamp(), why = 'plan ' || $2 || ' replaced it' \
             WHERE instance = $1 AND state = 'proposed' AND id <> $2",
        )
        .bind(new.instance)
        .bind(id)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        match replace_claims(&mut tx, new, id).await {
            Ok(()) => {}
            Err(error) if claims::is_oversold(&error) => return Ok(Proposed::Oversold),
            Err(error) => return Err(StoreError::from_sqlx(WHAT, error)),
        }
        tx.commit().await.to(WHAT)?;
        Ok(Proposed::Stored(id))
    }

    /// Plans of an instance, or of all, newest first; of one state if it is named.
    pub async fn plans(
        &self,
        instance: Option<&str>,
        state: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<PlanRow>> {
        let statement = format!(
            "SELECT {COLUMNS} FROM millpond.order_plan WHERE ($1::text IS NULL OR instance = $1) \
             AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(instance)
            .bind(state)
            .bind(before)
            .bind(limit)
            .fetch_all(self.pool())
            .await
            .to("list plans")?;
        Ok(rows.iter().map(plan).collect())
    }

    /// One plan.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that number.
    pub async fn load_plan(&self, id: i64) -> Result<PlanRow> {
        let statement = format!("SELECT {COLUMNS} FROM millpond.order_plan WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .to("read a plan")?;
        row.as_ref().map(plan).ok_or_else(|| unknown(id))
    }

    /// The large parts of a plan.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that number.
    pub async fn load_plan_parts(&self, id: i64) -> Result<PlanParts> {
        let row = sqlx::query(
            "SELECT ask::text, input::text, plan::text, documents::text FROM millpond.order_plan WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .to("read a plan")?;
        let row = row.ok_or_else(|| unknown(id))?;
        Ok(PlanParts {
            ask: row.get(0),
            input: row.get(1),
            plan: row.get(2),
            documents: row.get(3),
        })
    }

    /// Approves a proposal: the units that its shipments take are hard from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that number.
    pub async fn approve_plan(&self, id: i64, by: &str) -> Result<PlanChange> {
        const WHAT: &str = "approve a plan";
        let instance = self.load_plan(id).await?.instance;
        let mut tx = self.pool().begin().await.to(WHAT)?;
        claims::lock(&mut tx, &instance).await?;
        let done = sqlx::query(
            "UPDATE millpond.order_plan SET state = 'approved', approved_at = clock_timestamp(), approved_by = $2 \
             WHERE id = $1 AND instance = $3 AND state = 'proposed'",
        )
        .bind(id)
        .bind(by)
        .bind(&instance)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        if done.rows_affected() == 0 {
            let state = self.load_plan(id).await?.state;
            return Ok(match state.as_str() {
                "approved" | "applying" | "done" => PlanChange::Stood,
                _ => PlanChange::NotNow(state),
            });
        }
        sqlx::query("UPDATE millpond.allocation SET strength = 'hard' WHERE instance = $1 AND plan = $2 AND strength = 'soft'")
            .bind(&instance)
            .bind(id)
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        claims::raise(&mut tx, &instance).await?;
        tx.commit().await.to(WHAT)?;
        Ok(PlanChange::Made)
    }

    /// Cancels a plan whose apply has not begun, and gives its units back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none of that number.
    pub async fn cancel_plan(&self, id: i64, by: &str) -> Result<PlanChange> {
        const WHAT: &str = "cancel a plan";
        let instance = self.load_plan(id).await?.instance;
        let mut tx = self.pool().begin().await.to(WHAT)?;
        claims::lock(&mut tx, &instance).await?;
        let done = sqlx::query(
            "UPDATE millpond.order_plan SET state = 'cancelled', ended_at = clock_timestamp(), why = 'cancelled by ' || $2 \
             WHERE id = $1 AND instance = $3 AND state IN ('proposed', 'approved')",
        )
        .bind(id)
        .bind(by)
        .bind(&instance)
        .execute(&mut *tx)
        .await
        .to(WHAT)?;
        if done.rows_affected() == 0 {
            let state = self.load_plan(id).await?.state;
            return Ok(match state.as_str() {
                "cancelled" => PlanChange::Stood,
                _ => PlanChange::NotNow(state),
            });
        }
        end_of_plan(
            &mut tx,
            &instance,
            id,
            ClaimEnd {
                by,
                why: "the plan was cancelled",
            },
        )
        .await?;
        claims::raise(&mut tx, &instance).await?;
        tx.commit().await.to(WHAT)?;
        Ok(PlanChange::Made)
    }
}

pub(super) fn unknown(id: i64) -> StoreError {
    StoreError::Unknown {
        what: "plan",
        name: id.to_string(),
    }
}

/// Ends every claim that is held for a plan, those of upstream aside. The ledger is locked.
pub(super) async fn end_of_plan(
    connection: &mut PgConnection,
    instance: &str,
    plan: i64,
    why: ClaimEnd<'_>,
) -> Result<u64> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM millpond.allocation WHERE instance = $1 AND plan = $2 AND made_by <> 'upstream'",
    )
    .bind(instance)
    .bind(plan)
    .fetch_all(&mut *connection)
    .await
    .to("end claims")?;
    claims::end(connection, instance, &ids, why).await
}

/// Ends what is not to stand or stands otherwise, sets the nodes, and adds what is new. The ledger is locked.
async fn replace_claims(
    connection: &mut PgConnection,
    new: &NewPlan<'_>,
    plan: i64,
) -> std::result::Result<(), sqlx::Error> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT id, node, qty FROM millpond.allocation WHERE instance = $1")
            .bind(new.instance)
            .fetch_all(&mut *connection)
            .await?;
    let wanted: std::collections::HashMap<&str, &NewClaim> = new
        .claims
        .iter()
        .map(|claim| (claim.id.as_str(), claim))
        .collect();
    let (kept, gone): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(id, node, qty)| {
        wanted
            .get(id.as_str())
            .is_some_and(|claim| claim.node == *node && claim.qty == *qty)
    });
    let gone: Vec<String> = gone.into_iter().map(|(id, ..)| id).collect();
    let kept: std::collections::HashSet<String> = kept.into_iter().map(|(id, ..)| id).collect();
    let by = format!("plan {plan}");
    let moved = ClaimEnd {
        by: &by,
        why: "moved",
    };
    if !gone.is_empty() {
        claims::end(connection, new.instance, &gone, moved)
            .await
            .map_err(driver)?;
    }
    claims::set_nodes(connection, new.instance, new.nodes).await?;
    let added: Vec<NewClaim> = new
        .claims
        .iter()
        .filter(|claim| !kept.contains(&claim.id))
        .cloned()
        .collect();
    if !added.is_empty() {
        claims::add(connection, new.instance, &added, None).await?;
    }
    // Which plan's shipments take them; those of a plan that is approved or under way stay with it.
    let mine = sqlx::query(
        "UPDATE millpond.allocation a SET plan = CASE WHEN a.id = ANY($3) THEN $2 END \
         WHERE a.instance = $1 AND a.plan IS DISTINCT FROM CASE WHEN a.id = ANY($3) THEN $2 END \
           AND NOT EXISTS (SELECT FROM millpond.order_plan p WHERE p.instance = a.instance AND p.id = a.plan \
                             AND p.state IN ('approved', 'applying'))",
    )
    .bind(new.instance)
    .bind(plan)
    .bind(new.shipped)
    .execute(&mut *connection)
    .await?;
    if !gone.is_empty() || !added.is_empty() || mine.rows_affected() > 0 {
        claims::raise(connection, new.instance)
            .await
            .map_err(driver)?;
    }
    Ok(())
}

fn driver(error: StoreError) -> sqlx::Error {
    match error {
        StoreError::Away { source, .. } | StoreError::Refused { source, .. } => source,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}
