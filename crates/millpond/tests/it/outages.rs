//! The server while its cache misbehaves, under load: no error, no wrong answer, half a second once.
//!
//! `MILLPOND_OUTAGE_SECS=300` makes each scene that long.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

use crate::{
    netbox::{Netbox, Weather},
    redis::Redis,
    served::Served,
    world::{CONFIG, CacheOf, Kind, World},
};

const POLL: Duration = Duration::from_millis(5);
const BETWEEN_WRITES_POLL: Duration = Duration::from_millis(50);
/// What a slow network adds to each answer.
const SLOW: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(60);
const RECORDS: u32 = 40;
const READERS: usize = 4;
/// How long after a write was committed the old record may be answered: a quarter of a second, and what a busy machine
/// adds.
const STALE_MAX: Duration = Duration::from_secs(5);
/// The longest that a request may take in all: half a second for the cache, and what a busy machine adds.
const SLOWEST: Duration = Duration::from_secs(20);
/// What an outage may cost the first request (C48), and what a busy machine adds to it: clients that keep trying take
/// three seconds and more.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const MACHINE: Duration = Duration::from_secs(2);
/// How often the store is tried while it is away.
const PROBE: Duration = Duration::from_secs(1);

fn path(id: u32) -> String {
    format!("/v1/records/cin7.sale/pond-uk/{id}")
}

