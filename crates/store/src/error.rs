//! Why the database did not do what was asked.

/// A failed statement, with what it was for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached now; asking again later can help.
    #[error("the database could not be reached to {what}")]
    Away {
        /// What was tried.
        what: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The database answered with an error.
    #[error("the database refused to {what}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// The lease was lost: another process runs the job now.
    #[error("the lease on the {kind} job of {resource} in {instance} was lost to another process")]
    LeaseLost {
        /// The job's instance.
        instance: String,
        /// The job's resource.
        resource: String,
        /// The job's kind.
        kind: String,
    },
    /// No row has that name.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// What kind of thing was looked for.
        what: &'static str,
        /// The name that was given.
        name: String,
    },
}

/// What every fallible function of this crate answers.
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// Whether asking again later can help.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    pub(crate) fn from_sqlx(what: &'static str, source: sqlx::Error) -> Self {
        // 08: connection; 53: out of connections, memory or disk; 57P: shutting down or starting up.
        let away = match &source {
            sqlx::Error::Database(e) => e
                .code()
                .is_some_and(|c| ["08", "53", "57P"].iter().any(|class| c.starts_with(class))),
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_)
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        };
        if away {
            Self::Away { what, source }
        } else {
            Self::Refused { what, source }
        }
    }
}

/// Adds what a statement was for to the driver's error.
pub(crate) trait For<T> {
    fn to(self, what: &'static str) -> Result<T>;
}

impl<T> For<T> for std::result::Result<T, sqlx::Error> {
    fn to(self, what: &'static str) -> Result<T> {
        self.map_err(|source| StoreError::from_sqlx(what, source))
    }
}

/// The five-letter SQLSTATE, if the database gave one.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|e| e.code())
        .map(|c| c.into_owned())
}
