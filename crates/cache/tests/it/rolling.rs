//! A rolling deploy: two builds whose rows have different shapes, side by side on one store, while rows are written.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use cache::{
    Cache, CacheBuilder, Cacheable, Committed, Family, FamilySpec, Instance, Loaded, MemoryOptions,
    Outbox, Overtaken, PerInstance, Position, SizeClass, Ttl,
};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::kit;
use crate::server::Server;

const ROWS: u64 = 12;
const STEPS: usize = 1500;

/// The row as the build that runs has it.
#[derive(Debug, Serialize, Deserialize)]
struct Old {
    says: u64,
}
cache::cacheable!(Old, shape = 1);

/// The row as the build that comes has it: what the other wrote cannot be read as this, nor this as the other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    words: Vec<String>,
}
cache::cacheable!(New, shape = 2);

/// A row of either build.
trait Row: Cacheable {
    fn of(says: u64) -> Self;
    fn says(&self) -> u64;
}

impl Row for Old {
    fn of(says: u64) -> Self {
        Self { says }
    }
    fn says(&self) -> u64 {
        self.says
    }
}

impl Row for New {
    fn of(says: u64) -> Self {
        let words = vec![says.to_string()];
        Self { words }
    }
    fn says(&self) -> u64 {
        self.words[0].parse().unwrap()
    }
}

/// The primary database: what every row says, and the writes that committed.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<(Vec<u64>, Vec<Committed>)>>);

impl Database {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((vec![1; ROWS as usize], Vec::new()))))
    }

    fn says(&self, id: u64) -> u64 {
        self.0.lock().unwrap().0[id as usize]
    }

    fn write(&self, id: u64) {
        let mut inner = self.0.lock().unwrap();
        let (rows, committed) = &mut *inner;
        rows[id as usize] += 1;
        let tx = committed.len() as u64 + 1;
        committed.push(Committed {
            position: Position { tx, seq: 1 },
            settled: true,
            // Both builds name the key alike: a write by either ends the values of both.
            keys: vec![Overtaken {
                key: format!("i=au:note:{id}"),
                version: rows[id as usize],
            }],
        });
    }
}

#[async_trait]
impl Outbox for Database {
    async fn after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Vec<Committed>, Box<dyn std::error::Error + Send + Sync>> {
        let inner = self.0.lock().unwrap();
        let newer = inner.1.iter().filter(|entry| entry.position > position);
        Ok(newer.take(limit).cloned().collect())
    }

    async fn newest(&self) -> Result<Position, Box<dyn std::error::Error + Send + Sync>> {
        let inner = self.0.lock().unwrap();
        Ok(inner
            .1
            .last()
            .map_or_else(Position::default, |last| last.position))
    }
}

/// A process of one build.
struct Process<V: Row> {
    cache: Cache,
    notes: Family<PerInstance, u64, V>,
    database: Database,
    /// What every row said when this process last heard of writes.
    heard: Vec<u64>,
}

impl<V: Row> Process<V> {
    async fn start(url: &str, two_tier: bool, database: &Database) -> Self {
        let mut builder = CacheBuilder::new("1").outbox(Arc::new(database.clone()));
        let ttl = Ttl::fixed(Duration::from_secs(600));
        let spec = FamilySpec::new("note:{id}", "test.loader", ttl, SizeClass::Bulk);
        let notes = builder.family(spec.refresh_at(1.0)).unwrap();
        let options = kit::options(url);
        let cache = match two_tier {
            true => builder
                .two_tier(MemoryOptions::default(), options)
                .await
                .unwrap(),
            false => builder.redis(options).await,
        };
        let heard = vec![0; ROWS as usize];
        let database = database.clone();
        let mut process = Self {
            cache,
            notes,
            database,
            heard,
        };
        process.hear().await;
        process
    }

    async fn hear(&mut self) {
        let now = self.database.0.lock().unwrap().0.clone();
        self.cache.catch_up().await.unwrap();
        self.heard = now;
    }

    /// Reads a row, which may say nothing older than what this process heard of; says whether it was kept.
    async fn read(&self, id: u64) -> bool {
        let key = self.cache.key(&self.notes, Instance("au"), &id);
        let database = self.database.clone();
        let load = move || async move {
            let says = database.says(id);
            Ok::<_, std::io::Error>(Loaded::found(V::of(says), Timestamp::now()).of_version(says))
        };
        let answer = self.cache.get_or_load(&key, load).await.unwrap();
        let says = answer.value().unwrap().says();
        let (least, most) = (self.heard[id as usize], self.database.says(id));
        assert!(
            (least..=most).contains(&says),
            "row {id} says {says}, it said {least} when this process last heard and {most} now"
        );
        answer.is_hit()
    }

    fn undecodable(&self) -> u64 {
        self.cache.families()[0].1.undecodable
    }
}

async fn deploy(two_tier: bool, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let server = Server::start().await;
    let database = Database::new();
    let mut old = Process::<Old>::start(&server.url(), two_tier, &database).await;
    for _ in 0..2 {
        for id in 0..ROWS {
            old.read(id).await;
        }
    }
    let schema = |cache: &Cache| cache.health().schema;
    // The new build comes up beside the old one: nothing of the old is a hit, and all of its own is.
    let mut new = Process::<New>::start(&server.url(), two_tier, &database).await;
    assert_ne!(schema(&old.cache), schema(&new.cache));
    for id in 0..ROWS {
        assert!(!new.read(id).await, "row {id} was read across the builds");
    }
    for id in 0..ROWS {
        assert!(new.read(id).await && old.read(id).await, "row {id}");
    }
    let (mut hits, mut writes) = ([0; 2], 0);
    for _ in 0..STEPS {
        let id = random.random_range(0..ROWS);
        match random.random_range(0..10) {
            0 => {
                database.write(id);
                writes += 1;
            }
            1 => old.hear().await,
            2 => new.hear().await,
            3..=5 => hits[0] += u64::from(old.read(id).await),
            6..=8 => hits[1] += u64::from(new.read(id).await),
            _ => {
                let (one, other) = futures::future::join(old.read(id), new.read(id)).await;
                hits = [hits[0] + u64::from(one), hits[1] + u64::from(other)];
            }
        }
    }
    assert!(
        writes > 50 && hits.iter().all(|hits| *hits > 100),
        "{hits:?}"
    );
    assert_eq!((old.undecodable(), new.undecodable()), (0, 0));
    // The old build is gone; what it kept runs out by itself, and nothing that either kept is without an expiry.
    let mut schemas = BTreeSet::new();
    for key in server.keys().await {
        let left: i64 = server.run(&["PTTL", &key]).await;
        assert!(left > 0, "{key} has no expiry");
        schemas.extend(key.split(':').next().map(str::to_owned));
    }
    assert_eq!(schemas.len(), 2, "{schemas:?}");
}

#[tokio::test]
async fn c44_two_builds_with_different_row_shapes_share_a_store_and_no_value() {
    for two_tier in [false, true] {
        let seed = rand::random();
        println!("seed {seed}, two tiers: {two_tier}");
        deploy(two_tier, seed).await;
    }
}
