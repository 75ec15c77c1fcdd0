//! Products out of stock codes, customers out of customer numbers, and the suppliers.

use super::Plan;
use crate::cin7::world::books::{BRANDS, CATEGORIES};
use crate::cin7::world::customer::{Customer, SUPPLIERS, Supplier, name_of};
use crate::cin7::world::product::{Bom, BomPart, BomService, Product};
use crate::cin7::world::{World, id_of};
use rust_decimal::Decimal;

/// One in this many goods is a kit.
const KIT_EVERY: u64 = 24;
/// One in this many kits contains another kit.
const NESTED_EVERY: usize = 8;
/// One in this many kits is assembled by hand.
const MANUAL_EVERY: usize = 4;

/// Stock codes that are no goods: postage, fees, discounts, manual entries, vouchers.
fn is_service(sku: &str) -> bool {
    let goods = sku.as_bytes().first().is_some_and(u8::is_ascii_digit)
        || sku.starts_with("DCGS")
        || sku == "PADS";
    !goods
}

pub(super) fn products(world: &mut World, plan: &mut Plan<'_>) {
    for (at, (name, country)) in SUPPLIERS.iter().enumerate() {
        world.suppliers.push(Supplier {
            id: id_of(&format!("supplier/{name}")),
            name: (*name).into(),
            country,
            deprecated: false,
            modified: plan.ago(200 + at as i64, at as u64),
            written: None,
        });
    }
    for goods in plan.goods() {
        let source = &plan.data.goods[goods as usize];
        let n = u64::from(goods);
        let service = is_service(&source.sku);
        let price = world.money(source.price_milli);
        let cost = (price * Decimal::new(40 + plan.roll("margin", n, 25) as i64, 2)).round_dp(4);
        let costing = match plan.roll("costing", n, 40) {
            0 if !service => "FIFO - Batch",
            1 if !service => "FEFO - Batch",
            _ => "FIFO",
        };
        let mut suppliers = vec![];
        if !service {
            let first = plan.roll("supplier", n, SUPPLIERS.len() as u64) as u16;
            suppliers.push(first);
            if plan.roll("second supplier", n, 6) == 0 {
                suppliers.push((first + 5) % SUPPLIERS.len() as u16);
            }
        }
        let at = world.products.len() as u32;
        let id = id_of(&format!("product/{}", source.sku));
        world.products.push(Product {
            id,
            sku: source.sku.clone(),
            name: source.name.clone(),
            category: category_of(&source.name, service).into(),
            service,
            costing,
            price,
            cost: if service { Decimal::ZERO } else { cost },
            uom: if plan.roll("unit", n, 12) == 0 {
                "Pack"
            } else {
                "Item"
            },
            brand: (!service && plan.roll("brand", n, 2) == 0)
                .then(|| BRANDS[plan.roll("which brand", n, BRANDS.len() as u64) as usize]),
            // Goods that sold long ago and lie nowhere are hidden; see `shelves`.
            deprecated: plan.roll("deprecated", n, 60) == 0,
            modified: plan.ago(3 + plan.roll("modified", n, 360) as i64, n),
            suppliers,
            bom: None,
            family: plan.roll("family", n, 30) == 0,
            written: None,
        });
        plan.product_of.insert(goods, at);
        world.product_by_id.insert(id, at);
        world.product_by_sku.insert(source.sku.to_uppercase(), at);
    }
    kits(world, plan);
}

fn category_of(name: &str, service: bool) -> &'static str {
    if service {
        return "Services";
    }
    let hit = |words: &[&str]| name.split_whitespace().any(|word| words.contains(&word));
    CATEGORIES
        .iter()
        .find(|(_, words)| hit(words))
        .map_or("Home", |(name, _)| name)
}

