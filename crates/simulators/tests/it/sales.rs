//! Sales written by a client: header, quote, order, invoice, payment, credit note.

use crate::client::{Sim, decimal, sim, text};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// A plain product with at least `units` free in the main warehouse, and how many there are.
pub async fn stocked(sim: &Sim, units: i64) -> (Value, Decimal) {
    let products = sim.all("product", "Products").await;
    for product in products.into_iter().filter(|p| {
        p["CostingMethod"] == "FIFO" && p["Type"] == "Stock" && p["BillOfMaterial"] == false
    }) {
        let free = free(sim, &text(&product, "ID"), "Main Warehouse").await;
        if free >= Decimal::from(units) {
            return (product, free);
        }
    }
    panic!("nothing has {units} units");
}

pub async fn free(sim: &Sim, product: &str, location: &str) -> Decimal {
    sum(sim, product, location, "Available").await
}

pub async fn sum(sim: &Sim, product: &str, location: &str, key: &str) -> Decimal {
    let rows = sim
        .get(&format!(
            "ref/productavailability?ID={product}&Location={}",
            location.replace(' ', "%20")
        ))
        .await;
    rows["ProductAvailabilityList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| decimal(&row[key]))
        .sum()
}

pub async fn new_sale(sim: &Sim, kind: &str) -> String {
    let sale = sim.post("sale", json!({"Customer": "walk-in", "Location": "Main Warehouse", "SkipQuote": true, "SaleType": kind})).await;
    text(&sale, "ID")
}

pub async fn order(
    sim: &Sim,
    kind: &str,
    product: &Value,
    quantity: Decimal,
    mode: &str,
) -> (String, Value) {
    let id = new_sale(sim, kind).await;
    let answer = sim.post("sale/order", json!({"SaleID": id, "Status": "AUTHORISED", "AutoPickPackShipMode": mode,
        "Lines": [{"ProductID": product["ID"], "SKU": product["SKU"], "Name": product["Name"], "Quantity": quantity.to_string().parse::<f64>().unwrap(),
                   "Price": 2.5, "Tax": 0, "TaxRule": "Tax Exempt"}]})).await;
    (id, answer)
}

#[tokio::test]
async fn a_sale_goes_from_quote_to_completed() {
    let sim = sim().await;
    let (product, _) = stocked(&sim, 5).await;
    let sale = sim.post("sale", json!({"Customer": "Walk-in", "Location": "Main Warehouse", "CustomerReference": "PO 7", "ExternalID": "shop-7"})).await;
    let id = text(&sale, "ID");
    assert_eq!(
        (text(&sale, "Status"), text(&sale, "PriceTier").is_empty()),
        ("ESTIMATING".into(), false)
    );
    assert_eq!(
        sim.get("saleList?ExternalID=SHOP-7").await["SaleList"][0]["CustomerReference"],
        "PO 7"
    );
    let line = json!({"SKU": product["SKU"], "Name": "x", "Quantity": 4, "Price": 2.5, "Tax": 2, "TaxRule": "20% (VAT on Income)", "Total": 10});
    let early = sim
        .refused(
            "POST",
            "sale/order",
            json!({"SaleID": id, "Status": "DRAFT", "Lines": [line]}),
        )
        .await;
    assert!(early.contains("quote"), "{early}");
    sim.post(
        "sale/quote",
        json!({"SaleID": id, "Status": "AUTHORISED", "Lines": [line]}),
    )
    .await;
    let status = async || text(&sim.get(&format!("sale?ID={id}")).await, "Status");
    assert_eq!(status().await, "ESTIMATED");
    sim.post(
        "sale/order",
        json!({"SaleID": id, "Status": "DRAFT", "Lines": [line]}),
    )
    .await;
    assert_eq!(status().await, "ORDERING");
    let order = sim.post("sale/order", json!({"SaleID": id, "Status": "AUTHORISED", "AutoPickPackShipMode": "AUTOPICKPACKSHIP", "Lines": [line]})).await;
    assert_eq!(decimal(&order["Total"]), Decimal::from(12));
    assert_eq!(status().await, "SHIPPING");
    let invoice = sim.post("sale/invoice", json!({"SaleID": id, "TaskID": "00000000-0000-0000-0000-000000000000", "Status": "AUTHORISED", "Lines": [line]})).await;
    assert_eq!(status().await, "INVOICED");
    let task = text(&invoice["Invoices"][0], "TaskID");
    assert_eq!(
        task, id,
        "the invoice of a simple sale has the id of the sale"
    );
    let part = json!({"TaskID": task, "Type": "Payment", "Amount": 5, "DatePaid": "2026-01-05", "Account": "090", "CurrencyRate": 1});
    sim.post("sale/payment", part.clone()).await;
    let over = sim
        .refused(
            "POST",
            "sale/payment",
            json!({"TaskID": task, "Type": "Payment", "Amount": 8, "Account": "090"}),
        )
        .await;
    assert!(over.contains("balance"), "{over}");
    sim.post(
        "sale/payment",
        json!({"TaskID": task, "Type": "PAYMENT", "Amount": 7, "Account": "090"}),
    )
    .await;
    let sale = sim.get(&format!("sale?ID={id}")).await;
    assert_eq!(
        (text(&sale, "Status"), text(&sale, "CombinedPaymentStatus")),
        ("COMPLETED".into(), "PAID".into())
    );
    assert_eq!(
        sim.get(&format!("sale/payment?SaleID={id}"))
            .await
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let before = free(&sim, &text(&product, "ID"), "Main Warehouse").await;
    sim.post("sale/creditnote", json!({"SaleID": id, "Status": "AUTHORISED", "Lines": [{"SKU": product["SKU"], "Quantity": 1, "Price": 2.5}],
        "Restock": [{"SKU": product["SKU"], "Quantity": 1, "RestockLocation": "Main Warehouse"}]})).await;
    assert_eq!(
        free(&sim, &text(&product, "ID"), "Main Warehouse").await,
        before + Decimal::ONE
    );
    assert_eq!(
        sim.get("saleCreditNoteList?Search=PO%207").await["Total"],
        1
    );
}

#[tokio::test]
async fn a_shortage_becomes_a_backorder_and_is_served_when_goods_arrive() {
    let sim = sim().await;
    let (product, there) = stocked(&sim, 5).await;
    let id = text(&product, "ID");
    let (sale, answer) = order(
        &sim,
        "Simple",
        &product,
        there + Decimal::from(3),
        "AUTOPICK",
    )
    .await;
    assert_eq!(
        decimal(&answer["Lines"][0]["BackorderQuantity"]),
        Decimal::from(3)
    );
    let document = sim.get(&format!("sale?ID={sale}")).await;
    assert_eq!(
        (
            text(&document, "Status"),
            document["Fulfilments"].as_array().unwrap().len()
        ),
        ("BACKORDERED".into(), 0)
    );
    assert_eq!(free(&sim, &id, "Main Warehouse").await, Decimal::ZERO);
    let on_hand = sum(&sim, &id, "Leeds", "OnHand").await;
    sim.post("stockadjustment", json!({"Status": "COMPLETED", "EffectiveDate": "2026-01-03", "Account": "429", "UpdateOnHand": true,
        "Lines": [{"ProductID": id, "Location": "Leeds", "Quantity": (on_hand + Decimal::TEN).to_string().parse::<f64>().unwrap()}]})).await;
    sim.post("stockTransfer", json!({"Status": "COMPLETED", "FromLocation": "Leeds", "ToLocation": "Main Warehouse", "Lines": [{"SKU": product["SKU"], "TransferQuantity": 3}]})).await;
    let document = sim.get(&format!("sale?ID={sale}")).await;
    assert_eq!(
        (
            text(&document, "Status"),
            decimal(&document["Order"]["Lines"][0]["BackorderQuantity"])
        ),
        ("ORDERED".into(), Decimal::ZERO)
    );
}

#[tokio::test]
async fn voiding_frees_stock_and_empties_the_parts() {
    let sim = sim().await;
    let (product, there) = stocked(&sim, 5).await;
    let (id, _) = order(
        &sim,
        "Simple",
        &product,
        Decimal::from(5),
        "AUTOPICKPACKSHIP",
    )
    .await;
    assert_eq!(
        free(&sim, &text(&product, "ID"), "Main Warehouse").await,
        there - Decimal::from(5)
    );
    sim.put("DELETE", &format!("sale?ID={id}&Void=true"), json!({}))
        .await;
    assert_eq!(
        free(&sim, &text(&product, "ID"), "Main Warehouse").await,
        there
    );
    let sale = sim.get(&format!("sale?ID={id}")).await;
    assert_eq!(
        (text(&sale, "Status"), text(&sale["Order"], "Status")),
        ("VOIDED".into(), "VOIDED".into())
    );
    for part in ["Pick", "Pack", "Ship"] {
        assert_eq!(
            sale["Fulfilments"][0][part], sale["Fulfilments"][0][part],
            "{part}"
        );
        assert_eq!(sale["Fulfilments"][0][part]["Lines"], json!([]), "{part}");
    }
    assert_eq!(
        sim.get("saleList?Status=VOIDED&Limit=1").await["SaleList"][0]["SaleID"],
        id.as_str()
    );
    assert_eq!(
        sim.refused("POST", "sale/fulfilment", json!({"SaleID": id}))
            .await,
        "Sale is voided"
    );
}

#[tokio::test]
async fn bad_input_is_refused_with_an_error_array_and_changes_nothing() {
    let sim = sim().await;
    let (product, _) = stocked(&sim, 5).await;
    let id = new_sale(&sim, "Simple").await;
    let before = sim.get(&format!("sale?ID={id}")).await;
    let line = |more: Value| {
        let mut line = json!({"ProductID": product["ID"], "Quantity": 1, "Price": 2});
        for (key, value) in more.as_object().unwrap() {
            line[key] = value.clone();
        }
        json!({"SaleID": id, "Status": "AUTHORISED", "Lines": [line]})
    };
    for (body, words) in [
        (
            json!({"Status": "DRAFT"}),
            "Required attribute 'SaleID' not provided.",
        ),
        (
            json!({"SaleID": id, "Lines": []}),
            "Required attribute 'Status' not provided.",
        ),
        (
            json!({"SaleID": id, "Status": "SENT"}),
            "'Status' cannot be 'SENT'.",
        ),
        (line(json!({"Quantity": 0})), "greater than 0"),
        (line(json!({"Quantity": "many"})), "not a number"),
        (line(json!({"Total": 3})), "expected 2, received 3"),
        (
            line(json!({"TaxRule": "No such rule"})),
            "was not found in reference book",
        ),
        (
            line(json!({"ProductID": "00000000-0000-4000-8000-00000000000f"})),
            "was not found",
        ),
        (line(json!({"Discount": 101})), "between 0 and 100"),
        (
            json!({"SaleID": "x", "Status": "DRAFT"}),
            "not a valid GUID",
        ),
        (
            json!({"SaleID": id, "Status": "AUTHORISED", "Lines": []}),
            "at least one order line",
        ),
        (
            json!({"SaleID": id, "Status": "AUTHORISED", "Lines": [7]}),
            "Lines is invalid",
        ),
    ] {
        let fault = sim.refused("POST", "sale/order", body.clone()).await;
        assert!(fault.contains(words), "{body}: {fault}");
    }
    assert_eq!(sim.get(&format!("sale?ID={id}")).await, before);
    assert_eq!(
        sim.refused("POST", "sale", json!({"Customer": "Walk-in"}))
            .await,
        "Required attribute 'Location' not provided."
    );
    assert_eq!(
        sim.refused(
            "POST",
            "sale",
            json!({"Customer": "Walk-in", "Location": "Nowhere"})
        )
        .await,
        "Location Nowhere was not found in Locations reference book"
    );
    assert_eq!(
        sim.refused(
            "POST",
            "sale/payment",
            json!({"TaskID": id, "Type": "Payment", "Amount": 1, "Account": "090"})
        )
        .await,
        "Payment can be added to an authorised invoice only"
    );
    assert_eq!(
        sim.refused(
            "POST",
            "sale/creditnote",
            json!({"SaleID": id, "Status": "DRAFT"})
        )
        .await,
        "Credit note needs an invoice that is authorised or paid"
    );
}
