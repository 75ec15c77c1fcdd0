//! Stock transfers: request, departure, arrival.

use super::order::product;
use super::{Fields, Verb, Write, Written};
use crate::cin7::json::obj;
use crate::cin7::query::parse_id;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::stock::{CardKey, Cause};
use crate::cin7::world::stockdoc::{Transfer, TransferLine, TransferStatus};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    match write.verb {
        Verb::Post => create(world, write),
        Verb::Put => change(world, write),
        Verb::Delete => {
            let at = find(world, write.query.required_id("ID")?)?;
            if write.query.flag("Void") {
                void(world, at)?
            } else {
                undo(world, at)?
            }
            Ok(document(world, at))
        }
    }
}

fn find(world: &World, id: Uuid) -> Answer<usize> {
    world
        .transfers
        .iter()
        .position(|t| t.id == id)
        .ok_or_else(|| Refusal::bad("Stock transfer task not found"))
}

fn document(world: &World, at: usize) -> Vec<u8> {
    world.transfer_document(&world.transfers[at]).bytes()
}

/// Where from or where to: a GUID of a warehouse or a bin, or the name of a warehouse. A bin by name is refused.
fn place(world: &World, body: Fields<'_>, id_key: &str, name_key: &str) -> Answer<Option<u16>> {
    let text = body.text(id_key).or_else(|| body.text(name_key));
    let Some(text) = text else { return Ok(None) };
    let found = match parse_id(id_key, &text) {
        Ok(id) => world.find_place(Some(id), None),
        Err(_) => world
            .find_place(None, Some(&text))
            .filter(|at| world.place(*at).parent.is_none()),
    };
    let missing = || {
        Refusal::unknown_name(format!(
            "Location {text} was not found in Locations reference book"
        ))
    };
    found.map(Some).ok_or_else(missing)
}

fn line(world: &World, row: Fields<'_>, from: u16) -> Answer<TransferLine> {
    let product = product(world, row)?;
    let quantity = row.quantity("TransferQuantity")?;
    let name = row.text("BatchSN").unwrap_or_default();
    // A batch with another expiry date is another batch, and an empty one.
    let batch = world.stock.find_batch(&name, row.date("ExpiryDate")?);
    let cards = cards(world, product, from, batch.unwrap_or(u32::MAX));
    let on_hand: Decimal = cards.iter().map(|(_, on_hand, _)| *on_hand).sum();
    let available: Decimal = cards.iter().map(|(_, _, available)| *available).sum();
    Ok(TransferLine {
        product,
        quantity,
        batch: batch.unwrap_or_default(),
        on_hand,
        available,
        comments: row.text("Comments").unwrap_or_default(),
    })
}

/// The cards a transfer may draw from: one place if it starts at a bin, the whole warehouse otherwise.
fn cards(world: &World, product: u32, from: u16, batch: u32) -> Vec<(CardKey, Decimal, Decimal)> {
    let bin = world.place(from).parent.is_some();
    let all = world.stock.cards_at(product, world.warehouse_of(from));
    let fits = all.filter(|(key, _)| key.batch == batch && (!bin || key.place == from));
    fits.map(|(key, card)| (*key, card.on_hand, card.on_hand - card.allocated))
        .collect()
}

/// The quantity must be available, already for a draft.
fn check(world: &World, lines: &[TransferLine], from: u16) -> Answer<()> {
    let mut wanted: BTreeMap<(u32, u32), Decimal> = BTreeMap::new();
    for line in lines {
        *wanted.entry((line.product, line.batch)).or_default() += line.quantity;
    }
    for ((product, batch), quantity) in wanted {
        let there: Decimal = cards(world, product, from, batch)
            .iter()
            .map(|(_, _, available)| *available)
            .sum();
        if there < quantity {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Available quantity for product (SKU: {sku}) is {there:.10}, cannot transfer {quantity}"
            )));
        }
    }
    Ok(())
}

fn status(body: Fields<'_>) -> Answer<TransferStatus> {
    match body.required("Status")?.to_ascii_uppercase().as_str() {
        "DRAFT" => Ok(TransferStatus::Draft),
        "IN TRANSIT" => Ok(TransferStatus::InTransit),
        "COMPLETED" => Ok(TransferStatus::Completed),
        other => Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    }
}

