//! The ledger: who holds which units. Every change of it locks the instance's ledger row and raises its version.

use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use sqlx::{PgConnection, Row};

use crate::{
    Store, StoreError,
    error::{For, Result, sqlstate},
};

/// Units of one lot or expected receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id within the instance.
    pub node: String,
    /// What it is of.
    pub sku: String,
    /// Units that claims may take; at least 0.
    pub free: i64,
}

/// A claim that is to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClaim {
    /// Its id within the instance.
    pub id: String,
    /// Who holds it.
    pub order: String,
    /// The line it is for; absent: any that needs the SKU.
    pub line: Option<String>,
    /// The node it is of.
    pub node: String,
    /// Units, at least 1.
    pub qty: i64,
    /// Whether no run may move it.
    pub hard: bool,
    /// The day it was made.
    pub made: Date,
    /// The day from which it no longer holds.
    pub expires: Option<Date>,
    /// `plan`, `upstream`, or a person.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A live claim.
#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    /// Its id within the instance.
    pub id: String,
    /// Its instance.
    pub instance: String,
    /// Who holds it.
    pub order: String,
    /// The line it is for.
    pub line: Option<String>,
    /// The node it is of.
    pub node: String,
    /// What the node is of.
    pub sku: String,
    /// Units.
    pub qty: i64,
    /// `soft` or `hard`.
    pub strength: String,
    /// The day it was made.
    pub made: Date,
    /// The day from which it no longer holds.
    pub expires: Option<Date>,
    /// `plan`, `upstream`, or a person.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The plan whose shipments it is for.
    pub plan: Option<i64>,
    /// When its row was written.
    pub added_at: Timestamp,
}

/// How claims end.
#[derive(Debug, Clone, Copy)]
pub struct ClaimEnd<'a> {
    /// Who ends them.
    pub by: &'a str,
    /// Why: `consumed`, `released`, `moved`, or in words.
    pub why: &'a str,
}

/// The claims of an instance at one version.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Grows with every change.
    pub version: i64,
    /// Live claims by id.
    pub claims: Vec<Claim>,
}

/// What claiming came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It stands.
    Made,
    /// It stood already, word for word.
    Stood,
}

/// Why units were not claimed. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The node has fewer units left.
    #[error("`{node}` has no {qty} units left in {instance}")]
    Taken {
        /// The instance.
        instance: String,
        /// The node.
        node: String,
        /// Units that were wanted.
        qty: i64,
    },
    /// Another claim has that id.
    #[error("another claim is called `{id}` in {instance}")]
    IdTaken {
        /// The instance.
        instance: String,
        /// The id.
        id: String,
    },
    /// The database.
    #[error("the claim could not be written")]
    Store(#[from] StoreError),
}

/// Whether the database refused because a node would promise more than it has.
pub(super) fn is_oversold(error: &sqlx::Error) -> bool {
    sqlstate(error).as_deref() == Some("23514")
}

const COLUMNS: &str = "a.id, a.instance, a.order_ref, a.line, a.node, n.sku, a.qty, a.strength, a.made, a.expires, \
    a.made_by, a.reason, a.plan, a.added_at";

fn claim(row: &sqlx::postgres::PgRow) -> Claim {
    let day = |day: jiff_sqlx::Date| day.to_jiff();
    Claim {
        id: row.get(0),
        instance: row.get(1),
        order: row.get(2),
        line: row.get(3),
        node: row.get(4),
        sku: row.get(5),
        qty: row.get(6),
        strength: row.get(7),
        made: day(row.get(8)),
        expires: row.get::<Option<jiff_sqlx::Date>, _>(9).map(day),
        by: row.get(10),
        reason: row.get(11),
        plan: row.get(12),
        added_at: row.get::<jiff_sqlx::Timestamp, _>(13).to_jiff(),
    }
}

