//! The mirror: sync jobs and their schedule, reads as fresh as asked, and proof that it all agrees.
//!
//! [`Mirror::open`] turns settings into rows; [`Mirror::work`] keeps them in sync until stopped. Any number of
//! processes may work on one database.

mod account;
pub mod batch;
mod chore;
mod connections;
mod details;
mod direct;
mod due;
mod error;
mod gate;
pub mod hot;
mod listing;
mod payload;
mod progress;
mod prune;
mod reading;
pub mod schedule;
mod settings;
mod setup;
mod spending;
mod status;
mod sweep;
mod sync;
mod targets;
mod turn;
mod verify;
mod warm;
mod watch;
mod worker;

use std::{collections::HashSet, sync::Arc};

pub use freshness::Policy;
use store::{ResourceName, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::{CallLog, Class, Connector};

use crate::{
    account::Account,
    details::Drainer,
    hot::{Hot, Reads},
    reading::{Calling, Flights},
    worker::Worker,
};
pub use crate::{
    chore::ChoreSettings,
    due::RECENT as DUE_RECENT,
    error::{MirrorError, Result},
    gate::SharedGate,
    payload::{Detail, PayloadAnswer, PayloadWrite, Refreshed, Written},
    progress::{Listener, Progress},
    reading::{ReadAnswer, ReadAsk},
    settings::{
        ConnectionSettings, FreshnessSettings, InstanceSettings, ResourceFilter, ScheduleOverride,
        SecretSource,
    },
    spending::{Explained, ForecastRow, Forecasted, LastDecision},
    status::{ResourceStatus, Status},
    sweep::{Standing, SweepReport},
    sync::{SyncAsk, SyncReport},
    targets::check_rules,
    verify::{Found, VerifiedResource, VerifyAsk, VerifyReport},
};

/// The mirror of some instances. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    accounts: Vec<Arc<Account>>,
    flights: Flights,
    /// Keeps the connections as the database says, as long as the mirror lives.
    _watches: JoinSet<()>,
    hot: Hot,
    /// Hot values that were read here, as long as the workers have not heard of it.
    reads: Reads,
}

/// What is known of a resource without asking the database.
#[derive(Debug, Clone)]
pub struct ResourceInfo {
    /// Its name.
    pub name: ResourceName,
    /// What it is, for people.
    pub title: String,
    /// The resource whose watermark says how fresh unchanged records are.
    pub feed: ResourceName,
    /// Instances that mirror it.
    pub instances: Vec<String>,
    /// Whether a record can be fetched by its id.
    pub has_get: bool,
    /// What its connector shows of a record in a view of one row each, with dots between the keys; ids are left out.
    pub columns: Vec<String>,
}

impl Mirror {
    /// Saves instances, connections, tables, views and jobs, and makes the clients. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// The database fails, a setting names what is not there, or a client cannot be made. A secret that cannot be
    /// read is no error here: its connection is left out and reported by the worker.
    pub async fn open(
        store: Store,
        instances: Vec<InstanceSettings>,
        secrets: Arc<dyn SecretSource>,
        log: Option<CallLog>,
    ) -> Result<Self> {
        Self::open_hot(store, instances, secrets, log, Hot::off()?).await
    }

