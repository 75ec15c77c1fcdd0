//! Reference books and locations.

use super::{Verb, Write, Written};
use crate::cin7::json::J;
use crate::cin7::reply::Refusal;
use crate::cin7::world::World;
use crate::cin7::world::books::{BookKind, KINDS};
use crate::cin7::world::stock::Place;
use serde_json::{Map, Value, json};
use uuid::Uuid;

fn text<'r>(row: &'r Map<String, Value>, key: &str) -> &'r str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    let Some(kind) = KINDS.iter().find(|kind| kind.path == write.path) else {
        return Err(Refusal::bad("Reference book not found"));
    };
    match write.verb {
        Verb::Post => create(world, write, kind),
        Verb::Put => change(world, write, kind),
        Verb::Delete => {
            let key = if kind.path == "reference/shipzones" {
                "ShipZoneID"
            } else {
                kind.id
            };
            let id = write.query.get(key).or_else(|| write.query.get("ID"));
            let id = id.ok_or_else(|| Refusal::missing(key))?;
            let rows = world.books.rows_mut(kind.path);
            let at = rows
                .iter()
                .position(|row| text(row, kind.id).eq_ignore_ascii_case(id));
            rows.remove(
                at.ok_or_else(|| Refusal::unknown_name(format!("{} not found.", kind.noun)))?,
            );
            Ok(br#"{"Success":true}"#.to_vec())
        }
    }
}

fn answer(kind: &BookKind, row: &Map<String, Value>) -> Vec<u8> {
    let document = J::Obj(
        row.iter()
            .map(|(key, value)| (key.as_str(), J::Val(value)))
            .collect(),
    );
    J::Obj(vec![
        ("Total", J::Int(1)),
        ("Page", J::Int(1)),
        (kind.list, J::Arr(vec![document])),
    ])
    .bytes()
}

fn unique(world: &World, kind: &BookKind, name: &str, own: Option<usize>) -> Result<(), Refusal> {
    let twin = world
        .books
        .rows(kind.path)
        .iter()
        .position(|row| text(row, kind.name).eq_ignore_ascii_case(name));
    match twin {
        Some(twin) if Some(twin) != own => {
            let noun = kind.noun;
            Err(Refusal::bad(format!(
                "This {} already exists. {noun} name must be unique.",
                noun.to_lowercase()
            )))
        }
        _ => Ok(()),
    }
}

fn create(world: &mut World, write: &Write<'_>, kind: &'static BookKind) -> Written {
    let name = write.body.required(kind.name)?;
    if !kind.path.starts_with("me/") {
        unique(world, kind, &name, None)?;
    }
    let mut row = Map::new();
    if kind.id == "Code" {
        let code = write.body.required("Code")?;
        if world
            .books
            .rows(kind.path)
            .iter()
            .any(|row| text(row, "Code") == code)
        {
            return Err(Refusal::bad(
                "This account already exists. Account code must be unique.",
            ));
        }
        row.insert("Code".into(), json!(code));
    } else {
        row.insert(kind.id.into(), json!(world.new_id()));
    }
    for (key, value) in kind.defaults {
        row.insert(
            (*key).into(),
            serde_json::from_str(value).unwrap_or(Value::Null),
        );
    }
    let sent = write
        .body
        .0
        .iter()
        .filter(|(key, _)| !key.eq_ignore_ascii_case(kind.id));
    for (key, value) in sent {
        row.retain(|old, _| !old.eq_ignore_ascii_case(key) || old == kind.id);
        row.insert(key.clone(), value.clone());
    }
    let bytes = answer(kind, &row);
    world.books.rows_mut(kind.path).push(row);
    Ok(bytes)
}

