//! Callbacks: who wants to hear of what, and what they are told.
//!
//! A delivery is tried three times in all, and again only when the receiver answers 404, 409, 419 or 429; any other
//! failure is the end of it. Three days of failures without a success switch a callback off.

mod courier;

pub(super) use courier::{Letter, courier};

use super::kinds::{Kind, Ty, kind};
use super::render::Model;
use super::reply::{Answer, Fault, Refusal};
use super::seed;
use super::world::{Members, World};
use super::write::Action;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Most deliveries that wait; later events are dropped and counted.
pub(super) const WAITING_MAX: usize = 20_000;

/// Types with the levels at which one may register.
const LEVELS: &[(&str, &str)] = &[
    ("activity", "owner status type company activity"),
    ("agreement", "owner type company agreement"),
    (
        "company",
        "owner status type territory company integratortag",
    ),
    ("contact", "owner type territory company contact"),
    ("configuration", "owner type status configuration"),
    ("invoice", "owner status company invoice"),
    ("expense", "owner chargetotype type class company expense"),
    ("member", "owner location securityrole member"),
    ("opportunity", "owner statusid company opportunity"),
    ("productcatalog", "owner"),
    ("project", "owner status board project"),
    ("purchaseorder", "owner status vendor company purchaseorder"),
    ("schedule", "owner status type location member schedule"),
    ("site", "owner company site"),
    (
        "ticket",
        "owner board project phase status ticket integratortag",
    ),
    ("time", "owner company time"),
];

/// What the world keeps of its callbacks beside their records.
#[derive(Default)]
pub(crate) struct Callbacks {
    /// Where letters go; absent until the service listens.
    pub post: Option<mpsc::Sender<Letter>>,
    /// Letters that found no room.
    pub dropped: u64,
    /// Since when each callback fails.
    failing: HashMap<i64, Timestamp>,
    announced: u64,
}

/// What makes a callback entry impossible.
pub(super) fn check(world: &World, id: Option<i64>, members: &Members) -> Answer<()> {
    let entries = kind("callback");
    let text = |name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut faults = vec![];
    let mut fault = |code: &'static str, field: &str, message: &str| {
        faults.push(Fault {
            code,
            message: message.into(),
            resource: entries.resource.clone(),
            field: field.into(),
        });
    };
    let url = text("url");
    if !["http://", "https://"]
        .iter()
        .any(|scheme| url.starts_with(scheme) && url.len() > scheme.len())
    {
        fault("InvalidField", "url", "Invalid URL");
    }
    let levels = LEVELS.iter().find(|(name, _)| *name == text("type"));
    match levels {
        None => fault(
            "InvalidObject",
            "type",
            "Unrecognized type, see documentation for supported types",
        ),
        Some((_, levels)) if !levels.split(' ').any(|level| level == text("level")) => fault(
            "InvalidObject",
            "level",
            "Unrecognized level for type, see documentation for supported levels for each type",
        ),
        Some(_) => {}
    }
    let same = |other: &Members| {
        ["url", "type", "level", "objectId", "memberId"]
            .iter()
            .all(|name| other.get(*name) == members.get(*name))
    };
    let rows = &world.table(entries).rows;
    if rows
        .values()
        .any(|row| Some(row.id) != id && same(&row.members))
    {
        fault(
            "ObjectExists",
            "objectId",
            "A callback with these values already exists",
        );
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Refusal::invalid(&entries.resource, faults)),
    }
}

