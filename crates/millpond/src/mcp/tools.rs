//! The tools: what each is asked with, and which question to the API it is.

mod notes;

use std::{fmt::Write as _, future::Future, pin::Pin, sync::Arc};

use http::Method;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::answer::{self, ANSWER_CHARS_MAX};
use crate::{
    access::Caller,
    door::{Door, Refusal, encoded},
};

/// Records of a search when the agent does not say.
const SEARCH_LIMIT: i64 = 10;
/// Changes when the agent does not say.
const CHANGES_LIMIT: i64 = 50;

/// Rows of each list of a plan.
const PLAN_ROWS: i64 = 50;

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send + 'a>>;

/// What is mirrored.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Schema {
    /// Only this resource and its views, such as cin7.sale; then the views come with their columns
    resource: Option<String>,
}

/// How fresh the copy is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusOf {
    /// Only this instance
    instance: Option<String>,
}

/// Records that meet all criteria, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Such as cin7.sale
    resource: String,
    /// Criteria that must all hold: a path, one of = != < <= > >= ~, and a value, such as
    /// Order.Lines[].SKU=85123A or SaleOrderDate>=2026-01-01
    #[serde(default, rename = "where")]
    criteria: Vec<String>,
    /// JSON that a match must contain, such as {"Status": "BACKORDERED"}
    contains: Option<Value>,
    /// An SQL/JSON path that must find something, such as $.Order.Lines[*] ? (@.Quantity > 100)
    json_path: Option<String>,
    /// Only these instances
    #[serde(default)]
    instances: Vec<String>,
    /// The most records: 10 when absent, at most 100
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
    /// What the page before said under `next`
    after: Option<String>,
    /// Only these parts of each body, as JSON pointers such as /Order/SaleOrderNumber; without, whole bodies
    #[serde(default)]
    parts: Vec<String>,
    /// As the records were at this snapshot: a number that an answer gave under `snapshot`, or newest. Give the number
    /// again with each page and question that must agree
    snapshot: Option<String>,
}

/// One record by its id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Such as cin7.sale
    resource: String,
    /// Such as cin7-au
    instance: String,
    /// Its id upstream
    id: String,
    /// Only this part of the body, as a JSON pointer such as /Order/Lines
    part: Option<String>,
    /// Of a part that is an array, leave out so many elements first
    #[serde(default)]
    from: usize,
    /// Of a part that is an array, the most elements
    count: Option<usize>,
    /// What stands beside it, such as notes or contacts, where its connector has that; needs `max_calls`
    #[serde(default)]
    include: Vec<String>,
    /// Ask the service itself when the copy is older, such as 5m; needs `max_calls`
    max_age: Option<String>,
    /// Ask the service itself in any case; needs `max_calls`
    #[serde(default)]
    fresh: bool,
    /// How many calls of the shared budget this may cost. Without it, none is made
    max_calls: Option<u32>,
    /// As it was at this snapshot: a number that an answer gave under `snapshot`, or newest; not with `fresh`,
    /// `max_age` or `include`
    snapshot: Option<String>,
}

/// The former versions of one record, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct History {
    /// Such as cin7.sale
    resource: String,
    /// Such as cin7-au
    instance: String,
    /// Its id upstream
    id: String,
    /// The most versions: 5 when absent, at most 100
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
}

/// One SQL statement that reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sql {
    /// PostgreSQL; views as `schema` names them, such as SELECT sku, sum(quantity) FROM cin7.sale_line GROUP BY 1
    sql: String,
    /// The values of $1, $2, …
    #[serde(default)]
    params: Vec<Value>,
}

/// Inserts, updates and deletes, oldest first.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// What the answer before said under `next`; without, from the oldest that is kept
    after: Option<String>,
    /// The most changes: 50 when absent, at most 500
    #[schemars(range(min = 1, max = 500))]
    limit: Option<i64>,
    /// Wait so long for the first change, such as 20s, at most 30s
    wait: Option<String>,
}

/// Order plans, newest first, or one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plans {
    /// The number of a plan: what it writes, has written and leaves short
    plan: Option<i64>,
    /// With `plan`: why this order, by number, gets what it gets
    order: Option<String>,
    /// Only plans of this instance
    instance: Option<String>,
}

