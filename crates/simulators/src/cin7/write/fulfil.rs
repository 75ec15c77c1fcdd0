//! Fulfilments: the task, its pick, its pack, its shipment.

use super::order::{Auto, part, product};
use super::sale::{alter, index, live, status_of};
use super::{Fields, Verb, Write, Written};
use crate::cin7::options::OnHandFalls;
use crate::cin7::read;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::routes;
use crate::cin7::world::World;
use crate::cin7::world::sale::{Fulfilment, Kind, Picked, Sale, Shipment, Status};
use crate::cin7::world::stock::{CardKey, Cause};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn task(world: &mut World, write: &Write<'_>) -> Written {
    if write.verb == Verb::Delete {
        return remove(world, write);
    }
    let at = index(world, write.body.required_id("SaleID")?)?;
    open_task(world, at)?;
    part(world, at, "sale/fulfilment")
}

/// Adds a fulfilment to a sale. A second one makes a simple sale advanced, and there is no way back.
fn open_task(world: &mut World, at: u32) -> Answer<usize> {
    let sale = live(world, at)?;
    if sale.order != Status::Authorised {
        return Err(Refusal::bad(
            "Fulfilment cannot be added until the order is authorised",
        ));
    }
    if sale.kind == Kind::Service {
        return Err(Refusal::bad("Service sale cannot be fulfilled"));
    }
    if sale
        .live_fulfilments()
        .any(|f| f.pick != Status::Authorised)
    {
        return Err(Refusal::bad(
            "Fulfilment cannot be added while another one has a pick that is not authorised",
        ));
    }
    let first = sale.fulfilments.is_empty();
    let task = if first && sale.kind == Kind::Simple {
        sale.id
    } else {
        world.new_id()
    };
    alter(world, at, |sale| {
        if !first {
            sale.kind = Kind::Advanced;
        }
        let number = sale.fulfilments.len() as u32 + 1;
        sale.fulfilments.push(Fulfilment {
            task,
            number,
            linked_invoice: None,
            pick: Status::Draft,
            picked: Arc::default(),
            pack: Status::NotAvailable,
            packed: Arc::default(),
            ship: Status::NotAvailable,
            shipments: vec![],
            require_by: sale.ship_by,
            notes: String::new(),
            address: None,
            voided: false,
        });
    })?;
    world.sale_of_task.insert(task, at);
    Ok(world.sales[at as usize]
        .as_ref()
        .map_or(0, |sale| sale.fulfilments.len() - 1))
}

/// Observed: 200 and no effect once the pick is authorised. Documented: undone or voided, which a switch turns on.
fn remove(world: &mut World, write: &Write<'_>) -> Written {
    let (at, nth) = find(world, write.query.required_id("TaskID")?)?;
    let fulfilment = fulfilment(world, at, nth)?.clone();
    let picked = fulfilment.pick == Status::Authorised;
    if !picked || world.options.fulfilment_delete_applies {
        let held_before = world.goods_held(live(world, at)?);
        if picked {
            put_back(world, at, nth)?;
        }
        let void = write.query.flag("Void");
        alter(world, at, |sale| {
            let f = &mut sale.fulfilments[nth];
            (f.pack, f.ship) = (Status::NotAvailable, Status::NotAvailable);
            (f.packed, f.shipments) = (Arc::default(), vec![]);
            f.pick = Status::Draft;
            f.voided = void;
        })?;
        world.hold_again(at, &held_before);
        world.announce_sale("Sale/Undo", at, json!({}));
    }
    part(world, at, "sale/fulfilment")
}

/// Returns picked goods to where they lay.
fn put_back(world: &mut World, at: u32, nth: usize) -> Answer<()> {
    let sale = live(world, at)?;
    let (id, number) = (sale.id, sale.number.clone());
    let f = &sale.fulfilments[nth];
    let gone = world.gone_fulfilments(sale).any(|g| g.task == f.task);
    let lines: Vec<Picked> = if gone { f.picked.to_vec() } else { vec![] };
    let cause = Cause {
        task: id,
        kind: "Sale",
        number: &number,
        date: world.today(),
    };
    for line in lines {
        let key = world.card_key(line.product, line.place, line.batch);
        let cost = world.product(line.product).cost;
        world.stock.shift(key, line.quantity, cost, &cause);
    }
    Ok(())
}

