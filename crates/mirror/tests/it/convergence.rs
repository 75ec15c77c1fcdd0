//! Hours of business under all faults, with workers that die: afterwards the mirror equals upstream.
//!
//! `MILLPOND_SEED` repeats a run; `MILLPOND_ROUNDS` makes it longer than the dozen that a test run can afford.

use std::{collections::BTreeSet, time::Duration};

use mirror::{InstanceSettings, ScheduleOverride, VerifyAsk};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use simulators::cin7::{Account, Cin7, FaultRates, Options};
use store::{Store, testing::TestDatabase};
use tokio_util::sync::CancellationToken;

use crate::{
    house::{assert_same, connector, held, instance, open, simulator, sync, truth},
    whole::RESOURCES,
};

fn from_environment(name: &str, or: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(or, |text| text.parse().expect("a number"))
}

/// Everything runs every few moments: an hour of the simulated clock passes in as many seconds.
fn hasty(name: &str, sim: &Cin7, account: &Account) -> InstanceSettings {
    let mut settings = instance(name, sim, account);
    settings.timeout = Some(Duration::from_secs(2));
    for resource in &connector().resources {
        let mut add = |kind: &str, millis| {
            settings.schedules.push(ScheduleOverride {
                resource: resource.name.clone(),
                kind: kind.to_owned(),
                every: Duration::from_millis(millis),
            });
        };
        if resource.changes.is_some() {
            add("changes", 500);
        }
        if resource.list.is_some() {
            add("full", 4000);
        }
    }
    settings
}

/// A worker in a runtime of its own, which dies with it: no destructor of its tasks runs any query.
fn doomed_worker(
    url: &str,
    settings: Vec<InstanceSettings>,
    owner: String,
) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let url = url.to_owned();
    runtime.spawn(async move {
        let store = Store::open(&url, 8).await.unwrap();
        let mirror = open(store, settings).await;
        mirror.work(&owner, CancellationToken::new(), None).await
    });
    runtime
}

