//! A sweep on demand.

use std::sync::{Arc, Mutex, PoisonError};

use store::{ResourceName, runs::Run};
use tokio_util::sync::CancellationToken;

use super::SweepReport;
use crate::{
    Mirror,
    error::{MirrorError, Result},
    progress::{Listener, Progress},
    turn::{LEASE, TurnOf},
};

impl Mirror {
    /// The names of all sweeps, each with the instances that have it.
    pub fn sweeps(&self) -> Vec<(String, Vec<String>)> {
        let mut sweeps: Vec<(String, Vec<String>)> = Vec::new();
        for account in self.accounts() {
            for sweep in &account.settings.connector.sweeps {
                let instance = account.settings.name.clone();
                match sweeps.iter_mut().find(|(name, _)| *name == sweep.name) {
                    Some((_, instances)) => instances.push(instance),
                    None => sweeps.push((sweep.name.clone(), vec![instance])),
                }
            }
        }
        sweeps
    }

    /// Sweeps once, now, in every instance that has a sweep of that name, or in `instance` alone; one after the other.
    /// The next scheduled sweep then counts from this one's start.
    ///
    /// Dropping the future leaves the sweep's job to others once its lease has run out.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] when there is no such sweep; [`MirrorError::Busy`] when another process is at it;
    /// [`MirrorError::TooEarly`] when there is nothing to sweep yet, or its hours are quiet; the database's own.
    pub async fn sweep(
        &self,
        name: &str,
        instance: Option<&str>,
        owner: &str,
        stop: &CancellationToken,
    ) -> Result<Vec<SweepReport>> {
        let known = self.sweeps();
        let found = known.iter().find(|(sweep, _)| sweep == name);
        let Some((_, instances)) = found else {
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            return Err(MirrorError::Unknown {
                what: "sweep",
                name: name.to_owned(),
                known: names.join(", "),
            });
        };
        if let Some(wanted) = instance.filter(|wanted| !instances.iter().any(|i| i == wanted)) {
            return Err(MirrorError::Unknown {
                what: "instance with such a sweep",
                name: wanted.to_owned(),
                known: instances.join(", "),
            });
        }
        let mut reports = Vec::new();
        for chosen in instances {
            if instance.is_none_or(|wanted| wanted == chosen) && !stop.is_cancelled() {
                reports.push(self.sweep_one(name, chosen, owner, stop).await?);
            }
        }
        Ok(reports)
    }

    async fn sweep_one(
        &self,
        name: &str,
        instance: &str,
        owner: &str,
        stop: &CancellationToken,
    ) -> Result<SweepReport> {
        let report = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&report);
        let listener: Listener = Arc::new(move |progress| {
            if let Progress::Swept(report) = progress {
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(*report);
            }
        });
        self.turn_now(name, "sweep", instance, owner, stop, Some(listener))
            .await?;
        let report = report.lock().unwrap_or_else(PoisonError::into_inner).take();
        report.ok_or_else(|| MirrorError::TooEarly {
            what: format!("the sweep of {name} in {instance}"),
        })
    }

    /// Looks at a watched listing once, now, and answers the run. The next scheduled look then counts from this one's
    /// start.
    ///
    /// # Errors
    ///
    /// As [`Mirror::sweep`].
    pub async fn look(
        &self,
        watch: &str,
        instance: &str,
        owner: &str,
        stop: &CancellationToken,
    ) -> Result<Run> {
        let before = self
            .turn_now(watch, "watch", instance, owner, stop, None)
            .await?;
        let job = ResourceName::new(&self.account(instance)?.settings.connector.name, watch)?;
        let runs = self
            .store()
            .runs(Some(instance), Some(job.as_str()), None, None, 1)
            .await?;
        let run = runs.into_iter().find(|run| Some(run.id) != before);
        run.ok_or_else(|| MirrorError::TooEarly {
            what: format!("the watch {watch} in {instance}"),
        })
    }

    /// Runs the job of a chore once, whoever's turn it is. Answers the run before.
    async fn turn_now(
        &self,
        name: &str,
        kind: &'static str,
        instance: &str,
        owner: &str,
        stop: &CancellationToken,
        listener: Option<Listener>,
    ) -> Result<Option<i64>> {
        let account = self.account(instance)?;
        let job = ResourceName::new(&account.settings.connector.name, name)?;
        let taken = account
            .store
            .take_this_job(owner, instance, &job, kind, LEASE)
            .await?;
        let Some((job, lease)) = taken else {
            return Err(MirrorError::Busy {
                what: format!("the {kind} {name} in {instance}"),
            });
        };
        let before = job.last_run;
        let turn = TurnOf {
            mirror: self.clone(),
            account: Arc::clone(account),
            job,
            lease,
            owner: owner.to_owned(),
            stop: stop.clone(),
            listener,
        };
        turn.run().await?;
        Ok(before)
    }
}
