//! A worker: takes jobs and details of its instances until it is told to stop. Any number of them may work on
//! one database; PostgreSQL alone coordinates.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::Class;

use crate::{
    Mirror,
    account::Account,
    details::Drainer,
    due::keep_hot,
    listing::chain,
    progress::Listener,
    spending::{attend, spend},
    turn::{LEASE, TurnOf},
};

/// Without a job to do, look again after this at the latest: a person may have changed the schedule.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A run whose process gave no sign for so long is lost.
const SILENCE_MAX: Duration = Duration::from_secs(180);

/// Between looks at what other processes lost and how tables have grown.
const HOUSE_EVERY: Duration = Duration::from_secs(5);

/// The database is away: try again after this.
const AWAY_WAIT: Duration = Duration::from_secs(1);

/// Kinds of jobs that must not wait behind long ones.
const QUICK: [&str; 2] = ["changes", "watch"];
const LONG: [&str; 4] = ["full", "reconcile", "sweep", "backfill"];

/// Long jobs of one instance that one worker runs at once.
const LONG_AT_ONCE: usize = 2;

/// A worker over some instances.
pub(crate) struct Worker {
    pub mirror: Mirror,
    /// Whether it does chores as well.
    pub chores: bool,
    pub store: Store,
    pub accounts: Vec<Arc<Account>>,
    pub owner: String,
    pub stop: CancellationToken,
    pub listener: Option<Listener>,
}

impl Worker {
    /// Works until stopped. What is under way is then finished or handed back.
    pub async fn run(self) {
        let worker = Arc::new(self);
        let mut tasks = JoinSet::new();
        for account in &worker.accounts {
            for class_max in [Class::Changes, Class::Backfill] {
                let drainer = Drainer {
                    account: Arc::clone(account),
                    owner: worker.owner.clone(),
                    class_max,
                    stop: worker.stop.clone(),
                    listener: worker.listener.clone(),
                };
                tasks.spawn(drainer.run());
            }
            tasks.spawn(Arc::clone(&worker).jobs(Arc::clone(account), &QUICK));
            for _ in 0..LONG_AT_ONCE {
                tasks.spawn(Arc::clone(&worker).jobs(Arc::clone(account), &LONG));
            }
            if worker.chores {
                let (mirror, stop) = (worker.mirror.clone(), worker.stop.clone());
                if account.spending.is_priced() {
                    tasks.spawn(spend(mirror, Arc::clone(account), stop.clone()));
                } else {
                    tasks.spawn(keep_hot(mirror, Arc::clone(account), stop.clone()));
                }
                tasks.spawn(attend(Arc::clone(account), stop));
            }
            tasks.spawn(Arc::clone(&worker).build_indexes(Arc::clone(account)));
        }
        tasks.spawn(Arc::clone(&worker).keep_house());
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                // A bug in one part must not leave a worker that looks alive and does half the work.
                tracing::error!(error = %error, "a part of the worker failed; the worker stops");
                worker.stop.cancel();
            }
        }
    }

    async fn jobs(self: Arc<Self>, account: Arc<Account>, kinds: &'static [&'static str]) {
        let instances = std::slice::from_ref(&account.settings.name);
        let but = if self.chores {
            Vec::new()
        } else {
            account.chore_jobs()
        };
        while !self.stop.is_cancelled() {
            let nap = match self
                .store
                .take_job_but(&self.owner, instances, kinds, &but, LEASE)
                .await
            {
                Ok(Some((job, lease))) => {
                    let turn = TurnOf {
                        mirror: self.mirror.clone(),
                        account: Arc::clone(&account),
                        job,
                        lease,
                        owner: self.owner.clone(),
                        stop: self.stop.clone(),
                        listener: self.listener.clone(),
                    };
                    match turn.run().await {
                        Ok(()) => Duration::ZERO,
                        Err(error) => report(&error),
                    }
                }
                Ok(None) => self.until_due(instances).await,
                Err(error) => report(&error),
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    async fn until_due(&self, instances: &[String]) -> Duration {
        let due = self.store.next_job_at(instances).await.ok().flatten();
        due.and_then(|at| Duration::try_from(at.duration_since(Timestamp::now())).ok())
            .unwrap_or(LOOK_AGAIN)
            .clamp(Duration::from_millis(20), LOOK_AGAIN)
    }

    /// Builds the indexes of each listed resource once its first listing is in.
    async fn build_indexes(self: Arc<Self>, account: Arc<Account>) {
        while !self.stop.is_cancelled() {
            match account.build_indexes().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    instance.name = account.settings.name,
                    error = chain(&error),
                    "an index was not built; trying again",
                ),
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    async fn keep_house(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            match self.store.close_lost_runs(SILENCE_MAX).await {
                Ok(0) => {}
                Ok(lost) => tracing::warn!(
                    lost,
                    "{lost} runs were lost with their process; their jobs go on"
                ),
                Err(error) => {
                    tracing::debug!(error = chain(&error), "lost runs were not looked for")
                }
            }
            if let Err(error) = self.store.analyze_grown().await {
                tracing::debug!(error = chain(&error), "tables were not analysed");
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(HOUSE_EVERY) => {}
            }
        }
    }
}

fn report(error: &StoreError) -> Duration {
    match error {
        StoreError::LeaseLost { .. } => {
            tracing::info!(error = chain(error), "another worker has the job now")
        }
        error => tracing::warn!(
            error = chain(error),
            "a job could not be worked on; trying again"
        ),
    }
    AWAY_WAIT
}
