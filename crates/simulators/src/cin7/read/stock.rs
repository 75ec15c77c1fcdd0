//! Reading stock documents and purchases.

use crate::cin7::json::{J, obj};
use crate::cin7::query::Query;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::purchase::Purchase;
use crate::cin7::world::sale::Status;
use uuid::Uuid;

pub(super) fn get<'a>(world: &'a World, path: &str, query: &Query) -> Option<Answer<J<'a>>> {
    Some(match path {
        "stocktransferlist" => transfers(world, query),
        "stocktransfer" => one(query, &world.transfers, |t| t.id, "Stock transfer").map(|t| world.transfer_document(t)),
        "stocktransfer/order" => one(query, &world.transfers, |t| t.id, "Stock transfer").map(|t| {
            let lines = t.order_lines.iter().map(|line| world.transfer_line(line, true));
            obj! { "TaskID": t.id, "Status": t.order.unwrap_or("NOT AVAILABLE"), "Lines": lines.collect::<Vec<_>>() }
        }),
        "stockadjustmentlist" => adjustments(world, query, false),
        "stocktakelist" => adjustments(world, query, true),
        "stockadjustment" => adjustment(world, query, false),
        "stocktake" => adjustment(world, query, true),
        "finishedgoodslist" => assemblies(world, query),
        "finishedgoods" => {
            one(query, &world.assemblies, |a| a.id, "Finished goods").map(|a| world.assembly_document(a, vec![]))
        }
        "finishedgoods/order" => assembly_part(world, query, &["TaskID", "Status", "OrderLines"]),
        "finishedgoods/pick" => assembly_part(
            world,
            query,
            &["TaskID", "Status", "WIPAccount", "WIPDate", "Account", "CompletionDate", "PickLines"],
        ),
        "disassemblylist" => disassemblies(world, query),
        "disassembly" => {
            let found = one(query, &world.disassemblies, |d| d.id, "Disassembly");
            found.map(|d| world.disassembly_document(d, vec![]))
        }
        "disassembly/order" => one(query, &world.disassemblies, |d| d.id, "Disassembly").map(|d| {
            let doc = world.disassembly_document(d, vec![]);
            keep(doc, &["TaskID", "Status", "OrderLines", "OrderServiceLines"])
        }),
        "purchaselist" => purchases(world, query, false),
        "purchasecreditnotelist" => purchases(world, query, true),
        "advanced-purchase" => purchase(world, query, "ID").map(|p| world.purchase_document(p, true)),
        "purchase" => simple(world, query, "ID").map(|p| world.purchase_document(p, false)),
        _ if path.starts_with("purchase/") => simple(world, query, "TaskID").map(|p| part(world, p, path, false)),
        _ if path.starts_with("advanced-purchase/") => {
            purchase(world, query, "PurchaseID").map(|p| part(world, p, path, true))
        }
        _ => return None,
    })
}

/// The members of a document that a part of it shows.
fn keep<'a>(doc: J<'a>, keys: &[&str]) -> J<'a> {
    match doc {
        J::Obj(fields) => J::Obj(
            fields
                .into_iter()
                .filter(|(key, _)| keys.contains(key))
                .collect(),
        ),
        doc => doc,
    }
}

fn one<'a, T>(
    query: &Query,
    all: &'a [T],
    id_of: impl Fn(&T) -> Uuid,
    what: &str,
) -> Answer<&'a T> {
    let id = query.required_id("TaskID")?;
    all.iter()
        .find(|doc| id_of(doc) == id)
        .ok_or_else(|| Refusal::bad(format!("{what} task not found")))
}

fn assembly_part<'a>(world: &'a World, query: &Query, keys: &[&str]) -> Answer<J<'a>> {
    let found = one(query, &world.assemblies, |a| a.id, "Finished goods");
    found.map(|a| keep(world.assembly_document(a, vec![]), keys))
}

/// Newest first by creation, whatever changed since.
fn transfers<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let rows = world.transfers.iter().rev().filter(|t| {
        let places = [world.place_name(t.from), world.place_name(t.to)];
        let words = [
            t.status.text(),
            &t.reference,
            &t.number,
            &places[0],
            &places[1],
        ];
        query.matches("Status", t.status.text()) && query.found_in(words)
    });
    query.page("StockTransferList", rows, |t| world.transfer_row(t))
}

/// Oldest first.
fn adjustments<'a>(world: &'a World, query: &Query, stocktakes: bool) -> Answer<J<'a>> {
    let rows = world
        .adjustments
        .iter()
        .filter(|a| a.stocktake == stocktakes);
    let rows = rows.filter(|a| query.matches("Status", a.status.text()));
    query.page("StockAdjustmentList", rows, |a| world.adjustment_row(a))
}

fn adjustment<'a>(world: &'a World, query: &Query, stocktake: bool) -> Answer<J<'a>> {
    let what = if stocktake {
        "Stocktake"
    } else {
        "Stock adjustment"
    };
    let found = one(query, &world.adjustments, |a| a.id, what)?;
    match found.stocktake == stocktake {
        true => Ok(world.adjustment_document(found)),
        false => Err(Refusal::bad(format!("{what} task not found"))),
    }
}

