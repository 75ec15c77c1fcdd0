//! Purchases: ordered, received, invoiced.

use super::sale::{Charge, Payment, Status};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub id: Uuid,
    pub number: String,
    pub advanced: bool,
    pub supplier: u16,
    pub location: u16,
    pub date: Date,
    pub required: Option<Date>,
    pub modified: Timestamp,
    pub order: Status,
    pub invoice_first: bool,
    pub voided: bool,
    pub lines: Vec<PurchaseLine>,
    pub charges: Vec<Charge>,
    pub memo: String,
    pub receipts: Vec<Receipt>,
    pub invoices: Vec<PurchaseInvoice>,
    pub written: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct PurchaseLine {
    pub product: u32,
    pub quantity: Decimal,
    pub price: Decimal,
    pub discount: Decimal,
    pub tax: u8,
    pub comment: String,
}

impl PurchaseLine {
    pub(crate) fn total(&self) -> Decimal {
        super::sale::line_total(self.quantity, self.price, self.discount)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub task: Uuid,
    pub status: Status,
    pub lines: Vec<Received>,
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub product: u32,
    pub place: u16,
    pub batch: u32,
    pub quantity: Decimal,
    pub date: Date,
    pub card: Uuid,
}

#[derive(Clone, Debug)]
pub(crate) struct PurchaseInvoice {
    pub task: Uuid,
    pub number: String,
    pub status: Status,
    pub date: Date,
    pub due: Date,
    pub lines: Vec<PurchaseLine>,
    pub charges: Vec<Charge>,
    pub payments: Vec<Payment>,
}

impl PurchaseInvoice {
    pub(crate) fn totals(&self) -> (Decimal, Decimal, Decimal) {
        totals(&self.lines, &self.charges)
    }

    pub(crate) fn paid(&self) -> Decimal {
        self.payments.iter().map(|p| p.amount).sum()
    }
}

pub(crate) fn totals(lines: &[PurchaseLine], charges: &[Charge]) -> (Decimal, Decimal, Decimal) {
    let rows = lines
        .iter()
        .map(|l| (l.total(), l.tax))
        .chain(charges.iter().map(|c| (c.total(), c.tax)));
    let (net, tax) = rows.fold(
        (Decimal::ZERO, Decimal::ZERO),
        |(net, tax), (total, rule)| (net + total, tax + super::sale::tax_on(total, rule)),
    );
    (net, tax, net + tax)
}

impl Purchase {
    pub(crate) fn ordered(&self) -> Decimal {
        self.lines.iter().map(|l| l.quantity).sum()
    }

    /// Units in authorised receipts.
    pub(crate) fn received(&self) -> Decimal {
        let done = self
            .receipts
            .iter()
            .filter(|r| r.status == Status::Authorised);
        done.flat_map(|r| r.lines.iter()).map(|l| l.quantity).sum()
    }

    pub(crate) fn invoiced(&self) -> bool {
        self.invoices
            .iter()
            .any(|i| matches!(i.status, Status::Authorised | Status::Paid))
    }

    pub(crate) fn receiving(&self) -> &'static str {
        match self.received() {
            _ if self.voided => "VOIDED",
            _ if self.order != Status::Authorised => "NOT AVAILABLE",
            got if got.is_zero() => "NOT RECEIVED",
            got if got < self.ordered() => "PARTIALLY RECEIVED",
            _ => "FULLY RECEIVED",
        }
    }

    pub(crate) fn invoicing(&self) -> &'static str {
        match () {
            _ if self.voided => "VOIDED",
            _ if self.order != Status::Authorised => "NOT AVAILABLE",
            _ if self.invoiced() => "INVOICED",
            _ => "NOT INVOICED",
        }
    }

    pub(crate) fn payment(&self) -> &'static str {
        let due: Decimal = self.invoices.iter().map(|i| i.totals().2).sum();
        let paid: Decimal = self.invoices.iter().map(|i| i.paid()).sum();
        match () {
            _ if self.voided => "VOIDED",
            _ if !due.is_zero() && paid >= due => "PAID",
            _ if !paid.is_zero() => "PARTIALLY PAID",
            _ => "UNPAID",
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        let got = self.received();
        match self.order {
            _ if self.voided => "VOIDED",
            Status::NotAvailable => "DRAFT",
            Status::Draft => "ORDERING",
            _ if got >= self.ordered() && self.payment() == "PAID" => "COMPLETED",
            _ if self.invoiced() && got.is_zero() => "INVOICED",
            _ if got.is_zero() => "ORDERED",
            _ if got < self.ordered() => "RECEIVING",
            _ => "RECEIVED",
        }
    }
}
