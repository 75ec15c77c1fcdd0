//! Customers, suppliers and products: created and changed, never removed.

mod product;

pub(super) use product::product;

use super::{Fields, Verb, Write, Written};
use crate::cin7::json::J;
use crate::cin7::render::product::ProductView;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::World;
use crate::cin7::world::books::TIERS;
use crate::cin7::world::customer::{Customer, Supplier};
use crate::cin7::world::product::{Bom, BomPart, BomService, COSTING, Product};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The list envelope that answers a write of master data.
fn envelope(key: &str, document: J<'_>) -> Vec<u8> {
    J::Obj(vec![
        ("Total", J::Int(1)),
        ("Page", J::Int(1)),
        (key, J::Arr(vec![document])),
    ])
    .bytes()
}

/// A body keeps what it sent beyond the typed members, except those that only the service sets.
fn keep(body: Fields<'_>, typed: &[&str], into: &mut Option<Box<Map<String, Value>>>) {
    let own = |key: &str| {
        typed
            .iter()
            .chain(&["ID", "LastModifiedOn"])
            .any(|t| t.eq_ignore_ascii_case(key))
    };
    let rest = body
        .0
        .iter()
        .filter(|(key, _)| !own(key))
        .map(|(key, value)| (key.clone(), value.clone()));
    let written = into.get_or_insert_default();
    for (key, value) in rest {
        written.retain(|old, _| !old.eq_ignore_ascii_case(&key));
        written.insert(key, value);
    }
}

/// A name that a reference book must know.
fn known(
    world: &World,
    body: Fields<'_>,
    member: &str,
    book: &str,
    key: &str,
    text: impl Fn(&str) -> String,
) -> Answer<()> {
    match body.text(member) {
        Some(name) if !world.books.has(book, key, &name) => Err(Refusal::unknown_name(text(&name))),
        _ => Ok(()),
    }
}

fn deprecated(body: Fields<'_>) -> Answer<Option<bool>> {
    match body
        .text("Status")
        .map(|s| s.to_ascii_lowercase())
        .as_deref()
    {
        None => Ok(None),
        Some("active" | "setup required") => Ok(Some(false)),
        Some("deprecated") => Ok(Some(true)),
        Some(other) => Err(Refusal::bad(format!("'Status' cannot be '{other}'."))),
    }
}

/// Contacts and addresses get ids when they are first stored.
fn with_ids(world: &mut World, written: &mut Option<Box<Map<String, Value>>>) {
    let Some(written) = written else { return };
    for (key, value) in written.iter_mut() {
        if !matches!(key.to_ascii_lowercase().as_str(), "addresses" | "contacts") {
            continue;
        }
        for row in value
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            let id = row
                .get("ID")
                .and_then(Value::as_str)
                .and_then(|id| Uuid::parse_str(id).ok());
            if id.is_none_or(|id| id.is_nil()) {
                row.insert("ID".into(), json!(world.new_id()));
            }
        }
    }
}

/// The name that is sent: a new partner says all that it must, and nobody takes another's name. `twin` finds who has it.
fn check_name(
    body: Fields<'_>,
    what: &str,
    required: &[&str],
    at: Option<usize>,
    twin: impl Fn(&str) -> Option<usize>,
) -> Answer<Option<String>> {
    if at.is_none() {
        for member in required {
            body.required(member)?;
        }
    }
    let name = body.text("Name");
    let taken = name.as_deref().and_then(twin);
    if taken.is_some() && taken != at {
        let capital = format!("{}{}", what[..1].to_uppercase(), &what[1..]);
        return Err(Refusal::bad(format!(
            "This {what} already exists. {capital} name must be unique."
        )));
    }
    Ok(name)
}

fn check_partner(world: &World, body: Fields<'_>, account: &str, system: &str) -> Answer<()> {
    known(
        world,
        body,
        "PaymentTerm",
        "ref/paymentterm",
        "Name",
        |name| {
            format!(
                "Active payment term with name {name} was not found in Payment Terms reference book"
            )
        },
    )?;
    known(world, body, "TaxRule", "ref/tax", "Name", |name| {
        format!("Tax Rule '{name}' was not found in reference book")
    })?;
    known(
        world,
        body,
        "Carrier",
        "ref/carrier",
        "Description",
        |name| format!("Carrier '{name}' was not found in Carriers reference book"),
    )?;
    if let Some(code) = body.text(account) {
        let fits = |row: &Map<String, Value>| {
            row["Code"] == code.as_str() && row["SystemAccount"] == system
        };
        if !world.books.rows("ref/account").iter().any(fits) {
            return Err(Refusal::unknown_name(format!(
                "{account} '{code}' was not found"
            )));
        }
    }
    Ok(())
}

