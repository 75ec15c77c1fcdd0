//! What operators ask of the server itself.

use serde_json::{Value, json};

use crate::world::{CONFIG, Kind, World};

const KEY: &str = "a-key-of-the-configuration";

async fn ask(world: &World, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let headers = [("x-api-key", KEY), ("content-type", "application/json")];
    let body = body.map(|body| body.to_string());
    let reply = world.send(method, path, &headers, body).await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn a_setting_says_where_its_value_comes_from() {
    let world = World::with_keys(&[KEY]).await;
    let (status, answer) = ask(&world, "GET", "/v1/settings", None).await;
    assert_eq!(status, 200, "{answer}");
    let of = |key: &str| {
        let mut settings = answer["settings"].as_array().unwrap().iter();
        settings.find(|s| s["key"] == key).unwrap().clone()
    };
    let timeout = of("sql.timeout");
    assert_eq!(
        (&timeout["value"], &timeout["from"]),
        (&json!("2s"), &json!("file"))
    );
    assert!(timeout["line"].as_u64() > Some(0), "{timeout}");
    assert_eq!(of("sql.bytes_max")["from"], "default");
    assert_eq!(world.get("/v1/settings").await.status, 401);
}

#[tokio::test]
async fn a_report_on_calls_says_how_to_get_a_log_or_what_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let config = format!("{CONFIG}\n[call_log]\ndir = {logs:?}\n");
    let world = World::of(Kind::of_this_run(), &config, &[KEY]).await;
    let (status, problem) = ask(&world, "GET", "/v1/calls/report", None).await;
    assert_eq!(status, 404, "{problem}");
    assert!(
        problem["message"]
            .as_str()
            .unwrap()
            .contains("MILLPOND_CALL_LOG=1"),
        "{problem}"
    );

    std::fs::create_dir(&logs).unwrap();
    let line = |n: u32, status: u16| {
        format!(
            "{{\"timestamp\":\"2026-03-02T14:00:{n:02}Z\",\"method\":\"GET\",\"url\":\"/sale?ID={n}\",\
             \"baseURL\":\"https://inventory.example\",\"status\":{status},\"durationMs\":{},\"error\":null,\"timeout\":30000}}\n",
            n * 10
        )
    };
    let text: String = (1..=30)
        .map(|n| line(n, if n == 7 { 500 } else { 200 }))
        .collect();
    std::fs::write(logs.join("2026-03-02T14-00-00.000Z.jsonl"), text).unwrap();
    let (status, report) = ask(&world, "GET", "/v1/calls/report", None).await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["overview"]["calls"], 30);
    assert_eq!(report["overview"]["server_errors"], 1);
    assert_eq!(report["durations"]["max_ms"], 300);
    assert_eq!(report["cut"], false);
}

#[tokio::test]
async fn a_connection_is_disabled_enabled_and_shared_and_odd_shares_are_refused() {
    let world = World::with_keys(&[KEY]).await;
    world.connect("pond-uk").await;
    let path = "/v1/instances/pond-uk/connections/main";
    let (status, answer) = ask(
        &world,
        "PATCH",
        path,
        Some(json!({ "enabled": false, "share": 0.5 })),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["enabled"], &answer["share"]),
        (&json!(false), &json!(0.5))
    );
    let held = world.store.connections(Some("pond-uk")).await.unwrap();
    assert!(!held[0].enabled && held[0].share == 0.5, "{held:?}");
    let (_, answer) = ask(&world, "PATCH", path, Some(json!({ "enabled": true }))).await;
    assert_eq!(
        (&answer["enabled"], &answer["share"]),
        (&json!(true), &json!(0.5))
    );
    for share in [json!(0), json!(-1), json!(1.5), json!("much")] {
        let (status, problem) = ask(&world, "PATCH", path, Some(json!({ "share": share }))).await;
        assert!(
            status == 400 || status == 422,
            "{share}: {status} {problem}"
        );
    }
    assert_eq!(
        world.store.connections(Some("pond-uk")).await.unwrap()[0].share,
        0.5
    );
    let unknown = "/v1/instances/pond-uk/connections/nobody";
    assert_eq!(
        ask(&world, "PATCH", unknown, Some(json!({ "enabled": true })))
            .await
            .0,
        404
    );
    assert_eq!(ask(&world, "PATCH", unknown, Some(json!({}))).await.0, 404);
}
