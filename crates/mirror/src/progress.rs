//! What a run tells those who watch it.

use serde::Serialize;
use store::{ResourceName, runs::RunCounts};

/// Something happened that a person may want to see.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// A run began.
    RunStarted {
        /// Its number.
        run: i64,
        /// Its instance.
        instance: String,
        /// Its resource.
        resource: ResourceName,
        /// Its kind.
        kind: String,
    },
    /// A run has so much.
    Run {
        /// Its number.
        run: i64,
        /// Its instance.
        instance: String,
        /// Its resource.
        resource: ResourceName,
        /// Its kind.
        kind: String,
        /// What it did so far.
        #[serde(skip)]
        counts: RunCounts,
        /// Records seen so far.
        seen: i64,
        /// Records upstream says there are.
        expected: Option<u64>,
    },
    /// A run ended.
    RunEnded {
        /// Its number.
        run: i64,
        /// Its instance.
        instance: String,
        /// Its resource.
        resource: ResourceName,
        /// Its kind.
        kind: String,
        /// `done`, `partial`, `failed` or `stopped`.
        state: &'static str,
        /// Why.
        why: Option<String>,
        /// Records that it changed.
        changed: i64,
    },
    /// A sweep ended.
    Swept(Box<crate::sweep::SweepReport>),
    /// Details were fetched.
    Details {
        /// Their instance.
        instance: String,
        /// Fetched since the worker began.
        done: u64,
        /// Still to come.
        waiting: i64,
    },
}

/// Who listens.
pub type Listener = std::sync::Arc<dyn Fn(Progress) + Send + Sync>;
