//! The passes over the catalog and over deals: what is in a batch, what failed, who brought what, what is shared.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use mirror::{ChoreSettings, SweepReport};
use serde_json::json;
use simulators::connectwise::{Call, FaultPlan, Latency};
use tokio_util::sync::CancellationToken;

use crate::{
    desk::{Desk, hasty, size},
    house::until,
    sweeping::{gaps, mostly_cool, sweep},
    watching::{fetched, look},
};

/// Items whose record was asked for, each with the calls for it and for its stock.
fn by_item(calls: &[Call]) -> BTreeMap<String, Vec<Call>> {
    let mut items: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for call in calls {
        let rest = call.path.strip_prefix("procurement/catalog/");
        let id = rest.and_then(|rest| rest.split('/').next());
        items
            .entry(id.unwrap_or_default().to_owned())
            .or_default()
            .push(call.clone());
    }
    items
}

async fn stock_rows(desk: &Desk) -> BTreeSet<String> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM connectwise.catalog_item_stock WHERE instance = 'psa' AND deleted_at IS NULL",
    )
    .fetch_all(desk.mirror.store().pool())
    .await
    .unwrap();
    ids.into_iter().collect()
}

/// Makes every row of a table as old as if it had been fetched a day ago.
async fn age(desk: &Desk, table: &str) {
    for statement in [
        "UPDATE millpond.record_fetch SET asked_at = asked_at - interval '1 day', fetched_at = fetched_at - interval '1 day' \
         WHERE resource = $1",
        "UPDATE millpond.record SET asked_at = asked_at - interval '1 day' WHERE resource = $1",
    ] {
        sqlx::query(statement)
            .bind(format!("connectwise.{table}"))
            .execute(desk.mirror.store().pool())
            .await
            .unwrap();
    }
}

/// B74: the call for the item, the call for its stock and the row in PostgreSQL are one piece of lazy work.
#[tokio::test]
async fn b74_the_item_its_stock_and_its_row_wait_for_their_batch() {
    let mut options = size(4, 40);
    options.latency = Latency::Fixed(Duration::from_millis(100));
    let desk = Desk::new(options, ChoreSettings::default(), |_| {}).await;
    let stop = CancellationToken::new();
    let (report, ()) = tokio::join!(desk.mirror.sweep("catalog", None, "tester", &stop), async {
        until("the first batch has begun", async || {
            !desk.calls().is_empty()
        })
        .await;
        stop.cancel();
    });
    let report: SweepReport = report.unwrap().remove(0);
    assert_eq!(report.state, "stopped");
    assert!(
        report.left > 0 && report.done == 6 * report.batches,
        "{report:?}"
    );

    let items = by_item(&desk.calls());
    assert_eq!(
        items.len() as u64,
        report.done,
        "no call for what did not begin"
    );
    for (id, calls) in &items {
        let paths: BTreeSet<&str> = calls.iter().map(|call| call.path.as_str()).collect();
        let item = format!("procurement/catalog/{id}");
        let stock = format!("{item}/inventory");
        assert_eq!(paths, BTreeSet::from([item.as_str(), stock.as_str()]));
    }
    let begun: BTreeSet<String> = items.into_keys().collect();
    assert_eq!(
        stock_rows(&desk).await,
        begun,
        "rows come with their batch, and only those"
    );
}

