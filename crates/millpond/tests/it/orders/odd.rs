//! Odd documents upstream: what contradicts itself is left out by name, and nobody else is stopped.

use serde_json::{Value, json};

use super::shop::{INSTANCE, Shop, everything};

/// Writes a mirrored body past upstream: upstreams hold what their own rules would refuse.
async fn bend(shop: &Shop, table: &str, id: &str, change: impl FnOnce(&mut Value)) {
    let pool = shop.database.pool();
    let find = format!("SELECT body FROM cin7.{table} WHERE id = $1");
    let mut body: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(find))
        .bind(id)
        .fetch_one(&pool)
        .await
        .unwrap();
    change(&mut body);
    let put = format!("UPDATE cin7.{table} SET body = $2 WHERE id = $1");
    let done = sqlx::query(sqlx::AssertSqlSafe(put))
        .bind(id)
        .bind(&body)
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_odd_quantities_is_left_out_and_the_others_are_planned() {
    let shop = Shop::with_sales(20).await;
    let skus = shop.plain_skus(2);
    let (odd, good) = (&skus[0], &skus[1]);
    for sku in [odd, good] {
        shop.stock(sku, "Glasgow", 10).await;
    }
    let (bent, bent_number) = shop.sale("Glasgow", &[(odd, 2)]).await;
    let (_, number) = shop.sale("Glasgow", &[(good, 2)]).await;
    shop.sync().await;
    let ask = || {
        let mut ask = everything();
        ask.orders.extend([bent_number.clone(), number.clone()]);
        ask
    };
    // The quantity as upstream might say it; what the plan makes of it.
    for (quantity, shipped, left_out) in [
        (json!(2.5), Some(2.5), None),
        (json!("2.5000"), Some(2.5), None),
        (json!(0.00001), None, Some("digits")),
        (json!(-2), None, Some("wants -2")),
        (json!(1_000_000_000), Some(10.0), None),
        (json!(1e15), None, Some("more than")),
        (json!(0), None, None),
        (json!(null), None, None),
    ] {
        bend(&shop, "sale", &bent, |sale| {
            sale["Order"]["Lines"][0]["Quantity"] = quantity.clone();
        })
        .await;
        let plan = shop.plan(&ask()).await;
        let of = |order: &str| {
            let found = plan.shipments.iter().find(|s| s.order == order)?;
            found.lines[0]["qty"].as_f64()
        };
        assert_eq!(of(&number), Some(2.0), "{quantity}: {:?}", plan.left_out);
        assert_eq!(
            of(&bent_number),
            shipped,
            "{quantity}: {:?} {:?}",
            plan.short,
            plan.left_out
        );
        let told = plan.left_out.iter().find(|out| out.order == bent_number);
        match (told, left_out) {
            (Some(told), Some(text)) => assert!(told.text.contains(text), "{quantity}: {told:?}"),
            (told, wanted) => assert_eq!(told.is_some(), wanted.is_some(), "{quantity}: {told:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bills_and_negative_stock_stop_only_who_needs_them() {
    let shop = Shop::with_sales(20).await;
    let kit = shop
        .kits()
        .into_iter()
        .find(|kit| kit["AutoAssembly"] == true && kit["CostingMethod"] == "FIFO")
        .unwrap();
    let (sku, id) = (
        kit["SKU"].as_str().unwrap(),
        kit["ID"].as_str().unwrap().to_lowercase(),
    );
    let plain = &shop.plain_skus(1)[0];
    shop.empty(sku).await;
    for part in kit["BillOfMaterialsProducts"].as_array().unwrap() {
        shop.stock(part["ProductCode"].as_str().unwrap(), "Glasgow", 50)
            .await;
    }
    shop.stock(plain, "Glasgow", 5).await;
    let (_, kitted) = shop.sale("Leeds", &[(sku, 1)]).await;
    let (_, simple) = shop.sale("Glasgow", &[(plain, 5)]).await;
    shop.sync().await;
    let mut ask = everything();
    ask.orders.extend([kitted.clone(), simple.clone()]);
    ask.rules.ship_from = Some(vec!["Glasgow".to_owned()]);
    let ships = |plan: &millpond::orders::PlanView, order: &str| {
        plan.shipments
            .iter()
            .any(|shipment| shipment.order == order)
    };
    let plan = shop.plan(&ask).await;
    assert!(
        ships(&plan, &kitted) && ships(&plan, &simple),
        "{:?}",
        plan.short
    );

    let parts = kit["BillOfMaterialsProducts"].clone();
    let part = |code: &str, qty: f64| {
        let mut part = parts[0].clone();
        part["ProductCode"] = json!(code);
        part["ComponentProductID"] = json!("00000000-0000-0000-0000-00000000000f");
        part["Quantity"] = json!(qty);
        part
    };
    let of_itself = {
        let mut part = part(sku, 1.0);
        part["ComponentProductID"] = kit["ID"].clone();
        part
    };
    for (what, bill, code) in [
        ("made of itself", json!([of_itself]), "BOM_INVALID"),
        (
            "a part that is no product",
            json!([part("NOWHERE", 1.0)]),
            "COMPONENT",
        ),
        (
            "nothing of a part",
            json!([part("NOWHERE", 0.0)]),
            "BOM_INVALID",
        ),
        (
            "too fine a part",
            json!([part("NOWHERE", 0.00001)]),
            "BOM_INVALID",
        ),
    ] {
        bend(&shop, "product", &id, |product| {
            product["BillOfMaterialsProducts"] = bill
        })
        .await;
        let plan = shop.plan(&ask).await;
        assert!(!ships(&plan, &kitted) && ships(&plan, &simple), "{what}");
        let short = plan
            .short
            .iter()
            .find(|short| short.order == kitted)
            .unwrap();
        let told = serde_json::to_value(short).unwrap();
        assert_eq!(told["code"], code, "{what}: {told}");
    }

    // Fewer than none on the shelf: nothing is given, and it is told.
    let node = shop.node(plain, "Glasgow").await;
    bend(&shop, "availability", &node, |row| {
        row["OnHand"] = json!(-3)
    })
    .await;
    let plan = shop.plan(&ask).await;
    assert!(!ships(&plan, &simple));
    assert!(
        plan.reasons
            .iter()
            .any(|reason| reason["code"] == "NODE_DEFICIT"),
        "{:?}",
        plan.reasons
    );
    let claims = shop.orders.claims(INSTANCE, Some(&simple)).await.unwrap();
    assert!(claims.is_empty(), "{claims:?}");
}
