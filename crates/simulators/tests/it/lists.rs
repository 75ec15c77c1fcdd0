//! Envelopes, list keys, paging, order, filters.

use crate::client::{sim, text};
use std::collections::BTreeSet;

/// Path, list key, whether the envelope has a total.
const LISTS: [(&str, &str, bool); 44] = [
    ("saleList", "SaleList", true),
    ("saleCreditNoteList", "SaleList", true),
    ("purchaseList", "PurchaseList", true),
    ("purchaseCreditNoteList", "PurchaseList", true),
    ("product", "Products", true),
    ("productFamily", "ProductFamilies", true),
    ("ref/productavailability", "ProductAvailabilityList", true),
    ("stockadjustmentList", "StockAdjustmentList", true),
    ("stockTakeList", "StockAdjustmentList", true),
    ("stockTransferList", "StockTransferList", true),
    ("inventoryWriteOffList", "InventoryWriteOffs", true),
    ("finishedGoodsList", "FinishedGoods", true),
    ("disassemblyList", "Disassemblies", true),
    ("production/orderList", "ProductionOrderListItems", false),
    ("production/workcenters", "WorkCenters", true),
    ("production/resourceList", "Resources", true),
    ("production/suspendReason", "SuspendReasons", true),
    ("customer", "CustomerList", true),
    ("supplier", "SupplierList", true),
    ("ref/customer/credits", "CustomerCredits", false),
    ("ref/customer/templates", "CustomerTemplates", false),
    ("ref/supplier/deposits", "SupplierDeposits", false),
    ("ref/templates", "Templates", false),
    ("ref/location", "LocationList", true),
    ("ref/account", "AccountsList", true),
    ("ref/account/bank", "BankAccountsList", true),
    ("ref/tax", "TaxRuleList", true),
    ("ref/priceTier", "PriceTiers", false),
    ("ref/carrier", "CarrierList", true),
    ("ref/paymentterm", "PaymentTermList", true),
    ("ref/category", "CategoryList", true),
    ("ref/brand", "BrandList", true),
    ("ref/unit", "UnitList", true),
    ("ref/attributeset", "AttributeSetList", true),
    ("ref/fixedassettype", "FixedAssetTypeList", true),
    ("reference/deals", "Deals", false),
    ("reference/discount", "DiscountRules", true),
    ("reference/shipZones", "ShipZones", true),
    ("transactions", "Transactions", true),
    ("journal", "Journals", true),
    ("moneyTaskList", "MoneyTasks", true),
    ("me/contacts", "MeContactsList", true),
    ("crm/opportunity", "opportunityList", true),
    ("webhooks", "Webhooks", false),
];

