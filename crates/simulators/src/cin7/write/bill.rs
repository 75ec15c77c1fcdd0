//! Invoices, payments and credit notes of sales.

use super::order::{charge, line, part};
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

pub(super) fn payment(world: &mut World, write: &Write<'_>) -> Written {
    match write.verb {
        Verb::Post => add_payment(world, write),
        Verb::Put => change_payment(world, write),
        Verb::Delete => {
            let id = write.query.required_id("ID")?;
            let (at, _) = find_payment(world, id)?;
            alter(world, at, |sale| {
                sale.prepayments.retain(|p| p.id != id);
                for invoice in &mut sale.invoices {
                    invoice.payments.retain(|p| p.id != id);
                    settle(invoice);
                }
                sale.credit_notes
                    .iter_mut()
                    .for_each(|c| c.refunds.retain(|p| p.id != id));
            })?;
            Ok(br#"{"Success":true}"#.to_vec())
        }
    }
}

fn add_payment(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let task = body.required_id("TaskID")?;
    let kind = body
        .text("Type")
        .unwrap_or_else(|| "PAYMENT".into())
        .to_ascii_uppercase();
    let amount = body.quantity("Amount")?.round_dp(2);
    let account = body.required("Account")?;
    let takes = |row: &serde_json::Map<String, serde_json::Value>| {
        row["Code"] == account.as_str() || row["Name"] == account.as_str()
    };
    if !world.books.rows("ref/account").iter().any(takes) {
        return Err(Refusal::unknown_name(format!(
            "Account '{account}' was not found in Chart of Accounts"
        )));
    }
    let at = world
        .sale_index_of_task(task)
        .ok_or_else(|| Refusal::bad("Task not found"))?;
    let sale = live(world, at)?;
    enum To {
        Invoice(usize),
        Credit(usize),
        Ahead,
    }
    let to = match kind.as_str() {
        "PAYMENT" => {
            let nth = sale
                .invoices
                .iter()
                .position(|i| i.task == task && i.status == Status::Authorised);
            let nth = nth.ok_or_else(|| {
                Refusal::bad("Payment can be added to an authorised invoice only")
            })?;
            let due = sale.invoices[nth].total() - sale.invoices[nth].paid();
            if amount > due {
                return Err(Refusal::bad(format!(
                    "Payment amount {amount} exceeds the balance {due}"
                )));
            }
            To::Invoice(nth)
        }
        "REFUND" => {
            let nth = sale
                .credit_notes
                .iter()
                .position(|c| c.task == task && c.status == Status::Authorised);
            To::Credit(nth.ok_or_else(|| {
                Refusal::bad("Refund can be added to an authorised credit note only")
            })?)
        }
        "PREPAYMENT" => {
            let quoted = sale.quote == Status::Authorised || sale.skip_quote;
            if !quoted || sale.order == Status::Authorised {
                return Err(Refusal::bad(
                    "Prepayment needs an authorised quote and an order that is not authorised",
                ));
            }
            To::Ahead
        }
        other => return Err(Refusal::bad(format!("'Type' cannot be '{other}'."))),
    };
    let payment = Payment {
        id: world.new_id(),
        reference: body.text("Reference").unwrap_or_default(),
        amount,
        date: body.date("DatePaid")?.unwrap_or_else(|| world.today()),
        account,
        rate: body.decimal("CurrencyRate")?.unwrap_or(Decimal::ONE),
        created: world.now(),
    };
    let (id, shown) = (payment.id, render::payment(&payment).value());
    let news = alter(world, at, |sale| match to {
        To::Invoice(nth) => {
            let invoice = &mut sale.invoices[nth];
            invoice.payments.push(payment);
            settle(invoice);
            let percent = (invoice.paid() * Decimal::ONE_HUNDRED / invoice.total()).round_dp(2);
            Some((
                invoice.status == Status::Paid,
                invoice.number.clone(),
                invoice.date,
                percent,
            ))
        }
        To::Credit(nth) => {
            sale.credit_notes[nth].refunds.push(payment);
            None
        }
        To::Ahead => {
            sale.prepayments.push(payment);
            None
        }
    })?;
    world.sale_of_task.insert(id, at);
    if let Some((full, number, date, percent)) = news {
        let mut more = json!({"DocumentNumber": number, "DocumentType": "Invoice", "DocumentDate": date.strftime("%d/%m/%Y").to_string()});
        if !full {
            more["AmountPercent"] = crate::cin7::world::rules::number(percent);
        }
        world.announce_sale(
            if full {
                "Sale/FullPaymentReceived"
            } else {
                "Sale/PartialPaymentReceived"
            },
            at,
            more,
        );
    }
    let mut doc = J::Own(shown).value();
    doc["TaskID"] = json!(task);
    doc["Type"] = json!(body.text("Type").unwrap_or_else(|| "Payment".into()));
    Ok(J::Own(doc).bytes())
}

fn find_payment(world: &World, id: Uuid) -> Answer<(u32, Payment)> {
    let missing = || Refusal::bad("Payment not found");
    let at = world.sale_index_of_task(id).ok_or_else(missing)?;
    let sale = live(world, at)?;
    let invoices = sale.invoices.iter().flat_map(|i| i.payments.iter());
    let refunds = sale.credit_notes.iter().flat_map(|c| c.refunds.iter());
    let found = invoices
        .chain(refunds)
        .chain(&sale.prepayments)
        .find(|p| p.id == id);
    Ok((at, found.ok_or_else(missing)?.clone()))
}

fn change_payment(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let (at, mut payment) = find_payment(world, body.required_id("ID")?)?;
    if live(world, at)?
        .prepayments
        .iter()
        .any(|p| p.id == payment.id)
    {
        return Err(Refusal::bad("Prepayment cannot be edited"));
    }
    payment.amount = body.decimal("Amount")?.unwrap_or(payment.amount);
    payment.date = body.date("DatePaid")?.unwrap_or(payment.date);
    payment.reference = body.text("Reference").unwrap_or(payment.reference);
    payment.account = body.text("Account").unwrap_or(payment.account);
    let shown = render::payment(&payment).bytes();
    let over = |invoice: &Invoice| {
        let others: Decimal = invoice
            .payments
            .iter()
            .filter(|p| p.id != payment.id)
            .map(|p| p.amount)
            .sum();
        invoice.payments.iter().any(|p| p.id == payment.id)
            && others + payment.amount > invoice.total()
    };
    if payment.amount <= Decimal::ZERO || live(world, at)?.invoices.iter().any(over) {
        return Err(Refusal::bad(format!(
            "Payment amount {} exceeds the balance",
            payment.amount
        )));
    }
    alter(world, at, |sale| {
        for invoice in &mut sale.invoices {
            for old in invoice.payments.iter_mut().filter(|p| p.id == payment.id) {
                *old = payment.clone();
            }
            settle(invoice);
        }
        for old in sale
            .credit_notes
            .iter_mut()
            .flat_map(|c| c.refunds.iter_mut())
            .filter(|p| p.id == payment.id)
        {
            *old = payment.clone();
        }
    })?;
    Ok(shown)
}

pub(super) fn credit_note(world: &mut World, write: &Write<'_>) -> Written {
    if write.verb == Verb::Delete {
        return remove_credit(world, write);
    }
    let body = write.body;
    let at = index(world, body.required_id("SaleID")?)?;
    let sale = live(world, at)?;
    let booked = sale
        .invoices
        .iter()
        .find(|i| matches!(i.status, Status::Authorised | Status::Paid));
    let invoice_number = booked
        .ok_or_else(|| Refusal::bad("Credit note needs an invoice that is authorised or paid"))?
        .number
        .clone();
    let status = status_of(write)?;
    let existing = match body.id("TaskID")? {
        Some(task) => {
            let nth = sale.credit_notes.iter().position(|c| c.task == task);
            let nth = nth.ok_or_else(|| Refusal::bad("Credit note task not found"))?;
            if !sale.credit_notes[nth].status.open() {
                return Err(Refusal::bad(
                    "Credit note cannot be changed once it is authorised",
                ));
            }
            Some(nth)
        }
        None => None,
    };
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
        return Err(Refusal::bad("Should be at least one credit note line."));
    }
    let restock = body
        .rows("Restock")?
        .into_iter()
        .map(|row| restocked(world, row))
        .collect::<Answer<Vec<_>>>()?;
    let rate = body
        .decimal("CreditNoteConversionRate")?
        .unwrap_or(Decimal::ONE);
    let date = body
        .date("CreditNoteDate")?
        .unwrap_or_else(|| world.today());
    let (task, number) = match existing {
        Some(nth) => (
            live(world, at)?.credit_notes[nth].task,
            live(world, at)?.credit_notes[nth].number.clone(),
        ),
        None => {
            world.numbers.credit_note += 1;
            (
                world.new_id(),
                format!("CR-{:05}", world.numbers.credit_note),
            )
        }
    };
    let note = CreditNote {
        task,
        number: number.clone(),
        invoice_number,
        status,
        date,
        lines,
        charges,
        refunds: vec![],
        restock: restock.clone(),
        memo: body.text("Memo").unwrap_or_default(),
        rate,
    };
    alter(world, at, |sale| match existing {
        Some(nth) => sale.credit_notes[nth] = note,
        None => sale.credit_notes.push(note),
    })?;
    world.sale_of_task.insert(task, at);
    if status == Status::Authorised {
        move_restock(world, task, &number, &restock, Decimal::ONE);
        world.announce_sale(
            "Sale/CreditNoteAuthorised",
            at,
            json!({"CreditNoteNumber": number, "TaskID": task}),
        );
    }
    part(world, at, "sale/creditnote")
}

