//! The budget in PostgreSQL: permits, reserves, parking, and what a crash leaves.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use store::{
    Store,
    budget::{Grant, GrantedPermit, PermitUse},
    instances::{CallLimit, ConnectionSpec, Instance},
    testing::TestDatabase,
};

use crate::POLL;

const HOLD: Duration = Duration::from_secs(60);

async fn database(calls: u32, window: Duration) -> (TestDatabase, Store) {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let instance = Instance {
        name: "uk".to_owned(),
        connector: "cin7".to_owned(),
        currency: None,
        reporting: None,
        paused: false,
    };
    store.save_instance(&instance).await.unwrap();
    add(&store, "one", calls, window).await;
    (database, store)
}

async fn add(store: &Store, name: &str, calls: u32, window: Duration) {
    let spec = ConnectionSpec {
        instance: "uk".to_owned(),
        name: name.to_owned(),
        secrets: BTreeMap::new(),
        limit: Some(CallLimit { calls, window }),
        share: 1.0,
        by_command: false,
    };
    store.save_connection(&spec).await.unwrap();
}

async fn take(store: &Store, class: i16, want: i32) -> Vec<GrantedPermit> {
    match store
        .take_permits("uk", class, want, HOLD, None)
        .await
        .unwrap()
    {
        Grant::Permits(permits) => permits,
        Grant::Wait(_) | Grant::NoConnection(_) => Vec::new(),
    }
}

async fn wait(store: &Store, class: i16) -> Duration {
    match store
        .take_permits("uk", class, 1, HOLD, None)
        .await
        .unwrap()
    {
        Grant::Wait(wait) => wait,
        other => panic!("expected to wait, got {other:?}"),
    }
}

