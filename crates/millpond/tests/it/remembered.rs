//! Who asks is remembered, and what changes about them holds at once: on every server, whatever the cache is doing.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use store::access::LEASE;

use crate::{
    netbox::{Netbox, Weather},
    redis::Redis,
    served::Served,
    world::{CONFIG, CacheOf, Kind, Reply, World},
};

const OPERATOR: &str = "an-operator-of-the-configuration";
const POLL: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(60);
const RECORD: &str = "/v1/records/cin7.sale/pond-uk/1";
const FAMILY: &str = "cache:principal:{credential_hash}";

async fn ask(world: &World, key: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    let body = body.map(|body| body.to_string());
    world.send(method, path, &headers, body).await
}

async fn status(world: &World, key: &str, path: &str) -> u16 {
    ask(world, key, "GET", path, None).await.status
}

async fn must(world: &World, method: &str, path: &str, body: Option<Value>) -> Value {
    let reply = ask(world, OPERATOR, method, path, body).await;
    assert!(reply.status < 300, "{method} {path}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap_or_default()
}

/// Makes a tenant with an instance, a project that sees it, and a record.
async fn furnish(world: &World) {
    world
        .write("cin7.sale", "pond-uk", &[("1", r#"{"Total": 1}"#)])
        .await;
    must(
        world,
        "POST",
        "/v1/tenants",
        Some(json!({ "id": "britain" })),
    )
    .await;
    must(world, "PUT", "/v1/tenants/britain/instances/pond-uk", None).await;
    let part = json!({ "id": "part", "instances": ["pond-uk"] });
    must(world, "POST", "/v1/tenants/britain/projects", Some(part)).await;
}

/// A key of the tenant: its id and its credential.
async fn make_key(world: &World, project: Option<&str>) -> (String, String) {
    let values = json!({ "tenant": "britain", "project": project, "role": "user", "title": "t" });
    let made = must(world, "POST", "/v1/keys", Some(values)).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("credential"))
}

/// Waits until the server remembers who asks.
async fn attentive(world: &World) {
    let deadline = Instant::now() + DEADLINE;
    while !world.app.access().remembers() {
        assert!(Instant::now() < deadline, "the server does not listen");
        tokio::time::sleep(POLL).await;
    }
}

fn hits_and_loads(world: &World) -> (u64, u64) {
    let families = world.cache().families();
    let found = families.iter().find(|(info, _)| info.name == FAMILY);
    found.map(|(_, stats)| (stats.hits, stats.loads)).unwrap()
}

/// Two servers on one database: on one Redis, or each with a memory of its own.
async fn two_servers(kind: Kind) -> (World, World) {
    let one = World::of(kind, CONFIG, &[OPERATOR]).await;
    let other = match kind {
        Kind::Off | Kind::Memory => one.beside(kind, &[OPERATOR]).await,
        Kind::Redis | Kind::TwoTier => one.twin(&[OPERATOR]).await,
    };
    furnish(&one).await;
    // Whether or not a key was made before, one is needed from here on.
    let _ = make_key(&one, None).await;
    if kind != Kind::Off {
        attentive(&one).await;
        attentive(&other).await;
    }
    (one, other)
}

async fn what_changes_holds_on_both(kind: Kind) {
    let (one, other) = two_servers(kind).await;
    let (id, old) = make_key(&one, Some("part")).await;
    let path = format!("/v1/keys/{id}");
    let both = async |key: &str, path: &str| {
        (
            status(&one, key, path).await,
            status(&other, key, path).await,
        )
    };
    for _ in 0..3 {
        assert_eq!(both(&old, RECORD).await, (200, 200));
        assert_eq!(both(&old, "/v1/runs").await, (403, 403));
    }
    if kind != Kind::Off {
        let (hits, _) = hits_and_loads(&other);
        assert!(hits >= 3, "{kind:?}: nobody was remembered");
    }
    // The key's role.
    must(&one, "PATCH", &path, Some(json!({ "role": "developer" }))).await;
    assert_eq!(both(&old, "/v1/runs").await, (200, 200), "{kind:?}");
    // What its project shows.
    let part = "/v1/tenants/britain/projects/part";
    must(&other, "PATCH", part, Some(json!({ "instances": [] }))).await;
    assert_eq!(both(&old, RECORD).await, (404, 404), "{kind:?}");
    must(&one, "PATCH", part, Some(json!({ "instances": null }))).await;
    assert_eq!(both(&old, RECORD).await, (200, 200), "{kind:?}");
    // What its tenant owns.
    let owned = "/v1/tenants/britain/instances/pond-uk";
    must(&other, "DELETE", owned, None).await;
    assert_eq!(both(&old, RECORD).await, (404, 404), "{kind:?}");
    must(&one, "PUT", owned, None).await;
    assert_eq!(both(&old, RECORD).await, (200, 200), "{kind:?}");
    // Its credential.
    let rotated = must(&other, "POST", &format!("{path}/rotate"), None).await;
    let new = rotated["credential"].as_str().unwrap();
    assert_eq!(both(&old, RECORD).await, (401, 401), "{kind:?}");
    assert_eq!(both(new, RECORD).await, (200, 200), "{kind:?}");
    must(&one, "DELETE", &path, None).await;
    assert_eq!(both(new, RECORD).await, (401, 401), "{kind:?}");
    // All of its tenant's keys.
    let (_, last) = make_key(&one, None).await;
    assert_eq!(both(&last, RECORD).await, (200, 200), "{kind:?}");
    must(&other, "DELETE", "/v1/tenants/britain", None).await;
    assert_eq!(both(&last, RECORD).await, (401, 401), "{kind:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d19_x11_what_changes_about_access_holds_at_once_on_two_servers() {
    for kind in [Kind::Off, Kind::Memory, Kind::Redis, Kind::TwoTier] {
        what_changes_holds_on_both(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_c15_c16_a_thousand_requests_with_one_key_ask_the_database_once() {
    let (one, other) = two_servers(Kind::Redis).await;
    let (_, key) = make_key(&one, Some("part")).await;
    let (_, before) = hits_and_loads(&one);
    for n in 0..1000 {
        let server = if n % 2 == 0 { &one } else { &other };
        assert_eq!(status(server, &key, RECORD).await, 200);
    }
    let loads = hits_and_loads(&one).1 - before + hits_and_loads(&other).1;
    assert_eq!(loads, 1, "both servers share what one was told");
    let keys = one.redis().run(&["KEYS", "*:cache:*"]);
    for (family, most) in [
        ("principal", 60_000),
        ("tenant", 300_000),
        ("project", 300_000),
    ] {
        let name = format!(":cache:{family}:");
        let found = keys
            .iter()
            .find(|key| key.contains(&name) && !key.contains(":lease:"));
        let found = found.unwrap_or_else(|| panic!("{keys:?}"));
        let left: i64 = one.redis().run(&["PTTL", found])[0].parse().unwrap();
        assert!((1..=most).contains(&left), "{found} lives {left} ms");
    }
    let secret = key.rsplit('_').next().unwrap();
    let kept = one.redis().run(&["KEYS", "*"]);
    for name in &kept {
        let value = one.redis().run(&["GET", name]).concat();
        assert!(!name.contains(secret) && !value.contains(secret), "{name}");
    }
}

/// How often tenants' limits came out of a server's cache, and how often from the database.
fn tenants(world: &World) -> (u64, u64) {
    let families = world.cache().families();
    let found = families
        .iter()
        .find(|(info, _)| info.name == "cache:tenant:{tenant_id}");
    found.map(|(_, stats)| (stats.hits, stats.loads)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn x13_a_hundred_left_are_a_hundred_on_two_servers_whose_limits_come_from_the_cache() {
    for kind in [Kind::Memory, Kind::Redis, Kind::TwoTier] {
        let (one, other) = two_servers(kind).await;
        let (_, key) = make_key(&one, None).await;
        let limits = json!({ "limits": { "requests": 102 } });
        must(&one, "PATCH", "/v1/tenants/britain", Some(limits)).await;
        // Two are used up so that both servers know the limit.
        for world in [&one, &other] {
            assert_eq!(status(world, &key, "/v1/principal").await, 200);
        }
        let before = [&one, &other].map(tenants);
        let asked = (0..400).map(|n| {
            let world = if n % 2 == 0 { &one } else { &other };
            status(world, &key, "/v1/principal")
        });
        let got = futures::future::join_all(asked).await;
        let count = |status: u16| got.iter().filter(|got| **got == status).count();
        assert_eq!((count(200), count(429)), (100, 300), "{kind:?}");
        for (world, (hits, loads)) in [&one, &other].into_iter().zip(before) {
            let (hits_now, loads_now) = tenants(world);
            // A Redis that a busy machine keeps waiting may be bypassed in between.
            assert!(hits_now > hits, "{kind:?}: no limit came from the cache");
            assert!(kind != Kind::Memory || (loads_now, hits_now) == (loads, hits + 200));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_of_all_closes_two_open_servers_at_once() {
    let one = World::of(Kind::Memory, CONFIG, &[]).await;
    let other = one.beside(Kind::Memory, &[]).await;
    attentive(&one).await;
    attentive(&other).await;
    for world in [&one, &other, &one, &other] {
        assert_eq!(world.get("/v1/principal").await.status, 200);
    }
    let first = json!({ "role": "admin", "title": "first" });
    let made = one.post("/v1/keys", &first).await;
    assert!(made.status < 300, "{}", made.body);
    for world in [&one, &other] {
        assert_eq!(world.get("/v1/principal").await.status, 401);
    }
    let key = made.json()["credential"].as_str().unwrap().to_owned();
    for world in [&one, &other] {
        assert_eq!(status(world, &key, "/v1/principal").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x11_no_request_that_begins_after_a_revocation_is_let_through() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for kind in [Kind::Memory, Kind::Redis] {
        let (one, other) = two_servers(kind).await;
        for round in 0..6 {
            let (id, key) = make_key(&one, None).await;
            let pause = Duration::from_micros(random.random_range(0..20_000));
            let revoker = if random.random() { &one } else { &other };
            let revoked = std::sync::Mutex::new(None::<Instant>);
            let revoke = async {
                tokio::time::sleep(pause).await; // at another place of the others' reads each time
                must(revoker, "DELETE", &format!("/v1/keys/{id}"), None).await;
                *revoked.lock().unwrap() = Some(Instant::now());
            };
            let read = async |world: &World| {
                let mut refused = 0;
                while refused < 3 {
                    let begun = Instant::now();
                    let got = status(world, &key, "/v1/principal").await;
                    let since = *revoked.lock().unwrap();
                    let is_late = since.is_some_and(|since| begun > since);
                    assert!(
                        got == 401 || !is_late,
                        "{kind:?}, round {round}: {got} after the revocation"
                    );
                    refused += usize::from(got == 401);
                }
            };
            tokio::join!(revoke, read(&one), read(&other), read(&one), read(&other));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x10_x11_a_key_revoked_while_the_cache_is_away_stays_refused_when_it_is_back() {
    let redis = Redis::start();
    let netbox = Netbox::before(redis.socket()).await;
    let one = World::over_cache(CacheOf::at(&netbox.url(), Kind::Redis), CONFIG, &[OPERATOR]).await;
    let other = one
        .with_cache(CacheOf::at(&netbox.url(), Kind::Redis), &[OPERATOR])
        .await;
    furnish(&one).await;
    for weather in [Weather::Refuse, Weather::BlackHole] {
        let (id, key) = make_key(&one, None).await;
        attentive(&one).await;
        attentive(&other).await;
        for world in [&one, &other] {
            assert_eq!(status(world, &key, RECORD).await, 200);
        }
        let kept = || redis.run(&["KEYS", "*:cache:principal:*"]);
        assert_eq!(kept().len(), 1, "the key is kept");
        netbox.set(weather.clone());
        must(&one, "DELETE", &format!("/v1/keys/{id}"), None).await;
        for world in [&one, &other] {
            assert_eq!(status(world, &key, RECORD).await, 401, "{weather:?}: away");
        }
        assert_eq!(kept().len(), 1, "it survived where nobody could forget it");
        netbox.set(Weather::Refuse);
        netbox.set(Weather::Fair);
        let deadline = Instant::now() + DEADLINE;
        let is_up = |world: &World| {
            world
                .cache()
                .health()
                .shared
                .is_some_and(|shared| shared.up)
        };
        while !(is_up(&one) && is_up(&other)) {
            for world in [&one, &other] {
                assert_eq!(
                    status(world, &key, RECORD).await,
                    401,
                    "{weather:?}: coming back"
                );
            }
            assert!(Instant::now() < deadline, "the cache did not come back");
        }
        for world in [&one, &other] {
            assert_eq!(status(world, &key, RECORD).await, 401, "{weather:?}: back");
        }
        assert_eq!(kept(), [""; 0], "{weather:?}: the old value is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x11_a_process_that_hangs_cannot_keep_a_revocation_waiting_nor_let_the_key_in_afterwards() {
    // This world only furnishes the database.
    let world = World::of(Kind::Off, CONFIG, &[OPERATOR]).await;
    furnish(&world).await;
    let (_, operator) = {
        let made = must(
            &world,
            "POST",
            "/v1/keys",
            Some(json!({ "role": "admin", "title": "o" })),
        )
        .await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("credential"))
    };
    let (id, key) = make_key(&world, None).await;
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let cache = CacheOf::at(&redis.url(), Kind::Redis);
    std::fs::write(
        folder.path().join("millpond.toml"),
        format!("{}{CONFIG}", cache.line()),
    )
    .unwrap();
    let url = world.database_url();
    let (one, hung) = (
        Served::start(&url, folder.path(), &[]),
        Served::start(&url, folder.path(), &[]),
    );
    let deadline = Instant::now() + DEADLINE;
    one.up().await;
    hung.up().await;
    // Both hold their lease when the key is kept and two have told how far they heard.
    let nodes = async || {
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM millpond.node WHERE lease_until > clock_timestamp()",
        );
        count.fetch_one(world.store.pool()).await.unwrap()
    };
    while nodes().await < 2 || redis.run(&["KEYS", "*:cache:principal:*"]).is_empty() {
        assert_eq!(one.status(&key, "GET", RECORD).await, 200);
        assert_eq!(hung.status(&key, "GET", RECORD).await, 200);
        assert!(Instant::now() < deadline, "nobody is remembered");
    }
    hung.signal("-STOP");
    let begun = Instant::now();
    assert_eq!(
        one.status(&operator, "DELETE", &format!("/v1/keys/{id}"))
            .await,
        200
    );
    let took = begun.elapsed();
    assert!(
        took < LEASE + Duration::from_secs(5),
        "the revocation took {took:?}"
    );
    assert_eq!(one.status(&key, "GET", RECORD).await, 401);
    hung.signal("-CONT");
    for _ in 0..50 {
        assert_eq!(
            hung.status(&key, "GET", RECORD).await,
            401,
            "after the hang"
        );
    }
}
