//! Syncing on demand: what is asked for runs now, and the call returns when it is in.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use store::{
    ResourceName,
    jobs::{Job, JobChange},
    runs::Run,
};
use tokio_util::sync::CancellationToken;

use crate::{Mirror, error::Result, progress::Listener, schedule::QuietHours};

/// How often it is looked whether everything is in.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A job or fetch that failed so often is left to the worker's own time.
const FAILURES_MAX: i32 = 3;

/// What to sync; `None` means all.
#[derive(Debug, Clone, Default)]
pub struct SyncAsk {
    /// Only this instance.
    pub instance: Option<String>,
    /// Only this resource, and the details that follow from it.
    pub resource: Option<ResourceName>,
    /// Only this kind of job.
    pub kind: Option<String>,
}

/// What a sync came to.
#[derive(Debug, Serialize)]
pub struct SyncReport {
    /// The runs it made, oldest first.
    pub runs: Vec<Run>,
    /// Details still waiting, because fetching them failed or the sync was stopped.
    pub waiting: i64,
    /// Whether everything asked for is in.
    pub complete: bool,
}

/// Makes the matching jobs due, and works until they and the details that follow are done, or `stop`.
pub(crate) async fn sync(
    mirror: &Mirror,
    ask: SyncAsk,
    stop: CancellationToken,
    listener: Option<Listener>,
) -> Result<SyncReport> {
    let store = mirror.store().clone();
    let instances: Vec<String> = mirror
        .instances()
        .into_iter()
        .filter(|name| ask.instance.as_ref().is_none_or(|i| i == name))
        .collect();
    let paused: Vec<String> = store
        .instances()
        .await?
        .into_iter()
        .filter(|i| i.paused)
        .map(|i| i.name)
        .collect();
    let resource = ask.resource.as_ref().map(ResourceName::as_str);
    let newest = store
        .runs(None, None, None, None, 1)
        .await?
        .first()
        .map_or(0, |run| run.id);
    let before = store.jobs().await?;
    // Chores keep to their times: they look after what is hot, and bring nothing that is missing.
    let chores: Vec<_> = instances
        .iter()
        .flat_map(|name| {
            mirror
                .chore_jobs(name)
                .into_iter()
                .map(move |job| (name, job))
        })
        .collect();
    let asked_for = |instance: &str, name: &str, kind: &str| {
        instances.iter().any(|i| i == instance)
            && resource.is_none_or(|r| r == name)
            && ask.kind.as_ref().is_none_or(|k| k == kind)
            && !chores
                .iter()
                .any(|(of, job)| *of == instance && job.as_str() == name)
    };
    for job in &before {
        if !asked_for(&job.instance, job.resource.as_str(), &job.kind) {
            continue;
        }
        let now = JobChange {
            run_now: true,
            ..JobChange::default()
        };
        let name = Some(job.resource.as_str());
        store
            .change_jobs(&job.instance, name, Some(&job.kind), &now)
            .await?;
    }
    let wanted: Vec<_> = before
        .iter()
        .filter(|j| !j.paused && !paused.contains(&j.instance))
        .filter(|j| asked_for(&j.instance, j.resource.as_str(), &j.kind))
        .map(|j| {
            (
                j.instance.clone(),
                j.resource.clone(),
                j.kind.clone(),
                j.last_run,
                // Failures of before do not count against this sync.
                j.failures + FAILURES_MAX,
            )
        })
        .collect();

    let work = stop.child_token();
    let worker = {
        let (mirror, work, owner) = (
            mirror.clone(),
            work.clone(),
            format!("sync-{}", std::process::id()),
        );
        let instances = instances.clone();
        tokio::spawn(async move {
            mirror
                .work_on(&instances, &owner, work, listener, false)
                .await
        })
    };
    let mut complete = false;
    while !stop.is_cancelled() && !worker.is_finished() {
        let jobs = store.jobs().await?;
        let done = wanted
            .iter()
            .all(|(instance, resource, kind, last_run, failures_max)| {
                jobs.iter()
                    .find(|j| j.instance == *instance && j.resource == *resource && j.kind == *kind)
                    .is_none_or(|j| {
                        let ran = j.last_run > *last_run
                            && j.lease_owner.is_none()
                            && j.progress.is_none();
                        // Changes have nothing to start from before the first full listing.
                        let idle = kind == "changes" && j.cursor.is_none();
                        (ran && j.failures == 0)
                            || j.failures >= *failures_max
                            || idle
                            || is_quiet(j)
                    })
            });
        if done {
            let mut waiting = 0;
            for instance in &instances {
                waiting += store.queue_hopeful(instance, FAILURES_MAX).await?;
            }
            if waiting == 0 {
                complete = jobs
                    .iter()
                    .filter(|j| asked_for(&j.instance, j.resource.as_str(), &j.kind))
                    .all(|j| {
                        j.failures == 0
                            && !j.paused
                            && !paused.contains(&j.instance)
                            && !is_quiet(j)
                    });
                break;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    work.cancel();
    if let Ok(ended) = worker.await {
        ended?;
    }
    if complete {
        mirror.build_indexes(&instances).await?;
        store.analyze_grown().await?;
    }
    let mut waiting = 0;
    for instance in &instances {
        waiting += store.queue_length(instance).await?;
    }
    let mut runs = store.runs(None, None, None, None, 10_000).await?;
    runs.retain(|run| run.id > newest && instances.contains(&run.instance));
    runs.reverse();
    Ok(SyncReport {
        complete: complete && waiting == 0,
        runs,
        waiting,
    })
}

/// Whether no run of the job may start now.
fn is_quiet(job: &Job) -> bool {
    let quiet = job
        .quiet
        .as_deref()
        .and_then(|text| text.parse::<QuietHours>().ok());
    quiet.is_some_and(|quiet| quiet.end_after(Timestamp::now()).is_some())
}

/// Works on the fetch queue alone until nothing hopeful waits.
pub(crate) async fn drain(
    mirror: &Mirror,
    instances: &[String],
    stop: CancellationToken,
) -> Result<()> {
    let store = Arc::new(mirror.store().clone());
    let work = stop.child_token();
    let drainers: Vec<_> = mirror
        .drainers(instances, "repair", &work)
        .into_iter()
        .map(|d| tokio::spawn(d.run()))
        .collect();
    loop {
        let mut waiting = 0;
        for instance in instances {
            waiting += store.queue_hopeful(instance, FAILURES_MAX).await?;
        }
        if waiting == 0 || stop.is_cancelled() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    work.cancel();
    for drainer in drainers {
        drop(drainer.await);
    }
    Ok(())
}
