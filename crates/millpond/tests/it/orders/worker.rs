//! A running worker fills: goods are received upstream, the mirror sees it, and the waiting orders are picked.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use super::shop::{POLL, Shop, config, variables};

/// A worker that does not outlive the test, however that ends.
struct Hired(Child);

impl Drop for Hired {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How long the goods may lie there unseen: a full listing every second, a round of filling every second, and this
/// machine's other work.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a46_a_running_worker_picks_waiting_orders_once_their_goods_are_received() {
    let shop = Shop::with_sales(20).await;
    let sku = &shop.plain_skus(1)[0];
    shop.empty(sku).await;
    let (first, _) = shop.sale("Glasgow", &[(sku, 4)]).await;
    let (second, _) = shop.sale("Glasgow", &[(sku, 4)]).await;
    let supplier = shop.all("supplier")[0]["Name"].clone();
    let head =
        json!({ "Supplier": supplier, "Location": "Glasgow", "RequiredBy": "2030-01-01T00:00:00" });
    let purchase = shop.post("purchase", head).await["ID"].clone();
    let lines = json!([{ "SKU": sku, "Name": sku, "Quantity": 6, "Price": 1, "Tax": 0, "TaxRule": "Tax Exempt" }]);
    let order = json!({ "TaskID": purchase, "Status": "AUTHORISED", "Lines": lines, "AdditionalCharges": [] });
    shop.post("purchase/order", order).await;
    shop.sync().await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millpond.toml");
    let often = |resource: &str| {
        format!(
            "[[instance.schedule]]\nresource = \"{resource}\"\nkind = \"full\"\nevery = \"1s\"\n"
        )
    };
    let text = format!(
        "[orders]\nfill = \"apply\"\nevery = \"1s\"\n{}{}",
        config(&shop.sim),
        often("availability")
    );
    std::fs::write(&file, text).unwrap();
    let worker = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .arg("--config")
        .arg(&file)
        .arg("worker")
        .env_clear()
        .env("DATABASE_URL", shop.database.url())
        .envs(variables(&shop.sim))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let mut worker = Hired(worker.unwrap());
    // Whatever else can leave, leaves first.
    let began = Instant::now();
    while shop.writes().iter().filter(|w| w.contains("pick")).count() == 0 {
        assert!(began.elapsed() < PATIENCE && worker.0.try_wait().unwrap().is_none());
        tokio::time::sleep(POLL).await;
    }
    let picked = |sale: &str| {
        let pick = &shop.truth("sale", sale)["Fulfilments"][0]["Pick"];
        let is_done = pick["Status"] == "AUTHORISED";
        is_done.then(|| pick["Lines"][0]["Quantity"].as_f64().unwrap())
    };
    assert_eq!(
        (picked(&first), picked(&second)),
        (None, None),
        "nothing is there yet"
    );

    let received = json!({ "TaskID": purchase, "Status": "AUTHORISED", "Lines": [
        { "Date": "2026-01-05T00:00:00", "SKU": sku, "Quantity": 6, "Location": "Glasgow", "Received": true },
    ] });
    shop.post("purchase/stock", received).await;
    assert_eq!(shop.on_hand(sku, "Glasgow"), 6.0);
    let received_at = Instant::now();
    while picked(&first).is_none() || picked(&second).is_none() {
        assert!(
            received_at.elapsed() < PATIENCE,
            "{:?} {:?}",
            picked(&first),
            picked(&second)
        );
        assert!(
            worker.0.try_wait().unwrap().is_none(),
            "the worker ended by itself"
        );
        tokio::time::sleep(POLL).await;
    }
    println!(
        "picked {:.1} s after the receipt",
        received_at.elapsed().as_secs_f64()
    );
    // The older order is served in full, the leftovers of the other stay on backorder.
    assert_eq!((picked(&first), picked(&second)), (Some(4.0), Some(2.0)));
    assert_eq!(shop.on_hand(sku, "Glasgow"), 0.0);
}
