//! Why the SQL door did not answer.

use std::{sync::Arc, time::Duration};

/// What the door lets through, for messages.
pub(super) const ALLOWED: &str = "one SELECT, WITH, VALUES, TABLE, EXPLAIN or SHOW statement";

/// Why the role that reads could not be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The mirror's own user may not create roles.
    #[error(
        "`{owner}` may not make the role `{role}` that SQL queries run under; \
         let an administrator run in this database, with psql:\n{statements}"
    )]
    MayNotCreate {
        /// The mirror's own user.
        owner: String,
        /// The role.
        role: String,
        /// What to run.
        statements: String,
    },
    /// The database did not do what was asked.
    #[error("could not {action} for SQL queries")]
    Sql {
        /// What was tried.
        action: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
}

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Not a statement that only reads.
    #[error("{what} is not allowed: the door takes {ALLOWED}")]
    NotAllowed {
        /// What was found instead, in words.
        what: String,
    },
    /// PostgreSQL refused the query.
    #[error("{message}")]
    Refused {
        /// Its message.
        message: String,
        /// The five-letter SQLSTATE.
        code: String,
        /// The character in the query where it applies, counted from 1.
        position: Option<usize>,
        /// Its details.
        detail: Option<String>,
        /// What it suggests, or what the door allows.
        hint: Option<String>,
    },
    /// The planner expects it to cost too much, and it was not begun.
    #[error(
        "the query is estimated to cost {cost:.0} for {rows:.0} rows, and no more than {cost_max} is let through: \
         narrow it with conditions, or join on keys"
    )]
    TooCostly {
        /// What the planner expects, in its own units.
        cost: f64,
        /// The rows that it expects.
        rows: f64,
        /// The most that is let through.
        cost_max: u64,
    },
    /// The query was stopped at its time limit.
    #[error("the query was stopped after its limit of {limit:?}")]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// Too many queries run at once.
    #[error(
        "{concurrent_max} queries are running, which is the most at once, and none ended within {waited:?}"
    )]
    Busy {
        /// How many may run.
        concurrent_max: usize,
        /// How long a place was waited for.
        waited: Duration,
    },
    /// The database cannot be reached now; asking again later can help.
    #[error("the database could not be reached for a query")]
    Away {
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// There is no role for tenants, and theirs may run under no other.
    #[error("tenants' statements cannot run here")]
    Locked {
        /// Why.
        #[source]
        source: Arc<RoleError>,
    },
    /// The role that queries run under is not usable.
    #[error("the role that SQL queries run under is not ready")]
    Role {
        /// Why.
        #[source]
        source: RoleError,
    },
}

impl From<RoleError> for QueryError {
    fn from(source: RoleError) -> Self {
        Self::Role { source }
    }
}

/// Why a search that a scope bounds has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The search itself.
    #[error(transparent)]
    Search(crate::StoreError),
    /// The door is full or locked, or the database is away.
    #[error(transparent)]
    Door(#[from] QueryError),
}
