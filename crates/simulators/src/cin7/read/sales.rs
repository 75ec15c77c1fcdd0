//! Reading sales.

use crate::cin7::json::{J, obj};
use crate::cin7::query::Query;
use crate::cin7::render::sale::{CountryFormat, SaleView};
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::sale::{Fulfilment, Sale, Status};

pub(super) fn get<'a>(world: &'a World, path: &str, query: &Query) -> Option<Answer<J<'a>>> {
    Some(match path {
        "salelist" => list(world, query),
        "salecreditnotelist" => credit_list(world, query),
        "sale" => sale(world, query, "ID").map(|sale| world.sale_document(sale, view(query))),
        "sale/quote" => sale(world, query, "SaleID").map(|sale| {
            let mut doc = world.quote_part(sale);
            front(&mut doc, vec![("SaleID", sale.id.into())]);
            doc
        }),
        "sale/order" => sale(world, query, "SaleID").map(|sale| order(world, sale)),
        "sale/fulfilment" => sale(world, query, "SaleID").map(|sale| fulfilments(world, sale)),
        "sale/fulfilment/pick" => {
            task(world, query).map(|(sale, f)| tagged(f, world.pick_part(sale, f)))
        }
        "sale/fulfilment/pack" => {
            task(world, query).map(|(sale, f)| tagged(f, world.pack_part(sale, f)))
        }
        "sale/fulfilment/ship" => {
            task(world, query).map(|(sale, f)| tagged(f, world.ship_part(sale, f)))
        }
        "sale/invoice" => sale(world, query, "SaleID").map(|sale| invoices(world, sale)),
        "sale/creditnote" => sale(world, query, "SaleID").map(|sale| credit_notes(world, sale)),
        "sale/payment" => sale(world, query, "SaleID").map(payments),
        "sale/manualjournal" => sale(world, query, "SaleID").map(|sale| {
            let journal = sale.header.as_ref().and_then(|h| h.journal.as_ref());
            let none = || obj! { "Status": "NOT AVAILABLE", "Lines": J::Arr(vec![]) };
            let mut doc = journal.map_or_else(none, |journal| J::Own(journal.clone()));
            if matches!(doc, J::Obj(_)) {
                front(&mut doc, vec![("SaleID", sale.id.into())]);
            }
            doc
        }),
        "sale/attachment" => sale(world, query, "SaleID").map(|sale| {
            let lines = sale
                .header
                .iter()
                .flat_map(|h| h.attachments.iter())
                .map(J::Val);
            obj! { "SaleID": sale.id, "Lines": lines.collect::<Vec<_>>() }
        }),
        _ => return None,
    })
}

fn front<'a>(doc: &mut J<'a>, mut fields: Vec<(&'a str, J<'a>)>) {
    if let J::Obj(rest) = doc {
        fields.append(rest);
        *rest = fields;
    }
}

fn tagged<'a>(f: &Fulfilment, mut part: J<'a>) -> J<'a> {
    front(&mut part, vec![("TaskID", f.task.into())]);
    part
}

pub(crate) fn order<'a>(world: &'a World, sale: &'a Sale) -> J<'a> {
    let mut doc = world.order_part(sale);
    front(&mut doc, vec![("SaleID", sale.id.into())]);
    doc
}

pub(crate) fn fulfilments<'a>(world: &'a World, sale: &'a Sale) -> J<'a> {
    let all = sale
        .fulfilments
        .iter()
        .map(|f| world.fulfilment_part(sale, f));
    obj! { "SaleID": sale.id, "Fulfilments": all.collect::<Vec<_>>() }
}

pub(crate) fn invoices<'a>(world: &'a World, sale: &'a Sale) -> J<'a> {
    let all = sale.invoices.iter().map(|i| world.invoice_part(sale, i));
    obj! { "SaleID": sale.id, "Invoices": all.collect::<Vec<_>>() }
}

pub(crate) fn credit_notes<'a>(world: &'a World, sale: &'a Sale) -> J<'a> {
    let all = sale.credit_notes.iter().map(|c| world.credit_part(c));
    obj! { "SaleID": sale.id, "CreditNotes": all.collect::<Vec<_>>() }
}

fn payments(sale: &Sale) -> J<'_> {
    let mut all = vec![];
    for payment in &sale.prepayments {
        let mut doc = crate::cin7::render::payment(payment);
        front(
            &mut doc,
            vec![("TaskID", sale.id.into()), ("Type", "Prepayment".into())],
        );
        all.push(doc);
    }
    let paid = sale
        .invoices
        .iter()
        .flat_map(|i| i.payments.iter().map(move |p| (i.task, "Payment", p)));
    let refunded = sale
        .credit_notes
        .iter()
        .flat_map(|c| c.refunds.iter().map(move |p| (c.task, "Refund", p)));
    for (task, kind, payment) in paid.chain(refunded) {
        let mut doc = crate::cin7::render::payment(payment);
        front(
            &mut doc,
            vec![("TaskID", task.into()), ("Type", kind.into())],
        );
        all.push(doc);
    }
    J::Arr(all)
}

