//! Customers, suppliers and products: created and changed, never removed.

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
    let name = body.text("Name");
    if at.is_none() {
        for member in [
            "Name",
            "Currency",
            "PaymentTerm",
            "TaxRule",
            "AccountReceivable",
            "RevenueAccount",
        ] {
            body.required(member)?;
        }
    }
    if let Some(name) = &name {
        let twin = world
            .customers
            .iter()
            .position(|c| c.name.eq_ignore_ascii_case(name));
        if twin.is_some_and(|twin| Some(twin as u32) != at) {
            return Err(Refusal::bad(
                "This customer already exists. Customer name must be unique.",
            ));
        }
    }
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
    let name = body.text("Name");
    if at.is_none() {
        for member in [
            "Name",
            "Currency",
            "PaymentTerm",
            "TaxRule",
            "AccountPayable",
        ] {
            body.required(member)?;
        }
    }
    if let Some(name) = &name {
        let twin = world
            .suppliers
            .iter()
            .position(|s| s.name.eq_ignore_ascii_case(name));
        if twin.is_some_and(|twin| Some(twin) != at) {
            return Err(Refusal::bad(
                "This supplier already exists. Supplier name must be unique.",
            ));
        }
    }
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

const PRODUCT_TYPED: [&str; 17] = [
    "SKU",
    "Name",
    "Category",
    "Brand",
    "Type",
    "CostingMethod",
    "Status",
    "PriceTier1",
    "PriceTiers",
    "AverageCost",
    "BillOfMaterial",
    "AutoAssembly",
    "AutoDisassembly",
    "QuantityToProduce",
    "BillOfMaterialsProducts",
    "BillOfMaterialsServices",
    "BOMType",
];

pub(super) fn product(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    let at = match write.verb {
        Verb::Put => {
            let id = body.required_id("ID")?;
            let at = world.product_by_id.get(&id).copied();
            Some(at.ok_or_else(|| Refusal::bad("Product not found"))?)
        }
        _ => None,
    };
    if at.is_none() {
        for member in ["SKU", "Name", "Category", "Type", "CostingMethod", "UOM"] {
            body.required(member)?;
        }
    }
    let sku = body.text("SKU");
    if let Some(sku) = &sku {
        let twin = world.product_by_sku.get(&sku.to_uppercase()).copied();
        if twin.is_some() && twin != at {
            return Err(Refusal::bad(format!(
                "Product with SKU {sku} already exists. SKU must be unique."
            )));
        }
        if sku.chars().count() > 50 {
            return Err(Refusal::bad("'SKU' must not be longer than 50 characters."));
        }
    }
    known(world, body, "Category", "ref/category", "Name", |_| {
        "Category not found.".into()
    })?;
    known(world, body, "Brand", "ref/brand", "Name", |name| {
        format!("Brand '{name}' was not found in reference book")
    })?;
    known(world, body, "UOM", "ref/unit", "Name", |name| {
        format!("Unit '{name}' was not found in reference book")
    })?;
    let costing = match body.text("CostingMethod") {
        Some(name) => {
            let known = COSTING
                .iter()
                .find(|method| method.eq_ignore_ascii_case(&name));
            Some(
                *known
                    .ok_or_else(|| Refusal::bad(format!("'CostingMethod' cannot be '{name}'.")))?,
            )
        }
        None => None,
    };
    let service = match body.text("Type").map(|t| t.to_ascii_lowercase()).as_deref() {
        None => None,
        Some("stock") => Some(false),
        Some("service") => Some(true),
        Some(other) => return Err(Refusal::bad(format!("'Type' cannot be '{other}'."))),
    };
    let (deprecated, price, cost) = (
        deprecated(body)?,
        body.decimal("PriceTier1")?,
        body.decimal("AverageCost")?,
    );
    let bom = bom(world, body, at)?;
    let now = world.now();
    let created = at.is_none();
    let at = at.unwrap_or_else(|| {
        let id = world.new_id();
        world.products.push(Product {
            id,
            sku: String::new(),
            name: String::new(),
            category: String::new(),
            service: false,
            costing: "FIFO",
            price: Decimal::ZERO,
            cost: Decimal::ZERO,
            uom: "Item",
            brand: None,
            deprecated: false,
            modified: now,
            suppliers: vec![],
            bom: None,
            family: false,
            written: None,
        });
        let at = world.products.len() as u32 - 1;
        world.product_by_id.insert(id, at);
        at
    });
    if let Some(sku) = &sku {
        let old = world.product(at).sku.to_uppercase();
        world.product_by_sku.remove(&old);
        world.product_by_sku.insert(sku.to_uppercase(), at);
    }
    let product = &mut world.products[at as usize];
    keep(body, &PRODUCT_TYPED, &mut product.written);
    if let (Some(brand), Some(written)) = (body.raw("Brand"), product.written.as_mut()) {
        written.insert("Brand".into(), brand.clone());
    }
    product.sku = sku.unwrap_or_else(|| product.sku.clone());
    product.name = body.text("Name").unwrap_or_else(|| product.name.clone());
    product.category = body
        .text("Category")
        .unwrap_or_else(|| product.category.clone());
    product.service = service.unwrap_or(product.service);
    product.costing = costing.unwrap_or(product.costing);
    product.deprecated = deprecated.unwrap_or(product.deprecated);
    product.price = price.unwrap_or(product.price);
    product.cost = cost.unwrap_or(product.cost);
    product.modified = now;
    if let Some(bom) = bom {
        product.bom = bom;
    }
    let view = ProductView {
        bom: true,
        suppliers: true,
        reorder: true,
        attachments: true,
        ..Default::default()
    };
    let document = world.product_document(at, view);
    let mut told = document.value();
    told["Event"] = json!(if created { "Creation" } else { "Update" });
    let answer = envelope("Products", document);
    world.announce("Product/Updated", json!({"EventType": "Product/Updated", "NumberOfProducts": 1, "ProductDetailsList": [told]}));
    Ok(answer)
}

