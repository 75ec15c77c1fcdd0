//! A plan as people and programs see it: documents to be written, and how far each has come.

use orders::plan::{Code, Plan};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use store::orders::{Intent, PlanRow, ShipmentRow};

use super::{
    amount::json as number,
    documents::{Documents, ShipmentDoc, Step},
    read::LeftOut,
    upstream::path_of,
};

/// A plan.
#[derive(Debug, Serialize)]
pub struct PlanView {
    /// Its row.
    #[serde(flatten)]
    pub row: PlanRow,
    /// What it writes, in this order.
    pub shipments: Vec<ShipmentView>,
    /// Units that nobody gets today, and why.
    pub short: Vec<ShortView>,
    /// When orders can ship that cannot today.
    pub promises: Vec<Value>,
    /// Hard claims whose units are gone.
    pub broken: Vec<Value>,
    /// Orders that take no part, and why.
    pub left_out: Vec<LeftOut>,
    /// What nobody can take back once it is written.
    pub irreversible: Vec<String>,
    /// Which engine decided, and how far it may be from the best.
    pub engine: String,
    /// Everything that was refused, moved, broken or left short.
    pub reasons: Vec<Value>,
}

impl PlanView {
    /// Keeps `most` rows of each list, those after the first `from`. Answers whether any list goes on.
    pub fn cut(&mut self, from: usize, most: usize) -> bool {
        fn keep<T>(rows: &mut Vec<T>, from: usize, most: usize) -> bool {
            rows.drain(..from.min(rows.len()));
            let goes_on = rows.len() > most;
            rows.truncate(most);
            goes_on
        }
        let lists = [
            keep(&mut self.shipments, from, most),
            keep(&mut self.short, from, most),
            keep(&mut self.promises, from, most),
            keep(&mut self.broken, from, most),
            keep(&mut self.left_out, from, most),
            keep(&mut self.irreversible, from, most),
            keep(&mut self.reasons, from, most),
        ];
        lists.contains(&true)
    }
}

/// What one order gets from one location.
#[derive(Debug, Serialize)]
pub struct ShipmentView {
    /// Its number in the plan.
    pub number: i32,
    /// The order.
    pub order: String,
    /// The sale's id upstream.
    pub sale: String,
    /// Where it ships from.
    pub location: String,
    /// `planned`, or how it stands: `open`, `done`, `dropped`, `needs_person`.
    pub state: String,
    /// The reason's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Units by line of the order: line, SKU, quantity.
    pub lines: Vec<Value>,
    /// What is written.
    pub writes: Vec<WriteView>,
    /// What was written, as far as it has come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepView>,
}

/// One document to be written.
#[derive(Debug, Serialize)]
pub struct WriteView {
    /// Where to.
    pub path: &'static str,
    /// What it does.
    pub step: &'static str,
    /// The instance, where it is not the plan's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Units by SKU and place, where it names any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Value>,
}

