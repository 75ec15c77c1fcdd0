//! Quotes and orders: lines, allocation, backorders, kits that are assembled on the spot.

mod hold;

use super::sale::{alter, index, live, status_of};
use super::{Fields, Write, Written, fulfil};
use crate::cin7::read;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::routes;
use crate::cin7::world::World;
use crate::cin7::world::assembly::{Assembly, AssemblyStatus, Used};
use crate::cin7::world::sale::{Charge, Kind, Line, Sale, Status, TAX_RULES, line_total};
use crate::cin7::world::stock::{CardKey, Cause};
use rust_decimal::Decimal;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Deepest nesting of kits that is followed.
const NESTING_MAX: usize = 8;

pub(super) fn quote(world: &mut World, write: &Write<'_>) -> Written {
    let at = index(world, write.body.required_id("SaleID")?)?;
    let sale = live(world, at)?;
    if sale.skip_quote {
        return Err(Refusal::bad(
            "Quote cannot be changed: the sale skips its quote",
        ));
    }
    if !sale.quote.open() {
        return Err(Refusal::bad(format!(
            "Quote cannot be changed in status {}",
            sale.quote.text()
        )));
    }
    let status = status_of(write)?;
    let (lines, charges) = parts(world, write)?;
    let memo = write.body.text("Memo");
    alter(world, at, |sale| {
        (sale.lines, sale.charges, sale.quote) = (Arc::new(lines), Arc::new(charges), status);
        if let Some(memo) = memo {
            sale.header_mut().quote_memo = memo;
        }
    })?;
    if status == Status::Authorised {
        world.announce_sale("Sale/QuoteAuthorised", at, json!({}));
    }
    part(world, at, "sale/quote")
}

/// One part of a sale, read back as `GET` answers it.
pub(super) fn part(world: &World, at: u32, path: &'static str) -> Written {
    let id = world.sales[at as usize]
        .as_ref()
        .map(|sale| sale.id)
        .unwrap_or_default();
    let query =
        crate::cin7::query::Query::new(vec![("SaleID".into(), id.to_string())], Default::default());
    let route = routes::find(path).ok_or_else(|| Refusal::bad("Sale not found"))?;
    Ok(read::get(world, route, &query)?.bytes())
}

fn parts(world: &World, write: &Write<'_>) -> Answer<(Vec<Line>, Vec<Charge>)> {
    let lines = write
        .body
        .rows("Lines")?
        .into_iter()
        .map(|row| line(world, row))
        .collect::<Answer<_>>()?;
    let charges = write
        .body
        .rows("AdditionalCharges")?
        .into_iter()
        .map(|row| charge(world, row));
    Ok((lines, charges.collect::<Answer<_>>()?))
}

/// A product named by `ProductID`, `SKU` or `ProductCode`.
pub(super) fn product(world: &World, row: Fields<'_>) -> Answer<u32> {
    let code = row.text("SKU").or_else(|| row.text("ProductCode"));
    match (row.id("ProductID")?, code) {
        (Some(id), _) => {
            let at = world.product_by_id.get(&id).copied();
            at.ok_or_else(|| Refusal::bad(format!("Product with ID {id} was not found")))
        }
        (None, Some(sku)) => {
            let at = world.product_by_sku.get(&sku.to_uppercase()).copied();
            at.ok_or_else(|| Refusal::bad(format!("Product with SKU {sku} was not found")))
        }
        _ => Err(Refusal::missing("ProductID")),
    }
}

fn tax_rule(world: &World, row: Fields<'_>) -> Answer<u8> {
    let Some(name) = row.text("TaxRule") else {
        return Ok(0);
    };
    if let Some(at) = TAX_RULES
        .iter()
        .position(|(rule, _)| rule.eq_ignore_ascii_case(&name))
    {
        return Ok(at as u8);
    }
    // Rules that a client added are known, but have no rate of their own here.
    match world.books.has("ref/tax", "Name", &name) {
        true => Ok(2),
        false => Err(Refusal::unknown_name(format!(
            "Tax Rule '{name}' was not found in reference book"
        ))),
    }
}

pub(super) fn line(world: &World, row: Fields<'_>) -> Answer<Line> {
    let product = product(world, row)?;
    let quantity = row.quantity("Quantity")?;
    let price = row.required_decimal("Price")?.round_dp(4);
    let discount = row.decimal("Discount")?.unwrap_or_default().round_dp(2);
    if discount > Decimal::ONE_HUNDRED || discount < Decimal::ZERO {
        return Err(Refusal::bad("'Discount' must be between 0 and 100."));
    }
    check_total(row, line_total(quantity, price, discount))?;
    Ok(Line {
        product,
        quantity,
        price,
        discount,
        tax: tax_rule(world, row)?,
        drop_ship: row.bool("DropShip").unwrap_or(false),
        backorder: Decimal::ZERO,
        comment: row.text("Comment").map(String::into_boxed_str),
    })
}