fn create(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let status = status(body)?;
    let from =
        place(world, body, "From", "FromLocation")?.ok_or_else(|| Refusal::missing("From"))?;
    let to = place(world, body, "To", "ToLocation")?.ok_or_else(|| Refusal::missing("To"))?;
    if from == to {
        return Err(Refusal::bad("'From' and 'To' cannot be the same location"));
    }
    let skip_order = body.bool("SkipOrder").unwrap_or(true);
    let lines = body
        .rows("Lines")?
        .into_iter()
        .map(|row| line(world, row, from))
        .collect::<Answer<Vec<_>>>()?;
    if lines.is_empty() && skip_order {
        return Err(Refusal::bad("Should be at least one transfer line."));
    }
    check(world, &lines, from)?;
    requirements(world, body, status, from, to)?;
    let today = world.today();
    let (departed, completed) = (body.date("DepartureDate")?, body.date("CompletionDate")?);
    let required = body.date("RequiredByDate")?;
    let id = world.new_id();
    world.numbers.transfer += 1;
    let transfer = Transfer {
        id,
        number: format!("TR-{:05}", world.numbers.transfer),
        status: TransferStatus::Draft,
        from,
        to,
        departed: departed.or((status == TransferStatus::InTransit).then_some(today)),
        completed: completed.or((status == TransferStatus::Completed).then_some(today)),
        required,
        in_transit_account: body.text("InTransitAccount").unwrap_or_default(),
        cost_distribution: body
            .text("CostDistributionType")
            .unwrap_or_else(|| "Cost".into()),
        reference: body.text("Reference").unwrap_or_default(),
        skip_order,
        order: (!skip_order).then_some("DRAFT"),
        order_lines: vec![],
        lines,
        left: vec![],
        modified: world.now(),
    };
    world.transfers.push(transfer);
    let at = world.transfers.len() - 1;
    advance(world, at, status);
    Ok(document(world, at))
}

fn requirements(
    world: &World,
    body: Fields<'_>,
    status: TransferStatus,
    from: u16,
    to: u16,
) -> Answer<()> {
    if status != TransferStatus::InTransit {
        return Ok(());
    }
    if !body.has("DepartureDate") {
        return Err(Refusal::missing("DepartureDate"));
    }
    if world.warehouse_of(from) != world.warehouse_of(to) && !body.has("InTransitAccount") {
        return Err(Refusal::missing("InTransitAccount"));
    }
    Ok(())
}

fn change(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("TaskID")?)?;
    let old = &world.transfers[at];
    let target = status(body)?;
    match (old.status, target) {
        (TransferStatus::Completed | TransferStatus::Voided, _) => {
            return Err(Refusal::bad(format!(
                "Stock transfer cannot be changed in status {}",
                old.status.text()
            )));
        }
        (TransferStatus::InTransit, TransferStatus::Draft) => {
            return Err(Refusal::bad(
                "Stock transfer in transit cannot become a draft",
            ));
        }
        _ => {}
    }
    let moving = old.status == TransferStatus::InTransit;
    let (old_from, old_to, old_lines) = (old.from, old.to, old.lines.clone());
    let from = place(world, body, "From", "FromLocation")?.unwrap_or(old_from);
    let to = place(world, body, "To", "ToLocation")?.unwrap_or(old_to);
    let rows = body.rows("Lines")?;
    // Once it is on its way, changed quantities are accepted and ignored.
    let lines = match moving || rows.is_empty() {
        true => old_lines,
        false => rows
            .into_iter()
            .map(|row| line(world, row, from))
            .collect::<Answer<Vec<_>>>()?,
    };
    if !moving {
        check(world, &lines, from)?;
        requirements(world, body, target, from, to)?;
    }
    if lines.is_empty() && target != TransferStatus::Draft {
        return Err(Refusal::bad("Should be at least one transfer line."));
    }
    let (departed, completed) = (body.date("DepartureDate")?, body.date("CompletionDate")?);
    let (now, today) = (world.now(), world.today());
    let transfer = &mut world.transfers[at];
    if !moving {
        (transfer.from, transfer.to) = (from, to);
    }
    transfer.lines = lines;
    transfer.departed = departed
        .or(transfer.departed)
        .or((target == TransferStatus::InTransit).then_some(today));
    transfer.completed = completed
        .or(transfer.completed)
        .or((target == TransferStatus::Completed).then_some(today));
    transfer.in_transit_account = body
        .text("InTransitAccount")
        .unwrap_or(transfer.in_transit_account.clone());
    transfer.reference = body.text("Reference").unwrap_or(transfer.reference.clone());
    transfer.modified = now;
    advance(world, at, target);
    Ok(document(world, at))
}

