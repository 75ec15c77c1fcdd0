//! Kits, assemblies, transfers, counts, purchases, master data.

use crate::client::{Sim, decimal, sim, text};
use crate::sales::{free, order, stocked, sum};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::cin7::OnHandFalls;

async fn set_level(sim: &Sim, product: &str, place: &str, level: i64) {
    sim.post("stockadjustment", json!({"Status": "COMPLETED", "EffectiveDate": "2026-01-03", "Account": "429", "UpdateOnHand": true,
        "Lines": [{"ProductID": product, "Location": place, "Quantity": level}]})).await;
}

async fn product(sim: &Sim, sku: &str) -> Value {
    let answer = sim
        .post(
            "product",
            json!({"SKU": sku, "Name": format!("Test {sku}"), "Category": "Home", "Type": "Stock",
        "CostingMethod": "FIFO", "UOM": "Item", "PriceTier1": 3.5, "AverageCost": 1.25}),
        )
        .await;
    answer["Products"][0].clone()
}

/// A kit of a kit: `OUTER` = 1 `INNER` + 2 `LEAF`, `INNER` = 3 `LEAF`.
async fn nested_kit(sim: &Sim) -> (Value, Value, Value) {
    let (leaf, inner, outer) = (
        product(sim, "LEAF").await,
        product(sim, "INNER").await,
        product(sim, "OUTER").await,
    );
    for (kit, parts) in [
        (&inner, json!([{"ProductCode": "LEAF", "Quantity": 3}])),
        (
            &outer,
            json!([{"ComponentProductID": inner["ID"], "Quantity": 1}, {"ComponentProductID": leaf["ID"], "Quantity": 2}]),
        ),
    ] {
        let answer = sim.put("PUT", "product", json!({"ID": kit["ID"], "BillOfMaterial": true, "AutoAssembly": true, "QuantityToProduce": 1, "BillOfMaterialsProducts": parts})).await;
        assert_eq!(answer["Products"][0]["BOMType"], "Assembly");
    }
    (leaf, inner, outer)
}

