//! What a watch knows of the records that its listing tells of.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{
    ResourceName, StoreError,
    instances::Instance,
    jobs::JobSpec,
    testing::TestDatabase,
    watched::{WatchStep, WatchedItem},
};

fn totals(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn a_failed_fetch_keeps_the_totals_of_the_last_good_one() {
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let watch: ResourceName = "psa.adjustments".parse().unwrap();
    let instance = Instance {
        name: "psa".to_owned(),
        connector: "psa".to_owned(),
        currency: None,
        reporting: None,
        paused: false,
    };
    store.save_instance(&instance).await.unwrap();
    let spec = JobSpec {
        instance: "psa".to_owned(),
        resource: watch.clone(),
        kind: "watch",
        every: Duration::from_secs(60),
        jitter: Duration::ZERO,
        quiet: None,
        at_start: true,
    };
    store.sync_jobs(&["psa".to_owned()], &[spec]).await.unwrap();
    let minute = Duration::from_secs(60);
    let taken = store
        .take_job("one", &["psa".to_owned()], &["watch"], minute)
        .await
        .unwrap();
    let (_, lease) = taken.unwrap();

    let first = Timestamp::from_second(1_700_000_000).unwrap();
    let later = first + SignedDuration::from_mins(1);
    let known = [
        ("1".to_owned(), WatchStep::Known(totals(&["5", "2.5"]))),
        ("2".to_owned(), WatchStep::Known(vec![])),
    ];
    store.note_watched(&lease, &known, first).await.unwrap();
    let steps = [
        ("1".to_owned(), WatchStep::Failed),
        ("2".to_owned(), WatchStep::Fetched(totals(&["7"]))),
    ];
    store.note_watched(&lease, &steps, later).await.unwrap();
    let items = store.watched("psa", &watch).await.unwrap();
    let expected = |texts: &[&str], fetched_at| WatchedItem {
        totals: totals(texts),
        fetched_at,
        tried_at: Some(later),
    };
    assert_eq!(items["1"], expected(&["5", "2.5"], None));
    assert_eq!(items["2"], expected(&["7"], Some(later)));
    assert!(store.watched("other", &watch).await.unwrap().is_empty());

    let mut stolen = lease.clone();
    stolen.token += 1;
    let lost = store.note_watched(&stolen, &steps, later).await;
    assert!(
        matches!(lost, Err(StoreError::LeaseLost { .. })),
        "{lost:?}"
    );
}
