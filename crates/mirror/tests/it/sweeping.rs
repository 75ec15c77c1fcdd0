//! Sweeps: what ran out is fetched before anybody asks, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use mirror::{ChoreSettings, SweepReport};
use serde_json::json;
use simulators::connectwise::{Call, ConnectWise, FaultPlan, FaultRates, Latency, Options};
use store::events::EventFilter;

use crate::desk::{Desk, hasty, never, size};

pub async fn sweep(mirror: &mirror::Mirror, name: &str) -> SweepReport {
    let reports = mirror.sweep(name, None, "tester", &never()).await.unwrap();
    reports.into_iter().next().unwrap()
}

/// All deals cool, so that what is hot stays hot while a slow machine tests; but for some that moved just now.
pub fn mostly_cool(moved: usize) -> impl FnOnce(&ConnectWise) {
    move |sim| {
        let now = Timestamp::now();
        for (n, id) in sim
            .truth()
            .ids("sales/opportunities")
            .into_iter()
            .enumerate()
        {
            let path = format!("sales/opportunities/{id}");
            sim.plant(
                &path,
                json!({ "expectedCloseDate": "2040-01-01T00:00:00Z" }),
            )
            .unwrap();
            let days = if n < moved { 6 } else { 40 + n as i64 };
            sim.set_last_updated(&path, now - SignedDuration::from_hours(24 * days))
                .unwrap();
        }
    }
}

pub fn deal_of(call: &Call) -> Option<i64> {
    let rest = call.path.strip_prefix("sales/opportunities/")?;
    rest.split('/').next()?.parse().ok()
}

#[tokio::test]
async fn b5_b7_b10_b47_b48_b50_b51_b53_a_sweep_warms_what_ran_out_newest_first_and_only_that() {
    let desk = Desk::new(size(40, 10), hasty(), mostly_cool(0)).await;
    let live = desk.live_deals();
    let report = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(report.state, "done", "{report:?}");
    assert_eq!(
        report.candidates,
        live.len() as u64,
        "no more and no fewer than upstream has"
    );
    let companies: BTreeSet<String> = desk
        .sim
        .truth()
        .documents("sales/opportunities")
        .into_iter()
        .filter(|(id, _)| live.contains(id))
        .map(|(_, deal)| deal["company"]["id"].to_string())
        .collect();
    assert_eq!(
        report.values.checked,
        5 * report.candidates + companies.len() as u64
    );
    assert_eq!(report.failed + report.left, 0);

    let calls = desk.calls();
    assert_eq!(calls.len() as i64, report.calls, "every call is counted");
    assert!(
        calls.iter().all(|call| !call.path.contains("/sites/")),
        "sites are left to readers"
    );
    assert!(
        calls.iter().all(|call| !call.path.ends_with("/forecast")),
        "cool products too"
    );
    let mut order: Vec<i64> = Vec::new();
    for deal in calls
        .iter()
        .filter(|call| call.path.ends_with("/notes"))
        .filter_map(deal_of)
    {
        order.push(deal);
    }
    // Six at once may arrive in any order: compare batch by batch, with room for one batch.
    let mut expected: Vec<(String, i64)> = desk
        .sim
        .truth()
        .documents("sales/opportunities")
        .into_iter()
        .filter(|(id, _)| live.contains(id))
        .map(|(id, deal)| {
            (
                deal["_info"]["lastUpdated"].as_str().unwrap().to_owned(),
                id,
            )
        })
        .collect();
    expected.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let place: BTreeMap<i64, usize> = expected
        .iter()
        .enumerate()
        .map(|(n, (_, id))| (*id, n))
        .collect();
    assert_eq!(order.len(), live.len());
    for (n, deal) in order.iter().enumerate() {
        assert!(
            place[deal].abs_diff(n) <= 6,
            "{deal} is {n}th, not {}th: {order:?}",
            place[deal]
        );
    }

    // All is hot now: the next sweep makes no call, and neither does a reader.
    desk.sim.wiretap().clear();
    let again = sweep(&desk.mirror, "opportunities").await;
    assert_eq!((again.values.expired, again.calls), (0, 0), "{again:?}");
    let deal = live.iter().next().unwrap().to_string();
    let include = ["notes", "contacts", "activities", "company"].map(str::to_owned);
    let resource = "connectwise.opportunity".parse().unwrap();
    let detail = desk
        .mirror
        .read_detail(&resource, "psa", &deal, &include, Default::default())
        .await
        .unwrap()
        .unwrap();
    assert!(
        detail
            .payloads
            .values()
            .flatten()
            .all(|payload| payload.answer.source == "mirror")
    );
    assert!(desk.calls().is_empty(), "{:?}", desk.calls());
}

