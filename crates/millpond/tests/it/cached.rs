//! The API over every kind of cache: the same answers, byte for byte.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{CONFIG, Kind, World};

const OPERATOR: &str = "an-operator-of-the-configuration";

/// Longest wait for anything here.
const DEADLINE: Duration = Duration::from_secs(60);

/// One more instance, whose connector has payloads and freshness rules.
const DESK: &str = r#"
[[instance]]
name = "desk"
connector = "connectwise"
base_url = "http://127.0.0.1:9"
private_hosts = true
currency = "AUD"
"#;

/// What is said about how an answer came about, and so may differ: its source, its age, how long it took; and what
/// asking changes, the requests used.
const HOW: [&str; 5] = ["source", "age_secs", "duration_ms", "lag_secs", "used"];

/// An answer's text with the values of [`HOW`] taken out. All other bytes stay.
fn told(body: &str) -> String {
    let mut text = body.to_owned();
    let names = HOW.iter().map(|how| format!("\"{how}\":"));
    // When a project's records were counted: now.
    for name in names.chain(["\"memories\":0,\"as_of\":".to_owned()]) {
        let (mut rest, mut kept) = (text.as_str(), String::new());
        while let Some(at) = rest.find(&name) {
            let (before, after) = rest.split_at(at + name.len());
            kept.push_str(before);
            rest = &after[after.find([',', '}']).unwrap_or(after.len())..];
        }
        kept.push_str(rest);
        text = kept;
    }
    text
}

fn sale(n: u32, total: u32) -> String {
    let location = if n.is_multiple_of(2) { "Main" } else { "North" };
    json!({ "ID": n.to_string(), "Total": total, "Location": location,
            "Order": { "Lines": [{ "SKU": format!("S{}", n % 3), "Quantity": n }] } })
    .to_string()
}

/// Requests of every route that only reads, as one of the three callers.
fn readings() -> Vec<(&'static str, String, Option<Value>)> {
    let mut asked = Vec::new();
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/v1/instances",
        "/v1/instances/pond-uk",
        "/v1/instances/nowhere",
        "/v1/records/cin7.sale/pond-uk/7",
        "/v1/records/cin7.sale/pond-uk/7?max_age=1h",
        "/v1/records/cin7.sale/pond-uk/7?fresh=true",
        "/v1/records/cin7.sale/pond-uk/a%2F1",
        "/v1/records/cin7.sale/pond-eu/3",
        "/v1/records/cin7.sale/pond-eu/7",
        "/v1/records/cin7.sale/pond-eu/7?include=nothing",
        "/v1/records/cin7.sale/nowhere/7",
        "/v1/records/cin7.nothing/pond-uk/7",
        "/v1/records/connectwise.opportunity/desk/42",
        "/v1/records/connectwise.opportunity/desk/42?include=notes",
        "/v1/records/connectwise.opportunity/desk/42/payloads/notes",
        "/v1/records/connectwise.opportunity/desk/42/payloads/nothing",
        "/v1/records/cin7.sale/pond-uk/7/history",
        "/v1/records/cin7.sale/pond-uk/7/diff?from_version=1",
        "/v1/records/cin7.sale/pond-uk/7?snapshot=newest",
        "/v1/records/cin7.sale?snapshot=newest",
        "/v1/records/cin7.sale?limit=3",
        "/v1/records/cin7.sale?instance=pond-eu",
        "/v1/search?resource=cin7.sale&where=Location=Main",
        "/v1/search?resource=cin7.sale&where=Location=Main&where=Total%3E=20&limit=4",
        "/v1/search?resource=cin7.sale&where=Total%3E=20&where=Location=Main&limit=4",
        "/v1/search?resource=cin7.sale&where=Order.Lines%5B%5D.SKU=S1&instance=pond-uk",
        "/v1/search?resource=cin7.sale&json_path=$.Nothing.at.all",
        "/v1/search?resource=cin7.sale&json_path=$$$",
        "/v1/search?resource=cin7.sale&where=nonsense",
        "/v1/search?resource=cin7.sale&instance=nowhere",
        "/v1/runs",
        "/v1/runs/7",
        "/v1/changes?limit=5",
        "/v1/quarantine",
        "/v1/principal",
        "/v1/tenants",
        "/v1/tenants/britain",
        "/v1/tenants/britain/usage",
        "/v1/tenants/britain/projects",
        "/v1/tenants/britain/projects/part",
        "/v1/keys",
    ] {
        asked.push(("GET", path.to_owned(), None));
    }
    let question = json!({ "resource": "cin7.sale", "where": ["Location=North"], "limit": 2 });
    asked.push(("POST", "/v1/search".to_owned(), Some(question)));
    let sql =
        json!({ "sql": "SELECT id, body->'Total' FROM cin7.sale ORDER BY id, instance LIMIT 9" });
    asked.push(("POST", "/v1/query/sql".to_owned(), Some(sql)));
    asked
}

