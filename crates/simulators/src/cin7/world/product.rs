//! Products: goods, services and kits.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

/// One product. What a client wrote beyond the typed fields waits in `written`.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub id: Uuid,
    pub sku: String,
    pub name: String,
    pub category: String,
    pub service: bool,
    pub costing: &'static str,
    pub price: Decimal,
    pub cost: Decimal,
    pub uom: &'static str,
    pub brand: Option<&'static str>,
    pub deprecated: bool,
    pub modified: Timestamp,
    pub suppliers: Vec<u16>,
    pub bom: Option<Box<Bom>>,
    pub family: bool,
    pub written: Option<Box<Map<String, Value>>>,
}

/// How a kit is made.
#[derive(Clone, Debug)]
pub(crate) struct Bom {
    /// Assembled by itself when a sale order is authorised.
    pub auto: bool,
    pub auto_disassembly: bool,
    /// How many kits the quantities below make.
    pub makes: Decimal,
    pub parts: Vec<BomPart>,
    pub services: Vec<BomService>,
}

#[derive(Clone, Debug)]
pub(crate) struct BomPart {
    pub product: u32,
    pub quantity: Decimal,
    pub wastage_percent: Decimal,
    pub wastage_quantity: Decimal,
    pub cost_percent: Decimal,
}

impl BomPart {
    /// What one batch consumes, waste included.
    pub(crate) fn consumed(&self) -> Decimal {
        self.quantity * (Decimal::ONE + self.wastage_percent / Decimal::ONE_HUNDRED)
            + self.wastage_quantity
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BomService {
    pub product: u32,
    pub quantity: Decimal,
}

/// Every costing method the service knows.
pub(crate) const COSTING: [&str; 7] = [
    "FIFO",
    "Special - Batch",
    "Special - Serial Number",
    "FIFO - Serial Number",
    "FIFO - Batch",
    "FEFO - Batch",
    "FEFO - Serial Number",
];

impl Product {
    /// Whether stock lines of this product must name a batch or serial number.
    pub(crate) fn needs_batch(&self) -> bool {
        self.costing != "FIFO"
    }

    /// Whether stock lines of this product must name an expiry date.
    pub(crate) fn needs_expiry(&self) -> bool {
        self.costing.starts_with("FEFO")
    }

    /// Whether the product is assembled by itself when a sale order is authorised.
    pub(crate) fn auto_assembly(&self) -> bool {
        self.bom.as_ref().is_some_and(|bom| bom.auto)
    }

    /// The sale price of a tier, 1 to 10: each is two per cent below the one before.
    pub(crate) fn tier_price(&self, tier: u32) -> Decimal {
        let off = Decimal::from(2 * tier.saturating_sub(1));
        (self.price * (Decimal::ONE_HUNDRED - off) / Decimal::ONE_HUNDRED).round_dp(4)
    }
}