impl World {
    /// Holds stock anew after goods were put back; what others have taken meanwhile becomes a backorder.
    fn hold_again(&mut self, at: u32, held_before: &BTreeMap<u32, Decimal>) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let (location, mut lines, held) =
            (sale.location, sale.lines.clone(), self.goods_held(sale));
        for (product, wanted) in held {
            let missing = wanted - held_before.get(&product).copied().unwrap_or_default();
            let mut short = missing
                - self
                    .stock
                    .allocate(product, location, missing.max(Decimal::ZERO));
            for line in Arc::make_mut(&mut lines)
                .iter_mut()
                .filter(|line| line.product == product)
            {
                let more = short.min(line.quantity - line.backorder).max(Decimal::ZERO);
                line.backorder += more;
                short -= more;
            }
        }
        if lines.iter().any(|line| line.backorder > Decimal::ZERO) {
            self.backordered.insert(at);
        }
        if let Some(sale) = self.sales[at as usize].as_mut() {
            sale.lines = lines;
        }
    }
}

/// The sale and the position of a fulfilment.
fn find(world: &World, task: Uuid) -> Answer<(u32, usize)> {
    let missing = || Refusal::bad("Fulfilment task not found");
    let at = world.sale_index_of_task(task).ok_or_else(missing)?;
    let sale = live(world, at)?;
    let nth = sale
        .fulfilments
        .iter()
        .position(|f| f.task == task && !f.voided)
        .ok_or_else(missing)?;
    Ok((at, nth))
}

fn fulfilment(world: &World, at: u32, nth: usize) -> Answer<&Fulfilment> {
    live(world, at)?
        .fulfilments
        .get(nth)
        .ok_or_else(|| Refusal::bad("Fulfilment task not found"))
}

fn answer(world: &World, path: &'static str, task: Uuid) -> Written {
    let query = crate::cin7::query::Query::new(
        vec![("TaskID".into(), task.to_string())],
        Default::default(),
    );
    let route = routes::find(path).ok_or_else(|| Refusal::bad("Fulfilment task not found"))?;
    Ok(read::get(world, route, &query)?.bytes())
}

pub(super) fn pick(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.body.required_id("TaskID")?;
    let (at, nth) = find(world, task)?;
    let sale = live(world, at)?;
    let old = fulfilment(world, at, nth)?;
    if sale.order != Status::Authorised {
        return Err(Refusal::bad(
            "Pick cannot be changed until the order is authorised",
        ));
    }
    if !old.pick.open() {
        return Err(Refusal::bad(format!(
            "Pick cannot be changed in status {}",
            old.pick.text()
        )));
    }
    if let Some(mode) = write.body.text("AutoPickMode") {
        return match mode.to_ascii_uppercase().as_str() {
            "AUTOPICK" => {
                let lines = choose(world, at)?;
                take(world, at, nth, lines)?;
                answer(world, write.path, task)
            }
            "NOPICK" => answer(world, write.path, task),
            other => Err(Refusal::bad(format!("'AutoPickMode' cannot be '{other}'."))),
        };
    }
    let status = status_of(write)?;
    let rows = write.body.rows("Lines")?;
    let mut lines = if write.verb == Verb::Post {
        old.picked.to_vec()
    } else {
        vec![]
    };
    // A draft that is authorised with lines is replaced by them: the two would count twice.
    if status == Status::Authorised && !rows.is_empty() {
        lines.clear();
    }
    for row in &rows {
        lines.push(picked_line(world, *row, true)?);
    }
    check_ordered(world, at, nth, &lines)?;
    if status == Status::Draft {
        alter(world, at, |sale| {
            let f = &mut sale.fulfilments[nth];
            (f.picked, f.pick) = (Arc::new(lines), Status::Draft);
        })?;
    } else {
        take(world, at, nth, lines)?;
    }
    answer(world, write.path, task)
}

