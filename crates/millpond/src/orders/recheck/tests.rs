use serde_json::{Value, json};

use super::*;
use crate::orders::documents::{DocPart, Step};

const NOW: &str = "2026-03-02";

/// A shipment of "sku qty" lines from L1, every unit of a lot named after its SKU.
fn doc(lines: &str) -> ShipmentDoc {
    let lines: Vec<DocLine> = pairs(lines)
        .into_iter()
        .enumerate()
        .map(|(at, (sku, qty))| DocLine {
            line: (at + 1).to_string(),
            product: sku.clone(),
            sku,
            qty,
        })
        .collect();
    let takes = lines.iter().map(|line| DocTake {
        node: line.sku.clone(),
        facts: facts(&line.sku),
        qty: line.qty,
    });
    ShipmentDoc {
        number: 1,
        order: "SO-1".to_owned(),
        sale: "s".to_owned(),
        loc: "L1".to_owned(),
        home: "L2".to_owned(),
        takes: takes.collect(),
        kits: Vec::new(),
        steps: vec![Step::Task, Step::Pick],
        converts: false,
        complete: Complete::None,
        min_fill_pct: 0,
        min_shelf_days: 0,
        open_units: lines.iter().map(|line| line.qty).sum(),
        other_units: 0,
        cross: None,
        services: Vec::new(),
        carrier: String::new(),
        wip_account: String::new(),
        finished_account: String::new(),
        lines,
    }
}

fn facts(sku: &str) -> NodeFacts {
    NodeFacts {
        product: sku.to_owned(),
        sku: sku.to_owned(),
        loc: "L1".to_owned(),
        bin: String::new(),
        batch: String::new(),
        expiry: None,
    }
}

fn pairs(text: &str) -> Vec<(String, i64)> {
    let pair = |one: &str| {
        let (sku, qty) = one.trim().split_once(' ').unwrap();
        (sku.to_owned(), qty.parse().unwrap())
    };
    text.split(',')
        .filter(|one| !one.trim().is_empty())
        .map(pair)
        .collect()
}

fn sale(lines: &str) -> Value {
    let lines: Vec<Value> =
        pairs(lines).into_iter().map(|(sku, qty)| json!({ "SKU": sku, "ProductID": sku, "Quantity": qty, "BackorderQuantity": qty })).collect();
    json!({ "ID": "s", "Status": "ORDERED", "Order": { "Status": "AUTHORISED", "Lines": lines } })
}

fn rows(text: &str) -> Vec<(String, Availability)> {
    let row = |(sku, qty): (String, i64)| {
        let row = json!({ "ID": sku, "SKU": sku, "Location": "L1", "OnHand": qty });
        (sku, serde_json::from_value(row).unwrap())
    };
    pairs(text).into_iter().map(row).collect()
}

/// What is written: "sku qty" by line, then kits; or why nothing is.
fn judged(doc: &ShipmentDoc, sale: Value, stock: &str) -> String {
    let sale: Sale = serde_json::from_value(sale).unwrap();
    let rows = rows(stock);
    let fresh = Fresh {
        sale: Some(&sale),
        rows: &rows,
        is_open: true,
        now: Day::parse(NOW).unwrap(),
    };
    match judge(doc, &fresh, &Scales::default()) {
        Err(dropped) => format!("{:?}", dropped.code),
        Ok(found) => {
            let lines: Vec<String> = found
                .lines
                .iter()
                .map(|line| format!("{} {}", line.sku, line.qty))
                .collect();
            let kits: Vec<String> = found
                .kits
                .iter()
                .map(|kit| format!("make {} {}", kit.sku, kit.qty))
                .collect();
            [lines, kits].concat().join(", ")
        }
    }
}

#[test]
fn what_is_there_is_written_as_planned() {
    assert_eq!(
        judged(&doc("A 6, B 2"), sale("A 6, B 2"), "A 9, B 2"),
        "A 6, B 2"
    );
}

#[test]
fn w15_a_stale_copy_shrinks_what_may_ship_in_part_and_drops_what_may_not() {
    assert_eq!(judged(&doc("A 6"), sale("A 6"), "A 7"), "A 6");
    let mut second = doc("A 4");
    second.complete = Complete::Line;
    assert_eq!(judged(&second, sale("A 4"), "A 1"), "Stale");
    second.complete = Complete::None;
    assert_eq!(judged(&second, sale("A 4"), "A 1"), "A 1");
}

