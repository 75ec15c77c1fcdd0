//! What tools ask: which families there are, how they fare, and what is known about one key.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::cache::{Cache, Registered};
use crate::doctor::{self, Finding};
use crate::entry;
use crate::family::{self, FamilyInfo};
use crate::key::{PhysicalKey, split_physical};
use crate::remote::Got;
use crate::stats::FamilyStats;

/// How the stores are.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// The prefix of this build's keys.
    pub schema: String,
    /// Entries held in this process.
    pub memory_entries: usize,
    /// What they weigh, in bytes.
    pub memory_bytes: u64,
    /// The shared store; absent when there is none.
    pub shared: Option<SharedHealth>,
}

/// How the shared store is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SharedHealth {
    /// Whether it is read from; false while it is bypassed.
    pub up: bool,
    /// How often it was lost.
    pub lost: u64,
    /// Probes sent while it was away.
    pub probes: u64,
    /// Invalidations waiting for it.
    pub pending: usize,
    /// Invalidations replayed to it.
    pub replayed: u64,
}

/// Where a value is, if it is anywhere, and how old.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub enum Presence {
    /// It is there.
    Held {
        /// Time since upstream said it.
        age: Duration,
        /// Time until it expires; zero when it is kept only to stand in for failures.
        expires_in: Duration,
        /// Its stored size in bytes.
        bytes: usize,
    },
    /// It is not there.
    Missing,
    /// The store is away or off, so nobody can tell. Not the same as missing.
    Unknown,
}

/// Whether a fresh value is kept under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Existence {
    /// It is.
    Present,
    /// It is not: a read would load it.
    Missing,
    /// The store is away or off, so nobody can tell. Not the same as missing.
    CannotAsk,
}

/// Keys asked for in one round trip.
const KEYS_PER_ROUND: usize = 10_000;

/// What is known about one key.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The name that tools show.
    pub logical: String,
    /// The name in the store.
    pub physical: String,
    /// Whose it is.
    pub owner: String,
    /// Its family.
    pub family: FamilyInfo,
    /// What the shared store holds, or, without one, this process.
    pub presence: Presence,
    /// Whether a load is under way in this process.
    pub loading: bool,
}

impl Cache {
    /// All families, in the order in which they were registered, with their counters.
    pub fn families(&self) -> Vec<(FamilyInfo, FamilyStats)> {
        let row = |family: &Registered| ((*family.info).clone(), family.counters.snapshot());
        self.inner.families.iter().map(row).collect()
    }

    /// How the stores are.
    pub fn health(&self) -> Health {
        let (memory_entries, memory_bytes) =
            self.inner.near.as_ref().map_or((0, 0), |near| near.usage());
        let shared = self.inner.remote.as_ref().map(|remote| SharedHealth {
            up: remote.is_up(),
            lost: remote.opened.load(Relaxed),
            probes: remote.probes.load(Relaxed),
            pending: remote.pending(),
            replayed: remote.replayed.load(Relaxed),
        });
        Health {
            schema: self.inner.schema.clone(),
            memory_entries,
            memory_bytes,
            shared,
        }
    }

    /// What is wrong with the families.
    pub fn doctor(&self) -> Vec<Finding> {
        let families = self.families();
        families
            .iter()
            .filter_map(|(info, stats)| doctor::examine_family(info, stats))
            .collect()
    }

    /// The key that a tool names: its owner as in [`PhysicalKey::owner`] (`e`, `i=au`, `t=acme`,
    /// `u=acme/bob`, `m=lexical-1`) and its logical name. `None` when no family has such keys.
    pub fn locate(&self, owner: &str, logical: &str) -> Option<PhysicalKey> {
        let index = self.inner.families.iter().position(|known| {
            family::matches(&known.segments, logical) && fits(known.info.scope, owner)
        })?;
        let schema = &self.inner.schema;
        let text = format!("{schema}:{owner}:{logical}");
        Some(PhysicalKey::new(
            text,
            schema.len(),
            schema.len() + owner.len() + 2,
            index,
        ))
    }

