//! A day's real orders, end to end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::shop::{Shop, everything};

/// Every write that an apply may make.
const WRITES: [&str; 8] = [
    "POST sale/order",
    "POST sale/fulfilment",
    "POST finishedGoods",
    "POST finishedGoods/pick",
    "POST sale/fulfilment/pick",
    "POST sale/fulfilment/pack",
    "POST sale/fulfilment/ship",
    "POST sale/invoice",
];

#[tokio::test(flavor = "multi_thread")]
async fn a50_a_days_orders_are_split_assembled_picked_shipped_and_invoiced() {
    let shop = Shop::with_sales(60).await;
    let before = on_hand(&shop);
    shop.sim.wiretap().clear();
    let plan = shop.plan(&everything()).await;
    assert_eq!(shop.sim.wiretap().len(), 0, "a plan makes no call");
    let number = |key: &str| plan.row.summary[key].as_u64().unwrap();
    assert!(
        number("orders_shipped") > 10 && number("assemblies") > 0,
        "{}",
        plan.row.summary
    );
    assert!(
        number("shipments") > number("orders_shipped"),
        "some order is split"
    );
    assert!(
        !plan.short.is_empty() && plan.short.iter().all(|short| !short.text.is_empty()),
        "{:?}",
        plan.short
    );

    let applied = shop.approve_and_apply(plan.row.id).await;
    assert_eq!(applied.row.state, "done", "{:?}", applied.row.why);
    let calls = shop.sim.wiretap().calls();
    let writes: Vec<String> = shop.writes();
    assert!(
        writes.iter().all(|write| WRITES.contains(&write.as_str())),
        "{writes:?}"
    );
    assert!(
        writes.len() as u64 <= number("writes"),
        "{} writes, {} quoted",
        writes.len(),
        number("writes")
    );
    println!(
        "{} shipments: {} writes, {} reads",
        number("shipments"),
        writes.len(),
        calls.len() - writes.len()
    );

    // Every shipment stands upstream as it was planned, and the mirror shows it.
    let mut picked: BTreeMap<String, f64> = BTreeMap::new();
    for sale in sales_of(&applied) {
        let document = shop.truth("sale", &sale);
        let held: Value = sqlx::query_scalar("SELECT body FROM cin7.sale WHERE id = $1")
            .bind(&sale)
            .fetch_one(&shop.database.pool())
            .await
            .unwrap();
        assert_eq!(
            held["Fulfilments"], document["Fulfilments"],
            "the mirror knows what was written"
        );
        let planned = applied
            .shipments
            .iter()
            .filter(|shipment| shipment.sale == sale);
        for shipment in planned {
            let task = shipment
                .steps
                .iter()
                .find(|step| step.step == "task")
                .unwrap();
            let task = task.outcome.as_ref().unwrap()["TaskID"].clone();
            let all = document["Fulfilments"].as_array().unwrap();
            let mine = all
                .iter()
                .find(|fulfilment| fulfilment["TaskID"] == task)
                .unwrap();
            for stage in ["Pick", "Pack", "Ship"] {
                assert_eq!(
                    mine[stage]["Status"], "AUTHORISED",
                    "{stage} of {}",
                    shipment.order
                );
            }
            let mut lines: BTreeMap<String, f64> = BTreeMap::new();
            for line in mine["Pick"]["Lines"].as_array().unwrap() {
                let (sku, qty) = (
                    line["SKU"].as_str().unwrap().to_owned(),
                    line["Quantity"].as_f64().unwrap(),
                );
                assert!(
                    line["Location"]
                        .as_str()
                        .unwrap()
                        .starts_with(&shipment.location)
                );
                *picked.entry(sku.clone()).or_default() += qty;
                *lines.entry(sku).or_default() += qty;
            }
            let mut wanted: BTreeMap<String, f64> = BTreeMap::new();
            for line in &shipment.lines {
                *wanted
                    .entry(line["sku"].as_str().unwrap().to_owned())
                    .or_default() += line["qty"].as_f64().unwrap();
            }
            assert_eq!(lines, wanted, "{}", shipment.order);
        }
        assert!(!document["Invoices"].as_array().unwrap().is_empty());
    }
    // No unit appeared from nowhere: what is gone was picked or built in, what is new was assembled.
    let after = on_hand(&shop);
    let (mut made, mut used): (BTreeMap<String, f64>, BTreeMap<String, f64>) = Default::default();
    let ours: BTreeSet<String> = applied
        .shipments
        .iter()
        .flat_map(|shipment| &shipment.steps)
        .filter(|step| step.step == "assemble")
        .filter_map(|step| step.outcome.as_ref()?["TaskID"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ours.len() as u64, number("assemblies"));
    for assembly in shop
        .all("finishedGoods")
        .iter()
        .filter(|a| ours.contains(a["TaskID"].as_str().unwrap()))
    {
        assert_eq!(assembly["Status"], "COMPLETED");
        let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        *made.entry(text(assembly, "ProductCode")).or_default() +=
            assembly["Quantity"].as_f64().unwrap();
        for line in assembly["PickLines"].as_array().unwrap() {
            *used.entry(text(line, "ProductCode")).or_default() +=
                line["Quantity"].as_f64().unwrap();
        }
    }
    for sku in before.keys().chain(after.keys()) {
        let get = |sums: &BTreeMap<String, f64>| sums.get(sku).copied().unwrap_or(0.0);
        let expected = get(&before) - get(&picked) - get(&used) + get(&made);
        assert!(
            (get(&after) - expected).abs() < 1e-6,
            "{sku}: {} instead of {expected}",
            get(&after)
        );
        assert!(get(&after) >= 0.0, "{sku}");
    }

    // Planned again: what is done is done.
    shop.sync().await;
    let again = shop.plan(&everything()).await;
    let done: BTreeSet<String> = plan
        .shipments
        .iter()
        .map(|shipment| shipment.order.clone())
        .collect();
    let twice: Vec<_> = again
        .shipments
        .iter()
        .filter(|shipment| done.contains(&shipment.order))
        .collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

fn sales_of(plan: &millpond::orders::PlanView) -> BTreeSet<String> {
    plan.shipments
        .iter()
        .map(|shipment| shipment.sale.clone())
        .collect()
}

fn on_hand(shop: &Shop) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for row in shop.all("ref/productavailability") {
        *sums
            .entry(row["SKU"].as_str().unwrap().to_owned())
            .or_default() += row["OnHand"].as_f64().unwrap();
    }
    sums
}
