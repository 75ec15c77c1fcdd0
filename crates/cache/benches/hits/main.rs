//! What a hit costs beside the raw libraries, in one run: 2 KB values, Zipf 0.99 over 100,000 keys, two
//! threads. Ends with `result NAME VALUE UNIT` lines. Needs a redis-server.
//!
//! Rounds alternate between the contestants and the median round counts, so that a machine that slows
//! down slows all of them down.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot go on should stop there"
)]

#[path = "../../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod server;
mod stampede;

use std::future::Future;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache::{
    Body, Cache, CacheBuilder, Family, FamilySpec, Instance, Key, Loaded, MemoryOptions,
    PerInstance, RedisOptions, SizeClass, Ttl,
};
use cached::ShardedLruTtlCache;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const KEYS: usize = 100_000;
const VALUE_BYTES: usize = 2048;
const THREADS: usize = 2;
const ROUNDS: usize = 7;
const READS: usize = 1_000_000;
const REDIS_READS: usize = 12_000;
const ROOM: usize = 1 << 30;

type Notes = Family<PerInstance, u64, Body>;
type Moka = moka::future::Cache<String, Bytes>;
type Quick = quick_cache::sync::Cache<String, Bytes>;

fn main() {
    let seed = 7;
    println!("{KEYS} keys, {VALUE_BYTES} B values, Zipf 0.99, {THREADS} threads, seed {seed}");
    let draws: Vec<Arc<[u32]>> = (0..THREADS as u64)
        .map(|thread| zipf(seed + thread, READS).into())
        .collect();
    let names: Arc<[String]> = (0..KEYS)
        .map(|id| format!("mp1-0123abcd:i=au:note:{id}"))
        .collect();

    in_process(&draws, &names);
    over_redis(&draws, &names);
    let loads = stampede::run();
    println!("result stampede_loads {loads} loads");
}

fn value(id: usize) -> Bytes {
    Bytes::from(vec![id as u8; VALUE_BYTES])
}

/// Ids drawn by Zipf's law with exponent 0.99.
fn zipf(seed: u64, count: usize) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulative: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += (rank as f64).powf(-0.99);
            sum
        })
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    let mut draw = || cumulative.partition_point(|&at| at < random.random_range(0.0..sum)) as u32;
    (0..count).map(|_| draw().min(KEYS as u32 - 1)).collect()
}

fn builder() -> (CacheBuilder, Notes) {
    let mut builder = CacheBuilder::new("1");
    let ttl = Ttl::fixed(Duration::from_secs(3600));
    let spec = FamilySpec::new("note:{id}", "bench", ttl, SizeClass::Bulk);
    let notes = builder.family(spec).unwrap();
    (builder, notes)
}

async fn load(id: usize) -> Result<Loaded<Body>, std::io::Error> {
    Ok(Loaded::found(Body::new(value(id)), Timestamp::now()))
}

fn keys(cache: &Cache, notes: &Notes) -> Arc<[Key<Body>]> {
    (0..KEYS as u64)
        .map(|id| cache.key(notes, Instance("au"), &id))
        .collect()
}

type ReadAll = Box<dyn Fn(&[u32]) + Send + Sync>;

/// One contestant: reads the drawn ids on one thread.
struct Lane {
    name: &'static str,
    read: ReadAll,
    rounds: Vec<f64>,
}

impl Lane {
    fn new(name: &'static str, read: impl Fn(&[u32]) + Send + Sync + 'static) -> Self {
        Self {
            name,
            read: Box::new(read),
            rounds: Vec::new(),
        }
    }

