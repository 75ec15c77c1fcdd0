//! The sale itself: its header, voiding, undoing, journals and attachments.

use super::{Verb, Write, Written};
use crate::cin7::json::{J, obj};
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::sale::{Kind, Sale, Status};
use crate::cin7::world::stock::Cause;
use crate::cin7::world::{World, books};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Header members that are stored as they were sent.
const STORED: [&str; 16] = [
    "Contact",
    "Phone",
    "Email",
    "DefaultAccount",
    "BillingAddress",
    "ShippingAddress",
    "ShippingNotes",
    "TaxRule",
    "Terms",
    "PriceTier",
    "Note",
    "CustomerReference",
    "SalesRepresentative",
    "Carrier",
    "ExternalID",
    "AdditionalAttributes",
];

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    match write.verb {
        Verb::Post => create(world, write),
        Verb::Put => change(world, write),
        Verb::Delete => {
            let at = index(world, write.query.required_id("ID")?)?;
            if write.query.flag("Void") {
                void(world, at)?
            } else {
                undo(world, at)?
            }
            Ok(document(world, at))
        }
    }
}

/// Position of the sale with this id.
pub(super) fn index(world: &World, id: Uuid) -> Answer<u32> {
    let at = world.sale_by_id.get(&id).copied();
    at.filter(|at| world.sales[*at as usize].is_some())
        .ok_or_else(|| Refusal::bad("Sale not found"))
}

pub(super) fn live(world: &World, at: u32) -> Answer<&Sale> {
    let sale = world.sales[at as usize]
        .as_ref()
        .ok_or_else(|| Refusal::bad("Sale not found"))?;
    if sale.voided {
        Err(Refusal::bad("Sale is voided"))
    } else {
        Ok(sale)
    }
}

/// Changes a sale and moves its stamp.
pub(super) fn alter<T>(
    world: &mut World,
    at: u32,
    change: impl FnOnce(&mut Sale) -> T,
) -> Answer<T> {
    let now = world.now();
    let sale = world.sales[at as usize]
        .as_mut()
        .ok_or_else(|| Refusal::bad("Sale not found"))?;
    sale.updated = now;
    Ok(change(sale))
}

pub(super) fn document(world: &World, at: u32) -> Vec<u8> {
    world.sales[at as usize]
        .as_ref()
        .map_or_else(Vec::new, |sale| {
            world.sale_document(sale, Default::default()).bytes()
        })
}

/// The members that a header may change, checked.
struct Head {
    customer: Option<u32>,
    location: Option<u16>,
    written: serde_json::Map<String, Value>,
}

fn head(world: &World, write: &Write<'_>) -> Answer<Head> {
    let body = write.body;
    let customer = match (body.id("CustomerID")?, body.text("Customer")) {
        (Some(id), _) => {
            let at = world.customer_by_id.get(&id).copied();
            Some(at.ok_or_else(|| Refusal::unknown_name("Customer not found."))?)
        }
        (None, Some(name)) => {
            let at = world
                .customers
                .iter()
                .position(|c| c.name.eq_ignore_ascii_case(&name));
            let missing =
                || Refusal::unknown_name(format!("Customer with name {name} was not found"));
            Some(at.ok_or_else(missing)? as u32)
        }
        _ => None,
    };
    let location = body
        .text("Location")
        .map(|name| warehouse(world, &name))
        .transpose()?;
    let known = [
        ("TaxRule", "ref/tax", "Name", "Tax Rules"),
        ("Terms", "ref/paymentterm", "Name", "Payment Terms"),
        ("Carrier", "ref/carrier", "Description", "Carriers"),
    ];
    for (member, book, key, title) in known {
        if let Some(name) = body
            .text(member)
            .filter(|name| !world.books.has(book, key, name))
        {
            return Err(Refusal::unknown_name(format!(
                "{member} '{name}' was not found in {title} reference book"
            )));
        }
    }
    let tier = body.text("PriceTier");
    if let Some(tier) =
        tier.filter(|tier| !books::TIERS.iter().any(|t| t.eq_ignore_ascii_case(tier)))
    {
        return Err(Refusal::unknown_name(format!(
            "Price tier '{tier}' was not found in reference book"
        )));
    }
    let mut written = serde_json::Map::new();
    body.copy(&STORED, &mut written);
    if let Some(inclusive) = body.bool("TaxInclusive") {
        written.insert(
            "TaxCalculation".into(),
            if inclusive { "Inclusive" } else { "Exclusive" }.into(),
        );
    }
    Ok(Head {
        customer,
        location,
        written,
    })
}

/// A warehouse by name; bins are no sale locations.
pub(super) fn warehouse(world: &World, name: &str) -> Answer<u16> {
    let found = world
        .find_place(None, Some(name))
        .filter(|at| world.place(*at).parent.is_none());
    found.ok_or_else(|| {
        Refusal::unknown_name(format!(
            "Location {name} was not found in Locations reference book"
        ))
    })
}

