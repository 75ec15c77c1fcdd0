//! Catalog, warehouses, stock and its adjustments.

use super::{DAY, HOUR, Seeder, custom_with, guid, text};
use crate::connectwise::kinds::kind;
use crate::connectwise::world::Members;
use serde_json::json;

const REASONS: [&str; 3] = ["Physical count", "Damaged goods", "Goods received"];
const GOODS: [&str; 10] = [
    "Switch 24 port",
    "Access point",
    "Firewall",
    "Laptop 14 inch",
    "Monitor 27 inch",
    "Docking station",
    "SSD 1 TB",
    "UPS 1500 VA",
    "Patch panel",
    "Headset",
];

impl Seeder<'_> {
    pub(super) fn catalog(&mut self) {
        let then = self.ago(3 * 365 * DAY);
        for (n, name) in ["Main Warehouse", "Service Van", "West Depot"]
            .into_iter()
            .enumerate()
        {
            let id = self.add(
                "warehouse",
                json!({"name": name, "company": 1, "location": 1, "department": 1, "manager": 1, "locationDefaultFlag": n == 0,
                       "overallDefaultFlag": n == 0, "inactiveFlag": false, "lockedFlag": false}),
                then,
                then,
            );
            let bins: &[&str] = if n == 0 {
                &["Default Bin", "A-01", "A-02"]
            } else {
                &["Default Bin"]
            };
            for bin in bins {
                self.add(
                    "warehouseBin",
                    json!({"name": bin, "warehouse": id, "location": 1, "department": 1, "defaultFlag": *bin == "Default Bin", "inactiveFlag": false}),
                    then,
                    then,
                );
            }
        }
        let count = self.world.options.size.catalog_items.max(10) as u64;
        for n in 0..count {
            self.act_as(n);
            let entered = self.ago(DAY * (300 + self.roll("item age", n, 700) as i64));
            let updated = self.ago(HOUR * (1 + self.roll("item edit", n, 7_000) as i64));
            let service = n % 10 == 9;
            let licence = n % 10 == 8;
            let class = if service {
                "Service"
            } else if licence {
                "NonInventory"
            } else {
                "Inventory"
            };
            let cost = (5 + self.roll("cost", n, 900)) as f64 + 0.5;
            let name = match (service, licence) {
                (true, _) => format!("Engineer hour grade {}", n / 10 + 1),
                (_, true) => format!("Licence plan {}", n / 10 + 1),
                _ => format!(
                    "{} model {}",
                    GOODS[self.roll("goods", n, 10) as usize],
                    n + 1
                ),
            };
            let id = self.add(
                "catalogItem",
                json!({
                    "identifier": format!("PND-{:05}", n + 1), "description": name, "inactiveFlag": n % 41 == 40,
                    "subcategory": if service { 4 } else if licence { 3 } else { 1 + n % 2 },
                    "category": if service { 3 } else if licence { 2 } else { 1 },
                    "type": if service { 3 } else if licence { 2 } else { 1 }, "productClass": class,
                    "serializedFlag": class == "Inventory" && n % 6 == 0, "serializedCostFlag": false, "phaseProductFlag": false,
                    "unitOfMeasure": if service { 2 } else { 1 }, "minStockLevel": 2, "price": (cost * 1.35 * 100.0).round() / 100.0,
                    "cost": cost, "taxableFlag": true, "dropShipFlag": false, "specialOrderFlag": false,
                    "customerDescription": name, "manufacturer": 1 + n % 3, "manufacturerPartNumber": format!("MPN-{n:06}"),
                    "vendorSku": format!("V{n:05}"), "recurringFlag": licence, "recurringRevenue": if licence { json!(cost) } else { json!(null) },
                    "recurringCost": if licence { json!(cost * 0.7) } else { json!(null) }, "connectWiseID": guid(self.seed, "item", n),
                    "customFields": custom_with("catalogItem", &[("Barcodes", format!("50{n:011}").into())]),
                }),
                entered,
                updated.max(entered),
            );
            if class == "Inventory" {
                self.shelves(id, n, entered);
            }
        }
    }

    fn shelves(&mut self, item: i64, n: u64, entered: jiff::Timestamp) {
        // Warehouse and bin: the main bin always, another for some.
        let mut places = vec![(1, 1)];
        if self.roll("second bin", n, 10) < 6 {
            places.push([(1, 2), (1, 3), (2, 4), (3, 5)][self.roll("which bin", n, 4) as usize]);
        }
        for (at, (warehouse, bin)) in places.into_iter().enumerate() {
            let key = n * 4 + at as u64;
            let empty = self.roll("empty", key, 15) == 0;
            let on_hand = if empty {
                0
            } else {
                1 + self.roll("on hand", key, 60)
            };
            self.add(
                "catalogInventory",
                json!({"catalogItem": item, "warehouse": warehouse, "warehouseBin": bin, "onHand": on_hand, "serialNumbers": []}),
                entered,
                entered,
            );
        }
    }

    pub(super) fn adjustments(&mut self) {
        let count = self.world.options.size.adjustments as u64;
        let inventory = kind("catalogInventory");
        let shelves = self.world.ids(inventory, None);
        for n in 0..count {
            self.act_as(n);
            // The newest is minutes old, the oldest two years.
            let age = 600 + (count - n) as i64 * (2 * 365 * DAY / (count as i64 + 1));
            let at = self.ago(age);
            let closed = self.roll("adjustment closed", n, 8) > 0;
            let ty = 1 + self.roll("adjustment type", n, 3);
            let id = self.add(
                "adjustment",
                json!({
                    "identifier": format!("ADJ-{:05}", n + 1), "type": ty,
                    "reason": REASONS[(ty - 1) as usize], "closedFlag": closed,
                    "closedBy": if closed { json!(&*self.world.actor) } else { json!(null) },
                    "closedDate": if closed { text(at) } else { json!(null) },
                }),
                at,
                at,
            );
            for line in 0..1 + self.roll("details", n, 4) {
                let key = n * 4 + line;
                let shelf = shelves[self.roll("shelf", key, shelves.len() as u64) as usize];
                let link = |name: &str| self.world.link(inventory, shelf, name).unwrap_or(1);
                let (item, warehouse, bin, on_hand) = (
                    link("catalogItem"),
                    link("warehouse"),
                    link("warehouseBin"),
                    link("onHand"),
                );
                let mut by = 1 + self.roll("adjusted", key, 5) as i64;
                if ty == 2 && on_hand > by {
                    by = -by;
                }
                let members = Members::from_iter([
                    ("catalogItem".into(), item.into()),
                    ("warehouse".into(), warehouse.into()),
                    ("warehouseBin".into(), bin.into()),
                    ("quantityAdjusted".into(), by.into()),
                ]);
                let detail = self.world.add_detail(id, members);
                for (of, id) in [(kind("adjustmentDetail"), detail), (inventory, shelf)] {
                    if let Some(row) = self.world.row_mut(of, id) {
                        row.updated = super::super::world::whole_second(at);
                        row.entered = row.entered.min(row.updated);
                    }
                }
            }
        }
    }
}