/// The configuration, with requests that a busy machine may take its time for.
fn patient() -> String {
    CONFIG.replace(r#"request_timeout = "5s""#, r#"request_timeout = "60s""#)
}

/// Every total that a record ever had, and since when.
type Truth = Mutex<BTreeMap<u32, Vec<(Instant, u64)>>>;

/// A server whose Redis is reached through a bad network, and what it must answer.
struct Stage {
    redis: Redis,
    netbox: Netbox,
    world: World,
    truth: Truth,
}

/// How a scene's requests fared.
#[derive(Debug, Default)]
struct Fared {
    took: Vec<Duration>,
    hits: usize,
}

impl Stage {
    async fn new(kind: Kind) -> Self {
        let redis = Redis::start();
        let netbox = Netbox::before(redis.socket()).await;
        let cache = CacheOf::at_probed_every(&netbox.url(), kind, "1s");
        let stage = Self {
            world: World::over_cache(cache, &patient(), &[]).await,
            redis,
            netbox,
            truth: Truth::default(),
        };
        for id in 0..RECORDS {
            stage.write(id, 0).await;
        }
        stage
    }

    async fn write(&self, id: u32, total: u64) {
        let body = json!({ "Total": total }).to_string();
        // Known before it is written: whoever reads it in between is right.
        let mut since = vec![(Instant::now() + DEADLINE * 100, total)];
        self.truth
            .lock()
            .unwrap()
            .entry(id)
            .or_default()
            .append(&mut since);
        let id_text = id.to_string();
        let row = [(id_text.as_str(), body.as_str())];
        self.world.write_quietly("cin7.sale", "pond-uk", &row).await;
        if let Some(last) = self.truth.lock().unwrap().entry(id).or_default().last_mut() {
            last.0 = Instant::now();
        }
    }

    /// Fails unless `total` is what the record said when the request began, or shortly before.
    fn check(&self, id: u32, total: u64, begun: Instant) {
        let truth = self.truth.lock().unwrap();
        let versions = &truth[&id];
        let at = versions.iter().position(|(_, known)| *known == total);
        let at = at.unwrap_or_else(|| panic!("record {id} never said {total}"));
        if let Some((superseded, _)) = versions.get(at + 1) {
            let late = begun.saturating_duration_since(*superseded);
            assert!(
                late < STALE_MAX,
                "record {id} said {total} {late:?} after it changed"
            );
        }
    }

    /// Reads and writes while `during` runs.
    async fn under_load(&self, seed: u64, during: impl Future<Output = ()>) -> Fared {
        let over = AtomicBool::new(false);
        let fared = Mutex::new(Fared::default());
        let reader = async |n: usize| {
            let mut random = StdRng::seed_from_u64(seed + n as u64);
            while !over.load(Relaxed) {
                let id = random.random_range(0..RECORDS);
                let begun = Instant::now();
                let reply = if random.random_ratio(1, 8) {
                    let search =
                        "/v1/search?resource=cin7.sale&instance=pond-uk&where=Total%3E=0&limit=3";
                    self.world.get(search).await
                } else {
                    self.world.get(&path(id)).await
                };
                let took = begun.elapsed();
                assert_eq!(reply.status, 200, "{}", reply.body);
                let told = reply.json();
                let records = told["records"].as_array().cloned();
                for record in records.unwrap_or_else(|| vec![told]) {
                    let id = record["id"].as_str().unwrap().parse().unwrap();
                    self.check(id, record["body"]["Total"].as_u64().unwrap(), begun);
                }
                {
                    let mut fared = fared.lock().unwrap();
                    fared.took.push(took);
                    fared.hits += usize::from(reply.body.contains(r#""source":"cache""#));
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let writer = async {
            let mut random = StdRng::seed_from_u64(seed);
            let mut total = self
                .truth
                .lock()
                .unwrap()
                .values()
                .map(Vec::len)
                .sum::<usize>() as u64;
            while !over.load(Relaxed) {
                total += 1;
                self.write(random.random_range(0..RECORDS), total).await;
                tokio::time::sleep(BETWEEN_WRITES_POLL).await;
            }
        };
        let scene = async {
            during.await;
            over.store(true, Relaxed);
        };
        let readers = futures::future::join_all((0..READERS).map(reader));
        tokio::join!(scene, writer, readers);
        fared.into_inner().unwrap()
    }

    /// Waits until an answer comes out of the cache again; says how long it took.
    async fn hits_again(&self) -> Duration {
        let begun = Instant::now();
        while self.world.get(&path(0)).await.json()["source"] != "cache" {
            assert!(begun.elapsed() < DEADLINE, "hits did not resume");
        }
        begun.elapsed()
    }

    /// Once this server has heard of all writes, every record says the last.
    async fn says_what_was_written_last(&self) {
        self.world.hear().await;
        for id in 0..RECORDS {
            let last = self.truth.lock().unwrap()[&id].last().unwrap().1;
            let told = self.world.get(&path(id)).await.json();
            assert_eq!(told["body"]["Total"], last, "record {id}: {told}");
        }
    }

    fn is_up(&self) -> bool {
        self.world
            .cache()
            .health()
            .shared
            .is_some_and(|shared| shared.up)
    }
}

fn tell(scene: &str, fared: &mut Fared, back: Duration) {
    fared.took.sort();
    let at = |share: f64| fared.took[((fared.took.len() - 1) as f64 * share) as usize];
    println!(
        "{scene:<22} {} requests, 0 errors, 0 wrong; {} hits; median {:.1?}, p99 {:.1?}, slowest {:.1?}; hits again after {back:.1?}",
        fared.took.len(),
        fared.hits,
        at(0.5),
        at(0.99),
        at(1.0),
    );
    assert!(at(1.0) < SLOWEST, "{scene}: a request took {:?}", at(1.0));
}

/// How long each scene goes on.
fn length() -> Duration {
    let secs = std::env::var("MILLPOND_OUTAGE_SECS").ok();
    secs.map_or(Duration::from_millis(2500), |secs| {
        Duration::from_secs(secs.parse().expect("a number of seconds"))
    })
}

/// The network turns bad while the server is asked, and good again.
async fn bad_weather(kind: Kind, scene: &str, weather: Weather, seed: u64) {
    let stage = Stage::new(kind).await;
    stage.hits_again().await;
    let mut fared = stage
        .under_load(seed, async {
            stage.netbox.set(weather);
            tokio::time::sleep(length()).await; // the outage
            assert!(!stage.is_up(), "{scene} was not noticed");
        })
        .await;
    stage.netbox.set(Weather::Refuse);
    stage.netbox.set(Weather::Fair);
    let back = stage.hits_again().await;
    stage.says_what_was_written_last().await;
    tell(scene, &mut fared, back);
    assert!(
        back < PROBE + MACHINE * 2,
        "{scene}: hits resumed after {back:?}"
    );
    stage.redis.assert_all_expire();
}

/// Redis is emptied every second.
async fn wiped(kind: Kind, seed: u64) {
    let stage = Stage::new(kind).await;
    stage.hits_again().await;
    let mut fared = stage
        .under_load(seed, async {
            let begun = Instant::now();
            while begun.elapsed() < length() {
                tokio::time::sleep(length().min(Duration::from_secs(1))).await; // between two wipes
                stage.redis.run(&["FLUSHALL"]);
            }
        })
        .await;
    assert!(stage.is_up(), "an empty store is no outage");
    let back = stage.hits_again().await;
    stage.says_what_was_written_last().await;
    tell("wiped every second", &mut fared, back);
    stage.redis.assert_all_expire();
}

/// Redis is killed and started again, empty.
async fn restarted(kind: Kind, seed: u64) {
    let mut stage = Stage::new(kind).await;
    stage.hits_again().await;
    // The thread that starts it is not one of the server's.
    let redis = std::mem::replace(&mut stage.redis, Redis::start());
    let redis = Arc::new(Mutex::new(redis));
    let mut fared = stage
        .under_load(seed, async {
            let begun = Instant::now();
            while begun.elapsed() < length() {
                let redis = Arc::clone(&redis);
                let restart = move || redis.lock().unwrap().restart();
                tokio::task::spawn_blocking(restart).await.unwrap();
                tokio::time::sleep(length().min(Duration::from_secs(5))).await; // in which it is found
            }
        })
        .await;
    let back = stage.hits_again().await;
    stage.says_what_was_written_last().await;
    tell("restarted under load", &mut fared, back);
    redis.lock().unwrap().assert_all_expire();
}

/// All scenes at once, each with a server, a database and a Redis of its own.
async fn outages(kind: Kind) {
    let seed: u64 = rand::random_range(0..1 << 32);
    println!("{kind:?}, seed {seed}");
    tokio::join!(
        Box::pin(bad_weather(kind, "refused, reset", Weather::Refuse, seed)),
        Box::pin(bad_weather(kind, "black hole", Weather::BlackHole, seed)),
        Box::pin(bad_weather(kind, "2 s slow", Weather::Slow(SLOW), seed)),
        Box::pin(wiped(kind, seed)),
        Box::pin(restarted(kind, seed)),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_c9_c45_c47_c53_no_outage_of_redis_fails_a_request_or_answers_wrongly() {
    outages(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_c9_c45_c47_c53_nor_with_copies_in_front_of_it() {
    outages(Kind::TwoTier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c48_c51_the_first_request_waits_half_a_second_and_the_next_thousand_send_nothing() {
    for weather in [Weather::Refuse, Weather::BlackHole, Weather::Slow(SLOW)] {
        let redis = Redis::start();
        let netbox = Netbox::before(redis.socket()).await;
        let cache = CacheOf::at_probed_every(&netbox.url(), Kind::Redis, "1h");
        let world = World::over_cache(cache, &patient(), &[]).await;
        world
            .write("cin7.sale", "pond-uk", &[("1", r#"{"Total": 1}"#)])
            .await;
        let timed = async || {
            let begun = Instant::now();
            assert_eq!(world.get(&path(1)).await.status, 200);
            begun.elapsed()
        };
        let median = async |of: usize| {
            let mut took = Vec::new();
            for _ in 0..of {
                took.push(timed().await);
            }
            took.sort();
            took[of / 2]
        };
        let before = median(200).await;
        netbox.set(weather.clone());
        let first = timed().await;
        assert!(
            first < FIRST_WAIT + MACHINE,
            "{weather:?}: the first request took {first:?}"
        );
        if weather == Weather::Slow(SLOW) {
            tokio::time::sleep(SLOW * 2).await; // until what was under way has come out of the slow network
        }
        let sent = netbox.sent();
        let after = median(1000).await;
        assert_eq!(netbox.sent(), sent, "{weather:?}: something was sent");
        println!(
            "{weather:?}: first {first:.1?}, then {after:.1?} in the median, {before:.1?} before"
        );
    }
}

/// A folder with a configuration, and a world that furnished the database for it.
async fn furnished(cache: &CacheOf) -> (World, tempfile::TempDir) {
    let world = World::of(Kind::Off, CONFIG, &[]).await;
    world
        .write("cin7.sale", "pond-uk", &[("1", r#"{"Total": 1}"#)])
        .await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}{CONFIG}", cache.line());
    std::fs::write(folder.path().join("millpond.toml"), text).unwrap();
    (world, folder)
}

/// The server answers out of its cache in the end.
async fn answers_from_cache(server: &Served) {
    server.up().await;
    let begun = Instant::now();
    loop {
        let reply = server.ask("", "GET", &path(1)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        if reply.json()["source"] == "cache" {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "nothing comes out of the cache");
        tokio::time::sleep(POLL).await;
    }
}

/// A port that was free a moment ago; the bus of a cluster listens 10,000 above.
fn port() -> String {
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 55_000 {
            return port.to_string();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_behind_tls_is_reached_as_a_user_who_may_only_touch_our_keys() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("cert"), made.cert.pem()).unwrap();
    std::fs::write(file("key"), made.signing_key.serialize_pem()).unwrap();
    let port = port();
    let redis = Redis::start_with(&[
        "--port",
        "0",
        "--tls-port",
        &port,
        "--bind",
        "127.0.0.1",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &file("cert"),
        "--tls-key-file",
        &file("key"),
    ]);
    let user = [
        "ACL",
        "SETUSER",
        "mill",
        "on",
        ">pond-water",
        "~mp*",
        "+@all",
        "-@admin",
        "-@dangerous",
    ];
    assert_eq!(redis.run(&user), ["OK"]);
    // Nobody else may do anything, but this test over its socket.
    let url = format!("rediss://mill:pond-water@localhost:{port}");
    let (world, home) = furnished(&CacheOf::at(&url, Kind::Redis)).await;
    let trusted = [("SSL_CERT_FILE", file("cert"))];
    let trusted = [(trusted[0].0, trusted[0].1.as_str())];
    let server = Served::start(&world.database_url(), home.path(), &trusted);
    answers_from_cache(&server).await;
    let keys = redis.run(&["KEYS", "*:cin7:sale:1"]);
    assert!(keys.iter().any(|key| key.starts_with("mp")), "{keys:?}");
    let log = redis.run(&["ACL", "LOG"]);
    assert!(log.is_empty(), "the user was refused something: {log:?}");
    assert!(Path::new(&file("cert")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three_nodes_is_used_and_a_lost_node_survived() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let port = port();
        let node = Redis::start_with(&[
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
        ]);
        nodes.push((port, node));
    }
    let addresses: Vec<String> = nodes
        .iter()
        .map(|(port, _)| format!("127.0.0.1:{port}"))
        .collect();
    let formed = std::process::Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .unwrap();
    assert!(
        formed.status.success(),
        "{}",
        String::from_utf8_lossy(&formed.stdout)
    );
    let begun = Instant::now();
    while nodes.iter().any(|(_, node)| {
        !node
            .run(&["CLUSTER", "INFO"])
            .concat()
            .contains("cluster_state:ok")
    }) {
        assert!(begun.elapsed() < DEADLINE, "the cluster did not form");
        tokio::time::sleep(POLL).await;
    }
    let urls: Vec<String> = addresses
        .iter()
        .map(|address| format!("redis://{address}"))
        .collect();
    let line = format!(
        "cache = {{ store = \"{}\", cluster = true, probe_every = \"1s\" }}\n",
        urls.join(",")
    );
    let world = World::over_cache(CacheOf::said(&line), &patient(), &[]).await;
    let sizes = async || {
        nodes
            .iter()
            .map(|(_, node)| node.run(&["KEYS", "*:cin7:sale:*"]).len())
            .collect::<Vec<_>>()
    };
    let bodies: Vec<(String, String)> = (0..60)
        .map(|n| (n.to_string(), json!({ "Total": n }).to_string()))
        .collect();
    let rows: Vec<(&str, &str)> = bodies
        .iter()
        .map(|(id, body)| (id.as_str(), body.as_str()))
        .collect();
    world.write("cin7.sale", "pond-uk", &rows).await;
    for source in ["mirror", "cache"] {
        for id in 0..60 {
            let answer = world.get(&path(id)).await.json();
            assert_eq!(
                (&answer["source"], &answer["body"]["Total"]),
                (&json!(source), &json!(id))
            );
        }
    }
    let kept = sizes().await;
    assert!(
        kept.iter().all(|size| *size > 0),
        "all nodes hold some: {kept:?}"
    );
    // A write is forgotten wherever it lies.
    let changed: Vec<(String, String)> = (0..60)
        .map(|n| (n.to_string(), json!({ "Total": n + 1000 }).to_string()))
        .collect();
    let rows: Vec<(&str, &str)> = changed
        .iter()
        .map(|(id, body)| (id.as_str(), body.as_str()))
        .collect();
    world.write("cin7.sale", "pond-uk", &rows).await;
    for id in 0..60 {
        assert_eq!(
            world.get(&path(id)).await.json()["body"]["Total"],
            id + 1000
        );
    }
    for (_, node) in &nodes {
        node.assert_all_expire();
    }
    nodes[0].1.kill();
    for id in 0..60 {
        let begun = Instant::now();
        let answer = world.get(&path(id)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["body"]["Total"], id + 1000);
        assert!(begun.elapsed() < SLOWEST, "{:?}", begun.elapsed());
    }
}
