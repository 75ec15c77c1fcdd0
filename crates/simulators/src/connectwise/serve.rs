//! What each place answers to each method.

use super::handle::json;
use super::kinds::{Kind, kind};
use super::list::Twist;
use super::query::Query;
use super::render::{Model, Ordered, Pick};
use super::reply::{Answer, Refusal, Reply};
use super::routes::{Place, item_of};
use super::world::World;
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// A call that may be answered.
pub(crate) struct Call<'c> {
    pub method: &'c Method,
    /// Below `apis/3.0`.
    pub path: &'c str,
    pub query: Query,
    pub body: &'c [u8],
    pub model: Model,
    /// The member as which it is made.
    pub actor: Arc<str>,
}

/// An answer, and what it lists.
pub(crate) struct Done {
    pub reply: Reply,
    pub rows: usize,
    pub ids: Vec<i64>,
}

impl Done {
    fn one(status: u16, of: Option<&Kind>, mut document: Value, query: &Query) -> Done {
        if let Some(pick) = query.get("fields").and_then(Pick::parse) {
            pick.trim(&mut document);
        }
        Done {
            reply: Reply::json(status, bytes(of, &document)),
            rows: 0,
            ids: vec![],
        }
    }
}

fn bytes(of: Option<&Kind>, document: &Value) -> Vec<u8> {
    serde_json::to_vec(&Ordered(of, document)).unwrap_or_default()
}

/// Whether the call changes nothing, whatever its method.
pub(crate) fn only_reads(method: &Method, place: Place) -> bool {
    *method == Method::GET || matches!(place, Place::Search(_))
}

/// Answers a call that changes nothing.
pub(crate) fn read(world: &World, place: Place, call: &Call<'_>, twist: Twist) -> Answer<Done> {
    let (query, model) = (&call.query, call.model);
    let single = |document: Value| Ok(Done::one(200, None, document, query));
    match place {
        Place::All(of, parent) => list(world, of, parent, query, call.path, model, twist),
        Place::Count(of, parent) => {
            find_parent(world, of, parent)?;
            let count = world.matching(of, parent, query)?.len();
            single(json!({"count": count}))
        }
        Place::Search(of) if *call.method == Method::POST => {
            let body = json(call.body)?;
            let mut query = query.clone();
            for name in [
                "conditions",
                "orderBy",
                "childConditions",
                "customFieldConditions",
            ] {
                let members = body.as_object().into_iter().flatten();
                for (key, value) in members {
                    if let Some(text) = value.as_str().filter(|_| key.eq_ignore_ascii_case(name)) {
                        query.set(name, text);
                    }
                }
            }
            list(world, of, None, &query, call.path, model, twist)
        }
        Place::One(of, parent, id) => {
            if !of.allows("GET", true) {
                return Err(Refusal::wrong_method("GET"));
            }
            find_parent(world, of, parent)?;
            let row = of_parent(world, of, parent, id)?;
            Ok(Done::one(
                200,
                Some(of),
                world.document(of, row, model),
                query,
            ))
        }
        Place::Forecast(opportunity) => {
            let forecast = world.forecast(opportunity, model)?;
            single(if world.options.forecast_array {
                json!([forecast])
            } else {
                forecast
            })
        }
        Place::OnHand => {
            let item = find_item(world, item_of(call.path))?;
            let bin = query.number("warehouseBinId")?;
            single(json!({"count": world.on_hand(item, bin)}))
        }
        Place::InBin(bin) => {
            let inventory = kind("catalogInventory");
            if world.row(kind("warehouseBin"), bin).is_none() {
                return Err(Refusal::not_found("WarehouseBin", bin));
            }
            let rows = world.linked(inventory, "warehouseBin", bin);
            Ok(rows_of(world, inventory, rows, None, query, model))
        }
        Place::CompanyContacts(company) if world.options.company_contacts_path => {
            let contacts = kind("contact");
            let mut ids = world.matching(contacts, None, query)?;
            ids.retain(|id| world.link(contacts, *id, "company") == Some(company));
            Ok(rows_of(world, contacts, ids, None, query, model))
        }
        Place::SystemInfo => single(json!({
            "version": format!("v{}.98842", super::handle::version(&world.options.codebase)),
            "isCloud": true,
            "serverTimeZone": "Eastern Standard Time",
            "cloudRegion": "NA",
            "licenseBits": [],
        })),
        Place::AuditTrail => audit_trail(world, query),
        Place::Search(_) | Place::Detach(_) | Place::ForecastCopy(..) => {
            Err(Refusal::wrong_method(call.method.as_str()))
        }
        Place::CompanyContacts(_) => Err(Refusal::no_endpoint()),
    }
}

