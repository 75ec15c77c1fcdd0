//! What else happens when a record is created, changed or deleted.

use super::{Action, defaults::cents};
use crate::connectwise::kinds::{Kind, kind};
use crate::connectwise::render::stamp;
use crate::connectwise::world::{Members, World};
use serde_json::{Value, json};

impl World {
    /// Brings what depends on the status into line: when and by whom a deal or ticket was closed.
    pub(super) fn follow_status(&self, of: &Kind, before: &Members, members: &mut Members) {
        let id = |members: &Members| members.get("status").and_then(Value::as_i64);
        let (status, now) = (id(members), stamp(self.now()));
        match of.name {
            "opportunity" if id(before) != status => {
                if self.flag("opportunityStatus", status, "closedFlag") {
                    if !members.contains_key("closedDate") {
                        members.insert("closedDate".into(), now.into());
                    }
                    members.insert("closedBy".into(), self.actor_id().into());
                } else if id(before).is_some() {
                    members.remove("closedDate");
                    members.remove("closedBy");
                }
            }
            "ticket" => {
                let closed = self.flag("ticketStatus", status, "closedStatus");
                if closed && before.get("closedFlag") != Some(&Value::Bool(true)) {
                    members.insert("closedDate".into(), now.into());
                    members.insert("closedBy".into(), (*self.actor).into());
                } else if !closed {
                    members.remove("closedDate");
                    members.remove("closedBy");
                }
                members.insert("closedFlag".into(), closed.into());
            }
            "adjustment" => {
                let closed =
                    |members: &Members| members.get("closedFlag") == Some(&Value::Bool(true));
                if closed(members) && !closed(before) {
                    members.insert("closedDate".into(), now.into());
                    members.insert("closedBy".into(), (*self.actor).into());
                }
            }
            "product" => {
                let cancelled =
                    |members: &Members| members.get("cancelledFlag") == Some(&Value::Bool(true));
                if cancelled(members) && !cancelled(before) {
                    members.insert("cancelledDate".into(), now.into());
                    members.insert("cancelledBy".into(), self.actor_id().into());
                    let none =
                        members.get("quantityCancelled").and_then(Value::as_f64) == Some(0.0);
                    if let Some(all) = members.get("quantity").cloned().filter(|_| none) {
                        members.insert("quantityCancelled".into(), all);
                    }
                }
            }
            _ => {}
        }
    }

    /// After a record has been created.
    pub(super) fn created(&mut self, of: &'static Kind, id: i64) {
        self.drawn += 1;
        match of.name {
            "product" => self.product_to_forecast(id),
            "catalogItem" => self.shelve(id),
            _ => {}
        }
    }

    /// After a record has been changed.
    pub(super) fn changed(&mut self, of: &'static Kind, id: i64, before: &Members) {
        match of.name {
            "opportunity" => self.stage_changed(id, before),
            "product" => self.product_to_forecast(id),
            "forecastItem" => self.forecast_to_product(id),
            _ => {}
        }
    }

    /// Before a record is removed.
    pub(super) fn deleting(&mut self, of: &'static Kind, id: i64) {
        match of.name {
            "product" => {
                if let Some(item) = self.link(of, id, "forecastDetailId") {
                    self.remove(kind("forecastItem"), item);
                }
            }
            "forecastItem" => {
                for product in self.products_of(id) {
                    self.remove(kind("product"), product);
                }
            }
            "opportunity" => {
                for name in ["product", "activity"] {
                    for id in self.linked(kind(name), "opportunity", id) {
                        self.remove(kind(name), id);
                    }
                }
            }
            "adjustmentDetail" => self.take_back(id),
            "adjustment" => {
                for detail in self.ids(kind("adjustmentDetail"), Some(id)) {
                    self.take_back(detail);
                }
            }
            _ => {}
        }
    }

    /// The service writes an activity of its own when a deal changes its stage.
    fn stage_changed(&mut self, id: i64, before: &Members) {
        let opportunities = kind("opportunity");
        let (from, to) = (
            before.get("stage").and_then(Value::as_i64),
            self.link(opportunities, id, "stage"),
        );
        if from == to {
            return;
        }
        let now = stamp(self.now());
        if let Some(row) = self.row_mut(opportunities, id) {
            row.members
                .insert("pipelineChangeDate".into(), now.clone().into());
        }
        let name = |stage: Option<i64>| {
            let stages = kind("stage");
            let row = stage.and_then(|stage| self.row(stages, stage));
            let name = row.and_then(|row| row.members.get("name")?.as_str());
            name.unwrap_or("none").to_owned()
        };
        let text = format!("Stage Change from {} to {}", name(from), name(to));
        let mut members = Members::new();
        for link in ["company", "contact"] {
            if let Some(linked) = self.link(opportunities, id, link) {
                members.insert(link.into(), linked.into());
            }
        }
        let historical = self.find_by(kind("activityType"), "name", "Historical Entry");
        members.extend([
            ("name".into(), text.clone().into()),
            ("notes".into(), text.into()),
            ("opportunity".into(), id.into()),
            ("type".into(), historical.into()),
            ("status".into(), json!(2)),
            ("assignTo".into(), self.actor_id().into()),
            ("dateStart".into(), now.clone().into()),
            ("dateEnd".into(), now.into()),
            ("notifyFlag".into(), false.into()),
        ]);
        let activity = self.add(kind("activity"), members);
        self.announce(kind("activity"), activity, Action::Added);
    }

