//! What is on the wire at once, and whose it is: over all drainers, listings, readers and processes together.

use std::time::Duration;

use jiff::Timestamp;
use mirror::{InstanceSettings, ReadAsk, ResourceFilter};
use simulators::cin7::{Account, Latency, Options};
use store::testing::TestDatabase;

use crate::house::{House, instance, name, open, simulator, sync, until, work};

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_of_a_connection_are_on_the_wire_than_its_connector_allows() {
    let database = TestDatabase::fresh().await;
    let account = Account {
        sales_max: 120,
        ..Account::gbp()
    };
    let sim = simulator(Options {
        accounts: vec![account.clone()],
        latency: Latency::Fixed(Duration::from_millis(25)),
        ..Options::for_testing()
    })
    .await;
    let mut workers = Vec::new();
    let mut mirrors = Vec::new();
    // Two mirrors with gates of their own are what two processes are.
    for owner in ["first", "second"] {
        let mut settings = instance("uk", &sim, &account);
        settings.connections.truncate(1);
        settings.concurrency = Some(3);
        let mirror = open(database.store(), vec![settings]).await;
        workers.push(work(&mirror, owner));
        mirrors.push(mirror);
    }
    let ids = sim.truth(&account.account_id).ids("sale");
    let fresh = ReadAsk {
        fresh: true,
        max_age: None,
    };
    let readers = mirrors
        .iter()
        .zip(ids.chunks(60))
        .map(|(mirror, ids)| async move {
            for id in ids.iter().take(20) {
                mirror.read(&name("sale"), "uk", id, fresh).await.unwrap();
            }
        });
    futures::future::join_all(readers).await;
    until("a good part is in", async || sim.wiretap().len() > 200).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(sim.wiretap().max_in_flight(), 3);
}

/// The lease of a fetch is short, so that it comes back soon after a kill, and renewed while its call lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_takes_long_keeps_its_lease_and_is_not_begun_twice() {
    let only_sales = |settings: &mut InstanceSettings| {
        settings.resources = ResourceFilter::Only(vec!["sale".to_owned()]);
    };
    let house = House::with(6, only_sales).await;
    sync(&house.mirror, None, None).await;
    house.sim.wiretap().clear();
    // Longer than the lease was at first.
    house.sim.faults().slow_every(1, Duration::from_secs(40));
    let began = Timestamp::now();
    let ids = house.truth("sale", &[]).into_keys().collect::<Vec<_>>();
    let store = house.database.store();
    store
        .queue_fetch(&name("sale"), "uk", &ids, 3)
        .await
        .unwrap();
    let worker = work(&house.mirror, "patient");
    let lease = async || -> Option<f64> {
        sqlx::query_scalar(
            "SELECT extract(epoch FROM min(leased_until))::double precision - $1 FROM millpond.fetch_queue \
             WHERE leased_until IS NOT NULL",
        )
        .bind(began.as_millisecond() as f64 / 1000.0)
        .fetch_one(&house.database.pool())
        .await
        .unwrap()
    };
    until("a fetch is on the wire", async || lease().await.is_some()).await;
    let first = lease().await.unwrap();
    assert!(first < 45.0, "after a kill it would wait {first} s");
    until("its lease was renewed", async || {
        lease().await.is_some_and(|until| until > first + 8.0)
    })
    .await;
    let details = house.sim.wiretap().of("sale");
    let mut queries: Vec<&str> = details.iter().map(|call| call.query.as_str()).collect();
    queries.sort_unstable();
    let all = queries.len();
    queries.dedup();
    assert_eq!(queries.len(), all, "a detail was asked for twice");
    house.sim.faults().clear();
    worker.stop().await;
}