/// A pick or pack line: product, place, batch, quantity.
fn picked_line(world: &World, row: Fields<'_>, strict: bool) -> Answer<Picked> {
    let product = product(world, row)?;
    let p = world.product(product);
    let quantity = row.quantity("Quantity")?;
    let (id, name) = (row.id("LocationID")?, row.text("Location"));
    if id.is_none() && name.is_none() {
        return Err(Refusal::missing("Location"));
    }
    let found = world.find_place(id, name.as_deref());
    let place = found.ok_or_else(|| {
        let shown = name.unwrap_or_else(|| id.unwrap_or_default().to_string());
        Refusal::unknown_name(format!(
            "Location {shown} was not found in Locations reference book"
        ))
    })?;
    let batch = match row.text("BatchSN") {
        Some(name) => {
            let found = world.stock.find_batch(&name, row.date("ExpiryDate")?);
            found.ok_or_else(|| {
                Refusal::bad(format!(
                    "Batch {name} of product (SKU: {}) was not found",
                    p.sku
                ))
            })?
        }
        None if p.needs_batch() && strict => return Err(Refusal::missing("BatchSN")),
        None => 0,
    };
    let parcel = row.text("Box").map(Arc::from);
    Ok(Picked {
        product,
        place,
        batch,
        quantity,
        parcel,
    })
}

fn by_product(lines: &[Picked]) -> BTreeMap<u32, Decimal> {
    let mut sums = BTreeMap::new();
    for line in lines {
        *sums.entry(line.product).or_default() += line.quantity;
    }
    sums
}

/// What a sale still has to send, by product: ordered, less every other authorised pick.
fn still_due(world: &World, sale: &Sale) -> BTreeMap<u32, Decimal> {
    let mut due: BTreeMap<u32, Decimal> = BTreeMap::new();
    for line in sale
        .lines
        .iter()
        .filter(|l| !l.drop_ship && !world.product(l.product).service)
    {
        *due.entry(line.product).or_default() += line.quantity;
    }
    for (product, taken) in world.goods_picked(sale) {
        *due.entry(product).or_default() -= taken;
    }
    due
}

fn check_ordered(world: &World, at: u32, nth: usize, lines: &[Picked]) -> Answer<()> {
    let mut sale = live(world, at)?.clone();
    sale.fulfilments[nth].voided = true;
    let due = still_due(world, &sale);
    for (product, quantity) in by_product(lines) {
        let open = due.get(&product).copied().unwrap_or_default();
        if quantity > open {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Picked quantity {quantity} of product (SKU: {sku}) exceeds the ordered quantity that is not picked yet, {open}"
            )));
        }
    }
    Ok(())
}

/// Chooses stock for everything still due: at the sale's warehouse, place by place.
fn choose(world: &World, at: u32) -> Answer<Vec<Picked>> {
    let sale = live(world, at)?;
    let mut lines = vec![];
    let held = world.goods_held(sale);
    for (product, due) in still_due(world, sale) {
        let free = world.stock.available(product, sale.location)
            + held.get(&product).copied().unwrap_or_default();
        let mut left = due.min(free);
        for (key, card) in world.stock.cards_at(product, sale.location) {
            let take = left.min(card.on_hand);
            if take > Decimal::ZERO {
                left -= take;
                lines.push(Picked {
                    product,
                    place: key.place,
                    batch: key.batch,
                    quantity: take,
                    parcel: None,
                });
            }
        }
    }
    if lines.is_empty() {
        return Err(Refusal::bad("There is nothing in stock to pick"));
    }
    Ok(lines)
}

