//! What a hit costs beside the raw libraries, in one run: 2 KB values, Zipf 0.99 over 100,000 keys, two
//! threads. Ends with `result NAME VALUE UNIT` lines. Needs a redis-server.
//!
//! Rounds alternate between the contestants and the median round counts, so that a machine that slows
//! down slows all of them down.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot go on should stop there"
)]

#[path = "../../tests/it/netbox.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod netbox;
mod outage;
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
const ROUNDS: usize = 11;
const READS: usize = 1_000_000;
/// Reads that are timed one by one.
const SINGLES: usize = 400_000;
const REDIS_ROUNDS: usize = 41;
const REDIS_READS: usize = 4_000;
const ROOM: usize = 1 << 30;

type Notes = Family<PerInstance, u64, Body>;
type Moka = moka::future::Cache<String, Bytes>;
type Quick = quick_cache::sync::Cache<String, Bytes>;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == stampede::CHILD) {
        return stampede::child(&words[1..]);
    }
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
    let wait = outage::run();
    println!("result stampede_loads {loads} loads");
    println!("result outage_first_wait {wait:.1} ms");
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

/// Takes the time of a round, and of single reads where that is wanted.
struct Stopwatch {
    begun: Instant,
    singles: Option<(Instant, Vec<f64>)>,
}

impl Stopwatch {
    fn start() -> Self {
        let (begun, singles) = (Instant::now(), None);
        Self { begun, singles }
    }

    fn with_singles() -> Self {
        let singles = Some((Instant::now(), Vec::with_capacity(SINGLES)));
        let begun = Instant::now();
        Self { begun, singles }
    }

    /// What went before, such as connecting, does not count.
    fn restart(&mut self) {
        self.begun = Instant::now();
    }

    /// A read is over.
    #[inline]
    fn lap(&mut self) {
        if let Some((begun, took)) = &mut self.singles {
            took.push(begun.elapsed().as_nanos() as f64);
            *begun = Instant::now();
        }
    }
}

type ReadAll = Box<dyn Fn(&[u32], &mut Stopwatch) + Send + Sync>;

/// One contestant: reads the drawn ids on one thread.
struct Lane {
    name: &'static str,
    read: ReadAll,
    rounds: Vec<f64>,
}