const CUSTOMER_REQUIRED: [&str; 6] = [
    "Name",
    "Currency",
    "PaymentTerm",
    "TaxRule",
    "AccountReceivable",
    "RevenueAccount",
];
const SUPPLIER_REQUIRED: [&str; 5] = [
    "Name",
    "Currency",
    "PaymentTerm",
    "TaxRule",
    "AccountPayable",
];
const CUSTOMER_TYPED: [&str; 3] = ["Name", "PriceTier", "Status"];

pub(super) fn customer(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = match write.verb {
        Verb::Put => {
            let id = body.required_id("ID")?;
            let at = world.customer_by_id.get(&id).copied();
            Some(at.ok_or_else(|| Refusal::bad("Customer not found"))?)
        }
        _ => None,
    };
    let name = check_name(
        body,
        "customer",
        &CUSTOMER_REQUIRED,
        at.map(|at| at as usize),
        |name| {
            let twin = |one: &Customer| one.name.eq_ignore_ascii_case(name);
            world.customers.iter().position(twin)
        },
    )?;
    check_partner(world, body, "AccountReceivable", "Accounts receivable")?;
    let tier = match body.text("PriceTier") {
        Some(tier) => {
            let at = TIERS.iter().position(|t| t.eq_ignore_ascii_case(&tier));
            Some(
                at.ok_or_else(|| {
                    Refusal::unknown_name(format!("Price tier '{tier}' was not found"))
                })? as u8
                    + 1,
            )
        }
        None => None,
    };
    let deprecated = deprecated(body)?;
    let now = world.now();
    let created = at.is_none();
    let at = at.unwrap_or_else(|| {
        let id = world.new_id();
        let number = 900_000 + world.customers.len() as u32;
        world.customers.push(Customer {
            id,
            number,
            name: String::new(),
            country: "United Kingdom".into(),
            tier: 1,
            deprecated: false,
            modified: now,
            // A customer made through the API has what was sent and no invented address.
            written: Some(Box::new(Map::from_iter([
                ("Addresses".into(), json!([])),
                ("Contacts".into(), json!([])),
            ]))),
        });
        let at = world.customers.len() as u32 - 1;
        world.customer_by_id.insert(id, at);
        at
    });
    let mut written = world.customers[at as usize].written.take();
    keep(body, &CUSTOMER_TYPED, &mut written);
    with_ids(world, &mut written);
    let customer = &mut world.customers[at as usize];
    customer.written = written;
    customer.name = name.unwrap_or_else(|| customer.name.clone());
    customer.tier = tier.unwrap_or(customer.tier);
    customer.deprecated = deprecated.unwrap_or(customer.deprecated);
    customer.modified = now;
    let document = world.customer_document(at, false);
    let told = document.value();
    let answer = envelope("CustomerList", document);
    let event = if created { "Creation" } else { "Update" };
    world.announce_partner("Customer/Updated", "Customer", event, told);
    Ok(answer)
}

pub(super) fn supplier(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = match write.verb {
        Verb::Put => {
            let id = body.required_id("ID")?;
            let at = world.suppliers.iter().position(|s| s.id == id);
            Some(at.ok_or_else(|| Refusal::bad("Supplier not found"))?)
        }
        _ => None,
    };
    let name = check_name(body, "supplier", &SUPPLIER_REQUIRED, at, |name| {
        let twin = |one: &Supplier| one.name.eq_ignore_ascii_case(name);
        world.suppliers.iter().position(twin)
    })?;
    check_partner(world, body, "AccountPayable", "Accounts payable")?;
    let deprecated = deprecated(body)?;
    let now = world.now();
    let created = at.is_none();
    let at = at.unwrap_or_else(|| {
        let id = world.new_id();
        world.suppliers.push(Supplier {
            id,
            name: String::new(),
            country: "United Kingdom",
            deprecated: false,
            modified: now,
            written: Some(Box::new(Map::from_iter([
                ("Addresses".into(), json!([])),
                ("Contacts".into(), json!([])),
            ]))),
        });
        world.suppliers.len() - 1
    });
    let mut written = world.suppliers[at].written.take();
    keep(body, &["Name", "Status"], &mut written);
    with_ids(world, &mut written);
    let supplier = &mut world.suppliers[at];
    supplier.written = written;
    supplier.name = name.unwrap_or_else(|| supplier.name.clone());
    supplier.deprecated = deprecated.unwrap_or(supplier.deprecated);
    supplier.modified = now;
    let document = world.supplier_document(at);
    let told = document.value();
    let answer = envelope("SupplierList", document);
    let event = if created { "Creation" } else { "Update" };
    world.announce_partner("Supplier/Updated", "Supplier", event, told);
    Ok(answer)
}
