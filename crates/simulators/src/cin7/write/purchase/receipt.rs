//! Goods that arrive: received, put away, on hand.

use super::*;

pub(super) fn stock(world: &mut World, write: &Write<'_>, at: usize, advanced: bool) -> Answer<()> {
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
pub(super) fn receive(world: &mut World, at: usize, nth: usize) {
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

pub(super) fn put_away(world: &mut World, write: &Write<'_>, at: usize) -> Answer<()> {
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
