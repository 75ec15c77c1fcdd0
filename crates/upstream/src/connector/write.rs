//! `writes` of a `[[payload]]`: how its elements are made, changed, removed and put in order.

use super::endpoint::Endpoint;
use super::reader::Table;
use crate::field_path::FieldPath;

/// One way to write a payload.
#[derive(Clone, Debug)]
pub struct Write {
    /// What it does.
    pub verb: WriteVerb,
    /// The HTTP method.
    pub method: http::Method,
    /// Where it is sent, with the payload's places and `{item}`, the element's id.
    pub endpoint: Endpoint,
    /// Where the body must name the parent; set when the caller leaves it out.
    pub parent_at: Option<FieldPath>,
    /// Whether the API takes a JSON patch: an object of fields becomes one `replace` per field.
    pub json_patch: bool,
    /// The field that gets an element's place, from 1, when elements are put in order.
    pub order_at: Option<FieldPath>,
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteVerb {
    /// Makes an element.
    Create,
    /// Changes one.
    Update,
    /// Removes one.
    Delete,
    /// Puts all in order.
    Resequence,
}

impl WriteVerb {
    /// As connector files call it.
    pub fn name(self) -> &'static str {
        match self {
            WriteVerb::Create => "create",
            WriteVerb::Update => "update",
            WriteVerb::Delete => "delete",
            WriteVerb::Resequence => "resequence",
        }
    }
}

impl Write {
    /// The place in a write's endpoint that takes the element's id.
    pub const ITEM: &'static str = "item";

    /// Whether sending it twice is the same as sending it once: replacing, removing, and setting a place.
    pub fn is_repeatable(&self) -> bool {
        matches!(self.method, http::Method::PUT | http::Method::DELETE)
            || self.verb == WriteVerb::Resequence
    }

    pub(super) fn read(table: &Table<'_>) -> Write {
        let verbs = [
            WriteVerb::Create,
            WriteVerb::Update,
            WriteVerb::Delete,
            WriteVerb::Resequence,
        ]
        .map(|verb| (verb.name(), verb));
        let verb = table.choice("name", &verbs).unwrap_or_else(|| {
            if !table.has("name") {
                table.problem("name", "is missing: create, update, delete or resequence");
            }
            WriteVerb::Create
        });
        let call = table.need_text("call");
        let (method, path) = call.split_once(' ').unwrap_or(("", call.as_str()));
        let method = match method {
            "POST" => http::Method::POST,
            "PUT" => http::Method::PUT,
            "PATCH" => http::Method::PATCH,
            "DELETE" => http::Method::DELETE,
            _ => {
                if !call.is_empty() {
                    table.problem(
                        "call",
                        "must begin with POST, PUT, PATCH or DELETE, as in `POST notes`",
                    );
                }
                http::Method::POST
            }
        };
        let endpoint = Endpoint::parse_open(table, "call", path).unwrap_or_default();
        let has_item = endpoint.places().any(|place| place == Write::ITEM);
        if !call.is_empty() && has_item == (verb == WriteVerb::Create) {
            let must = if has_item { "must not" } else { "must" };
            table.problem("call", format!("{must} say {{item}} to {}", verb.name()));
        }
        let order_at = table.path("order_at");
        if order_at.is_some() != (verb == WriteVerb::Resequence) {
            table.problem("order_at", "belongs to `resequence`, and to it alone");
        }
        Write {
            verb,
            method,
            endpoint,
            parent_at: table.path("parent_at"),
            json_patch: table.flag("json_patch").unwrap_or(false),
            order_at,
        }
    }
}
