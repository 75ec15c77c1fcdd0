//! Finished goods: in one call with the final status, or stage by stage.

use super::order::product;
use super::{Fields, Verb, Write, Written};
use crate::cin7::json::{J, obj};
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::assembly::{Assembly, AssemblyStatus, Planned, Used};
use crate::cin7::world::stock::{CardKey, Cause};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    match write.verb {
        Verb::Post => create(world, write),
        Verb::Put => change(world, write),
        Verb::Delete => {
            let at = find(world, write.query.required_id("ID")?)?;
            void(world, at, write.query.flag("Void"))?;
            Ok(document(world, at, None))
        }
    }
}

fn find(world: &World, id: Uuid) -> Answer<usize> {
    world
        .assemblies
        .iter()
        .position(|a| a.id == id)
        .ok_or_else(|| Refusal::bad("Finished goods task not found"))
}

fn document(world: &World, at: usize, failed: Option<&Refusal>) -> Vec<u8> {
    let faults = failed.iter().flat_map(|refusal| refusal.faults.iter());
    let errors = faults.map(|(code, text)| obj! { "ErrorCode": *code, "Exception": text.as_str() });
    world
        .assembly_document(&world.assemblies[at], errors.collect())
        .bytes()
}

fn status(body: Fields<'_>) -> Answer<AssemblyStatus> {
    match body.required("Status")?.to_ascii_uppercase().as_str() {
        "DRAFT" => Ok(AssemblyStatus::Draft),
        "AUTHORISED" => Ok(AssemblyStatus::Authorised),
        "IN PROGRESS" => Ok(AssemblyStatus::InProgress),
        "COMPLETED" => Ok(AssemblyStatus::Completed),
        other => Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    }
}

/// Where the product lands: the bin if one is named, else the warehouse.
fn place(world: &World, body: Fields<'_>) -> Answer<Option<u16>> {
    let (id, name) = (body.id("LocationID")?, body.text("Location"));
    if id.is_none() && name.is_none() {
        return Ok(None);
    }
    let missing = |what: &str| {
        Refusal::unknown_name(format!(
            "Location {what} was not found in Locations reference book"
        ))
    };
    let warehouse = world.find_place(id, name.as_deref());
    let warehouse = warehouse.ok_or_else(|| missing(name.as_deref().unwrap_or("by its ID")))?;
    bin(world, body, warehouse).map(Some)
}

/// A bin named by `BinID` or `Bin` inside a warehouse; the warehouse itself stands for "no bin".
fn bin(world: &World, row: Fields<'_>, warehouse: u16) -> Answer<u16> {
    let missing = |what: String| Refusal::unknown_name(format!("Bin {what} was not found"));
    let inside = |at: u16| world.warehouse_of(at) == world.warehouse_of(warehouse);
    match (row.id("BinID")?, row.text("Bin")) {
        (Some(id), _) => world
            .find_place(Some(id), None)
            .filter(|at| inside(*at))
            .ok_or_else(|| missing(id.to_string())),
        (None, Some(name)) => {
            let here = &world.place(world.warehouse_of(warehouse)).name;
            if name.eq_ignore_ascii_case(here) {
                return Ok(warehouse);
            }
            let full = if name.contains(':') {
                name.clone()
            } else {
                format!("{here}: {name}")
            };
            world
                .find_place(None, Some(&full))
                .filter(|at| inside(*at))
                .ok_or_else(|| missing(name))
        }
        _ => Ok(warehouse),
    }
}

fn create(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let target = status(body)?;
    let kit = product(world, body)?;
    let place = place(world, body)?.ok_or_else(|| Refusal::missing("LocationID"))?;
    let wip_account = body.required("WIPAccount")?;
    let account = body.required("Account")?;
    let quantity = body.quantity("Quantity")?;
    let (wip_date, completion) = (body.date("WIPDate")?, body.date("CompletionDate")?);
    if target >= AssemblyStatus::Authorised && wip_date.is_none() {
        return Err(Refusal::missing("WIPDate"));
    }
    if target == AssemblyStatus::Completed && completion.is_none() {
        return Err(Refusal::missing("CompletionDate"));
    }
    let expiry = body.date("ExpiryDate")?;
    if world.product(kit).needs_expiry() && expiry.is_none() {
        return Err(Refusal::missing("ExpiryDate"));
    }
    let batch = body
        .text("BatchSN")
        .map_or(0, |name| world.stock.batch(&name, expiry));
    let id = world.new_id();
    world.numbers.assembly += 1;
    world.assemblies.push(Assembly {
        id,
        number: format!("FG-{:05}", world.numbers.assembly),
        status: AssemblyStatus::Draft,
        product: kit,
        place,
        quantity,
        wip_account,
        account,
        wip_date,
        date: wip_date.unwrap_or_else(|| world.today()),
        completed: completion,
        batch,
        notes: body.text("Notes").unwrap_or_default(),
        sale: None,
        planned: vec![],
        used: vec![],
        written: custom_fields(body),
    });
    let at = world.assemblies.len() - 1;
    // The task exists from here on: what fails later is told beside it, with 200.
    let failed = carry_through(world, at, target).err();
    Ok(document(world, at, failed.as_ref()))
}

