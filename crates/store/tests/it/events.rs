//! Events: in the order of their numbers, bounded, heard as they are told.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use serde_json::json;
use store::{
    events::{EVENTS_KEPT, Ear, EventFilter},
    runs::{RunCounts, RunEnd},
    testing::TestDatabase,
};

/// Whoever waits for an event gives up after this.
const PATIENCE: Duration = Duration::from_secs(30);

fn all() -> EventFilter {
    EventFilter::default()
}

#[tokio::test]
async fn events_come_in_order_and_by_name_and_instance() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    assert_eq!(store.newest_event().await.unwrap(), 0);
    store
        .tell(
            "cache:opportunities:refresh:started",
            Some("psa"),
            &json!({ "candidates": 7 }),
        )
        .await
        .unwrap();
    store
        .tell("cache:unavailable", None, &json!({}))
        .await
        .unwrap();
    let (events, next) = store.events_after(0, &all(), 10).await.unwrap();
    let names: Vec<&str> = events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(
        names,
        ["cache:opportunities:refresh:started", "cache:unavailable"]
    );
    assert_eq!(events[0].instance.as_deref(), Some("psa"));
    assert_eq!(events[0].data, json!({ "candidates": 7 }));
    assert_eq!(events[1].instance, None);
    assert_eq!(next, events[1].number);

    let filter = EventFilter {
        name: Some("cache:opp".to_owned()),
        instance: Some("psa".to_owned()),
    };
    let (some, after) = store.events_after(0, &filter, 10).await.unwrap();
    assert_eq!(some, events[..1]);
    assert_eq!(
        after, next,
        "a reader of few does not read the others again"
    );
    assert_eq!(store.latest_events(&all(), 1).await.unwrap(), events[1..]);
    assert!(store.tell("Not A Name", None, &json!({})).await.is_err());
}

#[tokio::test]
async fn no_reader_misses_an_event_that_commits_late() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let mut slow = store.pool().begin().await.unwrap();
    sqlx::query("SELECT millpond.tell_event('test:slow', NULL, '{}', 100)")
        .execute(&mut *slow)
        .await
        .unwrap();
    let quick = tokio::spawn({
        let store = store.clone();
        async move { store.tell("test:quick", None, &json!({})).await }
    });
    // The quick one either waits for the slow one, or would be read here and hide it.
    let (before, next) = store.events_after(0, &all(), 10).await.unwrap();
    assert!(before.is_empty(), "{before:?}");
    slow.commit().await.unwrap();
    quick.await.unwrap().unwrap();
    let (events, _) = store.events_after(next, &all(), 10).await.unwrap();
    let names: Vec<&str> = events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["test:slow", "test:quick"]);
}

#[tokio::test]
async fn old_events_are_forgotten() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    sqlx::query(
        "SELECT millpond.tell_event('test:many', NULL, '{}', 100) FROM generate_series(1, 1024)",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let (events, _) = store.events_after(0, &all(), EVENTS_KEPT).await.unwrap();
    assert_eq!(events.len(), 100);
    assert_eq!(events.last().unwrap().number, 1024);
}

#[tokio::test]
async fn whoever_listens_hears_of_events_as_they_are_told() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let ear = Ear::new(store.clone());
    let (mut one, mut other) = (ear.listen(), ear.listen());
    // The connection is made: it says so by waking everybody once.
    one.wait(PATIENCE).await;
    other.wait(PATIENCE).await;
    let began = std::time::Instant::now();
    store.tell("test:told", None, &json!({})).await.unwrap();
    one.wait(PATIENCE).await;
    other.wait(PATIENCE).await;
    assert!(began.elapsed() < PATIENCE, "nothing was heard");
    let quiet = Duration::from_millis(50);
    let began = std::time::Instant::now();
    one.wait(quiet).await;
    assert!(began.elapsed() >= quiet, "silence was heard as an event");
}

#[tokio::test]
async fn runs_and_connections_tell_what_becomes_of_them() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let resource = "test.thing".parse().unwrap();
    let run = store
        .start_run("uk", &resource, "full", "tester")
        .await
        .unwrap();
    let counts = RunCounts {
        calls: 3,
        inserted: 2,
        ..RunCounts::default()
    };
    store.add_to_run(run, counts, None).await.unwrap();
    store
        .end_run(run, RunEnd::Partial, Some("one page is missing"))
        .await
        .unwrap();
    let lost = store
        .start_run("uk", &resource, "full", "tester")
        .await
        .unwrap();
    store.close_lost_runs(Duration::ZERO).await.unwrap();

    let (events, _) = store.events_after(0, &all(), 10).await.unwrap();
    let told: Vec<String> = events
        .iter()
        .map(|e| {
            format!(
                "{} {} {} {}",
                e.name, e.data["run"], e.data["state"], e.data["calls"]
            )
        })
        .collect();
    let expected = [
        format!("run:started {run} null null"),
        format!("run:ended {run} \"partial\" 3"),
        format!("run:started {lost} null null"),
        format!("run:ended {lost} \"lost\" 0"),
    ];
    assert_eq!(told, expected);
    assert_eq!(events[1].data["why"], "one page is missing");
    assert_eq!(events[1].data["kind"], "full");
    assert!(events[1].data["duration_ms"].is_i64());
}
