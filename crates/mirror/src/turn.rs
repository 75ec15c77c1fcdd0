//! One turn of a job: its run from the lease to the next start.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use store::{
    StoreError,
    jobs::Job,
    records::Lease,
    runs::{RunCounts, RunEnd},
};
use tokio_util::sync::CancellationToken;
use upstream::Class;

use crate::{
    Mirror,
    account::{Account, Kind},
    chore::Chore,
    listing::{Cursor, Ended, Listing, Whole},
    progress::{Listener, Progress},
    prune::prune,
    schedule::{QuietHours, Turn, next_start},
};

/// How long a lease holds; it is renewed three times as often.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Details older than their resource's `refresh` are queued so many at a time.
const REFRESH_BATCH: i64 = 5000;

/// A changes run that must wait for the first full listing looks again after this.
const FEED_WAIT: Duration = Duration::from_secs(2);

/// A job that is ours for now.
pub(crate) struct TurnOf {
    pub mirror: Mirror,
    pub account: Arc<Account>,
    pub job: Job,
    pub lease: Lease,
    pub owner: String,
    pub stop: CancellationToken,
    pub listener: Option<Listener>,
}

/// What a turn came to.
pub(crate) struct Outcome {
    pub end: RunEnd,
    pub why: Option<String>,
    pub cursor: Option<serde_json::Value>,
    pub retry_after: Option<Duration>,
}

/// What a turn is about.
enum About {
    /// A resource.
    Kind(Arc<Kind>),
    /// What a connector's `[[sweep]]` or `[[watch]]` describes.
    Chore(Chore),
}

impl Outcome {
    pub fn done() -> Self {
        Self {
            end: RunEnd::Done,
            why: None,
            cursor: None,
            retry_after: None,
        }
    }
}

impl TurnOf {
    /// Runs the job once. A lost lease ends it quietly: the new holder does the work.
    pub async fn run(self) -> Result<(), StoreError> {
        let store = &self.account.store;
        let now = Timestamp::now();
        if let Some(end) = self.quiet_until(now) {
            return store.finish_job(&self.lease, None, false, false, end).await;
        }
        let Some(about) = self.about() else {
            let later = after(now, Duration::from_secs(3600));
            return store
                .finish_job(&self.lease, None, true, false, later)
                .await;
        };
        let waits = match &about {
            About::Kind(_) => self.job.kind == "changes" && self.job.cursor.is_none(),
            About::Chore(chore) => !chore.has_begun(&self.account).await?,
        };
        if waits {
            // Nothing to start from yet: the first full listing will say.
            return store
                .finish_job(&self.lease, None, true, false, after(now, FEED_WAIT))
                .await;
        }
        let name = self.account.settings.name.as_str();
        let run = store
            .start_run(name, &self.job.resource, &self.job.kind, &self.owner)
            .await?;
        store.set_job_run(&self.lease, run).await?;
        self.tell(Progress::RunStarted {
            run,
            instance: name.to_owned(),
            resource: self.job.resource.clone(),
            kind: self.job.kind.clone(),
        });

        let work = async {
            match &about {
                About::Kind(kind) => self.work(kind, run).await,
                About::Chore(chore) => chore.run(&self, run).await,
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            lost = self.keep_lease(run) => Err(lost),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error @ StoreError::LeaseLost { .. }) => {
                store
                    .end_run(run, RunEnd::Failed, Some(&error.to_string()))
                    .await?;
                return Err(error);
            }
            Err(error) => Outcome {
                end: RunEnd::Failed,
                why: Some(crate::listing::chain(&error)),
                cursor: None,
                retry_after: None,
            },
        };
        self.close(&about, run, now, outcome).await
    }

    fn about(&self) -> Option<About> {
        let (account, job) = (&self.account, &self.job);
        let chore = account.chore(&job.resource, &job.kind);
        chore.map(About::Chore).or_else(|| {
            let kind = account.kind(&job.resource)?;
            Some(About::Kind(Arc::clone(kind)))
        })
    }