async fn run(database: &TestDatabase, statement: &'static str) {
    sqlx::query(statement)
        .execute(&database.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn low_classes_leave_a_reserve_and_a_reader_may_use_all() {
    let (_database, store) = database(60, Duration::from_secs(60)).await;
    // History takes a quarter of its 54 as it likes.
    assert_eq!(take(&store, 5, 100).await.len(), 13 + 1);
    assert_eq!(take(&store, 3, 100).await.len(), 57 - 14);
    assert_eq!(take(&store, 0, 100).await.len(), 3);
    assert!(wait(&store, 0).await > Duration::from_secs(60));
}

#[tokio::test]
async fn low_classes_take_a_quarter_as_they_like_and_the_rest_evenly_until_the_reserve() {
    let window = Duration::from_secs(3);
    let (_database, store) = database(60, window).await;
    let began = Instant::now();
    let mut at = Vec::new();
    while at.len() < 54 {
        assert!(began.elapsed() < Duration::from_secs(60), "{at:?}");
        match store.take_permits("uk", 5, 1, HOLD, None).await.unwrap() {
            Grant::Permits(permits) => {
                at.push(began.elapsed());
                // Answered at once: its slot is free one window from now.
                let used = PermitUse::Answered;
                store
                    .give_back_permit("uk", &permits[0], used)
                    .await
                    .unwrap();
            }
            Grant::Wait(wait) => {
                tokio::time::sleep(wait).await; // as long as the budget says
            }
            Grant::NoConnection(why) => panic!("{why}"),
        }
    }
    // 13 at once, then one in 3 s / 41.
    let even = window / 41;
    assert!(at[12] < even * 8, "{:?}", at[12]);
    for (n, at) in at.iter().enumerate().skip(14) {
        let earliest = even * u32::try_from(n - 13).unwrap();
        assert!(
            *at >= earliest,
            "permit {n} came after {at:?}, not {earliest:?}"
        );
    }
    let reserve = take(&store, 0, 100).await.len();
    assert!(reserve >= 6, "{reserve} were left to readers");
}

#[tokio::test]
async fn what_is_on_the_wire_is_bounded_for_all_takers_together_and_history_leaves_one() {
    let (database, store) = database(60, Duration::from_millis(50)).await;
    let other = Store::from_pool(database.pool());
    for limited in [true, false] {
        if !limited {
            run(&database, "UPDATE millpond.connection SET calls = NULL").await;
        }
        let most = |class: i16, want: i32| {
            let other = other.clone();
            async move {
                match other
                    .take_permits("uk", class, want, HOLD, Some(4))
                    .await
                    .unwrap()
                {
                    Grant::Permits(permits) => permits,
                    _ => Vec::new(),
                }
            }
        };
        let history = most(5, 10).await;
        assert_eq!(history.len(), 3, "limited: {limited}");
        let reader = most(0, 10).await;
        assert_eq!(reader.len(), 1);
        match store.take_permits("uk", 0, 1, HOLD, Some(4)).await.unwrap() {
            Grant::Wait(wait) => assert!(wait <= Duration::from_millis(100), "{wait:?}"),
            other => panic!("a fifth at once: {other:?}"),
        }
        for permit in history.iter().chain(&reader) {
            let used = PermitUse::Answered;
            store.give_back_permit("uk", permit, used).await.unwrap();
        }
        assert_eq!(
            most(0, 10).await.len(),
            4,
            "what was given back is no longer on the wire"
        );
        run(
            &database,
            "TRUNCATE millpond.budget_slot, millpond.budget_ready",
        )
        .await;
    }
}

#[tokio::test]
async fn a_permit_is_held_for_longer_while_its_call_is_on_the_wire_and_never_after() {
    let (_database, store) = database(2, Duration::from_secs(30)).await;
    let permits = take(&store, 0, 2).await;
    let numbers: Vec<i64> = permits.iter().map(|permit| permit.permit).collect();
    let used = PermitUse::Answered;
    store
        .give_back_permit("uk", &permits[0], used)
        .await
        .unwrap();
    store
        .hold_permits("uk", &numbers, Duration::from_secs(500))
        .await
        .unwrap();
    let left = wait(&store, 0).await;
    assert!(
        left < Duration::from_secs(31),
        "what was given back stays so: {left:?}"
    );
    store
        .give_back_permit("uk", &permits[0], PermitUse::Unused)
        .await
        .unwrap();
    take(&store, 0, 1).await;
    let left = wait(&store, 0).await;
    assert!(
        left > Duration::from_secs(80) && left < Duration::from_secs(95),
        "{left:?}"
    );
}

#[tokio::test]
async fn history_gets_its_share_although_readers_leave_only_the_reserve() {
    let (_database, store) = database(60, Duration::from_secs(60)).await;
    assert_eq!(take(&store, 0, 56).await.len(), 56);
    assert_eq!(take(&store, 5, 100).await.len(), 3);
    assert_eq!(take(&store, 5, 100).await.len(), 0);
    assert_eq!(take(&store, 0, 100).await.len(), 1);
}

#[tokio::test]
async fn a_permit_that_was_not_used_is_free_at_once_and_one_that_was_after_a_window() {
    let (_database, store) = database(1, Duration::from_secs(30)).await;
    let permit = take(&store, 0, 1).await.remove(0);
    store
        .give_back_permit("uk", &permit, PermitUse::Unused)
        .await
        .unwrap();
    let permit = take(&store, 0, 1).await.remove(0);
    store
        .give_back_permit("uk", &permit, PermitUse::Answered)
        .await
        .unwrap();
    let left = wait(&store, 0).await;
    assert!(
        left > Duration::from_secs(29) && left < Duration::from_secs(31),
        "{left:?}"
    );
    // Given back twice, or late, it changes nothing.
    store
        .give_back_permit(
            "uk",
            &GrantedPermit {
                permit: permit.permit - 1,
                ..permit
            },
            PermitUse::Unused,
        )
        .await
        .unwrap();
    assert!(wait(&store, 0).await > Duration::from_secs(28));
}

#[tokio::test]
async fn a_permit_whose_process_died_is_held_for_its_call_and_a_window() {
    let (_database, store) = database(1, Duration::from_secs(30)).await;
    take(&store, 0, 1).await;
    let left = wait(&store, 0).await;
    assert!(left > HOLD + Duration::from_secs(28), "{left:?}");
}

#[tokio::test]
async fn after_a_crash_that_lost_the_budget_nothing_is_called_for_a_window() {
    let (database, store) = database(5, Duration::from_millis(800)).await;
    assert_eq!(take(&store, 0, 2).await.len(), 2);
    // What PostgreSQL does to unlogged tables after a crash.
    run(&database, "TRUNCATE millpond.budget_slot").await;
    let began = Instant::now();
    assert!(take(&store, 0, 1).await.is_empty());
    while take(&store, 0, 1).await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(POLL).await;
    }
    assert!(
        began.elapsed() >= Duration::from_millis(790),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(take(&store, 0, 10).await.len(), 4);
}

#[tokio::test]
async fn permits_come_from_the_connection_that_has_most_left() {
    let (_database, store) = database(10, Duration::from_secs(60)).await;
    add(&store, "two", 10, Duration::from_secs(60)).await;
    add(&store, "three", 20, Duration::from_secs(60)).await;
    let mut per: BTreeMap<String, usize> = BTreeMap::new();
    for permit in take(&store, 0, 20).await {
        *per.entry(permit.connection).or_default() += 1;
    }
    assert_eq!(
        per,
        BTreeMap::from([("one".into(), 5), ("two".into(), 5), ("three".into(), 10)])
    );
    assert_eq!(take(&store, 0, 100).await.len(), 20);
}

#[tokio::test]
async fn a_parked_connection_waits_and_what_throttling_taught_wears_off() {
    let (database, store) = database(10, Duration::from_millis(100)).await;
    store
        .park_connection("uk", "one", Duration::from_secs(40), "throttled")
        .await
        .unwrap();
    let left = wait(&store, 0).await;
    assert!(
        left > Duration::from_secs(38) && left <= Duration::from_secs(40),
        "{left:?}"
    );
    // A second refusal in the same window teaches nothing new; a shorter park does not end a longer one.
    store
        .park_connection("uk", "one", Duration::from_secs(1), "throttled")
        .await
        .unwrap();
    let row = store.connections(None).await.unwrap().remove(0);
    assert!((row.learned - 0.8).abs() < 0.01, "{}", row.learned);
    assert!(wait(&store, 0).await > Duration::from_secs(30));

    for (learned_ago, expected) in [("0 s", 8), ("1100 ms", 9), ("2100 ms", 10), ("1 day", 10)] {
        sqlx::query(
            "UPDATE millpond.connection SET parked_until = NULL, learned_at = clock_timestamp() - $1::text::interval",
        )
        .bind(learned_ago)
        .execute(&database.pool())
        .await
        .unwrap();
        run(
            &database,
            "UPDATE millpond.budget_slot SET free_at = clock_timestamp()",
        )
        .await;
        assert_eq!(
            take(&store, 0, 100).await.len(),
            expected,
            "{learned_ago} later"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_with_one_call_and_taken_back_when_it_answers() {
    let (database, store) = database(10, Duration::from_secs(60)).await;
    store
        .set_connection_aside("uk", "one", "answered 403")
        .await
        .unwrap();
    match store.take_permits("uk", 0, 1, HOLD, None).await.unwrap() {
        Grant::NoConnection(why) => assert_eq!(why, "one: set aside, answered 403"),
        other => panic!("{other:?}"),
    }
    run(
        &database,
        "UPDATE millpond.connection SET probe_at = clock_timestamp()",
    )
    .await;
    let permits = take(&store, 0, 5).await;
    assert_eq!(permits.len(), 1, "one call tries it");
    store
        .give_back_permit("uk", &permits[0], PermitUse::Answered)
        .await
        .unwrap();
    assert_eq!(take(&store, 0, 5).await.len(), 5);
}

#[tokio::test]
async fn a_share_of_the_limit_is_all_that_is_used() {
    let (database, store) = database(60, Duration::from_secs(60)).await;
    run(&database, "UPDATE millpond.connection SET share = 0.5").await;
    assert_eq!(take(&store, 0, 100).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_at_once_never_get_more_than_there_is() {
    let (_database, store) = database(50, Duration::from_secs(60)).await;
    let mut takers = Vec::new();
    for _ in 0..20 {
        let store = store.clone();
        takers.push(tokio::spawn(async move { take(&store, 0, 5).await }));
    }
    let mut slots = Vec::new();
    for taker in takers {
        slots.extend(
            taker
                .await
                .unwrap()
                .into_iter()
                .map(|permit| permit.slot.unwrap()),
        );
    }
    slots.sort_unstable();
    assert_eq!(slots, (0..50).collect::<Vec<_>>());
}
