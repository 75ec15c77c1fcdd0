//! Small rules that building and writing share.

use super::assembly::Planned;
use super::purchase::Purchase;
use super::{World, id_of};
use crate::cin7::json::J;
use crate::cin7::world::sale::Status;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

impl World {
    /// What making `quantity` of a product takes, by its BOM: components first, then services.
    pub(crate) fn planned_for(&self, product: u32, quantity: Decimal) -> Vec<Planned> {
        let Some(bom) = &self.product(product).bom else {
            return vec![];
        };
        let runs = quantity / bom.makes.max(Decimal::new(1, 4));
        let parts = bom.parts.iter().map(|part| Planned {
            product: part.product,
            quantity: (part.quantity * runs).round_dp(4),
            wastage_percent: part.wastage_percent,
            wastage_quantity: (part.wastage_quantity * runs).round_dp(4),
            total: (part.consumed() * runs).round_dp(4),
            expense_account: String::new(),
        });
        let services = bom.services.iter().map(|service| Planned {
            product: service.product,
            quantity: (service.quantity * runs).round_dp(4),
            wastage_percent: Decimal::ZERO,
            wastage_quantity: Decimal::ZERO,
            total: (service.quantity * runs).round_dp(4),
            expense_account: "429".into(),
        });
        parts.chain(services).collect()
    }

    /// What a purchase still has to deliver, by product.
    pub(crate) fn purchase_due(&self, purchase: &Purchase) -> BTreeMap<u32, Decimal> {
        let mut due: BTreeMap<u32, Decimal> = BTreeMap::new();
        if purchase.order != Status::Authorised || purchase.voided {
            return due;
        }
        for line in purchase
            .lines
            .iter()
            .filter(|l| !self.product(l.product).service)
        {
            *due.entry(line.product).or_default() += line.quantity;
        }
        for receipt in purchase
            .receipts
            .iter()
            .filter(|r| r.status == Status::Authorised)
        {
            for line in &receipt.lines {
                let left = due.entry(line.product).or_default();
                *left = (*left - line.quantity).max(Decimal::ZERO);
            }
        }
        due.retain(|_, quantity| *quantity > Decimal::ZERO);
        due
    }

    /// Adds what a purchase still has to deliver to `OnOrder`; `sign` −1 takes it back.
    pub(crate) fn expect_purchase(&mut self, purchase: &Purchase, sign: Decimal) {
        for (product, quantity) in self.purchase_due(purchase) {
            self.stock
                .expect(product, purchase.location, quantity * sign, Decimal::ZERO);
            if let Some(coming) = self.stock.coming.get_mut(&(product, purchase.location)) {
                coming.next_delivery = purchase.required;
            }
        }
    }

    /// The papers at `path` whose member `key` is `id`.
    pub(crate) fn papers_where(&self, path: &str, key: &str, id: Uuid) -> Vec<J<'_>> {
        let papers = self.papers.get(path).into_iter().flatten();
        papers
            .filter(|paper| paper[key].as_str().is_some_and(|text| same_id(text, id)))
            .map(J::Val)
            .collect()
    }

    /// The attachments of a record, without the member that ties them to it.
    pub(crate) fn attachments(&self, path: &str, key: &str, id: Uuid) -> Vec<J<'_>> {
        let mut found = self.papers_where(path, key, id);
        for paper in &mut found {
            if let J::Val(Value::Object(fields)) = paper {
                let rest = fields.iter().filter(|(name, _)| name.as_str() != key);
                *paper = J::Own(
                    rest.map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                );
            }
        }
        found
    }
}

fn same_id(text: &str, id: Uuid) -> bool {
    Uuid::parse_str(text).is_ok_and(|found| found == id)
}

