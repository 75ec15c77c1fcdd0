//! Invoices, payments and credit notes of sales.

mod credit;
mod payment;

pub(super) use credit::credit_note;
pub(super) use payment::payment;

use super::order::{billed, charge, line, part};
use super::sale::{alter, index, live, status_of};
use super::{Fields, Verb, Write, Written};
use crate::cin7::json::J;
use crate::cin7::render;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::sale::{CreditNote, Invoice, Kind, Payment, Picked, Sale, Status, totals};
use crate::cin7::world::stock::Cause;
use jiff::Span;
use rust_decimal::Decimal;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn invoice(world: &mut World, write: &Write<'_>) -> Written {
    if write.verb == Verb::Delete {
        return remove_invoice(world, write);
    }
    let body = write.body;
    let at = index(world, body.required_id("SaleID")?)?;
    let sale = live(world, at)?;
    if sale.order != Status::Authorised {
        return Err(Refusal::bad(
            "Invoice cannot be changed until the order is authorised",
        ));
    }
    let nth = match body.id("TaskID")? {
        // On a simple sale the one invoice has the id of the sale, and may not exist yet.
        Some(task) => match sale
            .invoices
            .iter()
            .position(|i| i.task == task && i.status != Status::Voided)
        {
            None if task == sale.id && sale.kind != Kind::Advanced => None,
            None => return Err(Refusal::bad("Invoice task not found")),
            found => found,
        },
        None => None,
    };
    if let Some(old) = nth
        .map(|nth| &sale.invoices[nth])
        .filter(|i| !i.status.open())
    {
        return Err(Refusal::bad(format!(
            "Invoice cannot be changed in status {}",
            old.status.text()
        )));
    }
    let partial = write.verb == Verb::Put;
    let status = if partial && !body.has("Status") {
        Status::Draft
    } else {
        status_of(write)?
    };
    // In a partial body an empty array deletes, and an absent one keeps.
    let lines = match body.raw("Lines") {
        None if partial => None,
        _ => Some(
            body.rows("Lines")?
                .into_iter()
                .map(|row| line(world, row))
                .collect::<Answer<Vec<_>>>()?,
        ),
    };
    let charges = match body.raw("AdditionalCharges") {
        None if partial => None,
        _ => Some(
            body.rows("AdditionalCharges")?
                .into_iter()
                .map(|row| charge(world, row))
                .collect::<Answer<Vec<_>>>()?,
        ),
    };
    let (date, due, rate) = (
        body.date("InvoiceDate")?,
        body.date("InvoiceDueDate")?,
        body.decimal("CurrencyConversionRate")?,
    );
    let link = body
        .decimal("LinkedFulfillmentNumber")?
        .and_then(|n| u32::try_from(n).ok());
    if link.is_some_and(|link| !sale.fulfilments.iter().any(|f| f.number == link)) {
        return Err(Refusal::bad("Linked fulfilment was not found"));
    }
    let today = world.today();
    let (nth, fresh) = match nth {
        Some(nth) => (nth, None),
        None => {
            let first = sale.invoices.iter().all(|i| i.status == Status::Voided);
            if !first && sale.kind != Kind::Advanced {
                return Err(Refusal::bad("Simple sale can have one invoice only"));
            }
            let (id, count, name) = (
                sale.id,
                sale.invoices.len(),
                sale.number.trim_start_matches("SO-").to_owned(),
            );
            let task = if sale.kind == Kind::Advanced || count > 0 {
                world.new_id()
            } else {
                id
            };
            let number = if count == 0 {
                format!("INV-{name}")
            } else {
                format!("INV-{name}/{}", count + 1)
            };
            let invoice = Invoice {
                task,
                number,
                status: Status::Draft,
                date: today,
                due: today.saturating_add(Span::new().days(30)),
                lines: Arc::default(),
                charges: Arc::default(),
                payments: vec![],
                linked_fulfilment: None,
                memo: String::new(),
                rate: Decimal::ONE,
            };
            (count, Some(invoice))
        }
    };
    let old = live(world, at)?.invoices.get(nth);
    let kept = old
        .map(|i| i.lines.len() + i.charges.len())
        .unwrap_or_default();
    let sent = lines.as_ref().map(Vec::len).unwrap_or(kept)
        + charges.as_ref().map(Vec::len).unwrap_or_default();
    if status == Status::Authorised && sent == 0 {
        return Err(Refusal::bad("Should be at least one invoice line."));
    }
    let memo = body.text("Memo");
    let task = alter(world, at, |sale| {
        sale.invoices.extend(fresh);
        let invoice = &mut sale.invoices[nth];
        invoice.status = status;
        invoice.lines = lines.map(Arc::new).unwrap_or_else(|| invoice.lines.clone());
        invoice.charges = charges
            .map(Arc::new)
            .unwrap_or_else(|| invoice.charges.clone());
        invoice.date = date.unwrap_or(invoice.date);
        invoice.due = due.unwrap_or(invoice.due);
        invoice.rate = rate.unwrap_or(invoice.rate);
        invoice.linked_fulfilment = link.or(invoice.linked_fulfilment);
        invoice.memo = memo.unwrap_or_else(|| invoice.memo.clone());
        // A prepayment pays the first invoice that is authorised.
        if status == Status::Authorised {
            let paid = std::mem::take(&mut sale.prepayments);
            sale.invoices[nth].payments.extend(paid);
            let number = sale.invoices[nth].number.clone();
            let linked = sale.invoices[nth].linked_fulfilment.unwrap_or(1);
            if let Some(f) = sale.fulfilments.iter_mut().find(|f| f.number == linked) {
                f.linked_invoice = Some(number);
            }
            settle(&mut sale.invoices[nth]);
        }
        sale.invoices[nth].task
    })?;
    world.sale_of_task.insert(task, at);
    if status == Status::Authorised {
        let number = live(world, at)?.invoices[nth].number.clone();
        world.announce_sale(
            "Sale/InvoiceAuthorised",
            at,
            json!({"InvoiceNumber": number}),
        );
    }
    part(world, at, "sale/invoice")
}

