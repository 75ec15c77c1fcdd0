//! Two processes on one store: one load, no revoked value, no shared mistake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use cache::{Cache, CacheBuilder, Instance, Loaded, MemoryOptions};
use futures::future::join_all;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::kit::{self, Families, Note, Source, text, until};
use crate::netbox::{Netbox, Weather};
use crate::server::Server;

#[tokio::test]
async fn concurrent_misses_over_two_processes_load_once() {
    for callers in [64, 1000] {
        let server = Server::start().await;
        let (one, families) = kit::process(&server.url()).await;
        let (two, theirs) = kit::process(&server.url()).await;
        let source = Source::default();
        let ours = one.key(&families.notes, Instance("au"), &1);
        let yours = two.key(&theirs.notes, Instance("au"), &1);
        let calls = (0..callers).map(|n| {
            let load = source.slowly("a", Duration::from_millis(80));
            if n % 2 == 0 {
                one.get_or_load(&ours, load)
            } else {
                two.get_or_load(&yours, load)
            }
        });
        for answer in join_all(calls).await {
            assert_eq!(text(&answer.unwrap()), "a");
        }
        assert_eq!(source.loads(), 1, "{callers} callers");
    }
}

#[tokio::test]
async fn a_load_that_its_callers_left_still_serves_the_other_process() {
    let server = Server::start().await;
    let (one, families) = kit::process(&server.url()).await;
    let (two, theirs) = kit::process(&server.url()).await;
    let source = Source::default();
    let ours = one.key(&families.notes, Instance("au"), &1);
    let call = one.get_or_load(&ours, source.slowly("a", Duration::from_millis(100)));
    assert!(
        tokio::time::timeout(Duration::from_millis(10), call)
            .await
            .is_err()
    );
    until("the load begins", || source.loads() == 1).await;
    let yours = two.key(&theirs.notes, Instance("au"), &1);
    let answer = two
        .get_or_load(&yours, source.gives("b", Timestamp::now()))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("a", 1));
}

