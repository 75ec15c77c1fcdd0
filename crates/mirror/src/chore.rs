//! Chores: jobs that look after more than one resource, as a connector's `[[sweep]]` and `[[watch]]` describe them.

use std::{sync::Arc, time::Duration};

use store::{ResourceName, StoreError, jobs::JobSpec, runs::RunEnd};
use upstream::connector::{Sweep, Watch};

use crate::{
    Mirror,
    account::{Account, Kind},
    batch::Pace,
    error::{MirrorError, Result},
    listing::chain,
    settings::InstanceSettings,
    sweep,
    turn::{Outcome, TurnOf},
    watch,
};

/// A chore that was missed while no process ran and may not run at the start of one is made up for after this share of
/// its interval.
const MISSED_SHARE: u32 = 6;

/// How an instance's chores are done; configuration may say otherwise than the connector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChoreSettings {
    /// How fast the batches of sweeps and watches follow each other.
    pub pace: Pace,
    /// The most records that a watch fetches per look, if not the connector's.
    pub per_cycle_max: Option<u32>,
    /// How long a record rests that a watch has fetched, if not the connector's.
    pub cooldown: Option<Duration>,
}

/// A job that looks after more than one resource.
#[derive(Debug, Clone)]
pub(crate) enum Chore {
    /// Hot values that ran out are fetched again.
    Sweep(Arc<Sweep>),
    /// A listing whose lines tell of other records.
    Watch(Arc<Watch>),
}

impl Chore {
    /// The chores whose resources are mirrored.
    pub fn all_of(settings: &InstanceSettings, kinds: &[Arc<Kind>]) -> Vec<Self> {
        let connector = &settings.connector;
        let is_mirrored = |name: &str| kinds.iter().any(|kind| kind.resource.name == name);
        let sweeps = connector
            .sweeps
            .iter()
            .filter(|sweep| is_mirrored(&sweep.of))
            .map(|sweep| Self::Sweep(Arc::clone(sweep)));
        let watches = connector.watches.iter().filter(|watch| {
            let parent = connector.payload(&watch.payload);
            is_mirrored(&watch.of) && parent.is_some_and(|payload| is_mirrored(&payload.of))
        });
        sweeps
            .chain(watches.map(|watch| Self::Watch(Arc::clone(watch))))
            .collect()
    }

    /// Its name within its connector.
    pub fn name(&self) -> &str {
        match self {
            Self::Sweep(sweep) => &sweep.name,
            Self::Watch(watch) => &watch.name,
        }
    }

    /// The kind of its job.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sweep(_) => "sweep",
            Self::Watch(_) => "watch",
        }
    }

    fn every(&self) -> Duration {
        match self {
            Self::Sweep(sweep) => sweep.every,
            Self::Watch(watch) => watch.every,
        }
    }

    fn at_start(&self) -> bool {
        match self {
            Self::Sweep(sweep) => sweep.at_start,
            Self::Watch(_) => true,
        }
    }

    /// Whether what it looks after is in the mirror for the first time: before, it has nothing to do.
    pub async fn has_begun(&self, account: &Account) -> std::result::Result<bool, StoreError> {
        let connector = &account.settings.connector;
        let of = match self {
            Self::Sweep(sweep) => Some(&sweep.of),
            Self::Watch(watch) => connector.payload(&watch.payload).map(|payload| &payload.of),
        };
        let kind = account
            .kinds
            .iter()
            .find(|kind| Some(&kind.resource.name) == of);
        let Some(kind) = kind else { return Ok(true) };
        let watermark = account.store.watermark(&kind.name, &account.settings.name);
        Ok(watermark.await?.is_some())
    }

    /// Does it once.
    pub async fn run(&self, turn: &TurnOf, run: i64) -> std::result::Result<Outcome, StoreError> {
        let done = match self {
            Self::Sweep(sweep) => sweep::sweep(turn, sweep, run).await,
            Self::Watch(watch) => watch::look(turn, watch, run).await,
        };
        match done {
            Ok(outcome) => Ok(outcome),
            Err(MirrorError::Store(error)) => Err(error),
            Err(error) => Ok(Outcome {
                end: RunEnd::Failed,
                why: Some(chain(&error)),
                ..Outcome::done()
            }),
        }
    }

    /// Its job, without the overrides of configuration. Chores keep to their intervals: no jitter.
    pub fn spec(&self, settings: &InstanceSettings) -> Result<JobSpec> {
        Ok(JobSpec {
            instance: settings.name.clone(),
            resource: ResourceName::new(&settings.connector.name, self.name())?,
            kind: self.kind(),
            every: self.every(),
            jitter: Duration::ZERO,
            quiet: settings.quiet.clone(),
            at_start: self.at_start(),
        })
    }
}

impl Account {
    /// The chore that a job is for; `None`: the job is for a resource.
    pub fn chore(&self, job: &ResourceName, kind: &str) -> Option<Chore> {
        let chores = Chore::all_of(&self.settings, &self.kinds);
        chores.into_iter().find(|chore| {
            chore.kind() == kind
                && chore.name() == job.table()
                && self.settings.connector.name == job.schema()
        })
    }

    /// The names of the jobs of all chores.
    pub fn chore_jobs(&self) -> Vec<ResourceName> {
        Chore::all_of(&self.settings, &self.kinds)
            .iter()
            .filter_map(|chore| ResourceName::new(&self.settings.connector.name, chore.name()).ok())
            .collect()
    }
}

impl Mirror {
    /// Keeps chores that may not run at the start of a process from doing so because they were missed.
    pub(crate) async fn postpone_missed(&self, instances: &[String]) -> Result<()> {
        for account in self.chosen(instances) {
            for chore in Chore::all_of(&account.settings, &account.kinds) {
                if chore.at_start() {
                    continue;
                }
                let job = ResourceName::new(&account.settings.connector.name, chore.name())?;
                let name = &account.settings.name;
                let store = &account.store;
                store
                    .postpone_overdue(name, &job, chore.kind(), MISSED_SHARE)
                    .await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
