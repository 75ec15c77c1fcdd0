//! Notes and recall, as callers of the HTTP API meet them.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use millpond::{config::parse, environment::Environment};
use serde_json::{Value, json};
use simulators::embeddings::{Embeddings, Mood, Options};

use crate::world::{CONFIG, Kind, Reply, World};

const OPERATOR: &str = "an-operator-of-the-configuration";
const POLL: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(60);

const INDEX: &str = r#"
[memory]
index = { "cin7.product" = ["SKU", "Name"] }
"#;

async fn embedder() -> Embeddings {
    let options = Options {
        text_tokens_max: 1000,
        ..Options::default()
    };
    Embeddings::start(options, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

/// Requests may take longer: other tests keep the machine busy.
fn patient() -> String {
    CONFIG.replace("request_timeout = \"5s\"", "request_timeout = \"60s\"")
}

/// A configuration whose vectors come from there.
fn config(embedder: &Embeddings) -> String {
    format!(
        "{}\n[memory]\nurl = \"{}\"\nmodel = \"made-up\"\ndimensions = 256\nprivate_hosts = true\ntimeout = \"1s\"\n",
        patient(),
        embedder.url()
    )
}

async fn ask(world: &World, key: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    world
        .send(method, path, &headers, body.map(|body| body.to_string()))
        .await
}

async fn must(world: &World, key: &str, method: &str, path: &str, body: Value) -> Value {
    let body = (!body.is_null()).then_some(body);
    let reply = ask(world, key, method, path, body).await;
    assert!(reply.status < 300, "{method} {path}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap_or_default()
}

async fn add(world: &World, note: Value) -> Value {
    must(world, OPERATOR, "POST", "/v1/memory/add", note).await
}

async fn recall(world: &World, question: Value) -> Value {
    must(world, OPERATOR, "POST", "/v1/memory/query", question).await
}

/// The texts of the hits, in their order.
fn texts(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| {
        hit["memory"]["text"]
            .as_str()
            .or(hit["record"]["text"].as_str())
            .unwrap()
    })
    .collect()
}

/// A tenant with a project, and a key of it.
async fn tenant(world: &World, id: &str, limits: Value) -> String {
    let new = json!({ "id": id, "limits": limits });
    must(world, OPERATOR, "POST", "/v1/tenants", new).await;
    let projects = format!("/v1/tenants/{id}/projects");
    must(world, OPERATOR, "POST", &projects, json!({ "id": "web" })).await;
    let values = json!({ "tenant": id, "role": "user", "title": "t" });
    let made = must(world, OPERATOR, "POST", "/v1/keys", values).await;
    made["credential"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn c22_a_thousand_equal_notes_cost_the_tokens_of_one() {
    let embedder = embedder().await;
    let world = World::of(Kind::Memory, &config(&embedder), &[OPERATOR]).await;
    let note = json!({ "text": "seven words that are always the same" });
    let added = stream::iter(0..1000)
        .map(|_| add(&world, note.clone()))
        .buffer_unordered(32);
    let made: Vec<Value> = added.collect().await;
    assert!(made.iter().all(|row| row["vector"] == "made"));
    let meter = embedder.meter();
    assert_eq!((meter.requests, meter.texts, meter.tokens), (1, 1, 7));
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM millpond.memory")
        .fetch_one(world.store.pool())
        .await
        .unwrap();
    assert_eq!(rows, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn x13_a_hundred_left_and_four_hundred_adds_at_once_are_a_hundred_notes() {
    let world = World::of(Kind::of_this_run(), &patient(), &[OPERATOR]).await;
    let other = world.twin(&[OPERATOR]).await;
    let key = tenant(&world, "acme", json!({ "memories": 100 })).await;
    let asked = (0..400).map(|n| {
        let server = if n % 2 == 0 { &world } else { &other };
        let note = json!({ "text": format!("note {n}") });
        let key = key.clone();
        async move { ask(server, &key, "POST", "/v1/memory/add", Some(note)).await }
    });
    let replies = futures::future::join_all(asked).await;
    let count = |status: u16| {
        replies
            .iter()
            .filter(|reply| reply.status == status)
            .count()
    };
    assert_eq!((count(201), count(429)), (100, 300));
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM millpond.memory")
        .fetch_one(world.store.pool())
        .await
        .unwrap();
    assert_eq!(rows, 100);
    let usage = must(
        &world,
        OPERATOR,
        "GET",
        "/v1/tenants/acme/usage",
        Value::Null,
    )
    .await;
    let meters = usage["meters"].as_array().unwrap();
    let memories = meters
        .iter()
        .find(|meter| meter["meter"] == "memories")
        .unwrap();
    assert_eq!(
        (&memories["used"], &memories["limit"]),
        (&json!(100), &json!(100))
    );
}

#[tokio::test]
async fn c25_c26_c27_c28_answers_are_kept_for_the_same_question_alone() {
    let embedder = embedder().await;
    let world = World::of(Kind::Redis, &config(&embedder), &[OPERATOR]).await;
    add(
        &world,
        json!({ "text": "the hot kettle", "tier": "hot", "session_id": "s1" }),
    )
    .await;
    add(
        &world,
        json!({ "text": "the cold kettle", "tier": "cold", "session_id": "s2" }),
    )
    .await;
    let of_user = json!({ "text": "ann's kettle", "user": "ann" });
    add(&world, of_user).await;
    let question = json!({ "query": "kettle please", "tags": [], "limit": 5 });
    let first = recall(&world, question.clone()).await;
    assert_eq!(first["served"], "scan");
    assert_eq!(texts(&first).len(), 2);
    let requests = embedder.meter().requests;
    // Written otherwise, it is the same question.
    let same = json!({ "limit": 5, "query": " kettle please ", "memories": true });
    let second = recall(&world, same).await;
    assert_eq!(second["served"], "cache");
    assert_eq!(
        (&second["hits"], &second["as_of"]),
        (&first["hits"], &first["as_of"])
    );
    assert_eq!(embedder.meter().requests, requests);
    let keys = world.redis().run(&["KEYS", "*:cache:query:*"]);
    let kept: Vec<&String> = keys.iter().filter(|key| !key.contains(":lease:")).collect();
    assert_eq!(kept.len(), 1, "{keys:?}");
    let left: i64 = world.redis().run(&["PTTL", kept[0]])[0].parse().unwrap();
    assert!((1..=300_000).contains(&left), "{left} ms");
    let vectors = world
        .redis()
        .run(&["KEYS", "*:m=made-up%2F256%2F1:cache:embedding:*"]);
    let vector = vectors.iter().find(|key| !key.contains(":lease:")).unwrap();
    let left: i64 = world.redis().run(&["PTTL", vector])[0].parse().unwrap();
    assert!((1..=30 * 86_400_000).contains(&left), "{left} ms");
    // Another tier is another question.
    let mut cold = question.clone();
    cold["tier"] = json!("cold");
    for (served, _) in [("scan", 0), ("cache", 1)] {
        let answer = recall(&world, cold.clone()).await;
        assert_eq!(answer["served"], served);
        assert_eq!(texts(&answer), ["the cold kettle"]);
    }
    // A conversation's are never kept, nor taken from what is kept.
    let count = world.redis().run(&["KEYS", "*:cache:query:*"]).len();
    for session in ["s1", "s2", "s1"] {
        let mut asked = question.clone();
        asked["session_id"] = json!(session);
        let answer = recall(&world, asked).await;
        assert_eq!(answer["served"], "scan");
        let expected = if session == "s1" {
            "the hot kettle"
        } else {
            "the cold kettle"
        };
        assert_eq!(texts(&answer), [expected]);
    }
    assert_eq!(world.redis().run(&["KEYS", "*:cache:query:*"]).len(), count);
    assert_eq!(recall(&world, question.clone()).await["served"], "cache");
    // Another user's question is another one, and so are other weights.
    let mut of_ann = question.clone();
    of_ann["user"] = json!("ann");
    let answer = recall(&world, of_ann).await;
    assert_eq!(
        (answer["served"].as_str(), texts(&answer).len()),
        (Some("scan"), 3)
    );
    let mut by_words = question;
    by_words["weights"] = json!({ "words": 1, "vectors": 0 });
    assert_eq!(recall(&world, by_words).await["served"], "scan");
}

#[tokio::test]
async fn c38_x17_x18_what_was_written_is_found_at_once_on_both_servers() {
    let world = World::of(Kind::Redis, &patient(), &[OPERATOR]).await;
    let other = world.twin(&[OPERATOR]).await;
    let question = json!({ "query": "where is the kettle" });
    let both = async || {
        let (one, two) = (
            recall(&world, question.clone()).await,
            recall(&other, question.clone()).await,
        );
        let (one, two) = (json!(texts(&one)), json!(texts(&two)));
        assert_eq!(one, two);
        one
    };
    assert_eq!(both().await, json!([]));
    let note = add(&world, json!({ "text": "the kettle is in the kitchen" })).await;
    assert_eq!(both().await, json!(["the kettle is in the kitchen"]));
    let path = format!("/v1/memory/{}", note["id"].as_str().unwrap());
    let change = json!({ "text": "the kettle is in the attic", "tags": ["moved"] });
    must(&other, OPERATOR, "PATCH", &path, change).await;
    assert_eq!(both().await, json!(["the kettle is in the attic"]));
    let shown = must(&world, OPERATOR, "GET", &path, Value::Null).await;
    assert_eq!(shown["tags"], json!(["moved"]));
    must(&world, OPERATOR, "DELETE", &path, Value::Null).await;
    assert_eq!(both().await, json!([]));
    assert_eq!(ask(&world, OPERATOR, "GET", &path, None).await.status, 404);
}

#[tokio::test]
async fn x7_notes_of_another_tenant_or_project_are_out_of_reach() {
    let world = World::with_keys(&[OPERATOR]).await;
    let acme = tenant(&world, "acme", json!({})).await;
    let other = tenant(&world, "other", json!({})).await;
    let values = json!({ "tenant": "acme", "project": "web", "role": "user", "title": "confined" });
    let made = must(&world, OPERATOR, "POST", "/v1/keys", values).await;
    let confined = made["credential"].as_str().unwrap().to_owned();
    let keys = [("acme", &acme), ("other", &other), ("web", &confined)];
    let mut paths = Vec::new();
    for (name, key) in keys {
        let note = json!({ "text": format!("the kettle of {name}"), "user": "ann" });
        let made = must(&world, key, "POST", "/v1/memory/add", note).await;
        paths.push((name, format!("/v1/memory/{}", made["id"].as_str().unwrap())));
    }
    for (asking, key) in keys {
        let question = json!({ "query": "kettle", "user": "ann" });
        let answer = must(&world, key, "POST", "/v1/memory/query", question).await;
        let mut found = texts(&answer);
        found.sort_unstable();
        let expected: &[&str] = match asking {
            "acme" => &["the kettle of acme", "the kettle of web"],
            "other" => &["the kettle of other"],
            _ => &["the kettle of web"],
        };
        assert_eq!(found, expected, "{asking}");
        for (of, path) in &paths {
            let sees = asking == *of || (asking == "acme" && *of == "web");
            for (method, body) in [("GET", None), ("PATCH", Some(json!({ "tier": "warm" })))] {
                let status = ask(&world, key, method, path, body).await.status;
                assert_eq!(
                    status,
                    if sees { 200 } else { 404 },
                    "{asking} {method} {of}"
                );
            }
            if !sees {
                assert_eq!(ask(&world, key, "DELETE", path, None).await.status, 404);
            }
        }
    }
    // A project of another tenant, or none, is not there.
    for (key, project) in [(&acme, "none"), (&confined, "none")] {
        let note = json!({ "text": "x", "project": project });
        assert_eq!(
            ask(&world, key, "POST", "/v1/memory/add", Some(note))
                .await
                .status,
            404
        );
    }
    let counts = must(
        &world,
        OPERATOR,
        "GET",
        "/v1/tenants/acme/projects/web",
        Value::Null,
    )
    .await;
    assert_eq!(counts["counts"]["memories"], 1);
}

#[tokio::test]
async fn an_embedder_that_is_away_loses_no_note_and_words_still_find() {
    let embedder = embedder().await;
    let world = World::of(Kind::Memory, &config(&embedder), &[OPERATOR]).await;
    for (mood, text) in [
        (Mood::Throttling, "the kettle is throttled"),
        (Mood::OtherDimensions, "the kettle has other dimensions"),
        (Mood::Portal, "the kettle is behind a portal"),
    ] {
        embedder.set(mood);
        let added = add(&world, json!({ "text": text })).await;
        assert_eq!(added["vector"], "pending", "{mood:?}");
        let answer = recall(&world, json!({ "query": text, "limit": 1 })).await;
        assert_eq!(texts(&answer), [text]);
        let why = answer["without_vectors"].as_str().unwrap();
        assert!(why.contains("made-up/256/1"), "{why}");
        // Such an answer is not kept.
        let again = recall(&world, json!({ "query": text, "limit": 1 })).await;
        assert_eq!(again["served"], "scan");
        let by_vectors = json!({ "query": text, "weights": { "words": 0, "vectors": 1 } });
        let refused = ask(
            &world,
            OPERATOR,
            "POST",
            "/v1/memory/query",
            Some(by_vectors),
        )
        .await;
        assert_eq!(refused.status, 503, "{}", refused.body);
        let code = refused.json()["code"].as_str().unwrap().to_owned();
        assert!(
            ["embedder_away", "embedder_wrong"].contains(&code.as_str()),
            "{code}"
        );
    }
    embedder.set(Mood::Fair);
    let long = json!({ "text": "word ".repeat(1001) });
    let refused = ask(&world, OPERATOR, "POST", "/v1/memory/add", Some(long)).await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (422, Some("text_refused"))
    );
    // The keeper makes up for it.
    world.app.memory().follow().await.unwrap();
    let by_vectors = json!({ "query": "the kettle is throttled", "limit": 1, "weights": { "words": 0, "vectors": 1 } });
    let answer = recall(&world, by_vectors).await;
    assert_eq!(texts(&answer), ["the kettle is throttled"]);
    assert_eq!(answer["hits"][0]["memory"]["vector"], "made");
}

#[tokio::test]
async fn a_slow_embedder_keeps_nobody_waiting_for_long() {
    let embedder = embedder().await;
    let world = World::of(Kind::Memory, &config(&embedder), &[OPERATOR]).await;
    embedder.set(Mood::Silent);
    let began = Instant::now();
    let added = add(&world, json!({ "text": "said while nobody listens" })).await;
    assert_eq!(added["vector"], "pending");
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn x16_records_are_recalled_as_they_come_and_go() {
    let world = World::of(Kind::Memory, &format!("{}{INDEX}", patient()), &[OPERATOR]).await;
    let product =
        |sku: &str, name: &str| json!({ "SKU": sku, "Name": name, "Price": 1 }).to_string();
    let holder = product("85123A", "WHITE HANGING HEART T-LIGHT HOLDER");
    let bottle = product("84029G", "KNITTED UNION FLAG HOT WATER BOTTLE");
    world
        .write("cin7.product", "pond-uk", &[("1", &holder), ("2", &bottle)])
        .await;
    let memory = world.app.memory();
    memory.begin().await.unwrap();
    add(&world, json!({ "text": "Ann likes hearts", "about": { "resource": "cin7.product", "instance": "pond-uk", "id": "1" } })).await;
    let question = json!({ "query": "tealight holders, with hearts" });
    let answer = recall(&world, question.clone()).await;
    let best = &answer["hits"][0]["record"];
    assert_eq!(
        (&best["id"], &best["instance"]),
        (&json!("1"), &json!("pond-uk")),
        "{answer}"
    );
    assert!(
        best["as_of"].is_string() && answer["snapshot"].is_i64(),
        "{answer}"
    );
    assert!(texts(&answer).contains(&"Ann likes hearts"));
    let code = recall(&world, json!({ "query": "85123-a", "memories": false })).await;
    assert_eq!(code["hits"][0]["record"]["id"], "1");
    // Only records, only notes, none.
    let none = recall(
        &world,
        json!({ "query": "holder", "records": [], "memories": false }),
    )
    .await;
    assert_eq!(none["hits"], json!([]));
    let reply = ask(
        &world,
        OPERATOR,
        "POST",
        "/v1/memory/query",
        Some(json!({ "query": "x", "records": ["cin7.sale"] })),
    )
    .await;
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (400, Some("not_indexed"))
    );
    // Changed upstream.
    let renamed = product("85123A", "CREAM HANGING STAR T-LIGHT HOLDER");
    world
        .write("cin7.product", "pond-uk", &[("1", &renamed)])
        .await;
    until(|| async {
        memory.follow().await.unwrap();
        let answer = recall(&world, json!({ "query": "cream star", "memories": false })).await;
        answer["hits"][0]["record"]["text"] == "85123A\nCREAM HANGING STAR T-LIGHT HOLDER"
    })
    .await;
    // Gone upstream: at once where no answer is kept, and after the feed was followed everywhere.
    sqlx::query("UPDATE millpond.record SET deleted_at = now() WHERE resource = 'cin7.product' AND id = '1'")
        .execute(world.store.pool())
        .await
        .unwrap();
    let gone = recall(
        &world,
        json!({ "query": "star holder cream", "memories": false, "limit": 3 }),
    )
    .await;
    assert!(
        !texts(&gone).iter().any(|text| text.contains("CREAM")),
        "{gone}"
    );
    memory.begin().await.unwrap();
    let gone = recall(&world, json!({ "query": "cream star", "memories": false })).await;
    assert!(
        !texts(&gone).iter().any(|text| text.contains("CREAM")),
        "{gone}"
    );
    // Who does not see the instance does not recall its records.
    let key = tenant(&world, "acme", json!({})).await;
    let answer = must(
        &world,
        &key,
        "POST",
        "/v1/memory/query",
        json!({ "query": "hot water bottle" }),
    )
    .await;
    assert_eq!(answer["hits"], json!([]));
    must(
        &world,
        OPERATOR,
        "PUT",
        "/v1/tenants/acme/instances/pond-uk",
        Value::Null,
    )
    .await;
    let answer = must(
        &world,
        &key,
        "POST",
        "/v1/memory/query",
        json!({ "query": "hot water bottle" }),
    )
    .await;
    assert_eq!(answer["hits"][0]["record"]["id"], "2");
}

/// Waits for a condition: the feed waits for whoever else writes to this PostgreSQL.
async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_a_reason() {
    let world = World::with_keys(&[OPERATOR]).await;
    for (body, status) in [
        (json!({ "text": "" }), 400),
        (json!({ "text": "  " }), 400),
        (json!({ "text": "x".repeat(16_001) }), 400),
        (json!({ "text": "nul \u{0}" }), 400),
        (json!({ "text": "x", "tier": "tepid" }), 422),
        (json!({ "text": "x", "tags": [""] }), 400),
        (json!({ "text": "x", "metadata": { "a": "\u{0}" } }), 400),
        (json!({ "text": "x", "metadata": [] }), 422),
        (json!({ "text": "x", "colour": "red" }), 422),
        (json!({ "text": "x", "project": "none" }), 404),
        (
            json!({ "text": "x", "about": { "resource": "cin7.none", "instance": "pond-uk", "id": "1" } }),
            404,
        ),
        (
            json!({ "text": "x", "about": { "resource": "cin7.sale", "instance": "none", "id": "1" } }),
            201,
        ),
    ] {
        let reply = ask(
            &world,
            OPERATOR,
            "POST",
            "/v1/memory/add",
            Some(body.clone()),
        )
        .await;
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    for (body, status) in [
        (json!({ "query": "x", "limit": 0 }), 400),
        (json!({ "query": "x", "limit": 101 }), 400),
        (
            json!({ "query": "x", "weights": { "words": 0, "vectors": 0 } }),
            400,
        ),
        (
            json!({ "query": "x", "weights": { "words": 2, "vectors": 0 } }),
            400,
        ),
        (json!({ "query": "... '' \\ & | ! ( ) :* <->" }), 200),
    ] {
        let reply = ask(
            &world,
            OPERATOR,
            "POST",
            "/v1/memory/query",
            Some(body.clone()),
        )
        .await;
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    assert_eq!(
        ask(&world, OPERATOR, "GET", "/v1/memory/none", None)
            .await
            .status,
        404
    );
    assert_eq!(
        ask(&world, OPERATOR, "DELETE", "/v1/memory/%00", None)
            .await
            .status,
        400
    );
}

#[test]
fn configuration_of_memory_holds_together() {
    let read = |text: &str| {
        let parsed = parse(
            "x",
            text,
            std::path::Path::new("."),
            &Environment::default(),
        );
        parsed
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (text, says) in [
        (
            "[memory]\nurl = \"https://e.example/v1/embeddings\"",
            "`memory.url` needs it",
        ),
        ("[memory]\nmodel = \"m\"", "needs `memory.url`"),
        (
            "[memory]\nurl = \"e.example\"\nmodel = \"m\"\ndimensions = 8",
            "must begin with https://",
        ),
        ("[memory]\napi_key = \"sk-secret\"", "env:NAME"),
        (
            "[memory]\nindex = { \"cin7.product\" = [] }",
            "has no fields",
        ),
        (
            "[memory]\nindex = { \"cin7.product\" = [\"a..b\"] }",
            "is no field",
        ),
        ("[memory]\nbatch_max = 0", "must be from 1 to 2048"),
    ] {
        let said = read(text);
        assert!(
            said.contains(says) && !said.contains("sk-secret"),
            "{text}: {said}"
        );
    }
}
