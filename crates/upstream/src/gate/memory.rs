//! A gate for one process: sliding windows in memory.

mod window;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use self::window::Window;
use super::{Ask, Class, Gate, GateError, Outcome, Permit};
use crate::clock::{Clock, SystemClock};
use crate::connector::Limits;

/// A connection and what it may call.
#[derive(Clone, Debug)]
pub struct GateConnection {
    /// Its name.
    pub name: String,
    /// What it may call.
    pub limits: Limits,
}

/// A gate for one instance in one process.
///
/// Each connection has as many slots as calls are ours in a window. A slot is free again one window after its
/// call was finished, so that no window, wherever it begins, holds more calls than the limit. The last free
/// slots of a connection, its reserve, are only for reads and events, and sweeps and backfills are spread over
/// the window, so that a slot frees up every moment for who comes in between. Waiters are served by class; each
/// minute of waiting raises a waiter by one class, so that nobody starves.
#[derive(Clone)]
pub struct MemoryGate {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    windows: BTreeMap<String, Window>,
    waiters: Vec<Waiter>,
    next_number: i64,
}

struct Waiter {
    number: i64,
    class: Class,
    since: Duration,
    avoid: Vec<String>,
    grant: oneshot::Sender<Permit>,
}

/// How long somebody waits before being served as the class above.
const RAISED_EVERY: Duration = Duration::from_secs(60);

/// The shortest sleep of a waiter, so that rounding never makes a busy loop.
const NAP_MIN: Duration = Duration::from_millis(1);

impl MemoryGate {
    /// A gate by the machine's clock.
    pub fn new(connections: Vec<GateConnection>) -> MemoryGate {
        MemoryGate::with_clock(connections, Arc::new(SystemClock::new()))
    }

    /// A gate by a clock of one's own.
    pub fn with_clock(connections: Vec<GateConnection>, clock: Arc<dyn Clock>) -> MemoryGate {
        let gate = MemoryGate {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::default(),
            }),
        };
        gate.set_connections(connections);
        gate
    }

    /// Replaces the connections. One that stays keeps its window; one that was set aside may call again.
    pub fn set_connections(&self, connections: Vec<GateConnection>) {
        let now = self.shared.clock.elapsed();
        let mut state = self.shared.lock();
        let mut before = std::mem::take(&mut state.windows);
        for GateConnection { name, limits } in connections {
            let window = match before.remove(&name) {
                Some(window) => window.with_limits(limits, now),
                None => Window::new(limits),
            };
            state.windows.insert(name, window);
        }
        state.grant(now);
    }

    /// The connections that are set aside now.
    pub fn set_aside(&self) -> Vec<String> {
        let now = self.shared.clock.elapsed();
        let state = self.shared.lock();
        state
            .windows
            .iter()
            .filter(|(_, window)| window.is_aside(now))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

#[async_trait]
impl Gate for MemoryGate {
    async fn take(&self, ask: &Ask) -> Result<Permit, GateError> {
        let clock = &self.shared.clock;
        let since = clock.elapsed();
        let deadline = since.saturating_add(ask.wait_max);
        let mut place = Place::queue(&self.shared, ask, since);
        loop {
            let now = clock.elapsed();
            let next = {
                let mut state = self.shared.lock();
                state.grant(now);
                if let Some(permit) = place.granted() {
                    return Ok(permit);
                }
                state.next_chance(ask, now)?
            };
            if next > deadline || now >= deadline {
                return Err(GateError::WouldWait {
                    instance: ask.instance.clone(),
                    wait_max: ask.wait_max,
                    next_in: next.saturating_sub(now),
                });
            }
            let nap = next
                .saturating_sub(now)
                .clamp(NAP_MIN, deadline.saturating_sub(now).max(NAP_MIN));
            tokio::select! {
                biased;
                permit = place.wait() => return Ok(permit),
                () = clock.sleep(nap) => {}
            }
        }
    }

    async fn give_back(&self, permit: Permit, outcome: Outcome) {
        self.shared.finish(&permit, outcome);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, permit: &Permit, outcome: Outcome) {
        let now = self.clock.elapsed();
        let mut state = self.lock();
        if let Some(window) = state.windows.get_mut(&permit.connection) {
            window.finish(permit, outcome, now);
        }
        state.grant(now);
    }
}

impl State {
    /// Gives free slots to those who wait, the most urgent first.
    fn grant(&mut self, now: Duration) {
        self.waiters
            .sort_by_key(|waiter| (waiter.rank(now), waiter.number));
        let mut position = 0;
        while position < self.waiters.len() {
            let (class, avoid) = (self.waiters[position].class, &self.waiters[position].avoid);
            let free = self
                .windows
                .iter_mut()
                .filter(|(name, _)| !avoid.contains(name));
            let best = free
                .filter_map(|(name, window)| Some((window.freedom(class, now)?, name, window)))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, name, window)) = best else {
                position += 1;
                continue;
            };
            let waiter = self.waiters.remove(position);
            self.next_number += 1;
            let token = self.next_number;
            let slot = window.take(class, token, now);
            let waited = now.saturating_sub(waiter.since);
            let permit = Permit {
                connection: name.clone(),
                slot,
                token,
                waited,
            };
            if let Err(permit) = waiter.grant.send(permit) {
                window.finish(&permit, Outcome::Unused, now);
            }
        }
    }

    /// The earliest moment at which `ask` could be served if nobody else waited.
    fn next_chance(&self, ask: &Ask, now: Duration) -> Result<Duration, GateError> {
        if self.windows.is_empty() {
            return Err(GateError::NoConnection {
                instance: ask.instance.clone(),
            });
        }
        self.windows
            .iter()
            .filter(|(name, window)| !window.is_aside(now) && !ask.avoid.contains(name))
            .map(|(_, window)| window.next_chance(ask.class, now))
            .min()
            .ok_or_else(|| GateError::AllSetAside {
                instance: ask.instance.clone(),
            })
    }
}

impl Waiter {
    fn rank(&self, now: Duration) -> u64 {
        let raised = now.saturating_sub(self.since).as_secs() / RAISED_EVERY.as_secs();
        u64::from(self.class.rank()).saturating_sub(raised)
    }
}

/// A place in the queue. Dropping it leaves the queue, and gives back what was granted meanwhile.
struct Place<'a> {
    shared: &'a Shared,
    number: i64,
    grant: oneshot::Receiver<Permit>,
}

impl<'a> Place<'a> {
    fn queue(shared: &'a Shared, ask: &Ask, since: Duration) -> Place<'a> {
        let (sender, grant) = oneshot::channel();
        let mut state = shared.lock();
        state.next_number += 1;
        let number = state.next_number;
        let waiter = Waiter {
            number,
            class: ask.class,
            since,
            avoid: ask.avoid.clone(),
            grant: sender,
        };
        state.waiters.push(waiter);
        Place {
            shared,
            number,
            grant,
        }
    }

    fn granted(&mut self) -> Option<Permit> {
        self.grant.try_recv().ok()
    }

    async fn wait(&mut self) -> Permit {
        match (&mut self.grant).await {
            Ok(permit) => permit,
            // The sender only goes away by sending.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared
            .lock()
            .waiters
            .retain(|waiter| waiter.number != self.number);
        if let Some(permit) = self.granted() {
            self.shared.finish(&permit, Outcome::Unused);
        }
    }
}
