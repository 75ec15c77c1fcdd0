//! The families that Millpond keeps hot besides the mirror's records: who asks, what there is for them, and what is
//! recalled.
//!
//! The first ones grant access. A process therefore reads them out of the cache only while it hears of every change of access
//! ([`crate::access::Access::hear`]), and never keeps copies in front of a shared store.

use std::{sync::Arc, time::Duration};

use cache::{
    Cache, CacheBuilder, Everyone, Family, FamilyError, FamilySpec, Key, Life, PerTenant,
    SizeClass, Tenant as Owner, Ttl,
};
use memory::{Embedder, Lexical};
use mirror::Mirror;
use serde::{Deserialize, Serialize};
use store::{
    access::News,
    keys::Principal,
    tenants::{Project, Tenant},
};

use crate::{
    config::Config,
    http::declared,
    memory::{Memory, MemoryFamilies},
};

/// How long a resolved credential is remembered.
pub const PRINCIPAL_TTL: Duration = Duration::from_secs(60);
/// How long a tenant, and a project, is remembered.
pub const TENANT_TTL: Duration = Duration::from_secs(300);

/// Whom a credential stands for, as it is kept hot.
#[derive(Debug, Serialize, Deserialize)]
pub struct HotPrincipal(pub Principal);
cache::cacheable!(HotPrincipal, shape = 1);

/// A tenant with its plan and quota window, as it is kept hot. What it has used is not in it.
#[derive(Debug, Serialize, Deserialize)]
pub struct HotTenant(pub Arc<Tenant>);
cache::cacheable!(HotTenant, shape = 1);

/// A project, as it is kept hot.
#[derive(Debug, Serialize, Deserialize)]
pub struct HotProject(pub Project);
cache::cacheable!(HotProject, shape = 1);

/// Handles of the families that Millpond itself registers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OwnFamilies {
    principals: Family<Everyone, str, HotPrincipal>,
    tenants: Family<PerTenant, str, HotTenant>,
    projects: Family<PerTenant, str, HotProject>,
    recall: MemoryFamilies,
    embedder: Arc<dyn Embedder>,
}

impl OwnFamilies {
    /// Registers them all.
    ///
    /// # Errors
    ///
    /// [`FamilyError`] when a connector's family could name the same key.
    pub fn register(builder: &mut CacheBuilder) -> Result<Self, FamilyError> {
        // Nobody pays ahead: one question to the database a minute is all that a key costs.
        let principals = FamilySpec::new(
            declared::PRINCIPAL,
            "store.principal",
            Ttl::fixed(PRINCIPAL_TTL),
            SizeClass::Small,
        );
        let window = Ttl::rule("5m, within its quota window", |tenant: &HotTenant, now| {
            let left = tenant.0.window_end.duration_since(now);
            Life::For(Duration::try_from(left).map_or(Duration::ZERO, |left| left.min(TENANT_TTL)))
        });
        let tenants = FamilySpec::new(declared::TENANT, "store.tenant", window, SizeClass::Small);
        let projects = FamilySpec::new(
            declared::PROJECT,
            "store.project",
            Ttl::fixed(TENANT_TTL),
            SizeClass::Small,
        );
        Ok(Self {
            principals: builder.family(principals.shared_only().refresh_at(1.0))?,
            tenants: builder.family(tenants.shared_only().refresh_at(1.0))?,
            projects: builder.family(projects.shared_only().refresh_at(1.0))?,
            recall: MemoryFamilies::register(builder)?,
            embedder: Arc::new(Lexical),
        })
    }

    /// With vectors made by `embedder` instead of the built-in one.
    pub fn with_embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = embedder;
        self
    }

    /// What can be recalled of `mirror`, in whose cache these families are.
    pub fn memory(&self, mirror: &Mirror, config: &Config) -> Memory {
        let (families, embedder) = (self.recall.clone(), Arc::clone(&self.embedder));
        Memory::new(mirror.clone(), families, embedder, config.memory.indexed())
    }

    /// The key of whom a credential of this hash stands for.
    pub fn principal(&self, cache: &Cache, hash: &str) -> Key<HotPrincipal> {
        cache.key(&self.principals, (), hash)
    }

    /// The key of a tenant.
    pub fn tenant(&self, cache: &Cache, id: &str) -> Key<HotTenant> {
        cache.key(&self.tenants, Owner(id), id)
    }

    /// The key of a tenant's project.
    pub fn project(&self, cache: &Cache, tenant: &str, id: &str) -> Key<HotProject> {
        cache.key(&self.projects, Owner(tenant), id)
    }

    /// Forgets what the news make wrong. No read that begins afterwards is given it in this process, whatever state
    /// the shared store is in.
    pub async fn forget(&self, cache: &Cache, news: &[News]) {
        let names: Vec<_> = news
            .iter()
            .map(|news| match news {
                News::Principal(hash) => self.principal(cache, hash).name().clone(),
                News::Tenant(id) => self.tenant(cache, id).name().clone(),
                News::Project(tenant, id) => self.project(cache, tenant, id).name().clone(),
            })
            .collect();
        // A store that is away is not read from before it has forgotten them.
        let _ = cache.invalidate(&names).await;
    }
}
