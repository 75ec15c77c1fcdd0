//! Fulfilments: the task, its pick, its pack, its shipment.

mod onward;
mod pack;
mod pick;
mod ship;

pub(super) use onward::run;
pub(super) use pack::pack;
use pack::{boxes, pack_all};
pub(super) use pick::pick;
use pick::{by_product, choose, picked_line, still_due, take};
use ship::set_ship;
pub(super) use ship::ship;

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