/// Oldest first.
fn assemblies<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let sale = query.id("SaleID")?;
    let rows = world.assemblies.iter().filter(|a| {
        let product = world.product(a.product);
        let place = world.place_name(a.place);
        let batch = world
            .stock
            .batches
            .get(a.batch as usize)
            .map_or("", |b| b.name.as_str());
        let words = [
            a.number.as_str(),
            a.status.text(),
            &product.name,
            &product.sku,
            &place,
            batch,
            &a.notes,
        ];
        query.matches("Status", a.status.text())
            && query.found_in(words)
            && sale.is_none_or(|sale| a.sale == Some(sale))
    });
    query.page("FinishedGoods", rows, |a| world.assembly_row(a))
}

fn disassemblies<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let rows = world.disassemblies.iter().filter(|d| {
        let product = world.product(d.product);
        query.matches("Status", d.status())
            && query.found_in([
                d.number.as_str(),
                d.status(),
                &product.name,
                &product.sku,
                &d.notes,
            ])
    });
    query.page("Disassemblies", rows, |d| world.disassembly_row(d))
}

/// Ascending by order number: the newest are on the last page.
fn purchases<'a>(world: &'a World, query: &Query, credit_notes: bool) -> Answer<J<'a>> {
    let (since, until) = (query.since("UpdatedSince")?, query.since("UpdatedUntil")?);
    let required = query.date("RequiredBy")?;
    let drop_ship = query.get("DropShipTaskID").is_some();
    let rows = world
        .purchases
        .iter()
        .filter(|_| !credit_notes && !drop_ship)
        .filter(|p| {
            let supplier = &world.suppliers[p.supplier as usize].name;
            let invoice = p.invoices.first().map_or("", |i| i.number.as_str());
            let row = world.purchase_row(p);
            let text = |key: &str| match row.get(key) {
                Some(J::Str(text)) => text,
                _ => "",
            };
            query.after(p.modified, since)
            && until.is_none_or(|until| p.modified <= until)
            && required.is_none_or(|by| p.required.is_some_and(|day| day <= by))
            && query.matches("Status", p.status())
            && query.matches("OrderStatus", text("OrderStatus"))
            && query.matches("InvoiceStatus", text("InvoiceStatus"))
            && query.matches("CreditNoteStatus", text("CreditNoteStatus"))
            && query.matches("UnstockStatus", text("UnstockStatus"))
            // The documented `RestockReceivedStatus` is ignored; this is the name that works.
            && query.matches("StockReceivedStatus", text("StockReceivedStatus"))
            && query.found_in([p.number.as_str(), p.status(), supplier, invoice])
        });
    query.page("PurchaseList", rows, |p| world.purchase_row(p))
}

fn purchase<'a>(world: &'a World, query: &Query, key: &str) -> Answer<&'a Purchase> {
    let id = query.required_id(key)?;
    world
        .purchases
        .iter()
        .find(|p| p.id == id)
        .ok_or_else(|| Refusal::bad("Purchase not found"))
}

/// The deprecated endpoints refuse what is not a simple purchase.
fn simple<'a>(world: &'a World, query: &Query, key: &str) -> Answer<&'a Purchase> {
    let found = purchase(world, query, key)?;
    match found.advanced {
        false => Ok(found),
        true => Err(Refusal::bad(
            "This endpoint is deprecated and does not support Advanced Purchase and Service Purchase. Please use AdvancedPurchase endpoint",
        )),
    }
}

pub(crate) fn part<'a>(world: &'a World, p: &'a Purchase, path: &str, advanced: bool) -> J<'a> {
    let what = path.rsplit('/').next().unwrap_or_default();
    let (owner, id) = if advanced {
        ("PurchaseID", p.id)
    } else {
        ("TaskID", p.id)
    };
    let doc = match (what, advanced) {
        ("order", _) => world.purchase_order(p),
        ("stock", false) => match p.receipts.first() {
            Some(receipt) => world.receipt(p, receipt, false),
            None => obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]) },
        },
        ("stock", true) => list(
            p.receipts.iter().map(|r| world.receipt(p, r, false)),
            "StockReceiving",
        ),
        ("put-away", _) => list(
            p.receipts.iter().map(|r| world.receipt(p, r, true)),
            "PutAway",
        ),
        ("invoice", false) => match p.invoices.first() {
            Some(invoice) => world.purchase_invoice(p, invoice),
            None => obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]) },
        },
        ("invoice", true) => list(
            p.invoices.iter().map(|i| world.purchase_invoice(p, i)),
            "Invoices",
        ),
        ("creditnote", true) => obj! { "CreditNotes": J::Arr(vec![]) },
        ("creditnote", false) => {
            obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]), "Unstock": J::Arr(vec![]) }
        }
        ("payment", _) => {
            let booked = p.invoices.iter().filter(|i| i.status != Status::Voided);
            return J::Arr(
                booked
                    .flat_map(|i| i.payments.iter().map(crate::cin7::render::payment))
                    .collect(),
            );
        }
        ("manualjournal", true) => obj! { "ManualJournals": J::Arr(vec![]) },
        ("manualjournal", false) => obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]) },
        _ => obj! { "Lines": J::Arr(vec![]) },
    };
    let J::Obj(fields) = doc else { return doc };
    // A single-object part already tells its own task first, which is the purchase's.
    let fields = fields.into_iter().filter(|(key, _)| *key != owner);
    J::Obj(std::iter::once((owner, J::Id(id))).chain(fields).collect())
}

fn list<'a>(rows: impl Iterator<Item = J<'a>>, key: &'static str) -> J<'a> {
    J::Obj(vec![(key, J::Arr(rows.collect()))])
}
