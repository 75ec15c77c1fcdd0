//! Purchases, transfers, adjustments, stocktakes and assemblies: not in the data set, so made up by rule.

use super::Plan;
use super::shelves::WAREHOUSES;
use crate::cin7::world::assembly::{Assembly, AssemblyStatus, Disassembly, Planned, Used};
use crate::cin7::world::purchase::{Purchase, PurchaseInvoice, PurchaseLine, Receipt, Received};
use crate::cin7::world::sale::{Payment, Status};
use crate::cin7::world::stockdoc::{
    Adjustment, AdjustmentLine, CountStatus, Transfer, TransferLine, TransferStatus,
};
use crate::cin7::world::{World, id_of};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rust_decimal::Decimal;

/// One purchase for so many sales, and so on.
const SALES_PER_PURCHASE: usize = 60;
const SALES_PER_TRANSFER: usize = 120;
const SALES_PER_ASSEMBLY: usize = 80;
const SALES_PER_STOCKTAKE: usize = 2_000;

pub(super) fn write(world: &mut World, plan: &Plan<'_>) {
    let sales = plan.sales.len();
    purchases(world, plan, (sales / SALES_PER_PURCHASE).max(8));
    transfers(world, plan, (sales / SALES_PER_TRANSFER).max(6));
    adjustments(world, plan);
    stocktakes(world, plan, (sales / SALES_PER_STOCKTAKE).max(2));
    assemblies(world, plan, (sales / SALES_PER_ASSEMBLY).max(6));
    crate::cin7::world::rules::production(world, plan.ago(40, 7));
}