fn kind_of(write: &Write<'_>) -> Answer<Option<Kind>> {
    if write.body.bool("ServiceOnly") == Some(true) {
        return Ok(Some(Kind::Service));
    }
    match write
        .body
        .text("SaleType")
        .or_else(|| write.body.text("Type"))
        .map(|t| t.to_ascii_lowercase())
        .as_deref()
    {
        None => Ok(None),
        Some("simple" | "simple sale") => Ok(Some(Kind::Simple)),
        Some("advanced" | "advanced sale") => Ok(Some(Kind::Advanced)),
        Some(other) => Err(Refusal::bad(format!("'SaleType' cannot be '{other}'."))),
    }
}

fn create(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let head = head(world, write)?;
    let customer = head.customer.ok_or_else(|| Refusal::missing("Customer"))?;
    let location = head.location.ok_or_else(|| Refusal::missing("Location"))?;
    let kind = kind_of(write)?.unwrap_or(Kind::Simple);
    let skip_quote = body.bool("SkipQuote").unwrap_or(false);
    let order_date = body.date("SaleOrderDate")?.unwrap_or_else(|| world.today());
    let ship_by = body.date("ShipBy")?;
    let currency_rate = body.decimal("CurrencyRate")?.unwrap_or(Decimal::ONE);
    let id = world.new_id();
    let now = world.now();
    world.numbers.sale += 1;
    let mut sale = Sale {
        id,
        number: format!("SO-{}", world.numbers.sale),
        kind,
        customer,
        location,
        created: now,
        updated: now,
        order_date,
        ship_by,
        skip_quote,
        quote: if skip_quote {
            Status::NotAvailable
        } else {
            Status::Draft
        },
        order: Status::NotAvailable,
        voided: false,
        currency_rate,
        lines: Arc::default(),
        charges: Arc::default(),
        fulfilments: vec![],
        invoices: vec![],
        credit_notes: vec![],
        prepayments: vec![],
        header: None,
    };
    if !head.written.is_empty() {
        sale.header_mut().written = head.written;
    }
    let at = world.sales.len() as u32;
    world.sales.push(Some(sale));
    world.sale_by_id.insert(id, at);
    world.announce_sale("Sale/Created", at, json!({}));
    Ok(document(world, at))
}

fn change(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = index(world, body.required_id("ID")?)?;
    let sale = live(world, at)?;
    let head = head(world, write)?;
    let ordered = sale.order == Status::Authorised;
    if ordered && head.location.is_some_and(|to| to != sale.location) {
        return Err(Refusal::bad(
            "Location cannot be changed after the order is authorised",
        ));
    }
    let (order_date, ship_by, rate) = (
        body.date("SaleOrderDate")?,
        body.date("ShipBy")?,
        body.decimal("CurrencyRate")?,
    );
    let kind = kind_of(write)?.filter(|kind| *kind == Kind::Advanced || sale.fulfilments.len() < 2);
    let attributes = body.raw("AdditionalAttributes").cloned();
    alter(world, at, |sale| {
        sale.customer = head.customer.unwrap_or(sale.customer);
        sale.location = head.location.unwrap_or(sale.location);
        sale.order_date = order_date.unwrap_or(sale.order_date);
        sale.ship_by = ship_by.or(sale.ship_by);
        sale.currency_rate = rate.unwrap_or(sale.currency_rate);
        sale.kind = kind.unwrap_or(sale.kind);
        if let (Some(skip), true) = (body.bool("SkipQuote"), sale.order == Status::NotAvailable) {
            sale.skip_quote = skip;
        }
        sale.header_mut().written.extend(head.written);
    })?;
    if let Some(attributes) = attributes {
        let changes = json!({"Changes": {"Field": "AdditionalAttributes", "Result": "Changed", "OldValue": "", "NewValue": attributes}});
        world.announce_sale("Sale/AdditionalAttributesChanged", at, changes);
    }
    Ok(document(world, at))
}

/// Voids a sale: picked goods return to where they lay, held goods are free again.
fn void(world: &mut World, at: u32) -> Answer<()> {
    live(world, at)?;
    world.void_at(at);
    Ok(())
}

impl World {
    pub(crate) fn void_at(&mut self, at: u32) {
        let (now, today) = (self.now(), self.today());
        let Some(mut sale) = self.sales[at as usize].take() else {
            return;
        };
        for (product, held) in self.goods_held(&sale) {
            self.stock.release(product, sale.location, held);
        }
        let gone: Vec<_> = self
            .gone_fulfilments(&sale)
            .flat_map(|f| f.picked.iter().cloned())
            .collect();
        let cause = Cause {
            task: sale.id,
            kind: "Sale",
            number: &sale.number,
            date: today,
        };
        for line in gone {
            let key = self.card_key(line.product, line.place, line.batch);
            let cost = self.product(line.product).cost;
            self.stock.shift(key, line.quantity, cost, &cause);
        }
        sale.voided = true;
        sale.updated = now;
        self.sales[at as usize] = Some(sale);
        self.backordered.remove(&at);
        self.announce_sale("Sale/Voided", at, json!({}));
    }

