//! What is told about the cache: families, keys, metrics, and what is wrong.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use millpond::http::{App, guard};
use serde_json::{Value, json};

use crate::world::{CONFIG, CacheOf, Kind, World};

const POLL: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(60);
const RECORD: &str = "/v1/records/cin7.sale/pond-uk";

/// A server whose sales `0` to `size` are mirrored.
async fn with_sales(cache: CacheOf, size: u32) -> World {
    let world = World::over_cache(cache, CONFIG, &[]).await;
    let bodies: Vec<(String, String)> = (0..size)
        .map(|n| (n.to_string(), json!({ "Total": n }).to_string()))
        .collect();
    let records: Vec<(&str, &str)> = bodies
        .iter()
        .map(|(id, body)| (id.as_str(), body.as_str()))
        .collect();
    world.write("cin7.sale", "pond-uk", &records).await;
    world
}

/// Runs `millpond cache` against the server: its exit code, and what it said.
async fn run(world: &World, words: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_millpond"));
    command.arg("cache").args(words);
    command.args(["--server", &world.address.to_string()]);
    let done = command
        .env_clear()
        .current_dir(std::env::temp_dir())
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(DEADLINE, done).await;
    let done = done.expect("it must end").unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    (done.status.code().unwrap(), said)
}

async fn json_of(world: &World, words: &[&str]) -> Value {
    let (code, said) = run(world, &[&["--json"], words].concat()).await;
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap()
}

