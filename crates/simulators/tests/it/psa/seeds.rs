//! The company at the start.

use super::client::psa_with;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulators::connectwise::{Options, Size};
use std::collections::{BTreeMap, BTreeSet};

fn at(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[tokio::test]
async fn deals_stand_on_both_sides_of_every_line_of_the_freshness_tables() {
    let start: Timestamp = "2026-06-15T10:00:00Z".parse().unwrap();
    let sim = psa_with(Options {
        start_at: Some(start),
        ..Options::for_testing()
    })
    .await;
    let days = |n: i64| SignedDuration::from_hours(24 * n);
    let (mut updated, mut expected, mut closed) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut statuses = BTreeSet::new();
    let band =
        |age: SignedDuration, lines: &[i64]| lines.iter().filter(|line| age > days(**line)).count();
    let deals = sim.psa.truth().documents("sales/opportunities");
    for (_, deal) in &deals {
        statuses.insert(deal["status"]["name"].as_str().unwrap().to_owned());
        let is_closed = (2..=4).contains(&deal["status"]["id"].as_i64().unwrap());
        let last = at(&deal["_info"]["lastUpdated"]).unwrap();
        assert!(last <= start, "{deal}");
        if is_closed {
            if let Some(when) = at(&deal["closedDate"]) {
                *closed
                    .entry(band(start.duration_since(when), &[30]))
                    .or_insert(0) += 1;
            }
        } else {
            assert!(deal.get("closedDate").is_none());
            *updated
                .entry(band(start.duration_since(last), &[3, 5, 14, 30]))
                .or_insert(0) += 1;
            if let Some(when) = at(&deal["expectedCloseDate"]) {
                let side = when < start;
                let away = when.duration_since(start).abs();
                *expected.entry((side, band(away, &[5, 14]))).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(statuses.len(), 7, "{statuses:?}");
    assert_eq!(updated.len(), 5, "{updated:?}");
    assert_eq!(expected.len(), 6, "{expected:?}");
    assert_eq!(closed.len(), 2, "{closed:?}");
    assert!(
        deals
            .iter()
            .any(|(_, deal)| deal.get("expectedCloseDate").is_none())
    );
    assert!(
        deals
            .iter()
            .any(|(_, deal)| deal["status"]["id"] == 2 && deal.get("closedDate").is_none())
    );
    // Companies are shared by many.
    let mut by_company: BTreeMap<i64, usize> = BTreeMap::new();
    for (_, deal) in &deals {
        *by_company
            .entry(deal["company"]["id"].as_i64().unwrap())
            .or_default() += 1;
    }
    assert!(by_company.values().max().unwrap() > &30, "{by_company:?}");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_company_and_another_seed_another() {
    let start: Timestamp = "2026-06-15T10:00:00Z".parse().unwrap();
    let of = |seed| Options {
        seed,
        start_at: Some(start),
        link_host: Some("pond.example".into()),
        ..Options::for_testing()
    };
    let (a, b, c) = (
        psa_with(of(7)).await,
        psa_with(of(7)).await,
        psa_with(of(8)).await,
    );
    for sim in [&a, &b, &c] {
        sim.psa.tick(300);
    }
    // Stamps of what was played are of the machine's time; names and numbers are not.
    let names = |sim: &super::client::Sim| {
        let deals = sim.psa.truth().documents("sales/opportunities");
        let one = |deal: &Value| format!("{} {} {}", deal["name"], deal["company"], deal["status"]);
        deals.iter().map(|(_, deal)| one(deal)).collect::<Vec<_>>()
    };
    assert_eq!(names(&a), names(&b));
    assert_ne!(names(&a), names(&c));
}

#[tokio::test]
async fn sizes_are_parameters_and_every_reference_leads_to_a_record() {
    let size = Size {
        opportunities: 2_000,
        companies: 120,
        catalog_items: 400,
        adjustments: 300,
        tickets: 100,
    };
    let began = std::time::Instant::now();
    let sim = psa_with(Options {
        size,
        odd_dates: true,
        ..Options::for_testing()
    })
    .await;
    println!("2,000 deals after {:?}", began.elapsed());
    let truth = sim.psa.truth();
    assert_eq!(truth.ids("sales/opportunities").len(), 2_000);
    assert_eq!(truth.ids("company/companies").len(), 120);
    for path in [
        "sales/opportunities",
        "procurement/products",
        "sales/activities",
        "company/contacts",
        "service/tickets",
        "procurement/adjustments",
        "procurement/catalog",
    ] {
        for (id, record) in truth.documents(path) {
            for (name, member) in record.as_object().unwrap() {
                // A reference whose record is missing has nothing but its id.
                let bare = member
                    .as_object()
                    .is_some_and(|reference| reference.len() == 1 && reference.contains_key("id"));
                assert!(!bare, "{path}/{id}: {name} leads nowhere: {member}");
            }
        }
    }
    let texts: BTreeSet<usize> = truth
        .documents("sales/opportunities")
        .iter()
        .filter_map(|(_, deal)| Some(deal["expectedCloseDate"].as_str()?.len()))
        .collect();
    assert!(texts.len() >= 4, "odd dates have many shapes: {texts:?}");
}

#[tokio::test]
async fn a_deal_has_more_activities_than_fit_a_page() {
    let sim = psa_with(Options::for_testing()).await;
    let truth = sim.psa.truth();
    let most = truth
        .documents_with("sales/activities", &[("conditions", "opportunity/id=4")])
        .len();
    assert_eq!(most, 60);
}
