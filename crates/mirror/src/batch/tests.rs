use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::*;

/// How long a task of these tests takes.
const TASK: Duration = Duration::from_millis(230);

/// When each task began and ended, on tokio's clock.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Span>>>);

/// A call's start, and its end once it has ended.
type Span = (Instant, Option<Instant>);

impl Tape {
    async fn call(self, takes: Duration) -> Result<(), String> {
        let number = {
            let mut calls = self.0.lock().unwrap();
            calls.push((Instant::now(), None));
            calls.len() - 1
        };
        tokio::time::sleep(takes).await;
        self.0.lock().unwrap()[number].1 = Some(Instant::now());
        Ok(())
    }

    fn calls(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }

    /// The most calls that were under way at one moment.
    fn in_flight_max(&self) -> usize {
        let calls = self.calls();
        let at = |moment: Instant| {
            let under_way = |(began, ended): &&Span| {
                *began <= moment && ended.is_none_or(|ended| ended > moment)
            };
            calls.iter().filter(under_way).count()
        };
        calls.iter().map(|(began, _)| at(*began)).max().unwrap_or(0)
    }

    /// The pauses in which nothing was under way.
    fn gaps(&self) -> Vec<Duration> {
        let mut calls = self.calls();
        calls.sort();
        let mut gaps = Vec::new();
        let mut last: Option<Instant> = None;
        for (began, ended) in calls {
            if let Some(last) = last.filter(|last| *last < began) {
                gaps.push(began - last);
            }
            last = last.max(ended);
        }
        gaps
    }
}

fn lazy(tape: &Tape, count: usize) -> Batches<'static, (), String> {
    let mut batches = Batches::new();
    for n in 0..count {
        let tape = tape.clone();
        // Tasks of different length: a batch ends with its slowest.
        batches.push(n.to_string(), move || {
            tape.call(TASK + Duration::from_millis(n as u64 % 7))
        });
    }
    batches
}

#[tokio::test(start_paused = true)]
async fn b55_nothing_begins_while_the_list_is_built() {
    let tape = Tape::default();
    let batches = lazy(&tape, 10_000);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(batches.len(), 10_000);
    assert!(tape.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn b56_b57_six_at_once_and_a_pause_between_batches() {
    let tape = Tape::default();
    let stop = CancellationToken::new();
    let tally = lazy(&tape, 500)
        .run(Pace::default(), &stop, |_, _| {})
        .await;
    assert_eq!((tally.done, tally.failed, tally.left), (500, 0, 0));
    assert_eq!(tally.batches, 500_u64.div_ceil(6));
    assert_eq!(tape.in_flight_max(), 6);
    let gaps = tape.gaps();
    assert_eq!(
        gaps.len(),
        83,
        "one pause between each two batches, none after the last"
    );
    assert!(gaps.iter().all(|gap| *gap >= BATCH_DELAY), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn b58_stopping_after_the_second_batch_leaves_twelve_calls_made() {
    let tape = Tape::default();
    let stop = CancellationToken::new();
    let mut seen = 0;
    let tally = lazy(&tape, 100)
        .run(Pace::default(), &stop, |_, _| {
            seen += 1;
            if seen == 12 {
                stop.cancel();
            }
        })
        .await;
    assert_eq!(tape.calls().len(), 12);
    assert_eq!((tally.done, tally.left), (12, 88));
}

#[tokio::test(start_paused = true)]
async fn b86_b87_concurrency_and_pause_can_be_set() {
    for (concurrency, delay_ms) in [(2, 1000), (1, 0), (10, 250)] {
        let tape = Tape::default();
        let pace = Pace {
            concurrency,
            delay: Duration::from_millis(delay_ms),
        };
        let stop = CancellationToken::new();
        lazy(&tape, 40).run(pace, &stop, |_, _| {}).await;
        assert_eq!(tape.in_flight_max(), concurrency);
        assert!(tape.gaps().iter().all(|gap| *gap >= pace.delay));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_counted_and_stop_nothing() {
    let mut batches = Batches::new();
    for n in 0..20 {
        batches.push(format!("task {n}"), move || async move {
            if n % 5 == 3 {
                Err(format!("{n} is odd"))
            } else {
                Ok(n)
            }
        });
    }
    let mut failures = Vec::new();
    let stop = CancellationToken::new();
    let tally = batches
        .run(Pace::default(), &stop, |label, result| {
            if let Err(error) = result {
                failures.push(format!("{label}: {error}"));
            }
        })
        .await;
    assert_eq!((tally.done, tally.failed), (16, 4));
    assert_eq!(failures[0], "task 3: 3 is odd");
}

/// The fault that the list is made against: work that begins when it is put on the list. The same batches then limit
/// nothing, and the measure above sees it.
#[tokio::test(start_paused = true)]
async fn b84_work_that_begins_early_is_seen_to_break_the_limit() {
    let tape = Tape::default();
    let mut batches = Batches::new();
    for n in 0..100 {
        let running = tokio::spawn(tape.clone().call(TASK));
        batches.push(n.to_string(), move || async move {
            running.await.map_err(|error| error.to_string())?
        });
    }
    let stop = CancellationToken::new();
    batches.run(Pace::default(), &stop, |_, _| {}).await;
    assert!(
        tape.in_flight_max() > CONCURRENCY,
        "the eager variant went unnoticed"
    );

    let tape = Tape::default();
    lazy(&tape, 100)
        .run(Pace::default(), &stop, |_, _| {})
        .await;
    assert!(tape.in_flight_max() <= CONCURRENCY);
}

/// What `Batches::push` asks of its work, as a trait, so that a type can be asked for it.
trait HasNotBegun<Marker> {
    /// Ambiguous, and so no name at all, for types that have it twice.
    const YES: bool = true;
}
struct Anything;
struct Callable;
impl<F> HasNotBegun<Anything> for F {}
impl<F: FnOnce() -> W, W: Future> HasNotBegun<(Callable, W)> for F {}

/// If a handle of a running task could be put on the list, this would not compile: there would be two `YES`.
#[test]
fn b85_a_running_tasks_handle_cannot_be_put_on_the_list() {
    const { assert!(<tokio::task::JoinHandle<Result<(), String>> as HasNotBegun<_>>::YES) };
    const { assert!(<BoxFuture<'static, Result<(), String>> as HasNotBegun<_>>::YES) };
}