/// Authorises a pick: the goods must be there and not promised to others.
fn take(world: &mut World, at: u32, nth: usize, lines: Vec<Picked>) -> Answer<()> {
    if lines.is_empty() {
        return Err(Refusal::bad("Should be at least one pick line."));
    }
    check_ordered(world, at, nth, &lines)?;
    let sale = live(world, at)?;
    let (id, number, home) = (sale.id, sale.number.clone(), sale.location);
    let held_before = world.goods_held(sale);
    let mut by_card: BTreeMap<_, Decimal> = BTreeMap::new();
    let mut by_warehouse: BTreeMap<(u32, u16), Decimal> = BTreeMap::new();
    for line in &lines {
        let key = world.card_key(line.product, line.place, line.batch);
        *by_card.entry(key).or_default() += line.quantity;
        *by_warehouse.entry((line.product, key.at)).or_default() += line.quantity;
    }
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
    }
    for ((product, warehouse), wanted) in &by_warehouse {
        let own = held_before
            .get(product)
            .copied()
            .filter(|_| *warehouse == home)
            .unwrap_or_default();
        let there = world.stock.available(*product, *warehouse) + own;
        if there < *wanted {
            return refuse(*product, there, *wanted);
        }
    }
    alter(world, at, |sale| {
        let f = &mut sale.fulfilments[nth];
        (f.picked, f.pick) = (Arc::new(lines), Status::Authorised);
    })?;
    world.settle_backorders(at);
    if world.options.on_hand_falls_at == OnHandFalls::Pick {
        world.leave(at, nth, &held_before, id, &number);
    }
    world.announce_sale(
        "Sale/PickAuthorised",
        at,
        json!({"TaskID": world.task_id(at, nth)}),
    );
    Ok(())
}

impl World {
    fn task_id(&self, at: u32, nth: usize) -> Option<Uuid> {
        Some(self.sales[at as usize].as_ref()?.fulfilments.get(nth)?.task)
    }

    /// What has been picked is no longer waited for, wherever it came from.
    fn settle_backorders(&mut self, at: u32) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let mut open = still_due(self, sale);
        let mut lines = sale.lines.clone();
        for line in Arc::make_mut(&mut lines)
            .iter_mut()
            .filter(|line| line.backorder > Decimal::ZERO)
        {
            let left = open.entry(line.product).or_default();
            line.backorder = line.backorder.min((*left).max(Decimal::ZERO));
            *left -= line.backorder;
        }
        if lines.iter().all(|line| line.backorder.is_zero()) {
            self.backordered.remove(&at);
        }
        if let Some(sale) = self.sales[at as usize].as_mut() {
            sale.lines = lines;
        }
    }

    /// Takes the goods of a fulfilment off the shelves and releases what the sale held for them.
    fn leave(
        &mut self,
        at: u32,
        nth: usize,
        held_before: &BTreeMap<u32, Decimal>,
        id: Uuid,
        number: &str,
    ) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let (home, picked) = (sale.location, sale.fulfilments[nth].picked.clone());
        let held_after = self.goods_held(sale);
        for (product, before) in held_before {
            let after = held_after.get(product).copied().unwrap_or_default();
            if *before > after {
                self.stock.release(*product, home, *before - after);
            }
        }
        let cause = Cause {
            task: id,
            kind: "Sale",
            number,
            date: self.today(),
        };
        for line in picked.iter() {
            let named = self.card_key(line.product, line.place, line.batch);
            let others = self
                .stock
                .cards_at(line.product, named.at)
                .map(|(key, _)| *key)
                .filter(|key| *key != named);
            let cards: Vec<CardKey> = std::iter::once(named).chain(others).collect();
            let mut left = line.quantity;
            // Goods that stay on hand until they are shipped may meanwhile have gone from their place: others go instead.
            for key in cards {
                let there = self
                    .stock
                    .cards
                    .get(&key)
                    .map_or(Decimal::ZERO, |card| card.on_hand);
                let take = left.min(there.max(Decimal::ZERO));
                if take > Decimal::ZERO {
                    let cost = self.product(line.product).cost;
                    self.stock.shift(key, -take, cost, &cause);
                    left -= take;
                }
            }
        }
    }
}

