//! The runs of a drainer: one per resource and class for as long as details keep coming.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use store::{
    ResourceName, Store, StoreError,
    runs::{RunCounts, RunEnd},
};
use upstream::Class;

use crate::progress::{Listener, Progress};

/// A run with nothing to do for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// The runs of one drainer.
pub(crate) struct RunBook {
    store: Store,
    instance: String,
    owner: String,
    listener: Option<Listener>,
    open: HashMap<(ResourceName, i16), Open>,
    done: u64,
}

struct Open {
    run: i64,
    fresh: RunCounts,
    failed: i64,
    changed: i64,
    why: Option<String>,
    last: Instant,
}

impl RunBook {
    pub fn new(store: Store, instance: &str, owner: &str, listener: Option<Listener>) -> Self {
        Self {
            store,
            instance: instance.to_owned(),
            owner: owner.to_owned(),
            listener,
            open: HashMap::new(),
            done: 0,
        }
    }

    /// The number of the open run of `resource` and `class`, opening one if need be.
    pub async fn run(&mut self, resource: &ResourceName, class: i16) -> Result<i64, StoreError> {
        let key = (resource.clone(), class);
        if let Some(open) = self.open.get_mut(&key) {
            open.last = Instant::now();
            return Ok(open.run);
        }
        let kind = kind_of(class);
        let run = self
            .store
            .start_run(&self.instance, resource, kind, &self.owner)
            .await?;
        self.tell(Progress::RunStarted {
            run,
            instance: self.instance.clone(),
            resource: resource.clone(),
            kind: kind.to_owned(),
        });
        let open = Open {
            run,
            fresh: RunCounts::default(),
            failed: 0,
            changed: 0,
            why: None,
            last: Instant::now(),
        };
        self.open.insert(key, open);
        Ok(run)
    }

    pub fn count(&mut self, resource: &ResourceName, class: i16, counts: RunCounts) {
        self.done += u64::try_from(counts.seen).unwrap_or(0);
        if let Some(open) = self.open.get_mut(&(resource.clone(), class)) {
            open.failed += counts.failed;
            open.changed += counts.inserted + counts.updated + counts.deleted;
            let fresh = &mut open.fresh;
            fresh.calls += counts.calls;
            fresh.seen += counts.seen;
            fresh.inserted += counts.inserted;
            fresh.updated += counts.updated;
            fresh.deleted += counts.deleted;
            fresh.failed += counts.failed;
            fresh.quarantined += counts.quarantined;
        }
    }

    /// Remembers what went wrong; the last one is the run's reason.
    pub fn note(&mut self, resource: &ResourceName, class: i16, why: String) {
        if let Some(open) = self.open.get_mut(&(resource.clone(), class)) {
            open.why = Some(why);
        }
    }

    /// Writes the counts down and closes runs that have nothing more to do.
    pub async fn flush(&mut self) {
        let mut told = false;
        for open in self.open.values_mut() {
            let fresh = std::mem::take(&mut open.fresh);
            told |= fresh != RunCounts::default();
            if let Err(error) = self.store.add_to_run(open.run, fresh, None).await {
                tracing::debug!(run.id = open.run, error = ?error, "details were not counted");
            }
        }
        if told && self.listener.is_some() {
            let waiting = self.store.queue_length(&self.instance).await.unwrap_or(0);
            self.tell(Progress::Details {
                instance: self.instance.clone(),
                done: self.done,
                waiting,
            });
        }
        self.close_all(false).await;
    }

    /// Closes idle runs, or every run.
    pub async fn close_all(&mut self, every: bool) {
        let keys: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| every || open.last.elapsed() > IDLE_MAX)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let Some(open) = self.open.remove(&key) else {
                continue;
            };
            let end = if open.failed > 0 {
                RunEnd::Partial
            } else {
                RunEnd::Done
            };
            let counted = self.store.add_to_run(open.run, open.fresh, None).await;
            if let Err(error) = counted.and(
                self.store
                    .end_run(open.run, end, open.why.as_deref())
                    .await
                    .map(drop),
            ) {
                tracing::warn!(run.id = open.run, error = ?error, "a run of details was not closed");
            }
            self.tell(Progress::RunEnded {
                run: open.run,
                instance: self.instance.clone(),
                resource: key.0,
                kind: kind_of(key.1).to_owned(),
                state: end.as_str(),
                why: open.why,
                changed: open.changed,
            });
        }
    }

    fn tell(&self, progress: Progress) {
        if let Some(listener) = &self.listener {
            listener(progress);
        }
    }
}

/// The kind of run that fetches of a class belong to.
fn kind_of(class: i16) -> &'static str {
    match usize::try_from(class)
        .ok()
        .and_then(|rank| Class::ALL.get(rank))
    {
        Some(Class::Backfill) | None => "backfill",
        Some(Class::Sweep | Class::Due) => "sweep",
        Some(Class::Read | Class::Event) => "watch",
        Some(Class::Changes) => "changes",
    }
}
