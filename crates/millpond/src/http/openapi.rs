//! `GET /openapi.json`: the API as OpenAPI 3.1, from the declared routes.

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::declared::{DECLARED, Declared, Effect, Kind, Needs, Param};

/// What answers are made of: `name:type`, a `?` after the name when it may be absent and after the type when it may
/// be null; `[type]` for many, `{type}` for an object with any names.
const SCHEMAS: &[(&str, &str)] = &[
    (
        "Problem",
        "status:int code:text title:text message:text hint?:text position?:int",
    ),
    ("Health", "status:text version:text"),
    ("OpenApi", "openapi:text info:any paths:any"),
    (
        "Instances",
        "instances:[Instance] snapshot:int quarantined?:int",
    ),
    (
        "Instance",
        "name:text connector:text currency:text? reporting:text? paused:flag resources:[any] connections:[any] failing:[any]",
    ),
    (
        "Forecast",
        "instance:text policy:text calls_per_minute:number others_per_minute:number records:int rows:[ForecastRow] warnings:[text]",
    ),
    (
        "ForecastRow",
        "resource:text policy:text budget:text fresh:number age_p95_secs:number calls_per_minute:number target_secs:number?",
    ),
    (
        "Explained",
        "resource:text instance:text id:text policy:text text:text reason:text last_decision:any? age_secs:number changes_per_day:number changes_seen:number reads_per_hour:number stale:number saves:number price:number due_in_secs:number? promised_in_secs:number ttl_secs:number?",
    ),
    ("HotValues", "values:[HotValue]"),
    (
        "HotValue",
        "value:text resource:text id:text key:text state:text age_secs?:number expires_in_secs?:number",
    ),
    ("Resources", "resources:[Resource] views:[View]"),
    (
        "Resource",
        "name:text title:text instances:[text] has_get:flag columns:[text]",
    ),
    ("View", "name:text columns:[Column]"),
    (
        "Record",
        "resource:text instance:text id:text body:any version:int upstream_at:time? changed_at:time as_of:time deleted_at:time? run:int? source:text age_secs:number stale?:text",
    ),
    (
        "RecordPage",
        "records:[Record] next?:text snapshot:int duration_ms?:number",
    ),
    (
        "Facets",
        "facets:[Facet] records:int whole:flag duration_ms:number",
    ),
    ("Facet", "path:text values:[FacetValue] distinct:int"),
    ("FacetValue", "value:any records:int"),
    ("History", "versions:[Version]"),
    (
        "Version",
        "version:int body:any changed_at:time ended_at:time run:int? deleted:flag",
    ),
    (
        "SqlAnswer",
        "columns:[Column] rows:[[any]] truncated:text? duration_ms:number estimate?:Estimate snapshot:int",
    ),
    ("Estimate", "cost:number rows:number"),
    ("Column", "name:text type:text"),
    ("Snapshots", "snapshots:[Snapshot] next?:int"),
    (
        "Snapshot",
        "number:int taken_at:time instance:text? resource:text? run:int? changes:int? pinned_until:time?",
    ),
    (
        "Diff",
        "resource:text instance:text id:text from:DiffSide to:DiffSide changes:[DiffChange] more:flag",
    ),
    (
        "DiffSide",
        "snapshot?:int version:int? changed_at:time? deleted:flag",
    ),
    ("DiffChange", "op:text path:text old?:any value?:any"),
    ("Runs", "runs:[Run] next?:int"),
    (
        "Run",
        "id:int instance:text resource:text kind:text owner:text state:text why:text? started_at:time ended_at:time? pages:int calls:int seen:int inserted:int updated:int deleted:int failed:int quarantined:int expected:int? snapshot:int?",
    ),
    ("Changes", "changes:[Change] next:text"),
    (
        "Change",
        "cursor:text at:time op:text resource:text instance:text id:text version:int",
    ),
    ("Events", "events:[Event] next:int"),
    (
        "Event",
        "number:int at:time name:text instance?:text data:any",
    ),
    ("Quarantine", "records:[Quarantined]"),
    (
        "Quarantined",
        "resource:text instance:text id:text reason:text bytes:int first_at:time last_at:time seen:int",
    ),
    (
        "Principal",
        "key:text? tenant:text? project:text? role:text calls_per_minute:int? expires_at:time? operator:flag instances:[text]",
    ),
    ("Tenants", "tenants:[Tenant] next?:text"),
    (
        "Tenant",
        "id:text title:text plan:text cycle:text limits:{int} window_start:time window_end:time instances:[text] created_at:time",
    ),
    ("Usage", "window_start:time window_end:time meters:[Meter]"),
    ("Meter", "meter:text used:int limit:int?"),
    ("Projects", "projects:[Project] next?:text"),
    (
        "Project",
        "tenant:text id:text title:text instances:[text]? created_at:time",
    ),
    (
        "ProjectWithCounts",
        "tenant:text id:text title:text instances:[text]? created_at:time counts:Counts",
    ),
    ("Counts", "records:int keys:int memories:int as_of:time"),
    ("Keys", "keys:[Key]"),
    (
        "Key",
        "id:text tenant:text? project:text? role:text title:text calls_per_minute:int? created_at:time rotated_at:time? expires_at:time? revoked_at:time?",
    ),
    (
        "NewKey",
        "id:text tenant:text? project:text? role:text title:text calls_per_minute:int? created_at:time rotated_at:time? expires_at:time? revoked_at:time? credential:text",
    ),
    ("Plans", "plans:[PlanRow] next?:int"),
    (
        "PlanRow",
        "id:int instance:text op:text state:text summary:any made_at:time made_by:text approved_at:time? approved_by:text? ended_at:time? why:text?",
    ),
    (
        "Plan",
        "id:int instance:text op:text state:text summary:any made_at:time made_by:text approved_at:time? approved_by:text? ended_at:time? why:text? shipments:[PlanShipment] short:[Short] promises:[any] broken:[any] left_out:[LeftOut] irreversible:[text] engine:text reasons:[any] next?:int",
    ),
    (
        "PlanShipment",
        "number:int order:text sale:text location:text state:text code?:text why?:text lines:[any] writes:[any] steps?:[any]",
    ),
    (
        "Short",
        "order:text line:text sku?:text qty:number code:text text:text",
    ),
    ("LeftOut", "order:text code:text text:text"),
    (
        "Explanation",
        "plan:int order:text place:int of:int class_now:int cannot_be_passed_after:text shipments:[PlanShipment] short:[Short] promises:[any] claims:[any] reasons:[any]",
    ),
    ("Claims", "claims:[Claim] next?:text"),
    (
        "Claim",
        "id:text instance:text order:text line:text? node:text sku:text qty:int strength:text made:text expires:text? by:text reason:text plan:int? added_at:time",
    ),
    ("Held", "id:text"),
    ("Rates", "rates:[Rate]"),
    ("Rate", "month:text currency:text reporting:text rate:text"),
    ("Queries", "queries:[Query]"),
    ("Query", "name:text title:text sql:text built_in:flag"),
    ("SavedQuery", "name:text title:text sql:text"),
    ("Heard", "resource:text? queued:int"),
    ("Settings", "settings:[Setting]"),
    (
        "Setting",
        "key:text value:any from:text file?:text line?:int name?:text",
    ),
    (
        "CallReport",
        "log:text cut:flag bytes:int skipped:any overview:any durations:any statuses:[any] errors:[any] slowest:[any] endpoints:[any] timeline:any concurrency:any connections:[any] advice:[any] notes:[text]",
    ),
    (
        "Connection",
        "instance:text name:text secrets:any calls:int? window_ms:int share:number learned:number enabled:flag added_by:text parked_until:time? set_aside_at:time? set_aside_why:text? in_window:int",
    ),
    ("CacheFamilies", "health:any families:[CacheFamily]"),
    (
        "CacheFamily",
        "name:text loader:text ttl:text scope:text size_class:text hit_ratio?:number hits:int distinct_missed:int misses:int bypassed:int waited:int loads:int loads_failed:int load_us:int refreshed_ahead:int stale_served:int stored:int stored_bytes:int rejected_size:int rejected_key:int rejected_never:int rejected_expired:int rejected_codec:int rejected_invalidated:int rejected_store:int undecodable:int invalidated:int lease_waits_ended:int",
    ),
    ("CacheFindings", "findings:[text] routes:[CachedRoute]"),
    ("CachedRoute", "route:text requests:int through_cache:int"),
    ("CacheKeys", "keys:[CacheKey]"),
    (
        "CacheKey",
        "key:text owner:text physical:text family:text loader:text ttl:text state:text age_secs?:number expires_in_secs?:number bytes?:int loading:flag",
    ),
    (
        "Memory",
        "id:text tenant:text? project:text? user:text text:text tags:[text] tier:text session_id:text? metadata:any about:any vector:text added_at:time changed_at:time",
    ),
    (
        "Recall",
        "hits:[Hit] served:text as_of:time snapshot:int embedder:text without_vectors?:text duration_ms:number",
    ),
    (
        "Hit",
        "kind:text score:number words:number? cosine:number? memory?:Memory record?:RecalledRecord",
    ),
    (
        "RecalledRecord",
        "resource:text instance:text id:text version:int text:text as_of:time",
    ),
    ("Webhooks", "webhooks:[Webhook]"),
    (
        "Webhook",
        "name:text tenant:text? project:text? url:text resources:[text]? instances:[text]? enabled:flag why:text? cursor:text missed_before:time? pending:int dead:int lag_secs:number rotated_at:time? created_at:time changed_at:time",
    ),
    (
        "NewWebhook",
        "secret:text name:text tenant:text? project:text? url:text resources:[text]? instances:[text]? enabled:flag why:text? cursor:text missed_before:time? pending:int dead:int lag_secs:number rotated_at:time? created_at:time changed_at:time",
    ),
    ("Deliveries", "deliveries:[Delivery] next?:int"),
    (
        "Delivery",
        "id:text number:int state:text changes:int cursor:text attempts:int status:int? error:text? made_at:time tried_at:time? ended_at:time?",
    ),
    ("Replayed", "deliveries:int cursor:text"),
    ("CacheForgotten", "keys:[text] forgotten:text"),
];

