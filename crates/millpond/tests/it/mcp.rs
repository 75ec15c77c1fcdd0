//! Agents: the tools, asked by a program that nobody here wrote and by hand.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::{CONFIG, Kind, Reply, World};

/// `scripts/setup test` puts it there: a Python with the official SDK.
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/mcp-sdk/bin/python"
);
const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/examples/mcp_client.py"
);

/// The feed waits for whoever else writes to this PostgreSQL: other tests do.
fn patient() -> String {
    CONFIG.replace("request_timeout = \"5s\"", "request_timeout = \"60s\"")
}

async fn stocked() -> World {
    let world = World::of(Kind::of_this_run(), &patient(), &[]).await;
    for instance in ["pond-uk", "pond-eu"] {
        let records = [("1", r#"{"Total": 1.10}"#), ("2", r#"{"Total": 2.20}"#)];
        world.write("cin7.sale", instance, &records).await;
    }
    world
}

async fn client(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let output = Command::new(PYTHON)
        .arg(CLIENT)
        .args(words)
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{complained}");
    output
}

fn expect_all_answers(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        "tools: schema status search record history sql recall remember changes orders_plans orders_plan"
    );
    let has = |words: &str| assert!(said.contains(words), "no `{words}` in\n{said}");
    has("search: ['");
    has("from the mirror");
    has("fresh: refused: this may cost up to 1 calls of pond-");
    has("sql: [['pond-eu', 2], ['pond-uk', 2]]");
    has("sql: refused: ");
    has("recall: made ['Orders of pond-uk leave on Tuesdays']");
    has("changes: ['i");
    has("status: 2 instances");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_asks_every_tool_over_http() {
    if !Path::new(PYTHON).exists() {
        eprintln!("skipped: `scripts/setup test` installs the SDK");
        return;
    }
    let world = stocked().await;
    let url = format!("http://{}/mcp", world.address);
    expect_all_answers(&client(&[&url], &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_asks_every_tool_on_standard_input_and_output() {
    if !Path::new(PYTHON).exists() {
        eprintln!("skipped: `scripts/setup test` installs the SDK");
        return;
    }
    let world = stocked().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("millpond.toml");
    std::fs::write(&config, patient()).unwrap();
    let words = [
        env!("CARGO_BIN_EXE_millpond"),
        "mcp",
        "--config",
        config.to_str().unwrap(),
    ];
    let url = world.database_url();
    expect_all_answers(&client(&words, &[("DATABASE_URL", &url)]).await);
}

async fn rpc(world: &World, key: Option<&str>, method: &str, params: Value) -> Reply {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    if let Some(bearer) = &bearer {
        headers.push(("authorization", bearer));
    }
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    world
        .send("POST", "/mcp", &headers, Some(message.to_string()))
        .await
}

/// What a tool answered, and whether it refused.
async fn call(world: &World, key: Option<&str>, tool: &str, arguments: Value) -> (String, bool) {
    let params = json!({ "name": tool, "arguments": arguments });
    let reply = rpc(world, key, "tools/call", params).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let result = &reply.json()["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    (text.to_owned(), result["isError"] == true)
}

#[tokio::test]
async fn without_a_key_there_are_no_tools_once_keys_are_asked_for() {
    let world = World::with_keys(&["the-key"]).await;
    let refused = rpc(&world, None, "tools/list", json!({})).await;
    assert_eq!(refused.status, 401, "{}", refused.body);
    let listed = rpc(&world, Some("the-key"), "tools/list", json!({})).await;
    let tools = listed.json()["result"]["tools"].clone();
    assert!(tools.as_array().unwrap().len() >= 7, "{tools}");
    for tool in tools.as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        let reads = tool["name"] != "orders_plan" && tool["name"] != "remember";
        assert_eq!(tool["annotations"]["readOnlyHint"], reads, "{tool}");
        assert_eq!(tool["annotations"]["destructiveHint"], false, "{tool}");
    }
}

#[tokio::test]
async fn a_page_in_a_browser_is_refused() {
    let world = stocked().await;
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("origin", "https://evil.example"),
    ];
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let reply = world.send("POST", "/mcp", &headers, Some(message)).await;
    assert_eq!(reply.status, 403, "{}", reply.body);
}

#[tokio::test]
async fn wrong_arguments_and_unknown_names_are_told_to_the_agent() {
    let world = stocked().await;
    let (said, refused) = call(&world, None, "search", json!({ "resorce": "x" })).await;
    assert!(
        refused && said.contains("unknown field `resorce`"),
        "{said}"
    );
    let (said, refused) = call(
        &world,
        None,
        "search",
        json!({ "resource": "cin7.nothing" }),
    )
    .await;
    assert!(refused && said.contains("there is: cin7."), "{said}");
    let of = json!({ "resource": "cin7.sale", "instance": "pond-uk", "id": "no/such ?id" });
    let (said, refused) = call(&world, None, "record", of).await;
    assert!(
        refused && said.contains("has no record `no/such ?id`"),
        "{said}"
    );
    let params = json!({ "name": "format_disk", "arguments": {} });
    let reply = rpc(&world, None, "tools/call", params).await;
    let error = reply.json()["error"]["message"].to_string();
    assert!(error.contains("there is no tool `format_disk`"), "{error}");
}

#[tokio::test]
async fn large_answers_are_outlined_cut_or_paged_and_say_so() {
    let world = World::new().await;
    let lines: Vec<Value> = (0..2000)
        .map(|n| json!({ "SKU": format!("SKU-{n}"), "Name": "n".repeat(60) }))
        .collect();
    let body = json!({ "Number": "SO-1", "Lines": lines }).to_string();
    let records: Vec<(String, String)> = (0..20).map(|n| (n.to_string(), body.clone())).collect();
    let records: Vec<(&str, &str)> = records.iter().map(|(i, b)| (&**i, &**b)).collect();
    world.write("cin7.sale", "pond-uk", &records).await;

    let of = json!({ "resource": "cin7.sale", "instance": "pond-uk", "id": "7" });
    let (said, refused) = call(&world, None, "record", of.clone()).await;
    assert!(!refused && said.len() < 50_000, "{}", said.len());
    let record: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(record["body"]["outline"]["Lines"]["array_of"], 2000);
    assert!(record["hint"].as_str().unwrap().contains("`part`"));

    let mut part = of;
    part["part"] = json!("/Lines");
    part["from"] = json!(1990);
    part["count"] = json!(20);
    let (said, _) = call(&world, None, "record", part).await;
    let record: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(record["body"].as_array().unwrap().len(), 10);
    assert_eq!(record["body"][9]["SKU"], "SKU-1999");

    let ask = json!({ "resource": "cin7.sale", "limit": 20, "parts": ["/Number", "/Lines/0/SKU"] });
    let (said, _) = call(&world, None, "search", ask).await;
    let page: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(page["records"].as_array().unwrap().len(), 20);
    assert_eq!(page["records"][3]["body"]["/Lines/0/SKU"], "SKU-0");

    let ask = json!({ "sql": "SELECT n, repeat('x', 1000) FROM generate_series(1, 90) n" });
    let (said, _) = call(&world, None, "sql", ask).await;
    let rows: Value = serde_json::from_str(&said).unwrap();
    assert!(said.len() < 50_000 && rows["truncated"].as_str().unwrap().contains("more rows"));
}

#[tokio::test]
async fn an_agent_may_propose_a_plan_and_read_it() {
    let world = stocked().await;
    let (said, refused) = call(
        &world,
        None,
        "orders_plan",
        json!({ "instance": "pond-uk" }),
    )
    .await;
    assert!(!refused, "{said}");
    let made: Value = serde_json::from_str(&said).unwrap();
    let plan = &made["id"];
    assert!(plan.is_i64(), "{said}");
    let (said, refused) = call(&world, None, "orders_plans", json!({ "plan": plan })).await;
    assert!(!refused, "{said}");
    let (said, refused) = call(&world, None, "orders_plans", json!({})).await;
    assert!(!refused && said.contains("an agent"), "{said}");
    let (said, refused) = call(&world, None, "orders_plan", json!({ "instance": "pond" })).await;
    assert!(refused && said.contains("pond"), "{said}");
}