    /// Removes a sale for good, with everything it holds.
    pub(crate) fn delete_sale(&mut self, id: Uuid) -> bool {
        let Some(at) = self.sale_by_id.remove(&id) else {
            return false;
        };
        let Some(sale) = self.sales[at as usize].take() else {
            return false;
        };
        for (product, held) in self.goods_held(&sale) {
            self.stock.release(product, sale.location, held);
        }
        self.backordered.remove(&at);
        self.sale_of_task.retain(|_, owner| *owner != at);
        true
    }
}

/// Takes a sale back by one stage: an authorised order becomes a draft, an authorised quote too.
fn undo(world: &mut World, at: u32) -> Answer<()> {
    let sale = live(world, at)?;
    if sale.live_fulfilments().next().is_some()
        || sale.invoices.iter().any(|i| i.status != Status::Voided)
    {
        return Err(Refusal::bad(
            "Sale cannot be undone while it has fulfilments or invoices",
        ));
    }
    match (sale.order, sale.quote) {
        (Status::Authorised, _) => {
            let (location, held) = (sale.location, world.goods_held(sale));
            for (product, quantity) in held {
                world.stock.release(product, location, quantity);
            }
            alter(world, at, |sale| {
                sale.order = Status::Draft;
                Arc::make_mut(&mut sale.lines)
                    .iter_mut()
                    .for_each(|line| line.backorder = Decimal::ZERO);
            })?;
            world.backordered.remove(&at);
        }
        (Status::Draft, _) => alter(world, at, |sale| sale.order = Status::NotAvailable)?,
        (_, Status::Authorised) => alter(world, at, |sale| sale.quote = Status::Draft)?,
        _ => return Err(Refusal::bad("There is nothing to undo")),
    }
    world.announce_sale("Sale/Undo", at, json!({}));
    Ok(())
}

pub(super) fn journal(world: &mut World, write: &Write<'_>) -> Written {
    let at = index(world, write.body.required_id("SaleID")?)?;
    let id = live(world, at)?.id;
    let status = status_of(write)?;
    let lines: Vec<Value> = write
        .body
        .rows("Lines")?
        .iter()
        .map(|row| Value::Object(row.0.clone()))
        .collect();
    let journal = json!({"SaleID": id, "Status": status.text(), "Lines": lines});
    alter(world, at, |sale| {
        sale.header_mut().journal = Some(journal.clone())
    })?;
    Ok(J::Own(journal).bytes())
}

pub(super) fn attachment(world: &mut World, write: &Write<'_>) -> Written {
    if write.verb == Verb::Delete {
        let id = write.query.required_id("ID")?.to_string();
        let holds = |sale: &Sale| {
            sale.header
                .as_ref()
                .is_some_and(|h| h.attachments.iter().any(|a| a["ID"] == id.as_str()))
        };
        let at = world
            .sales
            .iter()
            .position(|sale| sale.as_ref().is_some_and(holds));
        let at = at.ok_or_else(|| Refusal::bad("Attachment not found"))? as u32;
        alter(world, at, |sale| {
            sale.header_mut()
                .attachments
                .retain(|a| a["ID"] != id.as_str())
        })?;
        return attachments(world, at);
    }
    let at = index(world, write.body.required_id("SaleID")?)?;
    live(world, at)?;
    let name = write.body.required("FileName")?;
    let id = world.new_id();
    let url = format!(
        "https://files.example.com/{id}?ts={}",
        world.now().as_second()
    );
    let kind = write
        .body
        .text("ContentType")
        .unwrap_or_else(|| "application/octet-stream".into());
    let row = json!({"ID": id, "ContentType": kind, "FileName": name, "DownloadUrl": url});
    alter(world, at, |sale| sale.header_mut().attachments.push(row))?;
    world.announce_sale("Sale/AttachmentAdded", at, json!({}));
    attachments(world, at)
}

fn attachments(world: &World, at: u32) -> Written {
    let sale = world.sales[at as usize]
        .as_ref()
        .ok_or_else(|| Refusal::bad("Sale not found"))?;
    let lines = sale
        .header
        .iter()
        .flat_map(|h| h.attachments.iter())
        .map(J::Val);
    Ok(obj! { "SaleID": sale.id, "Lines": lines.collect::<Vec<_>>() }.bytes())
}

/// `DRAFT` or `AUTHORISED`, which is all that parts of a document take.
pub(super) fn status_of(write: &Write<'_>) -> Answer<Status> {
    match write.body.required("Status")?.to_ascii_uppercase().as_str() {
        "DRAFT" => Ok(Status::Draft),
        "AUTHORISED" => Ok(Status::Authorised),
        other => Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    }
}