#[tokio::test]
async fn an_order_assembles_nested_kits_out_of_components_at_its_location() {
    let sim = sim().await;
    let (leaf, inner, outer) = nested_kit(&sim).await;
    set_level(&sim, &text(&leaf, "ID"), "Main Warehouse: A-01", 20).await;
    let (sale, _) = order(&sim, "Simple", &outer, Decimal::from(4), "NOPICK").await;
    assert_eq!(
        text(&sim.get(&format!("sale?ID={sale}")).await, "Status"),
        "ORDERED"
    );
    assert_eq!(
        sum(&sim, &text(&leaf, "ID"), "Main Warehouse", "OnHand").await,
        Decimal::ZERO
    );
    assert_eq!(
        sum(&sim, &text(&outer, "ID"), "Main Warehouse", "Allocated").await,
        Decimal::from(4)
    );
    let made = sim.get(&format!("finishedGoodsList?SaleID={sale}")).await;
    let codes: Vec<String> = made["FinishedGoods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| text(a, "ProductCode"))
        .collect();
    assert_eq!(codes, ["INNER", "OUTER"]);
    assert_eq!(
        sum(&sim, &text(&inner, "ID"), "Main Warehouse", "OnHand").await,
        Decimal::ZERO
    );
    let (short, _) = order(&sim, "Simple", &outer, Decimal::ONE, "NOPICK").await;
    assert_eq!(
        text(&sim.get(&format!("sale?ID={short}")).await, "Status"),
        "BACKORDERED"
    );
    crate::balance::check(&sim, OnHandFalls::Pick);
}

#[tokio::test]
async fn assemblies_stage_by_stage_and_in_one_call() {
    let sim = sim().await;
    let (leaf, inner, _) = nested_kit(&sim).await;
    let head = |status: &str| {
        json!({"Status": status, "ProductID": inner["ID"], "Location": "Main Warehouse", "WIPAccount": "721",
        "Account": "720", "Quantity": 2, "WIPDate": "2026-01-03T00:00:00", "CompletionDate": "2026-01-03T00:00:00"})
    };
    let draft = sim.post("finishedGoods", head("DRAFT")).await;
    assert_eq!(
        (draft["OrderLines"].clone(), draft["PickLines"].clone()),
        (json!([]), json!([]))
    );
    let task = text(&draft, "TaskID");
    assert_eq!(
        sim.refused(
            "POST",
            "finishedGoods/order",
            json!({"TaskID": task, "Status": "AUTHORISED", "OrderLines": []})
        )
        .await,
        "Should be at least one order line."
    );
    sim.post("finishedGoods/order", json!({"TaskID": task, "Status": "AUTHORISED", "OrderLines": [{"ProductID": leaf["ID"], "Quantity": 6, "TotalQuantity": 6}]})).await;
    let pick = json!({"TaskID": task, "Status": "COMPLETED", "PickLines": [{"ProductID": leaf["ID"], "Bin": "A-01", "Quantity": 6}]});
    let fault = sim
        .refused("POST", "finishedGoods/pick", pick.clone())
        .await;
    assert!(fault.contains("cannot pick 6"), "{fault}");
    let partial = sim.post("finishedGoods", head("COMPLETED")).await;
    assert_eq!(
        (
            text(&partial, "Status"),
            partial["Errors"].as_array().unwrap().len()
        ),
        ("AUTHORISED".into(), 1),
        "200 with errors inside"
    );
    set_level(&sim, &text(&leaf, "ID"), "Main Warehouse: A-01", 12).await;
    let done = sim.post("finishedGoods/pick", pick).await;
    assert_eq!(
        (
            text(&done, "Status"),
            done["PickLines"].as_array().unwrap().len()
        ),
        ("COMPLETED".into(), 1)
    );
    assert_eq!(
        free(&sim, &text(&inner, "ID"), "Main Warehouse").await,
        Decimal::from(2)
    );
    let whole = sim.post("finishedGoods", head("COMPLETED")).await;
    assert_eq!(
        (text(&whole, "Status"), whole["Errors"].clone()),
        ("COMPLETED".into(), json!([]))
    );
    let voided = sim
        .put(
            "DELETE",
            &format!("finishedGoods?ID={}&Void=true", text(&whole, "TaskID")),
            json!({}),
        )
        .await;
    assert_eq!(
        (text(&voided, "Status"), voided["PickLines"].clone()),
        ("VOIDED".into(), json!([]))
    );
    assert_eq!(
        free(&sim, &text(&leaf, "ID"), "Main Warehouse").await,
        Decimal::from(6)
    );
    assert_eq!(
        sim.refused(
            "POST",
            "finishedGoods",
            json!({"Status": "DRAFT", "ProductID": inner["ID"], "Location": "Leeds", "Quantity": 1})
        )
        .await,
        "Required attribute 'WIPAccount' not provided."
    );
    let apart = sim.post("disassembly", json!({"Status": "COMPLETED", "ProductID": inner["ID"], "Location": "Main Warehouse", "WIPAccount": "721", "Quantity": 1})).await;
    assert_eq!(text(&apart, "Status"), "COMPLETED");
    assert_eq!(
        free(&sim, &text(&leaf, "ID"), "Main Warehouse").await,
        Decimal::from(9)
    );
    crate::balance::check(&sim, OnHandFalls::Pick);
}

#[tokio::test]
async fn a_transfer_leaves_travels_and_arrives() {
    let sim = sim().await;
    let item = product(&sim, "MOVED").await;
    let id = text(&item, "ID");
    set_level(&sim, &id, "Main Warehouse: A-01", 9).await;
    let places = sim.all("ref/location", "LocationList").await;
    let place = |name: &str| places.iter().find(|p| p["Name"] == name).unwrap()["ID"].clone();
    let body = json!({"Status": "IN TRANSIT", "From": place("A-01"), "To": place("Leeds"), "InTransitAccount": "631", "DepartureDate": "2026-01-03",
        "Lines": [{"SKU": "moved", "TransferQuantity": 4}]});
    let mut bare = body.clone();
    bare["InTransitAccount"] = json!(null);
    assert_eq!(
        sim.refused("POST", "stockTransfer", bare).await,
        "Required attribute 'InTransitAccount' not provided."
    );
    let mut greedy = body.clone();
    greedy["Lines"][0]["TransferQuantity"] = json!(10);
    assert_eq!(
        sim.refused("POST", "stockTransfer", greedy).await,
        "Available quantity for product (SKU: MOVED) is 9.0000000000, cannot transfer 10"
    );
    let by_name = json!({"Status": "DRAFT", "FromLocation": "Main Warehouse: A-01", "ToLocation": "Leeds", "Lines": [{"SKU": "MOVED", "TransferQuantity": 1}]});
    assert!(
        sim.refused("POST", "stockTransfer", by_name)
            .await
            .contains("was not found in Locations"),
        "a bin by name is refused"
    );
    let sent = sim.post("stockTransfer", body).await;
    assert_eq!(
        sum(&sim, &id, "Main Warehouse", "OnHand").await,
        Decimal::from(5)
    );
    assert_eq!(
        (
            sum(&sim, &id, "Leeds", "InTransit").await,
            sum(&sim, &id, "Leeds", "OnHand").await
        ),
        (Decimal::from(4), Decimal::ZERO)
    );
    let done = sim.put("PUT", "stockTransfer", json!({"TaskID": sent["TaskID"], "Status": "COMPLETED", "Lines": [{"SKU": "MOVED", "TransferQuantity": 1}]})).await;
    assert_eq!(
        decimal(&done["Lines"][0]["TransferQuantity"]),
        Decimal::from(4),
        "a changed quantity is accepted and ignored"
    );
    assert_eq!(
        (
            sum(&sim, &id, "Leeds", "InTransit").await,
            sum(&sim, &id, "Leeds", "OnHand").await
        ),
        (Decimal::ZERO, Decimal::from(4))
    );
    let voided = sim
        .put(
            "DELETE",
            &format!("stockTransfer?ID={}&Void=true", text(&sent, "TaskID")),
            json!({}),
        )
        .await;
    assert_eq!(
        (text(&voided, "Status"), voided["Lines"].clone()),
        ("VOIDED".into(), json!([]))
    );
    assert_eq!(
        sum(&sim, &id, "Main Warehouse", "OnHand").await,
        Decimal::from(9)
    );
    crate::balance::check(&sim, OnHandFalls::Pick);
}

#[tokio::test]
async fn a_transfer_is_requested_first_when_it_does_not_skip_its_order() {
    let sim = sim().await;
    let (item, _) = stocked(&sim, 5).await;
    let draft = sim.post("stockTransfer", json!({"Status": "DRAFT", "FromLocation": "Main Warehouse", "ToLocation": "Leeds", "SkipOrder": false, "Lines": []})).await;
    sim.post("stockTransfer/order", json!({"TaskID": draft["TaskID"], "Status": "AUTHORISED", "Lines": [{"SKU": item["SKU"], "TransferQuantity": 2}]})).await;
    assert_eq!(
        sim.get("stockTransferList?Limit=1").await["StockTransferList"][0]["Status"],
        "ORDERED"
    );
}

#[tokio::test]
async fn an_adjustment_names_the_new_level_and_sorts_its_lines() {
    let sim = sim().await;
    let item = product(&sim, "COUNTED").await;
    let id = text(&item, "ID");
    let body = |level: i64, place: &str| json!({"Status": "COMPLETED", "EffectiveDate": "2026-01-03", "Account": "429", "Lines": [{"SKU": "COUNTED", "Quantity": level, "Location": place}]});
    let first = sim.post("stockadjustment", body(601, "Leeds")).await;
    assert_eq!(
        (
            first["ExistingStockLines"].clone(),
            decimal(&first["NewStockLines"][0]["Quantity"])
        ),
        (json!([]), Decimal::from(601))
    );
    let (sale, _) = (
        sim.post(
            "sale",
            json!({"Customer": "Walk-in", "Location": "Leeds", "SkipQuote": true}),
        )
        .await,
        (),
    );
    sim.post("sale/order", json!({"SaleID": sale["ID"], "Status": "AUTHORISED", "Lines": [{"SKU": "COUNTED", "Quantity": 1, "Price": 1}]})).await;
    let second = sim.post("stockadjustment", body(600, "Leeds")).await;
    assert_eq!(
        decimal(&second["ExistingStockLines"][0]["Adjustment"]),
        Decimal::from(600)
    );
    assert_eq!(
        sum(&sim, &id, "Leeds", "OnHand").await,
        Decimal::from(601),
        "the target counts what is available"
    );
    let mut on_hand = body(600, "Leeds");
    on_hand["UpdateOnHand"] = json!(true);
    sim.post("stockadjustment", on_hand).await;
    assert_eq!(sum(&sim, &id, "Leeds", "OnHand").await, Decimal::from(600));
    let take = sim.post("stocktake", json!({"Status": "DRAFT", "EffectiveDate": "2026-01-03", "Account": "429", "Location": "Leeds"})).await;
    assert_eq!(text(&take, "Status"), "IN PROGRESS");
    sim.put("PUT", "stocktake", json!({"TaskID": take["TaskID"], "Status": "COMPLETED", "Lines": [{"SKU": "COUNTED", "Quantity": 590}]})).await;
    assert_eq!(sum(&sim, &id, "Leeds", "OnHand").await, Decimal::from(590));
    crate::balance::check(&sim, OnHandFalls::Pick);
}

#[tokio::test]
async fn purchases_are_ordered_received_invoiced_and_paid() {
    let sim = sim().await;
    let (item, _) = stocked(&sim, 5).await;
    let (id, sku) = (text(&item, "ID"), text(&item, "SKU"));
    let supplier = text(&sim.get("supplier").await["SupplierList"][0], "ID");
    let before = (
        sum(&sim, &id, "Main Warehouse", "OnHand").await,
        sim.get(&format!(
            "ref/productavailability?ID={id}&Location=Main%20Warehouse"
        ))
        .await["ProductAvailabilityList"][0]["OnOrder"]
            .clone(),
    );
    for path in ["purchase", "advanced-purchase"] {
        let purchase = sim.post(path, json!({"SupplierID": supplier, "Location": "Main Warehouse", "Order": {"Lines": [{"SKU": sku}]}})).await;
        let task = text(&purchase, "ID");
        assert_eq!(
            purchase["Order"]["Lines"],
            json!([]),
            "nested lines are ignored"
        );
        let wrong = sim.refused("POST", "purchase/order", json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [{"SKU": sku, "Quantity": 10, "Price": 1, "Total": 11}]})).await;
        assert!(
            path == "advanced-purchase" || wrong.contains("'Total'"),
            "{wrong}"
        );
        if path == "advanced-purchase" {
            continue;
        }
        sim.post("purchase/order", json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [{"SKU": sku, "Quantity": 10, "Price": 1}]})).await;
        let lines = json!([{"SKU": sku, "Quantity": 10, "Location": "Main Warehouse"}]);
        assert_eq!(
            sim.refused(
                "POST",
                "purchase/stock",
                json!({"TaskID": task, "Status": "AUTHORISED", "Lines": lines})
            )
            .await,
            "'Date' is required for 'Lines' line"
        );
        let line =
            json!({"SKU": sku, "Quantity": 10, "Location": "Main Warehouse", "Date": "2026-01-03"});
        let twice = sim
            .refused(
                "POST",
                "purchase/stock",
                json!({"TaskID": task, "Status": "DRAFT", "Lines": [line, line]}),
            )
            .await;
        assert!(twice.starts_with("Cannot add duplicate value"), "{twice}");
        sim.post(
            "purchase/stock",
            json!({"TaskID": task, "Status": "DRAFT", "Lines": [line]}),
        )
        .await;
        sim.post(
            "purchase/stock",
            json!({"TaskID": task, "Status": "AUTHORISED", "Lines": []}),
        )
        .await;
        assert_eq!(
            sum(&sim, &id, "Main Warehouse", "OnHand").await,
            before.0 + Decimal::TEN
        );
        sim.post("purchase/invoice", json!({"TaskID": task, "Status": "AUTHORISED", "InvoiceNumber": "B1", "Lines": [{"SKU": sku, "Quantity": 10, "Price": 1}]})).await;
        sim.post(
            "purchase/payment",
            json!({"TaskID": task, "Amount": 10, "Account": "090"}),
        )
        .await;
        let row = sim.get("purchaseList?Search=B1").await["PurchaseList"][0].clone();
        assert_eq!(
            (text(&row, "Status"), text(&row, "CombinedReceivingStatus")),
            ("COMPLETED".into(), "FULLY RECEIVED".into())
        );
    }
    let after = sim
        .get(&format!(
            "ref/productavailability?ID={id}&Location=Main%20Warehouse"
        ))
        .await["ProductAvailabilityList"][0]["OnOrder"]
        .clone();
    assert_eq!(before.1, after);
    crate::balance::check(&sim, OnHandFalls::Pick);
}