fn kits(world: &mut World, plan: &Plan<'_>) {
    let fit = |p: &Product| !p.service && p.costing == "FIFO" && !p.deprecated;
    let sku_number = |p: &Product| p.sku.bytes().fold(0_u64, |n, b| n * 131 + u64::from(b));
    let (mut kits, mut plain) = (vec![], vec![]);
    for (at, product) in world.products.iter().enumerate().filter(|(_, p)| fit(p)) {
        let kit = plan.roll("kit", sku_number(product), KIT_EVERY) == 0;
        if kit {
            kits.push(at as u32)
        } else {
            plain.push(at as u32)
        }
    }
    if plain.len() < 3 {
        return;
    }
    let wrapping = world
        .products
        .iter()
        .position(|p| p.service)
        .map(|at| at as u32);
    for (nth, at) in kits.iter().copied().enumerate() {
        let n = sku_number(world.product(at));
        let part = |product, quantity: u64, waste: i64| BomPart {
            product,
            quantity: Decimal::from(quantity),
            wastage_percent: Decimal::from(waste),
            wastage_quantity: Decimal::ZERO,
            cost_percent: Decimal::ZERO,
        };
        let makes = if plan.roll("makes", n, 6) == 0 { 10 } else { 1 };
        let nested = nth % NESTED_EVERY == 0 && nth + 1 < kits.len();
        let mut parts = vec![];
        if nested {
            // The inner kit has plain parts only: it is never itself the first of eight.
            parts.push(part(kits[nth + 1], makes, 0));
        }
        let first = plan.roll("parts", n, plain.len() as u64) as usize;
        for step in 0..2 + plan.roll("part count", n, 2) as usize {
            let waste = if plan.roll("waste", n + step as u64, 9) == 0 && makes > 1 {
                10
            } else {
                0
            };
            let quantity = makes * (1 + plan.roll("part quantity", n + step as u64, 3));
            parts.push(part(
                plain[(first + step * 7) % plain.len()],
                quantity,
                waste,
            ));
        }
        parts.dedup_by_key(|part| part.product);
        let share = (Decimal::ONE_HUNDRED / Decimal::from(parts.len())).round_dp(2);
        parts.iter_mut().for_each(|part| part.cost_percent = share);
        let services = match wrapping {
            Some(product) if plan.roll("wrapping", n, 5) == 0 => {
                vec![BomService {
                    product,
                    quantity: Decimal::ONE,
                }]
            }
            _ => vec![],
        };
        let kit = &mut world.products[at as usize];
        kit.bom = Some(Box::new(Bom {
            auto: nth % MANUAL_EVERY != MANUAL_EVERY - 1,
            auto_disassembly: false,
            makes: Decimal::from(makes),
            parts,
            services,
        }));
    }
}

pub(super) fn customers(world: &mut World, plan: &mut Plan<'_>) {
    let walk_in = plan
        .data
        .buyers
        .iter()
        .position(|b| b.number == 0)
        .map(|at| at as u32);
    let mut buyers: Vec<u32> = plan.sales.iter().map(|i| i.buyer).chain(walk_in).collect();
    buyers.sort_by_key(|at| plan.data.buyers[*at as usize].number);
    buyers.dedup();
    for buyer in buyers {
        let source = &plan.data.buyers[buyer as usize];
        let n = u64::from(source.number);
        let at = world.customers.len() as u32;
        let id = id_of(&format!("customer/{}", source.number));
        let country = &plan.data.countries[source.country as usize];
        world.customers.push(Customer {
            id,
            number: source.number,
            name: name_of(source.number),
            country: if country == "EIRE" {
                "Ireland".into()
            } else {
                country.clone()
            },
            tier: 1 + plan.roll("tier", n, 3) as u8,
            deprecated: source.number != 0 && plan.roll("left", n, 80) == 0,
            modified: plan.ago(2 + plan.roll("met", n, 370) as i64, n),
            written: None,
        });
        plan.customer_of.insert(buyer, at);
        world.customer_by_id.insert(id, at);
    }
}