pub(super) fn pack(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.body.required_id("TaskID")?;
    let (at, nth) = find(world, task)?;
    let old = fulfilment(world, at, nth)?;
    if old.pick != Status::Authorised {
        return Err(Refusal::bad(
            "Pack cannot be changed until the pick is authorised",
        ));
    }
    if !old.pack.open() {
        return Err(Refusal::bad(format!(
            "Pack cannot be changed in status {}",
            old.pack.text()
        )));
    }
    if write
        .body
        .text("AutoPackMode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("AUTOPACK"))
    {
        pack_all(world, at, nth)?;
        return answer(world, write.path, task);
    }
    let status = status_of(write)?;
    let mut lines = if write.verb == Verb::Post {
        old.packed.to_vec()
    } else {
        vec![]
    };
    let rows = write.body.rows("Lines")?;
    if status == Status::Authorised && !rows.is_empty() {
        lines.clear();
    }
    for row in rows {
        lines.push(picked_line(world, row, false)?);
    }
    let picked = by_product(&old.picked);
    for (product, quantity) in by_product(&lines) {
        if quantity > picked.get(&product).copied().unwrap_or_default() {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Packed quantity of product (SKU: {sku}) exceeds the picked quantity"
            )));
        }
    }
    if status == Status::Authorised && by_product(&lines) != picked {
        return Err(Refusal::bad(
            "Packed quantity must be equal to picked quantity",
        ));
    }
    set_pack(world, at, nth, lines, status)?;
    answer(world, write.path, task)
}

fn set_pack(
    world: &mut World,
    at: u32,
    nth: usize,
    lines: Vec<Picked>,
    status: Status,
) -> Answer<()> {
    alter(world, at, |sale| {
        let f = &mut sale.fulfilments[nth];
        (f.packed, f.pack) = (Arc::new(lines), status);
    })?;
    if status == Status::Authorised {
        world.announce_sale(
            "Sale/PackAuthorised",
            at,
            json!({"TaskID": world.task_id(at, nth)}),
        );
    }
    Ok(())
}

fn pack_all(world: &mut World, at: u32, nth: usize) -> Answer<()> {
    let parcel: Arc<str> = Arc::from("Box 1");
    let picked = fulfilment(world, at, nth)?.picked.iter();
    let lines = picked
        .map(|line| Picked {
            parcel: Some(parcel.clone()),
            ..line.clone()
        })
        .collect();
    set_pack(world, at, nth, lines, Status::Authorised)
}

/// The boxes of a fulfilment, each once.
fn boxes(f: &Fulfilment) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = f
        .packed
        .iter()
        .map(|line| line.parcel.clone().unwrap_or_else(|| Arc::from("")))
        .collect();
    names.sort();
    names.dedup();
    names
}

pub(super) fn ship(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.body.required_id("TaskID")?;
    let (at, nth) = find(world, task)?;
    let old = fulfilment(world, at, nth)?;
    if old.pack != Status::Authorised {
        return Err(Refusal::bad(
            "Shipment cannot be changed until the pack is authorised",
        ));
    }
    let rows = write.body.rows("Lines")?;
    if write.verb == Verb::Put && write.body.bool("AddTrackingNumbers") == Some(true) {
        return track(world, write, at, nth, &rows);
    }
    if matches!(old.ship, Status::Authorised | Status::PartiallyAuthorised) {
        return Err(Refusal::bad(format!(
            "Shipment cannot be changed in status {}",
            old.ship.text()
        )));
    }
    let status = match write.body.required("Status")?.to_ascii_uppercase().as_str() {
        "DRAFT" => Status::Draft,
        "PARTIALLY AUTHORISED" => Status::PartiallyAuthorised,
        "AUTHORISED" => Status::Authorised,
        other => return Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    };
    let known = boxes(old);
    let mut shipments = if write.verb == Verb::Post {
        old.shipments.clone()
    } else {
        vec![]
    };
    let require_by = write.body.date("RequireBy")?.or(old.require_by);
    for row in &rows {
        let shipment = shipment(world, *row, &known, status)?;
        shipments.push(shipment);
    }
    for shipment in &mut shipments {
        if shipment.id.is_nil() {
            shipment.id = world.new_id();
        }
    }
    let covered = |name: &Arc<str>, shipped: bool| {
        shipments
            .iter()
            .any(|s| s.boxes.split(',').any(|b| b == name.as_ref()) && (s.shipped || !shipped))
    };
    if write.verb == Verb::Put && !known.iter().all(|name| covered(name, false)) {
        return Err(Refusal::bad(
            "All packed boxes should be listed in shipment lines",
        ));
    }
    if status == Status::Authorised && !known.iter().all(|name| covered(name, true)) {
        return Err(Refusal::bad(
            "All packed boxes should be shipped to authorise the shipment",
        ));
    }
    let all = !known.is_empty() && known.iter().all(|name| covered(name, true));
    let reached = if all && status != Status::Draft {
        Status::Authorised
    } else {
        status
    };
    let (notes, address) = (
        write.body.text("ShippingNotes"),
        write.body.raw("ShippingAddress").cloned(),
    );
    set_ship(world, at, nth, shipments, reached, |f| {
        f.require_by = require_by;
        f.notes = notes.unwrap_or_else(|| f.notes.clone());
        f.address = address.filter(Value::is_object).or(f.address.take());
    })?;
    answer(world, write.path, task)
}

