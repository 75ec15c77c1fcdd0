//! The forecast of an opportunity: one document made of its lines.

use super::Action;
use super::patch::steps;
use super::stored::{Mode, stored_members};
use crate::connectwise::kinds::{Kind, kind};
use crate::connectwise::render::Model;
use crate::connectwise::reply::{Answer, Refusal};
use crate::connectwise::world::{Members, World};
use serde_json::{Map, Value, json};

impl World {
    /// The forecast as `GET` answers it.
    pub(crate) fn forecast(&self, opportunity: i64, model: Model) -> Answer<Value> {
        let deals = kind("opportunity");
        let Some(deal) = self.row(deals, opportunity) else {
            return Err(Refusal::not_found(deals.type_name, opportunity));
        };
        let items = kind("forecastItem");
        let ids = self.ids(items, Some(opportunity));
        let mut lines = vec![];
        let mut sums = [(0.0, 0.0); 8];
        let mut recurring = 0.0;
        for (at, id) in ids.into_iter().enumerate() {
            let Some(row) = self.row(items, id) else {
                continue;
            };
            let mut line = self.document(items, row, model);
            // Read-only, and always the place in the array.
            line["sequenceNumber"] = json!((at + 1) as f64);
            line["subNumber"] = json!(0);
            let number = |name: &str| row.members.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            let (revenue, cost) = (number("revenue"), number("cost"));
            recurring += number("recurringRevenue");
            let included = row.members.get("includeFlag") != Some(&Value::Bool(false));
            let status = row.members.get("status").and_then(Value::as_i64);
            let flag = |flag: &str| self.flag("opportunityStatus", status, flag);
            let by_type = match row.members.get("forecastType").and_then(Value::as_str) {
                Some("Service") => 1,
                Some("Agreement") => 2,
                Some("Other1") => 3,
                Some("Other2") => 4,
                _ => 0,
            };
            let by_status = if flag("wonFlag") {
                5
            } else if flag("lostFlag") {
                6
            } else {
                7
            };
            if included {
                for at in [by_type, by_status] {
                    sums[at] = (sums[at].0 + revenue, sums[at].1 + cost);
                }
            }
            lines.push(line);
        }
        let block = |(revenue, cost): (f64, f64)| {
            let margin = revenue - cost;
            let percentage = if revenue == 0.0 {
                0.0
            } else {
                margin / revenue * 100.0
            };
            json!({"id": opportunity, "revenue": round(revenue), "cost": round(cost), "margin": round(margin),
                   "percentage": percentage.round() as i64})
        };
        let total = sums[..5]
            .iter()
            .fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
        let probability = deal.members.get("probability").and_then(Value::as_i64);
        let probability = probability.and_then(|id| self.row(kind("probability"), id));
        let expected = probability.and_then(|row| row.members.get("probability")?.as_i64());
        let mut forecast = Map::from_iter([
            ("id".to_owned(), json!(opportunity)),
            ("forecastItems".into(), Value::Array(lines)),
            ("productRevenue".into(), block(sums[0])),
            ("serviceRevenue".into(), block(sums[1])),
            ("agreementRevenue".into(), block(sums[2])),
            ("timeRevenue".into(), block((0.0, 0.0))),
            ("expenseRevenue".into(), block((0.0, 0.0))),
            ("forecastRevenueTotals".into(), block(total)),
            ("inclusiveRevenueTotals".into(), block(total)),
            ("recurringTotal".into(), json!(round(recurring))),
            ("wonRevenue".into(), block(sums[5])),
            ("lostRevenue".into(), block(sums[6])),
            ("openRevenue".into(), block(sums[7])),
            ("otherRevenue1".into(), block(sums[3])),
            ("otherRevenue2".into(), block(sums[4])),
            ("salesTaxRevenue".into(), json!(0.0)),
            ("forecastTotalWithTaxes".into(), json!(round(total.0))),
            ("expectedProbability".into(), json!(expected.unwrap_or(0))),
        ]);
        let deal = self.document(deals, deal, model);
        for name in ["taxCode", "billingTerms", "currency"] {
            if let Some(value) = deal.get(name) {
                forecast.insert(name.into(), value.clone());
            }
        }
        if !self.options.hide_info {
            forecast.insert(
                "_info".into(),
                json!({"lastUpdated": self.forecast_stamp(opportunity)}),
            );
        }
        Ok(Value::Object(forecast))
    }

    /// When a line was changed last, or the opportunity entered.
    fn forecast_stamp(&self, opportunity: i64) -> String {
        let items = kind("forecastItem");
        let lines = self.ids(items, Some(opportunity));
        let last = lines
            .iter()
            .filter_map(|id| Some(self.row(items, *id)?.updated))
            .max();
        let entered = self
            .row(kind("opportunity"), opportunity)
            .map(|row| row.entered);
        last.or(entered)
            .map(crate::connectwise::render::stamp)
            .unwrap_or_default()
    }

