//! Why the mirror could not do what was asked.

use cache::{FamilyError, LoadError};
use store::{BadName, StoreError};
use upstream::CallError;

/// What every fallible function of this crate answers.
pub type Result<T> = std::result::Result<T, MirrorError>;

/// Why the mirror could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The database.
    #[error("the mirror's database failed")]
    Store(#[from] StoreError),
    /// Upstream.
    #[error("{instance} could not be asked")]
    Upstream {
        /// Which instance.
        instance: String,
        /// Why.
        #[source]
        source: CallError,
    },
    /// A name that configuration or a caller gave means nothing.
    #[error("there is no {what} `{name}`; there is: {known}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names that would do.
        known: String,
    },
    /// A connector's name cannot be a schema, or a resource's no table.
    #[error("the connector cannot be mirrored")]
    Name(#[from] BadName),
    /// A connection's secret could not be read.
    #[error("connection {connection} of {instance}: {reason}")]
    Secret {
        /// Which instance.
        instance: String,
        /// Which connection.
        connection: String,
        /// Why, without the secret.
        reason: String,
    },
    /// The client of an instance could not be made.
    #[error("the client of {instance} cannot be made: {reason}")]
    Client {
        /// Which instance.
        instance: String,
        /// Why.
        reason: String,
    },
    /// A write that makes no sense; nothing was sent.
    #[error("this cannot be written: {reason}")]
    BadWrite {
        /// Why.
        reason: String,
    },
    /// A record that was to be fetched anew did not come.
    #[error("{resource} `{id}` was not fetched anew: {why}")]
    NotRefreshed {
        /// Which resource.
        resource: String,
        /// Which record.
        id: String,
        /// Why.
        why: String,
    },
    /// The freshness rules of a connector.
    #[error("the freshness rules `{table}` of {connector}: {reason}")]
    Rules {
        /// Which connector.
        connector: String,
        /// Which table of `[ttl]`.
        table: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// Another process does it now.
    #[error("{what} is under way in another process; `millpond schedule` shows where")]
    Busy {
        /// What.
        what: String,
    },
    /// There is nothing to do it on yet.
    #[error(
        "{what} has nothing to begin with: its records were never listed yet, or its hours are quiet"
    )]
    TooEarly {
        /// What.
        what: String,
    },
    /// Upstream did not answer; what is there is older than it should be.
    #[error("{resource} was not fetched: {reason}")]
    Stale {
        /// What.
        resource: String,
        /// Why.
        reason: String,
    },
    /// A listing that has no end.
    #[error("the listing of {resource} has more than {pages} pages")]
    Endless {
        /// What is listed.
        resource: String,
        /// The most pages that are read.
        pages: u64,
    },
    /// A hot value could not be loaded; [`MirrorError::cause`] says why.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The families of hot values do not fit together.
    #[error("the connectors' hot values cannot be told apart")]
    Families(#[from] FamilyError),
    /// A schedule that makes no sense.
    #[error("the schedule of {resource} in {instance}: {reason}")]
    Schedule {
        /// Which instance.
        instance: String,
        /// Which resource.
        resource: String,
        /// Why.
        reason: String,
    },
}

impl MirrorError {
    /// What went wrong in the first place: where many waited for one load, each was told of the same failure.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Load(LoadError::Failed { source, .. }) => source
                .downcast_ref::<Self>()
                .map_or(self, |error| error.cause()),
            _ => self,
        }
    }
}
