//! `[freshness]` and `[instance.freshness]`: which calls are worth making.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// The longest promise: a month.
pub(super) const MAX_AGE_MAX: Period = Period::secs(30 * 86_400);

/// `[freshness]`: which calls are worth making for what is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FreshnessConfig {
    /// `tiers`: the TTL tables of connectors decide. `priced`: each read is served from the copy, or fetched first or
    /// behind the reader's back, by how many stale reads that saves.
    pub policy: PolicyName,
    /// Under `priced`, nobody is answered with an older copy as long as upstream answers. From `1s` to `30d`.
    #[schemars(with = "String")]
    pub max_age: Period,
    /// Under `priced`, the share of an instance's calls that asking for changes may take, from 0 to 1: feeds whose records
    /// are read are asked as often as that allows, from `feed_every_min` to as rarely as their connector says.
    pub feed_share: f64,
    /// Under `priced`, no feed is asked more often than this, however free calls are. From `100ms` to `1h`.
    #[schemars(with = "String")]
    pub feed_every_min: Period,
    /// How long a reader who names no age waits for a call that lifetimes or the policy want; it then gets the copy,
    /// marked `stale`, and the call goes on. From `10ms` to `45s`.
    #[schemars(with = "String")]
    pub patience: Period,
}

/// `[instance.freshness]`: what holds for one instance instead of `[freshness]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceFreshnessConfig {
    /// `tiers` or `priced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// The oldest copy that is served under `priced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max_age: Option<Period>,
    /// The share of the calls that asking for changes may take under `priced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_share: Option<f64>,
}

/// How calls are spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum PolicyName {
    /// By the TTL tables.
    #[default]
    Tiers,
    /// By what a call saves.
    Priced,
}

impl Default for FreshnessConfig {
    fn default() -> Self {
        let settings = mirror::FreshnessSettings::default();
        Self {
            policy: PolicyName::Tiers,
            max_age: Period(settings.max_age),
            feed_share: settings.feed_share,
            feed_every_min: Period(settings.feed_every_min),
            patience: Period(settings.patience),
        }
    }
}

impl FreshnessConfig {
    /// What holds for an instance that says `own`.
    pub(crate) fn settings(
        &self,
        own: Option<InstanceFreshnessConfig>,
    ) -> mirror::FreshnessSettings {
        let own = own.unwrap_or_default();
        mirror::FreshnessSettings {
            policy: match own.policy.unwrap_or(self.policy) {
                PolicyName::Tiers => mirror::Policy::Tiers,
                PolicyName::Priced => mirror::Policy::Priced,
            },
            max_age: own.max_age.unwrap_or(self.max_age).0,
            feed_share: own.feed_share.unwrap_or(self.feed_share),
            feed_every_min: self.feed_every_min.0,
            patience: self.patience.0,
        }
    }
}
