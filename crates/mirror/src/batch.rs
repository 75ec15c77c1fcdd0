//! Work in batches: a few tasks at once, a pause, the next few. What waits in the list has not begun: a task is a
//! function, and only the batch that it belongs to calls it.

use std::{fmt, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

/// Tasks that run at once, unless configured otherwise.
pub const CONCURRENCY: usize = 6;

/// The pause between a batch's last end and the next batch's start, unless configured otherwise.
pub const BATCH_DELAY: Duration = Duration::from_millis(250);

/// How fast the batches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Tasks of one batch; at least 1.
    pub concurrency: usize,
    /// From the last end of a batch to the start of the next. May be 0.
    pub delay: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            delay: BATCH_DELAY,
        }
    }
}

/// A list of work that has not begun.
///
/// It takes functions:
///
/// ```
/// # use mirror::batch::Batches;
/// # async fn fetch() -> Result<u32, String> { Ok(1) }
/// let mut batches = Batches::new();
/// batches.push("one", || fetch());
/// ```
///
/// and refuses what runs already:
///
/// ```compile_fail,E0277
/// # use mirror::batch::Batches;
/// # async fn fetch() -> Result<u32, String> { Ok(1) }
/// let mut batches: Batches<'_, u32, String> = Batches::new();
/// batches.push("one", tokio::spawn(fetch()));
/// ```
pub struct Batches<'a, T, E> {
    tasks: Vec<Task<'a, T, E>>,
}

struct Task<'a, T, E> {
    label: String,
    begin: Box<dyn FnOnce() -> BoxFuture<'a, Result<T, E>> + Send + 'a>,
}

/// What became of the tasks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Batches begun.
    pub batches: u64,
    /// Tasks that succeeded.
    pub done: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks not begun, because the work was stopped.
    pub left: u64,
}

impl<'a, T, E> Default for Batches<'a, T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E> fmt::Debug for Batches<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.tasks.iter().map(|task| &task.label))
            .finish()
    }
}

impl<'a, T, E> Batches<'a, T, E> {
    /// An empty list.
    pub fn new() -> Self {
        Self { tasks: Vec::new() }
    }

    /// Puts work at the end of the list. `label` is what it is called when it fails.
    pub fn push<F, W>(&mut self, label: impl Into<String>, work: F)
    where
        F: FnOnce() -> W + Send + 'a,
        W: Future<Output = Result<T, E>> + Send + 'a,
    {
        self.tasks.push(Task {
            label: label.into(),
            begin: Box::new(move || work().boxed()),
        });
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What the tasks are called, in their order.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| task.label.as_str())
    }

    /// Runs the list, batch by batch and in its order. `ended` hears of every task as it ends.
    ///
    /// A failure stops nothing. Once `stop` is cancelled no further batch begins; the one under way ends first.
    /// Dropping the future drops the tasks under way; the others have not begun.
    pub async fn run(
        self,
        pace: Pace,
        stop: &CancellationToken,
        mut ended: impl FnMut(&str, Result<T, E>),
    ) -> Tally {
        let mut tally = Tally::default();
        let mut tasks = self.tasks.into_iter();
        while tasks.len() > 0 && !stop.is_cancelled() {
            tally.batches += 1;
            let mut running: FuturesUnordered<_> = tasks
                .by_ref()
                .take(pace.concurrency.max(1))
                .map(|task| async move { (task.label, (task.begin)().await) })
                .collect();
            while let Some((label, result)) = running.next().await {
                match &result {
                    Ok(_) => tally.done += 1,
                    Err(_) => tally.failed += 1,
                }
                ended(&label, result);
            }
            if tasks.len() > 0 {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pace.delay) => {}
                }
            }
        }
        tally.left = u64::try_from(tasks.len()).unwrap_or(u64::MAX);
        tally
    }
}

#[cfg(test)]
mod tests;