fn list(
    world: &World,
    of: &'static Kind,
    parent: Option<i64>,
    query: &Query,
    path: &str,
    model: Model,
    twist: Twist,
) -> Answer<Done> {
    find_parent(world, of, parent)?;
    let page = world.page(of, parent, query, path, twist)?;
    Ok(rows_of(world, of, page.ids, page.link, query, model))
}

fn rows_of(
    world: &World,
    of: &'static Kind,
    ids: Vec<i64>,
    link: Option<String>,
    query: &Query,
    model: Model,
) -> Done {
    let pick = query.get("fields").and_then(Pick::parse);
    let rows = ids.iter().filter_map(|id| {
        let mut document = world.document(of, world.row(of, *id)?, model);
        if let Some(pick) = &pick {
            pick.trim(&mut document);
        }
        Some(document)
    });
    let rows = Value::Array(rows.collect());
    let mut reply = Reply::json(200, bytes(Some(of), &rows));
    if let Some(link) = link {
        reply.headers.push(("link", link));
    }
    Done {
        reply,
        rows: ids.len(),
        ids,
    }
}

fn find_parent(world: &World, of: &Kind, parent: Option<i64>) -> Answer<()> {
    let (Some((name, _)), Some(id)) = (of.parent, parent) else {
        return Ok(());
    };
    let parents = kind(name);
    let found = world.row(parents, id).is_some();
    found
        .then_some(())
        .ok_or_else(|| Refusal::not_found(parents.type_name, id))
}

fn of_parent<'w>(
    world: &'w World,
    of: &Kind,
    parent: Option<i64>,
    id: i64,
) -> Answer<&'w super::world::Row> {
    world
        .row(of, id)
        .filter(|row| parent.is_none() || super::world::parent_of(of, &row.members) == parent)
        .ok_or_else(|| Refusal::not_found(of.type_name, id))
}

/// An item by id or by identifier.
fn find_item(world: &World, text: &str) -> Answer<i64> {
    let items = kind("catalogItem");
    let by_id = text
        .parse()
        .ok()
        .filter(|id| world.row(items, *id).is_some());
    by_id
        .or_else(|| world.find_by(items, "identifier", text))
        .ok_or_else(|| Refusal::not_found("CatalogItem", text))
}

fn audit_trail(world: &World, query: &Query) -> Answer<Done> {
    let id = query.number("id")?;
    let name = query.get("type").unwrap_or_default();
    let of = super::kinds::kinds()
        .iter()
        .find(|kind| kind.type_name.eq_ignore_ascii_case(name));
    let (Some(of), Some(id)) = (of, id) else {
        return Err(Refusal::bad_query("type and id are required"));
    };
    let row = world
        .row(of, id)
        .ok_or_else(|| Refusal::not_found(of.type_name, id))?;
    let entry = |text: &str, at, by: &str| {
        json!({"text": text, "enteredDate": super::render::stamp(at), "enteredBy": by,
               "auditType": of.type_name, "auditSubType": "Record", "auditSource": "Desktop"})
    };
    let mut rows = vec![entry(
        "Record has been created.",
        row.entered,
        &row.entered_by,
    )];
    if row.updated != row.entered {
        rows.push(entry(
            "Record has been updated.",
            row.updated,
            &row.updated_by,
        ));
    }
    Ok(Done::one(200, None, Value::Array(rows), query))
}

