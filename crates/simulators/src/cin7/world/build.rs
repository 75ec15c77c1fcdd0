//! Builds an account from the real orders. The rules are described in `docs/simulators.md`.

mod master;
mod paperwork;
mod sales;
mod shelves;

use super::{Numbers, World, books, roll, stock::Stock};
use crate::cin7::data::{DataSet, SourceInvoice, SourceKind};
use crate::cin7::options::{Account, EUR_PER_GBP, Options};
use crate::cin7::webhook::Hooks;
use crate::clock::Clock;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rust_decimal::Decimal;
use std::collections::{BTreeSet, HashMap};

/// What every step of building may look at.
struct Plan<'a> {
    data: &'a DataSet,
    /// The invoices that become sales, oldest first.
    sales: Vec<&'a SourceInvoice>,
    corrections: Vec<&'a SourceInvoice>,
    credits: Vec<&'a SourceInvoice>,
    seed: u64,
    now: Timestamp,
    shift_days: i64,
    newest: Date,
    product_of: HashMap<u16, u32>,
    customer_of: HashMap<u32, u32>,
}

/// Fewest corrections that an account has, whatever its size.
const CORRECTIONS_MIN: usize = 12;

impl World {
    /// The account as it is when the simulator starts.
    pub(crate) fn build(
        options: &Options,
        account: &Account,
        clock: &Clock,
        data: &DataSet,
    ) -> World {
        let mut plan = Plan::new(options, account, clock, data);
        let rate = if account.currency.eq_ignore_ascii_case("EUR") {
            EUR_PER_GBP
        } else {
            Decimal::ONE
        };
        let mut world = World {
            options: options.clone(),
            account: account.clone(),
            rate,
            clock: clock.clone(),
            products: vec![],
            product_by_id: HashMap::new(),
            product_by_sku: HashMap::new(),
            customers: vec![],
            customer_by_id: HashMap::new(),
            suppliers: vec![],
            places: shelves::places(),
            books: books::opening(&account.currency),
            stock: Stock::new(),
            sales: vec![],
            sale_by_id: HashMap::new(),
            sale_of_task: HashMap::new(),
            backordered: BTreeSet::new(),
            purchases: vec![],
            transfers: vec![],
            adjustments: vec![],
            assemblies: vec![],
            disassemblies: vec![],
            papers: HashMap::new(),
            hooks: Hooks::default(),
            numbers: Numbers::default(),
            created: 0,
            ticks: 0,
        };
        master::products(&mut world, &mut plan);
        master::customers(&mut world, &mut plan);
        shelves::fill(&mut world, &plan);
        paperwork::write(&mut world, &plan);
        sales::enter(&mut world, &plan);
        // What was moved while building is how the account begins, not something that happened in it.
        world.stock.movements.clear();
        world.stock.opening.clear();
        world.stock.touched.clear();
        world.created = 0;
        world
    }
}

impl<'a> Plan<'a> {
    fn new(options: &Options, account: &Account, clock: &Clock, data: &'a DataSet) -> Plan<'a> {
        let of = |kind| data.invoices.iter().filter(move |i| i.kind == kind);
        let newest_of = |kind, count: usize| {
            let mut all: Vec<_> = of(kind).collect();
            all.split_off(all.len().saturating_sub(count))
        };
        let sales = newest_of(SourceKind::Sale, account.sales_max);
        let first = sales.first().map(|i| i.at);
        let corrections = newest_of(
            SourceKind::Correction,
            (sales.len() / 16).max(CORRECTIONS_MIN),
        );
        let credits = of(SourceKind::Credit)
            .filter(|i| first.is_some_and(|first| i.at > first))
            .collect();
        let newest = of(SourceKind::Sale)
            .map(|i| i.at.date())
            .max()
            .unwrap_or(Date::constant(2011, 12, 9));
        let yesterday = clock.today().saturating_sub(Span::new().days(1));
        let shift_days = yesterday
            .since(newest)
            .map_or(0, |span| i64::from(span.get_days()));
        Plan {
            data,
            sales,
            corrections,
            credits,
            seed: options.seed,
            now: clock.now(),
            shift_days,
            newest,
            product_of: HashMap::new(),
            customer_of: HashMap::new(),
        }
    }

    /// When an invoice was written, on the simulated calendar.
    fn at(&self, invoice: &SourceInvoice) -> Timestamp {
        let shifted = invoice.at.saturating_add(Span::new().days(self.shift_days));
        shifted
            .to_zoned(TimeZone::UTC)
            .map_or(self.now, |zoned| zoned.timestamp())
            .min(self.now)
    }

    /// Whole days between an invoice and the newest one.
    fn age_days(&self, invoice: &SourceInvoice) -> i64 {
        self.newest
            .since(invoice.at.date())
            .map_or(0, |span| i64::from(span.get_days()))
    }

    fn roll(&self, salt: &str, number: u64, below: u64) -> u64 {
        roll(self.seed, salt, number, below)
    }

    /// Every stock code that the chosen invoices name, in the order of the SKU.
    fn goods(&self) -> Vec<u16> {
        let invoices = self.sales.iter().chain(&self.corrections);
        let used: BTreeSet<u16> = invoices
            .flat_map(|i| self.data.lines_of(i))
            .map(|line| line.goods)
            .collect();
        let mut used: Vec<u16> = used.into_iter().collect();
        used.sort_by(|a, b| {
            self.data.goods[*a as usize]
                .sku
                .cmp(&self.data.goods[*b as usize].sku)
        });
        used
    }

    /// `back` before now, with a millisecond part that differs from document to document.
    fn ago(&self, days: i64, number: u64) -> Timestamp {
        let ms = days * 86_400_000 + self.roll("ago", number, 36_000_000) as i64 + 60_000;
        self.now
            .saturating_sub(jiff::SignedDuration::from_millis(ms))
            .unwrap_or(self.now)
    }
}
