//! The in-memory gate, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::time::Instant;
use upstream::connector::Limits;
use upstream::*;

fn limits(calls: u32) -> Limits {
    Limits {
        calls,
        per: Duration::from_secs(60),
        concurrency: 8,
        timeout: Duration::from_secs(30),
        share: 1.0,
        reserve: calls / 20,
    }
}

fn gate(connections: &[u32]) -> MemoryGate {
    let named = connections.iter().enumerate();
    MemoryGate::new(
        named
            .map(|(n, calls)| GateConnection {
                name: format!("c{n}"),
                limits: limits(*calls),
            })
            .collect(),
    )
}

fn ask(class: Class, wait_max: Duration) -> Ask {
    Ask {
        instance: "test".to_owned(),
        class,
        wait_max,
        avoid: Vec::new(),
    }
}

const LONG: Duration = Duration::from_secs(1_000_000);

#[derive(Clone, Debug)]
struct Job {
    class: Class,
    start_ms: u64,
    /// When upstream counts the call, after the permit; the call ends at `end_ms` after it.
    arrive_ms: u64,
    end_ms: u64,
    outcome: Outcome,
}

fn job() -> impl Strategy<Value = Job> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Used),
        1 => Just(Outcome::Unused),
        1 => (0u64..5_000).prop_map(|ms| Outcome::Throttled { retry_after: Duration::from_millis(ms) }),
    ];
    (0usize..6, 0u64..200_000, 0u64..2_000, 0u64..2_000, outcome).prop_map(
        |(class, start_ms, arrive_ms, rest, outcome)| Job {
            class: Class::ALL[class],
            start_ms,
            arrive_ms,
            end_ms: arrive_ms + rest,
            outcome,
        },
    )
}

/// Runs the jobs and says when each call arrived, by connection.
async fn run(gate: MemoryGate, jobs: Vec<Job>) -> Vec<(String, Duration)> {
    let started = Instant::now();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let (gate, arrivals) = (gate.clone(), arrivals.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(job.start_ms)).await;
                let permit = gate.take(&ask(job.class, LONG)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(job.arrive_ms)).await;
                if job.outcome != Outcome::Unused {
                    arrivals
                        .lock()
                        .unwrap()
                        .push((permit.connection.clone(), started.elapsed()));
                }
                tokio::time::sleep(Duration::from_millis(job.end_ms - job.arrive_ms)).await;
                gate.give_back(permit, job.outcome).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    std::mem::take(&mut *arrivals.lock().unwrap())
}

