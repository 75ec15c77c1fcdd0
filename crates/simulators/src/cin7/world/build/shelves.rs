//! Three warehouses, the bins of the first, and what lies where.

use super::Plan;
use crate::cin7::world::stock::{Card, CardKey, Place};
use crate::cin7::world::{World, id_of};
use jiff::Span;
use rust_decimal::Decimal;

/// Positions of the three warehouses in [`World::places`].
pub(super) const WAREHOUSES: [u16; 3] = [0, 1, 2];
const NAMES: [&str; 3] = ["Main Warehouse", "Leeds", "Glasgow"];
const FIRST_BIN: u16 = 3;
const BINS: u16 = 12;
/// So many days of average sales lie in the main warehouse.
const COVER_DAYS: u64 = 12;

pub(super) fn places() -> Vec<Place> {
    let place = |name: String, parent: Option<u16>, id: &str| Place {
        id: id_of(id),
        name,
        parent,
        deprecated: false,
        default: parent.is_none() && id.ends_with(NAMES[0]),
        address: None,
        gone: false,
    };
    let mut places: Vec<_> = NAMES
        .iter()
        .map(|name| place((*name).into(), None, &format!("location/{name}")))
        .collect();
    for bin in 0..BINS {
        let name = format!("{}-{:02}", char::from(b'A' + (bin / 4) as u8), bin % 4 + 1);
        let id = format!("bin/{name}");
        places.push(place(name, Some(0), &id));
    }
    places
}

/// Puts stock on the shelves: about [`COVER_DAYS`] of demand in the main warehouse, less elsewhere, now and then none.
pub(super) fn fill(world: &mut World, plan: &Plan<'_>) {
    let demand = demand(world, plan);
    for at in 0..world.products.len() as u32 {
        let product = world.product(at);
        if product.service || (product.deprecated && at % 2 == 0) {
            continue;
        }
        let n = u64::from(at);
        let (kit, cost, batched, expires) = (
            product.bom.is_some(),
            product.cost,
            product.needs_batch(),
            product.needs_expiry(),
        );
        let sku = product.sku.clone();
        for (which, warehouse) in WAREHOUSES.into_iter().enumerate() {
            let share = [100, 40, 20][which];
            let stocked = [97, 60, 35][which];
            if plan.roll("stocked", n * 3 + which as u64, 100) >= stocked {
                continue;
            }
            let mut units = match plan.roll("level", n * 3 + which as u64, 19) {
                0 => 0,
                _ if kit => plan.roll("kits", n, 4),
                _ => {
                    (demand[at as usize] * COVER_DAYS * share) / 100
                        + plan.roll("extra", n + which as u64, 24)
                }
            };
            let mut spots = vec![];
            if which == 0 && plan.roll("binned", n, 10) > 0 {
                let bin = |salt| FIRST_BIN + plan.roll(salt, n, u64::from(BINS)) as u16;
                spots.push(bin("bin"));
                if plan.roll("two bins", n, 3) == 0 && bin("other bin") != spots[0] {
                    spots.push(bin("other bin"));
                }
            } else {
                spots.push(warehouse);
            }
            let lots = if batched { 2 } else { 1 };
            let cards = (spots.len() * lots) as u64;
            for (nth, spot) in spots.iter().enumerate() {
                for lot in 0..lots {
                    let left = cards - (nth * lots + lot) as u64;
                    let here = units / left;
                    units -= here;
                    let batch = if batched {
                        let expiry = expires.then(|| {
                            let today = plan.now.to_zoned(jiff::tz::TimeZone::UTC).date();
                            let days = 30 + 90 * lot as i64 + plan.roll("expiry", n, 60) as i64;
                            today.saturating_add(Span::new().days(days))
                        });
                        world.stock.batch(&format!("B{sku}-{}", lot + 1), expiry)
                    } else {
                        0
                    };
                    let key = CardKey {
                        product: at,
                        at: warehouse,
                        place: *spot,
                        batch,
                    };
                    let card = Card {
                        on_hand: Decimal::from(here),
                        allocated: Decimal::ZERO,
                        cost,
                    };
                    world.stock.cards.insert(key, card);
                }
            }
        }
    }
}

/// Units sold per day, rounded up, by product.
fn demand(world: &World, plan: &Plan<'_>) -> Vec<u64> {
    let mut units = vec![0_u64; world.products.len()];
    for line in plan.sales.iter().flat_map(|i| plan.data.lines_of(i)) {
        units[plan.product_of[&line.goods] as usize] +=
            u64::from(line.quantity.unsigned_abs().min(2_000));
    }
    let days = plan
        .sales
        .first()
        .map_or(1, |first| plan.age_days(first).max(1)) as u64;
    units.iter().map(|units| units.div_ceil(days)).collect()
}