/// Puts what happened to a record on its way to everybody who registered for it.
pub(super) fn announce(world: &mut World, of: &'static Kind, id: i64, action: Action) {
    let Some(name) = of.callback else {
        return;
    };
    let actor = world.actor_id();
    let heard: Vec<(i64, String, String)> = {
        let rows = world.table(kind("callback")).rows.values();
        let members = world.row(of, id).map(|row| &row.members);
        rows.filter(|entry| {
            let text = |name: &str| {
                entry
                    .members
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let flag = |name: &str| entry.members.get(name) == Some(&Value::Bool(true));
            let own = entry.members.get("memberId").and_then(Value::as_i64) == Some(actor);
            let object = entry
                .members
                .get("objectId")
                .and_then(Value::as_i64)
                .unwrap_or(0);
            text("type") == name
                && !flag("inactiveFlag")
                && !(flag("isSelfSuppressedFlag") && own)
                && concerns(name, text("level"), object, id, members)
        })
        .map(|entry| {
            let text = |name: &str| {
                entry
                    .members
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            (entry.id, text("url"), text("connectWiseID"))
        })
        .collect()
    };
    for (entry, url, guid) in heard {
        let letter = letter(world, of, id, action, entry, &url, &guid);
        let sent = world
            .callbacks
            .post
            .as_ref()
            .map(|post| post.try_send(letter));
        if matches!(sent, Some(Err(_))) {
            world.callbacks.dropped += 1;
        }
    }
}

/// Whether an entry of that level and object is about the record.
fn concerns(name: &str, level: &str, object: i64, id: i64, members: Option<&Members>) -> bool {
    match level {
        "owner" => true,
        level if level == name => object == id,
        level => {
            let member = if level == "statusid" { "status" } else { level };
            members.and_then(|members| members.get(member)?.as_i64()) == Some(object)
        }
    }
}

fn letter(
    world: &mut World,
    of: &'static Kind,
    id: i64,
    action: Action,
    entry: i64,
    url: &str,
    guid: &str,
) -> Letter {
    let word = match action {
        Action::Added => "added",
        Action::Updated => "updated",
        Action::Deleted => "deleted",
    };
    world.callbacks.announced += 1;
    let (scheme, host) = world
        .base
        .split_once("://")
        .unwrap_or(("http", &world.base));
    let host = host.split('/').next().unwrap_or_default();
    let options = &world.options;
    let key_url = format!(
        "{scheme}://{host}/{}//system/callbackkey/index.rails?companyName={}&id={guid}",
        options.codebase, options.company.id
    );
    let entity = match action {
        Action::Deleted => Value::Null,
        _ => thin(world, of, id).map_or(Value::Null, |text| text.into()),
    };
    let body = json!({
        "MessageId": seed::guid(options.seed, "message", world.callbacks.announced),
        "FromUrl": host,
        "CompanyId": options.company.id,
        "MemberId": &*world.actor,
        "Action": word,
        "Type": of.callback,
        "ID": id,
        "ProductInstanceId": &seed::guid(options.seed, "product", 0).replace('-', "")[..24],
        "PartnerId": &seed::guid(options.seed, "partner", 0).replace('-', "")[..24],
        "Entity": entity,
        "Metadata": {"key_url": key_url},
        "CallbackObjectRecId": entry,
    });
    // The id goes to the end of the address, which the guide therefore wants to end in `recordId=`.
    let url = match url {
        url if url.ends_with('=') => format!("{url}{id}&action={word}"),
        url if url.contains('?') => format!("{url}&id={id}&action={word}"),
        url => format!("{url}?id={id}&action={word}"),
    };
    Letter {
        entry,
        url,
        body: body.to_string().into_bytes(),
        key: signing_key(options.seed, guid),
        attempt: 0,
    }
}

/// The record as callbacks show it: thinner than `GET` does.
fn thin(world: &World, of: &'static Kind, id: i64) -> Option<String> {
    let row = world.row(of, id)?;
    let mut document = world.document(of, row, Model { new: true });
    let members = document.as_object_mut()?;
    for field in &of.fields {
        let rich = matches!(field.ty, Ty::Rows(_) | Ty::Refs(_) | Ty::Custom);
        if rich || (of.name == "contact" && ["company", "site"].contains(&field.name)) {
            members.remove(field.name);
        }
    }
    serde_json::to_string(&super::render::Ordered(Some(of), &document)).ok()
}

/// The text that a callback's signatures are made with.
pub(super) fn signing_key(seed: u64, guid: &str) -> String {
    seed::guid(seed, guid, 1).replace('-', "")
}

/// Notes how a delivery ended; an entry that only fails for three days is switched off.
pub(super) fn settle(world: &mut World, entry: i64, delivered: bool) {
    if delivered {
        world.callbacks.failing.remove(&entry);
        return;
    }
    let now = world.now();
    let since = *world.callbacks.failing.entry(entry).or_insert(now);
    if now.duration_since(since) >= jiff::SignedDuration::from_hours(72)
        && let Some(row) = world.row_mut(kind("callback"), entry)
    {
        row.members.insert("inactiveFlag".into(), true.into());
        world.callbacks.failing.remove(&entry);
    }
}
