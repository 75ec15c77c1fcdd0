//! Invoices become sales. How far each has come depends on its age and its number alone.

mod aftermath;
mod stages;

use super::Plan;
use crate::cin7::data::{SourceInvoice, SourceLine};
use crate::cin7::world::sale::{
    Charge, CreditNote, Fulfilment, Invoice, Kind, Line, Payment, Picked, Sale, Shipment, Status,
    totals,
};
use crate::cin7::world::stock::CardKey;
use crate::cin7::world::{World, books, id_of};
use aftermath::{attach_credit, bulk_touch};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rust_decimal::Decimal;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// How far a sale has come when the account opens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Estimating,
    Estimated,
    Ordering,
    Ordered,
    Picking,
    Picked,
    Packed,
    /// One of two fulfilments is out, the other is being picked.
    HalfShipped,
    Shipped,
    Invoiced,
    Completed,
    Voided,
}

/// Most sales that one old bulk touch has stamped alike.
const BULK_TOUCHED_MAX: usize = 238;
/// Lines per parcel.
const PARCEL_LINES: usize = 20;
/// Stock codes that become additional charges instead of lines.
const CHARGES: [&str; 3] = ["POST", "DOT", "C2"];

pub(super) fn enter(world: &mut World, plan: &Plan<'_>) {
    let mut latest_of: HashMap<u32, Vec<u32>> = HashMap::new();
    let parcels: Vec<Arc<str>> = (1..=60).map(|n| Arc::from(format!("Box {n}"))).collect();
    let carriers: Vec<Arc<str>> = books::CARRIERS.iter().map(|c| Arc::from(*c)).collect();
    for invoice in &plan.sales {
        let (lines, charges) = split_lines(world, plan, plan.data.lines_of(invoice), invoice);
        let loads = Loads::default();
        for copy in 0..world.account.scale.max(1) {
            let draft = Draft {
                loads: &loads,
                invoice,
                copy,
                parcels: &parcels,
                carriers: &carriers,
            };
            let sale = draft.sale(world, plan, &lines, &charges);
            let at = world.sales.len() as u32;
            world.sale_by_id.insert(sale.id, at);
            for task in tasks_of(&sale) {
                world.sale_of_task.insert(task, at);
            }
            if sale.lines.iter().any(|line| line.backorder > Decimal::ZERO) {
                world.backordered.insert(at);
            }
            if copy == 0 && !sale.invoices.is_empty() && !sale.voided {
                latest_of.entry(invoice.buyer).or_default().push(at);
            }
            world.sales.push(Some(sale));
        }
        world.numbers.sale = world.numbers.sale.max(invoice.number);
    }
    for credit in &plan.credits {
        let candidates = latest_of.get(&credit.buyer).map_or(&[][..], Vec::as_slice);
        attach_credit(world, plan, credit, candidates);
    }
    bulk_touch(world, plan);
}

/// Every id below a sale that is not the sale's own.
pub(crate) fn tasks_of(sale: &Sale) -> Vec<uuid::Uuid> {
    let fulfilments = sale.fulfilments.iter().map(|f| f.task);
    let invoices = sale
        .invoices
        .iter()
        .flat_map(|i| std::iter::once(i.task).chain(i.payments.iter().map(|p| p.id)));
    let credits = sale.credit_notes.iter().map(|c| c.task);
    fulfilments
        .chain(invoices)
        .chain(credits)
        .filter(|task| *task != sale.id)
        .collect()
}

type Parts = (Arc<Vec<Line>>, Arc<Vec<Charge>>);

fn split_lines(
    world: &World,
    plan: &Plan<'_>,
    source: &[SourceLine],
    invoice: &SourceInvoice,
) -> Parts {
    let (mut lines, mut charges) = (vec![], vec![]);
    let tax = if plan.data.countries[invoice.country as usize] == "United Kingdom" {
        0
    } else {
        1
    };
    for line in source {
        let Some(product) = plan.product_of.get(&line.goods).copied() else {
            continue;
        };
        let quantity = Decimal::from(line.quantity.unsigned_abs());
        let price = world.money(line.price_milli.into());
        if CHARGES.contains(&world.product(product).sku.as_str()) {
            let description = world.product(product).name.clone();
            charges.push(Charge {
                description,
                price,
                quantity,
                discount: Decimal::ZERO,
                tax,
                comment: None,
            });
        } else {
            lines.push(Line {
                product,
                quantity,
                price,
                discount: Decimal::ZERO,
                tax,
                drop_ship: false,
                backorder: Decimal::ZERO,
                comment: None,
            });
        }
    }
    (Arc::new(lines), Arc::new(charges))
}

/// Loads of an invoice by warehouse, in one or in two fulfilments.
type Loads = RefCell<HashMap<(u16, bool), Vec<Arc<Vec<Picked>>>>>;

struct Draft<'a> {
    loads: &'a Loads,
    invoice: &'a SourceInvoice,
    copy: usize,
    parcels: &'a [Arc<str>],
    carriers: &'a [Arc<str>],
}