fn set_ship(
    world: &mut World,
    at: u32,
    nth: usize,
    shipments: Vec<Shipment>,
    status: Status,
    more: impl FnOnce(&mut Fulfilment),
) -> Answer<()> {
    let sale = live(world, at)?;
    let (id, number, held_before) = (sale.id, sale.number.clone(), world.goods_held(sale));
    if status == Status::Authorised && world.options.on_hand_falls_at == OnHandFalls::Ship {
        check_there(world, &sale.fulfilments[nth].picked)?;
    }
    alter(world, at, |sale| {
        let f = &mut sale.fulfilments[nth];
        (f.shipments, f.ship) = (shipments, status);
        more(f);
    })?;
    if status == Status::Authorised {
        if world.options.on_hand_falls_at == OnHandFalls::Ship {
            world.leave(at, nth, &held_before, id, &number);
        }
        world.announce_sale("Sale/ShipmentAuthorised", at, json!({}));
    }
    Ok(())
}

/// Picked goods must still be in their warehouse when on hand falls with the shipment.
fn check_there(world: &World, picked: &[Picked]) -> Answer<()> {
    let mut wanted: BTreeMap<(u32, u16), Decimal> = BTreeMap::new();
    for line in picked {
        *wanted
            .entry((line.product, world.warehouse_of(line.place)))
            .or_default() += line.quantity;
    }
    for ((product, warehouse), quantity) in wanted {
        let there: Decimal = world
            .stock
            .cards_at(product, warehouse)
            .map(|(_, card)| card.on_hand)
            .sum();
        if there < quantity {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Quantity on hand of product (SKU: {sku}) is {there:.10}, cannot ship {quantity}"
            )));
        }
    }
    Ok(())
}

fn shipment(
    world: &World,
    row: Fields<'_>,
    known: &[Arc<str>],
    status: Status,
) -> Answer<Shipment> {
    // Written as `Box`, read back as `Boxes`.
    let boxes = row
        .text("Box")
        .or_else(|| row.text("Boxes"))
        .unwrap_or_default();
    let named: Vec<&str> = boxes.split(',').map(str::trim).collect();
    if let Some(unknown) = named
        .iter()
        .find(|name| !known.iter().any(|k| k.as_ref() == **name))
    {
        return Err(Refusal::bad(format!(
            "Box '{unknown}' was not found in pack lines"
        )));
    }
    let carrier = row.text("Carrier").unwrap_or_default();
    if !carrier.is_empty() && !world.books.has("ref/carrier", "Description", &carrier) {
        return Err(Refusal::unknown_name(format!(
            "Carrier '{carrier}' was not found in Carriers reference book"
        )));
    }
    Ok(Shipment {
        id: row.id("ID")?.unwrap_or_default(),
        date: row.date("ShipmentDate")?.unwrap_or_else(|| world.today()),
        carrier: Arc::from(carrier),
        boxes: Arc::from(named.join(",")),
        tracking: row.text("TrackingNumber").unwrap_or_default(),
        url: row.text("TrackingURL").unwrap_or_default(),
        shipped: row
            .bool("IsShipped")
            .unwrap_or(status == Status::Authorised),
    })
}

