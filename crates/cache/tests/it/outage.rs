//! A store that refuses, hangs, crawls, babbles or restarts costs one request half a second.

use std::time::{Duration, Instant};

use cache::{Cache, CacheBuilder, Instance, Key, MemoryOptions, Read, RedisOptions};
use jiff::Timestamp;

use crate::kit::{self, Families, Note, Source, text, until};
use crate::logs::Logs;
use crate::netbox::{Netbox, Weather};
use crate::server::Server;

/// The bound in the contract, and what a busy machine may add to it.
const WAIT_MAX: Duration = Duration::from_millis(500);
const SLACK: Duration = Duration::from_millis(150);
/// Long enough that no probe falls into the part of a test that counts bytes.
const PROBE: Duration = Duration::from_millis(1500);

struct Bench {
    cache: Cache,
    families: Families,
    net: Netbox,
    server: Server,
    source: Source,
}

impl Bench {
    async fn new(two_tier: bool) -> Self {
        let server = Server::start().await;
        let net = Netbox::before(server.socket()).await;
        let mut builder = CacheBuilder::new("1");
        let families = kit::families(&mut builder);
        let options = RedisOptions::single(&net.url()).unwrap().probe_every(PROBE);
        let cache = match two_tier {
            true => builder
                .two_tier(MemoryOptions::default(), options)
                .await
                .unwrap(),
            false => builder.redis(options).await,
        };
        Self {
            cache,
            families,
            net,
            server,
            source: Source::default(),
        }
    }

    fn key(&self, id: u64) -> Key<Note> {
        self.cache.key(&self.families.notes, Instance("au"), &id)
    }

    async fn read(&self, id: u64) -> cache::Answer<Note> {
        let load = self.source.gives("a", Timestamp::now());
        let read = Read::new().request_id("req-7");
        self.cache.read(&self.key(id), read, load).await.unwrap()
    }

    fn is_up(&self) -> bool {
        self.cache.health().shared.unwrap().up
    }
}

async fn survives(weather: Weather, id_first: u64, two_tier: bool) {
    let (logs, _guard) = Logs::capture();
    let bench = Bench::new(two_tier).await;
    for id in 0..10 {
        bench.read(id).await;
    }
    bench.net.set(weather.clone());

    let begun = Instant::now();
    let answer = bench.read(id_first).await;
    let waited = begun.elapsed();
    assert!(
        waited <= WAIT_MAX + SLACK,
        "{weather:?}: the first request waited {waited:?}"
    );
    assert_eq!(text(&answer), "a");
    until("the circuit opens", || !bench.is_up()).await;

    let sent = bench.net.sent();
    let begun = Instant::now();
    for id in 0..1000 {
        assert!(
            !bench.read(id % 10).await.is_hit(),
            "answers out of a cache that is away"
        );
    }
    let each = begun.elapsed() / 1000;
    assert!(
        each < Duration::from_millis(1),
        "{weather:?}: bypassing costs {each:?}"
    );
    assert_eq!(
        bench.net.sent(),
        sent,
        "{weather:?}: a bypassed read touched the socket"
    );
    let lines = logs.lines("cache.unavailable");
    assert_eq!(lines.len(), 1, "{lines:#?}");

    bench.net.set(Weather::Fair);
    until("hits resume", || bench.is_up()).await;
    bench.read(1).await;
    assert!(bench.read(1).await.is_hit());
    assert_eq!(logs.lines("cache.available").len(), 1);
    let stats = &bench.cache.families()[0].1;
    assert!(stats.bypassed >= 1000, "{stats:?}");
    assert_eq!(stats.loads_failed, 0);
}

#[tokio::test]
async fn a_store_that_refuses_is_survived() {
    survives(Weather::Refuse, 1, false).await;
}

#[tokio::test]
async fn a_store_that_swallows_everything_is_survived_on_a_hit() {
    survives(Weather::BlackHole, 1, false).await;
}

#[tokio::test]
async fn a_store_that_swallows_everything_is_survived_on_a_miss() {
    survives(Weather::BlackHole, 99, false).await;
}

#[tokio::test]
async fn a_store_that_takes_two_seconds_is_survived() {
    survives(Weather::Slow(Duration::from_secs(2)), 1, false).await;
}