#[tokio::test]
async fn every_list_has_its_documented_key_and_envelope() {
    let sim = sim().await;
    for (path, key, total) in LISTS {
        let answer = sim.get(path).await;
        assert!(answer[key].is_array(), "{path}: {answer}");
        assert_eq!(answer["Total"].is_u64(), total, "{path}: {answer}");
        if total {
            assert_eq!(answer["Page"], 1, "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_past_the_end_is_empty_and_the_limit_is_held_between_1_and_1000() {
    let sim = sim().await;
    let all = sim.get("saleList?Limit=100000").await;
    assert_eq!(all["Total"], 200);
    assert_eq!(all["SaleList"].as_array().unwrap().len(), 200);
    let past = sim.get("saleList?Page=9").await;
    assert_eq!(
        (past["Total"].as_u64(), past["Page"].as_u64()),
        (Some(200), Some(9))
    );
    assert_eq!(past["SaleList"].as_array().unwrap().len(), 0);
    assert_eq!(
        sim.get("saleList?Limit=0").await["SaleList"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        sim.get("saleList").await["SaleList"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
}

#[tokio::test]
async fn pages_together_hold_every_row_once() {
    let sim = sim().await;
    for (path, key, id) in [
        ("saleList", "SaleList", "SaleID"),
        ("product", "Products", "ID"),
        ("customer", "CustomerList", "ID"),
        ("stockTransferList", "StockTransferList", "TaskID"),
    ] {
        let rows = sim.all(path, key).await;
        let ids: BTreeSet<String> = rows.iter().map(|row| text(row, id)).collect();
        assert_eq!(ids.len(), rows.len(), "{path}");
        assert_eq!(
            ids,
            sim.cin7.truth(sim.id()).ids(path).into_iter().collect(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn lists_are_sorted_as_observed() {
    let sim = sim().await;
    let column = |rows: Vec<serde_json::Value>, key: &str| {
        rows.iter().map(|r| text(r, key)).collect::<Vec<_>>()
    };
    let purchases = column(sim.all("purchaseList", "PurchaseList").await, "OrderNumber");
    assert!(purchases.len() > 5 && purchases.is_sorted());
    let transfers = column(
        sim.all("stockTransferList", "StockTransferList").await,
        "Number",
    );
    assert!(transfers.len() > 5 && transfers.iter().rev().is_sorted());
    let adjustments = column(
        sim.all("stockadjustmentList", "StockAdjustmentList").await,
        "EffectiveDate",
    );
    assert!(adjustments.len() > 5 && adjustments.is_sorted());
    let sales = column(sim.all("saleList", "SaleList").await, "OrderDate");
    assert!(sales.iter().rev().is_sorted());
}

#[tokio::test]
async fn sales_are_filtered_by_time_of_change_and_by_status() {
    let sim = sim().await;
    let rows = sim.all("saleList", "SaleList").await;
    let mut stamps: Vec<String> = rows.iter().map(|r| text(r, "Updated")).collect();
    stamps.sort();
    let middle = &stamps[120];
    let expected =
        |f: &dyn Fn(&serde_json::Value) -> bool| rows.iter().filter(|r| f(r)).count() as u64;
    let at = |row: &serde_json::Value| text(row, "Updated").parse::<jiff::Timestamp>().unwrap();
    let since: jiff::Timestamp = middle.parse().unwrap();
    let total = |answer: serde_json::Value| answer["Total"].as_u64().unwrap();
    assert_eq!(
        total(sim.get(&format!("saleList?UpdatedSince={middle}")).await),
        expected(&|r| at(r) >= since)
    );
    assert_eq!(
        total(sim.get(&format!("saleList?UpdatedUntil={middle}")).await),
        expected(&|r| at(r) <= since)
    );
    for (filter, field) in [
        ("Status", "Status"),
        ("OrderStatus", "OrderStatus"),
        ("CombinedPickStatus", "CombinedPickingStatus"),
        ("CombinedPackStatus", "CombinedPackingStatus"),
        ("CombinedShippingStatus", "CombinedShippingStatus"),
        ("CombinedInvoiceStatus", "CombinedInvoiceStatus"),
        ("CreditNoteStatus", "CreditNoteStatus"),
    ] {
        let values: BTreeSet<String> = rows.iter().map(|r| text(r, field)).collect();
        for value in values {
            let found = total(
                sim.get(&format!("saleList?{filter}={}", value.replace(' ', "%20")))
                    .await,
            );
            assert_eq!(
                found,
                expected(&|r| text(r, field) == value),
                "{filter}={value}"
            );
        }
    }
    let search = text(&rows[0], "OrderNumber");
    assert!(
        total(
            sim.get(&format!("saleList?Search={}", search.to_lowercase()))
                .await
        ) >= 1
    );
    assert_eq!(
        sim.call("GET", "saleList?UpdatedSince=yesterday", None)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn the_documented_receipt_filter_is_ignored_and_the_real_one_works() {
    let sim = sim().await;
    let all = sim.get("purchaseList").await["Total"].clone();
    assert_eq!(
        sim.get("purchaseList?RestockReceivedStatus=DRAFT").await["Total"],
        all
    );
    assert_ne!(
        sim.get("purchaseList?StockReceivedStatus=DRAFT").await["Total"],
        all
    );
    assert_eq!(
        sim.get("ref/productavailability?ModifiedSince=2030-01-01")
            .await["Total"],
        sim.get("ref/productavailability").await["Total"]
    );
}

#[tokio::test]
async fn deprecated_products_show_only_when_asked_for() {
    let sim = sim().await;
    let count = |answer: serde_json::Value| answer["Total"].as_u64().unwrap();
    let active = count(sim.get("product").await);
    let all = count(sim.get("product?IncludeDeprecated=1").await);
    assert!(all > active, "{all} {active}");
    let hidden = sim.all("product?IncludeDeprecated=true", "Products").await;
    let hidden = hidden.iter().find(|p| p["Status"] == "Deprecated").unwrap();
    assert_eq!(
        count(
            sim.get(&format!(
                "ref/productavailability?ID={}",
                text(hidden, "ID")
            ))
            .await
        ),
        0
    );
}
