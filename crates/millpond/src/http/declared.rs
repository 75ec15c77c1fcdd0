//! What each route is: who may ask, what with, what it answers, and which cached values a write makes old.
//!
//! The guard, `/openapi.json` and the tests read it here. A route that is not declared is an operator's alone.

mod routes;

use schemars::{JsonSchema, Schema, SchemaGenerator};

pub use self::routes::DECLARED;

/// The family of resolved credentials.
pub const PRINCIPAL: &str = "cache:principal:{credential_hash}";
/// The family of tenants.
pub const TENANT: &str = "cache:tenant:{tenant_id}";
/// The family of projects.
pub const PROJECT: &str = "cache:project:{project_id}";
/// The family of vectors of texts.
pub const EMBEDDING: &str = "cache:embedding:{text_hash}";
/// The family of answers to questions.
pub const QUERY: &str = "cache:query:{tenant}:{user}:{hash}";

/// The families of what stands beside a record, as its connector names them.
pub const PAYLOAD: &str = "the payload's own";
/// The family of records, or the one that a connector names.
pub const RECORD: &str = "the record's own";

/// Whichever family a key is of.
pub const KEYS_OWN: &str = "the key's own";

/// The loaders of records and of what stands beside them.
const RECORDS: &[&str] = &["mirror.record", "mirror.payload"];
/// The loaders of answers to questions.
const RECALLS: &[&str] = &["memory.query"];
/// The loader of search answers.
const SEARCHES: &[&str] = &["mirror.search"];

/// The least that a caller must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nobody in particular: no key is asked for.
    Nobody,
    /// A key of any role.
    User,
    /// A developer's key.
    Developer,
    /// An admin's key.
    Admin,
    /// An operator, who is of no tenant.
    Operator,
}

/// What asking does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing changes.
    Reads,
    /// Something changes, and these families' keys of what was touched are forgotten before the answer.
    Writes(&'static [&'static str]),
}

/// One method of one route.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path with its parts in braces.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// What asking does.
    pub effect: Effect,
    /// What it answers, in a few words.
    pub summary: &'static str,
    /// What may stand after `?`.
    pub query: &'static [Param],
    /// What the body must be.
    pub body: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The name of the schema of the answer; `None`: it has no JSON.
    pub answer: Option<&'static str>,
    /// The status of a good answer.
    pub status: u16,
    /// Whether the answer can be had as server-sent events.
    pub streams: bool,
    /// Whether the answer is text.
    pub text: bool,
    /// The loaders of the families that it answers out of; none: it does not read through the cache.
    pub cached: &'static [&'static str],
    /// Whether who has the answer already is told so: `If-None-Match`.
    pub conditional: bool,
    /// Whether it speaks a protocol of its own, which OpenAPI does not describe.
    pub foreign: bool,
}

/// Something after `?`.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// What it must be.
    pub kind: Kind,
    /// Whether it may come often.
    pub many: bool,
    /// Whether it must be there.
    pub required: bool,
}

/// What a parameter must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number from 1 to this.
    UpTo(i64),
    /// A whole number.
    Number,
    /// true or false.
    Flag,
    /// A whole number and its unit: ms, s, m, h or d.
    Period,
}

const fn param(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param {
        name,
        about,
        kind,
        many: false,
        required: false,
    }
}