fn custom_fields(body: Fields<'_>) -> serde_json::Map<String, serde_json::Value> {
    let mut written = serde_json::Map::new();
    body.copy(&crate::cin7::render::numbered!("CustomField"), &mut written);
    written
}

/// Takes a new assembly as far as the creating call asked.
fn carry_through(world: &mut World, at: usize, target: AssemblyStatus) -> Answer<()> {
    if target >= AssemblyStatus::Authorised {
        let (kit, quantity) = (world.assemblies[at].product, world.assemblies[at].quantity);
        let planned = world.planned_for(kit, quantity);
        if planned.is_empty() {
            return Err(Refusal::bad("Should be at least one order line."));
        }
        world.assemblies[at].planned = planned;
        world.assemblies[at].status = AssemblyStatus::Authorised;
    }
    if target >= AssemblyStatus::InProgress {
        let takes = choose(world, at)?;
        consume(world, at, takes);
    }
    if target == AssemblyStatus::Completed {
        produce(world, at);
    }
    Ok(())
}

/// Free components at the warehouse for everything planned; refused when something is missing.
fn choose(world: &World, at: usize) -> Answer<Vec<(CardKey, Decimal)>> {
    let doc = &world.assemblies[at];
    let warehouse = world.warehouse_of(doc.place);
    let mut wanted: BTreeMap<u32, Decimal> = BTreeMap::new();
    for line in doc
        .planned
        .iter()
        .filter(|line| !world.product(line.product).service)
    {
        *wanted.entry(line.product).or_default() += line.total;
    }
    let mut takes = vec![];
    for (product, quantity) in wanted {
        let found = world.take_free(product, warehouse, quantity);
        let there: Decimal = found.iter().map(|(_, quantity)| *quantity).sum();
        if there < quantity {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Available quantity for product (SKU: {sku}) is {there:.10}, cannot pick {quantity}"
            )));
        }
        takes.extend(found);
    }
    Ok(takes)
}

fn consume(world: &mut World, at: usize, takes: Vec<(CardKey, Decimal)>) {
    let doc = world.assemblies[at].clone();
    let date = doc.wip_date.unwrap_or_else(|| world.today());
    let cause = Cause {
        task: doc.id,
        kind: "Finished Goods",
        number: &doc.number,
        date,
    };
    let mut used = vec![];
    for (key, quantity) in takes {
        let cost = world
            .stock
            .cards
            .get(&key)
            .map_or(Decimal::ZERO, |card| card.cost);
        world.stock.shift(key, -quantity, cost, &cause);
        used.push(Used {
            product: key.product,
            place: key.place,
            batch: key.batch,
            quantity,
            cost: cost * quantity,
        });
    }
    let doc = &mut world.assemblies[at];
    (doc.used, doc.status, doc.wip_date) = (used, AssemblyStatus::InProgress, Some(date));
}

fn produce(world: &mut World, at: usize) {
    let doc = world.assemblies[at].clone();
    let date = doc.completed.unwrap_or_else(|| world.today());
    let cause = Cause {
        task: doc.id,
        kind: "Finished Goods",
        number: &doc.number,
        date,
    };
    let key = world.card_key(doc.product, doc.place, doc.batch);
    let unit = if doc.quantity.is_zero() {
        Decimal::ZERO
    } else {
        (doc.cost() / doc.quantity).round_dp(4)
    };
    world.stock.shift(key, doc.quantity, unit, &cause);
    let doc = &mut world.assemblies[at];
    (doc.status, doc.completed) = (AssemblyStatus::Completed, Some(date));
    let product = doc.product;
    world.serve_backorders(product, key.at);
}

