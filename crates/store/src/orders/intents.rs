//! What is to be written upstream: one row per write, committed before the call, and moved only by who holds the plan.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sqlx::{Row, postgres::PgRow};

use super::lease::PlanLease;
use crate::{
    Store,
    error::{For, Result},
};

/// How a write stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Not sent, or known not to have arrived.
    Ready,
    /// On its way; after a crash nobody knows.
    Sent,
    /// Upstream has it.
    Done,
    /// Upstream said no.
    Refused,
    /// Nobody knows whether it arrived: only reading can tell.
    InDoubt,
    /// It was done and then taken back.
    Undone,
}

impl IntentState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Sent => "sent",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::InDoubt => "in_doubt",
            Self::Undone => "undone",
        }
    }

    fn read(text: &str) -> Self {
        match text {
            "ready" => Self::Ready,
            "sent" => Self::Sent,
            "done" => Self::Done,
            "refused" => Self::Refused,
            "undone" => Self::Undone,
            _ => Self::InDoubt,
        }
    }
}

/// A write that is to be made.
#[derive(Debug, Clone)]
pub struct NewIntent<'a> {
    /// The same for the same write, whoever plans it again.
    pub key: &'a str,
    /// The shipment of the plan.
    pub shipment: i32,
    /// The step of the shipment.
    pub step: i32,
    /// What it does.
    pub kind: &'a str,
    /// What is written.
    pub work: &'a Value,
}

/// A write's row.
#[derive(Debug, Clone, Serialize)]
pub struct Intent {
    /// The same for the same write.
    pub key: String,
    /// The shipment of the plan.
    pub shipment: i32,
    /// The step of the shipment.
    pub step: i32,
    /// What it does.
    pub kind: String,
    /// How it stands.
    pub state: IntentState,
    /// What is written.
    pub work: Box<RawValue>,
    /// What upstream answered, as far as later steps need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
    /// Why it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How often it was sent.
    pub attempts: i32,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
    /// When it was settled.
    pub ended_at: Option<Timestamp>,
}

