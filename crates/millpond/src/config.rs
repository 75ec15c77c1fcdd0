//! `millpond.toml`: what it may say, what holds where it is silent, and what it gets wrong.
//!
//! One struct per table, with its defaults. `docs/config.md` and `millpond.example.toml` are printed from these
//! structs and their comments.

mod cache;
mod check;
mod chores;
mod database;
mod freshness;
mod instance;
mod load;
mod memory;
mod orders;
mod origin;
mod period;
mod place;
pub mod reference;
mod secret_ref;
mod server;
mod webhooks;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cache::{CacheConfig, CacheStore};
pub(crate) use check::is_hours;
pub use chores::{SweepConfig, WatchConfig};
pub use database::{CallLogConfig, DatabaseConfig, LogFormat, LogsConfig, RetentionConfig};
pub use freshness::{FreshnessConfig, InstanceFreshnessConfig, PolicyName};
pub use instance::{ConnectionConfig, InstanceConfig, JobKind, LimitConfig, ScheduleConfig};
pub use load::{ConfigError, Loaded, load, parse};
pub use memory::MemoryConfig;
pub use orders::{FillMode, OrdersConfig};
pub use origin::{Effective, Origin};
pub use period::Period;
pub use secret_ref::SecretRef;
pub use server::{ServerConfig, SqlConfig};
pub use webhooks::WebhooksConfig;

/// Everything that `millpond.toml` may say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerConfig,
    /// Where the mirror is kept.
    pub database: DatabaseConfig,
    /// What Millpond says about itself, on standard error.
    pub logs: LogsConfig,
    /// One line per call to an upstream.
    pub call_log: CallLogConfig,
    /// Bounds of queries at the SQL door.
    pub sql: SqlConfig,
    /// The hot cache in front of the mirror.
    #[serde(deserialize_with = "cache::line_or_table")]
    pub cache: CacheConfig,
    /// Which calls are worth making for what is read.
    pub freshness: FreshnessConfig,
    /// How long the past is kept.
    pub retention: RetentionConfig,
    /// What happens when supply arrives for open orders.
    pub orders: OrdersConfig,
    /// How fast sweeps and watches fetch.
    pub sweep: SweepConfig,
    /// What a look at a watched listing may fetch.
    pub watch: WatchConfig,
    /// What can be recalled, and who makes vectors.
    pub memory: MemoryConfig,
    /// How changes are delivered to webhooks.
    pub webhooks: WebhooksConfig,
    /// An account of an upstream; one table per account.
    #[serde(rename = "instance", skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceConfig>,
}
