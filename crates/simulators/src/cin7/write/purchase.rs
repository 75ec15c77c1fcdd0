//! Purchases: header, order, receipt, invoice, payment.

use super::order::{charge, product};
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

fn stock(world: &mut World, write: &Write<'_>, at: usize, advanced: bool) -> Answer<()> {
    let p = &world.purchases[at];
    if p.order != Status::Authorised {
        return Err(Refusal::bad(
            "Stock cannot be received until the order is authorised",
        ));
    }
    if p.invoice_first && !p.invoiced() {
        return Err(Refusal::bad(
            "Invoice First purchase: authorise Invoice before StockReceived",
        ));
    }
    let status = status_of(write)?;
    let task = write
        .body
        .id("TaskID")?
        .filter(|task| advanced && *task != p.id);
    let nth = match task {
        Some(task) => Some(
            p.receipts
                .iter()
                .position(|r| r.task == task)
                .ok_or_else(|| Refusal::bad("Stock received task not found"))?,
        ),
        None if advanced => None,
        None => p.receipts.iter().position(|_| true),
    };
    if nth.is_some_and(|nth| p.receipts[nth].status == Status::Authorised) {
        return Err(Refusal::bad(
            "Stock received cannot be changed in status AUTHORISED",
        ));
    }
    let (id, home) = (p.id, p.location);
    let mut lines = nth.map_or(vec![], |nth| p.receipts[nth].lines.clone());
    let mut seen: BTreeSet<(u32, u16)> = lines.iter().map(|l| (l.product, l.place)).collect();
    for row in write.body.rows("Lines")? {
        // The location of an advanced receipt is ignored until it is put away.
        let received = received(world, row, home, advanced)?;
        if !seen.insert((received.product, received.place)) {
            let sku = &world.product(received.product).sku;
            return Err(Refusal::bad(format!(
                "Cannot add duplicate value in stock received lines. ({sku})"
            )));
        }
        lines.push(received);
    }
    if lines.is_empty() {
        return Err(Refusal::bad("Lines is invalid"));
    }
    let nth = nth.unwrap_or_else(|| {
        let task = if advanced { world.new_id() } else { id };
        if advanced {
            // A new receiving group brings an empty draft invoice with it.
            let (invoice, date) = (world.new_id(), world.today());
            let number = String::new();
            let draft = PurchaseInvoice {
                task: invoice,
                number,
                status: Status::Draft,
                date,
                due: date,
                lines: vec![],
                charges: vec![],
                payments: vec![],
            };
            world.purchases[at].invoices.push(draft);
        }
        world.purchases[at].receipts.push(Receipt {
            task,
            status: Status::Draft,
            lines: vec![],
        });
        world.purchases[at].receipts.len() - 1
    });
    world.purchases[at].receipts[nth].lines = lines;
    if status == Status::Authorised && !advanced {
        receive(world, at, nth);
    }
    Ok(())
}

fn received(world: &mut World, row: Fields<'_>, home: u16, anywhere: bool) -> Answer<Received> {
    let product = product(world, row)?;
    let quantity = row.quantity("Quantity")?;
    let date = row
        .date("Date")?
        .ok_or_else(|| Refusal::bad("'Date' is required for 'Lines' line"))?;
    let (id, name) = (row.id("LocationID")?, row.text("Location"));
    let place = match (id, &name) {
        (None, None) => home,
        _ if anywhere => home,
        _ => world.find_place(id, name.as_deref()).ok_or_else(|| {
            Refusal::unknown_name(format!(
                "Location {} was not found in Locations reference book",
                name.unwrap_or_default()
            ))
        })?,
    };
    let batch = row
        .text("BatchSN")
        .map(|name| Ok::<_, Refusal>((name, row.date("ExpiryDate")?)))
        .transpose()?;
    let batch = batch.map_or(0, |(name, expiry)| world.stock.batch(&name, expiry));
    Ok(Received {
        product,
        place,
        batch,
        quantity,
        date,
        card: world.new_id(),
    })
}