/// Carries out a call that changes records.
pub(crate) fn write(world: &mut World, place: Place, call: &Call<'_>) -> Answer<Done> {
    world.actor = call.actor.clone();
    let (method, query, model) = (call.method.as_str(), &call.query, call.model);
    let wrong = || Err(Refusal::wrong_method(method));
    match place {
        Place::All(of, parent) if method == "POST" && of.allows("POST", false) => {
            find_parent(world, of, parent)?;
            let id = if of.name == "adjustmentDetail" {
                world.create_detail(parent.unwrap_or(0), &json(call.body)?)?
            } else {
                world.create(of, parent, &json(call.body)?)?
            };
            let row = world
                .row(of, id)
                .ok_or_else(|| Refusal::not_found(of.type_name, id))?;
            Ok(Done::one(
                201,
                Some(of),
                world.document(of, row, model),
                query,
            ))
        }
        Place::One(of, parent, id) if method == "POST" && of.name == "forecastItem" => {
            // The specification lists a POST here too; the id in the path says nothing.
            let _ = id;
            write(world, Place::Forecast(parent.unwrap_or(0)), call)
        }
        Place::One(of, parent, id) if of.allows(method, true) => {
            find_parent(world, of, parent)?;
            of_parent(world, of, parent, id)?;
            match method {
                "PUT" => world.replace(of, id, &json(call.body)?)?,
                "PATCH" => world.patch(of, id, &json(call.body)?)?,
                _ => {
                    world.delete(of, id)?;
                    return Ok(Done {
                        reply: Reply::json(204, vec![]),
                        rows: 0,
                        ids: vec![],
                    });
                }
            }
            let row = world
                .row(of, id)
                .ok_or_else(|| Refusal::not_found(of.type_name, id))?;
            Ok(Done::one(
                200,
                Some(of),
                world.document(of, row, model),
                query,
            ))
        }
        Place::Forecast(opportunity) => {
            world.forecast(opportunity, model)?;
            match method {
                "POST" => world.add_forecast(opportunity, &json(call.body)?)?,
                "PUT" => world.replace_forecast(opportunity, &json(call.body)?)?,
                "PATCH" => world.patch_forecast(opportunity, &json(call.body)?)?,
                "DELETE" => {
                    world.clear_forecast(opportunity)?;
                    return Ok(Done::one(204, None, Value::Null, query).emptied());
                }
                _ => return wrong(),
            }
            let status = if method == "POST" { 201 } else { 200 };
            Ok(Done::one(
                status,
                None,
                world.forecast(opportunity, model)?,
                query,
            ))
        }
        Place::ForecastCopy(opportunity, from) if method == "POST" => {
            world.forecast(opportunity, model)?;
            world.copy_forecast(opportunity, from)?;
            let document = json!({"success": true, "message": "Forecast copied"});
            Ok(Done::one(200, None, document, query))
        }
        Place::Detach(product) if method == "POST" => {
            let products = kind("product");
            of_parent(world, products, None, product)?;
            let paths = ["opportunity", "ticket", "project", "salesOrder"];
            let steps: Vec<Value> = paths
                .iter()
                .map(|path| json!({"op": "remove", "path": path}))
                .collect();
            world.patch(products, product, &Value::Array(steps))?;
            Ok(Done::one(
                200,
                None,
                json!({"success": true, "message": "Product detached"}),
                query,
            ))
        }
        _ => wrong(),
    }
}

impl Done {
    fn emptied(mut self) -> Done {
        self.reply.body.clear();
        self
    }
}

/// Answers a write as if it had been carried out.
pub(crate) fn pretend(world: &World, place: Place, call: &Call<'_>) -> Answer<Done> {
    match (call.method.as_str(), place) {
        ("DELETE", _) => Ok(Done::one(204, None, Value::Null, &call.query).emptied()),
        ("POST", _) => Ok(Done::one(201, None, json(call.body)?, &call.query)),
        _ => read(world, place, call, Twist::default()),
    }
}