#[test]
fn no_window_of_any_connection_ever_holds_more_calls_than_its_limit() {
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (
        prop::collection::vec(1u32..8, 1..3),
        prop::collection::vec(job(), 1..50),
    );
    runner
        .run(&strategy, |(connections, jobs)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let count = jobs
                .iter()
                .filter(|job| job.outcome != Outcome::Unused)
                .count();
            let arrivals = runtime.block_on(run(gate(&connections), jobs));
            prop_assert_eq!(arrivals.len(), count, "every job was served");
            for (n, calls) in connections.iter().enumerate() {
                let name = format!("c{n}");
                let mut times: Vec<_> = arrivals
                    .iter()
                    .filter(|(known, _)| *known == name)
                    .map(|(_, at)| *at)
                    .collect();
                times.sort_unstable();
                for window in times.windows(*calls as usize + 1) {
                    let span = window[window.len() - 1] - window[0];
                    if span < Duration::from_secs(60) {
                        return Err(TestCaseError::fail(format!(
                            "{} calls within {span:?} on {name}",
                            calls + 1
                        )));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_read_in_the_middle_of_a_backfill_is_served_at_once() {
    let gate = gate(&[60]);
    let worker = gate.clone();
    let backfill = tokio::spawn(async move {
        loop {
            let permit = worker.take(&ask(Class::Backfill, LONG)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(230)).await;
            worker.give_back(permit, Outcome::Used).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(300)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..30 {
        let permit = gate.take(&ask(Class::Read, LONG)).await.unwrap();
        slowest = slowest.max(permit.waited);
        gate.give_back(permit, Outcome::Used).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    backfill.abort();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn three_connections_share_a_backlog_evenly_and_finish_in_a_third_of_the_time() {
    let mut took = Vec::new();
    for connections in [1, 3] {
        let gate = gate(&vec![60; connections]);
        let started = Instant::now();
        let jobs = Arc::new(Mutex::new(600));
        let mut workers = Vec::new();
        for _ in 0..connections * 4 {
            let (gate, jobs) = (gate.clone(), jobs.clone());
            workers.push(tokio::spawn(async move {
                let mut used = Vec::new();
                while {
                    let mut left = jobs.lock().unwrap();
                    *left -= 1;
                    *left >= 0
                } {
                    let permit = gate.take(&ask(Class::Backfill, LONG)).await.unwrap();
                    used.push(permit.connection.clone());
                    tokio::time::sleep(Duration::from_millis(230)).await;
                    gate.give_back(permit, Outcome::Used).await;
                }
                used
            }));
        }
        let mut used = Vec::new();
        for worker in workers {
            used.extend(worker.await.unwrap());
        }
        took.push(started.elapsed().as_secs_f64());
        for n in 0..connections {
            let share = used.iter().filter(|name| **name == format!("c{n}")).count() as f64
                / used.len() as f64;
            assert!(
                (share - 1.0 / connections as f64).abs() < 0.03,
                "c{n} carried {share}"
            );
        }
    }
    assert!(took[1] <= 0.37 * took[0], "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_starves_under_a_flood_of_reads() {
    let gate = gate(&[4]);
    let reader = gate.clone();
    let flood = tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let gate = reader.clone();
            tasks.spawn(async move {
                let permit = gate.take(&ask(Class::Read, LONG)).await.unwrap();
                gate.give_back(permit, Outcome::Used).await;
            });
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    let permit = gate
        .take(&ask(Class::Backfill, Duration::from_secs(3_600)))
        .await;
    flood.abort();
    assert!(permit.is_ok(), "{permit:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_what_the_caller_allows_is_refused_at_once() {
    let gate = gate(&[1]);
    let permit = gate.take(&ask(Class::Read, LONG)).await.unwrap();
    gate.give_back(permit, Outcome::Used).await;
    let before = Instant::now();
    let error = gate
        .take(&ask(Class::Read, Duration::from_secs(10)))
        .await
        .unwrap_err();
    assert!(
        matches!(error, GateError::WouldWait { next_in, .. } if next_in == Duration::from_secs(60)),
        "{error:?}"
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn parking_and_setting_aside_hold_for_their_time() {
    let gate = gate(&[10]);
    let permit = gate.take(&ask(Class::Read, LONG)).await.unwrap();
    gate.give_back(
        permit,
        Outcome::Throttled {
            retry_after: Duration::from_secs(31),
        },
    )
    .await;
    let permit = gate.take(&ask(Class::Read, LONG)).await.unwrap();
    assert_eq!(permit.waited, Duration::from_secs(31));
    gate.give_back(permit, Outcome::Refused { status: 403 })
        .await;
    assert_eq!(gate.set_aside(), ["c0"]);
    let error = gate.take(&ask(Class::Read, LONG)).await.unwrap_err();
    assert!(matches!(error, GateError::AllSetAside { .. }), "{error:?}");
    tokio::time::advance(Duration::from_secs(600)).await;
    gate.take(&ask(Class::Read, LONG)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_leaves_nothing_behind() {
    let gate = gate(&[1]);
    let permit = gate.take(&ask(Class::Read, LONG)).await.unwrap();
    let waiting = ask(Class::Read, LONG);
    {
        let waiter = gate.take(&waiting);
        tokio::select! {
            _ = waiter => panic!("there was no permit"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    gate.give_back(permit, Outcome::Unused).await;
    let permit = gate
        .take(&ask(Class::Backfill, Duration::from_secs(1)))
        .await
        .unwrap();
    gate.give_back(permit, Outcome::Unused).await;
}
