//! `[webhooks]`: how changes are delivered to the addresses of webhooks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// `[webhooks]`: how changes are delivered to the addresses of webhooks (`millpond webhooks`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Whether addresses may be inside this machine or its network, and plain `http`.
    pub private_hosts: bool,
    /// The most time of one attempt. From `1s` to `1m`.
    #[schemars(with = "String")]
    pub timeout: Period,
    /// Attempts after which a delivery is dead, from 1 to 100.
    pub attempts: u32,
    /// The wait after the first attempt, doubled after each further one, give or take a fifth. From `100ms` to `1h`.
    #[schemars(with = "String")]
    pub backoff_first: Period,
    /// No wait is longer, unless the receiver asks for it, and then at most an hour. From `100ms` to `1d`.
    #[schemars(with = "String")]
    pub backoff_max: Period,
    /// The most changes of one delivery, from 1 to 1,000.
    pub batch_max: usize,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            private_hosts: false,
            timeout: Period::secs(10),
            attempts: 12,
            backoff_first: Period::secs(5),
            backoff_max: Period::secs(3600),
            batch_max: 200,
        }
    }
}
