//! Building a cache: register every family, then choose where values are kept.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::cache::{Cache, Inner, Registered};
use crate::clock::{Clock, SystemClock};
use crate::family::{self, Family, FamilyError, FamilySpec, Rules};
use crate::flight::Flights;
use crate::key::{self, KeyParts};
use crate::memory::{Memory, MemoryOptions};
use crate::outbox::Outbox;
use crate::remote::{OnPush, OptionsError, RedisOptions, Remote};
use crate::scope::Scope;
use crate::stats::Counters;
use crate::tail::Tail;
use crate::value::Cacheable;

/// Registers families and opens the cache.
///
/// Physical keys begin with the build and a hash over every family's name, scope and shape, and over the
/// [space](CacheBuilder::space). A build that changes any of them reads nothing that another build wrote, and
/// writes nothing it could read.
pub struct CacheBuilder {
    build: String,
    space: String,
    families: Vec<Registered>,
    clock: Arc<dyn Clock>,
    outbox: Option<Arc<dyn Outbox>>,
}

impl CacheBuilder {
    /// Begins with no family. `build` is the version of what is stored, such as the release.
    pub fn new(build: &str) -> Self {
        let clock = Arc::new(SystemClock::default());
        Self {
            build: build.to_owned(),
            space: String::new(),
            families: Vec::new(),
            clock,
            outbox: None,
        }
    }

    /// Keeps the values of `space` apart from those of others in the same shared store: the identity of the
    /// primary database that loaders read.
    pub fn space(mut self, space: &str) -> Self {
        self.space = space.to_owned();
        self
    }

    /// Takes the time from `clock`.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Applies what `outbox` holds: at [`Cache::catch_up`], and whenever the shared store was away.
    pub fn outbox(mut self, outbox: Arc<dyn Outbox>) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// Registers a family.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] when its name does not fit its key, overlaps another family's, or a setting is
    /// out of range.
    pub fn family<S: Scope, K: KeyParts + ?Sized, V: Cacheable>(
        &mut self,
        spec: FamilySpec<S, K, V>,
    ) -> Result<Family<S, K, V>, FamilyError> {
        family::check(&spec.info)?;
        let segments: Arc<[_]> = family::segments(&spec.info)?.into();
        for other in &self.families {
            if family::overlap(&segments, &other.segments) {
                let (name, other) = (spec.info.name.clone(), other.info.name.clone());
                return Err(FamilyError::Overlap { name, other });
            }
        }
        let (info, counters) = (Arc::new(spec.info), Arc::new(Counters::default()));
        let rules = Arc::new(Rules {
            index: self.families.len(),
            info: info.clone(),
            ttl: spec.ttl,
            counters: counters.clone(),
        });
        self.families.push(Registered {
            info,
            segments: segments.clone(),
            counters,
        });
        Ok(Family {
            rules,
            segments,
            types: PhantomData,
        })
    }

    /// A cache that keeps nothing. Concurrent reads of one key still share loads.
    pub fn off(self) -> Cache {
        self.open(None, None, None)
    }

    /// A cache in this process alone. Other processes' invalidations reach it through the outbox only.
    pub fn memory(self, memory: MemoryOptions) -> Cache {
        let near = Arc::new(Memory::new(memory));
        self.open(Some(near), None, None)
    }

    /// A cache that processes share. Tries to connect, for half a second at most; when that fails the
    /// cache begins bypassed and the probe goes on.
    pub async fn redis(self, redis: RedisOptions) -> Cache {
        let cache = self.open(None, Some(redis), None);
        cache.start().await
    }

    /// A shared cache with this process's own copies in front of it, dropped when the store says that
    /// a key changed. For a moment after another process's invalidation, at most as long as the push is
    /// under way and never longer than [`NEAR_TRUST`](crate::NEAR_TRUST), a copy may still be served;
    /// families that revoke access are [`shared_only`](FamilySpec::shared_only).
    ///
    /// # Errors
    ///
    /// [`OptionsError::TwoTierCluster`] for a cluster.
    pub async fn two_tier(
        self,
        memory: MemoryOptions,
        redis: RedisOptions,
    ) -> Result<Cache, OptionsError> {
        if redis.cluster {
            return Err(OptionsError::TwoTierCluster);
        }
        let near = Arc::new(Memory::new(memory));
        let flights = Arc::new(Flights::default());
        let (forget_in, ground_in) = (near.clone(), flights.clone());
        let on_push: OnPush = Arc::new(move |key| match key {
            Some(key) => {
                let hash = key::hash(key);
                ground_in.expire_copy(hash, || forget_in.remove(key, hash));
            }
            None => ground_in.expire_all_copies(|| forget_in.clear()),
        });
        let cache = self.open_with(Some(near), Some(redis), Some(on_push), flights);
        Ok(cache.start().await)
    }

    fn open(
        self,
        near: Option<Arc<Memory>>,
        redis: Option<RedisOptions>,
        on_push: Option<OnPush>,
    ) -> Cache {
        self.open_with(near, redis, on_push, Arc::default())
    }

    fn open_with(
        self,
        near: Option<Arc<Memory>>,
        redis: Option<RedisOptions>,
        on_push: Option<OnPush>,
        flights: Arc<Flights>,
    ) -> Cache {
        let schema = self.schema();
        let tail = match &self.outbox {
            Some(outbox) if redis.is_none() && near.is_some() => Some(Tail::new(outbox.clone())),
            _ => None,
        };
        let remote =
            redis.map(|redis| Remote::new(redis, schema.clone(), self.outbox.clone(), on_push));
        let inner = Inner {
            schema,
            families: self.families,
            near,
            remote,
            tail,
            flights,
            clock: self.clock,
        };
        Cache {
            inner: Arc::new(inner),
        }
    }

    fn schema(&self) -> String {
        let mut shapes: Vec<String> = self
            .families
            .iter()
            .map(|f| format!("{}\n{}\n{}", f.info.name, f.info.scope, f.info.shape))
            .collect();
        shapes.sort();
        if !self.space.is_empty() {
            shapes.push(self.space.clone());
        }
        let hash = xxhash_rust::xxh3::xxh3_64(shapes.join("\n\n").as_bytes());
        let mut schema = String::from("mp");
        key::escape(&self.build, &mut schema);
        format!("{schema}-{:08x}", hash as u32)
    }
}

impl Cache {
    async fn start(self) -> Self {
        if let Some(remote) = &self.inner.remote {
            remote.start().await;
        }
        self
    }
}

impl std::fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("build", &self.build)
            .field("families", &self.families.len())
            .finish_non_exhaustive()
    }
}