/// Carrier and tracking of a shipment that is already authorised: all that may still change.
fn track(
    world: &mut World,
    write: &Write<'_>,
    at: u32,
    nth: usize,
    rows: &[Fields<'_>],
) -> Written {
    let old = fulfilment(world, at, nth)?;
    let (known, task) = (boxes(old), old.task);
    let mut shipments = old.shipments.clone();
    for row in rows {
        let new = shipment(world, *row, &known, Status::Authorised)?;
        let found = shipments
            .iter_mut()
            .find(|s| s.id == new.id || s.boxes == new.boxes);
        let found = found.ok_or_else(|| Refusal::bad("Shipment line not found"))?;
        (found.carrier, found.tracking, found.url) = (new.carrier, new.tracking, new.url);
    }
    let told: Vec<Value> = shipments.iter().map(|s| {
        json!({"ShipmentDate": s.date.to_string(), "TrackingNumber": s.tracking, "TrackingUrl": s.url, "Carrier": s.carrier.as_ref()})
    }).collect();
    alter(world, at, |sale| {
        sale.fulfilments[nth].shipments = shipments
    })?;
    world.announce_sale(
        "Sale/ShipmentTrackingNumberChanged",
        at,
        json!({"TaskID": task, "Shipments": told}),
    );
    answer(world, write.path, task)
}

/// Fulfils a simple sale by itself, as far as `auto` says.
pub(super) fn run(world: &mut World, at: u32, auto: Auto) -> Answer<()> {
    let nth = open_task(world, at)?;
    let lines = choose(world, at)?;
    take(world, at, nth, lines)?;
    if auto >= Auto::Pack {
        pack_all(world, at, nth)?;
    }
    if auto >= Auto::Ship {
        let f = fulfilment(world, at, nth)?;
        let boxes = boxes(f)
            .iter()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
            .join(",");
        let shipment = Shipment {
            id: world.new_id(),
            date: world.today(),
            carrier: Arc::from(""),
            boxes: Arc::from(boxes),
            tracking: String::new(),
            url: String::new(),
            shipped: true,
        };
        set_ship(world, at, nth, vec![shipment], Status::Authorised, |_| {})?;
    }
    Ok(())
}

impl World {
    /// Takes an open sale one step further, as a person in the warehouse would. `false` if it has no step left.
    pub(crate) fn step(&mut self, at: u32) -> bool {
        let Ok(sale) = live(self, at) else {
            return false;
        };
        if sale.order != Status::Authorised {
            return false;
        }
        let open = sale
            .fulfilments
            .iter()
            .position(|f| !f.voided && f.ship != Status::Authorised);
        match open {
            None if sale.kind == Kind::Service
                || still_due(self, sale)
                    .values()
                    .all(|due| *due <= Decimal::ZERO) =>
            {
                super::bill::step(self, at)
            }
            None => open_task(self, at).is_ok(),
            Some(nth) => {
                let f = &sale.fulfilments[nth];
                let (pick, pack) = (f.pick, f.pack);
                let shipped = |world: &mut World| {
                    let boxes = fulfilment(world, at, nth).map(boxes).unwrap_or_default();
                    let boxes = boxes
                        .iter()
                        .map(|b| b.to_string())
                        .collect::<Vec<_>>()
                        .join(",");
                    let id = world.new_id();
                    let tracking = format!("MP{}GB", id.simple().to_string()[..10].to_uppercase());
                    let url = format!("https://track.example.com/{tracking}");
                    let shipment = Shipment {
                        id,
                        date: world.today(),
                        carrier: Arc::from("DHL"),
                        boxes: Arc::from(boxes),
                        tracking,
                        url,
                        shipped: true,
                    };
                    set_ship(world, at, nth, vec![shipment], Status::Authorised, |_| {})
                };
                match (pick, pack) {
                    (Status::Authorised, Status::Authorised) => shipped(self).is_ok(),
                    (Status::Authorised, _) => pack_all(self, at, nth).is_ok(),
                    _ => choose(self, at)
                        .and_then(|lines| take(self, at, nth, lines))
                        .is_ok(),
                }
            }
        }
    }
}
