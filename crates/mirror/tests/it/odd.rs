//! Odd input from a service desk: dates that are none, statuses renamed, items that nobody knows.

use std::time::Duration;

use jiff::Timestamp;
use mirror::ChoreSettings;
use serde_json::json;
use simulators::connectwise::Options;

use crate::{
    desk::{Desk, hasty, size},
    sweeping::{mostly_cool, sweep},
    watching::{fetched, look},
};

#[tokio::test]
async fn deals_with_odd_dates_are_swept_like_all_others() {
    let options = Options {
        odd_dates: true,
        ..size(24, 10)
    };
    let odd = [
        json!(null),
        json!("next week"),
        json!("2026-02-30T00:00:00Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("2040-01-01T00:00:00+05:30"),
        json!("2040-01-01"),
        json!(17),
        json!({ "date": "2040-01-01" }),
    ];
    let desk = Desk::new(options, hasty(), |sim| {
        mostly_cool(0)(sim);
        for (n, id) in sim
            .truth()
            .ids("sales/opportunities")
            .into_iter()
            .enumerate()
        {
            assert!(sim.set_status(id, "Open"));
            let date = &odd[n % odd.len()];
            let path = format!("sales/opportunities/{id}");
            sim.plant(
                &path,
                json!({ "expectedCloseDate": date, "closedDate": date }),
            )
            .unwrap();
            sim.set_last_updated(&path, Timestamp::now() - Duration::from_secs(60 * 86_400))
                .unwrap();
        }
    })
    .await;
    let first = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(
        (first.state, first.candidates, first.failed),
        ("done", 24, 0),
        "{first:?}"
    );
    // What is no date makes nothing hot: all are cool, and stay as they are for a quarter of an hour or five minutes.
    let again = sweep(&desk.mirror, "opportunities").await;
    assert_eq!((again.values.expired, again.calls), (0, 0), "{again:?}");
}

/// Whether a deal is closed is said by the flag of its status, not by the name.
#[tokio::test]
async fn a_status_that_is_renamed_changes_nothing_for_its_deals() {
    let desk = Desk::new(size(40, 10), hasty(), mostly_cool(0)).await;
    let before = sweep(&desk.mirror, "opportunities").await;
    for (n, id) in desk
        .sim
        .truth()
        .ids("sales/opportunities/statuses")
        .into_iter()
        .enumerate()
    {
        let path = format!("sales/opportunities/statuses/{id}");
        desk.sim
            .change(&path, json!({ "name": format!("Zustand {n}") }))
            .unwrap();
    }
    let sync = crate::house::sync_of(&desk.mirror, None, Some("full")).await;
    assert!(sync.complete, "{sync:?}");
    let after = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(
        (after.state, after.candidates),
        ("done", before.candidates),
        "{after:?}"
    );
}

#[tokio::test]
async fn an_adjustment_of_an_item_that_the_mirror_does_not_know_disturbs_no_other() {
    let chores = ChoreSettings {
        cooldown: Some(Duration::ZERO),
        ..hasty()
    };
    let desk = Desk::new(size(4, 20), chores, |_| {}).await;
    look(&desk).await;
    let mut moved = desk.sim.adjust_stock(20);
    moved.sort_unstable();
    let unknown = moved[3];
    let gone = sqlx::query(
        "DELETE FROM millpond.record WHERE resource = 'connectwise.catalog_item' AND instance = 'psa' AND id = $1",
    )
    .bind(unknown.to_string())
    .execute(desk.mirror.store().pool())
    .await
    .unwrap();
    assert_eq!(gone.rows_affected(), 1);
    desk.sim.wiretap().clear();
    let run = look(&desk).await;
    let others: Vec<i64> = moved
        .iter()
        .copied()
        .filter(|item| *item != unknown)
        .collect();
    let seen: Vec<i64> = fetched(&desk)
        .into_iter()
        .filter(|item| *item != unknown)
        .collect();
    assert_eq!(seen, others, "{run:?}");
    assert!(run.state == "done" || run.state == "partial", "{run:?}");
    desk.sim.wiretap().clear();
    look(&desk).await;
    let again: Vec<i64> = fetched(&desk)
        .into_iter()
        .filter(|item| *item != unknown)
        .collect();
    assert!(
        again.is_empty(),
        "settled items were fetched again: {again:?}"
    );
}
