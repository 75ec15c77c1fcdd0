//! The SQL door: queries of users under a role that can only read.
//!
//! Four walls, each enough against writing: the statement must be one that reads (see `statement`), it runs as a
//! subquery of ours, in a read-only transaction that is always rolled back, under a role that was granted
//! nothing but `SELECT`. Time, rows, bytes and the number of queries at once are limited from outside, and what the planner
//! expects to cost too much does not begin.

mod cells;
mod cost;
mod error;
mod role;
mod run;
mod scope;
mod search;
mod session;
mod statement;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgPool;
use tokio::sync::Semaphore;

pub use self::error::{QueryError, RoleError, SearchError};
use self::role::Audience;
pub use self::role::{ReaderRole, ensure_reader_role, ensure_tenant_role, role_of, tenant_role_of};
use self::scope::Signer;
use self::session::{Session, Sessions};
use self::statement::Kind;
/// How much longer than the database we wait for its own time-out before we hang up.
const HANG_UP_AFTER: Duration = Duration::from_millis(500);

/// How much one query may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most rows that are answered.
    pub rows_max: usize,
    /// Most bytes of all rows together, as JSON. One row may pass it by one cell.
    pub bytes_max: usize,
    /// Most characters of one value; longer ones are cut and become text.
    pub cell_chars_max: usize,
    /// Longest time, waiting for a free place included.
    pub timeout: Duration,
    /// The most that the planner may expect a statement to cost, in its own units (a page read in order is 1); 0: what
    /// it expects does not count. What it expects to cost more does not begin.
    pub cost_max: u64,
    /// Whether the answer says what the planner expected.
    pub estimates: bool,
}

impl Default for Limits {
    /// 10,000 rows, 16 MiB, 1 Mi characters a value, 30 s, a cost of 100 million, no estimates told.
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            bytes_max: 16 << 20,
            cell_chars_max: 1 << 20,
            timeout: Duration::from_secs(30),
            cost_max: 100_000_000,
            estimates: false,
        }
    }
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name, as the query gives it; not necessarily unique.
    pub name: String,
    /// PostgreSQL's name of its type, `int8`, `text[]`.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// Why an answer is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncated {
    /// There are more rows than [`Limits::rows_max`].
    Rows,
    /// The rest would pass [`Limits::bytes_max`].
    Bytes,
    /// All rows are there, but some values were cut at [`Limits::cell_chars_max`].
    Cells,
}

/// What the planner expects of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// In its own units: a page read in order is 1. It counts that no more than [`Limits::rows_max`] are read.
    pub cost: f64,
    /// All rows that there are, those beyond the limit too.
    pub rows: f64,
}

/// What a query found.
#[derive(Debug, Serialize)]
pub struct QueryAnswer {
    /// The columns, also when there are no rows.
    pub columns: Vec<Column>,
    /// One JSON array for each row. Numbers have all their digits, JSON is as it is stored, stamps are RFC 3339.
    pub rows: Vec<Box<RawValue>>,
    /// Why this is not all, if it is not.
    pub truncated: Option<Truncated>,
    /// How long it took, without the wait for a free place.
    #[serde(rename = "duration_ms", serialize_with = "as_millis")]
    pub duration: Duration,
    /// What the planner expected, if [`Limits::estimates`] asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// The door. Cheap to clone; clones share its places.
#[derive(Debug, Clone)]
pub struct Reader {
    operators: Arc<Sessions>,
    /// Or why tenants' statements cannot run.
    tenants: Result<Arc<Tenants>, Arc<RoleError>>,
}

struct Tenants {
    sessions: Sessions,
    signer: Signer,
}

impl std::fmt::Debug for Tenants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sessions.fmt(f)
    }
}

/// What a statement sees.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Everything: an operator's.
    All,
    /// What is of these instances: a tenant's. The database itself hides the rest.
    Instances(&'a [String]),
}

impl Reader {
    /// Opens the door on the mirror that `owner` is connected to, for at most `concurrent_max` queries at once.
    /// Makes the role and its grants if need be.
    ///
    /// # Errors
    ///
    /// See [`ensure_reader_role`].
    pub async fn open(owner: &PgPool, concurrent_max: usize) -> Result<Self, RoleError> {
        let role = ensure_reader_role(owner).await?;
        let concurrent_max = concurrent_max.max(1);
        let places = Arc::new(Semaphore::new(concurrent_max));
        let sessions = |audience, role: &ReaderRole| {
            let places = Arc::clone(&places);
            Sessions::new(owner.clone(), audience, role, places, concurrent_max)
        };
        let tenants = match ensure_tenant_role(owner).await {
            Ok(role) => {
                let signer = Signer::load(owner).await.map_err(|source| RoleError::Sql {
                    action: "keep what claims are signed with",
                    source,
                })?;
                let sessions = sessions(Audience::Tenants, &role);
                Ok(Arc::new(Tenants { sessions, signer }))
            }
            Err(why) => Err(Arc::new(why)),
        };
        Ok(Self {
            operators: Arc::new(sessions(Audience::Operators, &role)),
            tenants,
        })
    }

