//! Customers and suppliers.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// One customer. The data set knows a number and a country; the rest follows from the number by rule.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub id: Uuid,
    /// 0 is the walk-in customer.
    pub number: u32,
    pub name: String,
    pub country: String,
    pub tier: u8,
    pub deprecated: bool,
    pub modified: Timestamp,
    pub written: Option<Box<Map<String, Value>>>,
}

impl Customer {
    pub(crate) fn town(&self) -> &'static str {
        TOWNS[self.number as usize % TOWNS.len()]
    }

    pub(crate) fn contact(&self) -> String {
        format!(
            "{} {}",
            FIRST[self.number as usize % FIRST.len()],
            LAST[self.number as usize / 7 % LAST.len()]
        )
    }

    pub(crate) fn phone(&self) -> String {
        format!("+44 1632 {:06}", 960_000 + self.number % 10_000)
    }

    pub(crate) fn email(&self) -> String {
        format!("buyer{}@example.com", self.number)
    }

    pub(crate) fn street(&self) -> String {
        format!("{} Mill Lane", self.number % 240 + 1)
    }

    pub(crate) fn postcode(&self) -> String {
        format!("MP{} {}AB", self.number % 90 + 1, self.number % 9)
    }
}

/// The name a customer number gets.
pub(crate) fn name_of(number: u32) -> String {
    if number == 0 {
        return "Walk-in".into();
    }
    let first = TRADES[number as usize % TRADES.len()];
    let town = TOWNS[number as usize / 3 % TOWNS.len()];
    format!("{town} {first} {number}")
}

const TOWNS: [&str; 16] = [
    "Ashford", "Bexley", "Camden", "Dunmore", "Elstow", "Fairford", "Glenside", "Harrow", "Ilkley",
    "Keswick", "Ludlow", "Marlow", "Newbury", "Oakham", "Penrith", "Ripon",
];
const TRADES: [&str; 7] = [
    "Gifts",
    "Homeware",
    "Trading",
    "Interiors",
    "Stores",
    "Garden Centre",
    "Emporium",
];
const FIRST: [&str; 8] = [
    "Alex", "Billie", "Chris", "Dana", "Eden", "Frankie", "Glenn", "Harper",
];
const LAST: [&str; 9] = [
    "Archer", "Baker", "Carter", "Dyer", "Fletcher", "Mason", "Potter", "Turner", "Weaver",
];

#[derive(Clone, Debug)]
pub(crate) struct Supplier {
    pub id: Uuid,
    pub name: String,
    pub country: &'static str,
    pub deprecated: bool,
    pub modified: Timestamp,
    pub written: Option<Box<Map<String, Value>>>,
}

pub(crate) const SUPPLIERS: [(&str, &str); 12] = [
    ("Alder Ceramics", "United Kingdom"),
    ("Birch Paper Mill", "United Kingdom"),
    ("Cedar Woodcraft", "Poland"),
    ("Dovetail Imports", "Netherlands"),
    ("Elm Street Glass", "Czech Republic"),
    ("Fernhill Textiles", "India"),
    ("Gorse Candle Works", "United Kingdom"),
    ("Hazel Tinware", "China"),
    ("Ivy House Kitchen", "Portugal"),
    ("Juniper Lighting", "Germany"),
    ("Kestrel Toys", "China"),
    ("Larch Packaging", "France"),
];
