//! What must hold between the parts of a connector file.

mod jobs;

use std::collections::{BTreeMap, BTreeSet};

use super::Connector;
use super::diagnostics::closest;
use super::notes::Notes;
use super::payload::{PartSource, Payload};

/// Names that PostgreSQL or we keep to ourselves.
const SCHEMAS_TAKEN: [&str; 3] = ["millpond", "public", "information_schema"];

/// Notes every reference that leads nowhere, every name that is there twice and every circle of parents.
pub(super) fn check(connector: &Connector, notes: &Notes) {
    if SCHEMAS_TAKEN.contains(&connector.name.as_str()) || connector.name.starts_with("pg_") {
        notes.problem(
            "name",
            format!("`{}` is taken by the database", connector.name),
        );
    }
    if connector.resources.is_empty() {
        notes.problem(
            "resource",
            "is missing: a connector needs at least one `[[resource]]`",
        );
    }
    check_names(connector, notes);
    check_references(connector, notes);
    jobs::check(connector, notes);
    check_parents(connector, notes);
}

fn check_names(connector: &Connector, notes: &Notes) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    let resources = connector
        .resources
        .iter()
        .map(|resource| ("resource", resource.name.as_str()));
    let payloads = connector
        .payloads
        .iter()
        .map(|payload| ("payload", payload.name.as_str()));
    let views = connector
        .views
        .iter()
        .map(|view| ("view", view.name.as_str()));
    for (what, name) in resources
        .chain(payloads)
        .chain(views)
        .chain(jobs::names(connector))
        .filter(|(_, name)| !name.is_empty())
    {
        // Two of one kind were noticed while reading.
        if let Some(before) = taken.insert(name, what).filter(|before| *before != what) {
            notes.problem(
                &format!("{what}.{name}.name"),
                format!("a {before} is called `{name}` already"),
            );
        }
    }
    let resources = connector
        .resources
        .iter()
        .filter_map(|resource| Some(("resource", &resource.name, resource.family.as_ref()?)));
    let payloads = connector
        .payloads
        .iter()
        .map(|payload| ("payload", &payload.name, &payload.family));
    let mut families = BTreeSet::new();
    for (what, name, family) in resources.chain(payloads) {
        if !families.insert(family.as_str()) {
            notes.problem(
                &format!("{what}.{name}.family"),
                format!("the family `{}` is taken already", family.as_str()),
            );
        }
    }
}

fn check_references(connector: &Connector, notes: &Notes) {
    let names: Vec<&str> = connector
        .resources
        .iter()
        .map(|resource| resource.name.as_str())
        .collect();
    let ttls: Vec<&str> = connector.ttl.keys().map(String::as_str).collect();
    let must_be = |key: String, what: &str, name: &str, known: &[&str]| {
        if !name.is_empty() && !known.contains(&name) {
            let near = closest(name, known.iter().copied());
            let near = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            notes.problem(&key, format!("there is no {what} `{name}`{near}"));
        }
    };
    for resource in &connector.resources {
        let at = |key: &str| format!("resource.{}.{key}", resource.name);
        if let Some(parent) = &resource.of {
            must_be(at("of"), "resource", parent, &names);
        }
        if let Some(ttl) = &resource.ttl {
            must_be(at("ttl"), "table in `[ttl]`", ttl, &ttls);
        }
        for lookup in &resource.lookups {
            let key = at(&format!("lookups.{}.of", lookup.name));
            must_be(key, "resource", &lookup.of, &names);
        }
    }
    for payload in &connector.payloads {
        must_be(
            format!("payload.{}.of", payload.name),
            "resource",
            &payload.of,
            &names,
        );
        if let Some(ttl) = &payload.ttl {
            must_be(
                format!("payload.{}.ttl", payload.name),
                "table in `[ttl]`",
                ttl,
                &ttls,
            );
        }
        for teller in &payload.told_by {
            let key = format!("payload.{}.told_by", payload.name);
            must_be(key.clone(), "resource", &teller.of, &names);
            let resource = connector.resource(&teller.of);
            if resource.is_some_and(|resource| resource.changes.is_none()) {
                notes.problem(
                    &key,
                    format!(
                        "`{}` has no `changes`: nothing tells when it changes",
                        teller.of
                    ),
                );
            }
        }
        check_payload(payload, notes);
    }
    let rows: Vec<&str> = names
        .iter()
        .copied()
        .chain(
            connector
                .payloads
                .iter()
                .map(|payload| payload.name.as_str()),
        )
        .collect();
    for view in &connector.views {
        must_be(
            format!("view.{}.of", view.name),
            "resource",
            &view.of,
            &rows,
        );
    }
    let used: BTreeSet<&str> = connector
        .resources
        .iter()
        .filter_map(|resource| resource.ttl.as_deref())
        .chain(
            connector
                .payloads
                .iter()
                .filter_map(|payload| payload.ttl.as_deref()),
        )
        .collect();
    for name in ttls.iter().filter(|name| !used.contains(*name)) {
        notes.problem(
            &format!("ttl.{name}"),
            "is named by no resource and no payload",
        );
    }
}

/// A payload is told apart by the places of its family: they must be known, and its calls may need no others.
fn check_payload(payload: &Payload, notes: &Notes) {
    let at = |key: &str| format!("payload.{}.{key}", payload.name);
    let places: Vec<&str> = payload.family.places().collect();
    if places.is_empty() && !payload.family.as_str().is_empty() {
        notes.problem(&at("family"), "must say whose it is, as in {id}");
    }
    let is_known = |place: &str| place == "id" || payload.ids.iter().any(|(id, _)| id == place);
    for place in places.iter().filter(|place| !is_known(place)) {
        notes.problem(
            &at("family"),
            format!("{{{place}}} is neither {{id}} nor in `ids`"),
        );
    }
    for (name, _) in &payload.ids {
        if !places.contains(&name.as_str()) {
            notes.problem(&at("ids"), format!("`{name}` has no place in `family`"));
        }
    }
    if !payload.told_by.is_empty() && places.len() != 1 {
        notes.problem(
            &at("told_by"),
            "needs a family with one place: a changed record names one value",
        );
    }
    if payload.told_wholly && payload.told_by.is_empty() {
        notes.problem(&at("told_wholly"), "stands without `told_by`");
    }
    for (key, place) in payload.stray_places() {
        notes.problem(
            &at(key),
            format!("{{{place}}} has no place in `family`: two payloads would share one key"),
        );
    }
    for part in &payload.parts {
        if let PartSource::Sum { of, .. } = &part.source
            && !payload
                .parts
                .iter()
                .any(|other| other.name == *of && matches!(other.source, PartSource::List { .. }))
        {
            notes.problem(
                &at("parts"),
                format!("there is no listed part `{of}` to sum"),
            );
        }
    }
}

fn check_parents(connector: &Connector, notes: &Notes) {
    for resource in &connector.resources {
        let mut chain = vec![resource.name.as_str()];
        let mut current = resource;
        while let Some(parent) = current
            .of
            .as_deref()
            .and_then(|name| connector.resource(name))
        {
            if chain.contains(&parent.name.as_str()) {
                if parent.name == resource.name {
                    chain.push(&parent.name);
                    let circle = chain.join(" → ");
                    notes.problem(
                        &format!("resource.{}.of", resource.name),
                        format!("goes in a circle: {circle}"),
                    );
                }
                break;
            }
            chain.push(&parent.name);
            current = parent;
        }
    }
}
