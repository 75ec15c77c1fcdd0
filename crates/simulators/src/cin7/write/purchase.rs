//! Purchases: header, order, receipt, invoice, payment.

mod bill;
mod receipt;
mod undo;

use bill::{invoice, payment};
use receipt::{put_away, receive, stock};
use undo::{take_back, void};

use super::order::{billed, charge, product};
use super::sale::{status_of, warehouse};
use super::{Fields, Verb, Write, Written};
use crate::cin7::read;
use crate::cin7::render;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::purchase::{Purchase, PurchaseInvoice, PurchaseLine, Receipt, Received};
use crate::cin7::world::sale::{Payment, Status, line_total};
use crate::cin7::world::stock::Cause;
use jiff::Span;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const STORED: [&str; 10] = [
    "Contact",
    "Phone",
    "InventoryAccount",
    "BillingAddress",
    "ShippingAddress",
    "TaxRule",
    "Terms",
    "Note",
    "AdditionalAttributes",
    "CurrencyRate",
];
const DEPRECATED: &str = "This endpoint is deprecated and does not support Advanced Purchase and Service Purchase. Please use AdvancedPurchase endpoint";

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    let advanced = write.path.starts_with("advanced-purchase");
    let part = write.path.rsplit_once('/').map(|(_, part)| part);
    let Some(part) = part else {
        return root(world, write, advanced);
    };
    if write.verb == Verb::Delete {
        return take_back(world, write, part, advanced);
    }
    let key = if advanced { "PurchaseID" } else { "TaskID" };
    let id = match part {
        "payment" => write
            .body
            .id(key)?
            .or(write.body.id("TaskID")?)
            .ok_or_else(|| Refusal::missing(key))?,
        _ => write.body.required_id(key)?,
    };
    let at = find(world, id)?;
    if world.purchases[at].voided {
        return Err(Refusal::bad("Purchase is voided"));
    }
    if !advanced && world.purchases[at].advanced {
        return Err(Refusal::bad(DEPRECATED));
    }
    // Writing to an advanced endpoint makes a simple purchase advanced.
    world.purchases[at].advanced |= advanced;
    match part {
        "order" => order(world, write, at)?,
        "stock" => stock(world, write, at, advanced)?,
        "put-away" => put_away(world, write, at)?,
        "invoice" => invoice(world, write, at, advanced)?,
        "payment" => payment(world, write, at)?,
        _ => {
            return Err(Refusal::bad(format!(
                "'{part}' of a purchase cannot be written here"
            )));
        }
    }
    touch(world, at);
    let told = json!({"TaskID": world.purchases[at].id, "PurchaseOrderNumber": world.purchases[at].number});
    announce(world, part, told);
    Ok(read::purchase_part(world, &world.purchases[at], write.path, advanced).bytes())
}

fn announce(world: &mut World, part: &str, mut told: Value) {
    let kind = match part {
        "order" => "Purchase/OrderAuthorised",
        "stock" | "put-away" => "Purchase/StockReceivedAuthorised",
        "invoice" => "Purchase/InvoiceAuthorised",
        _ => "Purchase/Updated",
    };
    told["EventType"] = json!(kind);
    world.announce(kind, told);
}

fn touch(world: &mut World, at: usize) {
    let now = world.now();
    world.purchases[at].modified = now;
}

/// A purchase by its own id or by that of one of its parts.
fn find(world: &World, id: Uuid) -> Answer<usize> {
    let owns = |p: &Purchase| {
        p.id == id
            || p.invoices.iter().any(|i| i.task == id)
            || p.receipts.iter().any(|r| r.task == id)
    };
    world
        .purchases
        .iter()
        .position(owns)
        .ok_or_else(|| Refusal::bad("Purchase not found"))
}