/// Locks the ledger of an instance until the transaction ends, and answers its version.
pub(super) async fn lock(connection: &mut PgConnection, instance: &str) -> Result<i64> {
    sqlx::query("INSERT INTO millpond.order_ledger (instance) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(instance)
        .execute(&mut *connection)
        .await
        .to("open the ledger of claims")?;
    sqlx::query_scalar("SELECT version FROM millpond.order_ledger WHERE instance = $1 FOR UPDATE")
        .bind(instance)
        .fetch_one(connection)
        .await
        .to("lock the ledger of claims")
}

pub(super) async fn raise(connection: &mut PgConnection, instance: &str) -> Result<()> {
    sqlx::query("UPDATE millpond.order_ledger SET version = version + 1 WHERE instance = $1")
        .bind(instance)
        .execute(connection)
        .await
        .to("raise the ledger's version")?;
    Ok(())
}

/// Ends claims by id. The ledger is locked.
pub(super) async fn end(
    connection: &mut PgConnection,
    instance: &str,
    ids: &[String],
    end: ClaimEnd<'_>,
) -> Result<u64> {
    let done = sqlx::query(
        "WITH gone AS (DELETE FROM millpond.allocation WHERE instance = $1 AND id = ANY($2) RETURNING *) \
         INSERT INTO millpond.allocation_end (instance, id, order_ref, line, node, qty, strength, ended_by, why) \
         SELECT instance, id, order_ref, line, node, qty, strength, $3, $4 FROM gone",
    )
    .bind(instance)
    .bind(ids)
    .bind(end.by)
    .bind(end.why)
    .execute(connection)
    .await
    .to("end claims")?;
    Ok(done.rows_affected())
}

/// Sets what nodes have, once their claims allow it. The ledger is locked.
pub(super) async fn set_nodes(
    connection: &mut PgConnection,
    instance: &str,
    nodes: &[Node],
) -> std::result::Result<(), sqlx::Error> {
    let ids: Vec<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
    let skus: Vec<&str> = nodes.iter().map(|node| node.sku.as_str()).collect();
    let free: Vec<i64> = nodes.iter().map(|node| node.free.max(0)).collect();
    sqlx::query(
        "INSERT INTO millpond.order_node AS n (instance, node, sku, free) \
         SELECT $1, node, sku, free FROM unnest($2::text[], $3::text[], $4::bigint[]) AS t (node, sku, free) ORDER BY node \
         ON CONFLICT (instance, node) DO UPDATE SET free = excluded.free, sku = excluded.sku \
         WHERE (n.free, n.sku) IS DISTINCT FROM (excluded.free, excluded.sku)",
    )
    .bind(instance)
    .bind(ids)
    .bind(skus)
    .bind(free)
    .execute(connection)
    .await
    .map(drop)
}

/// Adds claims; `plan` is whose shipments they are for. The ledger is locked.
pub(super) async fn add(
    connection: &mut PgConnection,
    instance: &str,
    claims: &[NewClaim],
    plan: Option<i64>,
) -> std::result::Result<(), sqlx::Error> {
    let text = |of: fn(&NewClaim) -> &str| claims.iter().map(of).collect::<Vec<&str>>();
    let strengths: Vec<&str> = claims
        .iter()
        .map(|claim| if claim.hard { "hard" } else { "soft" })
        .collect();
    let lines: Vec<Option<&str>> = claims.iter().map(|claim| claim.line.as_deref()).collect();
    let made: Vec<String> = claims.iter().map(|claim| claim.made.to_string()).collect();
    let expires: Vec<Option<String>> = claims
        .iter()
        .map(|claim| claim.expires.map(|day| day.to_string()))
        .collect();
    let qty: Vec<i64> = claims.iter().map(|claim| claim.qty).collect();
    sqlx::query(
        "INSERT INTO millpond.allocation (instance, id, order_ref, line, node, qty, strength, made, expires, made_by, reason, plan) \
         SELECT $1, id, order_ref, line, node, qty, strength, made::date, expires::date, made_by, reason, $12 \
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[]) \
           AS t (id, order_ref, line, node, qty, strength, made, expires, made_by, reason)",
    )
    .bind(instance)
    .bind(text(|claim| &claim.id))
    .bind(text(|claim| &claim.order))
    .bind(lines)
    .bind(text(|claim| &claim.node))
    .bind(qty)
    .bind(strengths)
    .bind(made)
    .bind(expires)
    .bind(text(|claim| &claim.by))
    .bind(text(|claim| &claim.reason))
    .bind(plan)
    .execute(connection)
    .await
    .map(drop)
}

impl Store {
    /// Every live claim of an instance, with the version that a plan made from them must name.
    pub async fn ledger(&self, instance: &str) -> Result<Ledger> {
        let mut tx = self.pool().begin().await.to("read claims")?;
        let version = lock(&mut tx, instance).await?;
        let claims = read(&mut tx, instance, None).await?;
        tx.commit().await.to("read claims")?;
        Ok(Ledger { version, claims })
    }

    /// Live claims of an instance, of one order if it is named, by id.
    pub async fn claims(&self, instance: &str, order: Option<&str>) -> Result<Vec<Claim>> {
        let mut connection = self.pool().acquire().await.to("read claims")?;
        read(&mut connection, instance, order).await
    }

    /// Claims units of a node for an order, unless they are taken; the same claim twice is made once.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Taken`] to all but the first who ask for the last units.
    pub async fn claim(
        &self,
        instance: &str,
        node: &Node,
        claim: &NewClaim,
    ) -> std::result::Result<Claimed, ClaimError> {
        let mut tx = self.pool().begin().await.to("claim units")?;
        lock(&mut tx, instance).await?;
        let same = read_one(&mut tx, instance, &claim.id).await?;
        if let Some(old) = same {
            let is_same = (
                old.order == claim.order,
                old.node == claim.node,
                old.qty == claim.qty,
            ) == (true, true, true);
            return if is_same {
                Ok(Claimed::Stood)
            } else {
                Err(ClaimError::IdTaken {
                    instance: instance.to_owned(),
                    id: claim.id.clone(),
                })
            };
        }
        let taken = |error: sqlx::Error| {
            if is_oversold(&error) {
                ClaimError::Taken {
                    instance: instance.to_owned(),
                    node: node.node.clone(),
                    qty: claim.qty,
                }
            } else {
                StoreError::from_sqlx("claim units", error).into()
            }
        };
        set_nodes(&mut tx, instance, std::slice::from_ref(node))
            .await
            .map_err(taken)?;
        add(&mut tx, instance, std::slice::from_ref(claim), None)
            .await
            .map_err(taken)?;
        raise(&mut tx, instance).await?;
        tx.commit().await.to("claim units")?;
        Ok(Claimed::Made)
    }

    /// Ends claims by id; those that are gone already stay gone. Answers how many ended now.
    pub async fn end_claims(
        &self,
        instance: &str,
        ids: &[String],
        why: ClaimEnd<'_>,
    ) -> Result<u64> {
        let mut tx = self.pool().begin().await.to("end claims")?;
        lock(&mut tx, instance).await?;
        let ended = end(&mut tx, instance, ids, why).await?;
        if ended > 0 {
            raise(&mut tx, instance).await?;
        }
        tx.commit().await.to("end claims")?;
        Ok(ended)
    }

    /// Ends the claims that one order holds for one plan, as far as they are of `nodes`.
    pub async fn end_claims_of(
        &self,
        instance: &str,
        plan: i64,
        order: &str,
        nodes: &[String],
        why: ClaimEnd<'_>,
    ) -> Result<u64> {
        let mut tx = self.pool().begin().await.to("end claims")?;
        lock(&mut tx, instance).await?;
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM millpond.allocation WHERE instance = $1 AND plan = $2 AND order_ref = $3 AND node = ANY($4)",
        )
        .bind(instance)
        .bind(plan)
        .bind(order)
        .bind(nodes)
        .fetch_all(&mut *tx)
        .await
        .to("end claims")?;
        let ended = end(&mut tx, instance, &ids, why).await?;
        if ended > 0 {
            raise(&mut tx, instance).await?;
        }
        tx.commit().await.to("end claims")?;
        Ok(ended)
    }

    /// Today as the database's clock has it, in UTC.
    pub async fn today(&self) -> Result<Date> {
        let at: jiff_sqlx::Timestamp = sqlx::query_scalar("SELECT now()")
            .fetch_one(self.pool())
            .await
            .to("ask for the time")?;
        Ok(at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date())
    }
}

async fn read(
    connection: &mut PgConnection,
    instance: &str,
    order: Option<&str>,
) -> Result<Vec<Claim>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM millpond.allocation a JOIN millpond.order_node n ON n.instance = a.instance AND n.node = a.node \
         WHERE a.instance = $1 AND ($2::text IS NULL OR a.order_ref = $2) ORDER BY a.id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(instance)
        .bind(order)
        .fetch_all(connection)
        .await
        .to("read claims")?;
    Ok(rows.iter().map(claim).collect())
}

async fn read_one(
    connection: &mut PgConnection,
    instance: &str,
    id: &str,
) -> Result<Option<Claim>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM millpond.allocation a JOIN millpond.order_node n ON n.instance = a.instance AND n.node = a.node \
         WHERE a.instance = $1 AND a.id = $2"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(instance)
        .bind(id)
        .fetch_optional(connection)
        .await
        .to("read a claim")?;
    Ok(row.as_ref().map(claim))
}
