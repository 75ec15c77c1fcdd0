//! Stock on hand: what adjustments do to it.

use super::stored::{Mode, stored_members};
use crate::connectwise::kinds::{Kind, kind};
use crate::connectwise::reply::Answer;
use crate::connectwise::world::{Members, World};
use serde_json::{Map, Value, json};

/// The details that the body of a new adjustment carries, checked.
pub(super) fn details_of(
    world: &World,
    of: &Kind,
    body: &Map<String, Value>,
) -> Answer<Vec<Members>> {
    let details = kind("adjustmentDetail");
    let rows = (of.name == "adjustment")
        .then(|| body.get("adjustmentDetails").and_then(Value::as_array))
        .flatten();
    let rows = rows.into_iter().flatten().filter_map(Value::as_object);
    rows.map(|row| stored_members(world, details, row, Mode::Create))
        .collect()
}

impl World {
    /// Adds a detail to an adjustment from what a client sent and answers its id.
    pub(crate) fn create_detail(&mut self, adjustment: i64, body: &Value) -> Answer<i64> {
        let details = kind("adjustmentDetail");
        let members = stored_members(self, details, super::object(details, body)?, Mode::Create)?;
        let id = self.add_detail(adjustment, members);
        self.stamp(kind("adjustment"), adjustment);
        Ok(id)
    }

    /// Books a detail of an adjustment and answers its id.
    pub(crate) fn add_detail(&mut self, adjustment: i64, mut members: Members) -> i64 {
        members.insert("adjustment".into(), adjustment.into());
        let number = |name: &str| members.get(name).and_then(Value::as_i64).unwrap_or(0);
        let (item, warehouse, bin) = (
            number("catalogItem"),
            number("warehouse"),
            number("warehouseBin"),
        );
        let by = number("quantityAdjusted");
        let before = self.move_stock(item, warehouse, bin, by);
        let shown = if self.options.on_hand_before {
            before
        } else {
            before + by
        };
        members.insert("quantityOnHand".into(), json!(shown as f64));
        let catalog = kind("catalogItem");
        let of_item = |part: &str| self.row(catalog, item)?.members.get(part).cloned();
        if let Some(text) = of_item("description") {
            let short: String = text.as_str().unwrap_or_default().chars().take(50).collect();
            members.entry("description").or_insert(short.into());
        }
        if let Some(cost) = of_item("cost") {
            members.entry("unitCost").or_insert(cost);
        }
        self.add(kind("adjustmentDetail"), members)
    }

    /// Undoes a detail.
    pub(super) fn take_back(&mut self, detail: i64) {
        let details = kind("adjustmentDetail");
        let link = |name: &str| self.link(details, detail, name).unwrap_or(0);
        let (item, warehouse, bin) = (link("catalogItem"), link("warehouse"), link("warehouseBin"));
        let by = link("quantityAdjusted");
        self.move_stock(item, warehouse, bin, -by);
    }

    /// Changes what lies in a bin and answers what lay there before.
    pub(crate) fn move_stock(&mut self, item: i64, warehouse: i64, bin: i64, by: i64) -> i64 {
        let inventory = kind("catalogInventory");
        let found = self
            .ids(inventory, Some(item))
            .into_iter()
            .find(|id| self.link(inventory, *id, "warehouseBin") == Some(bin));
        let id = found.unwrap_or_else(|| {
            self.add(
                inventory,
                Members::from_iter([
                    ("catalogItem".into(), item.into()),
                    ("warehouse".into(), warehouse.into()),
                    ("warehouseBin".into(), bin.into()),
                    ("onHand".into(), json!(0)),
                    ("serialNumbers".into(), json!([])),
                ]),
            )
        });
        let before = self.link(inventory, id, "onHand").unwrap_or(0);
        if let Some(row) = self.row_mut(inventory, id) {
            row.members.insert("onHand".into(), (before + by).into());
        }
        self.stamp(inventory, id);
        before
    }

    /// Gives a new stock item a row in the main bin.
    pub(super) fn shelve(&mut self, item: i64) {
        let class = self.row(kind("catalogItem"), item);
        let class = class.and_then(|row| row.members.get("productClass")?.as_str());
        if class == Some("Inventory") {
            self.move_stock(item, 1, 1, 0);
        }
    }

    /// What lies on hand of an item, in one bin or in all.
    pub(crate) fn on_hand(&self, item: i64, bin: Option<i64>) -> i64 {
        let inventory = kind("catalogInventory");
        self.ids(inventory, Some(item))
            .into_iter()
            .filter(|id| bin.is_none() || self.link(inventory, *id, "warehouseBin") == bin)
            .filter_map(|id| self.link(inventory, id, "onHand"))
            .sum()
    }
}
