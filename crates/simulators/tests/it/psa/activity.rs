//! Business going on.

use super::client::{psa, psa_with};
use serde_json::Value;
use simulators::connectwise::Options;
use std::collections::BTreeMap;

/// What a listener reads out of the adjustments: per product, the sum adjusted and the last quantity on hand.
fn state(adjustments: &[(i64, Value)]) -> BTreeMap<i64, (i64, f64)> {
    let mut rows: Vec<&Value> = adjustments
        .iter()
        .flat_map(|(_, one)| one["adjustmentDetails"].as_array().unwrap())
        .collect();
    rows.sort_by_key(|row| row["id"].as_i64());
    let mut state = BTreeMap::new();
    for row in rows {
        let entry = state
            .entry(row["catalogItem"]["id"].as_i64().unwrap())
            .or_insert((0, 0.0));
        entry.0 += row["quantityAdjusted"].as_i64().unwrap();
        entry.1 = row["quantityOnHand"].as_f64().unwrap();
    }
    state
}

#[tokio::test]
async fn churn_rewrites_rows_and_leaves_every_product_as_it_was() {
    let sim = psa().await;
    let read = || sim.psa.truth().documents("procurement/adjustments");
    let (before, on_hand) = (
        read(),
        sim.psa.truth().documents("procurement/catalog/1/inventory"),
    );
    let rewritten = sim.psa.churn_adjustments(60);
    assert!(rewritten >= 60);
    let after = read();
    assert_ne!(before, after);
    assert_eq!(state(&before), state(&after));
    assert_eq!(
        sim.psa.truth().documents("procurement/catalog/1/inventory"),
        on_hand
    );
    // A change of stock does show.
    let changed = sim.psa.adjust_stock(12);
    assert_eq!(changed.len(), 12);
    let later = state(&read());
    let differ: Vec<i64> = later
        .iter()
        .filter(|(item, now)| state(&after).get(item) != Some(now))
        .map(|(item, _)| *item)
        .collect();
    let mut expected = changed.clone();
    expected.sort_unstable();
    assert_eq!(differ, expected);
}

#[tokio::test]
async fn a_long_script_plays_every_kind_of_event_and_breaks_nothing() {
    let sim = psa().await;
    let count = |path: &str| sim.psa.truth().ids(path).len();
    let (deals, tickets) = (count("sales/opportunities"), count("service/tickets"));
    let won = || sim.deals(|deal| deal["status"]["id"] == 2).len();
    let before = won();
    sim.psa.tick(2_000);
    assert!(count("sales/opportunities") > deals + 100);
    assert!(count("service/tickets") > tickets + 20);
    assert!(won() > before + 10);
    for deal in sim.deals(|_| true) {
        let forecast = sim
            .psa
            .truth()
            .get(&format!("sales/opportunities/{deal}/forecast"))
            .unwrap();
        assert!(forecast["forecastItems"].is_array());
    }
}

#[tokio::test]
async fn tests_can_set_what_no_client_could() {
    let sim = psa_with(Options::for_testing()).await;
    let path = "sales/opportunities/1";
    sim.psa
        .plant(
            path,
            serde_json::json!({"expectedCloseDate": "soon", "closedDate": null}),
        )
        .unwrap();
    sim.psa
        .set_last_updated(path, "2020-02-02T02:02:02.9Z".parse().unwrap())
        .unwrap();
    let deal = sim.get(path, &[]).await;
    assert_eq!(deal["expectedCloseDate"], "soon");
    assert_eq!(deal["_info"]["lastUpdated"], "2020-02-02T02:02:02Z");
    let error = sim
        .psa
        .change(path, serde_json::json!({"company": {"id": 77_777}}))
        .unwrap_err();
    assert_eq!(error.status, 400);
    let note = sim
        .psa
        .create(
            "sales/opportunities/1/notes",
            serde_json::json!({"text": "x".repeat(400_000)}),
        )
        .unwrap();
    assert_eq!(
        sim.psa
            .truth()
            .document("sales/opportunities/1/notes", note["id"].as_i64().unwrap()),
        Some(note)
    );
    sim.psa.delete(path).unwrap();
    assert_eq!(sim.psa.truth().get(path), None);
    assert!(sim.psa.wiretap().len() == 1);
}
