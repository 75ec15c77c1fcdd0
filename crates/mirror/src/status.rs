//! Is the mirror fresh, what fails, what happens next.

use jiff::Timestamp;
use serde::Serialize;
use store::{instances::ConnectionRow, jobs::Job};

use crate::{account::Account, error::Result};

/// The state of everything that is mirrored.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Per instance and resource.
    pub resources: Vec<ResourceStatus>,
    /// Every connection.
    pub connections: Vec<ConnectionRow>,
    /// Jobs whose last runs failed.
    pub failing: Vec<Job>,
    /// Records that PostgreSQL could not hold.
    pub quarantined: i64,
    /// The newest snapshot.
    pub snapshot: i64,
}

/// The state of one resource in one instance.
#[derive(Debug, Serialize)]
pub struct ResourceStatus {
    /// Its instance.
    pub instance: String,
    /// Its name.
    pub resource: String,
    /// Records that are live upstream, as far as the mirror knows.
    pub records: i64,
    /// Up to when its feed or listing is in; for details, their parent's.
    pub as_of: Option<Timestamp>,
    /// Seconds since then.
    pub lag_secs: Option<f64>,
    /// Details waiting to be fetched.
    pub waiting: i64,
    /// Of these, how many failed at least once.
    pub failing: i64,
    /// Seconds until they are all fetched, at the calls that the connections allow.
    pub eta_secs: Option<f64>,
    /// When its next run is due.
    pub next_run_at: Option<Timestamp>,
}

/// Calls per second that an instance's connections allow.
pub(crate) fn calls_per_sec(connections: &[ConnectionRow], instance: &str) -> f64 {
    connections
        .iter()
        .filter(|c| c.instance == instance && c.enabled && c.set_aside_at.is_none())
        .filter_map(|c| {
            let calls = f64::from(c.calls?) * f64::from(c.share) * f64::from(c.learned);
            Some(calls * 1000.0 / c.window_ms.max(1) as f64)
        })
        .sum()
}

/// The state of `accounts`.
pub(crate) async fn status(
    store: &store::Store,
    accounts: &[std::sync::Arc<Account>],
) -> Result<Status> {
    let (jobs, depths) = (store.jobs().await?, store.queue_depths().await?);
    let connections = store.connections(None).await?;
    let now = Timestamp::now();
    let mut resources = Vec::new();
    for account in accounts {
        let instance = &account.settings.name;
        let waiting_all: i64 = depths
            .iter()
            .filter(|d| d.instance == *instance)
            .map(|d| d.waiting)
            .sum();
        let rate = calls_per_sec(&connections, instance);
        for kind in &account.kinds {
            let name = kind.name.as_str();
            let as_of = store.watermark(&kind.feed, instance).await?;
            let depth = depths
                .iter()
                .find(|d| d.instance == *instance && d.resource == name);
            let waiting = depth.map_or(0, |d| d.waiting);
            resources.push(ResourceStatus {
                instance: instance.clone(),
                resource: name.to_owned(),
                records: store.live_count(&kind.name, instance).await?,
                as_of,
                lag_secs: as_of.map(|at| now.duration_since(at).as_secs_f64().max(0.0)),
                waiting,
                failing: depth.map_or(0, |d| d.failing),
                // All details of an instance share its calls.
                eta_secs: (waiting > 0 && rate > 0.0).then(|| waiting_all as f64 / rate),
                next_run_at: jobs
                    .iter()
                    .filter(|j| j.instance == *instance && j.resource == kind.name && !j.paused)
                    .map(|j| j.next_at)
                    .min(),
            });
        }
    }
    Ok(Status {
        resources,
        connections,
        failing: jobs.into_iter().filter(|job| job.failures > 0).collect(),
        quarantined: store.quarantine_count().await?,
        snapshot: store.newest_snapshot().await?,
    })
}
