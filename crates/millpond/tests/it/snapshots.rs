//! Reading at a snapshot over HTTP, with two servers on one database.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use store::{
    ResourceName, Store,
    runs::{RunCounts, RunEnd},
};

use crate::world::{CONFIG, Kind, Reply, World};

fn sale() -> ResourceName {
    "cin7.sale".parse().unwrap()
}

/// A server that is patient with a loaded machine.
async fn patient() -> World {
    let config = CONFIG.replace("request_timeout = \"5s\"", "request_timeout = \"60s\"");
    let config = config.replace("timeout = \"2s\"", "timeout = \"60s\"");
    World::of(Kind::of_this_run(), &config, &[]).await
}

/// Ends a run that changed something, as a job's does; the snapshot that it made.
async fn end_run(store: &Store) -> i64 {
    let run = store
        .start_run("pond-uk", &sale(), "full", "us")
        .await
        .unwrap();
    let counts = RunCounts {
        updated: 1,
        ..RunCounts::default()
    };
    store.add_to_run(run, counts, None).await.unwrap();
    store
        .end_run(run, RunEnd::Done, None)
        .await
        .unwrap()
        .unwrap()
}

async fn write(world: &World, records: &[(&str, Value)]) {
    let texts: Vec<(&str, String)> = records
        .iter()
        .map(|(id, body)| (*id, body.to_string()))
        .collect();
    let records: Vec<(&str, &str)> = texts
        .iter()
        .map(|(id, body)| (*id, body.as_str()))
        .collect();
    world.write("cin7.sale", "pond-uk", &records).await;
}

async fn delete(world: &World, id: &str) {
    let now = jiff::Timestamp::now();
    world
        .store
        .tombstone(&sale(), "pond-uk", &[id.to_owned()], now, None, &[])
        .await
        .unwrap();
}

fn status(reply: &Reply) -> (u16, String) {
    let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
    (reply.status, code)
}

