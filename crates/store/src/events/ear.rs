//! Hearing of events as they are told, however many listen: one connection per process, and only while somebody
//! listens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;

use crate::Store;

/// The channel of the notifications.
const CHANNEL: &str = "millpond_event";

/// Whether anybody still listens is looked at so often.
const LOOK_AROUND: Duration = Duration::from_secs(10);

/// The notifications did not come through: try again after this. Meanwhile listeners wake by their own time.
const AWAY_WAIT: Duration = Duration::from_secs(1);

/// Hears of events. Cheap to clone; all clones share one connection, which is not one of the pool's.
#[derive(Debug, Clone)]
pub struct Ear {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    told: watch::Sender<u64>,
    hears: AtomicBool,
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Listening {
    told: watch::Receiver<u64>,
}

impl Ear {
    /// An ear on the events of `store`. Connects when somebody first listens.
    pub fn new(store: Store) -> Self {
        let inner = Inner {
            store,
            told: watch::Sender::new(0),
            hears: AtomicBool::new(false),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Listens from now on. Must be called within a tokio runtime.
    pub fn listen(&self) -> Listening {
        let told = self.inner.told.subscribe();
        if !self.inner.hears.swap(true, Ordering::AcqRel) {
            tokio::spawn(hear(Arc::clone(&self.inner)));
        }
        Listening { told }
    }
}

impl Listening {
    /// Waits until an event was told since the last call, or `wait_max` is over. A notification may get lost when
    /// the database restarts: look at the events in either case.
    pub async fn wait(&mut self, wait_max: Duration) {
        drop(tokio::time::timeout(wait_max, self.told.changed()).await);
    }
}

/// Passes notifications on for as long as somebody listens.
async fn hear(inner: Arc<Inner>) {
    loop {
        if let Err(error) = pass_on(&inner).await {
            tracing::debug!(error = ?error, "events are not heard; trying again");
            tokio::time::sleep(AWAY_WAIT).await;
        }
        if inner.told.receiver_count() == 0 {
            inner.hears.store(false, Ordering::Release);
            // Somebody may have come between the two looks and not have started us.
            if inner.told.receiver_count() == 0 || inner.hears.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

async fn pass_on(inner: &Inner) -> Result<(), sqlx::Error> {
    let options = (*inner.store.pool().connect_options()).clone();
    let own = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(CHANNEL).await?;
    // What was told before we listened.
    inner.told.send_modify(|told| *told += 1);
    while inner.told.receiver_count() > 0 {
        if let Ok(heard) = tokio::time::timeout(LOOK_AROUND, listener.try_recv()).await {
            // `None` is a connection that was lost and made anew: look, something may have been missed.
            heard?;
            inner.told.send_modify(|told| *told += 1);
        }
    }
    Ok(())
}