    /// `POST forecast`: adds the lines of a forecast, or one line.
    pub(crate) fn add_forecast(&mut self, opportunity: i64, body: &Value) -> Answer<()> {
        let lines = self.lines(opportunity, body)?;
        for line in lines {
            self.add_line(line);
        }
        Ok(())
    }

    /// `PUT forecast`: every line is written anew under a new id, which cuts its products off.
    pub(crate) fn replace_forecast(&mut self, opportunity: i64, body: &Value) -> Answer<()> {
        let lines = self.lines(opportunity, body)?;
        let items = kind("forecastItem");
        for id in self.ids(items, Some(opportunity)) {
            self.remove(items, id);
        }
        for line in lines {
            let id = self.add(items, line);
            self.announce(items, id, Action::Updated);
        }
        Ok(())
    }

    /// `PATCH forecast` with paths such as `/forecastItems/0/forecastDescription`: ids stay.
    pub(crate) fn patch_forecast(&mut self, opportunity: i64, body: &Value) -> Answer<()> {
        let items = kind("forecastItem");
        let ids = self.ids(items, Some(opportunity));
        let mut plan = vec![];
        for step in steps("forecast", body)? {
            let parts: Vec<&str> = step.path.splitn(3, '/').collect();
            let wrong =
                || Refusal::bad_body("forecast", format!("The path {} does not exist", step.path));
            let ["forecastItems", at, rest] = parts.as_slice() else {
                return Err(wrong());
            };
            let id = at.parse::<usize>().ok().and_then(|at| ids.get(at));
            let op = if step.removes() { "remove" } else { "replace" };
            plan.push((
                *id.ok_or_else(wrong)?,
                json!([{"op": op, "path": rest, "value": step.value}]),
            ));
        }
        for (id, step) in plan {
            self.patch(items, id, &step)?;
        }
        Ok(())
    }

    /// `DELETE forecast`: all lines go.
    pub(crate) fn clear_forecast(&mut self, opportunity: i64) -> Answer<()> {
        let items = kind("forecastItem");
        for id in self.ids(items, Some(opportunity)) {
            self.delete(items, id)?;
        }
        Ok(())
    }

    /// Copies the forecast of another opportunity.
    pub(crate) fn copy_forecast(&mut self, opportunity: i64, from: i64) -> Answer<()> {
        let items = kind("forecastItem");
        if self.row(kind("opportunity"), from).is_none() {
            return Err(Refusal::not_found("Opportunity", from));
        }
        let lines = self.ids(items, Some(from));
        for id in lines {
            if let Some(mut line) = self.row(items, id).map(|row| row.members.clone()) {
                line.insert("opportunity".into(), opportunity.into());
                self.add_line(line);
            }
        }
        Ok(())
    }

    /// Adds a line; one with a catalog item gets a product behind it.
    pub(crate) fn add_line(&mut self, line: Members) -> i64 {
        let items = kind("forecastItem");
        let id = self.add(items, line.clone());
        let product = line.get("forecastType").and_then(Value::as_str) == Some("Product");
        if let Some(item) = line.get("catalogItem").filter(|_| product) {
            let quantity = line.get("quantity").and_then(Value::as_f64).unwrap_or(1.0);
            let each = |name: &str| {
                let value = line.get(name).and_then(Value::as_f64).unwrap_or(0.0);
                json!(if quantity == 0.0 {
                    0.0
                } else {
                    round(value / quantity)
                })
            };
            let mut members = Members::from_iter([
                ("catalogItem".into(), item.clone()),
                ("quantity".into(), json!(quantity)),
                ("price".into(), each("revenue")),
                ("cost".into(), each("cost")),
                ("billableOption".into(), "Billable".into()),
                ("forecastDetailId".into(), id.into()),
            ]);
            if let Some(deal) = line.get("opportunity") {
                members.insert("opportunity".into(), deal.clone());
            }
            let products = kind("product");
            self.fill_defaults(products, &mut members);
            let product = self.add(products, members);
            self.announce(products, product, Action::Added);
        }
        self.announce(items, id, Action::Added);
        id
    }

    /// The checked lines of a forecast or of one line.
    fn lines(&self, opportunity: i64, body: &Value) -> Answer<Vec<Members>> {
        if self.row(kind("opportunity"), opportunity).is_none() {
            return Err(Refusal::not_found("Opportunity", opportunity));
        }
        let rows = match body.get("forecastItems").and_then(Value::as_array) {
            Some(rows) => rows.iter().collect(),
            None => vec![body],
        };
        let items: &'static Kind = kind("forecastItem");
        rows.into_iter()
            .map(|row| {
                let mut row = row.as_object().cloned().unwrap_or_default();
                row.insert("opportunity".into(), json!({"id": opportunity}));
                let status = self.link(kind("opportunity"), opportunity, "status");
                if let Some(status) = status {
                    row.entry("status").or_insert(json!({"id": status}));
                }
                let mut line = stored_members(self, items, &row, Mode::Create)?;
                self.fill_defaults(items, &mut line);
                Ok(line)
            })
            .collect()
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