/// A header of an answer.
fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let lines = reply.head.lines();
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn a36_x18_pinned_answers_are_the_same_bytes_from_two_servers_while_a_sync_commits() {
    let world = patient().await;
    let twin = world.twin(&[]).await;
    let lines =
        |n: i64| json!({ "N": n, "Total": 1.10, "Lines": [{ "SKU": "A" }, { "SKU": "B" }] });
    write(&world, &[("1", lines(0)), ("2", lines(0)), ("3", lines(0))]).await;
    let number = end_run(&world.store).await;
    let asked = [
        format!("/v1/records/cin7.sale/pond-uk/1?snapshot={number}"),
        format!("/v1/records/cin7.sale?snapshot={number}&limit=2"),
        format!("/v1/search?resource=cin7.sale&where=N=0&snapshot={number}"),
        format!("/v1/records/cin7.sale/pond-uk/2/diff?from={number}&to={number}"),
    ];
    let question = json!({ "resource": "cin7.sale", "contains": { "N": 0 }, "snapshot": number });
    let mut told = Vec::new();
    for path in &asked {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        told.push(reply.body);
    }
    let by_body = world.post("/v1/search", &question).await;
    assert_eq!(by_body.status, 200, "{}", by_body.body);
    assert_eq!(by_body.json()["snapshot"], number);

    let stop = AtomicBool::new(false);
    let reader = async |server: &World| {
        let mut reads = 0;
        while !stop.load(Ordering::Relaxed) || reads == 0 {
            for (path, told) in asked.iter().zip(&told) {
                assert_eq!(server.get(path).await.body, *told, "{path}");
            }
            let again = server.post("/v1/search", &question).await;
            assert_eq!(again.body, by_body.body);
            reads += 1;
        }
    };
    let writer = async {
        for n in 1..=20 {
            write(&world, &[("1", lines(n)), ("3", lines(n)), ("4", lines(n))]).await;
            delete(&world, "2").await;
            end_run(&world.store).await;
            write(&world, &[("2", lines(n))]).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(writer, reader(&world), reader(&twin));

    // Unpinned, the write that was answered is in the answer of its server, which names the newest snapshot.
    let reply = world.get("/v1/records/cin7.sale/pond-uk/1").await.json();
    assert_eq!(reply["body"]["N"], 20);
    assert_eq!(reply["snapshot"], number + 20);
    let newest = twin.get("/v1/records/cin7.sale?snapshot=newest").await;
    assert_eq!(
        header(&newest, "x-snapshot"),
        Some((number + 20).to_string().as_str())
    );
    let newest = newest.json();
    assert_eq!(newest["snapshot"], number + 20);
    assert_eq!(
        newest["records"].as_array().unwrap().len(),
        3,
        "2 was gone then: {newest}"
    );
}

#[tokio::test]
async fn a_record_is_what_it_was_and_its_age_is_that_of_then() {
    let world = patient().await;
    write(
        &world,
        &[("1", json!({ "N": 1 })), ("2", json!({ "N": 1 }))],
    )
    .await;
    let first = end_run(&world.store).await;
    delete(&world, "1").await;
    let second = end_run(&world.store).await;
    write(
        &world,
        &[("1", json!({ "N": 3 })), ("5", json!({ "N": 3 }))],
    )
    .await;
    let at = async |id: &str, number: i64| {
        let path = format!("/v1/records/cin7.sale/pond-uk/{id}?snapshot={number}");
        world.get(&path).await
    };
    let before = at("1", first).await.json();
    assert_eq!(
        (&before["body"]["N"], &before["version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(before["deleted_at"], Value::Null);
    assert_eq!(before["snapshot"], first);
    let age = before["age_secs"].as_f64().unwrap();
    assert!((0.0..3600.0).contains(&age), "{age}");
    let gone = at("1", second).await.json();
    assert!(gone["deleted_at"].is_string(), "{gone}");
    let unknown = at("5", second).await;
    assert_eq!(status(&unknown), (404, "not_found".to_owned()));
    assert!(
        unknown.body.contains(&format!("at snapshot {second}")),
        "{}",
        unknown.body
    );
    // What has the answer is told so.
    let path = format!("/v1/records/cin7.sale/pond-uk/1?snapshot={first}");
    let tag = world.get(&path).await;
    // Headers are read in small letters.
    let tag = header(&tag, "etag").unwrap().replace("w/", "W/");
    let again = world
        .send("GET", &path, &[("if-none-match", tag.as_str())], None)
        .await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_says_which_can_and_nothing_fetches_the_past() {
    let world = patient().await;
    let record = "/v1/records/cin7.sale/pond-uk/1";
    let none = world.get(&format!("{record}?snapshot=newest")).await;
    assert_eq!(
        status(&none),
        (404, "not_found".to_owned()),
        "{}",
        none.body
    );
    let mut numbers = Vec::new();
    for n in 1..=3 {
        write(&world, &[("1", json!({ "N": n }))]).await;
        numbers.push(end_run(&world.store).await);
    }
    for (query, expected) in [
        ("snapshot=0", 400),
        ("snapshot=-4", 400),
        ("snapshot=x", 400),
        ("snapshot=99999999999999999999", 400),
        ("snapshot=9223372036854775807", 404),
        ("snapshot=1&snapshot=2", 400),
        ("snapshot=newest&fresh=true", 422),
        ("snapshot=newest&max_age=5m", 422),
        ("snapshot=newest&include=notes", 422),
        ("snapshot=newest&no_calls=true", 200),
    ] {
        let reply = world.get(&format!("{record}?{query}")).await;
        assert_eq!(reply.status, expected, "{query}: {}", reply.body);
    }
    for snapshot in [json!("nonsense"), json!(0)] {
        let question = json!({ "resource": "cin7.sale", "snapshot": snapshot });
        assert_eq!(world.post("/v1/search", &question).await.status, 400);
    }
    let pinned = world
        .post(
            &format!("/v1/snapshots/{}/pin?for=2d", numbers[0]),
            &json!({}),
        )
        .await;
    assert_eq!(pinned.status, 200, "{}", pinned.body);
    assert!(pinned.json()["pinned_until"].is_string());
    let future = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    world.store.forget_before(future).await.unwrap();
    let gone = world
        .get(&format!("{record}?snapshot={}", numbers[1]))
        .await;
    assert_eq!(status(&gone), (410, "gone".to_owned()), "{}", gone.body);
    assert!(
        gone.body
            .contains(&format!("{} to {} can be read", numbers[0], numbers[2]))
    );
    let kept = world
        .get(&format!("{record}?snapshot={}", numbers[0]))
        .await
        .json();
    assert_eq!(kept["body"]["N"], 1);
    let listed = world.get("/v1/snapshots").await.json();
    let listed: Vec<&Value> = listed["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["number"])
        .collect();
    assert_eq!(listed, [&json!(numbers[2]), &json!(numbers[0])]);
    // Released, it goes with the next forgetting.
    let pin = format!("/v1/snapshots/{}/pin", numbers[0]);
    assert_eq!(world.send("DELETE", &pin, &[], None).await.status, 204);
    assert_eq!(world.send("DELETE", &pin, &[], None).await.status, 404);
    world.store.forget_before(future).await.unwrap();
    assert_eq!(
        world
            .get(&format!("{record}?snapshot={}", numbers[0]))
            .await
            .status,
        410
    );
    assert_eq!(world.post(&pin, &json!({})).await.status, 410);
    for period in ["8d", "0s", "x"] {
        let path = format!("/v1/snapshots/newest/pin?for={period}");
        assert_eq!(world.post(&path, &json!({})).await.status, 400, "{period}");
    }
}

#[tokio::test]
async fn a_diff_names_each_value_that_changed_with_what_stood_there() {
    let world = patient().await;
    let body = |status: &str, total: &str| {
        format!(r#"{{"Status": "{status}", "A/B~": [1, 2], "Total": {total}}}"#)
    };
    let said = [
        body("OPEN", "12345678901234567.890123456789"),
        body("OPEN", "12345678901234567.890123456788").replace("[1, 2]", "[1]"),
    ];
    let mut numbers = Vec::new();
    for text in &said {
        world.write("cin7.sale", "pond-uk", &[("1", text)]).await;
        numbers.push(end_run(&world.store).await);
    }
    delete(&world, "1").await;
    let diff = "/v1/records/cin7.sale/pond-uk/1/diff";
    let reply = world
        .get(&format!("{diff}?from={}&to={}", numbers[0], numbers[1]))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(
        reply.body.contains(r#""changes":[{"op":"remove","path":"/A~1B~0/1","old":2},{"op":"replace","path":"/Total","old":12345678901234567.890123456789,"value":12345678901234567.890123456788}],"more":false"#),
        "{}",
        reply.body
    );
    let by_version = world
        .get(&format!("{diff}?from_version=1&to_version=2"))
        .await
        .json();
    assert_eq!(by_version["changes"], reply.json()["changes"]);
    assert_eq!(by_version["from"]["version"], 1);
    let gone = world
        .get(&format!("{diff}?from={}", numbers[1]))
        .await
        .json();
    assert_eq!(
        (&gone["to"]["deleted"], &gone["changes"][0]["op"]),
        (&json!(true), &json!("remove"))
    );
    for (query, expected) in [
        ("", 400),
        ("?to=newest", 400),
        ("?from=1&from_version=1", 400),
        ("?from_version=9", 404),
        ("?from=newest&to_version=-1", 404),
        ("?from=77777", 404),
    ] {
        let reply = world.get(&format!("{diff}{query}")).await;
        assert_eq!(reply.status, expected, "{query}: {}", reply.body);
    }
    let nobody = "/v1/records/cin7.sale/pond-uk/none/diff?from=newest";
    assert_eq!(world.get(nobody).await.status, 404);
}

#[tokio::test]
async fn a_tenant_goes_back_among_its_own_records_and_is_not_told_whose_run_it_was() {
    let world = patient().await;
    for instance in ["pond-uk", "pond-eu"] {
        world
            .write("cin7.sale", instance, &[("1", r#"{"N": 1}"#)])
            .await;
    }
    let number = end_run(&world.store).await;
    for instance in ["pond-uk", "pond-eu"] {
        world
            .write("cin7.sale", instance, &[("1", r#"{"N": 2}"#)])
            .await;
    }
    let new = json!({ "role": "admin", "title": "first" });
    let operator = world.post("/v1/keys", &new).await.json();
    let ask = async |key: &Value, method: &str, path: &str, body: Option<Value>| {
        let bearer = format!("Bearer {}", key["credential"].as_str().unwrap());
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        world
            .send(method, path, &headers, body.map(|body| body.to_string()))
            .await
    };
    let tenant = json!({ "id": "europe" });
    assert!(
        ask(&operator, "POST", "/v1/tenants", Some(tenant))
            .await
            .status
            < 300
    );
    let owns = "/v1/tenants/europe/instances/pond-eu";
    assert!(ask(&operator, "PUT", owns, None).await.status < 300);
    let key = async |role: &str| {
        let new = json!({ "tenant": "europe", "role": role, "title": role });
        ask(&operator, "POST", "/v1/keys", Some(new)).await.json()
    };
    let (developer, user) = (key("developer").await, key("user").await);
    let path = format!("/v1/records/cin7.sale?snapshot={number}");
    let page = ask(&user, "GET", &path, None).await.json();
    let records = page["records"].as_array().unwrap();
    assert_eq!(records.len(), 1, "{page}");
    assert_eq!(
        (&records[0]["instance"], &records[0]["body"]["N"]),
        (&json!("pond-eu"), &json!(1))
    );
    let theirs = format!("/v1/records/cin7.sale/pond-uk/1?snapshot={number}");
    assert_eq!(ask(&user, "GET", &theirs, None).await.status, 404);
    let theirs = format!("/v1/records/cin7.sale/pond-uk/1/diff?from={number}");
    assert_eq!(ask(&user, "GET", &theirs, None).await.status, 404);
    // The run was of the other's instance.
    let all = ask(&user, "GET", "/v1/snapshots", None).await.json();
    assert_eq!(all["snapshots"], json!([]));
    let one = ask(&user, "GET", &format!("/v1/snapshots/{number}"), None)
        .await
        .json();
    assert_eq!(
        (&one["number"], &one["instance"], &one["run"]),
        (&json!(number), &Value::Null, &Value::Null)
    );
    let pin = format!("/v1/snapshots/{number}/pin");
    assert_eq!(ask(&user, "POST", &pin, None).await.status, 403);
    assert_eq!(ask(&developer, "POST", &pin, None).await.status, 200);
    // Nobody takes another's pin off.
    assert_eq!(ask(&operator, "DELETE", &pin, None).await.status, 404);
    assert_eq!(ask(&developer, "DELETE", &pin, None).await.status, 204);
}

#[tokio::test]
async fn an_agent_goes_back_too() {
    let world = patient().await;
    write(&world, &[("1", json!({ "N": 1 }))]).await;
    let number = end_run(&world.store).await;
    write(&world, &[("1", json!({ "N": 2 }))]).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let call = async |tool: &str, arguments: Value| {
        assert!(Instant::now() < deadline);
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                               "params": { "name": tool, "arguments": arguments } });
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        world
            .send("POST", "/mcp", &headers, Some(question.to_string()))
            .await
            .body
    };
    let record = json!({ "resource": "cin7.sale", "instance": "pond-uk", "id": "1", "snapshot": number.to_string() });
    let said = call("record", record).await;
    assert!(
        said.contains(r#""N":1"#) || said.contains(r#"\"N\":1"#),
        "{said}"
    );
    let search = json!({ "resource": "cin7.sale", "snapshot": number.to_string() });
    let said = call("search", search).await;
    assert!(
        said.contains(r#""N":1"#) || said.contains(r#"\"N\":1"#),
        "{said}"
    );
}