/// A new order plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MakePlan {
    /// Such as cin7-au
    instance: String,
    /// What decides: pick (allocate, then what leaves today), split, fill or allocate; pick when absent
    op: Option<String>,
    /// Only these orders, by number; absent: every open one
    #[serde(default)]
    orders: Vec<String>,
}

/// Every tool.
pub(super) fn list() -> Vec<Tool> {
    vec![
        tool::<Schema>(
            "schema",
            "What is mirrored: resources, their instances, and the SQL views over them",
        ),
        tool::<StatusOf>(
            "status",
            "How fresh the copy is, per instance and resource; what fails",
        ),
        tool::<Search>(
            "search",
            "Find records by criteria. Answers from the copy, newest first, a page at a time",
        ),
        tool::<Record>(
            "record",
            "Read one record by its id. From the copy at no cost; `max_calls` allows to ask the service itself",
        ),
        tool::<History>(
            "history",
            "What a record said before, newest first, with the times between which it said so",
        ),
        tool::<Sql>(
            "sql",
            "Ask the copy in PostgreSQL's SQL: one statement that reads. For sums, joins and lists over many records",
        ),
        tool::<notes::Recall>(
            "recall",
            "Find notes and records by what they say, in any words. Answers from the copy, best first, with scores",
        ),
        proposes(tool::<notes::Remember>(
            "remember",
            "Keep a note beside the records, to be recalled later. Stored here only, never upstream",
        )),
        tool::<Changes>(
            "changes",
            "The feed of inserts, updates and deletes: what has changed since a place in it",
        ),
        tool::<Plans>(
            "orders_plans",
            "Order plans and where they stand; one plan's documents; why an order gets what it gets",
        ),
        proposes(tool::<MakePlan>(
            "orders_plan",
            "Decide over open orders and stock: who gets what, from where, what waits. Stores a proposal and writes \
             nothing upstream: a person approves and applies it",
        )),
    ]
}

fn tool<T: JsonSchema>(name: &'static str, about: &'static str) -> Tool {
    let schema = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>();
    let mut schema: JsonObject = schema.to_value().as_object().cloned().unwrap_or_default();
    schema.remove("title");
    schema.remove("description");
    let reads = ToolAnnotations::new()
        .read_only(true)
        .destructive(false)
        .open_world(false);
    Tool::new(name, about, Arc::new(schema)).with_annotations(reads)
}

/// A tool that stores something here and touches nothing else.
fn proposes(tool: Tool) -> Tool {
    let stores = ToolAnnotations::new()
        .read_only(false)
        .destructive(false)
        .open_world(false);
    tool.with_annotations(stores)
}

/// Asks a tool; `None`: there is none of that name.
pub(super) fn call<'a>(
    door: &'a Door,
    caller: Caller,
    name: &str,
    arguments: JsonObject,
) -> Option<Asked<'a>> {
    let at = At { door, caller };
    Some(match name {
        "schema" => with(arguments, move |args| at.schema(args)),
        "status" => with(arguments, move |args| at.status(args)),
        "search" => with(arguments, move |args| at.search(args)),
        "record" => with(arguments, move |args| at.record(args)),
        "history" => with(arguments, move |args| at.history(args)),
        "sql" => with(arguments, move |args| at.sql(args)),
        "recall" => with(arguments, move |args| at.recall(args)),
        "remember" => with(arguments, move |args| at.remember(args)),
        "changes" => with(arguments, move |args| at.changes(args)),
        "orders_plans" => with(arguments, move |args| at.plans(args)),
        "orders_plan" => with(arguments, move |args| at.make_plan(args)),
        _ => return None,
    })
}

fn with<'a, T, F>(arguments: JsonObject, ask: impl FnOnce(T) -> F + Send + 'a) -> Asked<'a>
where
    T: DeserializeOwned + Send + 'a,
    F: Future<Output = Result<Value, Refusal>> + Send + 'a,
{
    Box::pin(async move {
        let arguments = serde_json::from_value(Value::Object(arguments))
            .map_err(|error| Refusal::new(format!("the arguments are wrong: {error}")))?;
        ask(arguments).await
    })
}

