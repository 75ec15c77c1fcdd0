//! What a client sends, checked member by member and brought into the form in which records are kept.

use crate::connectwise::conditions::instant;
use crate::connectwise::kinds::{Field, Kind, Ty, kind};
use crate::connectwise::render::stamp;
use crate::connectwise::reply::{Answer, Fault, Refusal};
use crate::connectwise::world::{Members, World};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Create,
    Replace,
}

/// All members of a body. Members that the kind does not have are left out, as the service does.
pub(super) fn stored_members(
    world: &World,
    kind: &Kind,
    body: &Map<String, Value>,
    mode: Mode,
) -> Answer<Members> {
    let (members, mut faults) = read(world, kind, body);
    for field in &kind.fields {
        let required = field.required || (field.update && mode == Mode::Replace);
        let known_wrong = faults.iter().any(|fault| fault.field == field.name);
        if required && !known_wrong && !present(members.get(field.name)) {
            faults.push(missing(kind, field));
        }
    }
    match faults.is_empty() {
        true => Ok(members),
        false => Err(Refusal::invalid(&kind.resource, faults)),
    }
}

fn read(world: &World, kind: &Kind, body: &Map<String, Value>) -> (Members, Vec<Fault>) {
    let (mut members, mut faults) = (Members::new(), vec![]);
    for (name, value) in body {
        let Some(field) = kind.field(name).filter(|field| takes(field)) else {
            continue;
        };
        match stored(world, kind, field, value, None) {
            Ok(Some(value)) => drop(members.insert(field.name.into(), value)),
            Ok(None) => {}
            Err(message) => faults.push(wrong(kind, field, message)),
        }
    }
    (members, faults)
}

/// Whether a client may set the member. Details of adjustments are records of their own.
pub(super) fn takes(field: &Field) -> bool {
    let own_records = matches!(field.ty, Ty::Rows(target) if !kind(target).embedded);
    !field.server && field.name != "id" && field.ty != Ty::Info && !own_records
}

pub(super) fn present(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
}

pub(super) fn missing(kind: &Kind, field: &Field) -> Fault {
    Fault {
        code: "MissingRequiredField",
        message: format!("The {} field is required.", field.name),
        resource: kind.resource.clone(),
        field: field.name.into(),
    }
}

pub(super) fn wrong(kind: &Kind, field: &Field, message: String) -> Fault {
    Fault {
        code: "InvalidField",
        message,
        resource: kind.resource.clone(),
        field: field.name.into(),
    }
}

/// One member; `None` for a value that is empty. `before` is what stood there, for what is merged.
pub(super) fn stored(
    world: &World,
    of: &Kind,
    field: &Field,
    value: &Value,
    before: Option<&Value>,
) -> Result<Option<Value>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let name = field.name;
    let text = value.as_str();
    let not = |what: &str| format!("The value of the {name} field must be {what}.");
    Ok(Some(match &field.ty {
        Ty::Int => {
            let whole = value.as_f64().filter(|number| number.fract() == 0.0);
            let number = whole
                .or_else(|| text?.trim().parse::<i32>().ok().map(f64::from))
                .filter(|number| number.abs() <= f64::from(i32::MAX));
            json!(number.ok_or_else(|| not("a whole number"))? as i64)
        }
        Ty::Decimal => match (value, text) {
            (Value::Number(_), _) => value.clone(),
            (_, Some(text)) => json!(text.trim().parse::<f64>().map_err(|_| not("a number"))?),
            _ => return Err(not("a number")),
        },
        Ty::Text => {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(not("a string")),
            };
            match field.max {
                Some(max) if text.chars().count() > max => {
                    return Err(format!(
                        "The field {name} must be a string with a maximum length of {max}."
                    ));
                }
                _ => text.into(),
            }
        }
        Ty::Uuid => {
            let id = text.and_then(|text| uuid::Uuid::parse_str(text).ok());
            id.ok_or_else(|| not("a GUID"))?.to_string().into()
        }
        Ty::Time => match text {
            Some("") => return Ok(None),
            text => {
                let at = text.and_then(instant);
                stamp(at.ok_or_else(|| not("a date in ISO 8601"))?).into()
            }
        },
        Ty::Bool => match (value, text) {
            (Value::Bool(_), _) => value.clone(),
            (_, Some(text)) if text.eq_ignore_ascii_case("true") => true.into(),
            (_, Some(text)) if text.eq_ignore_ascii_case("false") => false.into(),
            _ => return Err(not("true or false")),
        },
        Ty::Enum(known) => {
            let found =
                text.and_then(|text| known.iter().find(|one| one.eq_ignore_ascii_case(text)));
            let found = found.ok_or_else(|| not(&format!("one of {}", known.join(", "))))?;
            (*found).into()
        }
        Ty::Ref(target, _) => return reference(world, kind(target), name, value),
        Ty::Refs(target) => {
            let rows = value.as_array().ok_or_else(|| not("a list"))?;
            let ids = rows
                .iter()
                .filter_map(|row| reference(world, kind(target), name, row).transpose());
            Value::Array(ids.collect::<Result<_, _>>()?)
        }
        Ty::Rows(target) => embedded(world, kind(target), value, before)?,
        Ty::Custom => merge_custom(of, value, before)?,
        Ty::Texts | Ty::Ints => match value.is_array() {
            true => value.clone(),
            false => return Err(not("a list")),
        },
        Ty::Info => return Ok(None),
        Ty::Any => value.clone(),
    }))
}