    /// [`Mirror::open`], with a cache in front of its reads.
    ///
    /// # Errors
    ///
    /// As [`Mirror::open`].
    pub async fn open_hot(
        store: Store,
        instances: Vec<InstanceSettings>,
        secrets: Arc<dyn SecretSource>,
        log: Option<CallLog>,
        hot: Hot,
    ) -> Result<Self> {
        let mut accounts = Vec::new();
        for settings in instances {
            let account = setup::open_account(&store, settings, log.clone()).await?;
            for problem in setup::load_connections(&account, &*secrets).await? {
                tracing::error!(
                    error = listing::chain(&problem),
                    "a connection cannot be used"
                );
            }
            accounts.push(Arc::new(account));
        }
        let mut watches = JoinSet::new();
        for account in &accounts {
            let watch = connections::watch_connections(Arc::clone(account), Arc::clone(&secrets));
            watches.spawn(watch);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                accounts,
                flights: Flights::default(),
                _watches: watches,
                hot,
                reads: Reads::default(),
            }),
        })
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The cache in front of the reads.
    pub fn hot(&self) -> &Hot {
        &self.inner.hot
    }

    /// The names of the instances, as configured.
    pub fn instances(&self) -> Vec<String> {
        self.inner
            .accounts
            .iter()
            .map(|a| a.settings.name.clone())
            .collect()
    }

    /// The connector of an instance.
    pub fn connector(&self, instance: &str) -> Option<Arc<Connector>> {
        self.account(instance)
            .ok()
            .map(|a| Arc::clone(&a.settings.connector))
    }

    /// What is known of a resource; `None` when no instance mirrors it.
    pub fn resource(&self, name: &ResourceName) -> Option<ResourceInfo> {
        let mut found: Option<ResourceInfo> = None;
        for account in &self.inner.accounts {
            let Some(kind) = account.kind(name) else {
                continue;
            };
            found
                .get_or_insert_with(|| ResourceInfo {
                    name: name.clone(),
                    title: kind.resource.title.clone(),
                    feed: kind.feed.clone(),
                    instances: Vec::new(),
                    has_get: kind.resource.get.is_some(),
                    columns: shown(&account.settings.connector, &kind.resource.name),
                })
                .instances
                .push(account.settings.name.clone());
        }
        found
    }

    /// All resources that some instance mirrors, parents before children.
    pub fn resources(&self) -> Vec<ResourceInfo> {
        let mut seen = HashSet::new();
        let names = self
            .inner
            .accounts
            .iter()
            .flat_map(|a| &a.kinds)
            .map(|kind| &kind.name);
        names
            .filter(|name| seen.insert((*name).clone()))
            .filter_map(|name| self.resource(name))
            .collect()
    }

    /// Keeps everything in sync until `stop`; what is under way is then finished or handed back.
    ///
    /// # Errors
    ///
    /// None while running: what fails is retried, reported and shown in the runs.
    pub async fn work(
        &self,
        owner: &str,
        stop: CancellationToken,
        listener: Option<Listener>,
    ) -> Result<()> {
        self.postpone_missed(&self.instances()).await?;
        self.work_on(&self.instances(), owner, stop, listener, true)
            .await
    }

    /// Works on some instances, with or without the chores.
    pub(crate) async fn work_on(
        &self,
        instances: &[String],
        owner: &str,
        stop: CancellationToken,
        listener: Option<Listener>,
        chores: bool,
    ) -> Result<()> {
        let worker = Worker {
            mirror: self.clone(),
            chores,
            store: self.inner.store.clone(),
            accounts: self.chosen(instances),
            owner: owner.to_owned(),
            stop,
            listener,
        };
        worker.run().await;
        Ok(())
    }

    pub(crate) async fn build_indexes(&self, instances: &[String]) -> Result<()> {
        for account in self.chosen(instances) {
            account.build_indexes().await?;
        }
        Ok(())
    }

    /// The jobs of an instance's chores.
    pub(crate) fn chore_jobs(&self, instance: &str) -> Vec<ResourceName> {
        self.account(instance)
            .map(|account| account.chore_jobs())
            .unwrap_or_default()
    }

    pub(crate) fn accounts(&self) -> &[Arc<Account>] {
        &self.inner.accounts
    }

    fn chosen(&self, instances: &[String]) -> Vec<Arc<Account>> {
        self.inner
            .accounts
            .iter()
            .filter(|a| instances.contains(&a.settings.name))
            .cloned()
            .collect()
    }

    pub(crate) fn drainers(
        &self,
        instances: &[String],
        owner: &str,
        stop: &CancellationToken,
    ) -> Vec<Drainer> {
        self.chosen(instances)
            .into_iter()
            .map(|account| Drainer {
                account,
                owner: owner.to_owned(),
                class_max: Class::Backfill,
                stop: stop.clone(),
                listener: None,
            })
            .collect()
    }

    /// Makes the matching jobs due and works until they, and the details that follow, are in.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] when nothing matches; the database's own.
    pub async fn sync(
        &self,
        ask: SyncAsk,
        stop: CancellationToken,
        listener: Option<Listener>,
    ) -> Result<SyncReport> {
        if let Some(instance) = &ask.instance {
            self.account(instance)?;
        }
        if let Some(resource) = &ask.resource
            && self.resource(resource).is_none()
        {
            return Err(self.unknown_resource(resource));
        }
        sync::sync(self, ask, stop, listener).await
    }

    /// Is the mirror fresh, what fails, what happens next.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn status(&self) -> Result<Status> {
        status::status(&self.inner.store, &self.inner.accounts).await
    }

    /// One record, as fresh as asked, at the cost of at most one call; many who ask at once share it.
    ///
    /// `None`: neither the mirror nor upstream has it. When upstream does not answer, the mirror's record comes
    /// marked with the reason. Dropping the future leaves the mirror consistent.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; [`MirrorError::Upstream`] when the mirror has nothing
    /// and upstream does not answer.
    pub async fn read(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        ask: ReadAsk,
    ) -> Result<Option<ReadAnswer>> {
        self.read_for(resource, instance, id, ask, Calling::READER)
            .await
    }

    /// One record as the mirror has it, whatever its age; never at the cost of a call.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; the database's own.
    pub async fn peek(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
    ) -> Result<Option<ReadAnswer>> {
        let (account, kind) = self.find_kind(resource, instance)?;
        reading::peek(account, kind, &kind.id(id)).await
    }

    /// A record's id as the mirror writes it.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing.
    pub fn id_of(&self, resource: &ResourceName, instance: &str, id: &str) -> Result<String> {
        let (_, kind) = self.find_kind(resource, instance)?;
        Ok(kind.id(id))
    }

    /// [`Mirror::read`], with calls of another class.
    pub(crate) async fn read_for(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
        ask: ReadAsk,
        calling: Calling,
    ) -> Result<Option<ReadAnswer>> {
        let (account, kind) = self.find_kind(resource, instance)?;
        let id = kind.id(id);
        reading::read(account, self.flights(), kind, &id, ask, None, calling).await
    }

    /// Compares the mirror with upstream, and mends it if asked to.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; the database's own. What upstream refuses stands in
    /// the report.
    pub async fn verify(
        &self,
        ask: VerifyAsk,
        listener: Option<&(dyn Fn(&VerifiedResource) + Send + Sync)>,
    ) -> Result<VerifyReport> {
        if let Some(instance) = &ask.instance {
            self.account(instance)?;
        }
        let mut report = VerifyReport::default();
        let mut repaired = Vec::new();
        for account in &self.inner.accounts {
            if ask
                .instance
                .as_ref()
                .is_some_and(|name| *name != account.settings.name)
            {
                continue;
            }
            for kind in account
                .kinds
                .iter()
                .filter(|k| ask.resource.as_ref().is_none_or(|name| *name == k.name))
            {
                let verified = verify::verify(account, kind, &ask).await?;
                if let Some(listener) = listener {
                    listener(&verified);
                }
                if verified.repaired > 0 {
                    repaired.push(account.settings.name.clone());
                }
                report.calls += verified.calls;
                report.resources.push(verified);
            }
        }
        if report.resources.is_empty()
            && let Some(resource) = &ask.resource
        {
            return Err(self.unknown_resource(resource));
        }
        repaired.dedup();
        sync::drain(self, &repaired, CancellationToken::new()).await?;
        Ok(report)
    }

    pub(crate) fn reads(&self) -> &Reads {
        &self.inner.reads
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.inner.flights
    }

    pub(crate) fn find_kind(
        &self,
        resource: &ResourceName,
        instance: &str,
    ) -> Result<(&Account, &account::Kind)> {
        let account = self.account(instance)?;
        let kind = account
            .kind(resource)
            .ok_or_else(|| self.unknown_resource(resource))?;
        Ok((account, kind))
    }

    pub(crate) fn account(&self, instance: &str) -> Result<&Arc<Account>> {
        self.inner
            .accounts
            .iter()
            .find(|a| a.settings.name == instance)
            .ok_or_else(|| MirrorError::Unknown {
                what: "instance",
                name: instance.to_owned(),
                known: self.instances().join(", "),
            })
    }

    fn unknown_resource(&self, resource: &ResourceName) -> MirrorError {
        let known: Vec<String> = self
            .resources()
            .into_iter()
            .map(|r| r.name.to_string())
            .collect();
        MirrorError::Unknown {
            what: "resource",
            name: resource.to_string(),
            known: known.join(", "),
        }
    }
}

/// The columns of the view that has one row per record of `resource`.
fn shown(connector: &Connector, resource: &str) -> Vec<String> {
    let flat = connector
        .views
        .iter()
        .find(|view| view.of == resource && view.each.is_empty());
    flat.into_iter()
        .flat_map(|view| &view.columns)
        .filter(|column| !column.name.ends_with("_id"))
        .map(|column| column.path.to_string())
        .collect()
}
