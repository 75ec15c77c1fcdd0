//! Finished goods: kits that were put together, and taken apart again.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AssemblyStatus {
    Draft,
    Authorised,
    InProgress,
    Completed,
    Voided,
}

impl AssemblyStatus {
    pub(crate) fn text(self) -> &'static str {
        match self {
            AssemblyStatus::Draft => "DRAFT",
            AssemblyStatus::Authorised => "AUTHORISED",
            AssemblyStatus::InProgress => "IN PROGRESS",
            AssemblyStatus::Completed => "COMPLETED",
            AssemblyStatus::Voided => "VOIDED",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Assembly {
    pub id: Uuid,
    pub number: String,
    pub status: AssemblyStatus,
    pub product: u32,
    /// Where the product lands: a warehouse or a bin.
    pub place: u16,
    pub quantity: Decimal,
    pub wip_account: String,
    pub account: String,
    pub wip_date: Option<Date>,
    pub date: Date,
    pub completed: Option<Date>,
    pub batch: u32,
    pub notes: String,
    /// The sale it was made for.
    pub sale: Option<Uuid>,
    pub planned: Vec<Planned>,
    pub used: Vec<Used>,
    pub written: Map<String, Value>,
}

/// A component the assembly needs.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub product: u32,
    pub quantity: Decimal,
    pub wastage_percent: Decimal,
    pub wastage_quantity: Decimal,
    pub total: Decimal,
    pub expense_account: String,
}

/// A component that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub product: u32,
    pub place: u16,
    pub batch: u32,
    pub quantity: Decimal,
    pub cost: Decimal,
}

impl Assembly {
    pub(crate) fn cost(&self) -> Decimal {
        self.used.iter().map(|used| used.cost).sum()
    }
}

/// A kit taken apart. `completed` false is WORK IN PROGRESS: the kits have left stock, the parts have not arrived.
#[derive(Clone, Debug)]
pub(crate) struct Disassembly {
    pub id: Uuid,
    pub number: String,
    pub draft: bool,
    pub completed: bool,
    pub voided: bool,
    pub product: u32,
    pub place: u16,
    pub quantity: Decimal,
    pub date: Date,
    pub wip_account: String,
    pub notes: String,
    pub taken: Vec<Used>,
    pub made: Vec<Used>,
}

impl Disassembly {
    pub(crate) fn status(&self) -> &'static str {
        match () {
            _ if self.voided => "VOIDED",
            _ if self.completed => "COMPLETED",
            _ if self.draft => "DRAFT",
            _ => "WORK IN PROGRESS",
        }
    }
}
