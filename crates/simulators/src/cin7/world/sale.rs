//! Sales and their parts. What is derived from them, such as the combined statuses, is in `stages`.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

/// State of a stage or a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    NotAvailable,
    Draft,
    PartiallyAuthorised,
    Authorised,
    Paid,
    Voided,
}

impl Status {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Status::NotAvailable => "NOT AVAILABLE",
            Status::Draft => "DRAFT",
            Status::PartiallyAuthorised => "PARTIALLY AUTHORISED",
            Status::Authorised => "AUTHORISED",
            Status::Paid => "PAID",
            Status::Voided => "VOIDED",
        }
    }

    /// Whether a client may still replace the content.
    pub(crate) fn open(self) -> bool {
        matches!(self, Status::NotAvailable | Status::Draft)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Simple,
    Advanced,
    Service,
}

impl Kind {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Kind::Simple => "Simple Sale",
            Kind::Advanced => "Advanced Sale",
            Kind::Service => "Service Sale",
        }
    }
}

/// One sale.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    pub id: Uuid,
    pub number: String,
    pub kind: Kind,
    pub customer: u32,
    pub location: u16,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub order_date: Date,
    pub ship_by: Option<Date>,
    pub skip_quote: bool,
    pub quote: Status,
    pub order: Status,
    pub voided: bool,
    pub currency_rate: Decimal,
    pub lines: Arc<Vec<Line>>,
    pub charges: Arc<Vec<Charge>>,
    pub fulfilments: Vec<Fulfilment>,
    pub invoices: Vec<Invoice>,
    pub credit_notes: Vec<CreditNote>,
    pub prepayments: Vec<Payment>,
    /// What a client wrote into the header, and the rare parts.
    pub header: Option<Box<Header>>,
}

/// Lines and charges of a quote or an order.
pub(crate) type Content = (Arc<Vec<Line>>, Arc<Vec<Charge>>);

/// The rare parts of a sale.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    pub written: Map<String, Value>,
    pub quote_memo: String,
    /// Lines and charges of the quote, once the order has its own.
    pub quoted: Option<Content>,
    pub order_memo: String,
    pub attachments: Vec<Value>,
    pub journal: Option<Value>,
}

/// A line of a quote, an order, an invoice or a credit note.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub product: u32,
    pub quantity: Decimal,
    pub price: Decimal,
    pub discount: Decimal,
    /// Position in [`TAX_RULES`].
    pub tax: u8,
    pub drop_ship: bool,
    pub backorder: Decimal,
    pub comment: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub description: String,
    pub price: Decimal,
    pub quantity: Decimal,
    pub discount: Decimal,
    pub tax: u8,
    pub comment: Option<Box<str>>,
}

/// Names and rates of the tax rules that lines refer to by position.
pub(crate) const TAX_RULES: [(&str, i64); 3] = [
    ("20% (VAT on Income)", 20),
    ("Zero Rated Income", 0),
    ("Tax Exempt", 0),
];

/// Value of a line before tax, to two places.
pub(crate) fn line_total(quantity: Decimal, price: Decimal, discount: Decimal) -> Decimal {
    (quantity * price * (Decimal::ONE_HUNDRED - discount) / Decimal::ONE_HUNDRED)
        .round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
}

pub(crate) fn tax_on(total: Decimal, rule: u8) -> Decimal {
    let percent = TAX_RULES
        .get(rule as usize)
        .map_or(0, |(_, percent)| *percent);
    (total * Decimal::new(percent, 2))
        .round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
}

impl Line {
    pub(crate) fn total(&self) -> Decimal {
        line_total(self.quantity, self.price, self.discount)
    }
}

impl Charge {
    pub(crate) fn total(&self) -> Decimal {
        line_total(self.quantity, self.price, self.discount)
    }
}

/// Before tax, tax, and both.
pub(crate) fn totals(lines: &[Line], charges: &[Charge]) -> (Decimal, Decimal, Decimal) {
    let rows = lines
        .iter()
        .map(|l| (l.total(), l.tax))
        .chain(charges.iter().map(|c| (c.total(), c.tax)));
    let (net, tax) = rows.fold(
        (Decimal::ZERO, Decimal::ZERO),
        |(net, tax), (total, rule)| (net + total, tax + tax_on(total, rule)),
    );
    (net, tax, net + tax)
}

#[derive(Clone, Debug)]
pub(crate) struct Fulfilment {
    pub task: Uuid,
    pub number: u32,
    pub linked_invoice: Option<String>,
    pub pick: Status,
    pub picked: Arc<Vec<Picked>>,
    pub pack: Status,
    pub packed: Arc<Vec<Picked>>,
    pub ship: Status,
    pub shipments: Vec<Shipment>,
    pub require_by: Option<Date>,
    pub notes: String,
    pub address: Option<Value>,
    pub voided: bool,
}

/// Units taken from a place; in a box once packed.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    pub product: u32,
    pub place: u16,
    pub batch: u32,
    pub quantity: Decimal,
    pub parcel: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Shipment {
    pub id: Uuid,
    pub date: Date,
    pub carrier: Arc<str>,
    /// Box names, separated by commas.
    pub boxes: Arc<str>,
    pub tracking: String,
    pub url: String,
    pub shipped: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Invoice {
    pub task: Uuid,
    pub number: String,
    pub status: Status,
    pub date: Date,
    pub due: Date,
    pub lines: Arc<Vec<Line>>,
    pub charges: Arc<Vec<Charge>>,
    pub payments: Vec<Payment>,
    pub linked_fulfilment: Option<u32>,
    pub memo: String,
    pub rate: Decimal,
}

#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub id: Uuid,
    pub reference: String,
    pub amount: Decimal,
    pub date: Date,
    pub account: String,
    pub rate: Decimal,
    pub created: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct CreditNote {
    pub task: Uuid,
    pub number: String,
    pub invoice_number: String,
    pub status: Status,
    pub date: Date,
    pub lines: Vec<Line>,
    pub charges: Vec<Charge>,
    pub refunds: Vec<Payment>,
    pub restock: Vec<Picked>,
    pub memo: String,
    pub rate: Decimal,
}

impl Invoice {
    pub(crate) fn total(&self) -> Decimal {
        totals(&self.lines, &self.charges).2
    }

    pub(crate) fn paid(&self) -> Decimal {
        self.payments.iter().map(|p| p.amount).sum()
    }
}

impl CreditNote {
    pub(crate) fn total(&self) -> Decimal {
        totals(&self.lines, &self.charges).2
    }

    pub(crate) fn refunded(&self) -> Decimal {
        self.refunds.iter().map(|p| p.amount).sum()
    }
}

impl Sale {
    pub(crate) fn header_mut(&mut self) -> &mut Header {
        self.header.get_or_insert_default()
    }

    /// The fulfilments that count.
    pub(crate) fn live_fulfilments(&self) -> impl Iterator<Item = &Fulfilment> {
        self.fulfilments.iter().filter(|f| !f.voided)
    }
}
