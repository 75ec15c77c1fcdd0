//! `[[instance]]`: an account of an upstream, its connections, and what is to be mirrored of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InstanceFreshnessConfig, Period, SecretRef};

/// `[[instance]]`: an account of an upstream; one table per account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceConfig {
    /// Its name, in every answer and every row: `cin7-au`. Lower-case letters, digits and `-`.
    pub name: String,
    /// What kind of API it is: `cin7`, or the path of a connector file that ends in `.toml`.
    pub connector: String,
    /// Where its API begins. Absent: as the connector says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The currency of its books, such as `AUD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The currency in which its money is reported as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporting_currency: Option<String>,
    /// Only these resources of the connector. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
    /// All resources but these. Not together with `resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<String>>,
    /// No run starts in these hours, `HH:MM-HH:MM` in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<String>,
    /// The most time for one call. Absent: as the connector says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Period>,
    /// The most calls at once. Absent: as the connector says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// What each connection may call. Absent: as the connector says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitConfig>,
    /// Whether `base_url` may be on this machine or in a private network.
    #[serde(default)]
    pub private_hosts: bool,
    /// What upstream shows with its webhooks, `env:NAME` or `file:PATH`. Absent: nobody listens to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub hook_secret: Option<SecretRef>,
    /// A set of credentials with a call limit of its own; more of them multiply the ceiling.
    #[serde(rename = "connection", default)]
    pub connections: Vec<ConnectionConfig>,
    /// What holds for this instance instead of `[freshness]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<InstanceFreshnessConfig>,
    /// Another interval for one job.
    #[serde(rename = "schedule", default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleConfig>,
}

/// `[[instance.connection]]`: a set of credentials with a call limit of its own; more of them multiply the ceiling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Its name within the instance. Lower-case letters, digits and `-`.
    pub name: String,
    /// Where each secret that the connector asks for is found: `env:NAME` or `file:PATH`.
    #[schemars(with = "BTreeMap<String, String>")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// What it may call. Absent: as the instance says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitConfig>,
    /// The share of the limit that is ours, above 0 up to 1; the rest belongs to other programs with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f32>,
}

/// `limit = { calls = 60, per = "60s" }`: the most calls in any window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// The most calls in any window.
    pub calls: u32,
    /// The length of the window.
    #[schemars(with = "String")]
    pub per: Period,
}

/// `[[instance.schedule]]`: another interval for one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The resource, sweep or watch, without the connector's name: `sale_header`.
    pub resource: String,
    /// `changes`, `full`, `reconcile`, `sweep`, `watch` or `backfill`.
    #[schemars(with = "String")]
    pub kind: JobKind,
    /// From the start of one run to the start of the next.
    #[schemars(with = "String")]
    pub every: Period,
}

/// A kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// What changed since the last run.
    Changes,
    /// Everything, listed again.
    Full,
    /// Which records are gone.
    Reconcile,
    /// Hot records that ran out.
    Sweep,
    /// The difference between two listings.
    Watch,
    /// History, newest first.
    Backfill,
}

impl JobKind {
    /// The word in configuration and database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Full => "full",
            Self::Reconcile => "reconcile",
            Self::Sweep => "sweep",
            Self::Watch => "watch",
            Self::Backfill => "backfill",
        }
    }
}
