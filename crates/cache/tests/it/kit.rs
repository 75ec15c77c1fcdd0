//! What the tests share: families, counted loaders, and a cache on every kind of store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use cache::{
    Cache, CacheBuilder, Everyone, Family, FamilySpec, Loaded, ManualClock, MemoryOptions,
    PerInstance, PerTenant, PerUser, RedisOptions, SizeClass, Ttl,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::server::{POLL, Server};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
}
cache::cacheable!(Note, shape = 1);

impl Note {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

pub struct Families {
    pub notes: Family<PerInstance, u64, Note>,
    pub patient: Family<PerInstance, u64, Note>,
    pub tagged: Family<PerTenant, (String, u64), Note>,
    pub answers: Family<PerUser, str, Note>,
    pub principals: Family<Everyone, str, Note>,
}

/// A life of 60 s, no jitter and no refresh ahead, so that tests can count.
pub fn spec<S: cache::Scope, K: cache::KeyParts + ?Sized>(name: &str) -> FamilySpec<S, K, Note> {
    let ttl = Ttl::fixed(Duration::from_secs(60));
    FamilySpec::new(name, "test.loader", ttl, SizeClass::Bulk)
        .jitter(0.0)
        .refresh_at(1.0)
}

pub fn families(builder: &mut CacheBuilder) -> Families {
    Families {
        notes: builder.family(spec("note:{id}")).unwrap(),
        patient: builder
            .family(
                spec("patient:{id}")
                    .stale_for(Duration::from_secs(600))
                    .absent_for(Duration::from_secs(5))
                    .refresh_at(0.5),
            )
            .unwrap(),
        tagged: builder.family(spec("tagged:{tag}:{id}")).unwrap(),
        answers: builder.family(spec("answer:{hash}")).unwrap(),
        principals: builder
            .family(spec("principal:{hash}").shared_only())
            .unwrap(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Memory,
    Redis,
    TwoTier,
}

pub struct Kit {
    pub cache: Cache,
    pub families: Families,
    pub clock: Arc<ManualClock>,
    pub server: Option<Server>,
}

pub fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

impl Kit {
    pub async fn new(kind: Kind) -> Self {
        let clock = Arc::new(ManualClock::new(noon()));
        let mut builder = CacheBuilder::new("1").clock(clock.clone());
        let families = families(&mut builder);
        let memory = MemoryOptions::default();
        let server = if kind == Kind::Memory {
            None
        } else {
            Some(Server::start().await)
        };
        let cache = match (&server, kind) {
            (Some(server), Kind::Redis) => builder.redis(options(&server.url())).await,
            (Some(server), _) => builder
                .two_tier(memory, options(&server.url()))
                .await
                .unwrap(),
            (None, _) => builder.memory(memory),
        };
        Self {
            cache,
            families,
            clock,
            server,
        }
    }
}

pub fn options(url: &str) -> RedisOptions {
    RedisOptions::single(url)
        .unwrap()
        .probe_every(Duration::from_millis(100))
}

/// A cache with a clock of its own on a store that others use too: another process.
pub async fn process(url: &str) -> (Cache, Families) {
    let mut builder = CacheBuilder::new("1");
    let families = families(&mut builder);
    (builder.redis(options(url)).await, families)
}

/// Counts how often it is loaded from.
#[derive(Clone, Default)]
pub struct Source {
    pub loads: Arc<AtomicU64>,
}

pub type Load = futures::future::BoxFuture<'static, Result<Loaded<Note>, std::io::Error>>;

impl Source {
    pub fn loads(&self) -> u64 {
        self.loads.load(SeqCst)
    }

    /// Loads `text` as of `at`.
    pub fn gives(&self, text: &str, at: Timestamp) -> impl FnOnce() -> Load + Send + 'static {
        let (loads, note) = (self.loads.clone(), Note::new(text));
        move || {
            loads.fetch_add(1, SeqCst);
            Box::pin(async move { Ok(Loaded::found(note, at)) })
        }
    }

    /// Loads `text` after `wait`.
    pub fn slowly(&self, text: &str, wait: Duration) -> impl FnOnce() -> Load + Send + 'static {
        let (loads, note) = (self.loads.clone(), Note::new(text));
        move || {
            loads.fetch_add(1, SeqCst);
            Box::pin(async move {
                tokio::time::sleep(wait).await; // the slow source
                Ok(Loaded::found(note, Timestamp::now()))
            })
        }
    }

    pub fn finds_nothing(&self, at: Timestamp) -> impl FnOnce() -> Load + Send + 'static {
        let loads = self.loads.clone();
        move || {
            loads.fetch_add(1, SeqCst);
            Box::pin(async move { Ok(Loaded::absent(at)) })
        }
    }

    pub fn fails(&self) -> impl FnOnce() -> Load + Send + 'static {
        let loads = self.loads.clone();
        move || {
            loads.fetch_add(1, SeqCst);
            Box::pin(async move { Err(std::io::Error::other("no database")) })
        }
    }
}

/// Waits until `condition` holds, for ten seconds at most.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "{what} did not happen within 10 s"
        );
        tokio::time::sleep(POLL).await;
    }
}

pub fn text(answer: &cache::Answer<Note>) -> &str {
    &answer.value().expect("a value").text
}
