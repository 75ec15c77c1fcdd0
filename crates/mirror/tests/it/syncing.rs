//! What syncing costs, what it survives, and how it is steered.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use mirror::{ReadAsk, ResourceFilter};
use simulators::cin7::FaultPlan;
use store::jobs::JobChange;

use crate::house::{House, assert_same, instance, name, open, until, work};

async fn house_of(sales: usize, resources: &[&str]) -> House {
    let chosen = resources.iter().map(|r| (*r).to_owned()).collect();
    House::with(sales, |settings| {
        settings.resources = ResourceFilter::Only(chosen)
    })
    .await
}

/// Kills all leases, as time would.
async fn let_leases_run_out(house: &House) {
    for statement in [
        "UPDATE millpond.job SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL",
        "UPDATE millpond.fetch_queue SET leased_until = now() - interval '1 second' WHERE leased_until IS NOT NULL",
        "UPDATE millpond.run SET beat_at = now() - interval '1 hour' WHERE state = 'running'",
    ] {
        sqlx::query(statement)
            .execute(&house.database.pool())
            .await
            .unwrap();
    }
}

async fn number(house: &House, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement)
        .fetch_one(&house.database.pool())
        .await
        .unwrap()
}

async fn sales_equal(house: &House) {
    assert_same(
        "sale_header",
        &house.held("sale_header").await,
        &house.truth("saleList", &[]),
    );
    assert_same("sale", &house.held("sale").await, &house.truth("sale", &[]));
}