fn view(query: &Query) -> SaleView {
    SaleView {
        hide_movements: query.flag("HideInventoryMovements"),
        transactions: query.flag("IncludeTransactions"),
        country: match query
            .get("CountryFormat")
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("code2") => CountryFormat::Code2,
            Some("code") | Some("code3") => CountryFormat::Code3,
            _ => CountryFormat::Regular,
        },
    }
}

fn sale<'a>(world: &'a World, query: &Query, key: &str) -> Answer<&'a Sale> {
    let id = query.required_id(key)?;
    world
        .find_sale(id)
        .ok_or_else(|| Refusal::bad("Sale not found"))
}

fn task<'a>(world: &'a World, query: &Query) -> Answer<(&'a Sale, &'a Fulfilment)> {
    let id = query.required_id("TaskID")?;
    let missing = || Refusal::bad("Fulfilment task not found");
    let at = world.sale_index_of_task(id).ok_or_else(missing)?;
    let sale = world.sales[at as usize].as_ref().ok_or_else(missing)?;
    let fulfilment = sale
        .fulfilments
        .iter()
        .find(|f| f.task == id)
        .ok_or_else(missing)?;
    Ok((sale, fulfilment))
}

/// Newest first.
fn list<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let filter = Filter::new(query)?;
    let rows = world
        .live_sales()
        .rev()
        .filter(|sale| filter.passes(world, sale));
    query.page("SaleList", rows, |sale| world.sale_row(sale))
}

/// One row per sale that has a credit note.
fn credit_list<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let filter = Filter::new(query)?;
    let rows = world
        .live_sales()
        .rev()
        .filter(|sale| !sale.credit_notes.is_empty());
    query.page(
        "SaleList",
        rows.filter(|sale| filter.passes(world, sale)),
        |sale| world.sale_row(sale),
    )
}

struct Filter<'q> {
    query: &'q Query,
    created: Option<jiff::Timestamp>,
    since: Option<jiff::Timestamp>,
    until: Option<jiff::Timestamp>,
    ship_by: Option<jiff::civil::Date>,
    location: Option<uuid::Uuid>,
    /// Whether any filter needs the derived statuses.
    derived: bool,
}

const DERIVED: [&str; 9] = [
    "Search",
    "QuoteStatus",
    "CombinedPickStatus",
    "CombinedPackStatus",
    "CombinedShippingStatus",
    "CombinedInvoiceStatus",
    "CreditNoteStatus",
    "Status",
    "ReadyForShipping",
];

impl<'q> Filter<'q> {
    fn new(query: &'q Query) -> Answer<Filter<'q>> {
        Ok(Filter {
            query,
            created: query.since("CreatedSince")?,
            since: query.since("UpdatedSince")?,
            until: query.since("UpdatedUntil")?,
            ship_by: query.date("ShipBy")?,
            location: query.id("OrderLocationID")?,
            derived: DERIVED.iter().any(|name| query.get(name).is_some()),
        })
    }

    fn passes(&self, world: &World, sale: &Sale) -> bool {
        let query = self.query;
        let shipped = || {
            sale.live_fulfilments()
                .any(|f| f.ship == Status::Authorised)
        };
        let external = || {
            let written = sale
                .header
                .as_ref()
                .and_then(|h| h.written.get("ExternalID"));
            written.and_then(|v| v.as_str()).unwrap_or_default()
        };
        let order = if sale.voided {
            "VOIDED"
        } else {
            sale.order.text()
        };
        query.after(sale.updated, self.since)
            && query.after(sale.created, self.created)
            && self.until.is_none_or(|until| sale.updated <= until)
            && self
                .ship_by
                .is_none_or(|by| sale.ship_by.is_some_and(|due| due <= by) && !shipped())
            && self
                .location
                .is_none_or(|at| world.place(sale.location).id == at)
            && query.matches("OrderStatus", order)
            && query
                .get("ExternalID")
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(external()))
            && (!self.derived || self.passes_derived(world, sale))
    }

    fn passes_derived(&self, world: &World, sale: &Sale) -> bool {
        let query = self.query;
        let stages = world.stages(sale);
        let reference = sale
            .header
            .as_ref()
            .and_then(|h| h.written.get("CustomerReference"));
        let quote = if sale.voided {
            "VOIDED"
        } else {
            sale.quote.text()
        };
        let waiting = || {
            sale.live_fulfilments()
                .any(|f| f.pack == Status::Authorised && f.ship != Status::Authorised)
        };
        let words = [
            sale.number.as_str(),
            stages.status,
            &world.customer(sale.customer).name,
        ];
        let words = words
            .into_iter()
            .chain(sale.invoices.iter().map(|i| i.number.as_str()));
        let words = words.chain(reference.and_then(|v| v.as_str()));
        let words = words.chain(sale.credit_notes.iter().map(|c| c.number.as_str()));
        query.found_in(words)
            && query.matches("QuoteStatus", quote)
            && query.matches("CombinedPickStatus", stages.picking)
            && query.matches("CombinedPackStatus", stages.packing)
            && query.matches("CombinedShippingStatus", stages.shipping)
            && query.matches("CombinedInvoiceStatus", stages.invoicing)
            && query.matches("CreditNoteStatus", stages.credit)
            && query.matches("Status", stages.status)
            && query
                .bool("ReadyForShipping")
                .is_none_or(|wanted| waiting() == wanted)
    }
}
