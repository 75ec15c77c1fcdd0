//! Pick, pack, ship, and the rules between them.

use crate::client::{decimal, sim, sim_with, text};
use crate::sales::{free, order, stocked, sum};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::cin7::{OnHandFalls, Options};

fn line(product: &Value, row: &Value, quantity: u32) -> Value {
    let location = text(row, "Location");
    let place = row["Bin"]
        .as_str()
        .map_or(location.clone(), |bin| format!("{location}: {bin}"));
    json!({"ProductID": product["ID"], "SKU": product["SKU"], "Quantity": quantity, "Location": place})
}

#[tokio::test]
async fn shipments_are_written_one_after_another_and_convert_a_simple_sale() {
    let sim = sim().await;
    let (product, there) = stocked(&sim, 6).await;
    let (id, _) = order(&sim, "Simple", &product, Decimal::from(6), "NOPICK").await;
    let rows = sim
        .get(&format!(
            "ref/productavailability?ID={}&Location=Main%20Warehouse",
            text(&product, "ID")
        ))
        .await;
    let row = rows["ProductAvailabilityList"]
        .as_array()
        .unwrap()
        .iter()
        .max_by_key(|r| decimal(&r["OnHand"]))
        .unwrap()
        .clone();
    let first = sim.post("sale/fulfilment", json!({"SaleID": id})).await;
    let task = text(&first["Fulfilments"][0], "TaskID");
    assert_eq!(
        task, id,
        "the first fulfilment of a simple sale has the id of the sale"
    );
    assert_eq!(
        first["Fulfilments"][0]["Pick"],
        json!({"Status": "DRAFT", "Lines": []})
    );
    assert_eq!(first["Fulfilments"][0]["Ship"]["Status"], "NOT AVAILABLE");
    let second = sim
        .refused("POST", "sale/fulfilment", json!({"SaleID": id}))
        .await;
    assert!(second.contains("not authorised"), "{second}");
    let early = sim
        .refused(
            "POST",
            "sale/fulfilment/pack",
            json!({"TaskID": task, "Status": "DRAFT"}),
        )
        .await;
    assert!(early.contains("pick is authorised"), "{early}");
    let over = sim
        .refused(
            "POST",
            "sale/fulfilment/pick",
            json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [line(&product, &row, 7)]}),
        )
        .await;
    assert!(over.contains("exceeds the ordered quantity"), "{over}");
    let picked = sim
        .post(
            "sale/fulfilment/pick",
            json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [line(&product, &row, 2)]}),
        )
        .await;
    assert_eq!(
        (
            text(&picked, "Status"),
            picked["Lines"].as_array().unwrap().len()
        ),
        ("AUTHORISED".into(), 1)
    );
    assert_eq!(
        free(&sim, &text(&product, "ID"), "Main Warehouse").await,
        there - Decimal::from(6)
    );
    let again = sim
        .refused(
            "PUT",
            "sale/fulfilment/pick",
            json!({"TaskID": task, "Status": "AUTHORISED", "Lines": []}),
        )
        .await;
    assert!(again.contains("status AUTHORISED"), "{again}");
    let mut packed = line(&product, &row, 2);
    packed["Box"] = json!("Box A");
    sim.post(
        "sale/fulfilment/pack",
        json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [packed]}),
    )
    .await;
    let wrong = sim
        .refused(
            "POST",
            "sale/fulfilment/ship",
            json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [{"Box": "Box B"}]}),
        )
        .await;
    assert!(wrong.contains("Box 'Box B' was not found"), "{wrong}");
    let shipped = sim.post("sale/fulfilment/ship", json!({"TaskID": task, "Status": "PARTIALLY AUTHORISED",
        "Lines": [{"ShipmentDate": "2026-01-05", "Carrier": "DHL", "Box": "Box A", "TrackingNumber": "T1", "IsShipped": true}]})).await;
    assert_eq!(
        (
            text(&shipped, "Status"),
            text(&shipped["Lines"][0], "Boxes")
        ),
        ("AUTHORISED".into(), "Box A".into())
    );
    let tracked = sim.put("PUT", "sale/fulfilment/ship", json!({"TaskID": task, "AddTrackingNumbers": true, "Lines": [{"Box": "Box A", "Carrier": "DPD", "TrackingNumber": "T2"}]})).await;
    assert_eq!(text(&tracked["Lines"][0], "TrackingNumber"), "T2");
    let sale = sim.get(&format!("sale?ID={id}")).await;
    assert_eq!(
        (text(&sale, "CombinedShippingStatus"), text(&sale, "Type")),
        ("PARTIALLY SHIPPED".into(), "Simple Sale".into())
    );
    let second = sim.post("sale/fulfilment", json!({"SaleID": id})).await;
    let task = text(&second["Fulfilments"][1], "TaskID");
    assert_ne!(task, id);
    assert_eq!(
        text(&sim.get(&format!("sale?ID={id}")).await, "Type"),
        "Advanced Sale"
    );
    let rest = sim
        .post(
            "sale/fulfilment/pick",
            json!({"TaskID": task, "AutoPickMode": "AUTOPICK"}),
        )
        .await;
    let quantity: Decimal = rest["Lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| decimal(&l["Quantity"]))
        .sum();
    assert_eq!(
        (text(&rest, "Status"), quantity),
        ("AUTHORISED".into(), Decimal::from(4))
    );
    assert_eq!(
        text(
            &sim.get(&format!("sale?ID={id}")).await,
            "CombinedPickingStatus"
        ),
        "PICKED"
    );
}