#[tokio::test]
async fn master_data_is_created_changed_and_checked_by_name() {
    let sim = sim().await;
    let customer = sim.post("customer", json!({"Name": "Heron Ltd", "Currency": "GBP", "PaymentTerm": "30 days", "TaxRule": "Tax Exempt",
        "AccountReceivable": "610", "RevenueAccount": "200", "Contacts": [{"Name": "Kit", "Default": true}]})).await;
    assert_eq!(
        (customer["Total"].clone(), customer["Page"].clone()),
        (json!(1), json!(1))
    );
    let id = text(&customer["CustomerList"][0], "ID");
    assert_eq!(
        text(&customer["CustomerList"][0]["Contacts"][0], "ID").len(),
        36
    );
    assert_eq!(sim.refused("POST", "customer", json!({"Name": "HERON LTD", "Currency": "GBP", "PaymentTerm": "30 days", "TaxRule": "Tax Exempt", "AccountReceivable": "610", "RevenueAccount": "200"})).await, "This customer already exists. Customer name must be unique.");
    assert_eq!(
        sim.refused(
            "PUT",
            "customer",
            json!({"ID": id, "PaymentTerm": "7 days"})
        )
        .await,
        "Active payment term with name 7 days was not found in Payment Terms reference book"
    );
    sim.put(
        "PUT",
        "customer",
        json!({"ID": id, "Status": "Deprecated", "CreditLimit": 50.5}),
    )
    .await;
    assert_eq!(sim.get("customer?Name=heron").await["Total"], 0);
    assert_eq!(
        decimal(&sim.get(&format!("customer?ID={id}")).await["CustomerList"][0]["CreditLimit"]),
        "50.5".parse().unwrap()
    );
    assert_eq!(sim.refused("POST", "product", json!({"SKU": "X", "Name": "X", "Category": "None", "Type": "Stock", "CostingMethod": "FIFO", "UOM": "Item"})).await, "Category not found.");
    assert_eq!(
        sim.refused("POST", "ref/unit", json!({"Name": "ITEM"}))
            .await,
        "This unit already exists. Unit name must be unique."
    );
    let brand = sim.post("ref/brand", json!({"Name": "Kingfisher"})).await["BrandList"][0].clone();
    sim.put(
        "PUT",
        "ref/brand",
        json!({"ID": brand["ID"], "Name": "Heron"}),
    )
    .await;
    assert_eq!(sim.get("ref/brand?Name=Heron").await["Total"], 1);
    assert_eq!(
        sim.put(
            "DELETE",
            &format!("ref/brand?ID={}", text(&brand, "ID")),
            json!({})
        )
        .await,
        json!({"Success": true})
    );
    let place = sim
        .post(
            "ref/location",
            json!({"Name": "Cardiff", "Bins": [{"Name": "C1"}]}),
        )
        .await;
    assert_eq!(
        (text(&place, "Name"), text(&place["Bins"][0], "Name")),
        ("Cardiff".into(), "C1".into())
    );
    assert!(
        sim.all("ref/location", "LocationList")
            .await
            .iter()
            .any(|row| row["ParentID"] == place["ID"])
    );
}
