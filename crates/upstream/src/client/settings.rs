//! What a client is made of, and why it cannot be made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::connector::Connector;
use crate::secret::Secret;

/// How a client of one instance behaves.
#[derive(Clone)]
pub struct Settings {
    /// What the API looks like.
    pub connector: Arc<Connector>,
    /// The instance's name, for logs and for the gate.
    pub instance: String,
    /// Where the API begins, if not where the connector says.
    pub base_url: Option<String>,
    /// Whether addresses inside this machine or its network may be called, and plain `http` be used.
    pub allow_private_hosts: bool,
    /// The most time for one attempt; absent: as the connector says.
    pub timeout: Option<Duration>,
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The wait before the second attempt, doubled before each further one.
    pub backoff_first: Duration,
    /// Whether waits vary by up to a fifth, so that many clients do not come back together.
    pub jitter: bool,
    /// The most time that one call waits for permits, throttling included.
    pub wait_max: Duration,
    /// The most bytes of a body, inflated.
    pub body_max: u64,
    /// The most bytes of one record; larger ones carry a problem.
    pub record_max: usize,
    /// The most pages of one listing.
    pub pages_max: u64,
    /// Certificates to trust beside those of the system, each as PEM.
    pub root_certificates: Vec<Vec<u8>>,
    /// Tells the time and waits.
    pub clock: Arc<dyn Clock>,
}

impl Settings {
    /// The defaults: 3 attempts, 1 s before the second, bodies of 64 MiB, records of 16 MiB, 100,000 pages, 10
    /// minutes of waiting for permits.
    pub fn new(connector: Arc<Connector>, instance: impl Into<String>) -> Settings {
        Settings {
            connector,
            instance: instance.into(),
            base_url: None,
            allow_private_hosts: false,
            timeout: None,
            attempts: 3,
            backoff_first: Duration::from_secs(1),
            jitter: false,
            wait_max: Duration::from_secs(600),
            body_max: 64 << 20,
            record_max: 16 << 20,
            pages_max: 100_000,
            root_certificates: Vec::new(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

/// One set of credentials into an instance.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name, the same that the gate's permits carry.
    pub name: String,
    /// Its secrets by the names that the connector's `{braces}` use.
    pub secrets: BTreeMap<String, Secret>,
}

/// Why a client or a connection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The base URL is none.
    #[error("base URL `{url}` of `{instance}`: {reason}")]
    BaseUrl {
        /// The instance.
        instance: String,
        /// As configured, without user and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A connection does not bring a secret that the connector names.
    #[error("connection `{connection}` of `{instance}` has no secret `{secret}`")]
    SecretMissing {
        /// The instance.
        instance: String,
        /// The connection.
        connection: String,
        /// The secret's name.
        secret: String,
    },
    /// A secret cannot stand in a header.
    #[error(
        "connection `{connection}` of `{instance}`: the value for header `{header}` has characters that no header can carry"
    )]
    SecretUnusable {
        /// The instance.
        instance: String,
        /// The connection.
        connection: String,
        /// The header.
        header: String,
    },
    /// Two connections have the same name.
    #[error("`{instance}` has two connections called `{connection}`")]
    ConnectionTwice {
        /// The instance.
        instance: String,
        /// The connection.
        connection: String,
    },
    /// A number that makes no sense.
    #[error("`{name}` of `{instance}` must be {allowed}")]
    Number {
        /// The instance.
        instance: String,
        /// Which setting.
        name: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The HTTP or TLS library refused the settings.
    #[error("the HTTP client of `{instance}` cannot be built")]
    Build {
        /// The instance.
        instance: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}