#[tokio::test]
async fn b44_products_are_warmed_while_a_deal_moves_and_never_once_it_is_over() {
    let desk = Desk::new(size(12, 10), hasty(), |sim| {
        mostly_cool(0)(sim);
        let now = Timestamp::now();
        for (n, id) in sim
            .truth()
            .ids("sales/opportunities")
            .into_iter()
            .enumerate()
        {
            let status = if n % 2 == 0 { "Won" } else { "Open" };
            assert!(sim.set_status(id, status));
            sim.plant(
                &format!("sales/opportunities/{id}"),
                json!({ "closedDate": null }),
            )
            .unwrap();
            sim.set_last_updated(&format!("sales/opportunities/{id}"), now)
                .unwrap();
        }
    })
    .await;
    sweep(&desk.mirror, "opportunities").await;
    let ids = desk.sim.truth().ids("sales/opportunities");
    let forecasts: BTreeSet<i64> = desk
        .calls()
        .iter()
        .filter(|call| call.path.ends_with("/forecast"))
        .filter_map(deal_of)
        .collect();
    let open: BTreeSet<i64> = ids
        .into_iter()
        .enumerate()
        .filter(|(n, _)| n % 2 == 1)
        .map(|(_, id)| id)
        .collect();
    assert_eq!(forecasts, open);
}

#[tokio::test]
async fn b59_b60_the_start_and_the_end_of_a_sweep_are_told_also_after_failures() {
    let desk = Desk::new(size(3, 10), hasty(), mostly_cool(0)).await;
    desk.sim.faults().set(FaultPlan {
        status_every: Some((1, 500)),
        ..FaultPlan::default()
    });
    let failed = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(failed.state, "partial");
    assert!(
        failed.failed > 0 && failed.done + failed.failed == failed.values.expired,
        "{failed:?}"
    );
    desk.sim.faults().set(FaultPlan::default());
    let healed = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(
        (healed.state, healed.failed),
        ("done", 0),
        "b9: what failed comes round again"
    );
    assert_eq!(healed.values.expired, failed.values.expired);

    let filter = EventFilter {
        name: Some("cache:opportunities:refresh:".to_owned()),
        instance: Some("psa".to_owned()),
    };
    let (events, _) = desk
        .mirror
        .store()
        .events_after(0, &filter, 100)
        .await
        .unwrap();
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{} {} {}",
                event.name, event.data["run"], event.data["state"]
            )
        })
        .collect();
    let name = "cache:opportunities:refresh";
    let expected = [
        format!("{name}:started {} null", failed.run),
        format!("{name}:completed {} \"partial\"", failed.run),
        format!("{name}:started {} null", healed.run),
        format!("{name}:completed {} \"done\"", healed.run),
    ];
    assert_eq!(told, expected);
    assert_eq!(events[0].data["candidates"], failed.candidates);
    assert!(
        events[1].data["duration_ms"]
            .as_i64()
            .is_some_and(|ms| ms >= 0)
    );
}

#[tokio::test]
async fn x9_only_rows_that_are_old_themselves_are_fetched() {
    let desk = Desk::new(size(12, 10), hasty(), mostly_cool(0)).await;
    let first = sweep(&desk.mirror, "opportunities").await;
    assert!(first.calls > 0);
    desk.sim.wiretap().clear();
    // The rows of one payload grow old.
    sqlx::query(
        "UPDATE millpond.record_fetch SET asked_at = asked_at - interval '1 day', fetched_at = fetched_at - interval '1 day' \
         WHERE resource = 'connectwise.opportunity_notes'",
    )
    .execute(desk.mirror.store().pool())
    .await
    .unwrap();
    sqlx::query("UPDATE millpond.record SET asked_at = asked_at - interval '1 day' WHERE resource = 'connectwise.opportunity_notes'")
        .execute(desk.mirror.store().pool())
        .await
        .unwrap();
    let report = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(report.values.expired, report.candidates, "{report:?}");
    assert!(
        desk.calls()
            .iter()
            .all(|call| call.path.ends_with("/notes"))
    );
}

#[tokio::test]
async fn two_sweeps_never_overlap_and_an_unknown_one_is_told() {
    let desk = Desk::new(size(12, 10), ChoreSettings::default(), mostly_cool(0)).await;
    let stop = never();
    let (one, other) = tokio::join!(
        desk.mirror.sweep("opportunities", None, "one", &stop),
        desk.mirror.sweep("opportunities", None, "other", &stop),
    );
    let busy = [one, other]
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert_eq!(busy.len(), 1, "{busy:?}");
    assert!(
        busy[0].to_string().contains("under way in another process"),
        "{}",
        busy[0]
    );
    let unknown = desk
        .mirror
        .sweep("oportunities", None, "one", &never())
        .await
        .unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("opportunities, catalog, inventory"),
        "{unknown}"
    );
}

