//! `PATCH`: a list of `{op, path, value}`, with paths with or without a slash in front.

use super::stored::{missing, present, stored, takes, wrong};
use crate::connectwise::kinds::{Field, Kind, Ty};
use crate::connectwise::reply::{Answer, Fault, Refusal};
use crate::connectwise::world::{Members, World};
use serde_json::{Map, Value};

/// Most operations of one call.
const OPS_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

/// One operation as sent.
pub(super) struct Step<'b> {
    op: Op,
    pub path: &'b str,
    pub value: &'b Value,
}

impl Step<'_> {
    pub(super) fn removes(&self) -> bool {
        self.op == Op::Remove
    }
}

/// The operations of a body.
pub(super) fn steps<'b>(resource: &str, body: &'b Value) -> Answer<Vec<Step<'b>>> {
    let wrong = |text: String| Refusal::bad_body(resource, text);
    let ops = body
        .as_array()
        .ok_or_else(|| wrong("The body must be an array of operations".into()))?;
    if ops.len() > OPS_MAX {
        return Err(wrong(format!("More than {OPS_MAX} operations")));
    }
    ops.iter()
        .map(|one| {
            let op = match one["op"].as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("add") => Op::Add,
                Some("replace") => Op::Replace,
                Some("remove") => Op::Remove,
                _ => return Err(wrong(format!("Operation {} is not supported", one["op"]))),
            };
            let path = one["path"]
                .as_str()
                .ok_or_else(|| wrong("An operation needs a path".into()))?;
            Ok(Step {
                op,
                path: path.trim_start_matches('/'),
                value: &one["value"],
            })
        })
        .collect()
}

/// The members after all operations.
pub(super) fn patched(
    world: &World,
    kind: &'static Kind,
    before: &Members,
    body: &Value,
) -> Answer<Members> {
    let mut members = before.clone();
    for step in steps(&kind.resource, body)? {
        apply(world, kind, &mut members, &step)
            .map_err(|fault| Refusal::invalid(&kind.resource, vec![fault]))?;
    }
    let gone = kind
        .fields
        .iter()
        .filter(|field| field.required && takes(field));
    let faults: Vec<Fault> = gone
        .filter(|field| present(before.get(field.name)) && !present(members.get(field.name)))
        .map(|field| missing(kind, field))
        .collect();
    match faults.is_empty() {
        true => Ok(members),
        false => Err(Refusal::invalid(&kind.resource, faults)),
    }
}

fn apply(
    world: &World,
    kind: &'static Kind,
    members: &mut Members,
    step: &Step<'_>,
) -> Result<(), Fault> {
    let parts: Vec<&str> = step.path.split('/').collect();
    // The case of a path counts here, and only here.
    let field = kind.fields.iter().find(|field| field.name == parts[0]);
    let Some(field) = field else {
        return Err(Fault {
            code: "InvalidField",
            message: format!("The path {} does not exist.", step.path),
            resource: kind.resource.clone(),
            field: parts[0].into(),
        });
    };
    // What the service sets itself is left as it is, without a word.
    if !takes(field) {
        return Ok(());
    }
    let fault = |message: String| wrong(kind, field, message);
    match parts[1..] {
        [] if step.op == Op::Remove => drop(members.remove(field.name)),
        [] => {
            let before = members.get(field.name).cloned();
            let value = stored(world, kind, field, step.value, before.as_ref()).map_err(fault)?;
            match value {
                Some(value) => drop(members.insert(field.name.into(), value)),
                None => drop(members.remove(field.name)),
            }
        }
        [part] if matches!(field.ty, Ty::Ref(..)) => {
            if world.options.patch_into_reference_ignored {
                return Ok(());
            }
            let whole = Map::from_iter([(part.to_owned(), step.value.clone())]);
            let value = stored(world, kind, field, &Value::Object(whole), None).map_err(fault)?;
            if let Some(value) = value {
                members.insert(field.name.into(), value);
            }
        }
        [at, ref inner @ ..] if matches!(field.ty, Ty::Rows(_)) => {
            let rows = within(members.get(field.name), at, inner, step)
                .ok_or_else(|| fault(format!("The path {} does not exist.", step.path)))?;
            let before = members.get(field.name).cloned();
            let value = stored(world, kind, field, &rows, before.as_ref()).map_err(fault)?;
            members.insert(field.name.into(), value.unwrap_or_default());
        }
        ref inner if field.ty == Ty::Any => into_any(members, field, inner, step),
        _ => return Err(fault(format!("The path {} does not exist.", step.path))),
    }
    Ok(())
}

/// The rows of an array with one of them changed.
fn within(rows: Option<&Value>, at: &str, inner: &[&str], step: &Step<'_>) -> Option<Value> {
    let mut rows = rows.and_then(Value::as_array).cloned().unwrap_or_default();
    match inner {
        // Whatever place is named, a new row goes to the end, and at place 0 its claim to be the default is lost.
        [] if step.op == Op::Add => {
            let mut row = step.value.clone();
            if at == "0" && !rows.is_empty() && row.is_object() {
                row["defaultFlag"] = false.into();
            } else if row["defaultFlag"] == Value::Bool(true) {
                for other in &mut rows {
                    if other["communicationType"] == row["communicationType"] {
                        other["defaultFlag"] = false.into();
                    }
                }
            }
            rows.push(row);
        }
        [] => {
            let at = at.parse::<usize>().ok().filter(|at| *at < rows.len())?;
            match step.op {
                Op::Remove => drop(rows.remove(at)),
                _ => rows[at] = step.value.clone(),
            }
        }
        [member] => {
            let at = at.parse::<usize>().ok().filter(|at| *at < rows.len())?;
            let of = rows[at]["communicationType"].clone();
            if *member == "defaultFlag" && *step.value == Value::Bool(true) {
                for other in &mut rows {
                    if other["communicationType"] == of {
                        other["defaultFlag"] = false.into();
                    }
                }
            }
            let row = rows[at].as_object_mut()?;
            match step.op {
                Op::Remove => drop(row.remove(*member)),
                _ => drop(row.insert((*member).into(), step.value.clone())),
            }
        }
        _ => return None,
    }
    Some(Value::Array(rows))
}

fn into_any(members: &mut Members, field: &Field, inner: &[&str], step: &Step<'_>) {
    let mut at = members
        .entry(field.name)
        .or_insert_with(|| Value::Object(Map::new()));
    for part in inner {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[*part];
    }
    *at = match step.op {
        Op::Remove => Value::Null,
        _ => step.value.clone(),
    };
}
