//! Records as the service answers them.

use super::kinds::{Field, Kind, Ty, kind};
use super::world::{Members, Row, World};
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

/// Which model version a call asked for, and how empty members look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    /// Members that came with 2025.1 are part of it.
    pub new: bool,
}

impl World {
    /// A record as `GET` answers it.
    pub(crate) fn document(&self, kind: &Kind, row: &Row, model: Model) -> Value {
        let mut document = Map::new();
        document.insert("id".into(), row.id.into());
        self.members(kind, &row.members, model, &mut document);
        if kind.name == "adjustment" && !self.options.hide_adjustment_details {
            document.insert(
                "adjustmentDetails".into(),
                self.adjustment_details(row.id, model),
            );
        }
        if !self.options.hide_info {
            document.insert("_info".into(), self.info(kind, row));
        }
        Value::Object(document)
    }

    /// The details of an adjustment, which are records of their own.
    pub(crate) fn adjustment_details(&self, id: i64, model: Model) -> Value {
        let details = kind("adjustmentDetail");
        let rows = self.ids(details, Some(id)).into_iter();
        rows.filter_map(|id| Some(self.document(details, self.row(details, id)?, model)))
            .collect()
    }

    fn members(
        &self,
        kind: &Kind,
        members: &Members,
        model: Model,
        document: &mut Map<String, Value>,
    ) {
        for field in &kind.fields {
            if field.write_only
                || (field.new && !model.new)
                || matches!(field.ty, Ty::Info)
                || field.name == "id"
            {
                continue;
            }
            match members.get(field.name) {
                Some(value) => {
                    document.insert(field.name.into(), self.value(field, value, model));
                }
                None if self.options.explicit_nulls => {
                    document.insert(field.name.into(), Value::Null);
                }
                None => {}
            }
        }
    }

    fn value(&self, field: &Field, value: &Value, model: Model) -> Value {
        match &field.ty {
            Ty::Ref(target, members) => self.reference(field, kind(target), members, value),
            Ty::Refs(target) => {
                let ids = value.as_array().map(Vec::as_slice).unwrap_or_default();
                ids.iter()
                    .map(|id| self.reference(field, kind(target), &[], id))
                    .collect()
            }
            Ty::Rows(target) => {
                let target = kind(target);
                let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
                rows.iter()
                    .filter_map(Value::as_object)
                    .map(|row| {
                        let mut document = Map::new();
                        document.insert("id".into(), row.get("id").cloned().unwrap_or_default());
                        self.members(target, row, model, &mut document);
                        Value::Object(document)
                    })
                    .collect()
            }
            _ => value.clone(),
        }
    }

    /// `{id, name, _info}` of the record that `value` names; one that has gone keeps its id only.
    fn reference(&self, field: &Field, target: &Kind, members: &[&str], value: &Value) -> Value {
        let Some(row) = value.as_i64().and_then(|id| self.row(target, id)) else {
            return json!({"id": value});
        };
        let mut document = Map::new();
        if members.is_empty() {
            for (part, _) in &target.label {
                if let Some(value) = self.label(target, row, part) {
                    document.insert((*part).into(), value);
                }
            }
        } else {
            for name in members {
                let value = match *name {
                    "id" => Some(row.id.into()),
                    name => row.members.get(name).cloned(),
                };
                if let Some(value) = value {
                    document.insert((*name).into(), value);
                }
            }
        }
        if !self.options.hide_info {
            // Status, type and the like are linked by their place, records by their kind.
            let stem = if target.setup {
                field.name
            } else {
                target.href
            };
            document.insert(
                "_info".into(),
                json!({format!("{stem}_href"): self.href(target, row)}),
            );
        }
        Value::Object(document)
    }

    /// The address of a record.
    pub(crate) fn href(&self, kind: &Kind, row: &Row) -> String {
        let path = match kind.parent {
            Some((_, link)) => {
                let parent = row.members.get(link).and_then(Value::as_i64).unwrap_or(0);
                kind.path
                    .replace(&format!("{{{link}}}"), &parent.to_string())
            }
            None => kind.path.into(),
        };
        format!("{}/{path}/{}", self.base, row.id)
    }