#[test]
fn a_shipment_shrinks_from_its_last_line() {
    assert_eq!(
        judged(&doc("A 6, A 4"), sale("A 6, A 4"), "A 7"),
        "A 6, A 1"
    );
}

#[test]
fn an_order_that_ships_complete_ships_complete_or_not_at_all() {
    let mut doc = doc("A 6, B 2");
    doc.complete = Complete::Order;
    assert_eq!(judged(&doc, sale("A 6, B 2"), "A 6, B 1"), "CompleteOrder");
    assert_eq!(judged(&doc, sale("A 6, B 2"), "A 6, B 2"), "A 6, B 2");
}

#[test]
fn less_than_the_least_share_is_not_worth_a_parcel() {
    let mut doc = doc("A 10");
    doc.min_fill_pct = 50;
    assert_eq!(judged(&doc, sale("A 10"), "A 4"), "MinFill");
    assert_eq!(judged(&doc, sale("A 10"), "A 5"), "A 5");
}

#[test]
fn an_order_that_was_edited_or_voided_is_not_written_blindly() {
    assert_eq!(judged(&doc("A 6"), sale("B 6"), "A 6"), "Stale");
    assert_eq!(judged(&doc("A 6"), sale("A 2"), "A 6"), "A 2");
    let mut voided = sale("A 6");
    voided["Status"] = json!("VOIDED");
    assert_eq!(judged(&doc("A 6"), voided, "A 6"), "State");
    let mut undone = sale("A 6");
    undone["Order"]["Status"] = json!("DRAFT");
    assert_eq!(judged(&doc("A 6"), undone, "A 6"), "State");
}

#[test]
fn what_somebody_else_has_picked_is_not_picked_again() {
    let mut picked = sale("A 6");
    picked["Fulfilments"] = json!([{ "TaskID": "t", "Pick": { "Status": "AUTHORISED", "Lines": [{ "SKU": "A", "ProductID": "A", "Quantity": 5 }] } }]);
    assert_eq!(judged(&doc("A 6"), picked, "A 6"), "A 1");
}

#[test]
fn kits_shrink_by_whole_kits_and_free_their_parts() {
    let mut kits = doc("K 4");
    kits.kits = vec![DocKit {
        product: "K".to_owned(),
        sku: "K".to_owned(),
        qty: 3,
        yields: 1,
        parts: vec![
            DocPart {
                product: "A".to_owned(),
                sku: "A".to_owned(),
                qty: 2,
            },
            DocPart {
                product: "B".to_owned(),
                sku: "B".to_owned(),
                qty: 1,
            },
        ],
    }];
    let take = |sku: &str, qty| DocTake {
        node: sku.to_owned(),
        facts: facts(sku),
        qty,
    };
    kits.takes = vec![take("K", 1), take("A", 6), take("B", 3)];
    assert_eq!(judged(&kits, sale("K 4"), "K 1, A 6, B 3"), "K 4, make K 3");
    assert_eq!(judged(&kits, sale("K 4"), "K 1, A 5, B 3"), "K 3, make K 2");
    assert_eq!(judged(&kits, sale("K 4"), "K 0, A 6, B 3"), "K 3, make K 3");
    assert_eq!(judged(&kits, sale("K 4"), "K 9, A 0, B 0"), "K 1, make K 0");
}

#[test]
fn units_that_were_not_planned_are_left_to_others() {
    // Nine finished kits are there; the plan gave this order one.
    assert_eq!(judged(&doc("A 1"), sale("A 1"), "A 9"), "A 1");
}

#[test]
fn a_closed_location_and_expired_units_ship_nothing() {
    let doc = doc("A 6");
    let sale: Sale = serde_json::from_value(sale("A 6")).unwrap();
    let mut rows = rows("A 6");
    let now = Day::parse(NOW).unwrap();
    let closed = Fresh {
        sale: Some(&sale),
        rows: &rows,
        is_open: false,
        now,
    };
    assert_eq!(
        judge(&doc, &closed, &Scales::default()).unwrap_err().code,
        Code::ShipFrom
    );
    rows[0].1.expiry.0 = Some(now);
    let expired = Fresh {
        sale: Some(&sale),
        rows: &rows,
        is_open: true,
        now,
    };
    assert_eq!(
        judge(&doc, &expired, &Scales::default()).unwrap_err().code,
        Code::Stale
    );
}
