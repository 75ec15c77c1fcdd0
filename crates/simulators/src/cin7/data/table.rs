//! The orders as tables: what the build packs and the simulator unpacks.

use jiff::civil::DateTime;

/// All invoices, oldest first.
pub(crate) struct DataSet {
    pub goods: Vec<Goods>,
    pub buyers: Vec<Buyer>,
    pub countries: Vec<String>,
    pub invoices: Vec<SourceInvoice>,
    pub lines: Vec<SourceLine>,
}

/// A stock code; spellings that differ only in case are one.
pub(crate) struct Goods {
    pub sku: String,
    pub name: String,
    /// Usual price in thousandths of a pound.
    pub price_milli: i64,
}

pub(crate) struct Buyer {
    /// Number in the data set; 0 stands for sales without a customer.
    pub number: u32,
    pub country: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceKind {
    Sale,
    /// Only negative quantities at price 0: the warehouse corrected its stock.
    Correction,
    Credit,
    Adjustment,
}

pub(crate) struct SourceInvoice {
    pub number: u32,
    pub kind: SourceKind,
    pub at: DateTime,
    pub buyer: u32,
    pub country: u16,
    /// Where its lines begin in the table of lines.
    pub first: u32,
    pub count: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct SourceLine {
    pub goods: u16,
    pub quantity: i32,
    pub price_milli: i32,
}