    async fn close(
        &self,
        about: &About,
        run: i64,
        began: Timestamp,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let store = &self.account.store;
        let Outcome {
            end,
            why,
            cursor,
            retry_after,
        } = outcome;
        let mut end = end;
        let is_chore = matches!(about, About::Chore(_));
        let counts = store.load_run(run).await?;
        if end == RunEnd::Partial && counts.pages == 0 && !is_chore {
            end = RunEnd::Failed;
        }
        let turn = match end {
            RunEnd::Done => Turn::Whole,
            // What a chore could not do comes round again with the next one.
            RunEnd::Partial if is_chore => Turn::Whole,
            RunEnd::Stopped => Turn::Interrupted,
            RunEnd::Partial | RunEnd::Failed => {
                Turn::Failed(u32::try_from(self.job.failures).unwrap_or(0))
            }
        };
        let own = Duration::from_millis(u64::try_from(self.job.every_ms).unwrap_or(1));
        let every = match about {
            About::Kind(kind) if self.job.kind == "changes" => {
                self.account.feed_every(kind, own).await
            }
            _ => own,
        };
        let jitter = Duration::from_millis(u64::try_from(self.job.jitter_ms).unwrap_or(0));
        let next = next_start(
            began,
            Timestamp::now(),
            every,
            // One that is asked more often than usual is spread over less.
            jitter.min(every / 4),
            rand::random::<f64>(),
            turn,
            retry_after,
        );
        store.end_run(run, end, why.as_deref()).await?;
        let whole = end == RunEnd::Done;
        let failed = matches!(turn, Turn::Failed(_));
        store
            .finish_job(&self.lease, cursor.as_ref(), whole, failed, next)
            .await?;
        let changed = counts.inserted + counts.updated + counts.deleted;
        let resource = &self.job.resource;
        if failed {
            tracing::warn!(
                instance.name = self.account.settings.name, resource.name = %resource, run.id = run,
                error = why.as_deref().unwrap_or("unknown"),
                "the {} run of {} ended {}", self.job.kind, resource, end.as_str(),
            );
        } else {
            tracing::debug!(
                instance.name = self.account.settings.name, resource.name = %resource, run.id = run,
                rows_changed = changed, pages = counts.pages,
                "the {} run of {} ended {}", self.job.kind, resource, end.as_str(),
            );
        }
        self.tell(Progress::RunEnded {
            run,
            instance: self.account.settings.name.clone(),
            resource: resource.clone(),
            kind: self.job.kind.clone(),
            state: end.as_str(),
            why,
            changed,
        });
        Ok(())
    }

    async fn work(&self, kind: &Arc<Kind>, run: i64) -> Result<Outcome, StoreError> {
        match self.job.kind.as_str() {
            "changes" => self.changes(kind, run).await,
            "full" => self.full(kind, run).await,
            "reconcile" => self.reconcile(kind, run).await,
            "sweep" => self.sweep(kind, run).await,
            other => Ok(Outcome {
                end: RunEnd::Failed,
                why: Some(format!("this build knows no job of kind `{other}`")),
                cursor: None,
                retry_after: None,
            }),
        }
    }

