//! What order workflows read of Cin7 Core's documents. Everything may be absent or null; unknown members are skipped.

use orders::Day;
use serde::{Deserialize, Deserializer};

use super::amount::Amount;

/// Null is as good as absent.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A business date: the day before the `T`. What is no date counts as absent.
fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| Day::parse(text.get(..10)?)))
}

/// Declares records whose members may all be absent or null.
macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident : $ty:ty = $key:literal),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        pub(crate) struct $name {
            $($(#[$attr])* #[serde(default, rename = $key, deserialize_with = "lenient")] pub(crate) $field: $ty),*
        }
    )* };
}

documents! {
    /// `sale`.
    Sale {
        id: String = "ID",
        customer: String = "Customer",
        kind: String = "Type",
        status: String = "Status",
        location: String = "Location",
        carrier: String = "Carrier",
        ship_by: Text = "ShipBy",
        ordered: Text = "SaleOrderDate",
        order: OrderPart = "Order",
        fulfilments: Vec<Fulfilment> = "Fulfilments",
        invoices: Vec<Invoice> = "Invoices",
    }
    /// `sale`, `Order`.
    OrderPart {
        number: String = "SaleOrderNumber",
        status: String = "Status",
        lines: Vec<OrderLine> = "Lines",
    }
    /// `sale`, `Order.Lines[]`. Its place in the list is all that names it.
    OrderLine {
        product: String = "ProductID",
        sku: String = "SKU",
        name: String = "Name",
        quantity: Amount = "Quantity",
        price: Amount = "Price",
        discount: Amount = "Discount",
        tax: Amount = "Tax",
        tax_rule: String = "TaxRule",
        total: Amount = "Total",
        drop_ship: bool = "DropShip",
        backorder: Amount = "BackorderQuantity",
    }
    /// `sale`, `Fulfilments[]`.
    Fulfilment {
        task: String = "TaskID",
        number: Amount = "FulfillmentNumber",
        status: String = "FulFilmentStatus",
        pick: Stage = "Pick",
        pack: Stage = "Pack",
        ship: Stage = "Ship",
    }
    /// Pick, pack or ship of a fulfilment.
    Stage {
        status: String = "Status",
        lines: Vec<StageLine> = "Lines",
    }
    /// A line of a pick or pack; shipments leave all of it empty.
    StageLine {
        product: String = "ProductID",
        sku: String = "SKU",
        quantity: Amount = "Quantity",
        non_inventory: bool = "NonInventory",
    }
    /// `sale`, `Invoices[]`.
    Invoice {
        task: String = "TaskID",
        number: String = "InvoiceNumber",
        status: String = "Status",
        memo: String = "Memo",
    }
    /// A row of `ref/productavailability`.
    Availability {
        product: String = "ID",
        sku: String = "SKU",
        location: String = "Location",
        bin: String = "Bin",
        batch: String = "Batch",
        expiry: Text = "ExpiryDate",
        on_hand: Amount = "OnHand",
        allocated: Amount = "Allocated",
    }
    /// `product`.
    Product {
        id: String = "ID",
        sku: String = "SKU",
        name: String = "Name",
        kind: String = "Type",
        price: Amount = "PriceTier1",
        costing: String = "CostingMethod",
        has_bom: bool = "BillOfMaterial",
        auto_assembly: bool = "AutoAssembly",
        makes: Amount = "QuantityToProduce",
        parts: Vec<Part> = "BillOfMaterialsProducts",
    }
    /// `product`, `BillOfMaterialsProducts[]`.
    Part {
        product: String = "ComponentProductID",
        sku: String = "ProductCode",
        quantity: Amount = "Quantity",
        wastage_percent: Amount = "WastagePercent",
        wastage: Amount = "WastageQuantity",
    }
    /// `ref/location`.
    Location {
        id: String = "ID",
        name: String = "Name",
        parent: String = "ParentID",
        deprecated: bool = "IsDeprecated",
    }
    /// `advanced-purchase`.
    Purchase {
        id: String = "ID",
        number: String = "OrderNumber",
        status: String = "Status",
        note: String = "Note",
        location: String = "Location",
        required: Text = "RequiredBy",
        order: PurchaseOrder = "Order",
        received: Vec<Receipt> = "StockReceived",
        put_away: Vec<Receipt> = "PutAway",
    }
    /// `advanced-purchase`, `Order`.
    PurchaseOrder {
        status: String = "Status",
        lines: Vec<PurchaseLine> = "Lines",
    }
    /// A line of a purchase or of a receipt.
    PurchaseLine {
        sku: String = "SKU",
        quantity: Amount = "Quantity",
    }
    /// A receipt.
    Receipt {
        status: String = "Status",
        lines: Vec<PurchaseLine> = "Lines",
    }
    /// A row of `finishedGoodsList`, or `finishedGoods`.
    Assembly {
        task: String = "TaskID",
        product: String = "ProductID",
        quantity: Amount = "Quantity",
        location: String = "Location",
        status: String = "Status",
        notes: String = "Notes",
        wip_account: String = "WIPAccount",
        account: String = "Account",
    }
}

/// A date as upstream writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Option<Day>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        day(deserializer).map(Self)
    }
}

impl Stage {
    /// Whether it may still be changed.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "" | "DRAFT" | "NOT AVAILABLE")
    }

    /// Whether it is through.
    pub(crate) fn is_authorised(&self) -> bool {
        self.status == "AUTHORISED"
    }
}

impl Sale {
    /// Live fulfilments.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Fulfilment> {
        let gone = |f: &Fulfilment| f.status == "VOIDED" || f.pick.status == "VOIDED";
        self.fulfilments.iter().filter(move |f| !gone(f))
    }

    /// What it is called: its number, else its id.
    pub(crate) fn name(&self) -> &str {
        if self.order.number.is_empty() {
            &self.id
        } else {
            &self.order.number
        }
    }

    /// Whether its order may be picked.
    pub(crate) fn is_pickable(&self) -> bool {
        self.order.status == "AUTHORISED" && !matches!(self.status.as_str(), "VOIDED" | "COMPLETED")
    }

    /// Units of each line that no authorised pick has yet. Picks name products, not lines: earlier lines are served
    /// first.
    pub(crate) fn open(&self) -> Vec<rust_decimal::Decimal> {
        let mut picked = std::collections::HashMap::new();
        for fulfilment in self.live().filter(|f| f.pick.is_authorised()) {
            for line in &fulfilment.pick.lines {
                *picked
                    .entry(key(&line.product, &line.sku))
                    .or_insert(rust_decimal::Decimal::ZERO) += line.quantity.0;
            }
        }
        self.order
            .lines
            .iter()
            .map(|line| {
                let left = picked.entry(key(&line.product, &line.sku)).or_default();
                // A line that wants fewer than none has nothing that could be picked: others keep what was.
                let gone = line.quantity.0.min(*left).max(rust_decimal::Decimal::ZERO);
                *left -= gone;
                line.quantity.0 - gone
            })
            .collect()
    }
}

/// What tells products apart, whatever case their ids are written in.
pub(crate) fn key(product: &str, sku: &str) -> String {
    if product.is_empty() {
        sku.to_owned()
    } else {
        product.to_lowercase()
    }
}
