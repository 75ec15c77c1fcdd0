//! PostgreSQL goes away or cannot write in the middle of a sync: it only delays, nothing is lost, and no call is wasted.

use std::{collections::BTreeMap, process::Command, time::Duration};

use mirror::ResourceFilter;
use simulators::cin7::{Account, Options};
use sqlx::PgPool;
use store::{
    Store,
    private::{PrivateCluster, Settings},
};

use crate::house::{
    House, assert_same, held, instance, open, simulator, sync, truth, until, until_within, work,
};

/// How long no write is possible.
const FULL: Duration = Duration::from_secs(6);

fn sales_only(settings: &mut mirror::InstanceSettings) {
    settings.resources = ResourceFilter::Only(vec!["sale".to_owned()]);
}

async fn count(pool: &PgPool, statement: &'static str) -> Option<i64> {
    sqlx::query_scalar(statement).fetch_one(pool).await.ok()
}

/// A backend is killed, so PostgreSQL restarts itself: all are thrown out, it recovers from its log, and what is not
/// logged, as the budget, is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_crashes_and_restarts_in_the_middle_of_a_sync_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateCluster::start(Settings::new(folder.path().join("pg")))
        .await
        .unwrap();
    let store = Store::open(&cluster.url_of("postgres"), 10).await.unwrap();
    let account = Account {
        sales_max: 300,
        ..Account::gbp()
    };
    let sim = simulator(Options {
        accounts: vec![account.clone()],
        ..Options::for_testing()
    })
    .await;
    let mut settings = instance("uk", &sim, &account);
    sales_only(&mut settings);
    let mirror = open(store, vec![settings]).await;
    let worker = work(&mirror, "one");
    let pool = mirror.store().pool().clone();
    for calls in [20, 150] {
        until("it goes on", async || {
            sim.wiretap().of("sale").len() > calls
        })
        .await;
        let mut pid = None;
        until("a backend is there", async || {
            let backend = "SELECT max(pid)::bigint FROM pg_stat_activity WHERE backend_type = 'client backend'";
            pid = count(&pool, backend).await;
            pid.is_some()
        })
        .await;
        let pid = pid.unwrap().to_string();
        let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
        assert!(killed.success());
    }
    // What was taken by a statement whose answer was lost comes back with the end of its lease.
    until_within(Duration::from_secs(120), "everything is in", async || {
        count(&pool, "SELECT count(*) FROM cin7.sale").await == Some(300)
            && count(&pool, "SELECT count(*) FROM millpond.fetch_queue").await == Some(0)
    })
    .await;
    worker.stop().await;
    let recovered = std::fs::read_to_string(cluster.log()).unwrap();
    let restarts = recovered
        .matches("all server processes terminated; reinitializing")
        .count();
    assert!(restarts >= 1, "PostgreSQL did not restart");
    // A listing may have been cut off: the next one brings what it lacked.
    sync(&mirror, None, None).await;
    let told = truth(&sim, &account, "sale", &[]);
    assert_same("sales", &held(&mirror, "sale", "uk").await, &told);
    drop(mirror);
    cluster.stop().await.unwrap();
}

/// What PostgreSQL says on a full disk (53100) comes from triggers here, on every write of records.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_for_a_while_delays_and_does_not_spend_the_budget() {
    let house = House::with(200, sales_only).await;
    let pool = house.database.pool();
    let worker = work(&house.mirror, "one");
    let details = || house.sim.wiretap().of("sale").len();
    until("it goes on", async || details() > 40).await;
    for statement in [
        "CREATE FUNCTION public.disk_full() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON millpond.record FOR EACH ROW EXECUTE FUNCTION public.disk_full()",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let before = details();
    tokio::time::sleep(FULL).await; // the disk stays full for as long as this
    let wasted = details() - before;
    let rows = count(&pool, "SELECT count(*) FROM cin7.sale")
        .await
        .unwrap();
    assert!(rows < 200, "it was over before the disk was full");
    sqlx::query("DROP FUNCTION public.disk_full CASCADE")
        .execute(&pool)
        .await
        .unwrap();
    until_within(Duration::from_secs(120), "everything is in", async || {
        count(&pool, "SELECT count(*) FROM cin7.sale").await == Some(200)
            && count(&pool, "SELECT count(*) FROM millpond.fetch_queue").await == Some(0)
    })
    .await;
    worker.stop().await;
    println!(
        "{wasted} details were fetched while nothing could be written, {} in all",
        details()
    );
    // Two drainers: what was on the wire when it began, and then one at a time. Each of the 160 that were left would be
    // fetched if nothing held them back.
    assert!(
        wasted <= 2 * (8 + 8),
        "{wasted} details were fetched for nothing"
    );
    let told: BTreeMap<_, _> = house.truth("sale", &[]);
    assert_same("sales", &house.held("sale").await, &told);
}