#[tokio::test]
async fn b77_what_failed_makes_the_run_partial_and_is_done_in_the_next() {
    let desk = Desk::new(size(4, 50), hasty(), |_| {}).await;
    // Every tenth call is refused for a reason that no second attempt mends.
    desk.sim.faults().set(FaultPlan {
        status_every: Some((10, 400)),
        ..FaultPlan::default()
    });
    let first = sweep(&desk.mirror, "catalog").await;
    assert_eq!(first.state, "partial", "{first:?}");
    assert_eq!(first.done + first.failed, 50, "{first:?}");
    assert!((5..=15).contains(&first.failed), "{first:?}");
    let held = stock_rows(&desk).await;
    assert_eq!(held.len() as u64, first.done);

    desk.sim.faults().clear();
    desk.sim.wiretap().clear();
    let second = sweep(&desk.mirror, "catalog").await;
    assert_eq!(
        (second.state, second.done),
        ("done", first.failed),
        "{second:?}"
    );
    let again: BTreeSet<String> = by_item(&desk.calls()).into_keys().collect();
    assert!(again.is_disjoint(&held), "what is in is not fetched again");
    assert_eq!(stock_rows(&desk).await.len(), 50);
    let runs = desk
        .mirror
        .store()
        .runs(Some("psa"), Some("connectwise.catalog"), None, None, 2)
        .await
        .unwrap();
    let told: Vec<(&str, i64)> = runs
        .iter()
        .map(|run| (run.state.as_str(), run.failed))
        .collect();
    assert_eq!(told, [("done", 0), ("partial", first.failed as i64)]);
}

#[tokio::test]
async fn b82_the_inventory_sweep_has_the_same_slow_pace() {
    let chores = ChoreSettings::default();
    let mut options = size(4, 20);
    options.latency = Latency::Fixed(Duration::from_millis(40));
    let desk = Desk::new(options, chores, |_| {}).await;
    sweep(&desk.mirror, "catalog").await;
    desk.sim.wiretap().clear();
    let began = Instant::now();
    let report = sweep(&desk.mirror, "inventory").await;
    assert_eq!(
        (report.done, report.batches),
        (20, 4),
        "fresh or not: {report:?}"
    );
    assert_eq!(
        desk.sim.wiretap().max_in_flight(),
        6,
        "six at once, all places used"
    );
    let gaps = gaps(&desk.calls());
    let pauses = gaps.iter().filter(|gap| **gap >= chores.pace.delay).count();
    assert_eq!(pauses, 3, "one pause between each two batches: {gaps:?}");
    assert!(began.elapsed() >= 3 * chores.pace.delay + 4 * Duration::from_millis(80));
}

