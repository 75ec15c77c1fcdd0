//! The hot cache: one read that loads what is missing, and nothing that sets.
//!
//! A [`CacheBuilder`] registers [families](FamilySpec) and opens a [`Cache`]: off, in this process, in a
//! Redis or Valkey that processes share, or in both tiers. Whatever the store, the same promises hold:
//!
//! - One load per key however many ask, also across processes.
//! - A fill that began before an invalidation is not kept, and nobody who asks after it is given its
//!   value.
//! - A life counts from when upstream was asked, and reading never prolongs it.
//! - A store that is away costs one request half a second, and the others nothing.
//!
//! ```
//! use std::time::Duration;
//! use cache::{CacheBuilder, FamilySpec, Instance, Loaded, MemoryOptions, PerInstance, SizeClass, Ttl};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Notes(Vec<String>);
//! cache::cacheable!(Notes, shape = 1);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = CacheBuilder::new("1.4");
//! let ttl = Ttl::fixed(Duration::from_secs(300));
//! let notes = builder.family(FamilySpec::<PerInstance, u64, Notes>::new(
//!     "opp:notes:{id}", "mirror.payload", ttl, SizeClass::Bulk,
//! ))?;
//! let cache = builder.memory(MemoryOptions::default());
//!
//! let key = cache.key(&notes, Instance("psa"), &42);
//! let load = || async { Ok::<_, std::io::Error>(Loaded::found(Notes(vec![]), jiff::Timestamp::now())) };
//! let answer = cache.get_or_load(&key, load).await?;
//! assert!(answer.value().is_some());
//! # Ok(())
//! # }
//! ```

mod answer;
mod builder;
mod cache;
mod clock;
mod distinct;
mod doctor;
mod entry;
mod explain;
mod family;
mod fill;
mod flight;
mod key;
mod life;
mod memory;
mod outbox;
mod remote;
mod route;
mod scope;
mod stats;
mod tail;
mod value;

#[doc(hidden)]
pub use bytes::Bytes;

pub use answer::{Answer, LoadError, Loaded, Read, Source};
pub use builder::CacheBuilder;
pub use cache::{Cache, Invalidated, NEAR_TRUST};
pub use clock::{Clock, ManualClock, SystemClock};
pub use doctor::{Finding, HIT_RATIO_MIN, READS_MIN, REQUESTS_MIN, examine_family, examine_route};
pub use explain::{Existence, Explanation, Health, Presence, SharedHealth};
pub use family::{
    Family, FamilyError, FamilyInfo, FamilySpec, LOAD_MAX, SizeClass, VALUE_BYTES_MAX,
};
pub use key::{KEY_BYTES_MAX, Key, KeyPart, KeyParts, PhysicalKey, split_physical};
pub use life::{LIFE_MAX, Life, SKEW_MAX, Ttl};
pub use memory::{ENTRY_OVERHEAD_BYTES, MEMORY_BYTES_MIN, MemoryOptions};
pub use outbox::{BadPosition, Committed, Outbox, Overtaken, Position};
pub use remote::{CACHE_WAIT_MAX, OptionsError, PENDING_MAX, PROBE_EVERY, RedisOptions};
pub use route::{RouteEvidence, Routes, watch};
pub use scope::{
    Everyone, Instance, Model, PerInstance, PerModel, PerTenant, PerUser, Scope, Tenant, User,
};
pub use stats::FamilyStats;
pub use value::{Body, Cacheable, CodecError};
#[doc(hidden)]
pub use value::{json_from_bytes, json_to_bytes};