#[tokio::test]
async fn b75_b76_b78_the_catalog_pass_keeps_its_pace_and_leaves_alone_what_is_fresh() {
    let chores = ChoreSettings::default();
    let desk = Desk::new(size(4, 14), chores, |_| {}).await;
    let first = sweep(&desk.mirror, "catalog").await;
    assert_eq!((first.state, first.done), ("done", 14), "{first:?}");
    assert_eq!(first.calls, 28, "the item and its stock");
    assert!(
        desk.sim.wiretap().max_in_flight() <= 6,
        "item and stock calls together"
    );
    let gaps = gaps(&desk.calls());
    assert_eq!(
        gaps.iter().filter(|gap| **gap >= chores.pace.delay).count() as u64,
        first.batches - 1
    );
    desk.sim.wiretap().clear();
    let second = sweep(&desk.mirror, "catalog").await;
    assert_eq!(
        second.calls, 0,
        "what was just fetched is fresh: {second:?}"
    );
}

/// The pauses in which no call was under way.
pub fn gaps(calls: &[Call]) -> Vec<Duration> {
    let mut spans: Vec<(Instant, Instant)> = calls
        .iter()
        .map(|call| (call.arrived, call.answered.unwrap_or(call.arrived)))
        .collect();
    spans.sort();
    let mut end = spans.first().map(|span| span.1);
    let mut gaps = Vec::new();
    for (arrived, answered) in spans.into_iter().skip(1) {
        if let Some(end) = end.filter(|end| *end < arrived) {
            gaps.push(arrived - end);
        }
        end = end.max(Some(answered));
    }
    gaps
}

#[tokio::test]
async fn b79_the_inventory_sweep_mends_rows_that_the_mirror_believes_in() {
    let desk = Desk::new(size(4, 30), hasty(), |_| {}).await;
    sweep(&desk.mirror, "catalog").await;
    // Wrong bodies under right hashes: no ordinary write would replace them.
    let spoilt = sqlx::query(
        "UPDATE millpond.record SET body = jsonb_set(body, '{on_hand}', '-77') WHERE resource = 'connectwise.catalog_item_stock' \
         AND id IN (SELECT id FROM millpond.record WHERE resource = 'connectwise.catalog_item_stock' ORDER BY id LIMIT 20)",
    )
    .execute(desk.mirror.store().pool())
    .await
    .unwrap();
    assert_eq!(spoilt.rows_affected(), 20);
    let report = sweep(&desk.mirror, "inventory").await;
    assert_eq!((report.state, report.done), ("done", 30), "{report:?}");
    let rows: Vec<(String, serde_json::Value)> = sqlx::query_as(
        "SELECT id, body FROM connectwise.catalog_item_stock WHERE instance = 'psa'",
    )
    .fetch_all(desk.mirror.store().pool())
    .await
    .unwrap();
    assert_eq!(rows.len(), 30);
    for (id, body) in rows {
        let on_hand = desk.sim.truth().on_hand(id.parse().unwrap());
        assert_eq!(body["on_hand"].as_f64(), Some(on_hand as f64), "item {id}");
    }
}

#[tokio::test]
async fn b8_b9_a_bad_cycle_is_survived_and_the_next_fills_its_gaps_at_no_more_than_six_calls_at_once()
 {
    let options = Options {
        latency: Latency::Fixed(Duration::from_millis(20)),
        ..size(12, 2)
    };
    let desk = Desk::new(options, hasty(), mostly_cool(0)).await;
    // A call is three attempts: with two thirds of them cut, three of ten calls fail.
    desk.sim.faults().set(FaultPlan {
        rates: Some(FaultRates {
            seed: 9,
            preset: 0.67,
            ..FaultRates::default()
        }),
        ..FaultPlan::default()
    });
    let bad = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(bad.state, "partial", "{bad:?}");
    assert!(bad.failed > 0 && bad.done > 0, "{bad:?}");
    assert_eq!(bad.done + bad.failed, bad.values.expired);
    desk.sim.faults().set(FaultPlan::default());
    desk.sim.wiretap().clear();
    let healthy = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(
        (healthy.state, healthy.done),
        ("done", bad.failed),
        "only the gaps"
    );
    let most = desk.sim.wiretap().max_in_flight();
    assert!(most <= 6, "{most} calls at once");
    assert!(bad.failed < 6 || most > 1, "they did not run side by side");
    let last = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(last.values.expired, 0, "{last:?}");
}