    /// The key of a physical name of this build; `None` for others.
    pub fn locate_physical(&self, physical: &str) -> Option<PhysicalKey> {
        let (schema, owner, logical) = split_physical(physical)?;
        if schema != self.inner.schema {
            return None;
        }
        self.locate(owner, logical)
    }

    /// Where the value of a key is. Asks the stores, and never a loader; a sweep uses it to see what is
    /// about to expire.
    pub async fn presence(&self, key: &PhysicalKey) -> Presence {
        let moment = self.inner.moment();
        let held = |window: crate::life::Window, bytes| {
            let since = |from: i64, to: i64| Duration::from_millis((to - from).max(0) as u64);
            let now = moment.now.as_millisecond();
            let expires_in = since(now, window.expires_at);
            Presence::Held {
                age: since(window.fetched_at, now),
                expires_in,
                bytes,
            }
        };
        match (&self.inner.remote, &self.inner.near) {
            (Some(remote), _) => {
                match remote.get(key.as_str(), &mut remote.patience(), None).await {
                    Err(_) => Presence::Unknown,
                    Ok(Got::Value(stored)) => match entry::peek(&stored) {
                        Some(window) if window.is_plausible(moment.now) => {
                            held(window, stored.len() - entry::HEADER_BYTES)
                        }
                        _ => Presence::Missing,
                    },
                    Ok(_) => Presence::Missing,
                }
            }
            (None, Some(near)) => near
                .window(key)
                .map_or(Presence::Missing, |(window, bytes)| held(window, bytes)),
            (None, None) => Presence::Unknown,
        }
    }

    /// Which of `keys` have a fresh value, in their order. Asks the shared store in one round trip per
    /// 10,000 keys, and for nothing but the entries' ages; never asks a loader. A sweep uses it to see
    /// what ran out, and must not take [`Existence::CannotAsk`] for missing.
    pub async fn missing(&self, keys: &[PhysicalKey]) -> Vec<Existence> {
        let inner = &self.inner;
        let moment = inner.moment();
        let now = moment.now.as_millisecond();
        let exists = |window: Option<crate::life::Window>| match window {
            Some(window) if window.expires_at > now && window.is_plausible(moment.now) => {
                Existence::Present
            }
            _ => Existence::Missing,
        };
        let Some(remote) = &inner.remote else {
            let Some(near) = &inner.near else {
                return vec![Existence::CannotAsk; keys.len()];
            };
            let windows = keys
                .iter()
                .map(|key| near.window(key).map(|(window, _)| window));
            return windows.map(exists).collect();
        };
        let mut answers = Vec::with_capacity(keys.len());
        for round in keys.chunks(KEYS_PER_ROUND) {
            let names: Vec<&str> = round.iter().map(PhysicalKey::as_str).collect();
            match remote.headers(&names).await {
                Ok(headers) => {
                    answers.extend(headers.iter().map(|header| exists(entry::peek(header))));
                }
                Err(_) => answers.resize(answers.len() + round.len(), Existence::CannotAsk),
            }
        }
        answers
    }

    /// What is known about one key.
    pub async fn explain(&self, key: &PhysicalKey) -> Option<Explanation> {
        let family = self.inner.families.get(key.family as usize)?;
        Some(Explanation {
            logical: key.logical().to_owned(),
            physical: key.as_str().to_owned(),
            owner: key.owner().to_owned(),
            family: (*family.info).clone(),
            presence: self.presence(key).await,
            loading: self.inner.flights.find(key).is_some(),
        })
    }
}

/// Whether `owner` is written as owners of `scope` are.
fn fits(scope: &str, owner: &str) -> bool {
    let escaped = |text: &str| !text.is_empty() && crate::key::unescape(text).is_some();
    match (scope, owner.split_once('=')) {
        ("everyone", None) => owner == "e",
        ("instance", Some(("i", name)))
        | ("tenant", Some(("t", name)))
        | ("model", Some(("m", name))) => escaped(name),
        ("user", Some(("u", name))) => name
            .split_once('/')
            .is_some_and(|(tenant, user)| escaped(tenant) && escaped(user)),
        _ => false,
    }
}