/// Goods that come back go to `RestockLocation`; without one, to where they came from.
fn restocked(world: &World, row: Fields<'_>) -> Answer<Picked> {
    let product = super::order::product(world, row)?;
    let id = row.id("RestockLocationID")?.or(row.id("LocationID")?);
    let name = row.text("RestockLocation").or_else(|| row.text("Location"));
    let place = world
        .find_place(id, name.as_deref())
        .ok_or_else(|| Refusal::missing("RestockLocation"))?;
    let batch = match row.text("BatchSN") {
        Some(name) => world
            .stock
            .find_batch(&name, row.date("ExpiryDate")?)
            .unwrap_or_default(),
        None => 0,
    };
    Ok(Picked {
        product,
        place,
        batch,
        quantity: row.quantity("Quantity")?,
        parcel: None,
    })
}

fn move_restock(world: &mut World, task: Uuid, number: &str, lines: &[Picked], sign: Decimal) {
    let cause = Cause {
        task,
        kind: "Restock",
        number,
        date: world.today(),
    };
    for line in lines {
        let key = world.card_key(line.product, line.place, line.batch);
        let cost = world.product(line.product).cost;
        world.stock.shift(key, line.quantity * sign, cost, &cause);
        world.serve_backorders(line.product, key.at);
    }
}

fn remove_credit(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.query.required_id("TaskID")?;
    let missing = || Refusal::bad("Credit note task not found");
    let at = world.sale_index_of_task(task).ok_or_else(missing)?;
    let sale = live(world, at)?;
    let nth = sale
        .credit_notes
        .iter()
        .position(|c| c.task == task && c.status != Status::Voided)
        .ok_or_else(missing)?;
    let note = sale.credit_notes[nth].clone();
    if !note.refunds.is_empty() {
        return Err(Refusal::bad(
            "Credit note with refunds cannot be voided or undone",
        ));
    }
    if note.status == Status::Authorised {
        move_restock(
            world,
            task,
            &note.number,
            &note.restock,
            Decimal::NEGATIVE_ONE,
        );
    }
    let void = write.query.flag("Void");
    alter(world, at, |sale| {
        sale.credit_notes[nth].status = if void { Status::Voided } else { Status::Draft }
    })?;
    part(world, at, "sale/creditnote")
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
