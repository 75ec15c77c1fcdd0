//! Products, product families and availability.

use super::{numbered, overlay, weight};
use crate::cin7::json::{J, fields, obj};
use crate::cin7::world::World;
use crate::cin7::world::books::TIERS;
use crate::cin7::world::product::Product;
use crate::cin7::world::sale::TAX_RULES;
use crate::cin7::world::stock::{Card, CardKey, Coming};
use rust_decimal::Decimal;

/// Which heavy parts a client asked for.
#[derive(Default, Clone, Copy)]
pub(crate) struct ProductView {
    pub bom: bool,
    pub suppliers: bool,
    pub movements: bool,
    pub attachments: bool,
    pub reorder: bool,
    pub prices: bool,
}

impl World {
    pub(crate) fn product_document<'a>(&'a self, at: u32, view: ProductView) -> J<'a> {
        let product = self.product(at);
        let account = |code: &'static str| {
            if product.service {
                J::Null
            } else {
                J::Str(code)
            }
        };
        let tiers: Vec<Decimal> = (1..=10).map(|tier| product.tier_price(tier)).collect();
        let mut fields = fields! {
            "ID": product.id,
            "SKU": &product.sku,
            "Name": &product.name,
            "Category": &product.category,
            "Brand": product.brand,
            "Type": if product.service { "Service" } else { "Stock" },
            "CostingMethod": product.costing,
            "DropShipMode": "No Drop Ship",
            "DefaultLocation": (!product.service).then(|| self.place(0).name.as_str()),
            "Length": 0_i64,
            "Width": 0_i64,
            "Height": 0_i64,
            "Weight": weight(product),
            "UOM": product.uom,
            "WeightUnits": "g",
            "DimensionsUnits": "cm",
            "Barcode": if product.service { String::new() } else { barcode(at) },
            "MinimumBeforeReorder": if product.service { 0_i64 } else { 10 },
            "ReorderQuantity": if product.service { 0_i64 } else { 48 },
        };
        fields.extend(
            numbered!("PriceTier")
                .into_iter()
                .zip(tiers.iter().map(|price| J::Dec(*price))),
        );
        fields.push((
            "PriceTiers",
            J::Obj(
                TIERS
                    .into_iter()
                    .zip(tiers.iter().map(|p| J::Dec(*p)))
                    .collect(),
            ),
        ));
        let more = fields! {
            "AverageCost": product.cost,
            "ShortDescription": &product.name,
            "Description": "",
            "InternalNote": "",
        };
        fields.extend(more);
        fields.extend(numbered!("AdditionalAttribute").map(|key| (key, J::Str(""))));
        let bom = product.bom.as_deref();
        let more = fields! {
            "AttributeSet": J::Null,
            "DiscountRule": J::Null,
            "Tags": "",
            "Status": if product.deprecated { "Deprecated" } else { "Active" },
            "StockLocator": "",
            "COGSAccount": account("310"),
            "RevenueAccount": "200",
            "ExpenseAccount": if product.service { J::Str("429") } else { J::Null },
            "InventoryAccount": account("630"),
            "PurchaseTaxRule": "20% (VAT on Expenses)",
            "SaleTaxRule": TAX_RULES[0].0,
            "LastModifiedOn": product.modified,
            "Sellable": true,
            "PickZones": "",
            "BillOfMaterial": bom.is_some(),
            "AutoAssembly": bom.is_some_and(|bom| bom.auto),
            "AutoDisassembly": bom.is_some_and(|bom| bom.auto_disassembly),
            "QuantityToProduce": bom.map_or(Decimal::ONE, |bom| bom.makes),
            "AlwaysShowQuantity": 0_i64,
            "AssemblyInstructionURL": "",
            "AssemblyCostEstimationMethod": "Average Cost",
            "BOMType": if bom.is_some() { "Assembly" } else { "None" },
            "Suppliers": if view.suppliers { self.product_suppliers(at) } else { vec![] },
            "ReorderLevels": if view.reorder && !product.service { self.reorder_levels() } else { vec![] },
            "BillOfMaterialsProducts": if view.bom { self.bom_products(product) } else { vec![] },
            "BillOfMaterialsServices": if view.bom { self.bom_services(product) } else { vec![] },
            "Movements": if view.movements { self.product_movements(at) } else { vec![] },
            "Attachments": if view.attachments { self.attachments("product/attachments", "ProductID", product.id) } else { vec![] },
            "CustomPrices": if view.prices { self.papers_where("custom-prices", "ProductID", product.id) } else { vec![] },
            "CartonHeight": 0_i64,
            "CartonWidth": 0_i64,
            "CartonLength": 0_i64,
            "CartonQuantity": 0_i64,
            "CartonInnerQuantity": 0_i64,
            "HSCode": "",
            "CountryOfOrigin": "",
            "CountryOfOriginCode": "",
            "WarrantyName": "",
            "CreatedDate": J::Null,
        };
        fields.extend(more);
        let mut doc = J::Obj(fields);
        overlay(&mut doc, product.written.as_deref());
        doc
    }

    pub(crate) fn product_suppliers(&self, at: u32) -> Vec<J<'_>> {
        let product = self.product(at);
        let one = |which: &u16| {
            let supplier = &self.suppliers[*which as usize];
            obj! {
                "SupplierID": supplier.id,
                "SupplierName": &supplier.name,
                "ProductID": product.id,
                "ProductSupplierID": super::super::world::id_of(&format!("{}/{}", supplier.id, product.id)),
                "SupplierInventoryCode": format!("{}-{}", &supplier.name[..3].to_uppercase(), product.sku),
                "SupplierProductName": &product.name,
                "Cost": product.cost,
                "FixedCost": product.cost,
                "PurchaseCost": product.cost,
                "Currency": self.currency(),
                "DropShip": false,
                "SupplierProductURL": "",
                "LastSupplied": J::Null,
                "ProductSupplierOptions": J::Arr(vec![]),
            }
        };
        product.suppliers.iter().map(one).collect()
    }

    fn reorder_levels(&self) -> Vec<J<'_>> {
        let level = |at: u16| {
            obj! {
                "LocationID": self.place(at).id,
                "LocationName": &self.place(at).name,
                "MinimumBeforeReorder": 10_i64,
                "ReorderQuantity": 48_i64,
                "StockLocator": "",
                "PickZones": "",
            }
        };
        vec![level(0)]
    }

    fn bom_products(&self, product: &Product) -> Vec<J<'_>> {
        let parts = product.bom.iter().flat_map(|bom| bom.parts.iter());
        let lines = parts.map(|part| {
            let component = self.product(part.product);
            obj! {
                "ComponentProductID": component.id,
                "ProductCode": &component.sku,
                "Name": &component.name,
                "Quantity": part.quantity,
                "WastagePercent": part.wastage_percent,
                "WastageQuantity": part.wastage_quantity,
                "CostPercentage": part.cost_percent,
            }
        });
        lines.collect()
    }

    fn bom_services(&self, product: &Product) -> Vec<J<'_>> {
        let services = product.bom.iter().flat_map(|bom| bom.services.iter());
        let lines = services.map(|service| {
            let component = self.product(service.product);
            obj! {
                "ComponentProductID": component.id,
                "Name": &component.name,
                "Quantity": service.quantity,
                "ExpenseAccount": "429",
                "PriceTier": 1_i64,
            }
        });
        lines.collect()
    }

    /// Movements since the account was opened, after one opening line per card: they add up to what is on hand.
    fn product_movements(&self, at: u32) -> Vec<J<'_>> {
        let stock = &self.stock;
        let opening = stock.cards_of(at).filter_map(|(key, card)| {
            let quantity = stock.opening.get(key).copied().unwrap_or(card.on_hand);
            (!quantity.is_zero()).then(|| {
                self.movement(
                    "Stocktake",
                    "ST-00000",
                    *key,
                    quantity,
                    quantity * card.cost,
                )
            })
        });
        let since = stock
            .movements
            .iter()
            .filter(|m| m.key.product == at)
            .map(|m| {
                let mut doc = self.movement(m.kind, &m.number, m.key, m.quantity, m.amount);
                doc.set("TaskID", J::Id(m.task));
                doc.set("Date", J::Date(m.date));
                doc
            });
        opening.chain(since).collect()
    }

    fn movement<'a>(
        &'a self,
        kind: &'a str,
        number: &'a str,
        key: CardKey,
        quantity: Decimal,
        amount: Decimal,
    ) -> J<'a> {
        let (batch, expiry) = self.batch_of(key.batch);
        obj! {
            "TaskID": super::super::world::id_of("opening stock"),
            "Type": kind,
            "Date": self.product(key.product).modified.to_zoned(jiff::tz::TimeZone::UTC).date(),
            "Number": number,
            "Status": "COMPLETED",
            "Quantity": quantity,
            "Amount": amount.round_dp(4),
            "Location": self.place_name(key.place),
            "BatchSN": batch,
            "ExpiryDate": expiry,
            "FromTo": "",
        }
    }

    /// Whether a product was made part of a family by rule.
    pub(crate) fn family_document(&self, at: u32) -> J<'_> {
        let product = self.product(at);
        let member = obj! {
            "ID": product.id, "SKU": &product.sku, "Name": &product.name,
            "Option1": "Standard", "Option2": "", "Option3": "",
        };
        let mut fields = fields! {
            "Products": vec![member],
            "ID": super::super::world::id_of(&format!("family/{}", product.sku)),
            "SKU": format!("{}-F", product.sku),
            "Name": format!("{} (all finishes)", product.name),
            "Category": &product.category,
            "DefaultLocation": &self.place(0).name,
            "Brand": product.brand,
            "CostingMethod": product.costing,
            "UOM": product.uom,
            "MinimumBeforeReorder": 10_i64,
            "ReorderQuantity": 48_i64,
        };
        fields.extend(
            numbered!("PriceTier")
                .into_iter()
                .zip((1..=10).map(|t| J::Dec(product.tier_price(t)))),
        );
        let more = fields! {
            "ShortDescription": "", "Description": "", "AttributeSet": J::Null, "DiscountRule": J::Null, "Tags": "",
            "COGSAccount": "310", "RevenueAccount": "200", "InventoryAccount": "630",
            "PurchaseTaxRule": "20% (VAT on Expenses)", "SaleTaxRule": TAX_RULES[0].0, "DropShipMode": "No Drop Ship",
            "Option1Name": "Finish", "Option2Name": "", "Option3Name": "",
            "Option1Values": "Standard", "Option2Values": "", "Option3Values": "",
            "LastModifiedOn": product.modified, "Attachments": J::Arr(vec![]),
            "HSCode": "", "CountryOfOrigin": "", "CountryOfOriginCode": "",
        };
        fields.extend(more);
        J::Obj(fields)
    }

    /// One row of `ref/productavailability`.
    pub(crate) fn availability_row<'a>(&'a self, key: &CardKey, card: &Card) -> J<'a> {
        let product = self.product(key.product);
        let none = Coming::default();
        let coming = self
            .stock
            .coming
            .get(&(key.product, key.at))
            .unwrap_or(&none);
        let (batch, expiry) = self.batch_of(key.batch);
        obj! {
            "ID": product.id,
            "SKU": &product.sku,
            "Name": &product.name,
            "Barcode": barcode(key.product),
            "Location": &self.place(key.at).name,
            "Bin": (key.place != key.at).then(|| self.place(key.place).name.as_str()),
            "Batch": batch,
            "ExpiryDate": expiry,
            "OnHand": card.on_hand,
            "Allocated": card.allocated,
            "Available": card.on_hand - card.allocated,
            "OnOrder": coming.on_order,
            "StockOnHand": (card.on_hand * card.cost).round_dp(2),
            "InTransit": coming.in_transit,
            "NextDeliveryDate": coming.next_delivery.filter(|_| coming.on_order > Decimal::ZERO),
        }
    }
}

fn barcode(at: u32) -> String {
    format!("5{:012}", 10_000_000 + u64::from(at) * 7)
}