#[tokio::test]
async fn a_process_that_died_while_loading_holds_nobody_up_for_longer_than_its_lease() {
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    let options = kit::options(&net.url()).lease(Duration::from_millis(300));
    let dying = builder.redis(options).await;
    let source = Source::default();
    let key = dying.key(&families.notes, Instance("au"), &1);
    let load = source.slowly("late", Duration::from_secs(3));
    let call = dying.get_or_load(&key, load);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), call)
            .await
            .is_err()
    );
    until("the load begins", || source.loads() == 1).await;
    net.set(Weather::BlackHole);
    let (alive, theirs) = kit::process(&server.url()).await;
    let key = alive.key(&theirs.notes, Instance("au"), &1);
    let begun = Instant::now();
    let answer = alive
        .get_or_load(&key, source.gives("b", Timestamp::now()))
        .await
        .unwrap();
    assert_eq!(text(&answer), "b");
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_slow_load_keeps_its_lease_alive() {
    let server = Server::start().await;
    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    let options = kit::options(&server.url()).lease(Duration::from_millis(90));
    let one = builder.redis(options).await;
    let (two, theirs) = kit::process(&server.url()).await;
    let source = Source::default();
    let ours = one.key(&families.notes, Instance("au"), &1);
    let yours = two.key(&theirs.notes, Instance("au"), &1);
    let long = one.get_or_load(&ours, source.slowly("a", Duration::from_millis(400)));
    let second = async {
        until("the load begins", || source.loads() == 1).await;
        two.get_or_load(&yours, source.gives("b", Timestamp::now()))
            .await
    };
    let (long, second) = futures::future::join(long, second).await;
    assert_eq!((text(&long.unwrap()), text(&second.unwrap())), ("a", "a"));
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn a_wait_for_another_process_ends() {
    let server = Server::start().await;
    let (one, families) = kit::process(&server.url()).await;
    let mut builder = CacheBuilder::new("1");
    let theirs = kit::families(&mut builder);
    let options = kit::options(&server.url()).lease_wait_max(Duration::from_millis(100));
    let two = builder.redis(options).await;
    let source = Source::default();
    let ours = one.key(&families.notes, Instance("au"), &1);
    let load = source.slowly("a", Duration::from_millis(500));
    let held = tokio::spawn(async move { one.get_or_load(&ours, load).await });
    until("the load begins", || source.loads() == 1).await;
    let yours = two.key(&theirs.notes, Instance("au"), &1);
    let answer = two
        .get_or_load(&yours, source.gives("b", Timestamp::now()))
        .await
        .unwrap();
    assert_eq!(text(&answer), "b");
    assert_eq!(two.families()[0].1.lease_waits_ended, 1);
    held.await.unwrap().unwrap();
}

/// A row that two processes read through the cache and change: the truth is a number that only grows.
struct World {
    truth: Arc<AtomicU64>,
    caches: Vec<(Cache, Families)>,
}

impl World {
    async fn read(&self, process: usize) -> u64 {
        let (cache, families) = &self.caches[process];
        let key = cache.key(&families.principals, (), "k");
        let truth = self.truth.clone();
        let load = move || async move {
            let seen = truth.load(SeqCst);
            // The answer of the database is under way while others write.
            let under_way = Duration::from_micros(rand::random_range(0..800));
            tokio::time::sleep(under_way).await; // a random interleaving
            Ok::<_, std::io::Error>(Loaded::found(Note::new(seen.to_string()), Timestamp::now()))
        };
        text(&cache.get_or_load(&key, load).await.unwrap())
            .parse()
            .unwrap()
    }

    async fn write(&self, process: usize) {
        let (cache, families) = &self.caches[process];
        let key = cache.key(&families.principals, (), "k");
        self.truth.fetch_add(1, SeqCst);
        let _ = cache.invalidate([key.name()]).await;
    }
}

async fn no_read_is_older_than_an_acknowledged_write(two_tier: bool) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let server = Server::start().await;
    let mut caches = Vec::new();
    for _ in 0..2 {
        let mut builder = CacheBuilder::new("1");
        let families = kit::families(&mut builder);
        let options = kit::options(&server.url());
        let cache = match two_tier {
            true => builder
                .two_tier(MemoryOptions::default(), options)
                .await
                .unwrap(),
            false => builder.redis(options).await,
        };
        caches.push((cache, families));
    }
    let world = Arc::new(World {
        truth: Arc::default(),
        caches,
    });
    let acknowledged = Arc::new(AtomicU64::new(0));
    let ends = Instant::now() + Duration::from_secs(2);
    let mut tasks = Vec::new();
    for task in 0..8u64 {
        let (world, acknowledged) = (world.clone(), acknowledged.clone());
        tasks.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed ^ task);
            let mut reads = 0;
            while Instant::now() < ends {
                let process = random.random_range(0..2);
                if task == 0 {
                    let pause = Duration::from_micros(random.random_range(0..3000));
                    tokio::time::sleep(pause).await; // a random interleaving
                    world.write(process).await;
                    acknowledged.fetch_max(world.truth.load(SeqCst), SeqCst);
                } else {
                    let known = acknowledged.load(SeqCst);
                    let seen = world.read(process).await;
                    assert!(
                        seen >= known,
                        "seed {seed}: read {seen} after {known} was acknowledged"
                    );
                    reads += 1;
                }
            }
            reads
        }));
    }
    let reads: i32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    let stats = &world.caches[0].0.families()[4].1;
    assert!(reads > 500 && stats.hits > 50, "{reads} reads, {stats:?}");
    assert!(
        stats.rejected_invalidated > 0,
        "no fill ever met an invalidation: {stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_of_a_shared_store_is_older_than_an_acknowledged_write() {
    no_read_is_older_than_an_acknowledged_write(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_of_a_shared_only_family_in_two_tiers_is_older_than_an_acknowledged_write() {
    no_read_is_older_than_an_acknowledged_write(true).await;
}

#[tokio::test]
async fn a_copy_in_front_of_the_store_goes_when_another_process_invalidates() {
    let server = Server::start().await;
    let mut caches = Vec::new();
    for _ in 0..2 {
        let mut builder = CacheBuilder::new("1");
        let families = kit::families(&mut builder);
        let options = kit::options(&server.url());
        caches.push((
            builder
                .two_tier(MemoryOptions::default(), options)
                .await
                .unwrap(),
            families,
        ));
    }
    let source = Source::default();
    let keys: Vec<_> = caches
        .iter()
        .map(|(cache, families)| cache.key(&families.notes, Instance("au"), &1))
        .collect();
    for _ in 0..2 {
        for ((cache, _), key) in caches.iter().zip(&keys) {
            cache
                .get_or_load(key, source.gives("old", Timestamp::now()))
                .await
                .unwrap();
        }
    }
    let load = || source.gives("new", Timestamp::now());
    let near = caches[1].0.get_or_load(&keys[1], load()).await.unwrap();
    assert_eq!((near.source(), text(&near)), (cache::Source::Memory, "old"));
    let _ = caches[0].0.invalidate([keys[0].name()]).await;
    until("the push arrives", || {
        caches[1].0.health().memory_entries == 0
    })
    .await;
    let answer = caches[1].0.get_or_load(&keys[1], load()).await.unwrap();
    assert_eq!(text(&answer), "new");
    let _: String = server.run(&["FLUSHALL"]).await;
    until("the flush arrives", || {
        caches[1].0.health().memory_entries == 0
    })
    .await;
}
