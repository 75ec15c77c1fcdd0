//! The fetches that a drainer has in hand: their leases are short, and renewed for as long as it lives.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use store::{ResourceName, Store, queue::QueuedFetch};

use crate::listing::chain;

/// A fetch is ours for so long after its drainer gave the last sign of life.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// How often leases are renewed: two renewals may fail.
const RENEW: Duration = Duration::from_secs(10);

/// Fetches in hand, from their taking until their answers are written. Clones share them.
#[derive(Clone)]
pub(super) struct InHand(Arc<Inner>);

struct Inner {
    store: Store,
    instance: String,
    fetches: Mutex<HashSet<(ResourceName, String)>>,
}

impl InHand {
    /// Nothing in hand; what will be is renewed until all clones are gone. Must be called within a tokio runtime.
    pub(super) fn new(store: Store, instance: &str) -> Self {
        let inner = Arc::new(Inner {
            store,
            instance: instance.to_owned(),
            fetches: Mutex::default(),
        });
        tokio::spawn(renew(Arc::downgrade(&inner)));
        Self(inner)
    }

    pub(super) fn take(&self, fetches: &[QueuedFetch]) {
        let mut held = self.0.fetches();
        held.extend(fetches.iter().map(key));
    }

    pub(super) fn lay_down(&self, fetches: &[QueuedFetch]) {
        let mut held = self.0.fetches();
        for fetch in fetches {
            held.remove(&key(fetch));
        }
    }
}

impl Inner {
    fn fetches(&self) -> MutexGuard<'_, HashSet<(ResourceName, String)>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(fetch: &QueuedFetch) -> (ResourceName, String) {
    (fetch.resource.clone(), fetch.id.clone())
}

async fn renew(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(RENEW).await;
        let Some(inner) = inner.upgrade() else { return };
        let held: Vec<(ResourceName, String)> = inner.fetches().iter().cloned().collect();
        if held.is_empty() {
            continue;
        }
        if let Err(error) = inner
            .store
            .renew_fetches(&inner.instance, &held, LEASE)
            .await
        {
            tracing::warn!(
                instance.name = inner.instance,
                error = chain(&error),
                "leases of fetches were not renewed; others may fetch the same",
            );
        }
    }
}
