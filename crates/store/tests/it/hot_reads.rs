//! Hot values that were read: who takes them when they run out, and when they are due again.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{
    Store,
    hot_reads::{HotNext, HotRead},
    testing::TestDatabase,
};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn read(id: &str, as_of: i64, due_at: i64, read_at: i64) -> HotRead {
    HotRead {
        resource: "desk.deal_notes".parse().unwrap(),
        instance: "psa".to_owned(),
        id: id.to_owned(),
        record: id.to_owned(),
        as_of: at(as_of),
        due_at: at(due_at),
        read_at: at(read_at),
    }
}

/// Takes what is due of what was read in the last two minutes, for half a minute.
async fn take(store: &Store, now: i64, limit: i64) -> Vec<String> {
    let since = at(now - 120);
    let taken = store
        .take_due_reads("psa", at(now), since, at(now + 30), limit)
        .await
        .unwrap();
    taken.into_iter().map(|read| read.id).collect()
}

#[tokio::test]
async fn what_ran_out_and_is_still_read_is_taken_once_the_longest_due_first() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let reads = [
        read("b", 0, 60, 50),
        read("a", 0, 55, 50),
        read("later", 0, 90, 50),
        read("unread", 0, 40, -100),
    ];
    store.note_hot_reads(&reads).await.unwrap();
    assert_eq!(take(&store, 54, 9).await, [""; 0]);
    assert_eq!(take(&store, 61, 1).await, ["a"]);
    assert_eq!(take(&store, 61, 9).await, ["b"]);
    assert_eq!(take(&store, 62, 9).await, [""; 0], "they are taken");
    let next = store.next_due_read("psa", at(-50)).await.unwrap();
    assert_eq!(next, Some(at(90)));
    // Whoever took them is lost.
    assert_eq!(take(&store, 95, 9).await, ["a", "b", "later"]);
    let forgotten = store.forget_hot_reads("psa", at(0)).await.unwrap();
    assert_eq!(forgotten, 1, "what nobody reads");
}

#[tokio::test]
async fn of_two_readers_of_one_row_the_one_to_whom_it_runs_out_first_counts() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    for (as_of, due, expected) in [
        (0, 900, 900),
        (0, 30, 30),
        (0, 300, 30),
        (10, 310, 310),
        (5, 20, 310),
    ] {
        let reads = [read("shared", as_of, due, 1)];
        store.note_hot_reads(&reads).await.unwrap();
        let next = store.next_due_read("psa", at(0)).await.unwrap();
        assert_eq!(next, Some(at(expected)), "as of {as_of}, due {due}");
    }
}

#[tokio::test]
async fn the_next_call_is_due_one_life_after_the_last_was_asked_for() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let one = read("7", 0, 30, 29);
    store
        .note_hot_reads(std::slice::from_ref(&one))
        .await
        .unwrap();
    assert_eq!(take(&store, 30, 9).await, ["7"]);
    // The call began at 30 and was answered at 32.
    sqlx::query(
        "INSERT INTO millpond.record_fetch (resource, instance, id, asked_at, fetched_at) \
         VALUES ('desk.deal_notes', 'psa', '7', to_timestamp($1), to_timestamp($2))",
    )
    .bind(at(30).as_second() as f64)
    .bind(at(32).as_second() as f64)
    .execute(store.pool())
    .await
    .unwrap();
    let life = Duration::from_secs(15);
    let next = async |next: HotNext| {
        store.settle_due_read(&one, next).await.unwrap();
        store.next_due_read("psa", at(0)).await.unwrap()
    };
    assert_eq!(next(HotNext::Lives(at(32), life)).await, Some(at(45)));
    let feed_says = at(40);
    assert_eq!(next(HotNext::Lives(feed_says, life)).await, Some(at(55)));
    let retry = at(33) + SignedDuration::from_secs(5);
    assert_eq!(next(HotNext::At(retry)).await, Some(retry));
    assert_eq!(next(HotNext::Never).await, None);
}
