//! `POST`, `PUT` and `DELETE`: each checks first and changes afterwards, so that a refused call leaves no trace.

mod assembly;
mod bill;
mod body;
mod book;
mod count;
mod disassembly;
mod fulfil;
mod master;
mod order;
mod paper;
mod purchase;
mod sale;
mod transfer;

use super::query::{Cut, Query};
use super::reply::{Answer, Refusal, Reply};
use super::routes::{self, Route};
use super::server::Service;
use super::world::World;
use super::{json::J, read};
pub(crate) use body::Fields;
use http::Method;
use serde_json::{Map, Value};

/// One write: what is to be changed, and with what.
pub(crate) struct Write<'a> {
    pub path: &'static str,
    pub verb: Verb,
    pub query: &'a Query,
    pub body: Fields<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Post,
    Put,
    Delete,
}

/// The rendered answer to a write.
pub(crate) type Written = Answer<Vec<u8>>;

/// Carries a write out, unless `not_applied` asks for an answer without an effect.
pub(crate) fn call(
    service: &Service,
    account: usize,
    method: &Method,
    route: &'static Route,
    query: &Query,
    body: &[u8],
    not_applied: bool,
) -> Reply {
    let verb = match method.as_str() {
        "POST" => Verb::Post,
        "PUT" => Verb::Put,
        _ => Verb::Delete,
    };
    let parsed: Value = match (verb, body) {
        (Verb::Delete, _) => Value::Object(Map::new()),
        (_, body) => match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(error) => {
                return Refusal::bad(format!("Request body could not be parsed: {error}")).reply();
            }
        },
    };
    // Some clients send the one record as an array of one.
    let object = match &parsed {
        Value::Object(object) => object,
        Value::Array(rows) if rows.len() == 1 && rows[0].is_object() => match &rows[0] {
            Value::Object(object) => object,
            _ => return Refusal::bad("Request body is not an object").reply(),
        },
        _ => return Refusal::bad("Request body is not an object").reply(),
    };
    let write = Write {
        path: route.path,
        verb,
        query,
        body: Fields(object),
    };
    let mut world = service.write(account);
    if not_applied {
        return Reply::json(200, pretend(&world, &write, &parsed));
    }
    let answer = dispatch(&mut world, &write);
    world.announce_stock();
    let due = world.hooks.has_due();
    drop(world);
    if due {
        service.post.notify_one();
    }
    match answer {
        Ok(bytes) => Reply::json(200, bytes),
        Err(refusal) => refusal.reply(),
    }
}

fn dispatch(world: &mut World, write: &Write<'_>) -> Written {
    match write.path {
        "sale" => sale::write(world, write),
        "sale/quote" => order::quote(world, write),
        "sale/order" => order::order(world, write),
        "sale/fulfilment" => fulfil::task(world, write),
        "sale/fulfilment/pick" => fulfil::pick(world, write),
        "sale/fulfilment/pack" => fulfil::pack(world, write),
        "sale/fulfilment/ship" => fulfil::ship(world, write),
        "sale/invoice" => bill::invoice(world, write),
        "sale/creditnote" => bill::credit_note(world, write),
        "sale/payment" => bill::payment(world, write),
        "sale/manualjournal" => sale::journal(world, write),
        "sale/attachment" => sale::attachment(world, write),
        "stocktransfer" => transfer::write(world, write),
        "stocktransfer/order" => transfer::order(world, write),
        "stockadjustment" | "stocktake" => count::write(world, write),
        "finishedgoods" => assembly::write(world, write),
        "finishedgoods/order" => assembly::order(world, write),
        "finishedgoods/pick" => assembly::pick(world, write),
        "disassembly" | "disassembly/order" => disassembly::write(world, write),
        "customer" => master::customer(world, write),
        "supplier" => master::supplier(world, write),
        "product" => master::product(world, write),
        "ref/location" => book::location(world, write),
        "webhooks" => super::webhook::write(world, write),
        path if path.starts_with("purchase") || path.starts_with("advanced-purchase") => {
            purchase::write(world, write)
        }
        path if super::world::books::KINDS
            .iter()
            .any(|kind| kind.path == path) =>
        {
            book::write(world, write)
        }
        _ => paper::write(world, write),
    }
}

/// What the service would answer if it had applied the write: the document as it stands, or the request itself.
fn pretend(world: &World, write: &Write<'_>, body: &Value) -> Vec<u8> {
    let ids = ["ID", "SaleID", "TaskID"].into_iter().filter_map(|key| {
        let sent = write
            .body
            .text(key)
            .or_else(|| write.query.get(key).map(str::to_owned));
        sent.map(|id| (key.to_owned(), id))
    });
    let query = Query::new(ids.collect(), Cut::default());
    let document = routes::find(write.path).and_then(|route| read::get(world, route, &query).ok());
    document.unwrap_or(J::Val(body)).bytes()
}
