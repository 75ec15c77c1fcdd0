use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::json;
use upstream::Connector;

use super::*;

/// The listener of the connector that is shipped.
fn adjustments() -> Arc<Watch> {
    let text = include_str!("../../../../../connectors/connectwise.toml");
    let connector = Connector::parse("connectwise.toml", text).unwrap();
    Arc::clone(&connector.watches[0])
}

fn totals(watch: &Watch, records: &[Value]) -> Totals {
    let mut sums = Sums::new(watch);
    for record in records {
        let id = record["id"].to_string();
        sums.add(&id, record.to_string().as_bytes());
    }
    sums.totals()
}

fn line(item: i64, on_hand: &Value, adjusted: i64) -> Value {
    json!({ "id": 1, "catalogItem": { "id": item, "identifier": "X" }, "quantityOnHand": on_hand,
            "quantityAdjusted": adjusted })
}

#[test]
fn b64_the_order_of_rows_lines_and_fields_makes_no_difference() {
    let watch = adjustments();
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..200 {
        let mut records: Vec<Value> = (0..rng.random_range(0..20))
            .map(|id| {
                let lines = (0..rng.random_range(0..4)).map(|_| {
                    let on_hand = json!(f64::from(rng.random_range(0..400)) / 4.0);
                    line(rng.random_range(1..6), &on_hand, rng.random_range(-9..9))
                });
                json!({ "id": id, "adjustmentDetails": lines.collect::<Vec<_>>() })
            })
            .collect();
        let before = totals(&watch, &records);
        records.shuffle(&mut rng);
        for record in &mut records {
            record["adjustmentDetails"]
                .as_array_mut()
                .unwrap()
                .shuffle(&mut rng);
            // The same fields in another order, with others between them.
            let fields: Vec<(String, Value)> = record
                .as_object()
                .unwrap()
                .clone()
                .into_iter()
                .rev()
                .collect();
            *record = Value::Object(
                std::iter::once(("_info".to_owned(), json!({})))
                    .chain(fields)
                    .collect(),
            );
        }
        assert_eq!(totals(&watch, &records), before, "seed {seed}");
    }
}

#[test]
fn b69_rows_that_are_rewritten_with_equal_totals_add_up_to_the_same() {
    let watch = adjustments();
    let before =
        [json!({ "id": 1, "adjustmentDetails": [line(7, &json!(10), 4), line(8, &json!(1), 1)] })];
    let after = [
        json!({ "id": 2, "adjustmentDetails": [line(7, &json!(4.0), 3)] }),
        json!({ "id": 3, "adjustmentDetails": [line(8, &json!("1.00"), 1), line(7, &json!(6), 1)] }),
    ];
    assert_eq!(totals(&watch, &before), totals(&watch, &after));
    assert_eq!(totals(&watch, &before)["7"], ["10", "4"]);
}

#[test]
fn a_record_listed_twice_counts_once() {
    let watch = adjustments();
    let one = json!({ "id": 1, "adjustmentDetails": [line(7, &json!(10), 4)] });
    assert_eq!(
        totals(&watch, &[one.clone(), one.clone()]),
        totals(&watch, &[one])
    );
}

#[test]
fn odd_lines_are_counted_and_do_not_spoil_the_others() {
    let watch = adjustments();
    let mut sums = Sums::new(&watch);
    let lines = json!([line(7, &json!(0.1), 1), line(7, &json!(0.2), 1), { "catalogItem": {} }, 5, null,
                       line(7, &json!([1]), 1), line(7, &Value::Null, 0)]);
    sums.add(
        "1",
        json!({ "adjustmentDetails": lines }).to_string().as_bytes(),
    );
    sums.add("2", b"{torn");
    sums.add("3", br#"{"adjustmentDetails":null}"#);
    assert_eq!(sums.unreadable, 5);
    assert!(sums.has_lines());
    assert_eq!(sums.totals()["7"], ["0.3", "2"], "decimals add up exactly");
}
