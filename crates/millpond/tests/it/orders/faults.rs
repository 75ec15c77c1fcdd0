//! Whatever goes wrong in the middle: every effect is there once, or a person is told.

use millpond::orders::{OrdersError, PlanView};
use simulators::cin7::{FaultPlan, FaultRates};

use super::shop::{INSTANCE, POLL, Shop, everything};

/// A sale of 4 of 10 at Glasgow, planned and approved; answers plan and sale.
async fn ready(shop: &Shop, sku: &str) -> (i64, String) {
    shop.stock(sku, "Glasgow", 10).await;
    let (sale, number) = shop.sale("Glasgow", &[(sku, 4)]).await;
    shop.sync().await;
    let mut ask = everything();
    ask.orders.insert(number);
    let plan = shop.plan(&ask).await;
    assert_eq!(plan.shipments.len(), 1, "{:?}", plan.short);
    shop.orders.approve(plan.row.id, "anna").await.unwrap();
    (plan.row.id, sale)
}

/// Applies until the plan is through, as somebody does who starts it again after each failure.
async fn insist(shop: &Shop, plan: i64) -> PlanView {
    for _ in 0..60 {
        expire_leases(shop).await;
        match shop.orders.apply(plan, "test").await {
            Ok(view) => return view,
            Err(OrdersError::Paused { .. } | OrdersError::Mirror(_) | OrdersError::Busy { .. }) => {
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("plan {plan} does not end");
}

/// The time after which nobody believes that an applier lives.
async fn expire_leases(shop: &Shop) {
    let statement = "UPDATE millpond.order_plan SET lease_until = now() - interval '1 s' WHERE state = 'applying'";
    sqlx::query(statement)
        .execute(&shop.database.pool())
        .await
        .unwrap();
}

/// One fulfilment with the pick, one pack, one shipment and one invoice; 6 of 10 left.
fn written_once(shop: &Shop, sku: &str, sale: &str, what: &str) {
    let document = shop.truth("sale", sale);
    let fulfilments = document["Fulfilments"].as_array().unwrap();
    assert_eq!(fulfilments.len(), 1, "{what}: {document}");
    for stage in ["Pick", "Pack", "Ship"] {
        assert_eq!(
            fulfilments[0][stage]["Status"], "AUTHORISED",
            "{what}: {stage} of {document}"
        );
    }
    let invoices = document["Invoices"].as_array().unwrap();
    assert_eq!(invoices.len(), 1, "{what}: {document}");
    assert_eq!(invoices[0]["Status"], "AUTHORISED", "{what}");
    assert_eq!(shop.on_hand(sku, "Glasgow"), 6.0, "{what}: never 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn w14_lost_answers_errors_and_writes_that_are_not_applied_leave_every_effect_once() {
    let shop = Shop::with_sales(20).await;
    let skus = shop.plain_skus(16);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    for (round, sku) in skus.iter().enumerate() {
        let (plan, sale) = ready(&shop, sku).await;
        let mut faults = FaultPlan::default();
        // Every fourth round by rhythm: answers of 200 behind which nothing happened.
        let what = if round % 4 == 3 {
            faults.not_applied_every = Some([5, 7, 11, 13][round / 4]);
            format!("not applied: {faults:?}")
        } else {
            let seed = seed.wrapping_add(round as u64);
            faults.rates = Some(FaultRates {
                seed,
                p5xx: 0.07,
                ptimeout: 0.0,
                timeout_ms: 0,
                ptorn: 0.07,
                perr200: 0.0,
                preset: 0.1,
                pthrottle: 0.0,
            });
            format!("seed {seed}")
        };
        shop.sim.faults().set(faults);
        let view = insist(&shop, plan).await;
        shop.sim.faults().clear();
        assert_eq!(view.row.state, "done", "{what}: {:#?}", view.shipments);
        written_once(&shop, sku, &sale, &what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_is_cut_off_after_any_call_goes_on_and_writes_everything_once() {
    let shop = Shop::with_sales(20).await;
    let skus = shop.plain_skus(24);
    for (calls, sku) in skus.iter().enumerate() {
        let (plan, sale) = ready(&shop, sku).await;
        shop.sim.wiretap().clear();
        let orders = shop.orders.clone();
        let apply = tokio::spawn(async move { orders.apply(plan, "first").await });
        while shop.sim.wiretap().len() < calls && !apply.is_finished() {
            tokio::time::sleep(POLL).await;
        }
        apply.abort();
        let _ = apply.await;
        let view = insist(&shop, plan).await;
        assert_eq!(
            view.row.state, "done",
            "cut off after {calls} calls: {:#?}",
            view.shipments
        );
        written_once(&shop, sku, &sale, &format!("cut off after {calls} calls"));
        let again = shop.sim.wiretap().len();
        shop.orders.apply(plan, "third").await.unwrap();
        assert_eq!(
            shop.sim.wiretap().len(),
            again,
            "an apply of a plan that is through makes no call"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_apply_sent_twice_at_once_writes_once() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    let (plan, sale) = ready(&shop, sku).await;
    let (one, two) = tokio::join!(
        shop.orders.apply(plan, "one"),
        shop.orders.apply(plan, "two")
    );
    let done = [one, two].into_iter().filter(|ended| ended.is_ok()).count();
    assert!(done >= 1);
    written_once(&shop, sku, &sale, "twice at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_upstream_since_the_plan_is_not_written_blindly() {
    let shop = Shop::with_sales(20).await;
    let skus = shop.plain_skus(6);

    // Sold elsewhere: the rest is written, and nobody is promised what is gone.
    let (plan, sale) = ready(&shop, &skus[0]).await;
    shop.stock(&skus[0], "Glasgow", 3).await;
    let view = insist(&shop, plan).await;
    let picked =
        shop.truth("sale", &sale)["Fulfilments"][0]["Pick"]["Lines"][0]["Quantity"].clone();
    assert_eq!(
        (view.row.state.as_str(), picked.as_f64()),
        ("done", Some(3.0)),
        "{:#?}",
        view.shipments
    );

    // Voided: nothing is written, and the units are free again.
    let (plan, sale) = ready(&shop, &skus[1]).await;
    shop.delete("sale", &format!("ID={sale}&Void=true")).await;
    shop.sim.wiretap().clear();
    let view = insist(&shop, plan).await;
    assert_eq!(view.row.state, "partial");
    assert_eq!(
        view.shipments[0].code.as_deref(),
        Some("STATE"),
        "{:#?}",
        view.shipments
    );
    assert!(shop.writes().is_empty(), "{:?}", shop.writes());
    let order = &view.shipments[0].order;
    assert!(
        shop.orders
            .claims(INSTANCE, Some(order))
            .await
            .unwrap()
            .is_empty()
    );

    // Picked by a person meanwhile: not picked again.
    let (plan, sale) = ready(&shop, &skus[2]).await;
    let task = shop
        .post("sale/fulfilment", serde_json::json!({ "SaleID": sale }))
        .await;
    let task = task["Fulfilments"][0]["TaskID"].clone();
    shop.post(
        "sale/fulfilment/pick",
        serde_json::json!({ "TaskID": task, "AutoPickMode": "AUTOPICK" }),
    )
    .await;
    let view = insist(&shop, plan).await;
    assert_eq!(view.row.state, "partial", "{:#?}", view.shipments);
    assert_eq!(shop.on_hand(&skus[2], "Glasgow"), 6.0);
    assert_eq!(
        shop.truth("sale", &sale)["Fulfilments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // Edited: fewer units of the same line are written, another line in its place is not.
    for (lines, picked) in [
        (vec![(skus[3].as_str(), 1)], Some(1.0)),
        (vec![(skus[4].as_str(), 4)], None),
    ] {
        shop.stock(&skus[4], "Glasgow", 10).await;
        let (plan, sale) = ready(&shop, &skus[3]).await;
        shop.delete("sale", &format!("ID={sale}&Void=false")).await;
        shop.order(&sale, "AUTHORISED", &lines).await;
        let view = insist(&shop, plan).await;
        let truth = shop.truth("sale", &sale);
        let pick = &truth["Fulfilments"][0]["Pick"]["Lines"][0]["Quantity"];
        assert_eq!(pick.as_f64(), picked, "{lines:?}: {:#?}", view.shipments);
        let state = if picked.is_some() { "done" } else { "partial" };
        assert_eq!(view.row.state, state, "{lines:?}: {:#?}", view.shipments);
    }

    // Closed: nothing leaves a place that no longer takes part.
    let (plan, sale) = ready(&shop, &skus[5]).await;
    let places = shop.all("ref/location");
    let place = places
        .iter()
        .find(|place| place["Name"] == "Glasgow")
        .unwrap();
    let closed = serde_json::json!({ "ID": place["ID"], "Name": "Glasgow", "IsDeprecated": true });
    shop.write(http::Method::PUT, "ref/location", closed).await;
    let view = insist(&shop, plan).await;
    let shipment = &view.shipments[0];
    assert_eq!(
        (view.row.state.as_str(), shipment.code.as_deref()),
        ("partial", Some("SHIP_FROM")),
        "{:#?}",
        view.shipments
    );
    assert_eq!(
        shop.truth("sale", &sale)["Fulfilments"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}