#[tokio::test]
async fn a_store_that_answers_garbage_is_survived() {
    survives(
        Weather::Answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        1,
        false,
    )
    .await;
}

#[tokio::test]
async fn a_store_that_says_moved_is_survived() {
    survives(Weather::Answer(b"-MOVED 3999 127.0.0.1:6381\r\n"), 1, false).await;
}

#[tokio::test]
async fn a_store_that_wants_a_password_is_survived() {
    survives(
        Weather::Answer(b"-NOAUTH Authentication required.\r\n"),
        1,
        false,
    )
    .await;
}

#[tokio::test]
async fn a_store_that_is_loading_is_survived() {
    survives(
        Weather::Answer(b"-LOADING Redis is loading the dataset\r\n"),
        1,
        false,
    )
    .await;
}

#[tokio::test]
async fn a_store_that_stalls_in_the_middle_of_an_answer_is_survived() {
    // What was passed before counts, so the stall comes within the next answer.
    survives(Weather::Stall(0), 1, false).await;
    survives(Weather::Stall(1), 1, false).await;
}

#[tokio::test]
async fn two_tiers_rest_their_copies_while_the_store_is_away() {
    survives(Weather::Refuse, 99, true).await;
    survives(Weather::BlackHole, 99, true).await;
}

#[tokio::test]
async fn the_line_of_an_outage_names_the_request_and_no_secret() {
    let (logs, _guard) = Logs::capture();
    let bench = Bench::new(false).await;
    bench.net.set(Weather::Refuse);
    bench.read(1).await;
    let line = logs.lines("cache.unavailable").remove(0);
    assert!(line.contains("request.id=\"req-7\""), "{line}");

    let url = "redis://admin:hunter2@127.0.0.1:1";
    let options = RedisOptions::single(url).unwrap();
    let shown = format!(
        "{options:?} {:?}",
        RedisOptions::single("redis://:hunter2@[").unwrap_err()
    );
    let cache = CacheBuilder::new("1").redis(options).await;
    let all = format!(
        "{shown} {cache:?} {:?} {:?}",
        cache.health(),
        logs.lines("")
    );
    assert!(!all.contains("hunter2"), "{all}");
}

#[tokio::test]
async fn an_outage_that_begins_during_a_load_costs_half_a_second_in_all() {
    let bench = Bench::new(false).await;
    let key = bench.key(1);
    let begun = Instant::now();
    let net = std::sync::Arc::new(bench.net);
    let hand = net.clone();
    let load = move || async move {
        hand.set(Weather::BlackHole);
        Ok::<_, std::io::Error>(cache::Loaded::found(Note::new("a"), Timestamp::now()))
    };
    let answer = bench.cache.get_or_load(&key, load).await.unwrap();
    assert_eq!(text(&answer), "a");
    assert!(begun.elapsed() <= WAIT_MAX + SLACK, "{:?}", begun.elapsed());
    assert_eq!(bench.cache.families()[0].1.rejected_store, 1);
    let _server = bench.server;
}

#[tokio::test]
async fn a_store_that_is_away_at_start_is_bypassed_and_found_later() {
    let (logs, _guard) = Logs::capture();
    let mut server = Server::start().await;
    server.kill();
    let (cache, families) = kit::process(&server.url()).await;
    let (source, key) = (
        Source::default(),
        cache.key(&families.notes, Instance("au"), &1),
    );
    for _ in 0..2 {
        let load = source.gives("a", Timestamp::now());
        assert!(!cache.get_or_load(&key, load).await.unwrap().is_hit());
    }
    server.up().await;
    until("the probe finds it", || cache.health().shared.unwrap().up).await;
    for hit in [false, true] {
        let load = source.gives("a", Timestamp::now());
        assert_eq!(cache.get_or_load(&key, load).await.unwrap().is_hit(), hit);
    }
    assert_eq!(logs.lines("cache.unavailable").len(), 1);
}