async fn findings(world: &World) -> Vec<String> {
    let told = world.get("/v1/cache/doctor").await.json();
    let findings = told["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| finding.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn c57_c58_the_metrics_count_what_was_read() {
    let world = with_sales(CacheOf::new(Kind::Memory), 1).await;
    for _ in 0..5 {
        world.get(&format!("{RECORD}/0")).await;
    }
    let large = format!(r#"{{"Text": "{}"}}"#, "x".repeat(300_000));
    world
        .write("cin7.sale", "pond-uk", &[("big", &large)])
        .await;
    for _ in 0..2 {
        let answer = world.get(&format!("{RECORD}/big")).await;
        assert!(answer.body.len() > 300_000);
    }
    let metrics = world.get("/metrics").await.body;
    for line in [
        "# TYPE cache_hits_total counter",
        "cache_hits_total{family=\"cin7:sale:{id}\"} 4",
        "cache_misses_total{family=\"cin7:sale:{id}\"} 3",
        "cache_loads_total{family=\"cin7:sale:{id}\"} 3",
        "cache_bypasses_total{family=\"cin7:sale:{id}\"} 0",
        "cache_rejects_total{family=\"cin7:sale:{id}\",reason=\"size\"} 2",
        "cache_hit_ratio{family=\"cin7:sale:{id}\"} 0.571",
        "cache_hits_total{family=\"search:{resource}:{hash}\"} 0",
        "cache_memory_entries 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(
        !metrics.contains("cache_shared_up"),
        "there is no shared store"
    );
}

#[tokio::test]
async fn c58_the_metrics_show_the_circuit() {
    let mut world = with_sales(CacheOf::new(Kind::Redis), 1).await;
    world.get(&format!("{RECORD}/0")).await;
    let metrics = world.get("/metrics").await.body;
    assert!(metrics.contains("\ncache_shared_up 1\n"), "{metrics}");
    world.redis_mut().kill();
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert_eq!(world.get(&format!("{RECORD}/0")).await.status, 200);
        let metrics = world.get("/metrics").await.body;
        if metrics.contains("\ncache_shared_up 0\n") {
            assert!(
                metrics.contains("\ncache_shared_lost_total 1\n"),
                "{metrics}"
            );
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
    }
}

#[tokio::test]
async fn x6_a_key_is_explained_and_forgotten_by_its_logical_name() {
    let world = with_sales(CacheOf::new(Kind::Redis), 1).await;
    world.get(&format!("{RECORD}/0")).await;
    let families = json_of(&world, &["families"]).await;
    let families = families["families"].as_array().unwrap();
    let of_sales = families.iter().find(|row| row["name"] == "cin7:sale:{id}");
    let of_sales = of_sales.unwrap();
    assert_eq!(of_sales["loader"], "mirror.record");
    assert_eq!(
        (&of_sales["scope"], &of_sales["size_class"]),
        (&json!("instance"), &json!("bulk"))
    );
    let own = "i=pond-uk:cin7:sale:0";
    let explained = json_of(&world, &["explain", own]).await;
    let key = &explained["keys"][0];
    assert_eq!(key["state"], "held", "{explained}");
    assert!(key["expires_in_secs"].as_f64().unwrap() <= 300.0, "{key}");
    let physical = key["physical"].as_str().unwrap();
    assert!(
        world
            .redis()
            .run(&["KEYS", "*"])
            .contains(&physical.to_owned())
    );
    let again = json_of(&world, &["explain", physical]).await;
    assert_eq!(again["keys"][0]["physical"], physical);
    let both = json_of(&world, &["explain", "cin7:sale:0"]).await;
    let states = both["keys"].as_array().unwrap().iter();
    let states: Vec<&str> = states.map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["held", "missing"], "one instance has it");
    let (code, said) = run(&world, &["delete", own]).await;
    assert_eq!(
        (code, said.as_str()),
        (0, format!("{own}: forgotten\n").as_str())
    );
    let explained = json_of(&world, &["explain", own]).await;
    assert_eq!(explained["keys"][0]["state"], "missing");
    assert!(
        !world
            .redis()
            .run(&["KEYS", "*"])
            .contains(&physical.to_owned())
    );
    assert_eq!(run(&world, &["explain", "no:such:family"]).await.0, 4);
    assert_eq!(run(&world, &["doctor"]).await.0, 0);
}

#[tokio::test]
async fn c59_keys_that_come_back_after_expiry_and_keys_that_never_come_back_are_told_apart() {
    let cache = CacheOf::with(Kind::Memory, ", record_ttl = \"1s\"");
    let world = with_sales(cache, 70).await;
    // The same records again and again, each time after their life.
    let mut last = Instant::now();
    for round in 0..4 {
        while round > 0 && last.elapsed() < Duration::from_millis(1050) {
            tokio::time::sleep(POLL).await;
        }
        for id in 0..70 {
            world.get(&format!("{RECORD}/{id}")).await;
        }
        last = Instant::now();
    }
    // A question that is another one each time.
    for n in 0..210 {
        let path = format!("/v1/search?resource=cin7.sale&limit=1&where=Total!={n}");
        assert_eq!(world.get(&path).await.status, 200);
    }
    let findings = findings(&world).await;
    let about = |family: &str| {
        let mut found = findings.iter().filter(|finding| finding.contains(family));
        found.next().unwrap_or_else(|| panic!("{findings:?}"))
    };
    assert!(
        about("cin7:sale:{id}").contains("Lengthen its TTL"),
        "{findings:?}"
    );
    assert!(
        about("search:{resource}:{hash}").contains("Take out of the key"),
        "{findings:?}"
    );
    let (code, said) = run(&world, &["doctor"]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("Lengthen its TTL"), "{said}");
}

/// Reads the row as the real handler's loader does, with the wrap around it removed.
async fn unwrapped(
    State(_): State<App>,
    axum::Extension(store): axum::Extension<store::Store>,
    Path((resource, instance, id)): Path<(String, String, String)>,
) -> String {
    let resource = resource.parse().unwrap();
    let found = store
        .find_record(&resource, &instance, &id, &resource)
        .await;
    serde_json::to_string(&found.unwrap()).unwrap()
}

#[tokio::test]
async fn c61_c62_a_route_whose_wrap_was_removed_is_named_with_the_family_it_should_use() {
    let world = with_sales(CacheOf::new(Kind::Memory), 5).await;
    let route = "/v1/records/{resource}/{instance}/{id}";
    let admitted = axum::middleware::from_fn_with_state(world.app.clone(), guard::admit);
    let routes = Router::new()
        .route(route, get(unwrapped))
        .route_layer(admitted)
        .layer(axum::Extension(world.store.clone()))
        .with_state(world.app.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(axum::serve(listener, routes).into_future());
    for n in 0..25 {
        let reply = world.ask_at(address, &format!("{RECORD}/{}", n % 5)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let told = findings(&world).await;
    let named = told
        .iter()
        .find(|finding| finding.contains("GET /v1/records/{resource}/{instance}/{id}"));
    let named = named.unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        named.contains("read none of") && named.contains("`cin7:sale:{id}`"),
        "{named}"
    );
    // With the wrap back, the finding goes.
    for n in 0..25 {
        world.get(&format!("{RECORD}/{}", n % 5)).await;
    }
    assert_eq!(findings(&world).await, [""; 0]);
    served.abort();
}