fn settle(invoice: &mut Invoice) {
    if matches!(invoice.status, Status::Authorised | Status::Paid) {
        invoice.status = if invoice.paid() >= invoice.total() {
            Status::Paid
        } else {
            Status::Authorised
        };
    }
}

fn remove_invoice(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.query.required_id("TaskID")?;
    let at = world
        .sale_index_of_task(task)
        .ok_or_else(|| Refusal::bad("Invoice task not found"))?;
    let sale = live(world, at)?;
    let nth = sale
        .invoices
        .iter()
        .position(|i| i.task == task && i.status != Status::Voided);
    let nth = nth.ok_or_else(|| Refusal::bad("Invoice task not found"))?;
    if !sale.invoices[nth].payments.is_empty() {
        return Err(Refusal::bad(
            "Invoice with payments cannot be voided or undone",
        ));
    }
    let void = write.query.flag("Void");
    alter(world, at, |sale| {
        sale.invoices[nth].status = if void { Status::Voided } else { Status::Draft }
    })?;
    world.announce_sale("Sale/Undo", at, json!({}));
    part(world, at, "sale/invoice")
}

/// Bills or settles a sale that has been delivered. `false` when nothing is left to do.
pub(super) fn step(world: &mut World, at: u32) -> bool {
    let (id, payment, today, now) = (world.new_id(), world.new_id(), world.today(), world.now());
    let bill = |sale: &mut Sale| {
        if let Some(invoice) = sale
            .invoices
            .iter_mut()
            .find(|i| i.status == Status::Authorised)
        {
            let amount = invoice.total() - invoice.paid();
            let reference = format!("BACS {}", invoice.number);
            let account = "090".to_owned();
            invoice.payments.push(Payment {
                id: payment,
                reference,
                amount,
                date: today,
                account,
                rate: Decimal::ONE,
                created: now,
            });
            settle(invoice);
            return true;
        }
        if sale.invoices.iter().any(|i| i.status != Status::Voided) {
            return false;
        }
        let free = totals(&sale.lines, &sale.charges).2.is_zero();
        let number = format!("INV-{}", sale.number.trim_start_matches("SO-"));
        sale.fulfilments
            .iter_mut()
            .for_each(|f| f.linked_invoice = Some(number.clone()));
        sale.invoices.push(Invoice {
            task: if sale.kind == Kind::Advanced {
                id
            } else {
                sale.id
            },
            number,
            status: if free {
                Status::Paid
            } else {
                Status::Authorised
            },
            date: today,
            due: today.saturating_add(Span::new().days(30)),
            lines: sale.lines.clone(),
            charges: sale.charges.clone(),
            payments: vec![],
            linked_fulfilment: sale.fulfilments.first().map(|f| f.number),
            memo: String::new(),
            rate: Decimal::ONE,
        });
        true
    };
    let Some(before) = world.sales[at as usize].as_ref().map(|sale| sale.updated) else {
        return false;
    };
    let changed = alter(world, at, bill).unwrap_or(false);
    match world.sales[at as usize].as_mut() {
        Some(sale) if !changed => sale.updated = before,
        Some(sale) => {
            let tasks: Vec<Uuid> = sale
                .invoices
                .iter()
                .flat_map(|i| std::iter::once(i.task).chain(i.payments.iter().map(|p| p.id)))
                .collect();
            let own = sale.id;
            world.sale_of_task.extend(
                tasks
                    .into_iter()
                    .filter(|task| *task != own)
                    .map(|task| (task, at)),
            );
        }
        None => {}
    }
    changed
}
