//! What callers of the HTTP API see.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let world = World::new().await;
    assert_eq!(world.get("/healthz").await.status, 200);
    assert_eq!(world.get("/readyz").await.status, 200);
    world.store.pool().close().await;
    assert_eq!(world.get("/healthz").await.status, 200);
    let reply = world.get("/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["code"], "database_away");
}

#[tokio::test]
async fn a_record_is_answered_with_its_age_and_exact_numbers() {
    let world = World::new().await;
    let body = r#"{"Total": 12345678901234567.890123456789, "Rate": 1.10, "Note": null}"#;
    world.write("cin7.sale", "pond-uk", &[("a/1", body)]).await;
    let reply = world.get("/v1/records/cin7.sale/pond-uk/a%2F1").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(
        reply.body.contains("12345678901234567.890123456789"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains("1.10"), "{}", reply.body);
    let record = reply.json();
    assert_eq!(record["id"], "a/1");
    assert_eq!(record["source"], "mirror");
    assert_eq!(record["version"], 1);
    assert!(record["as_of"].is_string() && record["snapshot"].is_i64());
    assert!(record["age_secs"].as_f64().unwrap() < 60.0);
}

#[tokio::test]
async fn a_record_that_is_not_there_is_404_as_a_problem() {
    let world = World::new().await;
    for path in [
        "/v1/records/cin7.sale/pond-uk/none?max_age=1h",
        "/v1/records/cin7.sale/nowhere/none",
        "/v1/records/cin7.nothing/pond-uk/none",
        "/v1/nothing",
        "/v1/runs/77",
        "/v1/runs/seven",
    ] {
        let reply = world.get(path).await;
        // With an age asked for, upstream must be asked; no connection can: that is no 404.
        let expected = if path.contains("max_age") { 503 } else { 404 };
        assert_eq!(reply.status, expected, "{path}: {}", reply.body);
        assert!(reply.head.contains("application/problem+json"), "{path}");
        assert!(reply.json()["message"].is_string());
    }
}

#[tokio::test]
async fn an_upstream_that_is_away_is_answered_with_the_last_row_and_the_reason() {
    let world = World::new().await;
    world
        .write("cin7.sale", "pond-uk", &[("1", r#"{"ID": "1"}"#)])
        .await;
    let reply = world
        .get("/v1/records/cin7.sale/pond-uk/1?fresh=true")
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["source"], "mirror");
    assert!(reply.json()["stale"].is_string());
}

#[tokio::test]
async fn the_question_of_sku_location_and_customer_is_one_request() {
    let world = World::new().await;
    let sale = |customer: &str, location: &str, date: &str, sku: &str| {
        json!({ "CustomerID": customer, "Location": location, "SaleOrderDate": date,
                "Order": { "Lines": [{ "SKU": "OTHER", "Quantity": 1 }, { "SKU": sku, "Quantity": 2 }] } })
        .to_string()
    };
    let sales = [
        (
            "match",
            sale("c1", "Main", "2026-03-01T00:00:00Z", "85123A"),
        ),
        ("edge", sale("c1", "Main", "2025-11-21T00:00:00Z", "85123A")),
        (
            "too-old",
            sale("c1", "Main", "2025-11-20T23:59:59Z", "85123A"),
        ),
        (
            "other-sku",
            sale("c1", "Main", "2026-03-01T00:00:00Z", "71053"),
        ),
        (
            "other-place",
            sale("c1", "North", "2026-03-01T00:00:00Z", "85123A"),
        ),
        (
            "other-customer",
            sale("c2", "Main", "2026-03-01T00:00:00Z", "85123A"),
        ),
    ];
    let sales: Vec<(&str, &str)> = sales
        .iter()
        .map(|(id, body)| (*id, body.as_str()))
        .collect();
    world.write("cin7.sale", "pond-uk", &sales).await;
    world.write("cin7.sale", "pond-eu", &sales[..1]).await;
    let criteria = [
        "Order.Lines[].SKU=85123A",
        "Location=Main",
        "CustomerID=c1",
        "SaleOrderDate>=2025-11-21",
    ];
    let encoded: Vec<String> = criteria
        .iter()
        .map(|text| {
            format!(
                "where={}",
                text.replace('[', "%5B")
                    .replace(']', "%5D")
                    .replace('>', "%3E")
            )
        })
        .collect();
    let reply = world
        .get(&format!(
            "/v1/search?resource=cin7.sale&{}&instance=pond-uk",
            encoded.join("&")
        ))
        .await;
    assert_eq!(ids(&reply), ["edge", "match"], "{}", reply.body);
    let reply = world
        .post(
            "/v1/search",
            &json!({ "resource": "cin7.sale", "where": criteria }),
        )
        .await;
    assert_eq!(ids(&reply), ["edge", "match", "match"], "{}", reply.body);
}

fn ids(reply: &crate::world::Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer = reply.json();
    let records = answer["records"].as_array().unwrap().iter();
    let mut ids: Vec<String> = records
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_list_is_read_page_by_page_to_its_end() {
    let world = World::new().await;
    let bodies: Vec<(String, String)> = (0..7)
        .map(|n| (format!("s{n}"), format!(r#"{{"n": {n}}}"#)))
        .collect();
    let records: Vec<(&str, &str)> = bodies
        .iter()
        .map(|(id, body)| (id.as_str(), body.as_str()))
        .collect();
    world.write("cin7.sale", "pond-uk", &records).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/records/cin7.sale?limit=3".to_owned());
    loop {
        let reply = world.get(&path).await;
        seen.extend(ids(&reply));
        assert!(seen.len() <= 7, "a page came twice: {seen:?}");
        match reply.json()["next"].as_str() {
            Some(next) => path = format!("/v1/records/cin7.sale?limit=3&after={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
}

#[tokio::test]
async fn a_former_version_is_in_the_history() {
    let world = World::new().await;
    world
        .write("cin7.sale", "pond-uk", &[("1", r#"{"Status": "DRAFT"}"#)])
        .await;
    world
        .write("cin7.sale", "pond-uk", &[("1", r#"{"Status": "VOIDED"}"#)])
        .await;
    let history = world
        .get("/v1/records/cin7.sale/pond-uk/1/history")
        .await
        .json();
    assert_eq!(history["versions"][0]["body"], json!({ "Status": "DRAFT" }));
    assert_eq!(history["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_feed_of_changes_goes_on_where_it_was_left() {
    let world = World::new().await;
    world
        .write("cin7.sale", "pond-uk", &[("1", "{}"), ("2", "{}")])
        .await;
    let first = next_change(&world, "0-0").await;
    let second = next_change(&world, first["next"].as_str().unwrap()).await;
    assert_ne!(first["changes"][0]["id"], second["changes"][0]["id"]);
    // Who waits is answered once something changes.
    let (third, ()) = tokio::join!(
        next_change(&world, second["next"].as_str().unwrap()),
        world.write("cin7.sale", "pond-uk", &[("3", "{}")])
    );
    assert_eq!(third["changes"][0]["id"], "3");
}

/// The change after a cursor. Open transactions of other tests on the same server hold the feed back for a while.
async fn next_change(world: &World, after: &str) -> serde_json::Value {
    let began = std::time::Instant::now();
    loop {
        let path = format!("/v1/changes?after={after}&limit=1&wait=3s");
        let page = world.get(&path).await.json();
        if page["changes"].as_array().unwrap().len() == 1 {
            return page;
        }
        assert!(
            began.elapsed().as_secs() < 60,
            "no change after {after}: {page}"
        );
    }
}

#[tokio::test]
async fn sql_reads_and_cannot_write() {
    let world = World::new().await;
    world
        .write("cin7.sale", "pond-uk", &[("1", r#"{"Total": 1.10}"#)])
        .await;
    let reply = world
        .sql("SELECT id, body->'Total' AS total FROM cin7.sale")
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#"["1",1.10]"#), "{}", reply.body);
    for statement in [
        "DELETE FROM cin7.sale",
        "SELECT 1; SELECT 2",
        "SET statement_timeout = 0",
        "WITH gone AS (DELETE FROM cin7.sale RETURNING 1) SELECT * FROM gone",
        "SELECT secrets FROM millpond.connection",
        "SELECT nonsense(",
    ] {
        let reply = world.sql(statement).await;
        assert_eq!(reply.status, 400, "{statement}: {}", reply.body);
        assert!(reply.json()["code"].as_str().unwrap().starts_with("sql_"));
    }
    assert_eq!(
        world.sql("SELECT count(*) FROM cin7.sale").await.json()["rows"],
        json!([[1]])
    );
}

#[tokio::test]
async fn sql_that_runs_too_long_or_returns_too_much_is_stopped() {
    let world = World::new().await;
    let reply = world.sql("SELECT pg_sleep(60)").await;
    assert_eq!(reply.status, 504, "{}", reply.body);
    let reply = world
        .sql("SELECT n FROM generate_series(1, 1000000) n")
        .await
        .json();
    assert_eq!(reply["rows"].as_array().unwrap().len(), 100);
    assert_eq!(reply["truncated"], "rows");
}

#[tokio::test]
async fn wrong_questions_are_told_what_is_allowed() {
    let world = World::new().await;
    world.write("cin7.sale", "pond-uk", &[("1", "{}")]).await;
    for (path, code) in [
        ("/v1/search", "bad_parameter"),
        (
            "/v1/search?resource=cin7.sale&were=a=1",
            "unknown_parameter",
        ),
        (
            "/v1/search?resource=cin7.sale&where=nonsense",
            "bad_criterion",
        ),
        (
            "/v1/search?resource=cin7.sale&json_path=%24.(",
            "bad_search",
        ),
        ("/v1/search?resource=cin7.sale&limit=0", "bad_parameter"),
        (
            "/v1/search?resource=cin7.sale&contains=%7B",
            "bad_parameter",
        ),
        ("/v1/records/Sale", "bad_resource"),
        ("/v1/records/cin7.sale/pond-uk/1?max_age=5", "bad_parameter"),
        ("/v1/changes?after=yesterday", "bad_parameter"),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);
        assert_eq!(reply.json()["code"], code, "{path}: {}", reply.body);
    }
    let reply = world
        .post("/v1/query/sql", &json!({ "query": "SELECT 1" }))
        .await;
    assert_eq!(reply.json()["code"], "bad_body", "{}", reply.body);
    assert_eq!(
        world.send("DELETE", "/v1/runs", &[], None).await.status,
        405
    );
}

#[tokio::test]
async fn sql_that_is_expected_to_cost_too_much_does_not_begin() {
    let world = World::new().await;
    let cross = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    let reply = world.sql(cross).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    let problem = reply.json();
    assert_eq!(problem["code"], "sql_too_costly");
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("100000000 is let through"), "{message}");
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.contains("sql.cost_max"), "{hint}");
    // What is cheap is told its estimate if it asks.
    let asked = json!({ "sql": "SELECT n FROM generate_series(1, 20) n", "explain": true });
    let reply = world.post("/v1/query/sql", &asked).await.json();
    assert_eq!(reply["estimate"]["rows"], 20.0, "{reply}");
    assert!(reply["estimate"]["cost"].as_f64().unwrap() > 0.0);
    let reply = world.sql("SELECT 1").await.json();
    assert!(reply.get("estimate").is_none(), "{reply}");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let world = World::new().await;
    let reply = world.sql(&"x".repeat(2 * 1024 * 1024)).await;
    assert_eq!(reply.status, 413, "{}", reply.body);
    assert_eq!(reply.json()["code"], "body_too_large");
}

#[tokio::test]
async fn with_keys_only_who_shows_one_is_answered() {
    let world = World::with_keys(&["first-key", "second-key"]).await;
    assert_eq!(world.get("/healthz").await.status, 200);
    assert_eq!(world.get("/v1/instances").await.status, 401);
    assert_eq!(world.get("/metrics").await.status, 401);
    for (name, value, status) in [
        ("authorization", "Bearer second-key", 200),
        ("authorization", "bearer first-key", 200),
        ("x-api-key", "first-key", 200),
        ("x-api-key", "first-ke", 401),
        ("authorization", "Bearer", 401),
        ("authorization", "Basic first-key", 401),
    ] {
        let reply = world
            .send("GET", "/v1/instances", &[(name, value)], None)
            .await;
        assert_eq!(reply.status, status, "{name}: {value}");
        assert!(!reply.body.contains("first-key"));
    }
}

#[tokio::test]
async fn without_keys_a_foreign_host_name_is_refused() {
    let world = World::new().await;
    for (host, status) in [
        ("evil.example", 403),
        ("127.0.0.1:7171", 200),
        ("[::1]:80", 200),
    ] {
        let reply = world
            .send("GET", "/v1/instances", &[("host", host)], None)
            .await;
        assert_eq!(reply.status, status, "{host}");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let world = World::new().await;
    let reply = world
        .send("GET", "/v1/runs", &[("x-request-id", "abc-1")], None)
        .await;
    assert!(reply.head.contains("x-request-id: abc-1"), "{}", reply.head);
    assert!(world.get("/nowhere").await.head.contains("x-request-id: "));
}

#[tokio::test]
async fn metrics_tell_records_lag_and_requests() {
    let world = World::new().await;
    world
        .write("cin7.sale", "pond-uk", &[("1", "{}"), ("2", "{}")])
        .await;
    world.get("/v1/runs").await;
    let text = world.get("/metrics").await.body;
    assert!(
        text.contains(r#"mirror_records{instance="pond-uk",resource="cin7.sale"} 2"#),
        "{text}"
    );
    assert!(
        text.contains(r#"http_requests_total{status="200"}"#),
        "{text}"
    );
    assert!(
        text.contains("# TYPE mirror_fetches_waiting gauge"),
        "{text}"
    );
}

#[tokio::test]
async fn instances_show_how_their_copy_is() {
    let world = World::new().await;
    world.write("cin7.sale", "pond-eu", &[("1", "{}")]).await;
    let all = world.get("/v1/instances").await.json();
    assert_eq!(all["instances"].as_array().unwrap().len(), 2);
    let one = world.get("/v1/instances/pond-eu").await.json();
    assert_eq!(one["currency"], "EUR");
    let sale = one["resources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["resource"] == "cin7.sale");
    assert_eq!(sale.unwrap()["records"], 1);
    assert_eq!(world.get("/v1/instances/pond-xx").await.status, 404);
}

#[tokio::test]
async fn the_order_to_stop_ends_the_server() {
    let world = World::new().await;
    world.stop.cancel();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), world.served).await;
    ended.expect("the server must end").unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let world = World::new().await;
    let error = millpond::http::bind(world.address).await.unwrap_err();
    assert!(
        error.to_string().contains("another program has this port"),
        "{error}"
    );
}

#[test]
fn every_route_is_on_the_page_of_routes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (method, path) in millpond::http::ROUTES {
        assert!(
            page.contains(&format!("`{method} {path}`")),
            "{method} {path} is not in docs/http.md"
        );
    }
}
