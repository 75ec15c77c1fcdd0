//! What a plan would write upstream: one entry per shipment, with its steps in order.

use std::collections::{BTreeMap, HashMap};

use orders::{
    input::Complete,
    plan::{Plan, Shipment},
};
use serde::{Deserialize, Serialize};

use super::{
    amount::Scales,
    ask::{PlanAsk, Through},
    read::{LeftOut, NodeFacts, Snapshot},
};

/// Everything that a plan would write.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Documents {
    /// In the order in which they are written.
    pub shipments: Vec<ShipmentDoc>,
    /// Sales that take no part.
    pub left_out: Vec<LeftOut>,
    /// What cannot be taken back.
    pub irreversible: Vec<String>,
    /// Calls that applying it makes, if nothing goes wrong.
    pub calls: Quote,
    /// Steps of SKUs whose quantities are no whole numbers.
    pub scales: Scales,
    /// How many rows of availability each location has.
    pub rows: BTreeMap<String, usize>,
    /// SKUs of open lines, by order and line.
    pub skus: BTreeMap<String, BTreeMap<String, String>>,
}

/// Calls that an apply makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quote {
    /// Reads: checks before, and touched records afterwards.
    pub reads: usize,
    /// Writes.
    pub writes: usize,
}

/// What one order gets from one location.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShipmentDoc {
    /// Its number in the plan, from 1.
    pub number: i32,
    /// The order, by number.
    pub order: String,
    /// The sale's id.
    pub sale: String,
    /// Where it ships from.
    pub loc: String,
    /// The sale's own location.
    pub home: String,
    /// Units by line.
    pub lines: Vec<DocLine>,
    /// Units by lot.
    pub takes: Vec<DocTake>,
    /// Kits to assemble, inner ones first.
    pub kits: Vec<DocKit>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Whether it makes a simple sale an advanced one.
    #[serde(default)]
    pub converts: bool,
    /// What may not ship in part.
    pub complete: Complete,
    /// Least share of the order's open units in this run, in per cent.
    #[serde(default)]
    pub min_fill_pct: i64,
    /// Least life that units must have left, in days.
    #[serde(default)]
    pub min_shelf_days: i64,
    /// The order's open units, and those that its other shipments of this plan carry.
    pub open_units: i64,
    /// See `open_units`.
    pub other_units: i64,
    /// Lines that no shipment carries: services. They go with the first invoice.
    #[serde(default)]
    pub services: Vec<String>,
    /// The carrier.
    #[serde(default)]
    pub carrier: String,
    /// Whose order it really is, when it is one of another instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossDoc>,
    /// Account of work in progress.
    #[serde(default)]
    pub wip_account: String,
    /// Account of finished goods.
    #[serde(default)]
    pub finished_account: String,
}

/// A sale to another instance and the purchase there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrossDoc {
    /// The instance that buys.
    pub buyer: String,
    /// Its order, by number.
    pub order: String,
    /// The buyer among our customers.
    pub customer: String,
    /// We among the buyer's suppliers.
    pub supplier: String,
    /// Where the buyer receives the goods.
    pub location: String,
    /// The day on which it expects them.
    pub required: orders::Day,
    /// The tax rule of the sale's lines.
    pub sale_tax_rule: String,
    /// The tax rule of the purchase's lines.
    pub purchase_tax_rule: String,
    /// Price of a unit by SKU, in the seller's currency.
    pub prices: BTreeMap<String, rust_decimal::Decimal>,
}

/// Units of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocLine {
    /// Its place in the order, from 1.
    pub line: String,
    /// Its product.
    pub product: String,
    /// Its SKU.
    pub sku: String,
    /// Units, in steps.
    pub qty: i64,
}

/// Units of a lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocTake {
    /// The lot; empty for units that were just assembled.
    pub node: String,
    /// What it is and where it lies.
    #[serde(flatten)]
    pub facts: NodeFacts,
    /// Units, in steps.
    pub qty: i64,
}

/// Kits to assemble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocKit {
    /// The kit's product.
    pub product: String,
    /// The kit.
    pub sku: String,
    /// Units, in steps: whole runs.
    pub qty: i64,
    /// Units that one run makes.
    pub yields: i64,
    /// What one run consumes.
    pub parts: Vec<DocPart>,
}

/// What one run of a kit consumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocPart {
    /// The part's product, where it is known.
    pub product: String,
    /// The part.
    pub sku: String,
    /// Units, in steps.
    pub qty: i64,
}

