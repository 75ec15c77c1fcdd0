//! Listings that shift, lie, break off or hold what PostgreSQL cannot.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use mirror::{Mirror, SyncReport};
use store::testing::TestDatabase;
use tokio_util::sync::CancellationToken;

use crate::{
    house::{open, sync_of, until},
    shelf::{Shelf, connector, row},
};

struct Place {
    database: TestDatabase,
    shelf: Shelf,
    mirror: Mirror,
}

/// A shelf that is read one page after the other.
async fn place(order: &str, page_size: u32, rows: Vec<(String, String)>) -> Place {
    wide_place(1, order, page_size, rows).await
}

/// A shelf of which so many pages are asked for at once.
async fn wide_place(ahead: u32, order: &str, page_size: u32, rows: Vec<(String, String)>) -> Place {
    let database = TestDatabase::fresh().await;
    let shelf = Shelf::start(rows).await;
    let mut settings = shelf.instance(connector(page_size, order, ""));
    settings.concurrency = Some(ahead);
    let mirror = open(database.store(), vec![settings]).await;
    Place {
        database,
        shelf,
        mirror,
    }
}

impl Place {
    async fn sync(&self, kind: &str) -> SyncReport {
        sync_of(&self.mirror, Some("shelf.thing"), Some(kind)).await
    }

    async fn live(&self) -> BTreeSet<String> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM shelf.thing WHERE deleted_at IS NULL")
                .fetch_all(&self.database.pool())
                .await
                .unwrap();
        ids.into_iter().collect()
    }

    fn upstream(&self) -> BTreeSet<String> {
        self.shelf
            .with(|content| content.rows.iter().map(|(id, _)| id.clone()).collect())
    }

    async fn quarantine(&self) -> Vec<(String, String)> {
        let kept = self.database.store().quarantined(100).await.unwrap();
        let mut kept: Vec<_> = kept.into_iter().map(|q| (q.id, q.reason)).collect();
        kept.sort();
        kept
    }

    async fn last_run(&self) -> (String, String) {
        let run = self
            .database
            .store()
            .runs(None, None, None, None, 1)
            .await
            .unwrap()
            .remove(0);
        (run.state, run.why.unwrap_or_default())
    }
}

