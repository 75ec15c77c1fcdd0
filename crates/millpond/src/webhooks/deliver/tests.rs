//! What goes into one delivery.

use store::{
    changes::{Change, ChangeCursor},
    testing::TestDatabase,
    webhooks::{Errand, NewWebhook},
};

use super::{BATCH_BYTES_MAX, Batch};

async fn errand(sees: Option<&[&str]>, resources: Option<&[&str]>) -> Errand {
    let owned =
        |names: Option<&[&str]>| names.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let new = NewWebhook {
        name: "erp".to_owned(),
        tenant: None,
        project: None,
        url: "https://example.com".to_owned(),
        resources: None,
        instances: None,
        after: None,
    };
    store.create_webhook(&new).await.unwrap();
    let lease = std::time::Duration::from_secs(60);
    let beyond = ChangeCursor::at(1, 1);
    let taken = store.take_webhook("test", lease, beyond).await.unwrap();
    Errand {
        sees: owned(sees),
        resources: owned(resources),
        ..taken.unwrap()
    }
}

fn change(seq: i64, resource: &str, instance: &str, id: &str) -> Change {
    Change {
        cursor: ChangeCursor::at(7, seq).to_string(),
        at: jiff::Timestamp::UNIX_EPOCH,
        op: "insert",
        resource: resource.to_owned(),
        instance: instance.to_owned(),
        id: id.to_owned(),
        version: 1,
    }
}

/// What is taken of a page, and where the next delivery begins.
fn taken(errand: &Errand, page: &[Change], count_max: usize) -> (Vec<String>, String) {
    let mut batch = Batch::new(count_max);
    let at = batch.take_in(errand, page, ChangeCursor::default());
    let ids = batch.told().map(|told| told.changes).unwrap_or_default();
    let ids = ids
        .iter()
        .map(|change| change["id"].as_str().unwrap().to_owned());
    (ids.collect(), at.to_string())
}

#[tokio::test]
async fn a_delivery_holds_what_is_wanted_and_ends_before_what_has_no_room() {
    let page = [
        change(1, "cin7.sale", "uk", "a"),
        change(2, "cin7.sale", "eu", "foreign"),
        change(3, "cin7.product", "uk", "unwanted"),
        change(4, "cin7.sale", "uk", "b"),
        change(5, "cin7.sale", "eu", "foreign"),
        change(6, "cin7.sale", "uk", "c"),
        change(7, "cin7.sale", "eu", "foreign"),
    ];
    let errand = errand(Some(&["uk"]), Some(&["cin7.sale"])).await;
    let strings = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        taken(&errand, &page, 9),
        (strings(&["a", "b", "c"]), "7-7".to_owned())
    );
    assert_eq!(
        taken(&errand, &page, 2),
        (strings(&["a", "b"]), "7-5".to_owned())
    );
    assert_eq!(
        taken(&errand, &page[1..3], 2),
        (strings(&[]), "7-3".to_owned())
    );
    assert_eq!(taken(&errand, &[], 2), (strings(&[]), "0-0".to_owned()));
}

#[tokio::test]
async fn a_delivery_is_bounded_in_bytes_and_one_large_change_goes_alone() {
    let errand = errand(None, None).await;
    let long = "x".repeat(BATCH_BYTES_MAX * 2 / 5);
    let huge = "y".repeat(BATCH_BYTES_MAX * 2);
    let page = [
        change(1, "cin7.sale", "uk", &long),
        change(2, "cin7.sale", "uk", &long),
        change(3, "cin7.sale", "uk", &long),
        change(4, "cin7.sale", "uk", &huge),
        change(5, "cin7.sale", "uk", "z"),
    ];
    for (from, count, at) in [(0, 2, "7-2"), (2, 1, "7-3"), (3, 1, "7-4"), (4, 1, "7-5")] {
        let (ids, ended) = taken(&errand, &page[from..], 1000);
        assert_eq!((ids.len(), ended.as_str()), (count, at), "from {from}");
    }
}