/// The door, with somebody before it.
struct At<'a> {
    door: &'a Door,
    caller: Caller,
}

impl At<'_> {
    async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.door.ask(&self.caller, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        self.door
            .ask(&self.caller, Method::POST, path, Some(body))
            .await
    }

    async fn schema(self, args: Schema) -> Result<Value, Refusal> {
        if let Some(resource) = &args.resource {
            let path = format!("/v1/resources?resource={}", encoded(resource));
            return self.get(&path).await;
        }
        let mut all = self.get("/v1/resources").await?;
        // Names first; who wants columns asks for a resource.
        if let Some(views) = all["views"].as_array_mut() {
            for view in views {
                *view = view["name"].take();
            }
        }
        all["hint"] = json!("ask again with `resource` for its views' columns");
        Ok(all)
    }

    async fn status(self, args: StatusOf) -> Result<Value, Refusal> {
        let mut answer = match &args.instance {
            Some(name) => {
                let path = format!("/v1/instances/{}", encoded(name));
                json!({ "instances": [self.get(&path).await?] })
            }
            None => self.get("/v1/instances").await?,
        };
        for instance in answer["instances"].as_array_mut().into_iter().flatten() {
            for resource in instance["resources"].as_array_mut().into_iter().flatten() {
                if let Some(entry) = resource.as_object_mut() {
                    entry.retain(|key, value| key != "instance" && !value.is_null());
                }
            }
        }
        let gone = answer::trim_rows(&mut answer, "instances");
        if gone > 0 {
            answer["left_out"] = json!(format!("{gone} instances; ask for one by `instance`"));
        }
        Ok(answer)
    }

    async fn search(self, args: Search) -> Result<Value, Refusal> {
        let mut limit = args.limit.unwrap_or(SEARCH_LIMIT).clamp(1, 100);
        loop {
            let question = json!({
                "resource": args.resource,
                "where": args.criteria,
                "contains": args.contains,
                "json_path": args.json_path,
                "instances": args.instances,
                "limit": limit,
                "after": args.after,
                "snapshot": args.snapshot,
            });
            let mut page = self.post("/v1/search", &question).await?;
            if !args.parts.is_empty() {
                for record in page["records"].as_array_mut().into_iter().flatten() {
                    record["body"] = chosen(&record["body"], &args.parts);
                }
            }
            if answer::fits(&page) {
                return Ok(page);
            }
            // Fewer records, so that `next` stays true.
            if limit > 1 {
                limit /= 2;
                continue;
            }
            for record in page["records"].as_array_mut().into_iter().flatten() {
                record["body"] = json!({ "outline": answer::outline(&record["body"]) });
            }
            page["hint"] =
                json!("one record is longer than an answer may be: name the `parts` that you need");
            return Ok(page);
        }
    }

    async fn record(self, args: Record) -> Result<Value, Refusal> {
        let wants = args.fresh || args.max_age.is_some() || !args.include.is_empty();
        let price = 1 + u32::try_from(args.include.len()).unwrap_or(u32::MAX - 1);
        let mut path = format!(
            "/v1/records/{}/{}/{}?",
            encoded(&args.resource),
            encoded(&args.instance),
            encoded(&args.id)
        );
        match args.max_calls {
            None if wants => {
                return Err(Refusal::new(format!(
                    "this may cost up to {price} calls of {}, whose budget people share; nothing was asked. If that is \
                     all right, ask again with max_calls = {price}; without `fresh`, `max_age` and `include` it is free",
                    args.instance
                )));
            }
            Some(max_calls) if max_calls < price => {
                return Err(Refusal::new(format!(
                    "this may cost up to {price} calls, and max_calls is {max_calls}; nothing was asked"
                )));
            }
            None => path.push_str("no_calls=true"),
            Some(_) => {
                if args.fresh {
                    path.push_str("fresh=true");
                }
                if let Some(age) = &args.max_age {
                    let _ = write!(path, "&max_age={}", encoded(age));
                }
                if !args.include.is_empty() {
                    let _ = write!(path, "&include={}", encoded(&args.include.join(",")));
                }
            }
        }
        if let Some(snapshot) = &args.snapshot {
            let _ = write!(path, "&snapshot={}", encoded(snapshot));
        }
        let mut record = self.get(&path).await?;
        if let Some(pointer) = &args.part {
            let count = args.count.unwrap_or(usize::MAX);
            let part = answer::part(&record["body"], pointer, args.from, count);
            let part = part.map(std::borrow::Cow::into_owned).ok_or_else(|| {
                Refusal::new(format!(
                    "the record has nothing at `{pointer}`; its outline: {}",
                    answer::outline(&record["body"])
                ))
            })?;
            record["body"] = part;
        }
        if answer::fits(&record) {
            return Ok(record);
        }
        let chars = record["body"].to_string().len();
        record["body"] = json!({ "outline": answer::outline(&record["body"]) });
        record["hint"] = json!(format!(
            "the body has {chars} letters, more than {ANSWER_CHARS_MAX}: ask again with `part` (and `from`, `count`)"
        ));
        Ok(record)
    }

    async fn history(self, args: History) -> Result<Value, Refusal> {
        let path = format!(
            "/v1/records/{}/{}/{}/history?limit={}",
            encoded(&args.resource),
            encoded(&args.instance),
            encoded(&args.id),
            args.limit.unwrap_or(5).clamp(1, 100)
        );
        let mut versions = self.get(&path).await?;
        let gone = answer::trim_rows(&mut versions, "versions");
        if gone > 0 {
            versions["left_out"] = json!(format!("{gone} older versions: they would not fit"));
        }
        Ok(versions)
    }

    async fn sql(self, args: Sql) -> Result<Value, Refusal> {
        let query = json!({ "sql": args.sql, "params": args.params });
        let mut answer = self.post("/v1/query/sql", &query).await?;
        let gone = answer::trim_rows(&mut answer, "rows");
        if gone > 0 {
            answer["truncated"] = json!(format!(
                "{gone} more rows would not fit: add a LIMIT, fewer columns, or a GROUP BY"
            ));
        }
        Ok(answer)
    }

    async fn changes(self, args: Changes) -> Result<Value, Refusal> {
        let limit = args.limit.unwrap_or(CHANGES_LIMIT).clamp(1, 500);
        let mut path = format!("/v1/changes?limit={limit}");
        if let Some(after) = &args.after {
            let _ = write!(path, "&after={}", encoded(after));
        }
        if let Some(wait) = &args.wait {
            let _ = write!(path, "&wait={}", encoded(wait));
        }
        self.get(&path).await
    }

    async fn plans(self, args: Plans) -> Result<Value, Refusal> {
        let path = match (args.plan, &args.order, &args.instance) {
            (Some(plan), Some(order), _) => {
                format!("/v1/orders/plans/{plan}/orders/{}", encoded(order))
            }
            (Some(plan), None, _) => format!("/v1/orders/plans/{plan}?limit={PLAN_ROWS}"),
            (None, Some(_), _) => return Err(Refusal::new("`order` needs `plan`")),
            (None, None, Some(instance)) => {
                format!("/v1/orders/plans?limit=20&instance={}", encoded(instance))
            }
            (None, None, None) => "/v1/orders/plans?limit=20".to_owned(),
        };
        Ok(shortened(self.get(&path).await?))
    }

    async fn make_plan(self, args: MakePlan) -> Result<Value, Refusal> {
        let mut ask = json!({ "instance": args.instance, "orders": args.orders });
        if let Some(op) = args.op {
            ask["op"] = json!(op);
        }
        let made = self.post("/v1/orders/plans?by=an%20agent", &ask).await?;
        Ok(shortened(made))
    }
}

/// A value that is too long, by its outline.
fn shortened(value: Value) -> Value {
    if answer::fits(&value) {
        return value;
    }
    json!({ "outline": answer::outline(&value), "hint": "it is too long to be shown whole; ask for an order of it" })
}

/// What stands at these pointers, by pointer.
fn chosen(body: &Value, parts: &[String]) -> Value {
    parts
        .iter()
        .map(|pointer| {
            let found = body.pointer(pointer).cloned().unwrap_or_default();
            (pointer.clone(), found)
        })
        .collect::<JsonObject>()
        .into()
}