    fn median(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Lets all lanes run in turns, every lane on all threads at once; nanoseconds per read.
fn race(lanes: &mut [Lane], draws: &[Arc<[u32]>], reads: usize) {
    for _ in 0..ROUNDS {
        for lane in lanes.iter_mut() {
            let start = Barrier::new(draws.len());
            let (read, start) = (&lane.read, &start);
            let took: Duration = std::thread::scope(|scope| {
                let threads: Vec<_> = draws
                    .iter()
                    .map(|draws| {
                        scope.spawn(move || {
                            start.wait();
                            let begun = Instant::now();
                            read(&draws[..reads]);
                            begun.elapsed()
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .max()
                    .unwrap()
            });
            lane.rounds.push(took.as_nanos() as f64 / reads as f64);
        }
    }
}

fn report(lanes: &[Lane], threads: usize) {
    for lane in lanes {
        let ns = lane.median();
        let rate = threads as f64 * 1e3 / ns;
        println!(
            "{:<44} {ns:>9.1} ns per hit {rate:>8.3} million hits/s",
            lane.name
        );
    }
}

fn in_process(draws: &[Arc<[u32]>], names: &Arc<[String]>) {
    let (builder, notes) = builder();
    let ours = builder.memory(MemoryOptions { bytes_max: ROOM });
    let our_keys = keys(&ours, &notes);
    let keys_only = resident();
    block_on(async {
        for (id, key) in our_keys.iter().enumerate() {
            ours.get_or_load(key, move || load(id)).await.unwrap();
        }
    });
    let per_entry = (resident() - keys_only) / KEYS - VALUE_BYTES;
    println!("{} held, {:?}", ours.health().memory_entries, ours.health());

    let moka: Moka = moka::future::Cache::builder()
        .max_capacity(ROOM as u64)
        .weigher(|key: &String, value: &Bytes| (key.len() + value.len()) as u32)
        .time_to_live(Duration::from_secs(3600))
        .build();
    let quick = Arc::new(Quick::new(KEYS * 2));
    let lru = ShardedLruTtlCache::<String, Bytes>::new(KEYS * 2, Duration::from_secs(3600));
    block_on(async {
        for (id, name) in names.iter().enumerate() {
            moka.insert(name.clone(), value(id)).await;
            quick.insert(name.clone(), value(id));
            lru.set(name.clone(), value(id));
        }
        moka.run_pending_tasks().await;
    });

    let (cache, ks) = (ours.clone(), our_keys.clone());
    let mut lanes = vec![Lane::new("millpond get_or_load", move |draws| {
        block_on(async {
            for &id in draws {
                let id = id as usize;
                let answer = cache.get_or_load(&ks[id], move || load(id)).await.unwrap();
                black_box(answer.value().unwrap().len());
            }
        })
    })];
    let (cache, family) = (ours.clone(), notes.clone());
    lanes.push(Lane::new(
        "millpond get_or_load, key built per read",
        move |draws| {
            block_on(async {
                for &id in draws {
                    let key = cache.key(&family, Instance("au"), &u64::from(id));
                    let id = id as usize;
                    let answer = cache.get_or_load(&key, move || load(id)).await.unwrap();
                    black_box(answer.value().unwrap().len());
                }
            })
        },
    ));
    let (cache, ns) = (quick.clone(), names.clone());
    lanes.push(Lane::new("quick_cache get", move |draws| {
        for &id in draws {
            black_box(cache.get(&ns[id as usize]).unwrap().len());
        }
    }));
    let (cache, ns) = (quick.clone(), names.clone());
    lanes.push(Lane::new("quick_cache get_or_insert_async", move |draws| {
        block_on(async {
            for &id in draws {
                let id = id as usize;
                let fill = async { Ok::<_, std::io::Error>(value(id)) };
                let answer = cache.get_or_insert_async(&ns[id], fill).await.unwrap();
                black_box(answer.len());
            }
        })
    }));
    let (cache, ns) = (moka.clone(), names.clone());
    lanes.push(Lane::new("moka get", move |draws| {
        block_on(async {
            for &id in draws {
                black_box(cache.get(&ns[id as usize]).await.unwrap().len());
            }
        })
    }));
    let (cache, ns) = (moka, names.clone());
    lanes.push(Lane::new("moka try_get_with_by_ref", move |draws| {
        block_on(async {
            for &id in draws {
                let id = id as usize;
                let fill = async { Ok::<_, std::io::Error>(value(id)) };
                let answer = cache.try_get_with_by_ref(&ns[id], fill).await.unwrap();
                black_box(answer.len());
            }
        })
    }));
    let (cache, ns) = (lru, names.clone());
    lanes.push(Lane::new("cached ShardedLruTtlCache get", move |draws| {
        for &id in draws {
            black_box(cache.get(&ns[id as usize]).unwrap().len());
        }
    }));
    race(&mut lanes, draws, READS);
    report(&lanes, draws.len());
    percentiles(&ours, &our_keys, &draws[0]);
    let ns: Vec<f64> = lanes.iter().map(Lane::median).collect();
    println!("result hit_cost {:.1} ns", ns[0]);
    println!(
        "result hit_cost_ratio_quick_cache {:.2} times",
        ns[0] / ns[3]
    );
    println!("result hit_cost_ratio_moka {:.2} times", ns[0] / ns[5]);
    println!("result hit_cost_ratio_cached {:.2} times", ns[0] / ns[6]);
    println!("result memory_per_entry_besides_value {per_entry} bytes");
}

/// Single reads, each with the clock around it; the clock's own cost is stated, not taken off.
fn percentiles(cache: &Cache, keys: &[Key<Body>], draws: &[u32]) {
    let mut took = Vec::with_capacity(draws.len());
    let mut empty = Vec::with_capacity(draws.len());
    block_on(async {
        for &id in draws {
            let id = id as usize;
            let begun = Instant::now();
            black_box(
                cache
                    .get_or_load(&keys[id], move || load(id))
                    .await
                    .unwrap(),
            );
            took.push(begun.elapsed().as_nanos());
            let begun = Instant::now();
            empty.push(begun.elapsed().as_nanos());
        }
    });
    took.sort_unstable();
    empty.sort_unstable();
    let at = |sorted: &[u128], share: f64| sorted[(sorted.len() as f64 * share) as usize];
    println!(
        "single hits on one thread: p50 {} ns, p99 {} ns (the clock alone: {} ns)",
        at(&took, 0.5),
        at(&took, 0.99),
        at(&empty, 0.5),
    );
}

fn over_redis(draws: &[Arc<[u32]>], names: &Arc<[String]>) {
    let setup = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = setup.block_on(server::Server::start());
    let url = server.url();
    let (opening, notes) = builder();
    let cache = setup.block_on(opening.redis(RedisOptions::single(&url).unwrap()));
    let our_keys = keys(&cache, &notes);
    // Only what will be read is written.
    let mut ids: Vec<u32> = draws
        .iter()
        .flat_map(|draws| draws[..REDIS_READS].to_vec())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    setup.block_on(async {
        let client = redis::Client::open(url.as_str()).unwrap();
        let mut bare = client.get_multiplexed_async_connection().await.unwrap();
        for &id in &ids {
            let id = id as usize;
            cache
                .get_or_load(&our_keys[id], move || load(id))
                .await
                .unwrap();
            let mut set = redis::cmd("SET");
            set.arg(&names[id]).arg(&value(id)[..]);
            set.query_async::<()>(&mut bare).await.unwrap();
        }
    });
    // Every thread has a runtime and a connection of its own, for both contestants alike.
    let (here, there) = (url.clone(), url);
    let ks = our_keys;
    let mut lanes = vec![
        Lane::new("millpond get_or_load over Redis", move |draws| {
            block_on(async {
                let cache = builder()
                    .0
                    .redis(RedisOptions::single(&here).unwrap())
                    .await;
                for &id in draws {
                    let id = id as usize;
                    let answer = cache.get_or_load(&ks[id], move || load(id)).await.unwrap();
                    assert!(answer.is_hit());
                    black_box(answer.value().unwrap().len());
                }
            })
        }),
        {
            let ns = names.clone();
            Lane::new("redis GET, bare", move |draws| {
                block_on(async {
                    let client = redis::Client::open(there.as_str()).unwrap();
                    let mut bare = client.get_multiplexed_async_connection().await.unwrap();
                    for &id in draws {
                        let mut get = redis::cmd("GET");
                        get.arg(&ns[id as usize]);
                        let answer: Vec<u8> = get.query_async(&mut bare).await.unwrap();
                        black_box(answer.len());
                    }
                })
            })
        },
    ];
    race(&mut lanes, draws, REDIS_READS);
    report(&lanes, draws.len());
    println!(
        "result redis_hit_ratio_bare_get {:.3} times",
        lanes[0].median() / lanes[1].median()
    );
}

/// This process's resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