/// Moves the goods that a change of status moves.
fn advance(world: &mut World, at: usize, target: TransferStatus) {
    if world.transfers[at].status != TransferStatus::InTransit && target != TransferStatus::Draft {
        depart(world, at);
    }
    if target == TransferStatus::Completed {
        arrive(world, at);
    } else if target == TransferStatus::InTransit
        && world.transfers[at].status != TransferStatus::InTransit
    {
        let transfer = &world.transfers[at];
        let warehouse = world.warehouse_of(transfer.to);
        let left = transfer.left.clone();
        for (key, quantity) in left {
            world
                .stock
                .expect(key.product, warehouse, Decimal::ZERO, quantity);
        }
    }
    world.transfers[at].status = target;
}

fn depart(world: &mut World, at: usize) {
    let transfer = world.transfers[at].clone();
    let cause = Cause {
        task: transfer.id,
        kind: "Transfer Out",
        number: &transfer.number,
        date: world.today(),
    };
    let mut left = vec![];
    for line in &transfer.lines {
        let mut rest = line.quantity;
        for (key, on_hand, available) in cards(world, line.product, transfer.from, line.batch) {
            let take = rest.min(on_hand).min(available.max(Decimal::ZERO));
            if take > Decimal::ZERO {
                let cost = world
                    .stock
                    .cards
                    .get(&key)
                    .map_or(Decimal::ZERO, |card| card.cost);
                world.stock.shift(key, -take, cost, &cause);
                left.push((key, take));
                rest -= take;
            }
        }
    }
    world.transfers[at].left = left;
}

fn arrive(world: &mut World, at: usize) {
    let transfer = world.transfers[at].clone();
    let warehouse = world.warehouse_of(transfer.to);
    let cause = Cause {
        task: transfer.id,
        kind: "Transfer In",
        number: &transfer.number,
        date: world.today(),
    };
    for (key, quantity) in &transfer.left {
        if transfer.status == TransferStatus::InTransit {
            world
                .stock
                .expect(key.product, warehouse, Decimal::ZERO, -*quantity);
        }
        let cost = world
            .stock
            .cards
            .get(key)
            .map_or_else(|| world.product(key.product).cost, |card| card.cost);
        let to = world.card_key(key.product, transfer.to, key.batch);
        world.stock.shift(to, *quantity, cost, &cause);
        world.serve_backorders(key.product, warehouse);
    }
}

/// Voiding brings the goods back to where they left from; the document stays, without lines.
fn void(world: &mut World, at: usize) -> Answer<()> {
    let old = world.transfers[at].status;
    if old == TransferStatus::Voided {
        return Err(Refusal::bad("Stock transfer is voided"));
    }
    back(world, at)?;
    world.transfers[at].status = TransferStatus::Voided;
    Ok(())
}

fn undo(world: &mut World, at: usize) -> Answer<()> {
    match world.transfers[at].status {
        TransferStatus::InTransit | TransferStatus::Completed => back(world, at)?,
        TransferStatus::Ordered => world.transfers[at].order = Some("DRAFT"),
        _ => return Err(Refusal::bad("There is nothing to undo")),
    }
    world.transfers[at].status = TransferStatus::Draft;
    Ok(())
}

