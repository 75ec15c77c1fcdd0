//! Reading products, availability, customers, suppliers and locations.

use crate::cin7::json::J;
use crate::cin7::query::Query;
use crate::cin7::render::product::ProductView;
use crate::cin7::reply::Answer;
use crate::cin7::world::World;

pub(super) fn get<'a>(world: &'a World, path: &str, query: &Query) -> Option<Answer<J<'a>>> {
    Some(match path {
        "product" => products(world, query),
        "productfamily" => families(world, query),
        "product/attachments" => attachments(world, query, "product/attachments", "ProductID"),
        "productfamily/attachments" => {
            attachments(world, query, "productfamily/attachments", "FamilyID")
        }
        "product/markupprices" => markup(world, query),
        "ref/productavailability" => availability(world, query),
        "customer" => customers(world, query),
        "supplier" => suppliers(world, query),
        "ref/location" => locations(world, query),
        _ => return None,
    })
}

fn attachments<'a>(world: &'a World, query: &Query, path: &str, key: &str) -> Answer<J<'a>> {
    Ok(J::Arr(world.attachments(
        path,
        key,
        query.required_id(key)?,
    )))
}

pub(crate) fn view(query: &Query) -> ProductView {
    ProductView {
        bom: query.flag("IncludeBOM"),
        suppliers: query.flag("IncludeSuppliers"),
        movements: query.flag("IncludeMovements"),
        attachments: query.flag("IncludeAttachments"),
        reorder: query.flag("IncludeReorderLevels"),
        prices: query.flag("IncludeCustomPrices"),
    }
}

fn products<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let (id, since, all) = (
        query.id("ID")?,
        query.since("ModifiedSince")?,
        query.flag("IncludeDeprecated"),
    );
    let view = view(query);
    let rows = world.products.iter().enumerate().filter(|(_, p)| {
        id.map_or(all || !p.deprecated, |id| p.id == id)
            && query.after(p.modified, since)
            && query.contains("Name", &p.name)
            && query.starts("Sku", &p.sku)
    });
    query.page("Products", rows, |(at, _)| {
        world.product_document(at as u32, view)
    })
}

fn families<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let (id, since) = (query.id("ID")?, query.since("ModifiedSince")?);
    let rows = world.products.iter().enumerate().filter(|(_, p)| {
        let family = || crate::cin7::world::id_of(&format!("family/{}", p.sku));
        p.family
            && !p.service
            && query.after(p.modified, since)
            && query.contains("Name", &p.name)
            && query.starts("Sku", &p.sku)
            && id.is_none_or(|id| family() == id)
    });
    query.page("ProductFamilies", rows, |(at, _)| {
        world.family_document(at as u32)
    })
}

fn markup<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let id = query.required_id("ProductID")?;
    Ok(J::Obj(vec![(
        "MarkupPrices",
        J::Arr(world.papers_where("product/markupprices", "ProductID", id)),
    )]))
}

fn availability<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let id = query.id("ID")?;
    let mut seen = 0_u64;
    let missing = query.cut.rows_missing_every.filter(|n| *n > 0);
    let rows = world.stock.cards.iter().filter(|(key, _)| {
        let product = world.product(key.product);
        let batch = || {
            world
                .stock
                .batches
                .get(key.batch as usize)
                .map_or("", |b| b.name.as_str())
        };
        // Deprecated products drop out even while they lie in stock.
        !product.deprecated
            && id.is_none_or(|id| product.id == id)
            && query.contains("Name", &product.name)
            && query.matches("Sku", &product.sku)
            && query.matches("Location", &world.place(key.at).name)
            && query
                .get("Batch")
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(batch()))
            && query.matches("Category", &product.category)
    });
    let rows = rows.filter(|_| {
        seen += 1;
        missing.is_none_or(|n| !seen.is_multiple_of(n))
    });
    query.page("ProductAvailabilityList", rows, |(key, card)| {
        world.availability_row(key, card)
    })
}

fn customers<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let (id, since, all) = (
        query.id("ID")?,
        query.since("ModifiedSince")?,
        query.flag("IncludeDeprecated"),
    );
    let prices = query.flag("IncludeProductPrices");
    let rows = world.customers.iter().enumerate().filter(|(_, c)| {
        id.map_or(all || !c.deprecated, |id| c.id == id)
            && query.after(c.modified, since)
            && query.starts("Name", &c.name)
            && (query.contains("ContactFilter", &c.contact())
                || query.contains("ContactFilter", &c.email()))
    });
    query.page("CustomerList", rows, |(at, _)| {
        world.customer_document(at as u32, prices)
    })
}

fn suppliers<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let (id, since, all) = (
        query.id("ID")?,
        query.since("ModifiedSince")?,
        query.flag("IncludeDeprecated"),
    );
    let rows = world.suppliers.iter().enumerate().filter(|(_, s)| {
        id.map_or(all || !s.deprecated, |id| s.id == id)
            && query.after(s.modified, since)
            && query.starts("Name", &s.name)
    });
    query.page("SupplierList", rows, |(at, _)| world.supplier_document(at))
}

fn locations<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let (id, deprecated) = (query.id("ID")?, query.bool("Deprecated"));
    let rows = world.places.iter().enumerate().filter(|(_, p)| {
        !p.gone
            && id.is_none_or(|id| p.id == id)
            && deprecated.is_none_or(|wanted| p.deprecated == wanted)
            && query.contains("Name", &p.name)
    });
    query.page("LocationList", rows, |(at, _)| {
        world.location_document(at as u16)
    })
}