#[test]
fn c1_every_route_that_could_read_through_the_cache_is_compared() {
    use millpond::http::declared::{DECLARED, Effect};
    // Records, searches, and whatever tells of tenants and their keys.
    let kept = ["/v1/records", "/v1/search", "/v1/tenants", "/v1/principal"];
    let asked = readings();
    let reads = DECLARED
        .iter()
        .filter(|route| route.effect == Effect::Reads);
    for route in reads.filter(|route| kept.iter().any(|path| route.path.starts_with(path))) {
        let fits = |path: &str| {
            let path = path.split('?').next().unwrap_or_default();
            let (parts, pattern) = (path.split('/'), route.path.split('/'));
            parts.clone().count() == pattern.clone().count()
                && parts
                    .zip(pattern)
                    .all(|(part, of)| of.starts_with('{') || part == of)
        };
        let compared = asked
            .iter()
            .any(|(method, path, _)| *method == route.method && fits(path));
        assert!(compared, "{} {} is not compared", route.method, route.path);
    }
}

/// What the writes below touch.
const TOUCHED: [&str; 4] = [
    "/v1/records/cin7.sale",
    "/v1/search",
    "/v1/principal",
    "/v1/tenants/britain",
];

async fn ask(
    world: &World,
    key: &str,
    (method, path, body): &(&'static str, String, Option<Value>),
) -> (u16, String, String) {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    let body = body.as_ref().map(Value::to_string);
    let reply = world.send(method, path, &headers, body).await;
    let kind = reply
        .head
        .lines()
        .find(|line| line.starts_with("content-type"));
    (
        reply.status,
        kind.unwrap_or_default().to_owned(),
        told(&reply.body),
    )
}

async fn must(world: &World, method: &str, path: &str, body: Value) -> Value {
    let headers = [
        ("x-api-key", OPERATOR),
        ("content-type", "application/json"),
    ];
    let reply = world
        .send(method, path, &headers, Some(body.to_string()))
        .await;
    assert!(reply.status < 300, "{method} {path}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_c2_every_cache_answers_byte_for_byte_the_same() {
    let config = format!("{CONFIG}{DESK}");
    let mut worlds = vec![World::of(Kind::Off, &config, &[OPERATOR]).await];
    for kind in [Kind::Memory, Kind::Redis, Kind::TwoTier] {
        let other = worlds[0].beside(kind, &[OPERATOR]).await;
        worlds.push(other);
    }
    let exact = r#"{"Total": 12345678901234567.890123456789, "Rate": 1.10, "Text": "é\u2028\"\\", "b": 1, "a": 2}"#;
    let bodies: Vec<(String, String)> = (0..40).map(|n| (n.to_string(), sale(n, n))).collect();
    let mut records: Vec<(&str, &str)> = bodies
        .iter()
        .map(|(id, body)| (id.as_str(), body.as_str()))
        .collect();
    records.push(("a/1", exact));
    let first = &worlds[0];
    first.write("cin7.sale", "pond-uk", &records).await;
    first.write("cin7.sale", "pond-eu", &records[..5]).await;
    let deal = [("42", r#"{"id": 42, "closedFlag": false}"#)];
    first.write("connectwise.opportunity", "desk", &deal).await;
    let notes = [("42", r#"[{"id": 1, "text": "said"}]"#)];
    first
        .write("connectwise.opportunity_notes", "desk", &notes)
        .await;
    let mut keys = vec![OPERATOR.to_owned()];
    for (tenant, instance) in [("britain", "pond-uk"), ("europe", "pond-eu")] {
        must(first, "POST", "/v1/tenants", json!({ "id": tenant })).await;
        let path = format!("/v1/tenants/{tenant}/instances/{instance}");
        must(first, "PUT", &path, Value::Null).await;
        let key = json!({ "tenant": tenant, "role": "admin", "title": "compares" });
        let made = must(first, "POST", "/v1/keys", key).await;
        keys.push(made["credential"].as_str().unwrap().to_owned());
    }
    let part = json!({ "id": "part", "instances": ["pond-uk"] });
    must(first, "POST", "/v1/tenants/britain/projects", part).await;

    // Open transactions of other tests on the same server hold the feed back for a while.
    let deadline = Instant::now() + DEADLINE;
    while must(first, "GET", "/v1/changes?limit=5&wait=1s", Value::Null).await["changes"][4]
        .is_null()
    {
        assert!(Instant::now() < deadline, "the feed is held back");
    }
    let readings = readings();
    let mut hits = 0;
    for round in 0..4 {
        // Nobody has anything to wait for: each server hears of the changes by itself, here at once.
        for world in &worlds {
            world.hear().await;
        }
        for reading in &readings {
            // After the first round what a write touches, or what is kept.
            if round > 0 && !TOUCHED.iter().any(|path| reading.1.starts_with(path)) {
                continue;
            }
            for key in &keys {
                let expected = ask(&worlds[0], key, reading).await;
                for world in &worlds[1..] {
                    // The second time out of the cache, where there is one.
                    for _ in 0..2 {
                        let got = ask(world, key, reading).await;
                        assert_eq!(got, expected, "{reading:?} in round {round}");
                    }
                }
            }
        }
        // Each change by another server. The others must not go on with what they keep.
        let writer = &worlds[round];
        let seven = sale(7, 1000 + round as u32);
        writer.write("cin7.sale", "pond-uk", &[("7", &seven)]).await;
        let plan = json!({ "plan": format!("plan-{round}") });
        must(writer, "PATCH", "/v1/tenants/britain", plan).await;
        let title = json!({ "title": format!("title {round}") });
        must(writer, "PATCH", "/v1/tenants/britain/projects/part", title).await;
        hits = worlds[1..]
            .iter()
            .map(|world| {
                let families = world.cache().families();
                families.iter().map(|(_, stats)| stats.hits).sum::<u64>()
            })
            .min()
            .unwrap_or_default();
    }
    assert!(hits > 100, "only {hits} answers came out of a cache");
}

#[tokio::test]
async fn c6_c8_x3_an_emptied_store_changes_no_answer_and_costs_no_upstream_call() {
    let world = World::of(Kind::Redis, CONFIG, &[]).await;
    world
        .write("cin7.sale", "pond-uk", &[("1", &sale(1, 1))])
        .await;
    let path = "/v1/records/cin7.sale/pond-uk/1";
    let first = world.get(path).await;
    for _ in 0..20 {
        world.redis().run(&["FLUSHALL"]);
        let answer = world.get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(told(&answer.body), told(&first.body));
        // Its upstream does not answer: a call would show as the reason for an old answer.
        assert!(answer.json()["stale"].is_null());
    }
}

#[tokio::test]
async fn c41_no_key_of_the_server_is_without_an_expiry() {
    let world = World::of(Kind::Redis, CONFIG, &[]).await;
    world
        .write("cin7.sale", "pond-uk", &[("1", &sale(1, 1))])
        .await;
    world.get("/v1/records/cin7.sale/pond-uk/1").await;
    world.get("/v1/records/cin7.sale/pond-uk/none").await;
    world
        .get("/v1/search?resource=cin7.sale&where=Total=1")
        .await;
    world.hear().await;
    let keys = world.redis().run(&["KEYS", "*"]);
    assert!(
        keys.iter().any(|key| key.contains(":cin7:sale:1")),
        "{keys:?}"
    );
    assert!(keys.iter().any(|key| key.contains(":search:")), "{keys:?}");
    world.redis().assert_all_expire();
}

#[tokio::test]
async fn x7_two_databases_on_one_redis_never_share_an_entry() {
    let one = World::of(Kind::Redis, CONFIG, &[]).await;
    let other = one.stranger().await;
    one.write("cin7.sale", "pond-uk", &[("1", &sale(1, 1))])
        .await;
    other
        .write("cin7.sale", "pond-uk", &[("1", &sale(1, 2))])
        .await;
    for _ in 0..3 {
        for (world, total) in [(&one, 1), (&other, 2)] {
            let answer = world.get("/v1/records/cin7.sale/pond-uk/1").await;
            assert_eq!(answer.json()["body"]["Total"], total);
        }
    }
}

#[tokio::test]
async fn what_one_server_loaded_is_a_hit_of_another_and_forgotten_by_both() {
    for kind in [Kind::Redis, Kind::TwoTier] {
        let one = World::of(kind, CONFIG, &[]).await;
        let other = one.twin(&[]).await;
        one.write("cin7.sale", "pond-uk", &[("1", &sale(1, 1))])
            .await;
        other.hear().await;
        let path = "/v1/records/cin7.sale/pond-uk/1";
        assert_eq!(one.get(path).await.json()["source"], "mirror");
        assert_eq!(other.get(path).await.json()["source"], "cache");
        other
            .write("cin7.sale", "pond-uk", &[("1", &sale(1, 2))])
            .await;
        one.hear().await;
        assert_eq!(one.get(path).await.json()["body"]["Total"], 2);
    }
}