/// Adds the few documents of the production module: one work centre, a BOM per fifth kit, an order for each.
pub(crate) fn production(world: &mut World, at: Timestamp) {
    let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = format!("{day}T00:00:00");
    let centre = id_of("workcenter/Assembly bench");
    let kits = world
        .products
        .iter()
        .enumerate()
        .filter(|(_, p)| p.bom.is_some())
        .step_by(5)
        .take(12);
    let (mut boms, mut orders) = (vec![], vec![]);
    for (nth, (_, kit)) in kits.enumerate() {
        let Some(bom) = &kit.bom else { continue };
        let components = bom.parts.iter().enumerate().map(|(position, part)| {
            let component = world.product(part.product);
            json!({"BOMComponentID": id_of(&format!("{}/{position}", kit.id)), "ProductID": component.id,
                   "ProductSKU": component.sku, "ProductName": component.name, "Quantity": number(part.quantity),
                   "WastageQty": 0, "WastagePercent": number(part.wastage_percent), "Cost": number(component.cost),
                   "CostingMethod": component.costing, "Unit": component.uom, "Position": position + 1,
                   "SalePriceTier": 1, "IsBackflush": true})
        });
        boms.push(json!({"ProductID": kit.id, "ProductionBOMs": [{
            "BOMID": id_of(&format!("bom/{}", kit.id)), "OutputQuantity": number(bom.makes), "BufferPercent": 0,
            "InstructionUrl": "", "IgnoreCumulativeLeadTime": false, "ComponentProductionLeadTime": 0, "Version": 1,
            "Name": format!("{} standard", kit.sku), "IsDefault": true, "CreatedDate": day, "DeliveryToID": null,
            "DeliveryToName": null, "IssueMethod": 0, "IsTracing": false, "IssueMethodComponent": 0,
            "IssueMethodParameter": 0, "MinQuantity": 0, "MaxQuantity": 0, "DeviationPercent": 0, "RunSize": 0,
            "Operations": [{"OperationID": id_of(&format!("operation/{}", kit.id)), "Order": 1, "Name": "Assemble",
                "CycleTime": 60, "UnitsPerCycle": 1, "WorkCenterID": centre, "WorkCenterName": "Assembly bench",
                "OperationType": "Assembly", "IsDropShip": false, "IsBackflush": true, "Resources": [],
                "Components": components.collect::<Vec<_>>(), "Attachments": [], "Notes": [], "OperationLinks": [],
                "InputProducts": [], "OutputProducts": [], "FinishedProducts": []}]}]}));
        let id = id_of(&format!("production order/{nth}"));
        let (status, order_status) = [
            ("RELEASED", "IN PROGRESS"),
            ("DRAFT", "DRAFT"),
            ("RELEASED", "COMPLETED"),
        ][nth % 3];
        let done = order_status == "COMPLETED";
        let mut order = json!({"TaskID": id, "ProductionOrderID": id, "Type": "O", "ProductID": kit.id,
            "ProductSKU": kit.sku, "ProductName": kit.name, "OrderNumber": format!("MO-{:05}", nth + 1),
            "LocationID": world.places[0].id, "LocationName": world.places[0].name, "Status": status,
            "OrderStatus": order_status, "Quantity": number(bom.makes * Decimal::TEN), "StartDate": day,
            "ReleaseDate": if status == "RELEASED" { json!(day) } else { Value::Null }, "RequiredByDate": day,
            "CompletionDate": if done { json!(day) } else { Value::Null }, "CapacityCalculationType": "Infinite",
            "WIPAccountCode": "721", "FinishedGoodsAccountCode": "720", "Comments": "", "Tags": "",
            "SourceTaskID": null, "SourceTaskNumber": null, "SourceTaskType": null, "IsSourceTaskVoided": false,
            "SourceTasks": []});
        for field in 1..=10 {
            order[format!("CustomField{field}")] = json!("");
        }
        orders.push(order);
    }
    world.papers.insert("production/productionbom", boms);
    world.papers.insert("production/orderlist", orders);
    world.papers.insert(
        "production/workcenters",
        vec![json!({"WorkCenterID": centre, "Name": "Assembly bench", "Code": "WC-1", "IsActive": true,
                    "LocationID": world.places[0].id, "LocationName": world.places[0].name})],
    );
}

/// A decimal as an exact JSON number.
pub(crate) fn number(value: Decimal) -> Value {
    serde_json::from_str(&value.normalize().to_string()).unwrap_or(Value::Null)
}
