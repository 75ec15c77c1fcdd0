//! A sweep: hot values that ran out are fetched again before anybody asks.

mod candidates;
mod now;
mod plan;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use store::runs::{RunCounts, RunEnd};
use upstream::{Class, connector::Sweep};

pub use plan::Standing;
pub(crate) use plan::Wanted;

use crate::{
    batch::{Batches, Pace, Tally},
    error::Result,
    listing::chain,
    progress::Progress,
    reading::Calling,
    turn::{Outcome, TurnOf},
    warm::Warming,
};
use candidates::Candidates;

/// Failures that a sweep logs one by one; more are only counted.
const FAILURES_LOGGED_MAX: u64 = 5;

/// What a sweep came to.
#[derive(Debug, Clone, Serialize)]
pub struct SweepReport {
    /// Its run.
    pub run: i64,
    /// Its name.
    pub sweep: String,
    /// Its instance.
    pub instance: String,
    /// `done`, `partial`, `failed` or `stopped`.
    pub state: &'static str,
    /// Why, if it is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Records looked after.
    pub candidates: u64,
    /// How their hot values stood.
    #[serde(flatten)]
    pub values: Standing,
    /// Values that the mirror held fresh and the cache had lost, and that are hot again. They cost no call.
    pub restored: u64,
    /// Batches begun.
    pub batches: u64,
    /// Values fetched.
    pub done: u64,
    /// Values that did not come; they come round again.
    pub failed: u64,
    /// Values not begun, because the sweep was stopped.
    pub left: u64,
    /// Calls made.
    pub calls: i64,
    /// Milliseconds from the start to the end.
    pub duration_ms: i64,
}

impl SweepReport {
    fn new(turn: &TurnOf, sweep: &Sweep, run: i64) -> Self {
        Self {
            run,
            sweep: sweep.name.clone(),
            instance: turn.account.settings.name.clone(),
            state: RunEnd::Done.as_str(),
            why: None,
            candidates: 0,
            values: Standing::default(),
            restored: 0,
            batches: 0,
            done: 0,
            failed: 0,
            left: 0,
            calls: 0,
            duration_ms: 0,
        }
    }

    fn add(&mut self, tally: Tally) {
        self.batches = tally.batches;
        self.done = tally.done;
        self.failed = tally.failed;
        self.left = tally.left;
    }

    fn told(&self) -> String {
        format!(
            "{} records, {} of {} values ran out: {} fetched, {} failed, {} left",
            self.candidates,
            self.values.expired,
            self.values.checked,
            self.done,
            self.failed,
            self.left
        )
    }
}

/// Sweeps once, and tells of its start and its end, whatever the end is.
pub(crate) async fn sweep(turn: &TurnOf, sweep: &Sweep, run: i64) -> Result<Outcome> {
    let began = Timestamp::now();
    let mut report = SweepReport::new(turn, sweep, run);
    let mut started = false;
    let swept = work(turn, sweep, run, &mut report, &mut started).await;
    let end = match &swept {
        Err(_) => RunEnd::Failed,
        Ok(()) if report.left > 0 => RunEnd::Stopped,
        Ok(()) if report.failed > 0 => RunEnd::Partial,
        Ok(()) => RunEnd::Done,
    };
    report.state = end.as_str();
    report.why = swept.as_ref().err().map(|error| chain(error));
    report.duration_ms = Timestamp::now().duration_since(began).as_millis() as i64;
    if !started {
        tell(
            turn,
            sweep,
            "started",
            &json!({ "run": run, "candidates": null }),
        )
        .await?;
    }
    let data = serde_json::to_value(&report).unwrap_or_default();
    tell(turn, sweep, "completed", &data).await?;
    if let Some(listener) = &turn.listener {
        listener(Progress::Swept(Box::new(report.clone())));
    }
    swept?;
    Ok(Outcome {
        end,
        why: Some(report.told()),
        ..Outcome::done()
    })
}

async fn work(
    turn: &TurnOf,
    sweep: &Sweep,
    run: i64,
    report: &mut SweepReport,
    started: &mut bool,
) -> Result<()> {
    let account = &turn.account;
    let now = Timestamp::now();
    let Candidates { records, wanted } = candidates::find(account, sweep, now).await?;
    let held = turn.mirror.held(account, &wanted, now).await?;
    let plan = plan::choose(&wanted, &held, sweep.all);
    let values = plan.standing;
    report.candidates = records;
    report.values = values;
    let data = json!({
        "run": run, "candidates": records, "checked": values.checked, "expired": values.expired,
    });
    tell(turn, sweep, "started", &data).await?;
    *started = true;
    let seen = RunCounts {
        seen: i64::try_from(records).unwrap_or(i64::MAX),
        ..RunCounts::default()
    };
    account.store.add_to_run(run, seen, None).await?;

    let warming = Warming {
        calling: Calling {
            class: Class::Sweep,
            run: Some(run),
            mend: sweep.all,
        },
        force: sweep.all,
    };
    report.restored = restore(turn, &plan.restore, &wanted).await;
    let mut batches = Batches::new();
    for value in plan.fetch.iter().filter_map(|place| wanted.get(*place)) {
        let label = format!("{} {}", value.resource, value.id);
        batches.push(label, move || turn.mirror.warm(account, value, warming));
    }
    let mut failures: u64 = 0;
    let tally = batches
        .run(account.settings.chores.pace, &turn.stop, |label, result| {
            let Err(error) = result else { return };
            failures += 1;
            if failures <= FAILURES_LOGGED_MAX {
                tracing::warn!(
                    instance.name = account.settings.name,
                    run.id = run,
                    error = chain(&error),
                    "{label} was not fetched; it comes round again",
                );
            }
        })
        .await;
    report.add(tally);
    let failed = RunCounts {
        failed: i64::try_from(tally.failed).unwrap_or(i64::MAX),
        ..RunCounts::default()
    };
    account.store.add_to_run(run, failed, None).await?;
    report.calls = account.store.load_run(run).await?.calls;
    Ok(())
}

/// Makes values hot that the mirror holds fresh, and answers how many came. What does not come costs a reader a look
/// at the mirror, no more.
async fn restore(turn: &TurnOf, places: &[usize], wanted: &[Wanted]) -> u64 {
    let account = &turn.account;
    let mut batches = Batches::new();
    let warming = Warming {
        calling: Calling::of(Class::Sweep),
        force: false,
    };
    for value in places.iter().filter_map(|place| wanted.get(*place)) {
        batches.push(value.id.as_str(), move || {
            turn.mirror.warm(account, value, warming)
        });
    }
    // They make no calls that would need a pause.
    let pace = Pace {
        delay: Duration::ZERO,
        ..account.settings.chores.pace
    };
    let tally = batches.run(pace, &turn.stop, |_, _| {}).await;
    tally.done
}

async fn tell(turn: &TurnOf, sweep: &Sweep, what: &str, data: &serde_json::Value) -> Result<()> {
    // Names of sweeps are a-z, 0-9 and _, as names of events are.
    let name = format!("cache:{}:refresh:{what}", sweep.name);
    let instance = Some(turn.account.settings.name.as_str());
    turn.account.store.tell(&name, instance, data).await?;
    Ok(())
}