/// One step of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Enter a sale to another instance.
    Sell,
    /// Authorise its order: upstream holds the units for it.
    SellOrder,
    /// Enter the purchase in the other instance.
    Buy,
    /// Authorise its order: from here on the buyer expects the goods.
    BuyOrder,
    /// Authorise the order.
    Authorise,
    /// Open a fulfilment, or take over the open one.
    Task,
    /// Plan the assembly of a kit, by its place in `kits`.
    Assemble(usize),
    /// Consume its parts and make it.
    Complete(usize),
    /// Authorise the pick: from here on stock is committed.
    Pick,
    /// Authorise the pack.
    Pack,
    /// Authorise the shipment.
    Ship,
    /// Authorise an invoice over it.
    Invoice,
}

impl Step {
    /// What it is called in rows and logs.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Sell => "sell",
            Self::SellOrder => "sell_order",
            Self::Buy => "buy",
            Self::BuyOrder => "buy_order",
            Self::Authorise => "authorise",
            Self::Task => "task",
            Self::Assemble(_) => "assemble",
            Self::Complete(_) => "complete",
            Self::Pick => "pick",
            Self::Pack => "pack",
            Self::Ship => "ship",
            Self::Invoice => "invoice",
        }
    }
}

/// The documents of `plan`.
pub(crate) fn documents(ask: &PlanAsk, snapshot: &Snapshot, plan: &Plan) -> Documents {
    let mut documents = Documents {
        left_out: snapshot.left_out.clone(),
        scales: snapshot.scales.clone(),
        rows: snapshot.rows.clone(),
        skus: snapshot
            .sales
            .iter()
            .map(|(name, sale)| {
                (
                    name.clone(),
                    sale.lines
                        .iter()
                        .map(|line| (line.line.clone(), line.sku.clone()))
                        .collect(),
                )
            })
            .collect(),
        ..Documents::default()
    };
    // With another instance to serve, own orders only keep what is theirs.
    let is_meant = |order: &str| {
        let facts = snapshot.sales.get(order);
        ask.serves.is_none() || facts.is_some_and(|facts| facts.cross.is_some())
    };
    let today: Vec<&Shipment> = plan
        .shipments
        .iter()
        .filter(|s| s.date == snapshot.input.now && is_meant(&s.order))
        .collect();
    let mut by_order: HashMap<&str, Vec<&Shipment>> = HashMap::new();
    for shipment in today {
        by_order.entry(&shipment.order).or_default().push(shipment);
    }
    let free: HashMap<&str, i64> = snapshot
        .input
        .lots
        .iter()
        .map(|lot| (lot.id.as_str(), lot.qty - lot.external))
        .collect();
    let rank: HashMap<&str, i64> = snapshot
        .input
        .locations
        .iter()
        .map(|l| (l.id.as_str(), l.rank))
        .collect();
    for order in &plan.sequence {
        let Some(mut shipments) = by_order.remove(order.as_str()) else {
            continue;
        };
        // The scarcest first: what others may take in the meantime should not be what was left for last.
        shipments.sort_by_key(|shipment| {
            let slack = |take: &orders::plan::NodeQty| {
                free.get(take.node.as_str()).copied().unwrap_or(0) - take.qty
            };
            let slack = shipment.takes.iter().map(slack).min().unwrap_or(0);
            (
                slack,
                rank.get(shipment.loc.as_str()).copied().unwrap_or(i64::MAX),
                shipment.loc.clone(),
            )
        });
        for (nth, shipment) in shipments.iter().enumerate() {
            let number = i32::try_from(documents.shipments.len() + 1).unwrap_or(i32::MAX);
            let all: i64 = shipments
                .iter()
                .flat_map(|s| &s.lines)
                .map(|line| line.qty)
                .sum();
            let Some(doc) = shipment_doc(ask, snapshot, shipment, number, nth, all) else {
                continue;
            };
            if doc.converts {
                documents
                    .irreversible
                    .push(format!("{} becomes an advanced sale", doc.order));
            }
            documents.shipments.push(doc);
        }
    }
    documents.irreversible.dedup();
    documents.calls = quote(&documents);
    documents
}

