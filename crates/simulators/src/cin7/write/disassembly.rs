//! Taking kits apart.

use super::assembly::errors;
use super::order::product;
use super::{Verb, Write, Written};
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::assembly::{Disassembly, Used};
use crate::cin7::world::stock::Cause;
use rust_decimal::Decimal;

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    match (write.verb, write.path) {
        (Verb::Delete, _) => void(world, write),
        (_, "disassembly/order") => order(world, write),
        _ => create(world, write),
    }
}

fn find(world: &World, id: uuid::Uuid) -> Answer<usize> {
    world
        .disassemblies
        .iter()
        .position(|d| d.id == id)
        .ok_or_else(|| Refusal::bad("Disassembly task not found"))
}

fn document(world: &World, at: usize, failed: Option<&Refusal>) -> Vec<u8> {
    world
        .disassembly_document(&world.disassemblies[at], errors(failed))
        .bytes()
}

fn create(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let status = body.required("Status")?.to_ascii_uppercase();
    let complete = match status.as_str() {
        "DRAFT" | "WORK IN PROGRESS" => false,
        "COMPLETED" => true,
        other => return Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    };
    let kit = product(world, body)?;
    let place = world.find_place(body.id("LocationID")?, body.text("Location").as_deref());
    let place = place.ok_or_else(|| Refusal::missing("LocationID"))?;
    let wip_account = body.required("WIPAccount")?;
    let quantity = body.quantity("Quantity")?;
    let date = body
        .date("CompletionDate")?
        .unwrap_or_else(|| world.today());
    let id = world.new_id();
    world.numbers.assembly += 1;
    world.disassemblies.push(Disassembly {
        id,
        number: format!("FG-{:05}", world.numbers.assembly),
        draft: true,
        completed: false,
        voided: false,
        product: kit,
        place,
        quantity,
        date,
        wip_account,
        notes: body.text("Notes").unwrap_or_default(),
        taken: vec![],
        made: vec![],
    });
    let at = world.disassemblies.len() - 1;
    let failed = match status.as_str() {
        "DRAFT" => None,
        _ => take(world, at)
            .and_then(|()| {
                if complete {
                    from_bom(world, at)
                } else {
                    Ok(())
                }
            })
            .err(),
    };
    Ok(document(world, at, failed.as_ref()))
}

/// The kits leave stock.
fn take(world: &mut World, at: usize) -> Answer<()> {
    let doc = world.disassemblies[at].clone();
    let warehouse = world.warehouse_of(doc.place);
    let takes = world.take_free(doc.product, warehouse, doc.quantity);
    let there: Decimal = takes.iter().map(|(_, quantity)| *quantity).sum();
    if there < doc.quantity {
        let sku = &world.product(doc.product).sku;
        return Err(Refusal::bad(format!(
            "Available quantity for product (SKU: {sku}) is {there:.10}, cannot pick {}",
            doc.quantity
        )));
    }
    let cause = Cause {
        task: doc.id,
        kind: "Disassembly",
        number: &doc.number,
        date: doc.date,
    };
    for (key, quantity) in takes {
        let cost = world
            .stock
            .cards
            .get(&key)
            .map_or(Decimal::ZERO, |card| card.cost);
        world.stock.shift(key, -quantity, cost, &cause);
        let used = Used {
            product: key.product,
            place: key.place,
            batch: key.batch,
            quantity,
            cost: cost * quantity,
        };
        world.disassemblies[at].taken.push(used);
    }
    world.disassemblies[at].draft = false;
    Ok(())
}

fn from_bom(world: &mut World, at: usize) -> Answer<()> {
    let doc = &world.disassemblies[at];
    let planned = world.planned_for(doc.product, doc.quantity);
    let place = world.warehouse_of(doc.place);
    let goods = planned
        .iter()
        .filter(|line| !world.product(line.product).service);
    let made: Vec<Used> = goods
        .map(|line| Used {
            product: line.product,
            place,
            batch: 0,
            quantity: line.quantity,
            cost: world.product(line.product).cost * line.quantity,
        })
        .collect();
    if made.is_empty() {
        return Err(Refusal::bad("Should be at least one order line."));
    }
    finish(world, at, made);
    Ok(())
}

