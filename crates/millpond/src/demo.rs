//! `millpond demo`: the whole thing on real orders, with nothing set up, and what it saves, measured.
//!
//! The simulated service keeps its limit of 60 calls a minute and key, but its minutes are [`COMPRESSION`] times
//! shorter. Calls are counted by the service itself.

mod desk;
mod live;
mod measure;
mod naive;
mod question;
mod report;
mod stage;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use desk::{Desk, INSTANCE as DESK};
pub use report::{Comparison, Report};
pub use stage::{Stage, StageOptions};

use self::question::Question;

/// How much shorter the simulated service's minutes are.
pub const COMPRESSION: u32 = 200;
/// The limit of one key: so many calls a minute.
pub const CALLS_PER_MINUTE: u32 = 60;

/// The simulated service's minute.
pub fn minute() -> Duration {
    Duration::from_secs(60) / COMPRESSION
}

/// Asks the question both ways and measures the four complaints. The mirror's worker must not run meanwhile, so that
/// every call that the service counts is of the asking.
///
/// # Errors
///
/// The mirror or the service fails.
pub async fn compare(stage: &Stage, desk: Desk) -> anyhow::Result<Report> {
    let question = Question::choose(stage).await?;
    let asked = question::ask(stage, &question).await?;
    let limits = measure::limits(stage).await?;
    let redundancy = measure::redundancy(stage).await?;
    let latency = measure::latency(stage).await?;
    Ok(Report::new(
        question, asked, limits, redundancy, latency, desk,
    ))
}

/// Changes ten orders upstream while a worker runs, and measures when and at what cost the mirror has them.
///
/// # Errors
///
/// The mirror does not get them in time.
pub async fn follow(stage: &Stage) -> anyhow::Result<live::Followed> {
    live::follow(stage).await
}

/// Lets the service desk's deals be warmed, and reads some out of the cache and through the API.
///
/// # Errors
///
/// The mirror or the service fails, or `stop` was given meanwhile.
pub async fn look_at_desk(
    stage: &Stage,
    owner: &str,
    stop: &CancellationToken,
) -> anyhow::Result<Desk> {
    desk::look(stage, owner, stop).await
}
