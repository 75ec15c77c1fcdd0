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
    /// There is one already.
    #[error("there is a {what} `{name}` already")]
    Exists {
        /// What kind of thing was to be made.
        what: &'static str,
        /// The name that was given.
        name: String,
    },
    /// A value that no such thing can have.
    #[error(
        "the {what} `{name}` cannot be like that: ids and plans are lower-case letters, digits and hyphens, titles have 1 to 200 characters, cycles are hour, day or month"
    )]
    Invalid {
        /// What kind of thing was to be written.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There are as many as there may be.
    #[error("there are {most} {what} already, which is the most")]
    Full {
        /// What there are too many of.
        what: &'static str,
        /// The bound.
        most: i64,
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

    /// Whether a value that was given cannot be kept: a NUL character, a number out of range, a text too long.
    pub fn is_bad_value(&self) -> bool {
        let Self::Refused { source, .. } = self else {
            return false;
        };
        sqlstate(source).is_some_and(|code| code.starts_with("22") || code == "23514")
    }

    /// Whether the role lacks a right: a table may have come after the last grant.
    pub(crate) fn is_not_granted(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if sqlstate(source).as_deref() == Some("42501"))
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

/// A row that a check refused, or one that is there already, in the caller's terms.
pub(crate) fn written<T>(
    done: std::result::Result<T, sqlx::Error>,
    what: &'static str,
    name: &str,
) -> Result<T> {
    let name = || name.chars().take(80).collect();
    match done.as_ref().err().and_then(sqlstate).as_deref() {
        Some("23505") => Err(StoreError::Exists { what, name: name() }),
        Some("23514") => Err(StoreError::Invalid { what, name: name() }),
        _ => done.to("write what was given"),
    }
}

/// The five-letter SQLSTATE, if the database gave one.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|e| e.code())
        .map(|c| c.into_owned())
}