/// How a shipment of a plan stands.
#[derive(Debug, Clone, Serialize)]
pub struct ShipmentRow {
    /// Its number in the plan.
    pub shipment: i32,
    /// `open`, `done`, `dropped` or `needs_person`.
    pub state: String,
    /// The reason's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

const COLUMNS: &str =
    "key, shipment, step, kind, state, work::text, outcome::text, why, attempts, sent_at, ended_at";

fn intent(row: &PgRow) -> Result<Intent> {
    let at = |at: jiff_sqlx::Timestamp| at.to_jiff();
    let raw = |error: serde_json::Error| sqlx::Error::Decode(Box::new(error));
    let state: String = row.get(4);
    let outcome: Option<String> = row.get(6);
    let outcome = outcome
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(raw)
        .to("read an intent")?;
    Ok(Intent {
        key: row.get(0),
        shipment: row.get(1),
        step: row.get(2),
        kind: row.get(3),
        state: IntentState::read(&state),
        work: RawValue::from_string(row.get(5))
            .map_err(raw)
            .to("read an intent")?,
        outcome,
        why: row.get(7),
        attempts: row.get(8),
        sent_at: row.get::<Option<jiff_sqlx::Timestamp>, _>(9).map(at),
        ended_at: row.get::<Option<jiff_sqlx::Timestamp>, _>(10).map(at),
    })
}

/// The lease still stands; `$1` to `$3` are plan, instance and token.
const HELD: &str = "EXISTS (SELECT FROM millpond.order_plan WHERE id = $1 AND instance = $2 AND token = $3 AND state = 'applying')";

impl Store {
    /// Writes an intent down, or finds it written; what it writes may change as long as nothing was sent. `None`: another
    /// process has the plan.
    pub async fn open_intent(
        &self,
        lease: &PlanLease,
        new: &NewIntent<'_>,
    ) -> Result<Option<Intent>> {
        const WHAT: &str = "write an intent";
        let statement = format!(
            "INSERT INTO millpond.order_intent (instance, key, plan, shipment, step, kind, work) \
             SELECT $2, $4, $1, $5, $6, $7, $8::json WHERE {HELD} \
             ON CONFLICT (instance, key) DO UPDATE SET work = excluded.work WHERE order_intent.state = 'ready'"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(lease.plan)
            .bind(&lease.instance)
            .bind(lease.token)
            .bind(new.key)
            .bind(new.shipment)
            .bind(new.step)
            .bind(new.kind)
            .bind(new.work.to_string())
            .execute(self.pool())
            .await
            .to(WHAT)?;
        let statement = format!(
            "SELECT {COLUMNS} FROM millpond.order_intent WHERE instance = $2 AND plan = $1 AND key = $4 AND {HELD}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(lease.plan)
            .bind(&lease.instance)
            .bind(lease.token)
            .bind(new.key)
            .fetch_optional(self.pool())
            .await
            .to(WHAT)?;
        row.as_ref().map(intent).transpose()
    }

    /// Moves an intent from one state to the next. `false`: it stands otherwise by now, or another process has the
    /// plan; then nothing may be sent.
    pub async fn move_intent(
        &self,
        lease: &PlanLease,
        key: &str,
        from: IntentState,
        to: IntentState,
        outcome: Option<&Value>,
        why: Option<&str>,
    ) -> Result<bool> {
        let statement = format!(
            "UPDATE millpond.order_intent SET state = $6, outcome = coalesce($7::json, outcome), why = $8, \
               attempts = attempts + CASE WHEN $6 = 'sent' THEN 1 ELSE 0 END, \
               sent_at = CASE WHEN $6 = 'sent' THEN clock_timestamp() ELSE sent_at END, \
               ended_at = CASE WHEN $6 IN ('done', 'refused', 'undone') THEN clock_timestamp() END \
             WHERE instance = $2 AND key = $4 AND state = $5 AND {HELD}"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(lease.plan)
            .bind(&lease.instance)
            .bind(lease.token)
            .bind(key)
            .bind(from.as_str())
            .bind(to.as_str())
            .bind(outcome.map(Value::to_string))
            .bind(why)
            .execute(self.pool())
            .await
            .to("move an intent")?;
        Ok(done.rows_affected() > 0)
    }

    /// Every intent of a plan, in the order of its shipments and steps.
    pub async fn intents(&self, plan: i64) -> Result<Vec<Intent>> {
        let statement = format!(
            "SELECT {COLUMNS} FROM millpond.order_intent WHERE plan = $1 ORDER BY shipment, step"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(plan)
            .fetch_all(self.pool())
            .await
            .to("read intents")?;
        rows.iter().map(intent).collect()
    }

    /// Says how a shipment stands. `false`: another process has the plan.
    pub async fn set_shipment(
        &self,
        lease: &PlanLease,
        shipment: i32,
        state: &str,
        code: Option<&str>,
        why: Option<&str>,
    ) -> Result<bool> {
        let statement = format!(
            "INSERT INTO millpond.order_shipment (instance, plan, shipment, state, code, why) \
             SELECT $2, $1, $4, $5, $6, $7 WHERE {HELD} \
             ON CONFLICT (instance, plan, shipment) DO UPDATE SET state = excluded.state, code = excluded.code, \
               why = excluded.why, moved_at = clock_timestamp()"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(lease.plan)
            .bind(&lease.instance)
            .bind(lease.token)
            .bind(shipment)
            .bind(state)
            .bind(code)
            .bind(why)
            .execute(self.pool())
            .await
            .to("note how a shipment stands")?;
        Ok(done.rows_affected() > 0)
    }

    /// How the shipments of a plan stand, by number.
    pub async fn shipments(&self, plan: i64) -> Result<Vec<ShipmentRow>> {
        let rows = sqlx::query(
            "SELECT shipment, state, code, why FROM millpond.order_shipment WHERE plan = $1 ORDER BY shipment",
        )
        .bind(plan)
        .fetch_all(self.pool())
        .await
        .to("read how shipments stand")?;
        let shipment = |row: &PgRow| ShipmentRow {
            shipment: row.get(0),
            state: row.get(1),
            code: row.get(2),
            why: row.get(3),
        };
        Ok(rows.iter().map(shipment).collect())
    }

    /// Up to where the backorder job of an instance has read the changes.
    pub async fn order_watch(&self, instance: &str) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT cursor FROM millpond.order_watch WHERE instance = $1")
            .bind(instance)
            .fetch_optional(self.pool())
            .await
            .to("read where the backorder job stands")
    }

    /// Notes up to where the backorder job of an instance has read.
    pub async fn set_order_watch(&self, instance: &str, cursor: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO millpond.order_watch (instance, cursor) VALUES ($1, $2) \
             ON CONFLICT (instance) DO UPDATE SET cursor = excluded.cursor",
        )
        .bind(instance)
        .bind(cursor)
        .execute(self.pool())
        .await
        .to("note where the backorder job stands")?;
        Ok(())
    }
}