impl Draft<'_> {
    fn name(&self) -> String {
        match self.copy {
            0 => self.invoice.number.to_string(),
            copy => format!("{}-{copy}", self.invoice.number),
        }
    }

    /// A number that differs between copies too.
    fn n(&self) -> u64 {
        u64::from(self.invoice.number) + 1_000_000 * self.copy as u64
    }

    fn stage(&self, plan: &Plan<'_>) -> Stage {
        use Stage::*;
        let steps: &[(u64, Stage)] = match plan.age_days(self.invoice) {
            0..=2 => &[
                (30, Estimating),
                (60, Estimated),
                (110, Ordering),
                (520, Ordered),
                (580, Picking),
                (660, Picked),
                (730, Packed),
                (800, HalfShipped),
                (880, Shipped),
                (980, Invoiced),
                (1000, Completed),
            ],
            3..=14 => &[
                (10, Voided),
                (15, Estimated),
                (60, Ordered),
                (120, HalfShipped),
                (180, Shipped),
                (320, Invoiced),
                (1000, Completed),
            ],
            _ => &[
                (8, Voided),
                (10, Estimating),
                (12, Ordered),
                (30, Invoiced),
                (1000, Completed),
            ],
        };
        let at = plan.roll("stage", self.n(), 1000);
        steps
            .iter()
            .find(|(below, _)| at < *below)
            .map_or(Completed, |(_, stage)| *stage)
    }

    fn sale(
        &self,
        world: &mut World,
        plan: &Plan<'_>,
        lines: &Arc<Vec<Line>>,
        charges: &Arc<Vec<Charge>>,
    ) -> Sale {
        let (name, n) = (self.name(), self.n());
        let id = id_of(&format!("sale/{name}"));
        let goods = lines.iter().any(|l| !world.product(l.product).service);
        let mut stage = self.stage(plan);
        let kind = match () {
            _ if !goods => Kind::Service,
            _ if stage == Stage::HalfShipped || plan.roll("advanced", n, 5) == 0 => Kind::Advanced,
            _ => Kind::Simple,
        };
        if kind == Kind::Service && (Stage::Picking..=Stage::Shipped).contains(&stage) {
            stage = Stage::Ordered;
        }
        let created = plan.at(self.invoice);
        let order_date = created.to_zoned(TimeZone::UTC).date();
        let location = match plan.roll("location", n, 20) {
            0 => 2,
            1..=3 => 1,
            _ => 0,
        };
        let skip_quote = stage > Stage::Estimated && plan.roll("quote", n, 3) > 0;
        let mut sale = Sale {
            id,
            number: format!("SO-{name}"),
            kind,
            customer: plan.customer_of[&self.invoice.buyer],
            location,
            created,
            updated: updated(plan, created, stage, n),
            order_date,
            ship_by: (plan.roll("ship by", n, 2) == 0)
                .then(|| order_date.saturating_add(Span::new().days(3))),
            skip_quote,
            quote: match stage {
                _ if skip_quote => Status::NotAvailable,
                Stage::Estimating => Status::Draft,
                Stage::Voided => Status::Voided,
                _ => Status::Authorised,
            },
            order: match stage {
                Stage::Estimating | Stage::Estimated => Status::NotAvailable,
                Stage::Ordering => Status::Draft,
                Stage::Voided => Status::Voided,
                _ => Status::Authorised,
            },
            voided: stage == Stage::Voided,
            currency_rate: Decimal::ONE,
            lines: lines.clone(),
            charges: charges.clone(),
            fulfilments: vec![],
            invoices: vec![],
            credit_notes: vec![],
            prepayments: vec![],
            header: None,
        };
        if stage >= Stage::Picking && stage != Stage::Voided && goods {
            self.fulfil(world, plan, &mut sale, stage);
        }
        if matches!(stage, Stage::Invoiced | Stage::Completed) {
            self.bill(plan, &mut sale, stage);
        }
        if (Stage::Ordered..=Stage::HalfShipped).contains(&stage) {
            allocate(world, &mut sale);
        }
        sale
    }
}

fn today(plan: &Plan<'_>) -> Date {
    plan.now.to_zoned(TimeZone::UTC).date()
}

/// Where a product usually lies in a warehouse.
fn usual_spot(world: &World, product: u32, warehouse: u16) -> CardKey {
    let none = CardKey {
        product,
        at: warehouse,
        place: warehouse,
        batch: 0,
    };
    world
        .stock
        .cards_at(product, warehouse)
        .next()
        .map_or(none, |(key, _)| *key)
}

/// Holds stock for an order that is not shipped; what is missing becomes a backorder.
fn allocate(world: &mut World, sale: &mut Sale) {
    let mut picked = world.goods_gone(sale);
    let mut short = vec![];
    for (at, line) in sale.lines.iter().enumerate() {
        if world.product(line.product).service {
            continue;
        }
        // Units of an earlier fulfilment have left; only the rest is held.
        let gone = picked.entry(line.product).or_default();
        let done = line.quantity.min(*gone);
        *gone -= done;
        let wanted = line.quantity - done;
        let got = world.stock.allocate(line.product, sale.location, wanted);
        if got < wanted {
            short.push((at, wanted - got));
        }
    }
    if !short.is_empty() {
        let lines = Arc::make_mut(&mut sale.lines);
        for (at, backorder) in short {
            lines[at].backorder = backorder;
        }
    }
}

/// The last change of a sale: the later it got, the more days after the order; never in the future.
fn updated(plan: &Plan<'_>, created: Timestamp, stage: Stage, n: u64) -> Timestamp {
    let days = match stage {
        Stage::Completed => 1 + plan.roll("settled", n, 28),
        Stage::Voided | Stage::Invoiced => 1 + plan.roll("settled", n, 5),
        _ => 0,
    };
    let ms = days * 86_400_000 + plan.roll("updated", n, 36_000_000);
    let at = created
        .saturating_add(SignedDuration::from_millis(ms as i64))
        .unwrap_or(created);
    let latest = plan.now.saturating_sub(SignedDuration::from_millis(
        60_000 + plan.roll("recent", n, 7_200_000) as i64,
    ));
    at.min(latest.unwrap_or(plan.now))
}