/// The total of a line is only there to be checked.
fn check_total(row: Fields<'_>, expected: Decimal) -> Answer<()> {
    match row.decimal("Total")? {
        Some(total) if total.round_dp(2) != expected => Err(Refusal::bad(format!(
            "Value of attribute 'Total' is incorrect: expected {}, received {total}",
            expected.normalize()
        ))),
        _ => Ok(()),
    }
}

/// The lines of a bill, as `line` reads them, and its charges. One that is authorised has at least one of either.
pub(super) fn billed<L>(
    world: &World,
    body: Fields<'_>,
    status: Status,
    what: &str,
    line: impl Fn(&World, Fields<'_>) -> Answer<L>,
) -> Answer<(Vec<L>, Vec<Charge>)> {
    let lines = body.rows("Lines")?.into_iter();
    let lines = lines
        .map(|row| line(world, row))
        .collect::<Answer<Vec<_>>>()?;
    let charges = body.rows("AdditionalCharges")?.into_iter();
    let charges = charges
        .map(|row| charge(world, row))
        .collect::<Answer<Vec<_>>>()?;
    if status == Status::Authorised && lines.is_empty() && charges.is_empty() {
        return Err(Refusal::bad(format!("Should be at least one {what} line.")));
    }
    Ok((lines, charges))
}

pub(super) fn charge(world: &World, row: Fields<'_>) -> Answer<Charge> {
    let (price, quantity) = (
        row.required_decimal("Price")?.round_dp(4),
        row.quantity("Quantity")?,
    );
    let discount = row.decimal("Discount")?.unwrap_or_default();
    check_total(row, line_total(quantity, price, discount))?;
    Ok(Charge {
        description: row.required("Description")?,
        price,
        quantity,
        discount,
        tax: tax_rule(world, row)?,
        comment: row.text("Comment").map(String::into_boxed_str),
    })
}

/// How far an order is to go by itself once it is authorised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Auto {
    Nothing,
    Pick,
    Pack,
    Ship,
}

fn auto_mode(write: &Write<'_>) -> Answer<Auto> {
    match write
        .body
        .text("AutoPickPackShipMode")
        .map(|mode| mode.to_ascii_uppercase())
        .as_deref()
    {
        None | Some("NOPICK") => Ok(Auto::Nothing),
        Some("AUTOPICK") => Ok(Auto::Pick),
        Some("AUTOPICKPACK") => Ok(Auto::Pack),
        Some("AUTOPICKPACKSHIP") => Ok(Auto::Ship),
        Some(other) => Err(Refusal::bad(format!(
            "'AutoPickPackShipMode' cannot be '{other}'."
        ))),
    }
}

pub(super) fn order(world: &mut World, write: &Write<'_>) -> Written {
    let at = index(world, write.body.required_id("SaleID")?)?;
    let sale = live(world, at)?;
    if !sale.order.open() {
        return Err(Refusal::bad(format!(
            "Order cannot be changed in status {}",
            sale.order.text()
        )));
    }
    if !sale.skip_quote && sale.quote != Status::Authorised {
        return Err(Refusal::bad(
            "Order cannot be changed until the quote is authorised",
        ));
    }
    let status = status_of(write)?;
    let (lines, charges) = parts(world, write)?;
    if status == Status::Authorised && lines.is_empty() && charges.is_empty() {
        return Err(Refusal::bad("Should be at least one order line."));
    }
    let auto = auto_mode(write)?;
    let goods = lines
        .iter()
        .any(|line| !world.product(line.product).service);
    let memo = write.body.text("Memo");
    alter(world, at, |sale| {
        if !sale.skip_quote && sale.header_mut().quoted.is_none() {
            let quoted = (sale.lines.clone(), sale.charges.clone());
            sale.header_mut().quoted = Some(quoted);
        }
        (sale.lines, sale.charges, sale.order) = (Arc::new(lines), Arc::new(charges), status);
        if !goods && status == Status::Authorised {
            sale.kind = Kind::Service;
        }
        if let Some(memo) = memo {
            sale.header_mut().order_memo = memo;
        }
    })?;
    if status == Status::Authorised {
        world.hold_stock(at);
        world.announce_sale("Sale/OrderAuthorised", at, json!({}));
        let sale = live(world, at)?;
        let short = world.backordered.contains(&at);
        let simple = sale.kind == Kind::Simple;
        if short {
            world.announce_sale("Sale/Backordered", at, json!({}));
        }
        if auto > Auto::Nothing && simple && !short {
            fulfil::run(world, at, auto)?;
        }
    }
    part(world, at, "sale/order")
}
