//! `[sweep]` and `[watch]`: how fast hot values are looked after.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use crate::environment::Environment;

/// The most tasks of a batch.
pub(super) const CONCURRENCY_MAX: u32 = 100;
/// The longest pause between batches, and the longest rest of a record.
pub(super) const PAUSE_MAX: Period = Period::secs(86_400);
/// The most records that a watch fetches per look.
pub(super) const PER_CYCLE_MAX: u32 = 10_000;

/// `[sweep]`: how fast sweeps and watches fetch. How often: `[[instance.schedule]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SweepConfig {
    /// Tasks of one batch, all at once; from 1 to 100. The environment variable CONCURRENCY goes before this.
    pub concurrency: u32,
    /// The pause between the end of one batch and the start of the next; may be `0s`. The environment variable
    /// BATCH_DELAY_MS, in milliseconds, goes before this.
    #[schemars(with = "String")]
    pub batch_delay: Period,
}

impl Default for SweepConfig {
    fn default() -> Self {
        let pace = mirror::batch::Pace::default();
        Self {
            concurrency: u32::try_from(pace.concurrency).unwrap_or(1),
            batch_delay: Period(pace.delay),
        }
    }
}

/// `[watch]`: what a look at a watched listing may fetch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// The most records fetched per look, from 1 to 10,000; the others come with the next looks. Absent: as the
    /// connector says. The environment variable CW_ADJUSTMENT_SYNC_MAX_PER_CYCLE goes before this.
    pub per_cycle_max: Option<u32>,
    /// For so long after its fetch a record is not fetched again. Absent: as the connector says. The environment
    /// variable CW_ADJUSTMENT_SYNC_COOLDOWN_MS, in milliseconds, goes before this.
    #[schemars(with = "Option<String>")]
    pub cooldown: Option<Period>,
}

/// The variables that go before `[sweep]` and `[watch]`, and the keys they are for.
pub(super) const VARIABLES: [(&str, &str); 4] = [
    ("CONCURRENCY", "sweep.concurrency"),
    ("BATCH_DELAY_MS", "sweep.batch_delay"),
    ("CW_ADJUSTMENT_SYNC_MAX_PER_CYCLE", "watch.per_cycle_max"),
    ("CW_ADJUSTMENT_SYNC_COOLDOWN_MS", "watch.cooldown"),
];

/// Applies [`VARIABLES`]; `from` hears of each that is set.
///
/// # Errors
///
/// The variable that is no number within its bounds, and what it must be.
pub(super) fn apply(
    environment: &Environment,
    sweep: &mut SweepConfig,
    watch: &mut WatchConfig,
    mut from: impl FnMut(&str, &str),
) -> Result<(), (&'static str, String)> {
    for (name, key) in VARIABLES {
        let Some(text) = environment.find(name) else {
            continue;
        };
        let number = |least: u64, most: u64| {
            let number = text.trim().parse::<u64>().ok();
            number
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| {
                    let message =
                        format!("is `{text}`: must be a whole number from {least} to {most}");
                    (name, message)
                })
        };
        let count = |most: u32| {
            number(1, u64::from(most)).map(|number| u32::try_from(number).unwrap_or(most))
        };
        let pause_max = u64::try_from(PAUSE_MAX.0.as_millis()).unwrap_or(u64::MAX);
        let pause =
            || number(0, pause_max).map(|millis| Period(std::time::Duration::from_millis(millis)));
        match key {
            "sweep.concurrency" => sweep.concurrency = count(CONCURRENCY_MAX)?,
            "sweep.batch_delay" => sweep.batch_delay = pause()?,
            "watch.per_cycle_max" => watch.per_cycle_max = Some(count(PER_CYCLE_MAX)?),
            _ => watch.cooldown = Some(pause()?),
        }
        from(key, name);
    }
    Ok(())
}
