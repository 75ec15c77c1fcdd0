//! What each step writes, built from what is known; and what its answer means for the steps after it.

use std::collections::BTreeMap;

use orders::Day;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use super::{
    amount::{Scales, json as number},
    cin7::{Sale, key},
    documents::{CrossDoc, DocKit, DocLine, DocTake, ShipmentDoc},
    read::NodeFacts,
    recheck::Effective,
};

/// The box that everything is packed in.
const BOX: &str = "Box 1";

/// The id with which invoices are created.
const NEW: &str = "00000000-0000-0000-0000-000000000000";

/// Ids of warehouses and bins by the names that stock rows use: `(warehouse, bin)`.
pub(crate) type Places = BTreeMap<(String, String), String>;

/// Everything that the steps of one shipment share.
pub(crate) struct Setting<'a> {
    pub doc: &'a ShipmentDoc,
    pub effective: &'a Effective,
    pub scales: &'a Scales,
    pub places: &'a Places,
    pub today: Day,
    /// When the plan was made.
    pub made_at: &'a str,
}

impl Setting<'_> {
    /// The moment before which nothing of the plan can have been written.
    pub fn since(&self) -> String {
        self.made_at
            .get(..10)
            .map_or_else(|| self.date(), |day| format!("{day}T00:00:00"))
    }

    fn date(&self) -> String {
        format!("{}T00:00:00", self.today)
    }

    /// A sale to another instance, found again by its mark.
    pub fn sell(&self, cross: &CrossDoc, mark: &str) -> Value {
        json!({
            "Customer": cross.customer,
            "Location": self.doc.loc,
            "SaleType": "Simple",
            "SkipQuote": true,
            "SaleOrderDate": self.date(),
            "CustomerReference": self.doc.order,
            "ExternalID": mark,
            "Note": format!("for {} of {}", cross.order, cross.buyer),
        })
    }

    /// Its order, authorised.
    pub fn sell_order(&self, cross: &CrossDoc) -> Value {
        json!({
            "SaleID": self.doc.sale,
            "Memo": self.doc.order,
            "Status": "AUTHORISED",
            "AutoPickPackShipMode": "NOPICK",
            "Lines": self.cross_lines(cross, &cross.sale_tax_rule),
        })
    }

    /// The purchase in the other instance, found again by its mark.
    pub fn buy(&self, cross: &CrossDoc, mark: &str) -> Value {
        json!({
            "Supplier": cross.supplier,
            "Location": cross.location,
            "Approach": "STOCK",
            "OrderDate": self.date(),
            "RequiredBy": format!("{}T00:00:00", cross.required),
            "Note": format!("for {} {mark}", cross.order),
        })
    }

    /// Its order, authorised: what is shipped, no more.
    pub fn buy_order(&self, cross: &CrossDoc, purchase: &str) -> Value {
        json!({
            "TaskID": purchase,
            "Memo": self.doc.order,
            "Status": "AUTHORISED",
            "Lines": self.cross_lines(cross, &cross.purchase_tax_rule),
            "AdditionalCharges": [],
        })
    }

    fn cross_lines(&self, cross: &CrossDoc, tax_rule: &str) -> Vec<Value> {
        let line = |line: &DocLine| {
            let qty = self.scales.qty(&line.sku, line.qty);
            let price = cross.prices.get(&line.sku).copied().unwrap_or_default();
            json!({
                "SKU": line.sku,
                "Name": line.sku,
                "Quantity": number(qty),
                "Price": number(price),
                "Discount": 0,
                "Tax": 0,
                "TaxRule": tax_rule,
                "Total": number(line_total(qty, price, Decimal::ZERO)),
            })
        };
        self.effective.lines.iter().map(line).collect()
    }

    /// A new fulfilment.
    pub fn task(&self) -> Value {
        json!({ "SaleID": self.doc.sale })
    }

    /// The order as it stands, authorised.
    pub fn authorise(&self, raw: &Value) -> Value {
        let lines = raw["Order"]["Lines"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        const KEPT: [&str; 11] = [
            "ProductID",
            "SKU",
            "Name",
            "Quantity",
            "Price",
            "Discount",
            "Tax",
            "TaxRule",
            "Comment",
            "DropShip",
            "Total",
        ];
        let kept = |line: &Value| {
            let members = KEPT
                .iter()
                .filter_map(|key| Some(((*key).to_owned(), line.get(*key)?.clone())));
            Value::Object(members.collect())
        };
        json!({
            "SaleID": self.doc.sale,
            "Memo": raw["Order"]["Memo"],
            "Status": "AUTHORISED",
            "AutoPickPackShipMode": "NOPICK",
            "Lines": lines.iter().map(kept).collect::<Vec<_>>(),
            "AdditionalCharges": raw["Order"]["AdditionalCharges"],
        })
    }

    /// An assembly with its bill loaded: only a task that is created authorised gets it.
    pub fn assemble(&self, kit: &DocKit, mark: &str) -> Value {
        let mut body = json!({
            "Status": "AUTHORISED",
            "ProductID": kit.product,
            "ProductCode": kit.sku,
            "Location": self.doc.loc,
            "WIPAccount": self.doc.wip_account,
            "WIPDate": self.date(),
            "Account": self.doc.finished_account,
            "Quantity": number(self.scales.qty(&kit.sku, kit.qty)),
            "Notes": format!("{} {mark}", self.doc.order),
        });
        if let Some(id) = self.places.get(&(self.doc.loc.clone(), String::new())) {
            body["LocationID"] = json!(id);
        }
        body
    }

    /// What an assembly consumes, card by card.
    pub fn complete(&self, nth: usize, task: &str) -> Value {
        let lines: Vec<Value> = self.dealt().parts[nth]
            .iter()
            .map(|take| {
                let mut line = json!({
                    "ProductID": take.facts.product,
                    "ProductCode": take.facts.sku,
                    "Quantity": number(self.scales.qty(&take.facts.sku, take.qty)),
                });
                let bin = &take.facts.bin;
                match self.places.get(&(take.facts.loc.clone(), bin.clone())) {
                    Some(id) => line["BinID"] = json!(id),
                    None if !bin.is_empty() => line["Bin"] = json!(bin),
                    None => {}
                }
                set_batch(&mut line, &take.facts);
                line
            })
            .collect();
        json!({
            "TaskID": task,
            "Status": "COMPLETED",
            "WIPAccount": self.doc.wip_account,
            "WIPDate": self.date(),
            "Account": self.doc.finished_account,
            "CompletionDate": self.date(),
            "PickLines": lines,
        })
    }

    /// The pick, card by card.
    pub fn pick(&self, task: &str) -> Value {
        json!({ "TaskID": task, "Status": "AUTHORISED", "Lines": self.pick_lines() })
    }

    fn pick_lines(&self) -> Vec<Value> {
        let takes = self.dealt().picked;
        let line = |take: &DocTake| {
            let facts = &take.facts;
            let place = if facts.bin.is_empty() {
                facts.loc.clone()
            } else {
                format!("{}: {}", facts.loc, facts.bin)
            };
            let mut line = json!({
                "ProductID": facts.product,
                "SKU": facts.sku,
                "Quantity": number(self.scales.qty(&facts.sku, take.qty)),
                "Location": place,
            });
            if let Some(id) = self.places.get(&(facts.loc.clone(), facts.bin.clone())) {
                line["LocationID"] = json!(id);
            }
            set_batch(&mut line, facts);
            line
        };
        takes.iter().map(line).collect()
    }

    /// Everything picked, in one box.
    pub fn pack(&self, task: &str) -> Value {
        let mut lines = self.pick_lines();
        for line in &mut lines {
            line["Box"] = json!(BOX);
        }
        json!({ "TaskID": task, "Status": "AUTHORISED", "Lines": lines })
    }

    /// The box, on its way.
    pub fn ship(&self, task: &str) -> Value {
        json!({
            "TaskID": task,
            "Status": "AUTHORISED",
            "Lines": [{ "ShipmentDate": self.date(), "Carrier": self.doc.carrier, "Box": BOX, "IsShipped": true }],
        })
    }

    /// An invoice over what ships. Services and charges go with the first one.
    pub fn invoice(&self, sale: &Sale, raw: &Value, fulfilment: &Value, mark: &str) -> Value {
        let is_first = sale
            .invoices
            .iter()
            .all(|invoice| invoice.status == "VOIDED");
        let is_open = |invoice: &&super::cin7::Invoice| {
            matches!(invoice.status.as_str(), "DRAFT" | "NOT AVAILABLE")
        };
        let task = sale
            .invoices
            .iter()
            .find(is_open)
            .map_or(NEW, |invoice| invoice.task.as_str());
        let raw_lines = raw["Order"]["Lines"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let lines = sale
            .order
            .lines
            .iter()
            .zip(raw_lines)
            .enumerate()
            .filter_map(|(at, (line, raw))| {
                let place = (at + 1).to_string();
                let shipped = self
                    .effective
                    .lines
                    .iter()
                    .find(|known| known.line == place);
                let qty = match shipped {
                    Some(shipped) => self.scales.qty(&shipped.sku, shipped.qty),
                    // A line that no shipment will ever carry: a service.
                    None if is_first && self.doc.services.contains(&place) => line.quantity.0,
                    None => return None,
                };
                let is_whole = qty == line.quantity.0;
                let total = if is_whole {
                    line.total.0
                } else {
                    line_total(qty, line.price.0, line.discount.0)
                };
                let tax = match is_whole || line.quantity.0.is_zero() {
                    true => line.tax.0,
                    false => cents(line.tax.0 * qty / line.quantity.0),
                };
                Some(json!({
                    "ProductID": line.product,
                    "SKU": line.sku,
                    "Name": line.name,
                    "Quantity": number(qty),
                    "Price": line.price,
                    "Discount": line.discount,
                    "Tax": number(tax),
                    "TaxRule": line.tax_rule,
                    "Comment": raw["Comment"],
                    "Total": number(total),
                }))
            });
        let charges = if is_first {
            raw["Order"]["AdditionalCharges"].clone()
        } else {
            json!([])
        };
        let mut body = json!({
            "SaleID": self.doc.sale,
            "TaskID": task,
            "CombineAdditionalCharges": false,
            "Memo": format!("{} {mark}", self.doc.order),
            "Status": "AUTHORISED",
            "InvoiceDate": self.date(),
            "Lines": lines.collect::<Vec<_>>(),
            "AdditionalCharges": if charges.is_array() { charges } else { json!([]) },
        });
        if !fulfilment.is_null() {
            body["LinkedFulfillmentNumber"] = fulfilment.clone();
        }
        body
    }

    /// Units dealt to the assemblies first, what is left to the pick; assembled units lie in no bin.
    fn dealt(&self) -> Dealt {
        let mut pool: Vec<DocTake> = self.effective.takes.clone();
        let mut products: BTreeMap<&str, &str> = BTreeMap::new();
        for kit in &self.effective.kits {
            products.insert(&kit.sku, &kit.product);
        }
        let mut draw = |sku: &str, mut wanted: i64, lines: &mut Vec<DocTake>| {
            for take in pool.iter_mut().filter(|take| take.facts.sku == sku) {
                let qty = wanted.min(take.qty);
                if qty > 0 {
                    take.qty -= qty;
                    wanted -= qty;
                    lines.push(DocTake {
                        qty,
                        ..take.clone()
                    });
                }
            }
            if wanted > 0 {
                let facts = NodeFacts {
                    product: products.get(sku).copied().unwrap_or_default().to_owned(),
                    sku: sku.to_owned(),
                    loc: self.doc.loc.clone(),
                    bin: String::new(),
                    batch: String::new(),
                    expiry: None,
                };
                lines.push(DocTake {
                    node: String::new(),
                    facts,
                    qty: wanted,
                });
            }
        };
        let parts = self.effective.kits.iter().map(|kit| {
            let mut lines = Vec::new();
            for part in &kit.parts {
                draw(
                    &part.sku,
                    kit.qty / kit.yields.max(1) * part.qty,
                    &mut lines,
                );
            }
            lines
        });
        let parts = parts.collect();
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for line in &self.effective.lines {
            *wanted.entry(&line.sku).or_default() += line.qty;
        }
        let mut picked = Vec::new();
        for (sku, qty) in wanted {
            draw(sku, qty, &mut picked);
        }
        merge(&mut picked);
        Dealt { parts, picked }
    }

    /// Whether a pick that upstream shows is the one that would be written.
    pub fn is_picked(&self, lines: &[super::cin7::StageLine]) -> bool {
        let mut wanted: BTreeMap<String, Decimal> = BTreeMap::new();
        for line in &self.effective.lines {
            *wanted.entry(key(&line.product, &line.sku)).or_default() +=
                self.scales.qty(&line.sku, line.qty);
        }
        let mut shown: BTreeMap<String, Decimal> = BTreeMap::new();
        for line in lines.iter().filter(|line| !line.non_inventory) {
            *shown.entry(key(&line.product, &line.sku)).or_default() += line.quantity.0;
        }
        wanted == shown
    }
}

struct Dealt {
    /// By kit.
    parts: Vec<Vec<DocTake>>,
    picked: Vec<DocTake>,
}

/// The same card twice is one line.
fn merge(takes: &mut Vec<DocTake>) {
    let mut merged: Vec<DocTake> = Vec::with_capacity(takes.len());
    for take in takes.drain(..) {
        match merged.iter_mut().find(|known| known.facts == take.facts) {
            Some(known) => known.qty += take.qty,
            None => merged.push(take),
        }
    }
    *takes = merged;
}

fn set_batch(line: &mut Value, facts: &NodeFacts) {
    if !facts.batch.is_empty() {
        line["BatchSN"] = json!(facts.batch);
        if let Some(day) = facts.expiry {
            line["ExpiryDate"] = json!(format!("{day}T00:00:00"));
        }
    }
}

/// Quantity times price less discount, to the cent, as upstream checks it.
fn line_total(qty: Decimal, price: Decimal, discount: Decimal) -> Decimal {
    cents(qty * price * (Decimal::ONE_HUNDRED - discount) / Decimal::ONE_HUNDRED)
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}
