//! `[orders]`: the job that fills waiting orders when stock arrives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use crate::orders::Through;

/// `[orders]`: what happens when the mirror sees supply arrive for open orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OrdersConfig {
    /// `off`; `propose`: every open order is planned, and a person approves; `apply`: the plan is written upstream.
    pub fill: FillMode,
    /// How often the mirror's changes are looked at. From `1s` to `1h`.
    #[schemars(with = "String")]
    pub every: Period,
    /// How far shipments go upstream: `pick`, `pack`, `ship` or `invoice`.
    #[schemars(with = "String")]
    pub through: Through,
    /// Whether a simple sale may become an advanced one, which nobody can take back.
    pub may_convert: bool,
}

/// What the fill job may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FillMode {
    /// Nothing.
    #[default]
    Off,
    /// It stores plans.
    Propose,
    /// It writes them upstream.
    Apply,
}

impl Default for OrdersConfig {
    fn default() -> Self {
        Self {
            fill: FillMode::Off,
            every: Period::secs(crate::orders::FILL_EVERY.as_secs()),
            through: crate::orders::FILL_THROUGH,
            may_convert: false,
        }
    }
}