fn things(n: usize) -> Vec<(String, String)> {
    let now = Timestamp::now() - SignedDuration::from_hours(2);
    (0..n)
        .map(|i| {
            row(
                &format!("t{i:04}"),
                now - SignedDuration::from_secs(i as i64),
                "1",
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_slips_to_a_page_already_read_is_not_missed() {
    let place = place("newest_first", 10, things(40)).await;
    // While page 3 is asked for, a row of page 1 goes: the first row of page 3 moves to page 2, which was read.
    place.shelf.with(|content| {
        let mut done = false;
        content.before_page = Some(Box::new(move |page, rows| {
            if page == 3 && !done {
                done = true;
                rows.remove(2);
            }
        }));
    });

    assert!(place.sync("full").await.complete);

    assert!(place.live().await.is_superset(&place.upstream()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_counts_wrongly_but_shows_the_same_twice_is_whole_and_deletes_nothing() {
    let place = place("newest_first", 10, things(25)).await;
    place.shelf.with(|content| content.total = Some(27));
    assert!(place.sync("full").await.complete);
    assert_eq!(place.last_run().await.0, "done");
    place.shelf.with(|content| drop(content.rows.remove(3)));
    for _ in 0..3 {
        assert!(place.sync("full").await.complete);
    }
    assert_eq!(
        place.live().await.len(),
        25,
        "a listing that cannot be trusted deleted a record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_never_stands_still_is_partial_and_its_cursor_does_not_begin() {
    let place = place("newest_first", 10, things(60)).await;
    place.shelf.with(|content| {
        content.before_page = Some(Box::new(|page, rows| {
            if page == 3 && rows.len() > 21 {
                rows.remove(2);
            }
        }));
    });

    let report = place.sync("full").await;

    assert!(!report.complete, "{report:#?}");
    let states: Vec<_> = report.runs.iter().map(|run| run.state.as_str()).collect();
    assert!(states.iter().all(|state| *state == "partial"), "{states:?}");
    let cursors: i64 =
        sqlx::query_scalar("SELECT count(*) FROM millpond.job WHERE cursor IS NOT NULL")
            .fetch_one(&place.database.pool())
            .await
            .unwrap();
    assert_eq!(cursors, 0);
    place.shelf.with(|content| content.before_page = None);
    assert!(place.sync("full").await.complete);
    assert!(place.live().await.is_superset(&place.upstream()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_cannot_hold_is_kept_aside_with_the_reason_and_the_rest_goes_in() {
    let now = Timestamp::now() - SignedDuration::from_hours(1);
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let mut rows = things(30);
    rows.extend([
        row("nul", now, "\"a\\u0000b\""),
        row("surrogate", now, "\"\\ud800 alone\""),
        row("huge", now, "1e400000"),
        row("deep", now, &nested(1_000_000)),
        row("fine deep", now, &nested(2_000)),
        row("fine", now, "1e400"),
        (String::new(), "{\"value\":\"no id\"}".to_owned()),
        (
            "object".to_owned(),
            "{\"id\":{\"a\":1},\"value\":2}".to_owned(),
        ),
        (String::new(), "17".to_owned()),
        row(&"x".repeat(1001), now, "1"),
        row("big", now, &format!("\"{}\"", "y".repeat(30 << 20))),
    ]);
    let place = place("newest_first", 20, rows).await;

    let report = place.sync("full").await;

    assert!(report.complete, "{report:#?}");
    let live = place.live().await;
    assert_eq!(live.len(), 32, "{live:?}");
    assert!(live.contains("fine"));
    let thing = "shelf.thing".parse().unwrap();
    let ask = mirror::ReadAsk::default();
    let read = place
        .mirror
        .read(&thing, "shelf", "fine deep", ask)
        .await
        .unwrap()
        .unwrap();
    assert!(read.record.body.get().contains(&nested(2_000)));
    let aside = place.quarantine().await;
    let short: Vec<String> = aside
        .iter()
        .map(|(id, why)| format!("{}: {}", &id[..id.len().min(9)], &why[..why.len().min(60)]))
        .collect();
    assert_eq!(aside.len(), 9, "{short:#?}");
    assert!(aside.iter().all(|(_, why)| !why.is_empty()), "{short:#?}");
    let run = report.runs.iter().find(|run| run.kind == "full").unwrap();
    assert_eq!(run.quarantined, 9);

    // Seen again, they are counted, not piled up; and verify does not stumble over them.
    assert!(place.sync("full").await.complete);
    assert_eq!(place.quarantine().await.len(), 9);
    let ask = mirror::VerifyAsk {
        sample: 10,
        ..mirror::VerifyAsk::default()
    };
    let verified = place.mirror.verify(ask, None).await.unwrap();
    assert!(verified.is_clean(), "{verified:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_another_type_is_the_same_id_as_text() {
    let now = Timestamp::now();
    let rows = vec![
        (
            "7".to_owned(),
            format!("{{\"id\":7,\"stamp\":\"{now}\",\"value\":1}}"),
        ),
        (
            "8".to_owned(),
            format!("{{\"id\":\"8\",\"stamp\":\"{now}\",\"value\":1}}"),
        ),
    ];
    let place = place("newest_first", 10, rows).await;
    assert!(place.sync("full").await.complete);
    assert_eq!(
        place.live().await,
        BTreeSet::from(["7".to_owned(), "8".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_two_rows_with_one_id_counts() {
    let now = Timestamp::now() - SignedDuration::from_hours(1);
    let mut rows = things(5);
    rows.extend([row("twin", now, "1"), row("twin", now, "2")]);
    let place = place("newest_first", 10, rows).await;
    assert!(place.sync("full").await.complete);
    let value: String =
        sqlx::query_scalar("SELECT body->>'value' FROM shelf.thing WHERE id = 'twin'")
            .fetch_one(&place.database.pool())
            .await
            .unwrap();
    assert_eq!(value, "2");
    assert_eq!(place.live().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_begins_by_upstreams_clock_also_after_a_listing_that_was_cut_off() {
    let place = place("newest_first", 10, Vec::new()).await;
    let behind = SignedDuration::from_hours(3);
    let theirs = Timestamp::now() - behind;
    place.shelf.with(|content| {
        content.clock = -behind;
        content.rows = (0..40)
            .map(|i| {
                row(
                    &format!("t{i}"),
                    theirs - SignedDuration::from_hours(5),
                    "1",
                )
            })
            .collect();
        content.statuses = vec![200, 200, 404];
    });
    assert!(!cut_off(&place).await, "the listing was not cut off");
    place.shelf.with(|content| content.statuses.clear());
    assert!(place.sync("full").await.complete);

    // Stamped after the listing, hours before our own now.
    place.shelf.with(|content| {
        content.rows[5] = row("t5", theirs + SignedDuration::from_secs(5), "2");
    });
    assert!(place.sync("changes").await.complete);
    let value: String =
        sqlx::query_scalar("SELECT body->>'value' FROM shelf.thing WHERE id = 't5'")
            .fetch_one(&place.database.pool())
            .await
            .unwrap();
    assert_eq!(
        value, "2",
        "the change was stamped before where the feed began"
    );
}

/// Runs one full listing that fails; answers whether it was whole.
async fn cut_off(place: &Place) -> bool {
    let stop = CancellationToken::new();
    let worker = {
        let (mirror, stop) = (place.mirror.clone(), stop.clone());
        tokio::spawn(async move { mirror.work("w", stop, None).await })
    };
    until("a run ended", async || {
        let runs = place
            .database
            .store()
            .runs(None, None, None, None, 5)
            .await
            .unwrap();
        runs.iter()
            .any(|run| run.kind == "full" && run.state != "running")
    })
    .await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    place.last_run().await.0 == "done"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_was_cut_off_goes_on_from_its_place() {
    for order in ["newest_first", "oldest_first"] {
        let place = place(order, 10, things(200)).await;
        place
            .shelf
            .with(|content| content.statuses = [vec![200; 14], vec![404]].concat());
        assert!(!cut_off(&place).await);
        let before = place
            .shelf
            .with(|content| std::mem::take(&mut content.pages))
            .len();
        place.shelf.with(|content| content.statuses.clear());

        assert!(place.sync("full").await.complete);

        let pages: Vec<u64> = place
            .shelf
            .with(|content| content.pages.iter().map(|(page, _)| *page).collect());
        // How many depends on which of the pages being written together was slower; never all of them.
        assert!(
            pages.len() < 20,
            "{order}: {before} pages before, then {pages:?} again"
        );
        assert_eq!(place.live().await, place.upstream(), "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_goes_on_from_its_place_misses_no_row_that_moved_meanwhile() {
    let place = place("newest_first", 10, things(100)).await;
    place
        .shelf
        .with(|content| content.statuses = vec![200, 200, 200, 200, 200, 404]);
    assert!(!cut_off(&place).await);
    place.shelf.with(|content| {
        content.statuses.clear();
        content.rows.drain(2..9);
    });

    assert!(place.sync("full").await.complete);

    assert!(place.live().await.is_superset(&place.upstream()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_records_come_first_in_a_first_backfill() {
    let place = wide_place(4, "oldest_first", 10, things(95)).await;
    place.shelf.with(|content| content.pages.clear());
    assert!(place.sync("full").await.complete);
    let pages: Vec<u64> = place
        .shelf
        .with(|content| content.pages.iter().map(|(page, _)| *page).collect());
    assert_eq!(pages[0], 1, "{pages:?}");
    let rest: Vec<u64> = pages[1..10].to_vec();
    // Four calls run at once: they may overtake each other on the way, by that much at the most.
    for (nth, page) in rest.iter().enumerate() {
        let expected = 10 - nth as u64;
        assert!(page.abs_diff(expected) <= 4, "{pages:?}");
    }
    assert_eq!(place.live().await, place.upstream());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_in_the_future_hides_no_later_change() {
    let place = place("newest_first", 10, things(30)).await;
    assert!(place.sync("full").await.complete);
    let now = Timestamp::now();
    place.shelf.with(|content| {
        content.rows[0] = row(
            "t0000",
            now + SignedDuration::from_hours(24 * 365),
            "\"future\"",
        );
    });
    assert!(place.sync("changes").await.complete);
    place
        .shelf
        .with(|content| content.rows[1] = row("t0001", Timestamp::now(), "\"now\""));
    assert!(place.sync("changes").await.complete);
    let values: Vec<String> =
        sqlx::query_scalar("SELECT body->>'value' FROM shelf.thing WHERE id < 't0002' ORDER BY id")
            .fetch_all(&place.database.pool())
            .await
            .unwrap();
    assert_eq!(values, ["future", "now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_deleted_when_two_whole_listings_lack_it_and_comes_back_when_listed_again() {
    let place = place("newest_first", 10, things(30)).await;
    assert!(place.sync("full").await.complete);
    let gone = place.shelf.with(|content| content.rows.remove(4));
    assert!(place.sync("full").await.complete);
    assert_eq!(place.live().await.len(), 30, "one listing proves nothing");
    assert!(place.sync("full").await.complete);
    assert_eq!(place.live().await, place.upstream());
    let changes: Vec<String> =
        sqlx::query_scalar("SELECT op::text FROM millpond.change WHERE id = $1 ORDER BY seq")
            .bind(&gone.0)
            .fetch_all(&place.database.pool())
            .await
            .unwrap();
    assert_eq!(changes, ["i", "d"]);

    place.shelf.with(|content| content.rows.insert(0, gone));
    assert!(place.sync("full").await.complete);
    assert_eq!(place.live().await, place.upstream());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_shrank_too_much_deletes_nothing() {
    let place = place("newest_first", 10, things(60)).await;
    assert!(place.sync("full").await.complete);
    let rows = place.shelf.with(|content| content.rows.split_off(20));
    for _ in 0..3 {
        assert!(place.sync("full").await.complete);
    }
    assert_eq!(place.live().await.len(), 60);
    assert!(place.last_run().await.1.contains("shrink_max"));
    place.shelf.with(|content| content.rows.extend(rows));
    assert!(place.sync("full").await.complete);
    assert_eq!(place.live().await, place.upstream());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_listing_lacks_but_upstream_still_gives_stays() {
    let place = place("newest_first", 10, things(30)).await;
    assert!(place.sync("full").await.complete);
    let hidden = place.shelf.with(|content| {
        let hidden = content.rows.remove(4);
        content.hidden.push(hidden.clone());
        hidden
    });
    for _ in 0..4 {
        assert!(place.sync("full").await.complete);
    }
    assert!(place.live().await.contains(&hidden.0));
    let asked = place.shelf.with(|content| content.gets.len());
    assert!((1..=4).contains(&asked), "asked for it alone {asked} times");
}
