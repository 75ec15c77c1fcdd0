//! What is told about the cache: its families and how they fare, one key, and what is wrong.

use std::time::Duration;

use cache::{Cache, FamilyInfo, FamilyStats, Health, PhysicalKey, Presence, RouteEvidence};
use serde::Serialize;

/// How the cache is, with all its families.
#[derive(Debug, Serialize)]
pub struct FamiliesView {
    health: Health,
    families: Vec<FamilyView>,
}

/// A family and how it fares in this process.
#[derive(Debug, Serialize)]
pub struct FamilyView {
    /// Its keys' logical names.
    name: String,
    /// What loads a missing value.
    loader: String,
    /// Its TTL rule.
    ttl: String,
    /// Whose its values are.
    scope: &'static str,
    /// Which share of memory they live in.
    size_class: &'static str,
    /// Hits among the reads a store was asked for; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    hit_ratio: Option<f64>,
    #[serde(flatten)]
    stats: FamilyStats,
}

impl FamiliesView {
    /// Everything about `cache`.
    pub fn of(cache: &Cache) -> Self {
        let family = |(info, stats): (FamilyInfo, FamilyStats)| FamilyView {
            name: info.name,
            loader: info.loader,
            ttl: info.ttl,
            scope: info.scope,
            size_class: match info.size_class {
                cache::SizeClass::Small => "small",
                cache::SizeClass::Bulk => "bulk",
            },
            hit_ratio: stats.hit_ratio(),
            stats,
        };
        Self {
            health: cache.health(),
            families: cache.families().into_iter().map(family).collect(),
        }
    }
}

/// What is known about one key.
#[derive(Debug, Serialize)]
pub struct KeyView {
    /// The name that tools show.
    key: String,
    /// Whose it is: `e`, `i=instance`, `t=tenant`, `u=tenant/user`.
    owner: String,
    /// The name in the store.
    physical: String,
    family: String,
    loader: String,
    ttl: String,
    /// `held`, `missing`, or `unknown` when the store is away or off.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_secs: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_secs: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// Whether a load is under way in this process.
    loading: bool,
}

impl KeyView {
    /// What is known of `key`; `None` when no family has such keys.
    pub async fn of(cache: &Cache, key: &PhysicalKey) -> Option<Self> {
        let explained = cache.explain(key).await?;
        let (state, held) = match explained.presence {
            Presence::Held {
                age,
                expires_in,
                bytes,
            } => ("held", Some((age, expires_in, bytes))),
            Presence::Missing => ("missing", None),
            Presence::Unknown => ("unknown", None),
        };
        let secs = |duration: Duration| duration.as_secs_f64();
        Some(Self {
            key: explained.logical,
            owner: explained.owner,
            physical: explained.physical,
            family: explained.family.name,
            loader: explained.family.loader,
            ttl: explained.family.ttl,
            state,
            age_secs: held.map(|(age, ..)| secs(age)),
            expires_in_secs: held.map(|(_, expires_in, _)| secs(expires_in)),
            bytes: held.map(|(.., bytes)| bytes),
            loading: explained.loading,
        })
    }
}

/// The keys that a person may mean by `name`: a physical name, one with its owner (`i=psa:opp:notes:42`), or a
/// logical one, of everyone and of every instance.
pub fn locate(cache: &Cache, name: &str, instances: &[String]) -> Vec<PhysicalKey> {
    if let Some(key) = cache.locate_physical(name) {
        return vec![key];
    }
    if let Some((owner, logical)) = name.split_once(':')
        && (owner == "e" || owner.contains('='))
    {
        return cache.locate(owner, logical).into_iter().collect();
    }
    let owners = instances.iter().map(|instance| format!("i={instance}"));
    std::iter::once("e".to_owned())
        .chain(owners)
        .filter_map(|owner| cache.locate(&owner, name))
        .collect()
}

/// What is wrong with the caching, in sentences: families that hit too little, and of `routes` those that are
/// declared cached and read nothing through the cache.
pub fn findings(cache: &Cache, routes: &[RouteEvidence]) -> Vec<String> {
    let of_families = cache.doctor().into_iter();
    let of_routes = routes.iter().flat_map(cache::examine_route);
    of_families
        .chain(of_routes)
        .map(|finding| finding.to_string())
        .collect()
}