    fn listing<'a>(
        &'a self,
        kind: &'a Arc<Kind>,
        run: i64,
        class: Class,
        child_class: Class,
    ) -> Listing<'a> {
        Listing {
            account: &self.account,
            kind,
            job: &self.job,
            lease: &self.lease,
            run,
            class,
            child_class,
            stop: &self.stop,
            listener: self.listener.as_ref(),
            extra: Vec::new(),
            writes: true,
        }
    }

    async fn changes(&self, kind: &Arc<Kind>, run: i64) -> Result<Outcome, StoreError> {
        let cursor: Option<Cursor> = self
            .job
            .cursor
            .clone()
            .and_then(|c| serde_json::from_value(c).ok());
        let Some(cursor) = cursor else {
            return Ok(Outcome::done());
        };
        let listing = self.listing(kind, run, Class::Changes, Class::Changes);
        match listing.run(Some(cursor.since)).await {
            Ended::Whole(whole) => {
                let since = next_since(cursor.since, &whole);
                self.move_watermark(kind, &whole, run).await?;
                Ok(Outcome {
                    cursor: serde_json::to_value(Cursor { since }).ok(),
                    ..Outcome::done()
                })
            }
            ended => self.not_whole(ended),
        }
    }

    async fn full(&self, kind: &Arc<Kind>, run: i64) -> Result<Outcome, StoreError> {
        let store = &self.account.store;
        let name = self.account.settings.name.as_str();
        let first = store.watermark(&kind.name, name).await?.is_none();
        let child_class = if first { Class::Backfill } else { Class::Sweep };
        let mut listing = self.listing(kind, run, Class::Sweep, child_class);
        if first {
            listing.class = Class::Backfill;
        }
        match listing.run(None).await {
            Ended::Whole(whole) => {
                store
                    .begin_changes(
                        name,
                        &kind.name,
                        &serde_json::json!(Cursor {
                            since: first_since(&whole)
                        }),
                    )
                    .await?;
                let why = self.prune(kind, &whole, run).await?;
                for child in &kind.children {
                    let class = i16::from(child_class.rank());
                    store
                        .queue_unfetched(&child.link(&kind.name), name, class)
                        .await?;
                }
                self.move_watermark(kind, &whole, run).await?;
                Ok(Outcome {
                    why,
                    ..Outcome::done()
                })
            }
            ended => self.not_whole(ended),
        }
    }

    /// Lists ids as cheaply as the API can, to find what is gone.
    async fn reconcile(&self, kind: &Arc<Kind>, run: i64) -> Result<Outcome, StoreError> {
        let mut listing = self.listing(kind, run, Class::Sweep, Class::Sweep);
        if let Some(rules) = &kind.resource.reconcile {
            listing.extra = rules.params.clone();
            listing.writes = rules.params.is_empty();
        }
        match listing.run(None).await {
            Ended::Whole(whole) => Ok(Outcome {
                why: self.prune(kind, &whole, run).await?,
                ..Outcome::done()
            }),
            ended => self.not_whole(ended),
        }
    }

    /// Queues details that have grown old although their parent's row did not change.
    async fn sweep(&self, kind: &Arc<Kind>, run: i64) -> Result<Outcome, StoreError> {
        let Some(age) = kind.resource.refresh else {
            return Ok(Outcome::done());
        };
        let name = self.account.settings.name.as_str();
        let class = i16::from(Class::Sweep.rank());
        let queued = self
            .account
            .store
            .queue_older_than(&kind.name, name, age, class, REFRESH_BATCH)
            .await?;
        let counts = RunCounts {
            seen: i64::try_from(queued).unwrap_or(i64::MAX),
            ..RunCounts::default()
        };
        self.account.store.add_to_run(run, counts, None).await?;
        Ok(Outcome {
            why: Some(format!("{queued} records queued")),
            ..Outcome::done()
        })
    }

    async fn prune(
        &self,
        kind: &Arc<Kind>,
        whole: &Whole,
        run: i64,
    ) -> Result<Option<String>, StoreError> {
        let Some(seen) = &whole.seen else {
            return Ok(Some(
                "the listing shifted or was resumed: deletes are looked for next time".to_owned(),
            ));
        };
        let pruned = prune(&self.account, kind, seen, whole.as_of, run).await?;
        let counts = RunCounts {
            calls: pruned.calls,
            deleted: i64::try_from(pruned.deleted).unwrap_or(i64::MAX),
            ..RunCounts::default()
        };
        self.account.store.add_to_run(run, counts, None).await?;
        Ok(pruned.why)
    }

    async fn move_watermark(&self, kind: &Kind, whole: &Whole, run: i64) -> Result<(), StoreError> {
        self.account
            .store
            .move_watermark(
                &kind.name,
                &self.account.settings.name,
                whole.as_of,
                Some(run),
            )
            .await
    }

    fn not_whole(&self, ended: Ended) -> Result<Outcome, StoreError> {
        match ended {
            Ended::Partial { why, retry_after } => Ok(Outcome {
                end: RunEnd::Partial,
                why: Some(why),
                cursor: None,
                retry_after,
            }),
            Ended::LeaseLost => Err(StoreError::LeaseLost {
                instance: self.lease.instance.clone(),
                resource: self.lease.resource.to_string(),
                kind: self.lease.kind.clone(),
            }),
            Ended::Interrupted | Ended::Whole(_) => Ok(Outcome {
                end: RunEnd::Stopped,
                why: Some(
                    "the process was asked to stop; the next one goes on from here".to_owned(),
                ),
                cursor: None,
                retry_after: None,
            }),
        }
    }

    fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.job
            .quiet
            .as_deref()?
            .parse::<QuietHours>()
            .ok()?
            .end_after(now)
    }

    /// Renews the lease until it is lost.
    async fn keep_lease(&self, run: i64) -> StoreError {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            match self.account.store.renew_lease(&self.lease, LEASE).await {
                Ok(()) => {
                    drop(
                        self.account
                            .store
                            .add_to_run(run, RunCounts::default(), None)
                            .await,
                    );
                }
                Err(error @ StoreError::LeaseLost { .. }) => return error,
                // The database is away: the run's own writes will notice.
                Err(error) => {
                    tracing::debug!(run.id = run, error = ?error, "a lease was not renewed")
                }
            }
        }
    }

    fn tell(&self, progress: Progress) {
        if let Some(listener) = &self.listener {
            listener(progress);
        }
    }
}

/// Where the first changes run begins: at the latest stamp of the full listing, by whatever clock upstream stamps,
/// but not after the moment when the listing began.
fn first_since(whole: &Whole) -> Timestamp {
    whole
        .stamp_max
        .map_or(whole.server_as_of, |stamp| stamp.min(whole.server_as_of))
}

/// Where the next changes run begins: at the latest stamp seen, never later than upstream's own clock said when
/// this run began (a record stamped in the future must not hide those in between), never earlier than before.
fn next_since(before: Timestamp, whole: &Whole) -> Timestamp {
    whole
        .stamp_max
        .map_or(before, |stamp| stamp.min(whole.server_as_of))
        .max(before)
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(stamp_max: Option<&str>) -> Whole {
        Whole {
            as_of: Timestamp::UNIX_EPOCH,
            server_as_of: "2026-03-01T12:00:00Z".parse().unwrap(),
            stamp_max: stamp_max.map(|s| s.parse().unwrap()),
            seen: None,
        }
    }

    #[test]
    fn the_cursor_never_passes_upstreams_clock_nor_moves_back() {
        let before = "2026-03-01T11:00:00Z".parse().unwrap();
        let next = |stamp| next_since(before, &whole(stamp)).to_string();
        assert_eq!(next(None), "2026-03-01T11:00:00Z");
        assert_eq!(next(Some("2026-03-01T11:59:00Z")), "2026-03-01T11:59:00Z");
        assert_eq!(next(Some("2099-01-01T00:00:00Z")), "2026-03-01T12:00:00Z");
        assert_eq!(next(Some("2020-01-01T00:00:00Z")), "2026-03-01T11:00:00Z");
    }
}
