//! The adjustment listener: moved items are fetched, each once, and none is lost.

use std::time::Duration;

use mirror::{ChoreSettings, Mirror};
use simulators::connectwise::Options;
use store::runs::Run;

use crate::desk::{Desk, hasty, never, size};

pub async fn look(desk: &Desk) -> Run {
    look_with(&desk.mirror).await
}

/// A look by another process.
pub async fn look_with(mirror: &Mirror) -> Run {
    mirror
        .look("adjustments", "psa", "tester", &never())
        .await
        .unwrap()
}

/// Looks that may fetch so many, of items that need no rest.
async fn desk(per_cycle_max: u32, cooldown: Duration) -> Desk {
    let chores = ChoreSettings {
        per_cycle_max: Some(per_cycle_max),
        cooldown: Some(cooldown),
        ..hasty()
    };
    Desk::new(size(4, 40), chores, |_| {}).await
}

/// Items whose stock was asked for.
pub fn fetched(desk: &Desk) -> Vec<i64> {
    let calls = desk.calls();
    let mut items: Vec<i64> = calls
        .iter()
        .filter_map(|call| {
            call.path
                .strip_prefix("procurement/catalog/")?
                .strip_suffix("/inventory")?
                .parse()
                .ok()
        })
        .collect();
    items.sort_unstable();
    items
}

#[tokio::test]
async fn b63_b65_b66_b67_a_moved_item_is_fetched_in_two_calls_and_the_first_look_fetches_none() {
    let desk = desk(50, Duration::ZERO).await;
    let first = look(&desk).await;
    assert_eq!(first.state, "done", "{first:?}");
    assert!(fetched(&desk).is_empty(), "the first look is a baseline");
    let listed = desk.calls();
    assert!(
        listed
            .iter()
            .all(|call| call.path == "procurement/adjustments")
    );
    assert!(
        listed[0].query.contains("pageSize=1000"),
        "{}",
        listed[0].query
    );

    let moved = desk.sim.adjust_stock(1);
    desk.sim.wiretap().clear();
    let snapshot = desk.mirror.store().newest_snapshot().await.unwrap();
    let run = look(&desk).await;
    assert_eq!(fetched(&desk), moved);
    assert_eq!(
        desk.calls().len(),
        1 + 2,
        "the listing, the item, its stock"
    );
    assert_eq!(run.calls, 3, "{run:?}");
    assert_eq!(run.inserted, 1, "the stock of the item is in");
    assert!(desk.mirror.store().newest_snapshot().await.unwrap() > snapshot);
    let id = moved[0].to_string();
    let row: serde_json::Value = sqlx::query_scalar(
        "SELECT body FROM connectwise.catalog_item_stock WHERE instance = 'psa' AND id = $1",
    )
    .bind(&id)
    .fetch_one(desk.mirror.store().pool())
    .await
    .unwrap();
    assert_eq!(
        row["on_hand"].as_i64(),
        Some(desk.sim.truth().on_hand(moved[0]))
    );

    desk.sim.wiretap().clear();
    look(&desk).await;
    assert!(
        fetched(&desk).is_empty(),
        "what did not move since is left alone"
    );
}

#[tokio::test]
async fn b69_rows_rewritten_with_equal_totals_fetch_nothing() {
    let desk = desk(50, Duration::ZERO).await;
    look(&desk).await;
    let rewritten = desk.sim.churn_adjustments(500);
    assert!(rewritten > 20);
    desk.sim.wiretap().clear();
    let run = look(&desk).await;
    assert!(fetched(&desk).is_empty(), "{run:?}");
}

#[tokio::test]
async fn b70_what_is_over_the_cap_comes_with_the_next_looks() {
    let desk = desk(5, Duration::ZERO).await;
    look(&desk).await;
    let mut moved = desk.sim.adjust_stock(12);
    moved.sort_unstable();
    let mut seen = Vec::new();
    for expected in [5, 5, 2, 0] {
        desk.sim.wiretap().clear();
        look(&desk).await;
        let items = fetched(&desk);
        assert_eq!(items.len(), expected.min(moved.len()));
        seen.extend(items);
    }
    seen.sort_unstable();
    assert_eq!(seen, moved);
}

#[tokio::test]
async fn b71_an_item_rests_after_its_fetch() {
    let desk = desk(50, Duration::from_secs(3600)).await;
    look(&desk).await;
    desk.sim.adjust_stock(40);
    look(&desk).await;
    desk.sim.adjust_stock(40);
    desk.sim.wiretap().clear();
    let run = look(&desk).await;
    assert!(fetched(&desk).is_empty(), "{run:?}");
    assert!(run.why.is_some_and(|why| why.contains("rest")));
}

#[tokio::test]
async fn a_listing_without_lines_says_so() {
    let options = Options {
        hide_adjustment_details: true,
        ..size(4, 12)
    };
    let desk = Desk::new(options, hasty(), |_| {}).await;
    let run = look(&desk).await;
    assert!(
        run.why
            .is_some_and(|why| why.contains("no record of connectwise.adjustment has lines"))
    );
}

/// A day in looks ten minutes apart, with as little movement as there mostly is.
#[tokio::test]
async fn b72_a_day_of_small_movements_asks_for_what_moved_and_never_for_the_catalog() {
    let desk = desk(50, Duration::ZERO).await;
    look(&desk).await;
    let mut moved_in_all = 0;
    for n in 0..144 {
        let moved = desk.sim.adjust_stock(n % 4);
        desk.sim.wiretap().clear();
        let run = look(&desk).await;
        assert_eq!(run.state, "done", "{run:?}");
        let mut expected = moved;
        expected.sort_unstable();
        expected.dedup();
        moved_in_all += expected.len();
        assert_eq!(fetched(&desk), expected, "look {n}");
        let calls = desk.calls();
        assert_eq!(calls.len(), 1 + 2 * expected.len(), "look {n}");
        let is_wide =
            |path: &str| path == "procurement/catalog" || path == "procurement/catalog/count";
        assert!(calls.iter().all(|call| !is_wide(&call.path)), "look {n}");
    }
    assert!(moved_in_all > 144, "{moved_in_all}");
}