/// Authorises a receipt: the goods are on hand, and no longer on order.
fn receive(world: &mut World, at: usize, nth: usize) {
    expect(world, at, Decimal::NEGATIVE_ONE);
    world.purchases[at].receipts[nth].status = Status::Authorised;
    expect(world, at, Decimal::ONE);
    let p = world.purchases[at].clone();
    for line in &p.receipts[nth].lines {
        if world.product(line.product).service {
            continue;
        }
        let price = p
            .lines
            .iter()
            .find(|l| l.product == line.product)
            .map(|l| l.price);
        let cost = price.unwrap_or_else(|| world.product(line.product).cost);
        let cause = Cause {
            task: p.receipts[nth].task,
            kind: if p.advanced {
                "Advanced Purchase"
            } else {
                "Purchase"
            },
            number: &p.number,
            date: line.date,
        };
        let key = world.card_key(line.product, line.place, line.batch);
        world.stock.shift(key, line.quantity, cost, &cause);
        world.serve_backorders(line.product, key.at);
    }
}

fn put_away(world: &mut World, write: &Write<'_>, at: usize) -> Answer<()> {
    let task = write.body.required_id("TaskID")?;
    let nth = world.purchases[at]
        .receipts
        .iter()
        .position(|r| r.task == task);
    let nth = nth.ok_or_else(|| Refusal::bad("Put away task not found"))?;
    if world.purchases[at].receipts[nth].status == Status::Authorised {
        return Err(Refusal::bad(
            "Put away cannot be changed in status AUTHORISED",
        ));
    }
    let status = status_of(write)?;
    let home = world.purchases[at].location;
    let rows = write.body.rows("Lines")?;
    if !rows.is_empty() {
        let lines = rows
            .into_iter()
            .map(|row| received(world, row, home, false))
            .collect::<Answer<Vec<_>>>()?;
        world.purchases[at].receipts[nth].lines = lines;
    }
    if status == Status::Authorised {
        receive(world, at, nth);
    }
    Ok(())
}

fn invoice(world: &mut World, write: &Write<'_>, at: usize, advanced: bool) -> Answer<()> {
    let body = write.body;
    let p = &world.purchases[at];
    if p.order != Status::Authorised {
        return Err(Refusal::bad(
            "Invoice cannot be changed until the order is authorised",
        ));
    }
    let status = status_of(write)?;
    let task = body.id("TaskID")?.filter(|task| advanced && *task != p.id);
    let nth = match task {
        Some(task) => Some(
            p.invoices
                .iter()
                .position(|i| i.task == task)
                .ok_or_else(|| Refusal::bad("Invoice task not found"))?,
        ),
        None if advanced => None,
        None => p.invoices.iter().position(|_| true),
    };
    if nth.is_some_and(|nth| !p.invoices[nth].status.open()) {
        return Err(Refusal::bad(
            "Invoice cannot be changed once it is authorised",
        ));
    }
    let (id, count, number) = (p.id, p.invoices.len(), p.number.clone());
    let lines = body
        .rows("Lines")?
        .into_iter()
        .map(|row| line(world, row))
        .collect::<Answer<Vec<_>>>()?;
    let charges = body
        .rows("AdditionalCharges")?
        .into_iter()
        .map(|row| charge(world, row))
        .collect::<Answer<Vec<_>>>()?;
    if status == Status::Authorised && lines.is_empty() && charges.is_empty() {
        return Err(Refusal::bad("Should be at least one invoice line."));
    }
    let date = body.date("InvoiceDate")?.unwrap_or_else(|| world.today());
    let due = body
        .date("InvoiceDueDate")?
        .unwrap_or_else(|| date.saturating_add(Span::new().days(30)));
    let number = body
        .text("InvoiceNumber")
        .unwrap_or_else(|| format!("{number}-B{}", count + 1));
    let task = match nth {
        Some(nth) => world.purchases[at].invoices[nth].task,
        None if advanced => world.new_id(),
        None => id,
    };
    let invoice = PurchaseInvoice {
        task,
        number,
        status,
        date,
        due,
        lines,
        charges,
        payments: vec![],
    };
    match nth {
        Some(nth) => world.purchases[at].invoices[nth] = invoice,
        None => world.purchases[at].invoices.push(invoice),
    }
    Ok(())
}