/// The description of the whole API.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(build)
}

/// `GET /openapi.json`.
pub async fn show_openapi() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string());
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], text.as_str()).into_response()
}

fn build() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in DECLARED.iter().filter(|route| !route.foreign) {
        let body = route.body.map(|body| body(&mut generator).to_value());
        let operation = operation(route, body);
        let path = paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        path[route.method.to_lowercase()] = operation;
    }
    let mut schemas = generator.take_definitions(true);
    for (name, fields) in SCHEMAS {
        schemas.insert((*name).to_owned(), object(fields));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millpond",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A live, queryable PostgreSQL copy of rate-limited business SaaS.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
            },
        },
    })
}

fn operation(route: &Declared, body: Option<Value>) -> Value {
    let mut parameters: Vec<Value> = names_in(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .collect();
    parameters.extend(route.query.iter().map(parameter));
    if route.conditional {
        parameters.push(json!({
            "name": "If-None-Match", "in": "header", "required": false,
            "description": "the `ETag` of an answer that the caller has", "schema": { "type": "string" },
        }));
    }
    let mut content = Map::new();
    if let Some(name) = route.answer {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        content.insert("application/json".to_owned(), json!({ "schema": schema }));
    }
    if route.streams {
        content.insert("text/event-stream".to_owned(), json!({}));
    }
    if route.text {
        content.insert("text/plain".to_owned(), json!({}));
    }
    let mut good = json!({ "description": "done" });
    if !content.is_empty() {
        good["content"] = Value::Object(content);
    }
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": {
            route.status.to_string(): good,
            "default": {
                "description": "why not",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    if route.conditional {
        operation["responses"]["304"] =
            json!({ "description": "it still says what the caller has: `If-None-Match`" });
    }
    if route.needs != Needs::Nobody {
        operation["security"] = json!([{ "bearer": [] }, { "key": [] }]);
    }
    if let Effect::Writes(families) = route.effect {
        operation["x-invalidates"] = json!(families);
    }
    if !route.cached.is_empty() {
        operation["x-cached"] = json!(route.cached);
    }
    if let Some(schema) = body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// `GET /v1/runs/{id}` is `get_v1_runs_id`.
fn operation_id(route: &Declared) -> String {
    let words = route
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut id = route.method.to_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(param: &Param) -> Value {
    let one = match param.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::UpTo(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        Kind::Number => json!({ "type": "integer", "format": "int64" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Period => json!({ "type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$" }),
    };
    let schema = match param.many {
        true => json!({ "type": "array", "items": one, "maxItems": 50 }),
        false => one,
    };
    json!({ "name": param.name, "in": "query", "required": param.required, "description": param.about, "schema": schema })
}

fn object(fields: &str) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields.split(' ') {
        let (name, kind) = field.split_once(':').unwrap_or((field, "any"));
        let plain = name.trim_end_matches('?');
        properties.insert(plain.to_owned(), schema(kind));
        if plain == name {
            required.push(plain);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn schema(kind: &str) -> Value {
    if let Some(inner) = kind.strip_suffix('?') {
        return json!({ "anyOf": [schema(inner), { "type": "null" }] });
    }
    let within = |open, close| kind.strip_prefix(open)?.strip_suffix(close);
    if let Some(inner) = within('[', ']') {
        return json!({ "type": "array", "items": schema(inner) });
    }
    if let Some(inner) = within('{', '}') {
        return json!({ "type": "object", "additionalProperties": schema(inner) });
    }
    match kind {
        "text" => json!({ "type": "string" }),
        "int" => json!({ "type": "integer" }),
        "number" => json!({ "type": "number" }),
        "flag" => json!({ "type": "boolean" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "any" => json!({}),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

#[cfg(test)]
mod tests;
