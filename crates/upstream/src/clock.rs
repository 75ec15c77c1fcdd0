//! Time as an argument: the client's waits and stamps go through a clock, so that tests need not wait.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// Returns once `wait` has passed. A dropped future leaves nothing behind.
    async fn sleep(&self, wait: Duration);
}

/// The machine's clock. Its waits follow tokio's time, paused or not.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock that counts from now.
    pub fn new() -> SystemClock {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// A clock that jumps: whoever waits is let through at once, and the time stands that much later.
#[derive(Debug)]
pub struct JumpingClock {
    state: Mutex<Jumps>,
}

#[derive(Debug)]
struct Jumps {
    start: Timestamp,
    elapsed: Duration,
    sleeps: Vec<Duration>,
}

impl JumpingClock {
    /// A clock that stands at `start` until somebody waits.
    pub fn new(start: Timestamp) -> JumpingClock {
        JumpingClock {
            state: Mutex::new(Jumps {
                start,
                elapsed: Duration::ZERO,
                sleeps: Vec::new(),
            }),
        }
    }

    /// Every wait so far, in order.
    pub fn sleeps(&self) -> Vec<Duration> {
        self.lock().sleeps.clone()
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        self.lock().elapsed += by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Jumps> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let state = self.lock();
        state
            .start
            .saturating_add(jiff::SignedDuration::try_from(state.elapsed).unwrap_or_default())
            .unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    async fn sleep(&self, wait: Duration) {
        {
            let mut state = self.lock();
            state.elapsed += wait;
            state.sleeps.push(wait);
        }
        tokio::task::yield_now().await;
    }
}