fn change(world: &mut World, write: &Write<'_>, kind: &'static BookKind) -> Written {
    let id = write.body.required(kind.id)?;
    let at = world
        .books
        .rows(kind.path)
        .iter()
        .position(|row| text(row, kind.id).eq_ignore_ascii_case(&id));
    let at = at.ok_or_else(|| Refusal::unknown_name(format!("{} not found.", kind.noun)))?;
    if let Some(name) = write.body.text(kind.name) {
        unique(world, kind, &name, Some(at))?;
    }
    let row = &mut world.books.rows_mut(kind.path)[at];
    for (key, value) in write
        .body
        .0
        .iter()
        .filter(|(key, _)| !key.eq_ignore_ascii_case(kind.id))
    {
        let known = row
            .keys()
            .find(|old| old.eq_ignore_ascii_case(key))
            .cloned();
        row.insert(known.unwrap_or_else(|| key.clone()), value.clone());
    }
    Ok(answer(kind, row))
}

/// Members of a location that are stored as they were sent.
const ADDRESS: [&str; 9] = [
    "AddressLine1",
    "AddressLine2",
    "AddressCitySuburb",
    "AddressStateProvince",
    "AddressZipPostCode",
    "AddressCountry",
    "PickZones",
    "FixedAssetsLocation",
    "IsCoMan",
];

/// A location answers with its bare record.
pub(super) fn location(world: &mut World, write: &Write<'_>) -> Written {
    let body = write.body;
    if write.verb == Verb::Delete {
        let id = write.query.required_id("ID")?;
        let at = world
            .find_place(Some(id), None)
            .ok_or_else(|| Refusal::unknown_name("Location not found."))?;
        let inside = |key: &crate::cin7::world::stock::CardKey| key.place == at || key.at == at;
        let used = world.stock.cards.iter().any(|(key, card)| {
            inside(key) && !(card.on_hand.is_zero() && card.allocated.is_zero())
        });
        if used {
            return Err(Refusal::bad("Location has stock and cannot be deleted"));
        }
        world.places[at as usize].gone = true;
        world.stock.cards.retain(|key, _| !inside(key));
        for bin in world.places.iter_mut().filter(|p| p.parent == Some(at)) {
            bin.gone = true;
        }
        return Ok(br#"{"Success":true}"#.to_vec());
    }
    let mut address = Map::new();
    body.copy(&ADDRESS, &mut address);
    let at = match write.verb {
        Verb::Put => {
            let id = body.required_id("ID")?;
            world
                .find_place(Some(id), None)
                .ok_or_else(|| Refusal::unknown_name("Location not found."))?
        }
        _ => {
            let name = body.required("Name")?;
            let parent = match body.id("ParentID")? {
                Some(id) => {
                    let found = world
                        .find_place(Some(id), None)
                        .filter(|at| world.place(*at).parent.is_none());
                    Some(found.ok_or_else(|| Refusal::unknown_name("Parent location not found."))?)
                }
                None => None,
            };
            push(world, name, parent)?
        }
    };
    for row in body.rows("Bins")? {
        let name = row.required("Name")?;
        let known = world
            .places
            .iter()
            .any(|p| p.parent == Some(at) && !p.gone && p.name.eq_ignore_ascii_case(&name));
        // Bins are created or deleted; a name that is there already is that bin.
        if !known {
            push(world, name, Some(at))?;
        }
    }
    let place = &mut world.places[at as usize];
    if place.parent.is_none() {
        place.name = body.text("Name").unwrap_or_else(|| place.name.clone());
    }
    place.deprecated = body.bool("IsDeprecated").unwrap_or(place.deprecated);
    place.address.get_or_insert_default().extend(address);
    Ok(world.location_document(at).bytes())
}

fn push(world: &mut World, name: String, parent: Option<u16>) -> Result<u16, Refusal> {
    let at = u16::try_from(world.places.len())
        .map_err(|_| Refusal::bad("There are too many locations"))?;
    let id: Uuid = world.new_id();
    world.places.push(Place {
        id,
        name,
        parent,
        deprecated: false,
        default: false,
        address: None,
        gone: false,
    });
    Ok(at)
}
