//! The shared budget as the client's gate: one queue of waiters per instance and process, the most urgent
//! first, in front of the permits in PostgreSQL.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use store::{
    Store, StoreError,
    budget::{Grant, GrantedPermit, PermitUse},
};
use tokio::sync::{Notify, oneshot};
use upstream::{Ask, Gate, GateError, Outcome, Permit};

/// Permits asked for at once.
const BATCH_MAX: usize = 16;

/// Of so many permits one goes to the lowest class that waits, so that nobody starves.
const LOWEST_EVERY: u64 = 20;

/// Waiting for a slot, we look again after this long: another process may have given one back early.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a permit is held if its process dies with it; while the process lives it is held anew. Upstream may be at
/// work on the call for some time after its caller is gone.
const HOLD: Duration = Duration::from_secs(10);

/// How often permits are held anew.
const HOLD_ANEW: Duration = Duration::from_secs(3);

/// The gate of one instance in this process.
pub struct SharedGate {
    queue: Arc<Queue>,
}

type Grantee = oneshot::Sender<Result<GrantedPermit, GateError>>;

/// How many have come so far, and who waits, by class and then by arrival.
type Waiters = (u64, BTreeMap<(u8, u64), Grantee>);

/// The queue of one instance.
struct Queue {
    store: Store,
    instance: String,
    /// Calls of a connection on the wire at once, in all processes together.
    at_once: u32,
    waiters: Mutex<Waiters>,
    /// The numbers of the permits that are out.
    held: Mutex<BTreeSet<i64>>,
    changed: Notify,
    /// Permits handed out.
    served: AtomicU64,
}

impl Queue {
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever is most urgent now: a permit for a low class serves a higher one as well. Now and then it is the turn
    /// of the lowest class, however urgent the others are.
    fn next_waiter(&self) -> Option<Grantee> {
        let waiters = &mut self.waiters().1;
        let turn = self.served.fetch_add(1, Ordering::Relaxed);
        let (lowest, _) = *waiters.last_key_value()?.0;
        let chosen = if turn % LOWEST_EVERY == LOWEST_EVERY - 1 {
            *waiters.range((lowest, 0)..).next()?.0
        } else {
            *waiters.first_key_value()?.0
        };
        waiters.remove(&chosen)
    }

    /// Tells the budget, in a task of its own: whoever gives back may be cancelled right after.
    fn give_back(&self, granted: GrantedPermit, outcome: Outcome) -> tokio::task::JoinHandle<()> {
        let (store, instance) = (self.store.clone(), self.instance.clone());
        self.held().remove(&granted.permit);
        tokio::spawn(async move {
            if let Err(error) = tell(&store, &instance, &granted, outcome).await {
                // The permit runs out by itself; nothing is called too often for it.
                tracing::warn!(instance.name = instance, error = ?error, "the budget was not told of a call");
            }
        })
    }
}

impl SharedGate {
    /// A gate of `instance` over the budget in `store`, for so many calls of a connection at once. Must be called
    /// within a tokio runtime.
    pub fn new(store: Store, instance: &str, at_once: usize) -> Self {
        let queue = Arc::new(Queue {
            store,
            instance: instance.to_owned(),
            at_once: u32::try_from(at_once).unwrap_or(u32::MAX),
            waiters: Mutex::default(),
            held: Mutex::default(),
            changed: Notify::new(),
            served: AtomicU64::new(0),
        });
        tokio::spawn(serve(Arc::downgrade(&queue)));
        tokio::spawn(hold(Arc::downgrade(&queue)));
        Self { queue }
    }
}

impl Drop for SharedGate {
    fn drop(&mut self) {
        self.queue.changed.notify_one();
    }
}

/// A place in the queue. Dropped early, it gives back a permit that has come meanwhile.
struct Place<'a> {
    queue: &'a Queue,
    key: (u8, u64),
    receiver: oneshot::Receiver<Result<GrantedPermit, GateError>>,
    served: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.served {
            self.queue.waiters().1.remove(&self.key);
            if let Ok(Ok(granted)) = self.receiver.try_recv() {
                drop(self.queue.give_back(granted, Outcome::Unused));
            }
        }
    }
}

#[async_trait]
impl Gate for SharedGate {
    async fn take(&self, ask: &Ask) -> Result<Permit, GateError> {
        let (sender, receiver) = oneshot::channel();
        let mut place = {
            let mut waiters = self.queue.waiters();
            waiters.0 += 1;
            let key = (ask.class.rank(), waiters.0);
            waiters.1.insert(key, sender);
            Place {
                queue: &self.queue,
                key,
                receiver,
                served: false,
            }
        };
        self.queue.changed.notify_one();
        let began = Instant::now();
        match tokio::time::timeout(ask.wait_max, &mut place.receiver).await {
            Ok(Ok(granted)) => {
                place.served = true;
                let granted = granted?;
                Ok(Permit {
                    connection: granted.connection,
                    slot: granted.slot.map_or(-1, i64::from),
                    token: granted.permit,
                    waited: began.elapsed(),
                })
            }
            Ok(Err(_)) | Err(_) => Err(GateError::WouldWait {
                instance: ask.instance.clone(),
                wait_max: ask.wait_max,
                next_in: LOOK_AGAIN,
            }),
        }
    }

