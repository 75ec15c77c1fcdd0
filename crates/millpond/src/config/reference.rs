//! `docs/config.md` and `millpond.example.toml`, printed from the structs, their comments and their defaults.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny, de::MapAccess, de::Visitor};
use serde_json::Value;

use super::{
    Config, ConnectionConfig, InstanceConfig, InstanceFreshnessConfig, LimitConfig, PolicyName,
    ScheduleConfig, SecretRef,
};

/// One table of the file.
struct Table {
    header: &'static str,
    about: String,
    keys: Vec<Key>,
}

/// One key of a table.
struct Key {
    name: String,
    about: String,
    kind: String,
    default: Option<Value>,
    required: bool,
}

/// The example of an instance: what a newcomer changes first.
const EXAMPLE_INSTANCE: &str = r#"[[instance]]
name = "cin7-au"
connector = "cin7"
currency = "AUD"
reporting_currency = "USD"

[[instance.connection]]
name = "main"
secrets = { account_id = "env:CIN7_AU_ACCOUNT", application_key = "file:secrets/cin7-au.key" }

[[instance.schedule]]
resource = "sale_header"
kind = "changes"
every = "30s"
"#;

/// An example that is a whole configuration: every key with its default, commented out where it has one.
pub fn example() -> String {
    let mut text = String::from(
        "# Millpond's configuration: every key with its default. Printed by `millpond config example`.\n\
         # Secrets never stand here, only where they are found: env:NAME or file:PATH.\n",
    );
    for table in tables()
        .into_iter()
        .filter(|table| !table.header.starts_with("[[") && !table.header.starts_with("[instance."))
        .filter(|table| table.header.starts_with('['))
    {
        let _ = write!(text, "\n# {}\n{}\n", wrap(&table.about, "# "), table.header);
        for key in &table.keys {
            let _ = writeln!(text, "# {}", wrap(&key.about, "# "));
            match &key.default {
                Some(value) => {
                    let _ = writeln!(text, "# {} = {}", key.name, toml_value(value));
                }
                None => {
                    let _ = writeln!(text, "# {} =", key.name);
                }
            }
        }
    }
    text.push_str("\n# Accounts of upstreams. All keys: docs/config.md\n");
    text.push_str(EXAMPLE_INSTANCE);
    text
}

/// The reference page.
pub fn page() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Millpond reads `millpond.toml` from the current directory, or the file named by `--config` or `MILLPOND_CONFIG`.\n\
         An unknown key, a wrong unit or an impossible pair stops the start and names file, line and key.\n\n\
         `millpond config check` prints every setting that holds and where it comes from. This page and\n\
         [the example](../millpond.example.toml) are printed from the code: `millpond config reference`,\n\
         `millpond config example`.\n\n\
         Durations are written with their unit: `500ms`, `30s`, `5m`, `24h`, `7d`. Secrets never stand in the file, only\n\
         where they are found: `env:NAME` or `file:PATH` (relative to the file).\n\n\
         Environment variables that go before the file: `DATABASE_URL`, `MILLPOND_LOG`, `MILLPOND_CALL_LOG`,\n\
         `CONCURRENCY`, `BATCH_DELAY_MS`, `CW_ADJUSTMENT_SYNC_MAX_PER_CYCLE`, `CW_ADJUSTMENT_SYNC_COOLDOWN_MS`.\n\
         `REDIS_URL` holds where the file does not say where hot values are kept; `MILLPOND_API_KEY` is the key that\n\
         commands show to a server.\n",
    );
    for table in tables() {
        let _ = write!(text, "\n## `{}`\n\n{}\n\n", table.header, table.about);
        text.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        for key in &table.keys {
            let default = match &key.default {
                Some(value) => format!("`{}`", toml_value(value)),
                None if key.required => "required".to_owned(),
                None => "absent".to_owned(),
            };
            let about = key.about.replace('|', "\\|");
            let _ = writeln!(
                text,
                "| `{}` | {} | {default} | {about} |",
                key.name, key.kind
            );
        }
    }
    let _ = write!(text, "\n## An example\n\n```toml\n{EXAMPLE_INSTANCE}```\n");
    text
}

