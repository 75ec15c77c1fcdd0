//! `[[hook]]`: what upstream tells of by itself, and which records that is about.

use std::sync::Arc;

use serde_json::Value;

use super::{Connector, Resource, reader::Table};
use crate::{field_path::FieldPath, record_key::normal_id};

/// The most records that one body may tell of; the rest comes with the next listing.
const RECORDS_MAX: usize = 1000;
/// Longer ids are no ids.
const ID_LENGTH_MAX: usize = 512;

/// A kind of body that upstream posts by itself: what it tells of is fetched, what else it says is not believed.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its name, unlike any other hook's.
    pub name: String,
    /// Where a body says what happened.
    pub event_at: FieldPath,
    /// What happened is one of ours when it begins with one of these, in any case of letters.
    pub events: Vec<String>,
    /// Where a body holds an array of what it tells of; absent: it tells of one record itself.
    pub rows_at: Option<FieldPath>,
    /// Where the record's id is; the first that is there counts.
    pub ids: Vec<FieldPath>,
    /// The resource of the record.
    pub resource: String,
}

impl Hook {
    pub(super) fn read(table: &Table<'_>) -> Self {
        let events = table.texts("events").unwrap_or_default();
        if events.is_empty() || events.iter().any(String::is_empty) {
            table.problem("events", "must name what happened: how its text begins");
        }
        let ids = table.texts("ids").unwrap_or_default();
        if ids.is_empty() {
            table.problem("ids", "is missing: name where the record's id is");
        }
        Self {
            name: table.need_name("name"),
            event_at: table.need_path("event_at"),
            events,
            rows_at: table.path("rows_at"),
            ids: ids
                .iter()
                .filter_map(|text| table.parse_path("ids", text))
                .collect(),
            resource: table.need_text("resource"),
        }
    }

    /// Whether a body is one of this kind.
    fn is_for(&self, body: &Value) -> bool {
        let Some(event) = at(body, &self.event_at).and_then(Value::as_str) else {
            return false;
        };
        self.events.iter().any(|begin| {
            event
                .get(..begin.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(begin))
        })
    }

    fn ids_in(&self, body: &Value, lower_guids: bool) -> Vec<String> {
        let rows = match &self.rows_at {
            None => std::slice::from_ref(body),
            Some(path) => at(body, path)
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default(),
        };
        let mut ids: Vec<String> = rows
            .iter()
            .take(RECORDS_MAX)
            .filter_map(|row| self.ids.iter().find_map(|path| id_of(at(row, path)?)))
            .map(|id| normal_id(&id, lower_guids))
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

fn at<'a>(value: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    path.keys()
        .iter()
        .try_fold(value, |value, key| value.get(key))
}

/// A text or a whole number, as long as ids are.
fn id_of(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    ((1..=ID_LENGTH_MAX).contains(&id.len()) && !id.contains('\0')).then_some(id)
}

impl Connector {
    /// The records that a body tells of, by resource: those of the first `[[hook]]` that it fits. Nothing when it fits
    /// none; at most 1,000 of a body.
    pub fn told_by(&self, body: &Value) -> Option<(Arc<Resource>, Vec<String>)> {
        let hook = self.hooks.iter().find(|hook| hook.is_for(body))?;
        let resource = self.resource(&hook.resource)?;
        let ids = hook.ids_in(body, resource.key_lower);
        Some((Arc::clone(resource), ids))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Connector;

    const FILE: &str = r#"
name = "shop"
base_url = "https://shop.example"
[auth]
kind = "bearer"
token = "{key}"
[limits]
calls_per_minute = 60
[[resource]]
name = "sale"
list = "sales"
get = "sales/{id}"
key = "ID"
key_case = "lower"
[[resource]]
name = "customer"
list = "customers"
get = "customers/{id}"
key = "id"
[[hook]]
name = "sale"
event_at = "EventType"
events = ["Sale/"]
ids = ["SaleID", "SaleTaskID"]
resource = "sale"
[[hook]]
name = "customer"
event_at = "meta.kind"
events = ["customer.created", "customer.updated"]
rows_at = "rows"
ids = ["customer.id"]
resource = "customer"
"#;

    fn told(body: Value) -> Option<(String, Vec<String>)> {
        let connector =
            Connector::parse("shop.toml", FILE).unwrap_or_else(|found| panic!("{found}"));
        let (resource, ids) = connector.told_by(&body)?;
        Some((resource.name.clone(), ids))
    }

    #[test]
    fn the_first_id_that_is_there_counts_and_guids_have_one_case() {
        let guid = "0F8FAD5B-D9CB-469F-A165-70867728950E";
        for key in ["SaleID", "SaleTaskID"] {
            let mut body = json!({ "EventType": "sale/Created", "SaleOrderNumber": "SO-1" });
            body[key] = json!(guid);
            let (resource, ids) = told(body).unwrap_or_default();
            assert_eq!(
                (resource.as_str(), ids),
                ("sale", vec![guid.to_lowercase()])
            );
        }
    }

    #[test]
    fn rows_are_told_of_once_each_and_odd_ids_are_left_out() {
        let row = |id: Value| json!({ "customer": { "id": id } });
        let odd = [
            json!(null),
            json!(""),
            json!(1.5),
            json!([7]),
            json!("a\0b"),
            json!("x".repeat(600)),
        ];
        let mut rows: Vec<Value> = odd.into_iter().map(row).collect();
        rows.extend([row(json!(12)), row(json!("12")), row(json!(" 7 "))]);
        let body = json!({ "meta": { "kind": "customer.updated" }, "rows": rows });
        assert_eq!(told(body).unwrap_or_default().1, ["12", "7"]);
        let many: Vec<Value> = (0..5000).map(|n| row(json!(n))).collect();
        let body = json!({ "meta": { "kind": "customer.updated" }, "rows": many });
        assert_eq!(told(body).unwrap_or_default().1.len(), 1000);
    }

    #[test]
    fn what_is_nobodys_is_nobodys() {
        for body in [
            json!({ "EventType": "Purchase/Updated", "SaleID": "1" }),
            json!({ "EventType": 5, "SaleID": "1" }),
            json!({ "SaleID": "1" }),
            json!([{ "EventType": "Sale/Created", "SaleID": "1" }]),
            json!("Sale/Created"),
            json!({ "meta": { "kind": "customer.deleted" } }),
            json!(null),
        ] {
            assert_eq!(told(body.clone()), None, "{body}");
        }
        let body = json!({ "EventType": "Sale/Created" });
        assert_eq!(told(body), Some(("sale".to_owned(), Vec::new())));
    }

    #[test]
    fn a_hook_to_nowhere_is_told_with_its_line() {
        let wrong = FILE.replacen("resource = \"sale\"", "resource = \"sal\"", 1);
        let found = Connector::parse("shop.toml", &wrong).map(drop);
        let said = found.map_or_else(|found| found.to_string(), |()| String::new());
        assert!(
            said.contains("hook.sale.resource") && said.contains("did you mean `sale`"),
            "{said}"
        );
    }
}