fn root(world: &mut World, write: &Write<'_>, advanced: bool) -> Written {
    let body = write.body;
    match write.verb {
        Verb::Delete => {
            let at = find(world, write.query.required_id("ID")?)?;
            void(world, at, write.query.flag("Void"))?;
            return Ok(world
                .purchase_document(&world.purchases[at], advanced)
                .bytes());
        }
        Verb::Put => {
            let at = find(world, body.required_id("ID")?)?;
            if !advanced && world.purchases[at].advanced {
                return Err(Refusal::bad(DEPRECATED));
            }
            let required = body.date("RequiredBy")?;
            let mut written = Map::new();
            body.copy(&STORED, &mut written);
            let p = &mut world.purchases[at];
            p.required = required.or(p.required);
            p.written.extend(written);
            touch(world, at);
            return Ok(world
                .purchase_document(&world.purchases[at], advanced)
                .bytes());
        }
        Verb::Post => {}
    }
    let supplier = match (body.id("SupplierID")?, body.text("Supplier")) {
        (Some(id), _) => world.suppliers.iter().position(|s| s.id == id),
        (None, Some(name)) => world
            .suppliers
            .iter()
            .position(|s| s.name.eq_ignore_ascii_case(&name)),
        _ => return Err(Refusal::missing("Supplier")),
    };
    let supplier = supplier.ok_or_else(|| Refusal::unknown_name("Supplier not found."))? as u16;
    let location = body
        .text("Location")
        .map(|name| warehouse(world, &name))
        .transpose()?
        .unwrap_or(0);
    let approach = body.text("Approach").unwrap_or_else(|| "STOCK".into());
    let (date, required) = (body.date("OrderDate")?, body.date("RequiredBy")?);
    let mut written = Map::new();
    body.copy(&STORED, &mut written);
    let (id, now) = (world.new_id(), world.now());
    world.numbers.purchase += 1;
    // Lines that come with the header are ignored, as observed.
    world.purchases.push(Purchase {
        id,
        number: format!("PO-{:05}", world.numbers.purchase),
        advanced: advanced
            || body
                .text("PurchaseType")
                .is_some_and(|t| t.to_ascii_lowercase().starts_with("advanced")),
        supplier,
        location,
        date: date.unwrap_or_else(|| world.today()),
        required,
        modified: now,
        order: Status::NotAvailable,
        invoice_first: approach.eq_ignore_ascii_case("INVOICE"),
        voided: false,
        lines: vec![],
        charges: vec![],
        memo: String::new(),
        receipts: vec![],
        invoices: vec![],
        written,
    });
    let at = world.purchases.len() - 1;
    Ok(world
        .purchase_document(&world.purchases[at], advanced)
        .bytes())
}

fn line(world: &World, row: Fields<'_>) -> Answer<PurchaseLine> {
    let product = product(world, row)?;
    let (quantity, price) = (row.quantity("Quantity")?, row.required_decimal("Price")?);
    let discount = row.decimal("Discount")?.unwrap_or_default();
    let expected = line_total(quantity, price, discount);
    if let Some(total) = row
        .decimal("Total")?
        .filter(|total| total.round_dp(2) != expected)
    {
        return Err(Refusal::bad(format!(
            "Value of attribute 'Total' is incorrect: expected {}, received {total}",
            expected.normalize()
        )));
    }
    Ok(PurchaseLine {
        product,
        quantity,
        price,
        discount,
        tax: 1,
        comment: row.text("Comment").unwrap_or_default(),
    })
}

fn order(world: &mut World, write: &Write<'_>, at: usize) -> Answer<()> {
    if !world.purchases[at].order.open() {
        return Err(Refusal::bad(format!(
            "Order cannot be changed in status {}",
            world.purchases[at].order.text()
        )));
    }
    let status = status_of(write)?;
    let lines = write
        .body
        .rows("Lines")?
        .into_iter()
        .map(|row| line(world, row))
        .collect::<Answer<Vec<_>>>()?;
    let charges = write
        .body
        .rows("AdditionalCharges")?
        .into_iter()
        .map(|row| charge(world, row))
        .collect::<Answer<Vec<_>>>()?;
    if status == Status::Authorised && lines.is_empty() {
        return Err(Refusal::bad("Should be at least one order line."));
    }
    let p = &mut world.purchases[at];
    (p.lines, p.charges, p.order) = (lines, charges, status);
    p.memo = write.body.text("Memo").unwrap_or_else(|| p.memo.clone());
    expect(world, at, Decimal::ONE);
    Ok(())
}

fn expect(world: &mut World, at: usize, sign: Decimal) {
    let purchase = world.purchases[at].clone();
    world.expect_purchase(&purchase, sign);
}

impl World {
    /// Receives the oldest purchase that is still on its way, in full. `false` if there is none.
    pub(crate) fn receive_purchase(&mut self) -> bool {
        let open =
            |p: &Purchase| p.order == Status::Authorised && !p.voided && p.received() < p.ordered();
        let Some(at) = self.purchases.iter().position(open) else {
            return false;
        };
        let (p, today) = (self.purchases[at].clone(), self.today());
        let due = self.purchase_due(&p);
        let lines = due.into_iter().map(|(product, quantity)| {
            let card = self.new_id();
            Received {
                product,
                place: p.location,
                batch: 0,
                quantity,
                date: today,
                card,
            }
        });
        let lines: Vec<Received> = lines.collect();
        if lines.is_empty() {
            return false;
        }
        // A simple purchase has one receipt; a second one makes it advanced.
        let first = !p.advanced && p.receipts.is_empty();
        let task = if first { p.id } else { self.new_id() };
        let purchase = &mut self.purchases[at];
        purchase.advanced |= !first;
        purchase.receipts.push(Receipt {
            task,
            status: Status::Draft,
            lines,
        });
        let nth = purchase.receipts.len() - 1;
        receive(self, at, nth);
        touch(self, at);
        true
    }
}