    /// Completes a product as the service would, without an event.
    pub(crate) fn seed_product(&self, members: &mut Members) {
        self.fill_defaults(kind("product"), members);
    }

    /// Gives a product of the start its line in the forecast, stamped as the product.
    pub(crate) fn seed_forecast(&mut self, product: i64, at: jiff::Timestamp) {
        self.product_to_forecast(product);
        let (products, items) = (kind("product"), kind("forecastItem"));
        if let Some(item) = self.link(products, product, "forecastDetailId")
            && let Some(row) = self.row_mut(items, item)
        {
            row.updated = crate::connectwise::world::whole_second(at);
            row.entered = row.updated;
        }
    }

    /// The records of a kind whose member refers to `id`.
    pub(crate) fn linked(&self, of: &Kind, member: &str, id: i64) -> Vec<i64> {
        let rows = self.table(of).rows.values();
        rows.filter(|row| row.members.get(member).and_then(Value::as_i64) == Some(id))
            .map(|row| row.id)
            .collect()
    }

    pub(crate) fn products_of(&self, item: i64) -> Vec<i64> {
        self.linked(kind("product"), "forecastDetailId", item)
    }

    /// A product of a deal has a line in its forecast, which follows it.
    fn product_to_forecast(&mut self, id: i64) {
        let (products, items) = (kind("product"), kind("forecastItem"));
        let Some(members) = self.row(products, id).map(|row| row.members.clone()) else {
            return;
        };
        let Some(opportunity) = members.get("opportunity").and_then(Value::as_i64) else {
            return;
        };
        if members.get("bypassForecastUpdate") == Some(&Value::Bool(true)) {
            return;
        }
        let number = |name: &str| members.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        let (revenue, cost) = (
            number("quantity") * number("price") - number("discount"),
            number("quantity") * number("cost"),
        );
        let known = members.get("forecastDetailId").and_then(Value::as_i64);
        let mut line = known
            .and_then(|item| self.row(items, item))
            .map(|row| row.members.clone())
            .unwrap_or_default();
        line.extend([
            ("opportunity".into(), opportunity.into()),
            ("quantity".into(), json!(number("quantity"))),
            ("revenue".into(), cents(revenue)),
            ("cost".into(), cents(cost)),
            ("margin".into(), cents(revenue - cost)),
            ("forecastType".into(), "Product".into()),
        ]);
        for (name, from) in [
            ("catalogItem", "catalogItem"),
            ("productDescription", "description"),
            ("productClass", "productClass"),
            ("taxableFlag", "taxableFlag"),
            ("status", "forecastStatus"),
        ] {
            if let Some(value) = members.get(from) {
                line.insert(name.into(), value.clone());
            }
        }
        let text = members.get("description").and_then(Value::as_str);
        let short: String = text.unwrap_or_default().chars().take(50).collect();
        line.insert("forecastDescription".into(), short.into());
        match known.filter(|item| self.row(items, *item).is_some()) {
            Some(item) => {
                if let Some(row) = self.row_mut(items, item) {
                    row.members = line;
                }
                self.stamp(items, item);
            }
            // A line that was replaced under a new id stays lost to its product.
            None if known.is_some() => {}
            None => {
                line.entry("includeFlag").or_insert(true.into());
                line.entry("linkFlag").or_insert(true.into());
                line.entry("recurringFlag").or_insert(false.into());
                line.entry("percentage").or_insert(json!(100));
                let item = self.add(items, line);
                if let Some(row) = self.row_mut(products, id) {
                    row.members.insert("forecastDetailId".into(), item.into());
                }
            }
        }
    }

    /// A changed line changes the product that stands behind it.
    fn forecast_to_product(&mut self, item: i64) {
        let Some(line) = self
            .row(kind("forecastItem"), item)
            .map(|row| row.members.clone())
        else {
            return;
        };
        let products = kind("product");
        for id in self.products_of(item) {
            let quantity = line.get("quantity").and_then(Value::as_f64).unwrap_or(1.0);
            let each = |name: &str| {
                let value = line.get(name).and_then(Value::as_f64).unwrap_or(0.0);
                if quantity == 0.0 {
                    json!(0.0)
                } else {
                    cents(value / quantity)
                }
            };
            let (price, cost) = (each("revenue"), each("cost"));
            if let Some(row) = self.row_mut(products, id) {
                row.members.insert("quantity".into(), json!(quantity));
                row.members.insert("price".into(), price);
                row.members.insert("cost".into(), cost);
            }
            self.stamp(products, id);
        }
    }
}
