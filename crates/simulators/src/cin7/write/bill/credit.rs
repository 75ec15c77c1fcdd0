//! Credit notes and the goods that come back with them.

use super::*;

pub(in crate::cin7::write) fn credit_note(world: &mut World, write: &Write<'_>) -> Written {
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
    let (lines, charges) = billed(world, body, status, "credit note", line)?;
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
    let product = crate::cin7::write::order::product(world, row)?;
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