    fn info(&self, kind: &Kind, row: &Row) -> Value {
        let mut info = Map::new();
        info.insert("lastUpdated".into(), stamp(row.updated).into());
        info.insert("updatedBy".into(), (*row.updated_by).into());
        // Seen on tickets only.
        if kind.name == "ticket" {
            info.insert("dateEntered".into(), stamp(row.entered).into());
            info.insert("enteredBy".into(), (*row.entered_by).into());
        }
        for sub in &kind.subs {
            info.insert(
                format!("{sub}_href"),
                format!("{}/{sub}", self.href(kind, row)).into(),
            );
        }
        let links: &[(&str, &str, &str)] = match kind.name {
            "opportunity" => &[
                ("activities", "sales/activities", "opportunity/id"),
                ("products", "procurement/products", "opportunity/id"),
            ],
            "company" => &[
                ("contacts", "company/contacts", "company/id"),
                ("tickets", "service/tickets", "company/id"),
                ("opportunities", "sales/opportunities", "company/id"),
            ],
            "contact" => &[
                ("activities", "sales/activities", "contact/id"),
                ("tickets", "service/tickets", "contact/id"),
                ("opportunities", "sales/opportunities", "contact/id"),
            ],
            _ => &[],
        };
        for (stem, path, by) in links {
            let link = format!("{}/{path}?conditions={by}={}", self.base, row.id);
            info.insert(format!("{stem}_href"), link.into());
        }
        Value::Object(info)
    }
}

/// An instant as the service writes it: UTC, whole seconds.
pub(crate) fn stamp(at: Timestamp) -> String {
    super::world::whole_second(at).to_string()
}

/// What `fields` asks for: members by name, each with what is asked of it; empty means whole.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pick(Vec<(String, Pick)>);

impl Pick {
    pub(crate) fn parse(text: &str) -> Option<Pick> {
        let mut pick = Pick::default();
        for path in text
            .split(',')
            .map(str::trim)
            .filter(|path| !path.is_empty())
        {
            let mut at = &mut pick;
            for part in path.split('/') {
                let found =
                    at.0.iter()
                        .position(|(name, _)| name.eq_ignore_ascii_case(part));
                let found = found.unwrap_or_else(|| {
                    at.0.push((part.to_owned(), Pick::default()));
                    at.0.len() - 1
                });
                at = &mut at.0[found].1;
            }
        }
        (!pick.0.is_empty()).then_some(pick)
    }

    /// Leaves only what was asked for.
    pub(crate) fn trim(&self, value: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Value::Array(rows) => rows.iter_mut().for_each(|row| self.trim(row)),
            Value::Object(members) => {
                members.retain(|name, value| {
                    let asked = self
                        .0
                        .iter()
                        .find(|(asked, _)| asked.eq_ignore_ascii_case(name));
                    asked.inspect(|(_, deeper)| deeper.trim(value)).is_some()
                });
            }
            _ => {}
        }
    }
}

/// Writes a document with its members in the order of the documentation: `id` first, `_info` last but for own fields.
pub(crate) struct Ordered<'a>(pub Option<&'a Kind>, pub &'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Value::Array(rows) => {
                let mut seq = serializer.serialize_seq(Some(rows.len()))?;
                for row in rows {
                    seq.serialize_element(&Ordered(self.0, row))?;
                }
                seq.end()
            }
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                let known = self.0.map(|kind| kind.fields.as_slice());
                let known = known.unwrap_or_default();
                for field in known {
                    if let Some(value) = members.get(field.name) {
                        let inner = match &field.ty {
                            Ty::Rows(target) => Some(kind(target)),
                            _ => None,
                        };
                        map.serialize_entry(field.name, &Ordered(inner, value))?;
                    }
                }
                let rest = |name: &&String| !known.iter().any(|field| field.name == **name);
                let first = ["id"].into_iter().filter(|_| known.is_empty());
                for name in first {
                    if let Some(value) = members.get(name) {
                        map.serialize_entry(name, value)?;
                    }
                }
                for name in members.keys().filter(rest) {
                    if (name != "id" && name != "_info") || !known.is_empty() {
                        map.serialize_entry(name, &Ordered(None, &members[name]))?;
                    }
                }
                if let Some(info) = members.get("_info").filter(|_| known.is_empty()) {
                    map.serialize_entry("_info", info)?;
                }
                map.end()
            }
            value => value.serialize(serializer),
        }
    }
}