fn shipment_doc(
    ask: &PlanAsk,
    snapshot: &Snapshot,
    shipment: &Shipment,
    number: i32,
    nth: usize,
    all: i64,
) -> Option<ShipmentDoc> {
    let facts = snapshot.sales.get(&shipment.order)?;
    let order = snapshot
        .input
        .orders
        .iter()
        .find(|order| order.id == shipment.order)?;
    let lines = shipment.lines.iter().filter_map(|line| {
        let known = facts.lines.iter().find(|known| known.line == line.line)?;
        Some(DocLine {
            line: line.line.clone(),
            product: known.product.clone(),
            sku: known.sku.clone(),
            qty: line.qty,
        })
    });
    let takes = shipment.takes.iter().filter_map(|take| {
        let facts = snapshot.nodes.get(&take.node)?.clone();
        Some(DocTake {
            node: take.node.clone(),
            facts,
            qty: take.qty,
        })
    });
    let kits = shipment.assemble.iter().filter_map(|kit| {
        let bom = snapshot
            .input
            .boms
            .iter()
            .find(|bom| bom.parent == kit.sku)?;
        let product = |sku: &str| {
            snapshot
                .products
                .get(sku)
                .map(|(id, _)| id.clone())
                .unwrap_or_default()
        };
        let parts = bom.lines.iter().map(|line| DocPart {
            product: product(&line.sku),
            sku: line.sku.clone(),
            qty: line.qty,
        });
        Some(DocKit {
            product: product(&kit.sku),
            sku: kit.sku.clone(),
            qty: kit.qty,
            yields: bom.yields,
            parts: parts.collect(),
        })
    });
    let mut lines: Vec<DocLine> = lines.collect();
    if facts.cross.is_some() {
        // The sale that is entered has these lines and no others.
        for (at, line) in lines.iter_mut().enumerate() {
            line.line = (at + 1).to_string();
        }
    }
    let kits: Vec<DocKit> = kits.collect();
    let mine: i64 = lines.iter().map(|line| line.qty).sum();
    let (wip_account, finished_account) = snapshot.accounts.clone().unwrap_or_default();
    Some(ShipmentDoc {
        number,
        order: shipment.order.clone(),
        sale: facts.sale.clone(),
        loc: shipment.loc.clone(),
        home: match &facts.cross {
            // The sale is made for the shipment, at its place.
            Some(_) => shipment.loc.clone(),
            None => facts.home.clone(),
        },
        cross: facts.cross.clone(),
        takes: takes.collect(),
        steps: steps(
            ask,
            facts.draft && nth == 0,
            facts.cross.is_some(),
            kits.len(),
        ),
        converts: facts.simple && facts.shipped + nth == 1,
        complete: order.complete,
        min_fill_pct: order.min_fill_pct,
        min_shelf_days: order.min_shelf_days,
        open_units: facts.lines.iter().map(|line| line.open).sum(),
        other_units: all - mine,
        services: facts.services.clone(),
        carrier: Some(facts.carrier.clone())
            .filter(|carrier| !carrier.is_empty())
            .or_else(|| ask.carrier.clone())
            .unwrap_or_default(),
        lines,
        kits,
        wip_account,
        finished_account,
    })
}

fn steps(ask: &PlanAsk, authorise: bool, cross: bool, kits: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    if cross {
        steps.extend([Step::Sell, Step::SellOrder, Step::Buy, Step::BuyOrder]);
    }
    if authorise {
        steps.push(Step::Authorise);
    }
    steps.push(Step::Task);
    for kit in 0..kits {
        steps.extend([Step::Assemble(kit), Step::Complete(kit)]);
    }
    let last = [
        (Through::Pick, Step::Pick),
        (Through::Pack, Step::Pack),
        (Through::Ship, Step::Ship),
        (Through::Invoice, Step::Invoice),
    ];
    steps.extend(
        last.into_iter()
            .filter(|(through, _)| *through <= ask.through)
            .map(|(_, step)| step),
    );
    steps
}

/// Rows on one page of a listing.
const PAGE_ROWS: usize = 1000;

/// Calls to read the availability of `skus` products at a location with so many rows: product by product, or the
/// whole location, whichever is cheaper.
pub(crate) fn availability_calls(skus: usize, rows: usize) -> usize {
    skus.min(rows.div_ceil(PAGE_ROWS).max(1))
}

fn quote(documents: &Documents) -> Quote {
    let mut quote = Quote::default();
    let mut places = std::collections::BTreeSet::new();
    for doc in &documents.shipments {
        let skus: std::collections::BTreeSet<&str> = doc
            .takes
            .iter()
            .map(|take| take.facts.sku.as_str())
            .chain(doc.kits.iter().map(|kit| kit.sku.as_str()))
            .collect();
        let rows = documents.rows.get(&doc.loc).copied().unwrap_or(0);
        let assemblies = doc.kits.len();
        // The sale and its stock, before and after; one look for an assembly that upstream has made itself.
        quote.reads += 2 + 2 * availability_calls(skus.len(), rows) + assemblies;
        // The stock before the sale is entered, and the purchase afterwards.
        quote.reads += if doc.cross.is_some() { 3 } else { 0 };
        places.insert(&doc.loc);
        quote.writes += doc.steps.len();
    }
    quote.reads += places.len();
    quote
}