impl Param {
    const fn many(mut self) -> Self {
        self.many = true;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

const SNAPSHOT: Param = param(
    "snapshot",
    Kind::Text,
    "as it was at this snapshot: its number, or newest; cannot go with max_age, fresh or include",
);
const FROM: Param = param(
    "from",
    Kind::Text,
    "at this snapshot: its number, or newest",
);
const TO: Param = param(
    "to",
    Kind::Text,
    "at this snapshot: its number, or newest; without it and to_version, as it is now",
);
const FROM_VERSION: Param = param("from_version", Kind::Number, "this version, not a snapshot");
const TO_VERSION: Param = param("to_version", Kind::Number, "this version, not a snapshot");
const FOR: Param = param(
    "for",
    Kind::Period,
    "how long from now, at most 7d; without it 1h",
);
const LIMIT: Param = param("limit", Kind::UpTo(1000), "the most rows of the page");
const AFTER: Param = param(
    "after",
    Kind::Text,
    "what the page before said under `next`",
);
const BEFORE: Param = param(
    "before",
    Kind::Number,
    "what the page before said under `next`",
);
const NUMBER_AFTER: Param = param(
    "after",
    Kind::Number,
    "what the answer before said under `next`",
);
const WAIT: Param = param(
    "wait",
    Kind::Period,
    "wait so long for the first row, at most 30s",
);
const MAX_AGE: Param = param(
    "max_age",
    Kind::Period,
    "ask upstream first when it is older",
);
const FRESH: Param = param("fresh", Kind::Flag, "ask upstream in any case");
const NO_CALLS: Param = param(
    "no_calls",
    Kind::Flag,
    "answer what the mirror has, whatever its age; cannot go with max_age, fresh or include",
);
const INSTANCES: Param = param("instance", Kind::Text, "only these instances").many();
const INSTANCE: Param = param("instance", Kind::Text, "only this instance");
const DELETED: Param = param("deleted", Kind::Flag, "also what is gone upstream");
const RESOURCE: Param = param("resource", Kind::Text, "such as cin7.sale").required();
const OF_RESOURCE: Param = param("resource", Kind::Text, "only this resource");
const STATE: Param = param("state", Kind::Text, "only runs in this state");
const WHERE: Param = param(
    "where",
    Kind::Text,
    "a path, a comparison and a value; all must hold",
)
.many();
const CONTAINS: Param = param("contains", Kind::Text, "JSON that a match contains");
const JSON_PATH: Param = param(
    "json_path",
    Kind::Text,
    "an SQL/JSON path that must find something",
);
const PATHS: Param = param(
    "path",
    Kind::Text,
    "a place in the body, such as Status or Order.Lines[].SKU; at most 8",
)
.many()
.required();
const LOOKED_INTO: Param = param(
    "records",
    Kind::UpTo(100_000),
    "how many of the newest matches are looked into; 2000",
);
const LIMIT_VALUES: Param = param("limit", Kind::UpTo(100), "the most values of each path; 10");
const NAME: Param = param("name", Kind::Text, "only events whose name begins so");
const OF_TENANT: Param = param("tenant", Kind::Text, "only this tenant's");

const DELIVERY_STATE: Param = param(
    "state",
    Kind::Text,
    "only deliveries in this state: pending, delivered, dead or withheld",
);
const OF_INSTANCE: Param = param("instance", Kind::Text, "this instance").required();
const ORDER: Param = param("order", Kind::Text, "only this order, by number");
const ORDER_STATE: Param = param("state", Kind::Text, "only plans in this state");
const SAID_BY: Param = param("by", Kind::Text, "who says so, for the record");
const ROWS_AFTER: Param = param("after", Kind::Number, "so many rows of each list were read");

const fn reads(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    summary: &'static str,
) -> Declared {
    Declared {
        method,
        path,
        needs,
        effect: Effect::Reads,
        summary,
        query: &[],
        body: None,
        answer: None,
        status: 200,
        streams: false,
        text: false,
        cached: &[],
        conditional: false,
        foreign: false,
    }
}

const fn writes(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    families: &'static [&'static str],
    summary: &'static str,
) -> Declared {
    let mut route = reads(method, path, needs, summary);
    route.effect = Effect::Writes(families);
    route
}

impl Declared {
    const fn query(mut self, query: &'static [Param]) -> Self {
        self.query = query;
        self
    }

    const fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(schema_of::<T>);
        self
    }

    const fn answer(mut self, schema: &'static str) -> Self {
        self.answer = Some(schema);
        self
    }

    const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    const fn streams(mut self) -> Self {
        self.streams = true;
        self
    }

    const fn cached(mut self, loaders: &'static [&'static str]) -> Self {
        self.cached = loaders;
        self
    }

    const fn conditional(mut self) -> Self {
        self.conditional = true;
        self
    }

    const fn text(mut self) -> Self {
        self.text = true;
        self
    }

    const fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Who may ask `method` on the route `path`.
pub fn needs(method: &str, path: &str) -> Needs {
    // What can be read can be asked for without its body.
    let method = if method == "HEAD" { "GET" } else { method };
    DECLARED
        .iter()
        .find(|route| route.method == method && route.path == path)
        .map_or(Needs::Operator, |route| route.needs)
}