/// One write and how it stands.
#[derive(Debug, Serialize)]
pub struct StepView {
    /// What it does.
    pub step: String,
    /// `ready`, `sent`, `done`, `refused`, `in_doubt` or `undone`.
    pub state: Value,
    /// How often it was sent.
    pub attempts: i32,
    /// What upstream answered, as far as later steps need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
    /// Why it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Units of a line that nobody gets.
#[derive(Debug, Serialize)]
pub struct ShortView {
    /// The order.
    pub order: String,
    /// The line.
    pub line: String,
    /// Its SKU, where the line is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Units.
    pub qty: Value,
    /// The obstacle's code.
    pub code: Code,
    /// The obstacle by name.
    pub text: String,
}

/// A few numbers for lists.
pub(crate) fn summary(plan: &Plan, documents: &Documents) -> Value {
    let orders: std::collections::BTreeSet<&str> = documents
        .shipments
        .iter()
        .map(|doc| doc.order.as_str())
        .collect();
    json!({
        "orders_planned": plan.sequence.len(),
        "orders_shipped": orders.len(),
        "shipments": documents.shipments.len(),
        "assemblies": documents.shipments.iter().map(|doc| doc.kits.len()).sum::<usize>(),
        "short_lines": plan.short.len(),
        "left_out": documents.left_out.len(),
        "writes": documents.calls.writes,
        "reads": documents.calls.reads,
        "exact": plan.exact,
    })
}

pub(crate) fn plan_view(
    row: PlanRow,
    plan: &Plan,
    documents: &Documents,
    intents: Vec<Intent>,
    states: Vec<ShipmentRow>,
) -> PlanView {
    let value = |item: &dyn Fn() -> serde_json::Result<Value>| item().unwrap_or_default();
    let begun = row.state != "proposed" && row.state != "approved";
    let shipments = documents.shipments.iter().map(|doc| {
        let state = states.iter().find(|state| state.shipment == doc.number);
        let steps = intents
            .iter()
            .filter(|intent| intent.shipment == doc.number && intent.kind != "check");
        ShipmentView {
            number: doc.number,
            order: doc.order.clone(),
            sale: doc.sale.clone(),
            location: doc.loc.clone(),
            state: state.map_or_else(
                || if begun { "open" } else { "planned" }.to_owned(),
                |s| s.state.clone(),
            ),
            code: state.and_then(|state| state.code.clone()),
            why: state.and_then(|state| state.why.clone()),
            lines: lines(doc, documents),
            writes: writes(doc, documents),
            steps: steps.map(step).collect(),
        }
    });
    let today = plan.shipments.iter().map(|s| s.date).min();
    let late = |promise: &&orders::plan::Promise| promise.date.is_none() || promise.date > today;
    PlanView {
        shipments: shipments.collect(),
        short: short(plan, documents),
        promises: plan
            .promises
            .iter()
            .filter(late)
            .map(|p| value(&|| serde_json::to_value(p)))
            .collect(),
        broken: plan
            .broken
            .iter()
            .map(|b| value(&|| serde_json::to_value(b)))
            .collect(),
        left_out: documents.left_out.clone(),
        irreversible: documents.irreversible.clone(),
        engine: plan.engine.clone(),
        reasons: plan
            .reasons
            .iter()
            .map(|r| value(&|| serde_json::to_value(r)))
            .collect(),
        row,
    }
}

fn step(intent: &Intent) -> StepView {
    StepView {
        step: intent.kind.clone(),
        state: serde_json::to_value(intent.state).unwrap_or_default(),
        attempts: intent.attempts,
        outcome: intent.outcome.clone(),
        why: intent.why.clone(),
    }
}

fn qty(documents: &Documents, sku: &str, steps: i64) -> Value {
    number(documents.scales.qty(sku, steps))
}

fn lines(doc: &ShipmentDoc, documents: &Documents) -> Vec<Value> {
    let line = |line: &super::documents::DocLine| json!({ "line": line.line, "sku": line.sku, "qty": qty(documents, &line.sku, line.qty) });
    doc.lines.iter().map(line).collect()
}

fn writes(doc: &ShipmentDoc, documents: &Documents) -> Vec<WriteView> {
    let write = |step: &Step| WriteView {
        path: path_of(*step),
        step: step.kind(),
        instance: doc
            .cross
            .as_ref()
            .filter(|_| matches!(step, Step::Buy | Step::BuyOrder))
            .map(|cross| cross.buyer.clone()),
        lines: match step {
            Step::SellOrder | Step::BuyOrder => lines(doc, documents),
            Step::Assemble(nth) | Step::Complete(nth) => {
                let kit = &doc.kits[*nth];
                vec![
                    json!({ "sku": kit.sku, "qty": qty(documents, &kit.sku, kit.qty), "location": doc.loc }),
                ]
            }
            Step::Pick => {
                let kits = doc
                    .kits
                    .iter()
                    .map(|kit| json!({ "sku": kit.sku, "location": doc.loc, "assembled": true }));
                let takes = doc.takes.iter().map(|take| {
                    let facts = &take.facts;
                    let mut line = json!({ "sku": facts.sku, "qty": qty(documents, &facts.sku, take.qty), "location": facts.loc });
                    for (key, text) in [("bin", &facts.bin), ("batch", &facts.batch)] {
                        if !text.is_empty() {
                            line[key] = json!(text);
                        }
                    }
                    line
                });
                takes.chain(kits).collect()
            }
            _ => Vec::new(),
        },
    };
    doc.steps.iter().map(write).collect()
}

fn short(plan: &Plan, documents: &Documents) -> Vec<ShortView> {
    let found = plan.short.iter().map(|short| {
        let text = plan.reasons.iter().find(|reason| {
            reason.code == short.reason
                && reason.order.as_deref() == Some(&short.order)
                && reason.line.as_deref().is_none_or(|line| line == short.line)
        });
        let sku = documents
            .skus
            .get(&short.order)
            .and_then(|lines| lines.get(&short.line))
            .cloned();
        ShortView {
            order: short.order.clone(),
            line: short.line.clone(),
            qty: sku.as_ref().map_or_else(
                || number(Decimal::from(short.qty)),
                |sku| qty(documents, sku, short.qty),
            ),
            sku,
            code: short.reason,
            text: text.map(|reason| reason.text.clone()).unwrap_or_default(),
        }
    });
    found.collect()
}