    /// Why tenants' statements cannot run, if they cannot.
    pub fn tenants_locked_out(&self) -> Option<&RoleError> {
        self.tenants.as_ref().err().map(Arc::as_ref)
    }

    /// Answers one statement. `params` are the values of `$1`, `$2`, …; their types follow from the statement.
    ///
    /// A table that was made after the door was opened is found too. Dropping the future stops the query within
    /// a second, and gives its place back at once.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotAllowed`] and [`QueryError::Refused`] are the caller's to mend, the others ours.
    pub async fn query(
        &self,
        sql: &str,
        params: &[serde_json::Value],
        limits: &Limits,
    ) -> Result<QueryAnswer, QueryError> {
        self.query_as(Scope::All, sql, params, limits).await
    }

    /// As [`Reader::query`], of what `scope` lets be seen.
    ///
    /// # Errors
    ///
    /// As [`Reader::query`]; [`QueryError::Locked`] when there is no role for tenants.
    pub async fn query_as(
        &self,
        scope: Scope<'_>,
        sql: &str,
        params: &[serde_json::Value],
        limits: &Limits,
    ) -> Result<QueryAnswer, QueryError> {
        let deadline = Instant::now() + limits.timeout;
        let (kind, sql) = statement::admit(sql)?;
        let sessions = self.sessions(scope)?;
        let _place = sessions.take_place(limits.timeout).await?;
        let mut granted = false;
        loop {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            let attempt = self.attempt(scope, kind, sql, params, limits, left);
            let answer = match tokio::time::timeout(left + HANG_UP_AFTER, attempt).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(QueryError::TimedOut {
                        limit: limits.timeout,
                    });
                }
            };
            match answer {
                // A schema that came later: grant, and look again.
                Err(QueryError::Refused { code, .. }) if code == "42501" && !granted => {
                    granted = true;
                    sessions.grant_again().await?;
                }
                Err(QueryError::Refused { code, .. }) if code == "57014" => {
                    return Err(QueryError::TimedOut {
                        limit: limits.timeout,
                    });
                }
                other => return other,
            }
        }
    }

    fn sessions(&self, scope: Scope<'_>) -> Result<&Sessions, QueryError> {
        match (scope, &self.tenants) {
            (Scope::All, _) => Ok(&self.operators),
            (Scope::Instances(_), Ok(tenants)) => Ok(&tenants.sessions),
            (Scope::Instances(_), Err(why)) => Err(QueryError::Locked {
                source: Arc::clone(why),
            }),
        }
    }

    /// A transaction that sees what `scope` says, and ends after `limit`.
    async fn begin(&self, scope: Scope<'_>, limit: Duration) -> Result<Session<'_>, QueryError> {
        let mut session = self.sessions(scope)?.begin(limit).await?;
        if let (Scope::Instances(instances), Ok(tenants)) = (scope, &self.tenants) {
            session.see(&tenants.signer, instances).await?;
        }
        Ok(session)
    }

    async fn attempt(
        &self,
        scope: Scope<'_>,
        kind: Kind,
        sql: &str,
        params: &[serde_json::Value],
        limits: &Limits,
        left: Duration,
    ) -> Result<QueryAnswer, QueryError> {
        let mut session = self.begin(scope, left).await?;
        let started = Instant::now();
        let mut answer = match kind {
            Kind::Select => run::select(session.connection(), sql, params, limits).await,
            Kind::Text if params.is_empty() => run::show(session.connection(), sql, limits).await,
            Kind::Text => Err(QueryError::NotAllowed {
                what: "a parameter of EXPLAIN or SHOW".to_owned(),
            }),
        };
        let reusable = match &mut answer {
            Ok(answer) => {
                answer.duration = started.elapsed();
                // A stream that was not read to its end is not worth draining; hanging up stops it.
                answer.truncated != Some(Truncated::Bytes)
            }
            Err(error) => matches!(
                error,
                QueryError::Refused { .. } | QueryError::TooCostly { .. }
            ),
        };
        if reusable {
            session.give_back().await;
        }
        answer
    }
}
