//! Products and their bills of materials.

use super::*;

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

pub(in crate::cin7::write) fn product(world: &mut World, write: &Write<'_>) -> Written {
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
