//! Who asks: from a credential to the principal it stands for, and what that principal sees.

mod hearing;
pub mod quota;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use cache::{Cache, LoadError, Loaded};
use futures::future::BoxFuture;
use store::{
    Store, StoreError,
    access::Told,
    keys::{CREDENTIAL_BYTES_MAX, KeyHasher, Principal},
    tenants::{Project, Tenant},
};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use upstream::Secret;

use self::{
    hearing::Hearing,
    quota::{Over, Quotas},
};
use crate::hot::{HotPrincipal, HotProject, HotTenant, OwnFamilies};

/// How often requests that need not be counted at once are written down.
const WRITE_DOWN_EVERY: Duration = Duration::from_secs(1);

/// The keys that configuration names: whoever shows one is an operator. And what upstreams show with their webhooks.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    keys: Vec<Secret>,
    hooks: BTreeMap<String, Secret>,
}

impl ApiKeys {
    /// These keys.
    pub fn new(keys: Vec<Secret>) -> Self {
        Self {
            keys,
            hooks: BTreeMap::new(),
        }
    }

    /// With the secret of each instance that upstream tells of things.
    pub fn with_hooks(mut self, hooks: BTreeMap<String, Secret>) -> Self {
        self.hooks = hooks;
        self
    }

    /// Whether `shown` is the secret of an instance's webhooks; `None` when it has none.
    fn admits_hook(&self, instance: &str, shown: &[u8]) -> Option<bool> {
        let secret = self.hooks.get(instance)?;
        Some(secret.expose().as_bytes().ct_eq(shown).into())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` is one of them. Takes as long for a wrong key as for a right one.
    fn admits(&self, key: &[u8]) -> bool {
        let mut admitted = subtle::Choice::from(0);
        for known in &self.keys {
            admitted |= known.expose().as_bytes().ct_eq(key);
        }
        admitted.into()
    }
}

/// Somebody who asks, and what there is for them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    known: Arc<Known>,
}

#[derive(Debug)]
struct Known {
    principal: Principal,
    tenant: Option<Arc<Tenant>>,
    /// The instances it sees, sorted; `None`: all.
    scope: Option<Arc<[String]>>,
}

impl Caller {
    /// Whoever runs this Millpond: sees all.
    pub fn operator() -> Self {
        Self::new(Principal::operator(), None, None)
    }

    fn new(
        principal: Principal,
        tenant: Option<Arc<Tenant>>,
        scope: Option<Arc<[String]>>,
    ) -> Self {
        let known = Known {
            principal,
            tenant,
            scope,
        };
        Self {
            known: Arc::new(known),
        }
    }

    /// Whom the credential stands for.
    pub fn principal(&self) -> &Principal {
        &self.known.principal
    }

    /// Whether it may do what admins may.
    pub fn is_admin(&self) -> bool {
        self.principal().role >= store::keys::Role::Admin
    }

    /// Its tenant, with limits and quota window; `None`: an operator.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.known.tenant.as_deref()
    }

    /// The instances it sees, sorted; `None`: all.
    pub fn scope(&self) -> Option<&[String]> {
        self.known.scope.as_deref()
    }

    /// Whether it sees an instance.
    pub fn sees(&self, instance: &str) -> bool {
        self.scope()
            .is_none_or(|scope| scope.iter().any(|name| name == instance))
    }

    /// Whether it sees a tenant: its own, or an operator any.
    pub fn sees_tenant(&self, tenant: &str) -> bool {
        self.principal()
            .tenant
            .as_deref()
            .is_none_or(|own| own == tenant)
    }

    /// Whether it is confined to a project other than this one.
    pub fn sees_project(&self, tenant: &str, project: &str) -> bool {
        let own = self.principal().project.as_deref();
        self.sees_tenant(tenant) && own.is_none_or(|own| own == project)
    }
}

/// Finds out who asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    configured: ApiKeys,
    /// Whether only this machine can ask at all.
    is_local: bool,
    hasher: RwLock<Option<KeyHasher>>,
    /// The state of the news in which the database said that no key was ever made.
    keyless: RwLock<Option<u64>>,
    quotas: Quotas,
    hearing: Hearing,
}

/// Why it cannot be told who asks.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The database said no, or is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Many asked the same at once, and the question that was sent for all of them failed.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Access {
    /// Knows the keys of configuration and of the database. `is_local`: the server listens on this machine alone.
    ///
    /// Who asks is remembered in `cache`, in the families `own`, while [`Access::hear`] runs.
    pub fn new(
        store: Store,
        configured: ApiKeys,
        is_local: bool,
        cache: Cache,
        own: OwnFamilies,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                configured,
                is_local,
                hasher: RwLock::default(),
                keyless: RwLock::default(),
                quotas: Quotas::default(),
                hearing: Hearing::new(cache, own),
            }),
        }
    }

    /// Whether everybody on this machine may ask without a key: nobody else can, no key is configured, and none was
    /// ever made.
    ///
    /// # Errors
    ///
    /// The database is away.
    pub async fn is_open(&self) -> Result<bool, StoreError> {
        let inner = &self.inner;
        Ok(inner.is_local && inner.configured.is_empty() && self.hasher().await?.is_none())
    }

    /// Whether `shown` is the secret of an instance's webhooks; `None` when nobody listens to them.
    pub fn admits_hook(&self, instance: &str, shown: &[u8]) -> Option<bool> {
        self.inner.configured.admits_hook(instance, shown)
    }

    /// Who shows this credential; `None`: nobody who is known.
    ///
    /// # Errors
    ///
    /// The database is away.
    // Boxed: whoever awaits it would else prove again and again that all that is in it is `Send`.
    pub fn caller<'a>(
        &'a self,
        credential: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Caller>, AccessError>> {
        Box::pin(self.resolve(credential))
    }

    async fn resolve(&self, credential: &[u8]) -> Result<Option<Caller>, AccessError> {
        if self.inner.configured.admits(credential) {
            return Ok(Some(Caller::operator()));
        }
        if credential.len() > CREDENTIAL_BYTES_MAX {
            return Ok(None);
        }
        let Some(hasher) = self.hasher().await? else {
            return Ok(None);
        };
        let Some(principal) = self.principal(hasher.hash(credential)).await? else {
            return Ok(None);
        };
        let over = principal
            .expires_at
            .is_some_and(|at| at <= jiff::Timestamp::now());
        if over {
            return Ok(None);
        }
        let Some(tenant) = &principal.tenant else {
            return Ok(Some(Caller::new(principal, None, None)));
        };
        let Some(tenant) = self.tenant(tenant).await? else {
            return Ok(None);
        };
        let scope = self.scope(&tenant, principal.project.as_deref()).await?;
        Ok(Some(Caller::new(principal, Some(tenant), Some(scope))))
    }

    /// What a tenant, or one of its projects, sees.
    async fn scope(
        &self,
        tenant: &Tenant,
        project: Option<&str>,
    ) -> Result<Arc<[String]>, AccessError> {
        let mut instances = tenant.instances.clone();
        if let Some(project) = project {
            let Some(project) = self.project(&tenant.id, project).await? else {
                return Ok(Arc::default());
            };
            if let Some(shown) = project.instances {
                instances.retain(|name| shown.contains(name));
            }
        }
        instances.sort();
        Ok(instances.into())
    }

    /// Whom a credential of this hash stands for.
    async fn principal(&self, hash: String) -> Result<Option<Principal>, AccessError> {
        let (store, hearing) = (self.inner.store.clone(), &self.inner.hearing);
        if !hearing.may_remember() {
            return Ok(Box::pin(store.principal(&hash)).await?);
        }
        let key = hearing.own.principal(&hearing.cache, &hash);
        let load = move || async move {
            let asked = jiff::Timestamp::now();
            let found = store.principal(&hash).await?;
            Ok::<_, StoreError>(loaded(found.map(HotPrincipal), asked))
        };
        let answer = hearing.cache.get_or_load(&key, load).await?;
        Ok(answer.value().map(|hot| hot.0.clone()))
    }

    /// A tenant, with the quota window it is in.
    async fn tenant(&self, id: &str) -> Result<Option<Arc<Tenant>>, AccessError> {
        let (store, hearing) = (self.inner.store.clone(), &self.inner.hearing);
        if !hearing.may_remember() {
            return Ok(Box::pin(store.find_tenant(id)).await?.map(Arc::new));
        }
        let key = hearing.own.tenant(&hearing.cache, id);
        let id = id.to_owned();
        let load = move || async move {
            let asked = jiff::Timestamp::now();
            let found = store.find_tenant(&id).await?;
            let found = found.map(|tenant| HotTenant(Arc::new(tenant)));
            Ok::<_, StoreError>(loaded(found, asked))
        };
        let answer = hearing.cache.get_or_load(&key, load).await?;
        Ok(answer.value().map(|hot| Arc::clone(&hot.0)))
    }

    /// A project of a tenant.
    async fn project(&self, tenant: &str, id: &str) -> Result<Option<Project>, AccessError> {
        let (store, hearing) = (self.inner.store.clone(), &self.inner.hearing);
        if !hearing.may_remember() {
            return Ok(Box::pin(store.find_project(tenant, id)).await?);
        }
        let key = hearing.own.project(&hearing.cache, tenant, id);
        let (tenant, id) = (tenant.to_owned(), id.to_owned());
        let load = move || async move {
            let asked = jiff::Timestamp::now();
            let found = store.find_project(&tenant, &id).await?;
            Ok::<_, StoreError>(loaded(found.map(HotProject), asked))
        };
        let answer = hearing.cache.get_or_load(&key, load).await?;
        Ok(answer.value().map(|hot| hot.0.clone()))
    }

    /// Hears of changes of access until `stop`. Only meanwhile is anybody remembered.
    pub async fn hear(&self, stop: CancellationToken) {
        self.inner.hearing.hear(&self.inner.store, stop).await;
    }

    /// Whether who asks is remembered now, and not asked for at every request.
    pub fn remembers(&self) -> bool {
        self.inner.hearing.may_remember()
    }

    /// Waits until every process has heard of a change.
    ///
    /// # Errors
    ///
    /// The database went away.
    pub async fn settle(&self, told: Told) -> Result<(), StoreError> {
        self.inner.store.access_heard(told).await
    }

    /// Counts one request, or says why the caller has to wait.
    ///
    /// # Errors
    ///
    /// The database is away, and the caller's tenant has a limit.
    pub async fn count(&self, caller: &Caller) -> Result<Result<(), Over>, StoreError> {
        let now = jiff::Timestamp::now();
        self.inner
            .quotas
            .admit(&self.inner.store, caller, now)
            .await
    }

    /// Writes down every second what was counted in this process, until `stop`, and once more then.
    pub async fn keep_books(&self, stop: CancellationToken) {
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(WRITE_DOWN_EVERY) => false,
            };
            if let Err(error) = self.inner.quotas.write_down(&self.inner.store).await {
                tracing::warn!(
                    error = crate::cli::chain_of(&error),
                    "requests could not be counted in the database; they are kept for the next time"
                );
            }
            if stopped {
                return;
            }
        }
    }

    async fn hasher(&self) -> Result<Option<KeyHasher>, StoreError> {
        let known = read(&self.inner.hasher).clone();
        if known.is_some() {
            return Ok(known);
        }
        let state = self.inner.hearing.state();
        if state.is_some() && state == *read(&self.inner.keyless) {
            return Ok(None);
        }
        let found = Box::pin(self.inner.store.key_hasher()).await?;
        if found.is_none() {
            // The first key is news: it makes this another state before it is acknowledged.
            *self
                .inner
                .keyless
                .write()
                .unwrap_or_else(PoisonError::into_inner) = state;
        } else {
            let mut kept = self
                .inner
                .hasher
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            kept.clone_from(&found);
        }
        Ok(found)
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn loaded<V>(found: Option<V>, asked: jiff::Timestamp) -> Loaded<V> {
    match found {
        Some(value) => Loaded::found(value, asked),
        None => Loaded::absent(asked),
    }
}
