//! What a step is about: the stock it touches, what it is written to, and what its answer shows.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::orders::{
    cin7::{Assembly, Sale},
    documents::{DocKit, ShipmentDoc, Step},
    upstream::{open_task, task_of},
};

/// Everything whose stock a shipment touches: SKU and product.
pub(super) fn products(doc: &ShipmentDoc) -> BTreeSet<(String, String)> {
    let takes = doc
        .takes
        .iter()
        .map(|take| (take.facts.sku.clone(), take.facts.product.clone()));
    let kits = doc
        .kits
        .iter()
        .map(|kit| (kit.sku.clone(), kit.product.clone()));
    takes.chain(kits).collect()
}

/// Whether the sale itself shows that a step was carried out, whatever came after it.
pub(super) fn is_of_the_sale(step: Step) -> bool {
    matches!(
        step,
        Step::Authorise | Step::SellOrder | Step::Pick | Step::Pack | Step::Ship | Step::Invoice
    )
}

/// What a step is written to: the fulfilment, or the assembly.
pub(super) fn target(doc: &ShipmentDoc, step: Step, outcomes: &BTreeMap<i32, Value>) -> String {
    let wanted = match step {
        Step::Complete(nth) => Step::Assemble(nth),
        Step::BuyOrder => Step::Buy,
        _ => Step::Task,
    };
    let at = doc
        .steps
        .iter()
        .position(|step| *step == wanted)
        .and_then(|at| i32::try_from(at + 1).ok());
    let outcome = at.and_then(|at| outcomes.get(&at));
    outcome
        .and_then(|outcome| outcome["TaskID"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// What upstream has assembled for the sale by itself, as the outcome of assembling it: one that is under way is
/// completed by us; one that it completed when we authorised the order is made.
pub(super) fn adopted(
    doc: &ShipmentDoc,
    kit: &DocKit,
    wanted: Decimal,
    own: Vec<Assembly>,
) -> Option<Value> {
    let here =
        |row: &&Assembly| row.product.eq_ignore_ascii_case(&kit.product) && row.location == doc.loc;
    let under_way = own.iter().filter(here).find(|row| {
        row.quantity.0 == wanted && matches!(row.status.as_str(), "AUTHORISED" | "IN PROGRESS")
    });
    if let Some(row) = under_way {
        return Some(json!({ "TaskID": row.task, "adopted": true }));
    }
    // Nothing was assembled for a draft: whatever is complete came of its authorisation.
    let made: Decimal = own
        .iter()
        .filter(here)
        .filter(|row| row.status == "COMPLETED")
        .map(|row| row.quantity.0)
        .sum();
    let is_new = matches!(doc.steps.first(), Some(Step::Authorise | Step::Sell));
    (is_new && made >= wanted).then(|| json!({ "adopted": true, "skipped": true }))
}

/// What an answer shows of its write; `None` when it does not show it.
pub(super) fn answered(step: Step, answer: &Value) -> Option<Value> {
    let has = |status: &str| answer["Status"] == status;
    match step {
        Step::Task => {
            let sale: Sale = serde_json::from_value(answer.clone()).ok()?;
            open_task(&sale).map(task_of)
        }
        Step::Sell | Step::Buy => {
            let id = answer["ID"].as_str().filter(|id| !id.is_empty())?;
            Some(json!({ "TaskID": id.to_lowercase() }))
        }
        Step::Assemble(_) => {
            let task = answer["TaskID"].as_str().filter(|task| !task.is_empty())?;
            has("AUTHORISED").then(|| json!({ "TaskID": task }))
        }
        Step::Complete(_) => has("COMPLETED").then(|| json!({})),
        // The answer lists the sale's invoices, and ours is looked for in the sale itself.
        Step::Invoice => Some(json!({})),
        _ => has("AUTHORISED").then(|| json!({})),
    }
}