/// The parts arrive.
fn finish(world: &mut World, at: usize, made: Vec<Used>) {
    let doc = world.disassemblies[at].clone();
    let cause = Cause {
        task: doc.id,
        kind: "Disassembly",
        number: &doc.number,
        date: doc.date,
    };
    for line in &made {
        let key = world.card_key(line.product, line.place, line.batch);
        let cost = world.product(line.product).cost;
        world.stock.shift(key, line.quantity, cost, &cause);
        world.serve_backorders(line.product, key.at);
    }
    let doc = &mut world.disassemblies[at];
    (doc.made, doc.completed) = (made, true);
}

fn order(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("TaskID")?)?;
    let doc = &world.disassemblies[at];
    if doc.status() != "WORK IN PROGRESS" {
        return Err(Refusal::bad(format!(
            "Order cannot be changed in status {}",
            doc.status()
        )));
    }
    let warehouse = world.warehouse_of(doc.place);
    let mut made = vec![];
    for row in body.rows("OrderLines")? {
        let product = product(world, row)?;
        let quantity = row.quantity("Quantity")?;
        let place = match row.id("BinID")? {
            Some(id) => world
                .find_place(Some(id), None)
                .ok_or_else(|| Refusal::unknown_name("Bin was not found"))?,
            None => warehouse,
        };
        let batch = row
            .text("BatchSN")
            .map(|name| Ok((name, row.date("ExpiryDate")?)))
            .transpose()?;
        let batch = batch.map_or(0, |(name, expiry)| world.stock.batch(&name, expiry));
        let cost = row
            .decimal("Cost")?
            .unwrap_or_else(|| world.product(product).cost * quantity);
        made.push(Used {
            product,
            place,
            batch,
            quantity,
            cost,
        });
    }
    if made.is_empty() {
        return Err(Refusal::bad("Should be at least one order line."));
    }
    finish(world, at, made);
    Ok(document(world, at, None))
}

fn void(world: &mut World, write: &Write<'_>) -> Written {
    let at = find(world, write.query.required_id("ID")?)?;
    let doc = world.disassemblies[at].clone();
    if doc.voided {
        return Err(Refusal::bad("Disassembly task is voided"));
    }
    // Documents from before the account was opened moved nothing that is on record here.
    if world.stock.movements.iter().any(|m| m.task == doc.id) {
        for line in doc.made.iter().filter(|_| doc.completed) {
            let key = world.card_key(line.product, line.place, line.batch);
            let here = world
                .stock
                .cards
                .get(&key)
                .map_or(Decimal::ZERO, |card| card.on_hand);
            let free = world.stock.available(line.product, key.at).min(here);
            if free < line.quantity {
                let sku = &world.product(line.product).sku;
                return Err(Refusal::bad(format!(
                    "Available quantity for product (SKU: {sku}) is {free:.10}, cannot void"
                )));
            }
        }
        let cause = Cause {
            task: doc.id,
            kind: "Disassembly",
            number: &doc.number,
            date: world.today(),
        };
        let back = doc.taken.iter().map(|line| (line, Decimal::ONE));
        let gone = doc
            .made
            .iter()
            .filter(|_| doc.completed)
            .map(|line| (line, Decimal::NEGATIVE_ONE));
        for (line, sign) in back.chain(gone) {
            let key = world.card_key(line.product, line.place, line.batch);
            let cost = world.product(line.product).cost;
            world.stock.shift(key, line.quantity * sign, cost, &cause);
        }
    }
    let doc = &mut world.disassemblies[at];
    doc.taken.clear();
    doc.made.clear();
    doc.completed = false;
    if write.query.flag("Void") {
        doc.voided = true
    } else {
        doc.draft = true
    }
    Ok(document(world, at, None))
}
