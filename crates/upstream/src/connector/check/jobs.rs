//! What must hold for `[[sweep]]`, `[[watch]]` and `[[hook]]`.

use super::{Connector, Notes, closest};

/// The names of sweeps and watches: they share the names of resources, because their jobs stand beside those.
pub(super) fn names(connector: &Connector) -> impl Iterator<Item = (&'static str, &str)> {
    let sweeps = connector
        .sweeps
        .iter()
        .map(|sweep| ("sweep", sweep.name.as_str()));
    let watches = connector
        .watches
        .iter()
        .map(|watch| ("watch", watch.name.as_str()));
    sweeps.chain(watches)
}

/// Notes every reference of a sweep, a watch or a hook that leads nowhere.
pub(super) fn check(connector: &Connector, notes: &Notes) {
    for sweep in &connector.sweeps {
        let at = |key: &str| format!("sweep.{}.{key}", sweep.name);
        must_be_listed(connector, notes, &at("of"), &sweep.of);
        let conditional = sweep.only_when.iter().map(|(name, _)| ("only_when", name));
        let named = sweep.payloads.iter().flatten();
        for (key, name) in named.map(|name| ("payloads", name)).chain(conditional) {
            must_be_payload(connector, notes, &at(key), name, &sweep.of);
        }
        for (name, _) in &sweep.only_when {
            let is_swept = match &sweep.payloads {
                Some(payloads) => payloads.contains(name),
                None => connector.payload(name).is_none_or(|payload| payload.warm),
            };
            if !is_swept {
                notes.problem(
                    &at("only_when"),
                    format!("`{name}` is none of the payloads that this sweep looks after"),
                );
            }
        }
    }
    for watch in &connector.watches {
        let at = |key: &str| format!("watch.{}.{key}", watch.name);
        must_be_listed(connector, notes, &at("of"), &watch.of);
        match connector.payload(&watch.payload) {
            Some(payload) if !payload.shares_ids() => notes.problem(
                &at("payload"),
                "must be a payload whose family has the place {id} alone: lines name the record by its id",
            ),
            Some(_) => {}
            None => must_be_payload(connector, notes, &at("payload"), &watch.payload, ""),
        }
    }
    for hook in &connector.hooks {
        let key = format!("hook.{}.resource", hook.name);
        let known = connector.resources.iter().map(|r| r.name.as_str());
        match connector.resource(&hook.resource) {
            Some(resource) if resource.get.is_none() || resource.key.len() != 1 => notes.problem(
                &key,
                format!(
                    "`{}` cannot be fetched by one id: it needs `get` and a `key` of one value",
                    hook.resource
                ),
            ),
            None if !hook.resource.is_empty() => {
                unknown(notes, &key, "resource", &hook.resource, known);
            }
            _ => {}
        }
    }
}

fn must_be_listed(connector: &Connector, notes: &Notes, key: &str, name: &str) {
    let known = connector.resources.iter().map(|r| r.name.as_str());
    match connector.resource(name) {
        Some(resource) if resource.list.is_none() => {
            notes.problem(key, format!("`{name}` is not listed: it needs `list`"));
        }
        None if !name.is_empty() => unknown(notes, key, "resource", name, known),
        _ => {}
    }
}

/// `of` empty: of any resource.
fn must_be_payload(connector: &Connector, notes: &Notes, key: &str, name: &str, of: &str) {
    let is_of = |payload: &&std::sync::Arc<super::Payload>| of.is_empty() || payload.of == of;
    if name.is_empty() || connector.payload(name).as_ref().is_some_and(is_of) {
        return;
    }
    let known = connector.payloads.iter().filter(is_of);
    unknown(
        notes,
        key,
        "such payload",
        name,
        known.map(|p| p.name.as_str()),
    );
}

fn unknown<'a>(
    notes: &Notes,
    key: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) {
    let near = closest(name, known)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    notes.problem(key, format!("there is no {what} `{name}`{near}"));
}