#[tokio::test]
async fn a_wrong_password_means_bypass() {
    let server = Server::start_with(&["--requirepass", "right"]).await;
    let url = format!("{}?pass=wrong", server.url());
    let (cache, families) = kit::process(&url).await;
    assert!(!cache.health().shared.unwrap().up);
    let key = cache.key(&families.notes, Instance("au"), &1);
    let load = Source::default().gives("a", Timestamp::now());
    assert_eq!(text(&cache.get_or_load(&key, load).await.unwrap()), "a");
    let (cache, _) = kit::process(&format!("{}?pass=right", server.url())).await;
    assert!(cache.health().shared.unwrap().up);
}

#[tokio::test]
async fn an_acl_user_needs_only_the_keys_of_the_build() {
    let server = Server::start().await;
    let rules = [
        "ACL", "SETUSER", "mill", "on", ">pond", "~mp*", "+@all", "-@admin",
    ];
    let _: String = server.run(&rules).await;
    let url = format!("{}?user=mill&pass=pond", server.url());
    let (cache, families) = kit::process(&url).await;
    let (source, key) = (
        Source::default(),
        cache.key(&families.notes, Instance("au"), &1),
    );
    for hit in [false, true] {
        let load = source.gives("a", Timestamp::now());
        assert_eq!(cache.get_or_load(&key, load).await.unwrap().is_hit(), hit);
    }
}

#[tokio::test]
async fn a_replica_that_takes_no_writes_is_bypassed() {
    let bench = Bench::new(false).await;
    bench.read(1).await;
    let _: String = bench.server.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let done = bench.cache.invalidate([bench.key(1).name()]).await;
    assert_eq!(done, cache::Invalidated::WhenBack);
    assert!(!bench.is_up());
    assert!(
        !bench.read(1).await.is_hit(),
        "the old value is still on the replica"
    );
    let _: String = bench.server.run(&["REPLICAOF", "NO", "ONE"]).await;
    until("the probe finds a master", || bench.is_up()).await;
    assert!(
        !bench.read(1).await.is_hit(),
        "the invalidation was replayed first"
    );
}

#[tokio::test]
async fn a_full_store_still_answers_and_forgets() {
    let bench = Bench::new(false).await;
    bench.read(1).await;
    let _: String = bench.server.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let _: String = bench
        .server
        .run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    assert!(bench.read(1).await.is_hit());
    assert!(!bench.read(2).await.is_hit());
    assert!(!bench.read(2).await.is_hit());
    assert!(bench.is_up(), "a full store is not away");
    let done = bench.cache.invalidate([bench.key(1).name()]).await;
    assert_eq!(done, cache::Invalidated::Everywhere);
    assert!(!bench.read(1).await.is_hit());
    assert_eq!(bench.cache.families()[0].1.rejected_store, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_and_flushes_under_load_fail_nothing() {
    for trouble in ["restart", "flush"] {
        let mut server = Server::start().await;
        let (cache, families) = kit::process(&server.url()).await;
        let source = Source::default();
        let until_then = Instant::now() + Duration::from_secs(2);
        let readers = (0..8u64).map(|reader| {
            let (cache, source, notes) = (cache.clone(), source.clone(), families.notes.clone());
            tokio::spawn(async move {
                let mut reads = 0u64;
                while Instant::now() < until_then {
                    let id = (reader + reads) % 50;
                    let key = cache.key(&notes, Instance("au"), &id);
                    let load = source.gives(&id.to_string(), Timestamp::now());
                    let answer = cache.get_or_load(&key, load).await.unwrap();
                    assert_eq!(text(&answer), id.to_string());
                    reads += 1;
                    tokio::task::yield_now().await;
                }
                reads
            })
        });
        let readers: Vec<_> = readers.collect();
        while Instant::now() < until_then {
            tokio::time::sleep(Duration::from_millis(150)).await; // calm between two troubles
            match trouble {
                "flush" => drop(server.run::<String>(&["FLUSHALL"]).await),
                _ => {
                    server.kill();
                    tokio::time::sleep(Duration::from_millis(100)).await; // the outage
                    server.up().await;
                }
            }
        }
        let mut reads = 0;
        for reader in readers {
            reads += reader.await.unwrap();
        }
        assert!(reads > 1000, "{trouble}: only {reads} reads");
        until("hits resume", || cache.health().shared.unwrap().up).await;
        let stats = &cache.families()[0].1;
        assert!(stats.hits > 0, "{stats:?}");
    }
}