/// The BOM that a body describes: `None` when it says nothing about one, `Some(None)` when it takes it away.
#[expect(
    clippy::option_option,
    reason = "absent, removed and present are three different wishes"
)]
fn bom(world: &World, body: Fields<'_>, at: Option<u32>) -> Answer<Option<Option<Box<Bom>>>> {
    let members = [
        "BillOfMaterial",
        "AutoAssembly",
        "AutoDisassembly",
        "QuantityToProduce",
        "BillOfMaterialsProducts",
        "BillOfMaterialsServices",
    ];
    if !members.iter().any(|key| body.raw(key).is_some()) {
        return Ok(None);
    }
    if body.bool("BillOfMaterial") == Some(false) {
        return Ok(Some(None));
    }
    let old = at.and_then(|at| world.product(at).bom.clone());
    let mut bom = old.map_or_else(
        || Bom {
            auto: false,
            auto_disassembly: false,
            makes: Decimal::ONE,
            parts: vec![],
            services: vec![],
        },
        |bom| *bom,
    );
    bom.auto = body.bool("AutoAssembly").unwrap_or(bom.auto);
    bom.auto_disassembly = body.bool("AutoDisassembly").unwrap_or(bom.auto_disassembly);
    if body.has("QuantityToProduce") {
        bom.makes = body.quantity("QuantityToProduce")?;
    }
    let component = |row: &Fields<'_>| -> Answer<u32> {
        let id = row.id("ComponentProductID")?;
        let by_id = id.and_then(|id| world.product_by_id.get(&id).copied());
        let by_sku = row
            .text("ProductCode")
            .and_then(|sku| world.product_by_sku.get(&sku.to_uppercase()).copied());
        let found = by_id
            .or(by_sku)
            .ok_or_else(|| Refusal::bad("Component product was not found"))?;
        if Some(found) == at || at.is_some_and(|at| contains(world, found, at, 0)) {
            return Err(Refusal::bad("A product cannot be a component of itself"));
        }
        Ok(found)
    };
    if body.raw("BillOfMaterialsProducts").is_some() {
        bom.parts = body
            .rows("BillOfMaterialsProducts")?
            .iter()
            .map(|row| {
                Ok(BomPart {
                    product: component(row)?,
                    quantity: row.quantity("Quantity")?,
                    wastage_percent: row.decimal("WastagePercent")?.unwrap_or_default(),
                    wastage_quantity: row.decimal("WastageQuantity")?.unwrap_or_default(),
                    cost_percent: row.decimal("CostPercentage")?.unwrap_or_default(),
                })
            })
            .collect::<Answer<_>>()?;
    }
    if body.raw("BillOfMaterialsServices").is_some() {
        bom.services = body
            .rows("BillOfMaterialsServices")?
            .iter()
            .map(|row| {
                Ok(BomService {
                    product: component(row)?,
                    quantity: row.quantity("Quantity")?,
                })
            })
            .collect::<Answer<_>>()?;
    }
    Ok(Some(Some(Box::new(bom))))
}

/// Whether `inner` is found anywhere in the BOM of `outer`.
fn contains(world: &World, outer: u32, inner: u32, depth: usize) -> bool {
    let parts = world
        .product(outer)
        .bom
        .iter()
        .flat_map(|bom| bom.parts.iter());
    depth < 16
        && parts
            .into_iter()
            .any(|part| part.product == inner || contains(world, part.product, inner, depth + 1))
}