fn back(world: &mut World, at: usize) -> Answer<()> {
    let (now, today) = (world.now(), world.today());
    let transfer = world.transfers[at].clone();
    let warehouse = world.warehouse_of(transfer.to);
    let done = transfer.status == TransferStatus::Completed;
    if done {
        for (key, quantity) in &transfer.left {
            let there = world
                .stock
                .cards
                .get(&world.card_key(key.product, transfer.to, key.batch));
            if there.is_none_or(|card| card.on_hand - card.allocated < *quantity) {
                let sku = &world.product(key.product).sku;
                return Err(Refusal::bad(format!(
                    "Product (SKU: {sku}) is no longer available at the destination"
                )));
            }
        }
    }
    let cause = Cause {
        task: transfer.id,
        kind: "Transfer In",
        number: &transfer.number,
        date: today,
    };
    for (key, quantity) in &transfer.left {
        let cost = world.product(key.product).cost;
        match done {
            true => {
                let to = world.card_key(key.product, transfer.to, key.batch);
                world.stock.shift(to, -*quantity, cost, &cause);
            }
            false => world
                .stock
                .expect(key.product, warehouse, Decimal::ZERO, -*quantity),
        }
        world.stock.shift(*key, *quantity, cost, &cause);
    }
    let transfer = &mut world.transfers[at];
    transfer.left.clear();
    transfer.modified = now;
    Ok(())
}

pub(super) fn order(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("TaskID")?)?;
    let old = &world.transfers[at];
    if !matches!(old.status, TransferStatus::Draft) || old.skip_order {
        return Err(Refusal::bad("Stock transfer order cannot be changed"));
    }
    let from = old.from;
    let authorised = super::sale::status_of(write)? == crate::cin7::world::sale::Status::Authorised;
    let lines = body
        .rows("Lines")?
        .into_iter()
        .map(|row| line(world, row, from))
        .collect::<Answer<Vec<_>>>()?;
    if authorised && lines.is_empty() {
        return Err(Refusal::bad("Should be at least one order line."));
    }
    let now = world.now();
    let transfer = &mut world.transfers[at];
    transfer.order_lines = lines;
    transfer.order = Some(if authorised { "AUTHORISED" } else { "DRAFT" });
    transfer.status = if authorised {
        TransferStatus::Ordered
    } else {
        TransferStatus::Draft
    };
    transfer.modified = now;
    let transfer = &world.transfers[at];
    let lines = transfer
        .order_lines
        .iter()
        .map(|line| world.transfer_line(line, true));
    Ok(obj! { "TaskID": transfer.id, "Status": transfer.order, "Lines": lines.collect::<Vec<_>>() }.bytes())
}

impl World {
    /// Completes the oldest transfer on its way, as a warehouse that receives it. `false` if there is none.
    pub(crate) fn receive_transfer(&mut self) -> bool {
        let found = self
            .transfers
            .iter()
            .position(|t| t.status == TransferStatus::InTransit);
        let Some(at) = found else { return false };
        let (now, today) = (self.now(), self.today());
        self.transfers[at].modified = now;
        self.transfers[at].completed = Some(today);
        advance(self, at, TransferStatus::Completed);
        true
    }

    /// Sends a few units of a product from one place to another warehouse. `false` if they are not there.
    pub(crate) fn send_transfer(&mut self, from: CardKey, to: u16, quantity: Decimal) -> bool {
        let line = TransferLine {
            product: from.product,
            quantity,
            batch: from.batch,
            on_hand: quantity,
            available: quantity,
            comments: String::new(),
        };
        if check(self, std::slice::from_ref(&line), from.place).is_err()
            || self.warehouse_of(to) == from.at
        {
            return false;
        }
        let (id, now, today) = (self.new_id(), self.now(), self.today());
        self.numbers.transfer += 1;
        self.transfers.push(Transfer {
            id,
            number: format!("TR-{:05}", self.numbers.transfer),
            status: TransferStatus::Draft,
            from: from.place,
            to,
            departed: Some(today),
            completed: None,
            required: None,
            in_transit_account: "631".into(),
            cost_distribution: "Cost".into(),
            reference: "Replenish".into(),
            skip_order: true,
            order: None,
            order_lines: vec![],
            lines: vec![line],
            left: vec![],
            modified: now,
        });
        advance(self, self.transfers.len() - 1, TransferStatus::InTransit);
        true
    }
}