/// Changes beyond what the status allows are silently ignored.
fn change(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("ID")?)?;
    let old = &world.assemblies[at];
    if old.status >= AssemblyStatus::Completed {
        return Err(Refusal::bad(format!(
            "Finished goods cannot be changed in status {}",
            old.status.text()
        )));
    }
    let draft = old.status == AssemblyStatus::Draft;
    let (kit, spot) = match draft {
        true => (product(world, body).ok(), place(world, body)?),
        false => (None, None),
    };
    let quantity = if body.has("Quantity") {
        Some(body.quantity("Quantity")?)
    } else {
        None
    };
    let (completion, expiry) = (body.date("CompletionDate")?, body.date("ExpiryDate")?);
    let batch = body
        .text("BatchSN")
        .map(|name| world.stock.batch(&name, expiry));
    let fields = custom_fields(body);
    let doc = &mut world.assemblies[at];
    doc.product = kit.unwrap_or(doc.product);
    doc.place = spot.unwrap_or(doc.place);
    doc.quantity = quantity.unwrap_or(doc.quantity);
    doc.completed = completion.or(doc.completed);
    doc.batch = batch.unwrap_or(doc.batch);
    if draft {
        doc.account = body.text("Account").unwrap_or_else(|| doc.account.clone());
        doc.wip_account = body
            .text("WIPAccount")
            .unwrap_or_else(|| doc.wip_account.clone());
    }
    doc.notes = body.text("Notes").unwrap_or_else(|| doc.notes.clone());
    doc.written.extend(fields);
    Ok(document(world, at, None))
}

pub(super) fn order(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("TaskID")?)?;
    if world.assemblies[at].status > AssemblyStatus::Authorised
        || !world.assemblies[at].used.is_empty()
    {
        return Err(Refusal::bad(format!(
            "Order cannot be changed in status {}",
            world.assemblies[at].status.text()
        )));
    }
    let authorised = super::sale::status_of(write)? == crate::cin7::world::sale::Status::Authorised;
    let mut planned = vec![];
    for row in body.rows("OrderLines")? {
        let product = product(world, row)?;
        let quantity = row
            .decimal("Quantity")?
            .or(row.decimal("TotalQuantity")?)
            .ok_or_else(|| Refusal::missing("Quantity"))?;
        let percent = row.decimal("WastagePercent")?.unwrap_or_default();
        let waste = row.decimal("WastageQuantity")?.unwrap_or_default();
        if !percent.is_zero() && !waste.is_zero() {
            return Err(Refusal::bad(
                "'WastagePercent' and 'WastageQuantity' exclude each other.",
            ));
        }
        let total = row.decimal("TotalQuantity")?;
        let total = total.unwrap_or_else(|| {
            (quantity * (Decimal::ONE + percent / Decimal::ONE_HUNDRED) + waste).round_dp(4)
        });
        if total <= Decimal::ZERO {
            return Err(Refusal::bad("'TotalQuantity' must be greater than 0."));
        }
        planned.push(Planned {
            product,
            quantity,
            wastage_percent: percent,
            wastage_quantity: waste,
            total,
            expense_account: row.text("ExpenseAccount").unwrap_or_default(),
        });
    }
    if planned.is_empty() {
        return Err(Refusal::bad("Should be at least one order line."));
    }
    let doc = &mut world.assemblies[at];
    doc.planned = planned;
    doc.status = if authorised {
        AssemblyStatus::Authorised
    } else {
        AssemblyStatus::Draft
    };
    Ok(document(world, at, None))
}

pub(super) fn pick(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = find(world, body.required_id("TaskID")?)?;
    let doc = &world.assemblies[at];
    let target = status(body)?;
    if target < AssemblyStatus::InProgress {
        return Err(Refusal::bad("'Status' must be IN PROGRESS or COMPLETED."));
    }
    if !matches!(
        doc.status,
        AssemblyStatus::Authorised | AssemblyStatus::InProgress
    ) {
        return Err(Refusal::bad(format!(
            "Pick cannot be changed in status {}",
            doc.status.text()
        )));
    }
    let (wip_date, completion) = (body.date("WIPDate")?, body.date("CompletionDate")?);
    let picking = doc.status == AssemblyStatus::Authorised;
    let takes = match (picking, body.rows("PickLines")?) {
        (false, _) => vec![],
        (true, rows) if rows.is_empty() => choose(world, at)?,
        (true, rows) => named(world, at, &rows)?,
    };
    let doc = &mut world.assemblies[at];
    doc.wip_date = wip_date.or(doc.wip_date);
    doc.completed = completion.or(doc.completed);
    doc.wip_account = body
        .text("WIPAccount")
        .unwrap_or_else(|| doc.wip_account.clone());
    doc.account = body.text("Account").unwrap_or_else(|| doc.account.clone());
    if picking {
        consume(world, at, takes);
    }
    if target == AssemblyStatus::Completed {
        produce(world, at);
    }
    Ok(document(world, at, None))
}