impl Lane {
    fn new(
        name: &'static str,
        read: impl Fn(&[u32], &mut Stopwatch) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            read: Box::new(read),
            rounds: Vec::new(),
        }
    }

    fn median(&self) -> f64 {
        median(self.rounds.clone())
    }

    /// The median of what the rounds say about both: a machine that slows down in one slows both.
    fn against(&self, other: &Self) -> f64 {
        let rounds = self.rounds.iter().zip(&other.rounds);
        median(rounds.map(|(ours, theirs)| ours / theirs).collect())
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Lets all lanes run in turns, every lane on all threads at once, each time another one first; nanoseconds per read.
fn race(lanes: &mut [Lane], draws: &[Arc<[u32]>], reads: usize, rounds: usize) {
    let count = lanes.len();
    for round in 0..rounds {
        for turn in 0..count {
            let lane = &mut lanes[(round + turn) % count];
            let start = Barrier::new(draws.len());
            let (read, start) = (&lane.read, &start);
            let took: Duration = std::thread::scope(|scope| {
                let threads: Vec<_> = draws
                    .iter()
                    .map(|draws| {
                        scope.spawn(move || {
                            start.wait();
                            let mut watch = Stopwatch::start();
                            read(&draws[..reads], &mut watch);
                            watch.begun.elapsed()
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
    let mut lanes = vec![Lane::new("millpond get_or_load", move |draws, watch| {
        block_on(async {
            for &id in draws {
                let id = id as usize;
                let answer = cache.get_or_load(&ks[id], move || load(id)).await.unwrap();
                black_box(answer.value().unwrap().len());
                watch.lap();
            }
        })
    })];
    let (cache, family) = (ours.clone(), notes.clone());
    lanes.push(Lane::new(
        "millpond get_or_load, key built per read",
        move |draws, watch| {
            block_on(async {
                for &id in draws {
                    let key = cache.key(&family, Instance("au"), &u64::from(id));
                    let id = id as usize;
                    let answer = cache.get_or_load(&key, move || load(id)).await.unwrap();
                    black_box(answer.value().unwrap().len());
                    watch.lap();
                }
            })
        },
    ));
    let (cache, ns) = (quick.clone(), names.clone());
    lanes.push(Lane::new("quick_cache get", move |draws, watch| {
        for &id in draws {
            black_box(cache.get(&ns[id as usize]).unwrap().len());
            watch.lap();
        }
    }));
    let (cache, ns) = (quick.clone(), names.clone());
    lanes.push(Lane::new(
        "quick_cache get_or_insert_async",
        move |draws, watch| {
            block_on(async {
                for &id in draws {
                    let id = id as usize;
                    let fill = async { Ok::<_, std::io::Error>(value(id)) };
                    let answer = cache.get_or_insert_async(&ns[id], fill).await.unwrap();
                    black_box(answer.len());
                    watch.lap();
                }
            })
        },
    ));
    let (cache, ns) = (moka.clone(), names.clone());
    lanes.push(Lane::new("moka get", move |draws, watch| {
        block_on(async {
            for &id in draws {
                black_box(cache.get(&ns[id as usize]).await.unwrap().len());
                watch.lap();
            }
        })
    }));
    let (cache, ns) = (moka, names.clone());
    lanes.push(Lane::new(
        "moka try_get_with_by_ref",
        move |draws, watch| {
            block_on(async {
                for &id in draws {
                    let id = id as usize;
                    let fill = async { Ok::<_, std::io::Error>(value(id)) };
                    let answer = cache.try_get_with_by_ref(&ns[id], fill).await.unwrap();
                    black_box(answer.len());
                    watch.lap();
                }
            })
        },
    ));
    let (cache, ns) = (lru, names.clone());
    lanes.push(Lane::new(
        "cached ShardedLruTtlCache get",
        move |draws, watch| {
            for &id in draws {
                black_box(cache.get(&ns[id as usize]).unwrap().len());
                watch.lap();
            }
        },
    ));
    race(&mut lanes, draws, READS, ROUNDS);
    report(&lanes, draws.len());
    percentiles(&lanes, &draws[0]);
    let ratio = |of: usize| lanes[0].against(&lanes[of]);
    println!("result hit_cost {:.1} ns", lanes[0].median());
    println!("result hit_cost_ratio_quick_cache {:.3} ratio", ratio(3));
    println!(
        "result hit_cost_ratio_quick_cache_get {:.3} ratio",
        ratio(2)
    );
    println!("result hit_cost_ratio_moka {:.3} ratio", ratio(5));
    println!("result hit_cost_ratio_moka_get {:.3} ratio", ratio(4));
    println!("result hit_cost_ratio_cached {:.3} ratio", ratio(6));
    println!("result memory_per_entry_besides_value {per_entry} bytes");
}

/// Single reads on one thread, each with the clock around it; the clock's own cost is stated, not taken off.
fn percentiles(lanes: &[Lane], draws: &[u32]) {
    let mut watch = Stopwatch::with_singles();
    (0..SINGLES).for_each(|_| watch.lap());
    tell_singles("the clock alone", watch);
    for lane in lanes {
        let mut watch = Stopwatch::with_singles();
        (lane.read)(&draws[..SINGLES], &mut watch);
        tell_singles(lane.name, watch);
    }
}

fn tell_singles(name: &str, watch: Stopwatch) {
    let mut took = watch.singles.unwrap().1;
    // The first lap began before its read.
    took.remove(0);
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(took.len() as f64 * share) as usize];
    println!(
        "{name:<44} p50 {:>6.0} ns  p99 {:>6.0} ns, single hits on one thread",
        at(0.5),
        at(0.99)
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
        Lane::new("millpond get_or_load over Redis", move |draws, watch| {
            block_on(async {
                let cache = builder()
                    .0
                    .redis(RedisOptions::single(&here).unwrap())
                    .await;
                watch.restart();
                for &id in draws {
                    let id = id as usize;
                    let answer = cache.get_or_load(&ks[id], move || load(id)).await.unwrap();
                    assert!(answer.is_hit());
                    black_box(answer.value().unwrap().len());
                    watch.lap();
                }
            })
        }),
        {
            let ns = names.clone();
            Lane::new("redis GET, bare", move |draws, watch| {
                block_on(async {
                    let client = redis::Client::open(there.as_str()).unwrap();
                    let mut bare = client.get_multiplexed_async_connection().await.unwrap();
                    watch.restart();
                    for &id in draws {
                        let mut get = redis::cmd("GET");
                        get.arg(&ns[id as usize]);
                        let answer: Vec<u8> = get.query_async(&mut bare).await.unwrap();
                        black_box(answer.len());
                        watch.lap();
                    }
                })
            })
        },
    ];
    race(&mut lanes, draws, REDIS_READS, REDIS_ROUNDS);
    report(&lanes, draws.len());
    let ratio = lanes[0].against(&lanes[1]);
    println!("result redis_hit_ratio_bare_get {ratio:.3} ratio");
}

/// This process's resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
