//! What configuration says about the instances to be mirrored.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use freshness::Policy;
use store::instances::CallLimit;
use upstream::{Connector, Secret};

use crate::chore::ChoreSettings;

/// One instance to be mirrored.
#[derive(Clone, Debug)]
pub struct InstanceSettings {
    /// Its name: `cin7-au`.
    pub name: String,
    /// Its connector.
    pub connector: Arc<Connector>,
    /// Where its API is, if not where the connector says.
    pub base_url: Option<String>,
    /// The currency of its books, ISO 4217.
    pub currency: Option<String>,
    /// The currency in which its money is reported.
    pub reporting: Option<String>,
    /// Its connections.
    pub connections: Vec<ConnectionSettings>,
    /// What of it is mirrored.
    pub resources: ResourceFilter,
    /// Intervals other than the connector's.
    pub schedules: Vec<ScheduleOverride>,
    /// Hours in which no run starts, `HH:MM-HH:MM` UTC.
    pub quiet: Option<String>,
    /// Whether its API may be at a private address.
    pub private_hosts: bool,
    /// The most time for one call, if not the connector's.
    pub timeout: Option<Duration>,
    /// The limit of each connection, if not the connector's.
    pub limit: Option<CallLimit>,
    /// Calls at once, if not the connector's.
    pub concurrency: Option<u32>,
    /// How sweeps and watches are done.
    pub chores: ChoreSettings,
    /// Which calls are worth making.
    pub freshness: FreshnessSettings,
}

/// Which calls of an instance are worth making for the freshness of what is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreshnessSettings {
    /// Whether the TTL tables decide, or what a call saves.
    pub policy: Policy,
    /// Under [`Policy::Priced`]: nobody is answered with an older copy while upstream answers.
    pub max_age: Duration,
    /// Under [`Policy::Priced`]: the share of the calls that changes feeds may take, 0 to 1.
    pub feed_share: f64,
    /// Under [`Policy::Priced`]: a feed is asked no more often than this, however free calls are.
    pub feed_every_min: Duration,
    /// How long a reader waits for a call that its own question did not ask for; it then gets the copy, marked, and the
    /// call goes on.
    pub patience: Duration,
}

impl Default for FreshnessSettings {
    fn default() -> Self {
        Self {
            policy: Policy::Tiers,
            max_age: Duration::from_secs(3600),
            feed_share: 0.25,
            feed_every_min: Duration::from_secs(3),
            patience: Duration::from_secs(10),
        }
    }
}

/// One connection of an instance.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Its name within the instance.
    pub name: String,
    /// Each secret's name and where it is found: `env:NAME`, `file:PATH`.
    pub secrets: BTreeMap<String, String>,
    /// Its limit, if not the instance's.
    pub limit: Option<CallLimit>,
    /// The share of it that is ours, above 0 up to 1.
    pub share: Option<f32>,
}

/// Which resources of a connector are mirrored. Parents of chosen ones are chosen too.
#[derive(Clone, Debug, Default)]
pub enum ResourceFilter {
    /// All of them.
    #[default]
    All,
    /// Only these.
    Only(Vec<String>),
    /// All but these.
    Except(Vec<String>),
}

/// An interval other than the connector's.
#[derive(Clone, Debug)]
pub struct ScheduleOverride {
    /// The name of the resource, sweep or watch, without the connector.
    pub resource: String,
    /// `changes`, `full`, `reconcile`, `sweep` or `watch`.
    pub kind: String,
    /// The interval.
    pub every: Duration,
}

/// Finds the secrets that connections refer to. Only the program itself reads the environment.
pub trait SecretSource: Send + Sync {
    /// The secret behind `env:NAME` or `file:PATH`.
    ///
    /// # Errors
    ///
    /// Why it could not be read, without any of it.
    fn resolve(&self, reference: &str) -> std::result::Result<Secret, String>;
}

impl ResourceFilter {
    pub(crate) fn admits(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::Except(names) => !names.iter().any(|n| n == name),
        }
    }

    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(names) | Self::Except(names) => names,
        }
    }
}