/// The id of the record that a reference names by `id` or by another part of its label. `{}` is no reference.
pub(super) fn reference(
    world: &World,
    target: &Kind,
    name: &str,
    value: &Value,
) -> Result<Option<Value>, String> {
    let missing = |how: String| format!("The {name} {how} was not found.");
    if let Some(id) = value.as_i64() {
        let found = world.row(target, id).map(|row| row.id.into());
        return found
            .map(Some)
            .ok_or_else(|| missing(format!("with id {id}")));
    }
    let Some(members) = value.as_object() else {
        return Err(format!("The {name} field must be a reference."));
    };
    if let Some(id) = members.get("id").filter(|id| !id.is_null()) {
        let number = id.as_i64().or_else(|| id.as_str()?.trim().parse().ok());
        let found = number.and_then(|id| world.row(target, id));
        return found
            .map(|row| Some(row.id.into()))
            .ok_or_else(|| missing(format!("with id {id}")));
    }
    for (part, _) in &target.label {
        if let Some(text) = members.get(*part).and_then(Value::as_str) {
            let found = world.find_by(target, part, text);
            return found
                .map(|id| Some(id.into()))
                .ok_or_else(|| missing(format!("'{text}'")));
        }
    }
    match members.is_empty() {
        true => Ok(None),
        false => Err(missing("named".into())),
    }
}

/// Rows that are kept inside their record, each with an id.
fn embedded(
    world: &World,
    target: &Kind,
    value: &Value,
    before: Option<&Value>,
) -> Result<Value, String> {
    let rows = value
        .as_array()
        .ok_or_else(|| format!("A list of {} is expected.", target.type_name))?;
    let ids = |value: Option<&Value>| {
        let rows = value.and_then(Value::as_array).into_iter().flatten();
        rows.filter_map(|row| row.get("id")?.as_i64()).max()
    };
    let mut next = ids(before).max(ids(Some(value))).unwrap_or(99_000);
    let mut all = vec![];
    for row in rows {
        let body = row
            .as_object()
            .ok_or_else(|| format!("A {} must be an object.", target.type_name))?;
        let (mut members, faults) = read(world, target, body);
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault.message);
        }
        let id = body.get("id").and_then(Value::as_i64).filter(|id| *id > 0);
        let id = id.unwrap_or_else(|| {
            next += 1;
            next
        });
        members.insert("id".into(), id.into());
        all.push(members);
    }
    if target.name == "communicationItem" {
        one_default_each(world, &mut all);
    }
    Ok(all.into_iter().map(Value::Object).collect())
}

/// Each kind of communication has one default: the last that claims it, else the first. The domain follows the address.
fn one_default_each(world: &World, items: &mut [Members]) {
    let types = kind("communicationType");
    for item in items.iter_mut() {
        let of = item.get("type").and_then(Value::as_i64);
        if !item.contains_key("communicationType") {
            let name = [("emailFlag", "Email"), ("faxFlag", "Fax")]
                .into_iter()
                .find(|(flag, _)| world.flag(types.name, of, flag))
                .map_or("Phone", |(_, name)| name);
            item.insert("communicationType".into(), name.into());
        }
        let value = item
            .get("value")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(at) = value.find('@') {
            let domain = value[at..].to_owned();
            item.insert("domain".into(), domain.into());
        }
    }
    for kind in ["Email", "Fax", "Phone"] {
        let of: Vec<usize> = (0..items.len())
            .filter(|at| items[*at].get("communicationType").and_then(Value::as_str) == Some(kind))
            .collect();
        let claims = |at: &&usize| items[**at].get("defaultFlag") == Some(&Value::Bool(true));
        let default = of.iter().rev().find(claims).or(of.first()).copied();
        for at in of {
            items[at].insert("defaultFlag".into(), (Some(at) == default).into());
        }
    }
}

/// Custom fields are set by id or caption; those left out keep their value.
fn merge_custom(of: &Kind, value: &Value, before: Option<&Value>) -> Result<Value, String> {
    let sent = value
        .as_array()
        .ok_or("The customFields field must be a list.")?;
    let mut all = match before.and_then(Value::as_array) {
        Some(fields) => fields.clone(),
        None => crate::connectwise::seed::custom_fields(of),
    };
    for one in sent {
        let same = |field: &&mut Value| {
            let by_id = one["id"].as_i64().is_some() && one["id"] == field["id"];
            let by_caption = one["id"].as_i64().is_none() && one["caption"] == field["caption"];
            by_id || by_caption
        };
        match all.iter_mut().find(same) {
            Some(field) => field["value"] = one["value"].clone(),
            None => return Err(format!("The custom field {} does not exist.", one["id"])),
        }
    }
    Ok(Value::Array(all))
}