async fn scalar(database: &TestDatabase, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement)
        .fetch_one(&database.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_hours_of_faults_and_dying_workers_the_mirror_equals_upstream() {
    let seed = from_environment("MILLPOND_SEED", rand::random());
    let rounds = from_environment("MILLPOND_ROUNDS", 12);
    println!("MILLPOND_SEED={seed} MILLPOND_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let database = TestDatabase::fresh().await;
    let accounts: Vec<Account> = [Account::gbp(), Account::eur()]
        .into_iter()
        .map(|a| Account { sales_max: 40, ..a })
        .collect();
    let options = Options {
        seed,
        accounts: accounts.clone(),
        ..Options::for_testing()
    };
    let sim = simulator(options).await;
    let settings = || {
        vec![
            hasty("uk", &sim, &accounts[0]),
            hasty("eu", &sim, &accounts[1]),
        ]
    };
    sim.faults().rates(FaultRates {
        seed,
        p5xx: 0.05,
        ptimeout: 0.02,
        timeout_ms: 2500,
        ptorn: 0.01,
        perr200: 0.01,
        preset: 0.01,
        pthrottle: 0.0,
    });
    sim.faults().hold_every(37, Duration::from_millis(400));

    for round in 0..rounds {
        let runtime = doomed_worker(database.url(), settings(), format!("worker-{round}"));
        for _ in 0..random.random_range(3..9) {
            for account in &accounts {
                sim.tick(&account.account_id, random.random_range(1..8));
            }
            sim.clock()
                .advance(Duration::from_secs(random.random_range(60..900)));
            let pause = Duration::from_millis(random.random_range(50..500));
            tokio::time::sleep(pause).await; // it works while its world changes
        }
        runtime.shutdown_background();
        // The hour after which nobody believes that it lives.
        for statement in [
            "UPDATE millpond.job SET lease_until = now() - interval '1 second', next_at = least(next_at, now()) WHERE lease_until IS NOT NULL",
            "UPDATE millpond.fetch_queue SET leased_until = NULL, due_at = least(due_at, now())",
            "UPDATE millpond.run SET beat_at = now() - interval '1 hour' WHERE state = 'running'",
            "UPDATE millpond.budget_slot SET free_at = least(free_at, now())",
        ] {
            sqlx::query(statement)
                .execute(&database.pool())
                .await
                .unwrap();
        }
    }
    let (made, struck) = (sim.wiretap().len(), sim.faults().struck());
    println!("{made} calls, {struck} of them struck by faults, {rounds} workers killed");
    assert!(struck > 0, "no fault struck: the test shows nothing");

    sim.faults().clear();
    sqlx::query("UPDATE millpond.job SET failures = 0, next_at = now()")
        .execute(&database.pool())
        .await
        .unwrap();
    sqlx::query(
        "UPDATE millpond.fetch_queue SET attempts = 0, due_at = now(), leased_until = NULL",
    )
    .execute(&database.pool())
    .await
    .unwrap();
    let calm = || {
        let mut settings = settings();
        settings.iter_mut().for_each(|s| s.schedules.clear());
        settings
    };
    let mirror = open(database.store(), calm()).await;
    // Deletes are believed when two whole listings agree; one of them may have been begun under fire.
    for _ in 0..3 {
        let report = sync(&mirror, None, None).await;
        assert!(
            report.complete,
            "{:#?}",
            report
                .runs
                .iter()
                .filter(|r| r.state != "done")
                .collect::<Vec<_>>()
        );
    }

    // A customer's new price tier shows in his sales without any stamp: only the sweep of old details finds that.
    sqlx::query("UPDATE millpond.record_fetch SET fetched_at = now() - interval '40 days'")
        .execute(&database.pool())
        .await
        .unwrap();
    assert!(sync(&mirror, None, Some("sweep")).await.complete);

    for (name, account) in [("uk", &accounts[0]), ("eu", &accounts[1])] {
        for (resource, path, params) in RESOURCES {
            let (held, truth) = (
                held(&mirror, resource, name).await,
                truth(&sim, account, path, params),
            );
            if *resource == "availability" {
                let rows = |rows: Vec<Value>| {
                    rows.iter()
                        .map(Value::to_string)
                        .collect::<BTreeSet<String>>()
                };
                assert_eq!(
                    rows(held.into_values().collect()),
                    rows(truth.into_values().collect()),
                    "{name} availability"
                );
            } else {
                assert_same(&format!("seed {seed}: {name} {resource}"), &held, &truth);
            }
        }
    }
    let verified = mirror
        .verify(
            VerifyAsk {
                sample: 1000,
                seed,
                ..VerifyAsk::default()
            },
            None,
        )
        .await
        .unwrap();
    assert!(
        verified.is_clean(),
        "{:#?}",
        verified
            .resources
            .iter()
            .filter(|r| r.differences() > 0)
            .collect::<Vec<_>>()
    );
    assert!(
        verified
            .resources
            .iter()
            .all(|r| r.error.is_none() && r.differences() == 0)
    );

    assert_eq!(
        scalar(
            &database,
            "SELECT count(*) FROM millpond.run WHERE state = 'running'"
        )
        .await,
        0,
        "a stuck run"
    );
    assert_eq!(
        scalar(
            &database,
            "SELECT count(*) FROM millpond.job WHERE lease_owner IS NOT NULL"
        )
        .await,
        0,
        "a stuck lease"
    );
    assert_eq!(
        scalar(&database, "SELECT count(*) FROM millpond.fetch_queue").await,
        0,
        "a stuck fetch"
    );
    // The history has no hole: every version that ended is kept, every change is logged once.
    let holes = "SELECT count(*) FROM millpond.record r WHERE version - 1 <> (SELECT count(*) FROM millpond.record_version v \
                 WHERE v.resource = r.resource AND v.instance = r.instance AND v.id = r.id)";
    assert_eq!(scalar(&database, holes).await, 0, "versions are missing");
    let unlogged = "SELECT count(*) FROM millpond.record r WHERE version <> (SELECT count(*) FROM millpond.change c \
                    WHERE c.resource = r.resource AND c.instance = r.instance AND c.id = r.id)";
    assert_eq!(
        scalar(&database, unlogged).await,
        0,
        "changes are not logged"
    );
}
