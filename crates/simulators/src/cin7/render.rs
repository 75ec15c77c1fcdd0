//! Documents out of the state of an account, member by member as the reference lists them.

pub(crate) mod partner;
pub(crate) mod product;
pub(crate) mod purchase;
pub(crate) mod sale;
pub(crate) mod sale_parts;
pub(crate) mod stock;

use super::json::{J, obj};
use super::world::World;
use super::world::product::Product;
use super::world::sale::Payment;
use super::world::stock::Batch;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

/// Names of the ten custom fields that every product line carries.
const CUSTOM: [&str; 10] = [
    "ProductCustomField1",
    "ProductCustomField2",
    "ProductCustomField3",
    "ProductCustomField4",
    "ProductCustomField5",
    "ProductCustomField6",
    "ProductCustomField7",
    "ProductCustomField8",
    "ProductCustomField9",
    "ProductCustomField10",
];

/// Adds the size, weight and custom fields that every line with a `ProductID` carries.
pub(crate) fn product_extras<'a>(fields: &mut Vec<(&'a str, J<'a>)>, product: &Product) {
    for key in ["ProductLength", "ProductWidth", "ProductHeight"] {
        fields.push((key, J::Int(0)));
    }
    fields.push(("ProductWeight", J::Dec(weight(product))));
    fields.push(("WeightUnits", J::Str("g")));
    fields.push(("DimensionsUnits", J::Str("cm")));
    for key in CUSTOM {
        fields.push((key, J::Null));
    }
}

/// Grams, by rule: the dearer the heavier.
pub(crate) fn weight(product: &Product) -> Decimal {
    if product.service {
        Decimal::ZERO
    } else {
        (product.price * Decimal::from(40)).round() + Decimal::from(20)
    }
}

/// A line object with the product extras at its end.
pub(crate) fn product_line<'a>(product: &Product, line: J<'a>) -> J<'a> {
    let J::Obj(mut fields) = line else {
        return line;
    };
    product_extras(&mut fields, product);
    J::Obj(fields)
}

pub(crate) fn payment(payment: &Payment) -> J<'_> {
    obj! {
        "ID": payment.id,
        "Reference": &payment.reference,
        "Amount": payment.amount,
        "DatePaid": payment.date,
        "Account": &payment.account,
        "CurrencyRate": payment.rate,
        "DateCreated": payment.created,
    }
}

/// Lays what a client wrote over a rendered document; members the document does not have are dropped.
pub(crate) fn overlay<'a>(doc: &mut J<'a>, written: Option<&'a Map<String, Value>>) {
    for (key, value) in written.into_iter().flatten() {
        let known = match doc {
            J::Obj(fields) => fields.iter().any(|(k, _)| k.eq_ignore_ascii_case(key)),
            _ => false,
        };
        if known {
            doc.set(key, J::Val(value));
        }
    }
}

impl World {
    /// Batch and expiry of a card; both null without a batch.
    pub(crate) fn batch_of(&self, batch: u32) -> (J<'_>, J<'_>) {
        match self.stock.batches.get(batch as usize) {
            Some(Batch { name, expiry }) if batch > 0 => (J::Str(name), J::from(*expiry)),
            _ => (J::Null, J::Null),
        }
    }

    pub(crate) fn currency(&self) -> &str {
        &self.account.currency
    }
}

/// Names of numbered members, so that they need not be built for every document.
macro_rules! numbered {
    ($prefix:literal) => {
        [
            concat!($prefix, "1"),
            concat!($prefix, "2"),
            concat!($prefix, "3"),
            concat!($prefix, "4"),
            concat!($prefix, "5"),
            concat!($prefix, "6"),
            concat!($prefix, "7"),
            concat!($prefix, "8"),
            concat!($prefix, "9"),
            concat!($prefix, "10"),
        ]
    };
}
pub(crate) use numbered;