fn tables() -> Vec<Table> {
    let config = Config::default();
    let limit = LimitConfig {
        calls: 60,
        per: super::Period::secs(60),
    };
    let connection = ConnectionConfig {
        name: String::new(),
        secrets: std::collections::BTreeMap::new(),
        limit: Some(limit),
        share: Some(1.0),
    };
    let schedule = ScheduleConfig {
        resource: String::new(),
        kind: super::JobKind::Changes,
        every: super::Period::secs(60),
    };
    let own = InstanceFreshnessConfig {
        policy: Some(PolicyName::Priced),
        max_age: Some(super::Period::secs(3600)),
        feed_share: Some(0.25),
    };
    let instance = InstanceConfig {
        name: String::new(),
        connector: String::new(),
        base_url: Some(String::new()),
        currency: Some(String::new()),
        reporting_currency: Some(String::new()),
        resources: Some(Vec::new()),
        except: Some(Vec::new()),
        quiet: Some(String::new()),
        timeout: Some(super::Period::secs(1)),
        concurrency: Some(1),
        limit: Some(limit),
        private_hosts: false,
        hook_secret: Some(SecretRef::Env("NAME".to_owned())),
        connections: vec![connection.clone()],
        freshness: Some(own),
        schedules: vec![schedule.clone()],
    };
    vec![
        table("[server]", &config.server, true),
        table("[database]", &config.database, true),
        table("[logs]", &config.logs, true),
        table("[call_log]", &config.call_log, true),
        table("[sql]", &config.sql, true),
        table("[cache]", &config.cache, true),
        table("[freshness]", &config.freshness, true),
        table("[retention]", &config.retention, true),
        table("[orders]", &config.orders, true),
        table("[sweep]", &config.sweep, true),
        table("[watch]", &config.watch, true),
        table("[memory]", &config.memory, true),
        table("[webhooks]", &config.webhooks, true),
        table("[[instance]]", &instance, false),
        table("[[instance.connection]]", &connection, false),
        table("[instance.freshness]", &own, false),
        table("[[instance.schedule]]", &schedule, false),
        table("limit", &limit, false),
    ]
}

/// Describes the table that `value` is of; `defaults` says whether its values are the defaults.
fn table<T: JsonSchema + Serialize>(header: &'static str, value: &T, defaults: bool) -> Table {
    let schema = schemars::schema_for!(T).to_value();
    let text = serde_json::to_string(value).unwrap_or_default();
    let values: Value = serde_json::from_str(&text).unwrap_or_default();
    let Keys(order) = serde_json::from_str(&text).unwrap_or_default();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let keys = order.into_iter().map(|name| {
        let about = &schema["properties"][&name];
        let own = if defaults {
            values.get(&name)
        } else {
            about.get("default")
        };
        Key {
            about: plain(&about["description"]),
            kind: kind(about),
            default: own
                .filter(|value| !value.is_null() && !is_tables(about))
                .cloned(),
            required: required.iter().any(|required| required == name.as_str()),
            name,
        }
    });
    let about = plain(&schema["description"]);
    let about = match about.split_once("`: ") {
        Some((_, rest)) => {
            let mut letters = rest.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters).collect()
            })
        }
        None => about,
    };
    Table {
        header,
        about,
        keys: keys.collect(),
    }
}

fn is_tables(schema: &Value) -> bool {
    schema["items"].get("$ref").is_some()
}

fn kind(schema: &Value) -> String {
    if schema.get("$ref").is_some() || schema.get("anyOf").is_some() {
        return "table".to_owned();
    }
    let name = match &schema["type"] {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null")
            .unwrap_or("any"),
        Value::String(name) => name,
        _ => "any",
    };
    match name {
        "string" => "text".to_owned(),
        "array" if is_tables(schema) => "tables".to_owned(),
        "array" => "list of texts".to_owned(),
        "object" => "table".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => other.to_owned(),
    }
}

fn plain(description: &Value) -> String {
    description.as_str().unwrap_or_default().replace('\n', " ")
}

fn toml_value(value: &Value) -> String {
    // For what stands here, TOML writes values as JSON does.
    value.to_string()
}

/// Breaks `text` at 110 letters; further lines begin with `start`.
fn wrap(text: &str, start: &str) -> String {
    let mut wrapped = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + 1 + word.chars().count() > 110 {
            let _ = write!(wrapped, "\n{start}");
            width = 0;
        } else if width > 0 {
            wrapped.push(' ');
            width += 1;
        }
        wrapped.push_str(word);
        width += word.chars().count();
    }
    wrapped
}

/// The keys of an object in the order they stand in.
#[derive(Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Keys(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}
