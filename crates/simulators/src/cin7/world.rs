//! The state of one account: typed, compact, and rendered into documents only when asked.

pub(crate) mod assembly;
pub(crate) mod books;
pub(crate) mod build;
pub(crate) mod customer;
pub(crate) mod product;
pub(crate) mod purchase;
pub(crate) mod rules;
pub(crate) mod sale;
pub(crate) mod stages;
pub(crate) mod stock;
pub(crate) mod stockdoc;

use super::options::{Account, Options};
use super::webhook::Hooks;
pub(crate) use crate::chance::roll;
use crate::clock::Clock;
use assembly::{Assembly, Disassembly};
use books::Books;
use customer::{Customer, Supplier};
use jiff::Timestamp;
use jiff::civil::Date;
use product::Product;
use purchase::Purchase;
use rust_decimal::Decimal;
use sale::Sale;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use stock::{Place, Stock};
use stockdoc::{Adjustment, Transfer};
use uuid::Uuid;

/// Everything one account knows.
pub(crate) struct World {
    pub options: Options,
    pub account: Account,
    /// Base currency per pound.
    pub rate: Decimal,
    pub clock: Clock,
    pub products: Vec<Product>,
    pub product_by_id: HashMap<Uuid, u32>,
    /// By SKU in upper case.
    pub product_by_sku: HashMap<String, u32>,
    pub customers: Vec<Customer>,
    pub customer_by_id: HashMap<Uuid, u32>,
    pub suppliers: Vec<Supplier>,
    pub places: Vec<Place>,
    pub books: Books,
    pub stock: Stock,
    /// In order of creation. Sales removed for good leave a hole, so that positions stay valid.
    pub sales: Vec<Option<Sale>>,
    pub sale_by_id: HashMap<Uuid, u32>,
    /// Owner of a fulfilment, invoice, credit note or payment whose id is not the sale's own.
    pub sale_of_task: HashMap<Uuid, u32>,
    /// Positions of sales with a backorder.
    pub backordered: BTreeSet<u32>,
    pub purchases: Vec<Purchase>,
    pub transfers: Vec<Transfer>,
    /// Adjustments and stocktakes share one number series.
    pub adjustments: Vec<Adjustment>,
    pub assemblies: Vec<Assembly>,
    pub disassemblies: Vec<Disassembly>,
    /// Documents that nothing else depends on, by path, as they were written.
    pub papers: HashMap<&'static str, Vec<Value>>,
    pub hooks: Hooks,
    pub numbers: Numbers,
    /// Ids for new documents count up from here, so that two runs make the same ones.
    pub created: u64,
    /// Scripted events played so far.
    pub ticks: u64,
}

/// Last number given out in each series.
#[derive(Debug, Default, Clone)]
pub(crate) struct Numbers {
    pub sale: u32,
    pub purchase: u32,
    pub transfer: u32,
    pub stocktake: u32,
    pub assembly: u32,
    pub credit_note: u32,
}

impl World {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn today(&self) -> Date {
        self.clock.today()
    }

    /// An id for a new document, the same in every run of the same seed and calls.
    pub(crate) fn new_id(&mut self) -> Uuid {
        self.created += 1;
        id_of(&format!(
            "{}/{}/new/{}",
            self.options.seed, self.account.account_id, self.created
        ))
    }

    pub(crate) fn product(&self, at: u32) -> &Product {
        &self.products[at as usize]
    }

    pub(crate) fn customer(&self, at: u32) -> &Customer {
        &self.customers[at as usize]
    }

    pub(crate) fn place(&self, at: u16) -> &Place {
        &self.places[at as usize]
    }

    pub(crate) fn find_sale(&self, id: Uuid) -> Option<&Sale> {
        self.sales[*self.sale_by_id.get(&id)? as usize].as_ref()
    }

    /// Position of the sale that owns `task`: the sale itself, or one of its parts.
    pub(crate) fn sale_index_of_task(&self, task: Uuid) -> Option<u32> {
        self.sale_of_task
            .get(&task)
            .or_else(|| self.sale_by_id.get(&task))
            .copied()
    }

    /// The sales that exist, oldest first.
    pub(crate) fn live_sales(&self) -> impl DoubleEndedIterator<Item = &Sale> {
        self.sales.iter().filter_map(Option::as_ref)
    }

    /// Pounds in this account's currency, to two places.
    pub(crate) fn money(&self, pounds_milli: i64) -> Decimal {
        let pounds = Decimal::new(pounds_milli, 3);
        if self.rate == Decimal::ONE {
            pounds
        } else {
            (pounds * self.rate).round_dp(2)
        }
    }
}

/// The id that stands for `name` in every account: ids of two accounts collide on purpose.
pub(crate) fn id_of(name: &str) -> Uuid {
    const SPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_706f_6e64_6369_6e37_636f_7265);
    Uuid::new_v5(&SPACE, name.as_bytes())
}