/// B83: a shortened day. Stock moves all the time; most movements are told of by adjustments, a few are found by the
/// catalog pass, and the safety net finds the rest.
#[tokio::test]
async fn b83_nearly_all_stock_is_brought_by_the_listener_and_the_catalog_pass() {
    let chores = ChoreSettings {
        cooldown: Some(Duration::ZERO),
        ..hasty()
    };
    let desk = Desk::new(size(4, 40), chores, |_| {}).await;
    let began = Timestamp::now();
    sweep(&desk.mirror, "catalog").await;
    look(&desk).await;
    for _ in 0..4 {
        for _ in 0..5 {
            desk.sim.adjust_stock(3);
            look(&desk).await;
        }
        // Somebody corrects the name of two items: no adjustment tells of that.
        desk.sim.edit_catalog_items(2);
        age(&desk, "catalog_item_stock").await;
        sweep(&desk.mirror, "catalog").await;
        sweep(&desk.mirror, "inventory").await;
    }
    let stock = "connectwise.catalog_item_stock".parse().unwrap();
    let sources = desk
        .mirror
        .store()
        .sources(&stock, Some("psa"), began)
        .await
        .unwrap();
    let of = |job: &str| {
        let job = format!("connectwise.{job}");
        let found = sources
            .iter()
            .filter(|source| source.job.as_deref() == Some(&job));
        found
            .map(|source| (source.inserted, source.updated))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    println!("{sources:#?}");
    assert_eq!(of("catalog").0, 40, "the first pass brought every row");
    assert_eq!(of("adjustments"), (0, 60), "each movement was one update");
    let told: i64 = sources.iter().map(|source| source.updated).sum();
    let owed = of("adjustments").1 + of("catalog").1;
    assert!(owed * 100 >= told * 95, "{owed} of {told}");
    let shares: f64 = sources.iter().filter_map(|source| source.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    // The report would show it if the listener slept.
    let slept = Timestamp::now();
    desk.sim.adjust_stock(3);
    sweep(&desk.mirror, "inventory").await;
    let sources = desk
        .mirror
        .store()
        .sources(&stock, Some("psa"), slept)
        .await
        .unwrap();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert_eq!(sources[0].job.as_deref(), Some("connectwise.inventory"));
}

/// B142, D3: as many deals as there are of few companies; each company and its contacts are fetched once.
#[tokio::test]
async fn b142_a_company_that_500_deals_share_is_fetched_once() {
    let desk = Desk::new(size(500, 10), hasty(), |sim| {
        let truth = sim.truth();
        let contact = truth.documents("company/contacts").remove(0);
        let company = &contact.1["company"]["id"];
        for id in truth.ids("sales/opportunities") {
            assert!(sim.set_status(id, "Open"));
            let members = json!({ "company": { "id": company }, "contact": { "id": contact.0 }, "site": null });
            sim.change(&format!("sales/opportunities/{id}"), members).unwrap();
        }
        mostly_cool(0)(sim);
    })
    .await;
    let report = sweep(&desk.mirror, "opportunities").await;
    assert_eq!(
        (report.state, report.candidates),
        ("done", 500),
        "{report:?}"
    );
    assert_eq!(report.values.checked, 5 * 500 + 1);
    let calls = desk.calls();
    let of = |what: &str| {
        calls
            .iter()
            .filter(|call| call.path.starts_with(what))
            .count()
    };
    assert_eq!((of("company/companies/"), of("company/contacts")), (1, 1));
    assert!(fetched(&desk).is_empty());
}

#[tokio::test]
async fn b143_a_site_is_fetched_by_its_first_reader_and_not_by_a_sweep() {
    let desk = Desk::new(size(12, 10), hasty(), mostly_cool(0)).await;
    sweep(&desk.mirror, "opportunities").await;
    let sites = || {
        let calls = desk.calls();
        calls
            .iter()
            .filter(|call| call.path.contains("/sites/"))
            .count()
    };
    assert_eq!(sites(), 0);
    let live = desk.live_deals();
    let deals = desk.sim.truth().documents("sales/opportunities");
    let with_site = deals
        .iter()
        .find(|(id, deal)| live.contains(id) && deal["site"]["id"].is_i64());
    let (id, _) = with_site.unwrap();
    let deal = "connectwise.opportunity".parse().unwrap();
    let include = ["site".to_owned()];
    for _ in 0..2 {
        let detail = desk
            .mirror
            .read_detail(&deal, "psa", &id.to_string(), &include, Default::default())
            .await
            .unwrap()
            .unwrap();
        assert!(detail.payloads["site"].is_some());
        assert_eq!(sites(), 1);
    }
}

#[tokio::test]
async fn b147_the_company_of_a_deal_is_asked_for_again_when_upstream_stumbles() {
    let desk = Desk::new(size(12, 10), hasty(), mostly_cool(0)).await;
    let id = *desk.live_deals().iter().next().unwrap();
    desk.sim.wiretap().clear();
    // Of the calls that a payload makes, every second one fails: the first attempt or the second.
    desk.sim.faults().status_every(2, 503);
    let deal = "connectwise.opportunity".parse().unwrap();
    let detail = desk
        .mirror
        .read_detail(
            &deal,
            "psa",
            &id.to_string(),
            &["company".to_owned()],
            Default::default(),
        )
        .await
        .unwrap()
        .unwrap();
    let company = detail.payloads["company"].as_ref().unwrap();
    assert!(company.answer.stale.is_none());
    let calls = desk.calls();
    let of = |status: u16| {
        calls
            .iter()
            .filter(|call| call.status == status && call.path.starts_with("company/"))
            .count()
    };
    assert_eq!(of(200), 2, "the company, its contacts: {calls:?}");
    assert!(of(503) >= 1, "no fault struck the company: {calls:?}");
}