fn calls(house: &House) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for call in house.sim.wiretap().calls() {
        *calls.entry(call.path).or_default() += 1;
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_changed_of_many_cost_the_pages_since_the_cursor_and_ten_details() {
    let house = house_of(1300, &["sale"]).await;
    assert!(house.sync(None, None).await.complete);
    assert_eq!(house.sim.wiretap().of("sale").len(), 1300);

    house.sim.clock().advance(Duration::from_secs(3600));
    house.sim.wiretap().clear();
    let edited = house.sim.edit_sales(&house.account.account_id, 10);
    assert!(house.sync(None, Some("changes")).await.complete);

    assert_eq!(
        calls(&house),
        BTreeMap::from([("saleList".to_owned(), 1), ("sale".to_owned(), 10)])
    );
    for call in house.sim.wiretap().of("sale") {
        assert!(
            edited.iter().any(|id| call.query.contains(id.as_str())),
            "{}",
            call.query
        );
    }

    // More rows under one identical stamp than a page holds.
    house.sim.clock().advance(Duration::from_secs(3600));
    house.sim.wiretap().clear();
    house.sim.bulk_touch(&house.account.account_id, 1100);
    assert!(house.sync(None, Some("changes")).await.complete);
    let made = calls(&house);
    assert!(made["saleList"] <= 3, "{made:?}");
    assert_eq!(made["sale"], 1100);
    sales_equal(&house).await;

    // Nothing new: what the overlap shows again costs no detail and writes nothing.
    house.sim.wiretap().clear();
    let changes = number(&house, "SELECT count(*) FROM millpond.change").await;
    assert!(house.sync(None, Some("changes")).await.complete);
    assert!(
        calls(&house).keys().all(|path| path == "saleList"),
        "{:?}",
        calls(&house)
    );
    assert_eq!(
        number(&house, "SELECT count(*) FROM millpond.change").await,
        changes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_do_nothing_twice() {
    let house = house_of(400, &["sale", "customer"]).await;
    let second = open(
        house.database.store(),
        vec![{
            let mut settings = instance("uk", &house.sim, &house.account);
            settings.resources =
                ResourceFilter::Only(vec!["sale".to_owned(), "customer".to_owned()]);
            settings
        }],
    )
    .await;
    let workers = [work(&house.mirror, "first"), work(&second, "second")];
    until("everything is in", async || {
        house.held("sale").await.len() == 400
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
    let mut times: HashMap<(String, String), usize> = HashMap::new();
    for call in house.sim.wiretap().calls() {
        if !call.query.contains("Since") {
            *times.entry((call.path, call.query)).or_default() += 1;
        }
    }
    let twice: Vec<_> = times.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let owners = number(&house, "SELECT count(DISTINCT owner) FROM millpond.run").await;
    assert_eq!(owners, 2, "one of the workers did nothing");
    sales_equal(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_hands_back_what_it_has() {
    let house = house_of(400, &["sale"]).await;
    let worker = work(&house.mirror, "first");
    until("the backfill is in its middle", async || {
        house.sim.wiretap().of("sale").len() > 60
    })
    .await;
    worker.stop().await;

    assert_eq!(
        number(
            &house,
            "SELECT count(*) FROM millpond.fetch_queue WHERE leased_until > now()"
        )
        .await,
        0
    );
    assert_eq!(
        number(
            &house,
            "SELECT count(*) FROM millpond.job WHERE lease_until IS NOT NULL"
        )
        .await,
        0
    );
    assert_eq!(
        number(
            &house,
            "SELECT count(*) FROM millpond.run WHERE state = 'running'"
        )
        .await,
        0
    );
    let fetched = house.sim.wiretap().of("sale").len();
    assert!(fetched < 400, "it was over before it was stopped");
    assert_eq!(
        house.held("sale").await.len(),
        fetched,
        "what was fetched was not kept"
    );

    assert!(house.sync(None, None).await.complete);
    assert_eq!(
        house.sim.wiretap().of("sale").len(),
        400,
        "a detail was fetched twice"
    );
    sales_equal(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_process_died_is_closed_as_lost_and_its_work_goes_on() {
    let house = house_of(300, &["sale"]).await;
    // A worker in a runtime of its own dies with it, without any clean-up.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mirror = {
        let (url, sim, account) = (house.database.url().to_owned(), &house.sim, &house.account);
        let mut settings = instance("uk", sim, account);
        settings.resources = ResourceFilter::Only(vec!["sale".to_owned()]);
        runtime
            .spawn(async move {
                let store = store::Store::open(&url, 5).await.unwrap();
                open(store, vec![settings]).await
            })
            .await
            .unwrap()
    };
    let doomed = runtime.spawn(async move {
        mirror
            .work("doomed", tokio_util::sync::CancellationToken::new(), None)
            .await
    });
    until("it is in its middle", async || {
        house.sim.wiretap().of("sale").len() > 40
    })
    .await;
    runtime.shutdown_background();
    drop(doomed);
    until("its connections are gone", async || {
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'millpond'";
        number(&house, busy).await == 0
    })
    .await;
    assert!(
        number(
            &house,
            "SELECT count(*) FROM millpond.run WHERE state = 'running'"
        )
        .await
            > 0
    );
    assert!(house.held("sale").await.len() < 300);

    let_leases_run_out(&house).await;
    let worker = work(&house.mirror, "heir");
    until("the rest is in", async || {
        house.held("sale").await.len() == 300
    })
    .await;
    worker.stop().await;
    assert!(
        number(
            &house,
            "SELECT count(*) FROM millpond.run WHERE state = 'lost' AND owner = 'doomed'"
        )
        .await
            > 0
    );
    assert_eq!(
        number(
            &house,
            "SELECT count(*) FROM millpond.run WHERE state = 'running'"
        )
        .await,
        0
    );
    sales_equal(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_upstream_does_wrong_a_run_that_met_it_is_not_done_and_all_is_in_when_it_stops() {
    let plans: [(&str, FaultPlan); 6] = [
        (
            "503",
            FaultPlan {
                status_every: Some((1, 503)),
                ..FaultPlan::default()
            },
        ),
        (
            "resets",
            FaultPlan {
                reset_every: Some(1),
                ..FaultPlan::default()
            },
        ),
        (
            "torn JSON",
            FaultPlan {
                torn_json_every: Some(1),
                ..FaultPlan::default()
            },
        ),
        (
            "errors with 200",
            FaultPlan {
                error_in_200_every: Some(1),
                ..FaultPlan::default()
            },
        ),
        (
            "HTML with 200",
            FaultPlan {
                html_200_every: Some(1),
                ..FaultPlan::default()
            },
        ),
        (
            "500",
            FaultPlan {
                status_every: Some((1, 500)),
                ..FaultPlan::default()
            },
        ),
    ];
    let house = house_of(40, &["sale"]).await;
    assert!(house.sync(None, None).await.complete);
    for (what, plan) in plans {
        house.sim.clock().advance(Duration::from_secs(600));
        house.sim.edit_sales(&house.account.account_id, 5);
        let cursor = number(&house, "SELECT count(DISTINCT cursor) FROM millpond.job").await;
        let before: String = cursor_of(&house).await;
        house.sim.faults().set(plan);
        let worker = work(&house.mirror, what);
        house
            .database
            .store()
            .change_jobs("uk", None, Some("changes"), &now())
            .await
            .unwrap();
        let ended = async || {
            let runs = house
                .database
                .store()
                .runs(None, None, None, None, 20)
                .await
                .unwrap();
            runs.iter()
                .any(|run| run.owner == what && run.kind == "changes" && run.state != "running")
        };
        until("a run ended", ended).await;
        worker.stop().await;
        let runs = house
            .database
            .store()
            .runs(None, None, None, None, 20)
            .await
            .unwrap();
        let states: Vec<_> = runs
            .iter()
            .filter(|r| r.owner == what)
            .map(|r| (r.state.clone(), r.why.clone()))
            .collect();
        assert!(
            states
                .iter()
                .all(|(state, why)| state == "failed" && why.is_some()),
            "{what}: {states:?}"
        );
        assert_eq!(before, cursor_of(&house).await, "{what}: the cursor moved");
        assert_eq!(cursor, 1);

        house.sim.faults().clear();
        assert!(house.sync(None, Some("changes")).await.complete, "{what}");
        sales_equal(&house).await;
    }
}

fn now() -> JobChange {
    JobChange {
        run_now: true,
        ..JobChange::default()
    }
}

async fn cursor_of(house: &House) -> String {
    let statement = "SELECT cursor::text FROM millpond.job WHERE kind = 'changes' AND resource = 'cin7.sale_header'";
    sqlx::query_scalar(statement)
        .fetch_one(&house.database.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_drift_repeat_rows_or_come_out_of_order_lose_nothing() {
    let house = house_of(1300, &["sale_header"]).await;
    house
        .sim
        .faults()
        .page_drift(true)
        .duplicate_rows(true)
        .out_of_order(true)
        .hold_every(3, Duration::from_millis(150));
    assert!(house.sync(None, None).await.complete);
    house.sim.faults().clear();
    house.sim.clock().advance(Duration::from_secs(60));
    assert!(house.sync(None, Some("changes")).await.complete);
    assert_same(
        "sale_header",
        &house.held("sale_header").await,
        &house.truth("saleList", &[]),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_go_missing_for_a_while_are_not_deleted() {
    let house = house_of(60, &["availability"]).await;
    assert!(house.sync(None, None).await.complete);
    let before = house.held("availability").await;
    house.sim.faults().rows_missing_every(10);
    assert!(house.sync(None, Some("full")).await.complete);
    house.sim.faults().rows_missing_every(0);
    assert!(house.sync(None, Some("full")).await.complete);
    house.sim.faults().rows_missing_every(7);
    assert!(house.sync(None, Some("full")).await.complete);
    assert_same("availability", &house.held("availability").await, &before);
    // Half of everything is not believed however often it is said.
    house.sim.faults().rows_missing_every(2);
    for _ in 0..3 {
        assert!(house.sync(None, Some("full")).await.complete);
    }
    assert_same("availability", &house.held("availability").await, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_deleted_upstream_goes_with_its_details() {
    let house = house_of(60, &["sale"]).await;
    assert!(house.sync(None, None).await.complete);
    let ids = house.sim.truth(&house.account.account_id).ids("saleList");
    assert!(house.sim.delete_sale(&house.account.account_id, &ids[7]));
    for _ in 0..2 {
        assert!(house.sync(None, Some("full")).await.complete);
    }
    assert_eq!(house.held("sale").await.len(), 59);
    sales_equal(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_what_is_fresh_enough_and_the_last_known_when_upstream_is_down() {
    let house = house_of(30, &["sale"]).await;
    assert!(house.sync(None, None).await.complete);
    house.sim.wiretap().clear();
    let id = house.sim.truth(&house.account.account_id).ids("sale")[3].clone();
    let read = async |ask: ReadAsk| {
        house
            .mirror
            .read(&name("sale"), "uk", &id, ask)
            .await
            .unwrap()
            .unwrap()
    };
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(read(ReadAsk::default()).await.source, "mirror");
    assert_eq!(
        read(ReadAsk {
            max_age: hour,
            fresh: false
        })
        .await
        .source,
        "mirror"
    );
    assert_eq!(house.sim.wiretap().len(), 0);

    let fresh = read(ReadAsk {
        max_age: None,
        fresh: true,
    })
    .await;
    assert_eq!((fresh.source, house.sim.wiretap().len()), ("upstream", 1));
    assert!(fresh.age_secs < 5.0 && fresh.stale.is_none());
    assert_eq!(
        read(ReadAsk {
            max_age: Some(Duration::from_millis(1)),
            fresh: false
        })
        .await
        .source,
        "upstream"
    );

    house.sim.faults().status_every(1, 503);
    let stale = read(ReadAsk {
        max_age: Some(Duration::ZERO),
        fresh: false,
    })
    .await;
    assert_eq!(stale.source, "mirror");
    assert!(
        stale
            .stale
            .as_deref()
            .is_some_and(|why| why.contains("503")),
        "{:?}",
        stale.stale
    );
    house.sim.faults().clear();

    let ghost = "00000000-0000-0000-0000-00000000dead";
    assert!(
        house
            .mirror
            .read(&name("sale"), "uk", ghost, ReadAsk::default())
            .await
            .unwrap()
            .is_none()
    );
    // Whatever the case of the id.
    let upper = house
        .mirror
        .read(&name("sale"), "uk", &id.to_uppercase(), ReadAsk::default())
        .await
        .unwrap();
    assert!(upper.is_some());

    // Gone upstream: the answer says so.
    house.sim.delete_sale(&house.account.account_id, &id);
    let gone = read(ReadAsk {
        max_age: None,
        fresh: true,
    })
    .await;
    assert!(gone.record.deleted_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_throws_everybody_out_only_delays() {
    let house = house_of(400, &["sale"]).await;
    let worker = work(&house.mirror, "one");
    for calls in [30, 120, 240] {
        until("it goes on", async || {
            house.sim.wiretap().of("sale").len() > calls
        })
        .await;
        // On a connection of its own: the pool's own are what is cut.
        let options = (*house.database.pool().connect_options()).clone();
        let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            .execute(&mut other)
            .await
            .unwrap();
    }
    until("everything is in", async || {
        let held: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM cin7.sale")
            .fetch_one(&house.database.pool())
            .await;
        held.is_ok_and(|held| held == 400)
    })
    .await;
    until("the queue is empty", async || {
        number(&house, "SELECT count(*) FROM millpond.fetch_queue").await == 0
    })
    .await;
    worker.stop().await;
    sales_equal(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_changed_while_they_run() {
    let house = house_of(20, &["location", "tax"]).await;
    let worker = work(&house.mirror, "one");
    let store = house.database.store();
    let lists = |path: &str| house.sim.wiretap().of(path).len();
    until("the first listings are in", async || {
        lists("ref/location") == 1 && lists("ref/tax") == 1
    })
    .await;

    let every = |ms| JobChange {
        every: Some(Duration::from_millis(ms)),
        ..JobChange::default()
    };
    store
        .change_jobs("uk", Some("cin7.location"), Some("full"), &every(200))
        .await
        .unwrap();
    until("it runs every moment", async || lists("ref/location") >= 5).await;
    assert_eq!(lists("ref/tax"), 1, "another job was moved as well");

    let paused = |yes| JobChange {
        paused: Some(yes),
        ..JobChange::default()
    };
    store
        .change_jobs("uk", Some("cin7.location"), None, &paused(true))
        .await
        .unwrap();
    let at_rest = async || {
        let jobs = store.jobs().await.unwrap();
        jobs.iter().all(|job| job.lease_owner.is_none())
    };
    until("the last run has ended", at_rest).await;
    let count = lists("ref/location");
    store
        .change_jobs("uk", Some("cin7.tax"), None, &every(100))
        .await
        .unwrap();
    until("the other runs", async || lists("ref/tax") >= 6).await;
    assert_eq!(lists("ref/location"), count, "a paused job ran");

    store
        .change_jobs("uk", Some("cin7.location"), None, &paused(false))
        .await
        .unwrap();
    until("it goes on", async || lists("ref/location") > count).await;

    // Quiet hours around the clock but for a minute that is not now.
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let (from, to) = (
        now.clone() - jiff::Span::new().hours(2),
        now + jiff::Span::new().hours(2),
    );
    let quiet = format!("{}-{}", from.strftime("%H:%M"), to.strftime("%H:%M"));
    let change = JobChange {
        quiet: Some(quiet),
        ..JobChange::default()
    };
    store
        .change_jobs("uk", Some("cin7.location"), None, &change)
        .await
        .unwrap();
    until("its next start is after the quiet", async || {
        let jobs = store.jobs().await.unwrap();
        let job = jobs
            .iter()
            .find(|j| j.resource.as_str() == "cin7.location")
            .unwrap();
        job.next_at > jiff::Timestamp::now() + jiff::SignedDuration::from_mins(60)
    })
    .await;

    // The whole instance.
    store.pause_instance("uk", true).await.unwrap();
    until("all runs have ended", at_rest).await;
    let before = house.sim.wiretap().len();
    tokio::time::sleep(Duration::from_millis(600)).await; // six turns, all to be missed
    assert_eq!(
        house.sim.wiretap().len(),
        before,
        "a paused instance was called"
    );
    let report = house.sync(None, None).await;
    assert!(
        !report.complete,
        "a sync of what is paused cannot be complete"
    );
    worker.stop().await;

    // What a person has set outlives a restart of the program.
    let mut settings = instance("uk", &house.sim, &house.account);
    settings.resources = ResourceFilter::Only(vec!["location".to_owned(), "tax".to_owned()]);
    open(house.database.store(), vec![settings]).await;
    let jobs = store.jobs().await.unwrap();
    let job = jobs
        .iter()
        .find(|j| j.resource.as_str() == "cin7.tax" && j.kind == "full")
        .unwrap();
    assert_eq!(job.every_ms, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_while_a_worker_runs_the_same_jobs_waits_for_a_run_of_its_own() {
    let house = house_of(20, &["location"]).await;
    house.sim.faults().slow_every(1, Duration::from_millis(400));
    let worker = work(&house.mirror, "server");
    until("the listing is asked for", async || {
        house.sim.wiretap().of("ref/location").len() == 1
    })
    .await;

    assert!(house.sync(None, None).await.complete);

    assert_eq!(house.sim.wiretap().of("ref/location").len(), 2);
    worker.stop().await;
}