/// The cards that pick lines name, checked for free stock.
fn named(world: &World, at: usize, rows: &[Fields<'_>]) -> Answer<Vec<(CardKey, Decimal)>> {
    let warehouse = world.warehouse_of(world.assemblies[at].place);
    let mut by_card: BTreeMap<CardKey, Decimal> = BTreeMap::new();
    for row in rows {
        let product = product(world, *row)?;
        if world.product(product).service {
            continue;
        }
        let place = bin(world, *row, warehouse)?;
        let batch = match row.text("BatchSN") {
            Some(name) => world
                .stock
                .find_batch(&name, row.date("ExpiryDate")?)
                .unwrap_or(u32::MAX),
            None => 0,
        };
        *by_card
            .entry(world.card_key(product, place, batch))
            .or_default() += row.quantity("Quantity")?;
    }
    let mut by_product: BTreeMap<u32, Decimal> = BTreeMap::new();
    let refuse = |product: u32, there: Decimal, wanted: Decimal| {
        let sku = &world.product(product).sku;
        Err(Refusal::bad(format!(
            "Available quantity for product (SKU: {sku}) is {there:.10}, cannot pick {wanted}"
        )))
    };
    for (key, wanted) in &by_card {
        let there = world
            .stock
            .cards
            .get(key)
            .map_or(Decimal::ZERO, |card| card.on_hand);
        if there < *wanted {
            return refuse(key.product, there, *wanted);
        }
        *by_product.entry(key.product).or_default() += *wanted;
    }
    for (product, wanted) in by_product {
        let there = world.stock.available(product, warehouse);
        if there < wanted {
            return refuse(product, there, wanted);
        }
    }
    Ok(by_card.into_iter().collect())
}

/// Returns components, takes the product back; refused once the product has gone.
fn void(world: &mut World, at: usize, void: bool) -> Answer<()> {
    let doc = world.assemblies[at].clone();
    if doc.status == AssemblyStatus::Voided {
        return Err(Refusal::bad("Finished goods task is voided"));
    }
    let cause = Cause {
        task: doc.id,
        kind: "Finished Goods",
        number: &doc.number,
        date: world.today(),
    };
    // Assemblies from before the account was opened moved nothing that is on record here.
    let recorded = world.stock.movements.iter().any(|m| m.task == doc.id);
    if recorded {
        let key = world.card_key(doc.product, doc.place, doc.batch);
        if doc.status == AssemblyStatus::Completed {
            let here = world
                .stock
                .cards
                .get(&key)
                .map_or(Decimal::ZERO, |card| card.on_hand);
            let free = world.stock.available(doc.product, key.at).min(here);
            if free < doc.quantity {
                let sku = &world.product(doc.product).sku;
                return Err(Refusal::bad(format!(
                    "Available quantity for product (SKU: {sku}) is {free:.10}, cannot void"
                )));
            }
            let cost = world
                .stock
                .cards
                .get(&key)
                .map_or(Decimal::ZERO, |card| card.cost);
            world.stock.shift(key, -doc.quantity, cost, &cause);
        }
        for used in &doc.used {
            let key = world.card_key(used.product, used.place, used.batch);
            let cost = world.product(used.product).cost;
            world.stock.shift(key, used.quantity, cost, &cause);
            world.serve_backorders(used.product, key.at);
        }
    }
    let doc = &mut world.assemblies[at];
    doc.used.clear();
    doc.completed = None;
    doc.status = if void {
        AssemblyStatus::Voided
    } else {
        AssemblyStatus::Draft
    };
    if void {
        doc.planned.clear();
    }
    Ok(())
}

/// What the answer to a disassembly shows of a refusal.
pub(super) fn errors(failed: Option<&Refusal>) -> Vec<J<'_>> {
    let faults = failed.into_iter().flat_map(|refusal| refusal.faults.iter());
    faults
        .map(|(code, text)| obj! { "ErrorCode": *code, "Exception": text.as_str() })
        .collect()
}