    async fn give_back(&self, permit: Permit, outcome: Outcome) {
        let granted = GrantedPermit {
            slot: i32::try_from(permit.slot).ok().filter(|slot| *slot >= 0),
            permit: permit.token,
            connection: permit.connection,
        };
        drop(self.queue.give_back(granted, outcome).await);
        self.queue.changed.notify_one();
    }
}

async fn tell(
    store: &Store,
    instance: &str,
    granted: &GrantedPermit,
    outcome: Outcome,
) -> Result<(), StoreError> {
    let name = &granted.connection;
    match outcome {
        Outcome::Used => {
            store
                .give_back_permit(instance, granted, PermitUse::Answered)
                .await
        }
        Outcome::Unused => {
            store
                .give_back_permit(instance, granted, PermitUse::Unused)
                .await
        }
        Outcome::Throttled { retry_after } => {
            store
                .give_back_permit(instance, granted, PermitUse::TurnedAway)
                .await?;
            tracing::warn!(
                instance.name = instance,
                connection = name,
                wait_ms = retry_after.as_millis(),
                "{instance} throttles connection {name}: parked for {retry_after:?}",
            );
            store
                .park_connection(instance, name, retry_after, "throttled")
                .await
        }
        Outcome::Refused { status } => {
            store
                .give_back_permit(instance, granted, PermitUse::TurnedAway)
                .await?;
            tracing::error!(
                instance.name = instance,
                connection = name,
                status,
                "{instance} refused the credentials of connection {name}: set aside until they are mended",
            );
            store
                .set_connection_aside(instance, name, &format!("answered {status}"))
                .await
        }
    }
}

/// Serves the queue until its gate is gone.
async fn serve(queue: Weak<Queue>) {
    loop {
        let Some(queue) = queue.upgrade() else { return };
        let front = {
            let waiters = queue.waiters();
            waiters.1.first_key_value().map(|(key, _)| {
                let class = key.0;
                (
                    class,
                    waiters
                        .1
                        .range((class, 0)..=(class, u64::MAX))
                        .take(BATCH_MAX)
                        .count(),
                )
            })
        };
        let nap = match front {
            None => Duration::from_secs(60),
            Some((class, count)) => serve_class(&queue, class, count).await,
        };
        if nap > Duration::ZERO {
            let notified = queue.changed.notified();
            // Nothing else keeps the gate alive but us: let it end.
            if Arc::strong_count(&queue) == 1 {
                return;
            }
            drop(tokio::time::timeout(nap, notified).await);
        }
    }
}

/// Holds the permits that are out until their gate is gone.
async fn hold(queue: Weak<Queue>) {
    loop {
        tokio::time::sleep(HOLD_ANEW).await;
        let Some(queue) = queue.upgrade() else { return };
        let held: Vec<i64> = queue.held().iter().copied().collect();
        if held.is_empty() {
            continue;
        }
        if let Err(error) = queue.store.hold_permits(&queue.instance, &held, HOLD).await {
            tracing::warn!(instance.name = queue.instance, error = ?error, "permits were not held anew");
        }
    }
}

/// Serves up to `count` waiters of `class`; answers how long to nap.
async fn serve_class(queue: &Queue, class: u8, count: usize) -> Duration {
    let want = i32::try_from(count).unwrap_or(1);
    match queue
        .store
        .take_permits(
            &queue.instance,
            i16::from(class),
            want,
            HOLD,
            Some(queue.at_once),
        )
        .await
    {
        Ok(Grant::Permits(permits)) => {
            for granted in permits {
                queue.held().insert(granted.permit);
                let unused = match queue.next_waiter() {
                    Some(waiter) => match waiter.send(Ok(granted)) {
                        Err(Ok(granted)) => Some(granted),
                        _ => None,
                    },
                    None => Some(granted),
                };
                if let Some(granted) = unused {
                    drop(queue.give_back(granted, Outcome::Unused));
                }
            }
            Duration::ZERO
        }
        Ok(Grant::Wait(wait)) => wait.min(LOOK_AGAIN),
        Ok(Grant::NoConnection(why)) => {
            let error = || {
                if why.contains("set aside") {
                    GateError::AllSetAside {
                        instance: queue.instance.clone(),
                    }
                } else {
                    GateError::NoConnection {
                        instance: queue.instance.clone(),
                    }
                }
            };
            fail_all(queue, error);
            Duration::ZERO
        }
        Err(error) => {
            let text = format!(
                "{error}: {}",
                std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
            );
            fail_all(queue, || GateError::Broken {
                instance: queue.instance.clone(),
                source: text.clone().into(),
            });
            Duration::from_millis(200)
        }
    }
}

fn fail_all(queue: &Queue, error: impl Fn() -> GateError) {
    let waiters = std::mem::take(&mut queue.waiters().1);
    for waiter in waiters.into_values() {
        drop(waiter.send(Err(error())));
    }
}
