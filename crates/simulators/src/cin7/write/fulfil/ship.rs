//! Shipments: which boxes have left, with whom.

use super::*;

pub(in crate::cin7::write) fn ship(world: &mut World, write: &Write<'_>) -> Written {
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

pub(super) fn set_ship(
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
