//! What processes learned of records: whose counts, who may fetch, what is forgotten.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use jiff::Timestamp;
use store::{
    instances::{CallLimit, ConnectionSpec, Instance},
    learned::LearnedRow,
    testing::TestDatabase,
};

const FADE: Duration = Duration::from_secs(6 * 3600);
const HOLD: Duration = Duration::from_secs(60);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn row(id: &str, fetched_at: i64, reads: f32, read_at: i64) -> LearnedRow {
    LearnedRow {
        resource: "desk.deal_notes".parse().unwrap(),
        id: id.to_owned(),
        record: id.to_owned(),
        version: fetched_at,
        fetched_at: at(fetched_at),
        events: 1.0 + fetched_at as f32,
        exposure: 100.0,
        age: 5.0,
        reads,
        read_at: at(read_at),
        ttl: Some(Duration::from_secs(30)),
        decision: Some("served".to_owned()),
        decided_at: Some(at(read_at)),
        saved_at: at(0),
    }
}

#[tokio::test]
async fn reads_of_all_processes_add_up_and_the_newest_fetch_counts() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let save = async |by: &str, rows: &[LearnedRow]| {
        store.save_learned("psa", by, FADE, rows).await.unwrap();
    };
    save("one", &[row("1", 10, 3.0, 10), row("2", 10, 1.0, 10)]).await;
    save("two", &[row("1", 20, 4.0, 20)]).await;
    // An older fetch that is saved later does not bring back what was known then.
    save("one", &[row("1", 15, 1.0, 25)]).await;
    let (rows, _) = store.learned_of("psa", 10).await.unwrap();
    let first = rows.iter().find(|row| row.id == "1").unwrap();
    assert_eq!((first.fetched_at, first.version), (at(20), 20));
    assert_eq!(first.events, 21.0);
    assert!((first.reads - 8.0).abs() < 0.01, "{}", first.reads);
    assert_eq!(first.read_at, at(25));
    assert_eq!(first.ttl, Some(Duration::from_secs(30)));
    assert_eq!(first.decided_at, Some(at(25)));
    assert_eq!(rows.len(), 2);
    assert!(store.learned_of("other", 10).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_process_hears_what_others_saved_since_and_not_what_it_saved_itself() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let before = store.learned_of("psa", 10).await.unwrap().1;
    let rows = [row("1", 10, 1.0, 10)];
    store.save_learned("psa", "one", FADE, &rows).await.unwrap();
    let heard = async |by: &str, since: Timestamp| {
        store
            .learned_since("psa", by, since, 10)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(heard("one", before).await, 0);
    assert_eq!(heard("two", before).await, 1);
    let after = store.learned_of("psa", 10).await.unwrap().1;
    assert_eq!(heard("two", after).await, 0);
}

#[tokio::test]
async fn one_process_at_a_time_fetches_a_record_and_none_that_was_fetched_since() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let resource = "desk.deal_notes".parse().unwrap();
    let claim = async |known: i64| {
        store
            .claim_learned("psa", &resource, "1", at(known), HOLD)
            .await
            .unwrap()
    };
    assert!(claim(10).await, "nothing was saved of it");
    let rows = [row("1", 10, 1.0, 10)];
    store.save_learned("psa", "one", FADE, &rows).await.unwrap();
    assert!(claim(10).await);
    assert!(!claim(10).await, "somebody is at it");
    store.unclaim_learned("psa", &resource, "1").await.unwrap();
    assert!(claim(10).await);
    // A fetch ends the claim, and whoever knows less has nothing to fetch.
    let rows = [row("1", 20, 0.0, 10)];
    store.save_learned("psa", "one", FADE, &rows).await.unwrap();
    assert!(!claim(10).await, "it was fetched since");
    assert!(claim(20).await);
}

#[tokio::test]
async fn what_nobody_reads_is_forgotten_and_what_is_shared_is_kept() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let rows = [row("1", 10, 1.0, 10), row("2", 10, 1.0, 500)];
    store.save_learned("psa", "one", FADE, &rows).await.unwrap();
    assert_eq!(store.forget_learned("psa", at(100)).await.unwrap(), 1);
    let (left, _) = store.learned_of("psa", 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, "2");
    assert_eq!(store.learned_together("psa").await.unwrap(), None);
    for state in [&b"one"[..], b"two"] {
        store.save_learned_together("psa", state).await.unwrap();
    }
    let state = store.learned_together("psa").await.unwrap();
    assert_eq!(state.as_deref(), Some(&b"two"[..]));
}

#[tokio::test]
async fn what_the_budget_has_left_is_what_its_open_connections_have() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    store
        .save_instance(&Instance {
            name: "psa".to_owned(),
            connector: "desk".to_owned(),
            currency: None,
            reporting: None,
            paused: false,
        })
        .await
        .unwrap();
    let none = store.calls_left("psa").await.unwrap();
    assert_eq!((none.limit, none.free), (Some(0), 0));
    for (name, calls, secs) in [("one", 60, 60), ("two", 10, 20)] {
        let spec = ConnectionSpec {
            instance: "psa".to_owned(),
            name: name.to_owned(),
            secrets: Default::default(),
            limit: Some(CallLimit {
                calls,
                window: Duration::from_secs(secs),
            }),
            share: 0.5,
            by_command: false,
        };
        store.save_connection(&spec).await.unwrap();
    }
    let all = store.calls_left("psa").await.unwrap();
    assert_eq!((all.limit, all.free, all.people), (Some(35), 35, 0));
    // 30 a minute and 5 in 20 seconds: 45 a minute.
    let rate = 35.0 / all.window.as_secs_f64() * 60.0;
    assert!((rate - 45.0).abs() < 0.1, "{rate}");
    let hold = Duration::from_secs(10);
    store.take_permits("psa", 0, 3, hold, None).await.unwrap();
    let left = store.calls_left("psa").await.unwrap();
    assert_eq!((left.free, left.people), (32, 3));
    store
        .park_connection("psa", "one", Duration::from_secs(600), "throttled")
        .await
        .unwrap();
    assert!(store.calls_left("psa").await.unwrap().free <= 5);
}