#[tokio::test]
async fn on_hand_falls_at_the_pick_or_at_the_shipment_as_the_switch_says() {
    for (falls, after_pick) in [(OnHandFalls::Pick, 3), (OnHandFalls::Ship, 0)] {
        let sim = sim_with(Options {
            on_hand_falls_at: falls,
            ..Options::for_testing()
        })
        .await;
        let (product, _) = stocked(&sim, 5).await;
        let id = text(&product, "ID");
        let before = sum(&sim, &id, "Main Warehouse", "OnHand").await;
        let (sale, _) = order(&sim, "Simple", &product, Decimal::from(3), "AUTOPICKPACK").await;
        assert_eq!(
            sum(&sim, &id, "Main Warehouse", "OnHand").await,
            before - Decimal::from(after_pick),
            "{falls:?}"
        );
        sim.post("sale/fulfilment/ship", json!({"TaskID": sale, "Status": "AUTHORISED", "Lines": [{"Box": "Box 1", "IsShipped": true}]})).await;
        assert_eq!(
            sum(&sim, &id, "Main Warehouse", "OnHand").await,
            before - Decimal::from(3),
            "{falls:?}"
        );
        crate::balance::check(&sim, falls);
    }
}

#[tokio::test]
async fn deleting_an_authorised_fulfilment_does_nothing_unless_the_switch_says_so() {
    for (fulfilment_delete_applies, status) in [(false, "AUTHORISED"), (true, "DRAFT")] {
        let sim = sim_with(Options {
            fulfilment_delete_applies,
            ..Options::for_testing()
        })
        .await;
        let (product, _) = stocked(&sim, 5).await;
        let (id, _) = order(&sim, "Simple", &product, Decimal::from(3), "AUTOPICK").await;
        let answer = sim
            .put(
                "DELETE",
                &format!("sale/fulfilment?TaskID={id}&Void=false"),
                json!({}),
            )
            .await;
        assert_eq!(text(&answer["Fulfilments"][0]["Pick"], "Status"), status);
        crate::balance::check(&sim, OnHandFalls::Pick);
    }
}

#[tokio::test]
async fn goods_promised_to_others_cannot_be_picked() {
    let sim = sim().await;
    let (product, there) = stocked(&sim, 4).await;
    let (_, _) = order(&sim, "Simple", &product, there - Decimal::ONE, "NOPICK").await;
    let (late, answer) = order(&sim, "Simple", &product, Decimal::from(2), "NOPICK").await;
    assert_eq!(
        decimal(&answer["Lines"][0]["BackorderQuantity"]),
        Decimal::ONE
    );
    sim.post("sale/fulfilment", json!({"SaleID": late})).await;
    let rows = sim
        .get(&format!(
            "ref/productavailability?ID={}&Location=Main%20Warehouse",
            text(&product, "ID")
        ))
        .await;
    let row = rows["ProductAvailabilityList"]
        .as_array()
        .unwrap()
        .iter()
        .max_by_key(|r| decimal(&r["OnHand"]))
        .unwrap()
        .clone();
    let fault = sim
        .refused(
            "POST",
            "sale/fulfilment/pick",
            json!({"TaskID": late, "Status": "AUTHORISED", "Lines": [line(&product, &row, 2)]}),
        )
        .await;
    assert!(fault.contains("cannot pick 2"), "{fault}");
    crate::balance::check(&sim, OnHandFalls::Pick);
}