/// Documents are spread over the year, the last of them today or yesterday.
fn written_at(plan: &Plan<'_>, nth: usize, of: usize) -> Timestamp {
    let days = 360 * (of - 1 - nth) / of.max(1);
    plan.ago(days as i64, nth as u64)
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn later(date: Date, days: i64) -> Date {
    date.saturating_add(Span::new().days(days))
}

fn purchases(world: &mut World, plan: &Plan<'_>, count: usize) {
    let mut stock_of: Vec<Vec<u32>> = vec![vec![]; world.suppliers.len()];
    for (at, product) in world
        .products
        .iter()
        .enumerate()
        .filter(|(_, p)| p.bom.is_none())
    {
        for supplier in &product.suppliers {
            stock_of[*supplier as usize].push(at as u32);
        }
    }
    stock_of
        .iter_mut()
        .for_each(|products| products.sort_unstable());
    for nth in 0..count {
        let n = nth as u64;
        let supplier = plan.roll("po supplier", n, world.suppliers.len() as u64) as u16;
        let offered = &stock_of[supplier as usize];
        if offered.is_empty() {
            continue;
        }
        let created = written_at(plan, nth, count);
        let date = day(created);
        let start = plan.roll("po lines", n, offered.len() as u64) as usize;
        let wanted = (3 + plan.roll("po length", n, 10) as usize).min(offered.len());
        let lines: Vec<PurchaseLine> = (0..wanted)
            .map(|step| {
                let product = offered[(start + step) % offered.len()];
                PurchaseLine {
                    product,
                    quantity: Decimal::from(
                        12 * (1 + plan.roll("po units", n * 31 + step as u64, 20)),
                    ),
                    price: world.product(product).cost.max(Decimal::new(1, 2)),
                    discount: Decimal::ZERO,
                    tax: 1,
                    comment: String::new(),
                }
            })
            .collect();
        // The last tenth is still on its way; one of those in three has come in part.
        let open = nth * 10 >= count * 9 || nth + 2 >= count;
        let part = open && nth % 3 == 0;
        let advanced = nth % 2 == 0;
        let location = if plan.roll("po location", n, 5) == 0 {
            WAREHOUSES[1]
        } else {
            WAREHOUSES[0]
        };
        let number = format!("PO-{:05}", nth + 1);
        let id = id_of(&format!("purchase/{number}"));
        let mut receipts = vec![];
        if !open || part {
            let take = if part { lines.len() / 2 } else { lines.len() };
            let received = |(at, line): (usize, &PurchaseLine)| Received {
                product: line.product,
                place: location,
                batch: 0,
                quantity: line.quantity,
                date: later(date, 7).min(day(plan.now)),
                card: id_of(&format!("card/{number}/{at}")),
            };
            receipts.push(Receipt {
                task: if advanced {
                    id_of(&format!("receipt/{number}"))
                } else {
                    id
                },
                status: Status::Authorised,
                lines: lines.iter().take(take).enumerate().map(received).collect(),
            });
        }
        let mut invoices = vec![];
        if !open {
            let mut invoice = PurchaseInvoice {
                task: if advanced {
                    id_of(&format!("bill/{number}"))
                } else {
                    id
                },
                number: format!("BILL-{:05}", nth + 1),
                status: Status::Paid,
                date: later(date, 7),
                due: later(date, 37),
                lines: lines.clone(),
                charges: vec![],
                payments: vec![],
            };
            invoice.payments.push(Payment {
                id: id_of(&format!("bill payment/{number}")),
                reference: String::new(),
                amount: invoice.totals().2,
                date: later(date, 30),
                account: "090".into(),
                rate: Decimal::ONE,
                created,
            });
            invoices.push(invoice);
        }
        let purchase = Purchase {
            id,
            number,
            advanced,
            supplier,
            location,
            date,
            required: Some(later(date, 14)),
            modified: created,
            order: Status::Authorised,
            invoice_first: false,
            voided: !open && nth % 25 == 24,
            lines,
            charges: vec![],
            memo: String::new(),
            receipts: if !open && nth % 25 == 24 {
                vec![]
            } else {
                receipts
            },
            invoices: if !open && nth % 25 == 24 {
                vec![]
            } else {
                invoices
            },
            written: Default::default(),
        };
        world.expect_purchase(&purchase, Decimal::ONE);
        world.numbers.purchase = nth as u32 + 1;
        world.purchases.push(purchase);
    }
}

/// Plain stock products that have stock in the main warehouse.
fn stocked(world: &World) -> Vec<u32> {
    let plain = |at: &u32| {
        let product = world.product(*at);
        !product.service && !product.needs_batch() && product.bom.is_none()
    };
    let has = |at: &u32| {
        world
            .stock
            .cards_at(*at, 0)
            .any(|(_, card)| card.on_hand > Decimal::TEN)
    };
    (0..world.products.len() as u32)
        .filter(plain)
        .filter(has)
        .collect()
}

fn transfers(world: &mut World, plan: &Plan<'_>, count: usize) {
    let products = stocked(world);
    if products.is_empty() {
        return;
    }
    for nth in 0..count {
        let n = nth as u64;
        let created = written_at(plan, nth, count);
        let date = day(created);
        let status = match count - 1 - nth {
            0 | 3 => TransferStatus::InTransit,
            1 => TransferStatus::Draft,
            2 => TransferStatus::Ordered,
            _ if nth % 15 == 14 => TransferStatus::Voided,
            _ => TransferStatus::Completed,
        };
        let to = WAREHOUSES[1 + nth % 2];
        let first = plan.roll("transfer", n, products.len() as u64) as usize;
        let lines: Vec<TransferLine> = (0..(1 + plan.roll("transfer lines", n, 5) as usize)
            .min(products.len()))
            .map(|step| TransferLine {
                product: products[(first + step) % products.len()],
                quantity: Decimal::from(1 + plan.roll("transfer units", n * 7 + step as u64, 6)),
                batch: 0,
                on_hand: Decimal::from(40 + 3 * step as i64),
                available: Decimal::from(30 + 3 * step as i64),
                comments: String::new(),
            })
            .collect();
        let mut left = vec![];
        if status == TransferStatus::InTransit {
            for line in &lines {
                world
                    .stock
                    .expect(line.product, to, Decimal::ZERO, line.quantity);
                left.push((world.card_key(line.product, 0, 0), line.quantity));
            }
        }
        let ordered = status == TransferStatus::Ordered;
        world.transfers.push(Transfer {
            id: id_of(&format!("transfer/{nth}")),
            number: format!("TR-{:05}", nth + 1),
            status,
            from: WAREHOUSES[0],
            to,
            departed: matches!(
                status,
                TransferStatus::InTransit | TransferStatus::Completed
            )
            .then_some(date),
            completed: (status == TransferStatus::Completed).then(|| later(date, 2)),
            required: Some(later(date, 4)),
            in_transit_account: "631".into(),
            cost_distribution: "Cost".into(),
            reference: format!("Replenish {}", world.place_name(to)),
            skip_order: !ordered,
            order: ordered.then_some("AUTHORISED"),
            order_lines: if ordered { lines.clone() } else { vec![] },
            lines: if ordered || status == TransferStatus::Voided {
                vec![]
            } else {
                lines
            },
            left,
            modified: created,
        });
    }
    world.numbers.transfer = count as u32;
}

/// The data set's own stock corrections.
fn adjustments(world: &mut World, plan: &Plan<'_>) {
    for correction in &plan.corrections {
        let at = plan.at(correction);
        world.numbers.stocktake += 1;
        let lines = plan.data.lines_of(correction).iter().filter_map(|line| {
            let product = *plan.product_of.get(&line.goods)?;
            let lost = Decimal::from(line.quantity.unsigned_abs());
            let kept = Decimal::from(plan.roll("kept", u64::from(correction.number), 50));
            let p = world.product(product);
            (!p.service).then(|| AdjustmentLine {
                product,
                place: 0,
                batch: 0,
                target: kept,
                on_hand: kept + lost,
                available: kept + lost,
                cost: p.cost,
                new: false,
                received: None,
                comments: String::new(),
                applied: -lost,
            })
        });
        let lines: Vec<_> = lines.collect();
        world.adjustments.push(Adjustment {
            id: id_of(&format!("adjustment/{}", correction.number)),
            number: format!("ST-{:05}", world.numbers.stocktake),
            stocktake: false,
            status: CountStatus::Completed,
            date: day(at),
            account: "429".into(),
            reference: format!("Correction {}", correction.number),
            comment: String::new(),
            location: 0,
            on_hand_target: true,
            lines,
            transactions: vec![],
            created: at,
            modified: at,
        });
    }
}

fn stocktakes(world: &mut World, plan: &Plan<'_>, count: usize) {
    let products = stocked(world);
    for nth in 0..count {
        let at = written_at(plan, nth, count);
        world.numbers.stocktake += 1;
        let counted = |product: u32| {
            let found = world.stock.cards_at(product, 0).next();
            found.map(|(key, card)| AdjustmentLine {
                product,
                place: key.place,
                batch: key.batch,
                target: card.on_hand,
                on_hand: card.on_hand,
                available: card.on_hand,
                cost: card.cost,
                new: false,
                received: None,
                comments: String::new(),
                applied: Decimal::ZERO,
            })
        };
        let lines: Vec<_> = products
            .iter()
            .skip(nth * 20)
            .take(20)
            .filter_map(|p| counted(*p))
            .collect();
        world.adjustments.push(Adjustment {
            id: id_of(&format!("stocktake/{nth}")),
            number: format!("ST-{:05}", world.numbers.stocktake),
            stocktake: true,
            status: if nth + 1 == count {
                CountStatus::InProgress
            } else {
                CountStatus::Completed
            },
            date: day(at),
            account: "429".into(),
            reference: "Cycle count".into(),
            comment: String::new(),
            location: 0,
            on_hand_target: true,
            lines,
            transactions: vec![],
            created: at,
            modified: at,
        });
    }
}

fn assemblies(world: &mut World, plan: &Plan<'_>, count: usize) {
    let kits: Vec<u32> = (0..world.products.len() as u32)
        .filter(|at| world.product(*at).bom.is_some())
        .collect();
    if kits.is_empty() {
        return;
    }
    for nth in 0..count {
        let product = kits[plan.roll("assembled", nth as u64, kits.len() as u64) as usize];
        let created = written_at(plan, nth, count);
        let quantity = Decimal::from(1 + plan.roll("kits made", nth as u64, 9));
        let status = match count - 1 - nth {
            0 => AssemblyStatus::Draft,
            1 => AssemblyStatus::Authorised,
            _ if nth % 12 == 11 => AssemblyStatus::Voided,
            _ => AssemblyStatus::Completed,
        };
        let planned = if matches!(status, AssemblyStatus::Draft | AssemblyStatus::Voided) {
            vec![]
        } else {
            world.planned_for(product, quantity)
        };
        let used = |line: &Planned| Used {
            product: line.product,
            place: 0,
            batch: 0,
            quantity: line.total,
            cost: (world.product(line.product).cost * line.total).round_dp(4),
        };
        let done = status == AssemblyStatus::Completed;
        let goods = planned
            .iter()
            .filter(|line| !world.product(line.product).service);
        let used = if done {
            goods.map(used).collect()
        } else {
            vec![]
        };
        world.assemblies.push(Assembly {
            id: id_of(&format!("assembly/{nth}")),
            number: format!("FG-{:05}", nth + 1),
            status,
            product,
            place: 0,
            quantity,
            wip_account: "721".into(),
            account: "720".into(),
            wip_date: Some(day(created)),
            date: day(created),
            completed: done.then(|| day(created)),
            batch: 0,
            notes: String::new(),
            sale: None,
            planned,
            used,
            written: Default::default(),
        });
    }
    let used = |product: u32, quantity: Decimal, cost: Decimal| Used {
        product,
        place: 0,
        batch: 0,
        quantity,
        cost,
    };
    for nth in 0..(count / 8).max(2) {
        let product = kits[plan.roll("taken apart", nth as u64, kits.len() as u64) as usize];
        let kit = world.product(product);
        let Some(bom) = &kit.bom else { continue };
        let made = bom.parts.iter().map(|part| {
            used(
                part.product,
                part.quantity / bom.makes,
                world.product(part.product).cost * part.quantity / bom.makes,
            )
        });
        let disassembly = Disassembly {
            id: id_of(&format!("disassembly/{nth}")),
            number: format!("FG-{:05}", count + nth + 1),
            draft: false,
            completed: true,
            voided: false,
            product,
            place: 0,
            quantity: Decimal::ONE,
            date: day(written_at(plan, nth, count)),
            wip_account: "721".into(),
            notes: String::new(),
            taken: vec![used(product, Decimal::ONE, kit.cost)],
            made: made.collect(),
        };
        world.disassemblies.push(disassembly);
        world.numbers.assembly = (count + nth + 1) as u32;
    }
}