fn payment(world: &mut World, write: &Write<'_>, at: usize) -> Answer<()> {
    let body = write.body;
    let amount = body.quantity("Amount")?.round_dp(2);
    let number = body.text("InvoiceNumber");
    let task = body.id("TaskID")?;
    let fits = |i: &PurchaseInvoice| {
        i.status == Status::Authorised
            && number.as_deref().is_none_or(|n| i.number == n)
            && task.is_none_or(|task| i.task == task || task == world.purchases[at].id)
    };
    let nth = world.purchases[at].invoices.iter().position(fits);
    let nth =
        nth.ok_or_else(|| Refusal::bad("Payment can be added to an authorised invoice only"))?;
    let invoice = &world.purchases[at].invoices[nth];
    let due = invoice.totals().2 - invoice.paid();
    if amount > due {
        return Err(Refusal::bad(format!(
            "Payment amount {amount} exceeds the balance {due}"
        )));
    }
    let payment = Payment {
        id: world.new_id(),
        reference: body.text("Reference").unwrap_or_default(),
        amount,
        date: body.date("DatePaid")?.unwrap_or_else(|| world.today()),
        account: body.text("Account").unwrap_or_else(|| "090".into()),
        rate: Decimal::ONE,
        created: world.now(),
    };
    let invoice = &mut world.purchases[at].invoices[nth];
    invoice.payments.push(payment);
    if amount == due {
        invoice.status = Status::Paid;
    }
    Ok(())
}

fn void(world: &mut World, at: usize, void: bool) -> Answer<()> {
    let p = &world.purchases[at];
    if p.voided {
        return Err(Refusal::bad("Purchase is voided"));
    }
    if p.receipts.iter().any(|r| r.status == Status::Authorised) || p.invoiced() {
        return Err(Refusal::bad(
            "Purchase cannot be voided or undone while it has authorised receipts or invoices",
        ));
    }
    expect(world, at, Decimal::NEGATIVE_ONE);
    let p = &mut world.purchases[at];
    if void {
        p.voided = true;
    } else {
        p.order = if p.order == Status::Authorised {
            Status::Draft
        } else {
            Status::NotAvailable
        };
    }
    touch(world, at);
    Ok(())
}

/// Deleting a part. Of an advanced receipt: 200, and nothing happens.
fn take_back(world: &mut World, write: &Write<'_>, part: &str, advanced: bool) -> Written {
    let id = match part {
        "payment" => write.query.required_id("ID")?,
        _ => write
            .query
            .id("TaskID")?
            .or(write.query.id("ID")?)
            .ok_or_else(|| Refusal::missing("TaskID"))?,
    };
    if part == "payment" {
        let holds = |p: &Purchase| {
            p.invoices
                .iter()
                .any(|i| i.payments.iter().any(|pay| pay.id == id))
        };
        let at = world
            .purchases
            .iter()
            .position(holds)
            .ok_or_else(|| Refusal::bad("Payment not found"))?;
        for invoice in &mut world.purchases[at].invoices {
            let before = invoice.payments.len();
            invoice.payments.retain(|p| p.id != id);
            if invoice.payments.len() < before && invoice.status == Status::Paid {
                invoice.status = Status::Authorised;
            }
        }
        touch(world, at);
        let all = world.purchases[at]
            .invoices
            .iter()
            .flat_map(|i| i.payments.iter().map(render::payment));
        return Ok(crate::cin7::json::J::Arr(all.collect()).bytes());
    }
    let at = find(world, id)?;
    if part == "invoice" {
        let nth = world.purchases[at]
            .invoices
            .iter()
            .position(|i| i.task == id);
        let nth = nth.ok_or_else(|| Refusal::bad("Invoice task not found"))?;
        if !world.purchases[at].invoices[nth].payments.is_empty() {
            return Err(Refusal::bad(
                "Invoice with payments cannot be voided or undone",
            ));
        }
        world.purchases[at].invoices[nth].status = if write.query.flag("Void") {
            Status::Voided
        } else {
            Status::Draft
        };
        touch(world, at);
    }
    Ok(read::purchase_part(world, &world.purchases[at], write.path, advanced).bytes())
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
