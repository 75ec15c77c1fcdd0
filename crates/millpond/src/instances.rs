//! From configuration to what the mirror is opened with.

use std::sync::Arc;

use anyhow::Context as _;
use mirror::{
    ChoreSettings, ConnectionSettings, InstanceSettings, Mirror, ResourceFilter, ScheduleOverride,
    SecretSource, batch::Pace, hot::Hot,
};
use store::{Store, instances::CallLimit};
use upstream::{CallLog, Secret};

use crate::{
    config::{Config, InstanceConfig, LimitConfig, Loaded, SecretRef},
    connectors::load_connector,
    environment::Environment,
    hot::{self, OwnFamilies},
    memory::embedder_of,
    secrets::Secrets,
};

impl SecretSource for Secrets {
    fn resolve(&self, reference: &str) -> Result<Secret, String> {
        let reference: SecretRef = reference.parse().map_err(|error| format!("{error}"))?;
        Secrets::resolve(self, &reference)
    }
}

/// Opens the mirror of the configured instances, without a cache: for commands that read once.
///
/// # Errors
///
/// A connector is wrong, the call log cannot be written, or the database refuses.
pub async fn open_mirror(
    loaded: &Loaded,
    environment: &Environment,
    store: Store,
) -> anyhow::Result<Mirror> {
    let instances = all_settings(loaded)?;
    open(loaded, environment, store, instances, Hot::off()?).await
}

/// Opens the mirror of the configured instances with the configured cache in front of it: for processes that stay.
/// `own` are the families besides the mirror's.
///
/// # Errors
///
/// As [`open_mirror`]; the cache's URL is missing or wrong. A cache that is away is no error.
pub async fn open_hot_mirror(
    loaded: &Loaded,
    environment: &Environment,
    store: Store,
) -> anyhow::Result<(Mirror, OwnFamilies)> {
    let instances = all_settings(loaded)?;
    let secrets = Secrets::new(environment.clone(), &loaded.base);
    let (hot, own) = hot::open(&loaded.config.cache, &secrets, store.clone(), &instances).await?;
    let own = own.with_embedder(embedder_of(&loaded.config.memory, &secrets)?);
    let mirror = open(loaded, environment, store, instances, hot).await?;
    Ok((mirror, own))
}

fn all_settings(loaded: &Loaded) -> anyhow::Result<Vec<InstanceSettings>> {
    let mut instances = Vec::new();
    for instance in &loaded.config.instances {
        let connector = load_connector(&instance.connector, &loaded.base)?;
        let mut settings = settings(instance, connector);
        settings.chores = chores(&loaded.config);
        settings.freshness = loaded.config.freshness.settings(instance.freshness);
        instances.push(settings);
    }
    Ok(instances)
}

async fn open(
    loaded: &Loaded,
    environment: &Environment,
    store: Store,
    instances: Vec<InstanceSettings>,
    hot: Hot,
) -> anyhow::Result<Mirror> {
    let log = if loaded.config.call_log.on {
        let folder = loaded.base.join(&loaded.config.call_log.dir);
        let log = CallLog::open(&folder, jiff::Timestamp::now())
            .with_context(|| format!("cannot write a call log in {}", folder.display()))?;
        tracing::info!("calls are logged to {}", log.path().display());
        Some(log)
    } else {
        None
    };
    let secrets = Secrets::new(environment.clone(), &loaded.base);
    Mirror::open_hot(store, instances, Arc::new(secrets), log, hot)
        .await
        .context("the mirror cannot be opened")
}

fn settings(instance: &InstanceConfig, connector: Arc<upstream::Connector>) -> InstanceSettings {
    let connections = instance
        .connections
        .iter()
        .map(|connection| ConnectionSettings {
            name: connection.name.clone(),
            secrets: connection
                .secrets
                .iter()
                .map(|(name, reference)| (name.clone(), reference.to_string()))
                .collect(),
            limit: connection.limit.map(limit),
            share: connection.share,
        });
    let schedules = instance.schedules.iter().map(|schedule| ScheduleOverride {
        resource: schedule.resource.clone(),
        kind: schedule.kind.as_str().to_owned(),
        every: schedule.every.0,
    });
    InstanceSettings {
        name: instance.name.clone(),
        connector,
        base_url: instance.base_url.clone(),
        currency: instance.currency.clone(),
        reporting: instance.reporting_currency.clone(),
        connections: connections.collect(),
        resources: match (&instance.resources, &instance.except) {
            (Some(only), _) => ResourceFilter::Only(only.clone()),
            (None, Some(except)) => ResourceFilter::Except(except.clone()),
            (None, None) => ResourceFilter::All,
        },
        schedules: schedules.collect(),
        quiet: instance.quiet.clone(),
        private_hosts: instance.private_hosts,
        timeout: instance.timeout.map(|timeout| timeout.0),
        limit: instance.limit.map(limit),
        concurrency: instance.concurrency,
        chores: Default::default(),
        freshness: Default::default(),
    }
}

/// How sweeps and watches are done.
pub(crate) fn chores(config: &Config) -> ChoreSettings {
    ChoreSettings {
        pace: Pace {
            concurrency: config.sweep.concurrency as usize,
            delay: config.sweep.batch_delay.0,
        },
        per_cycle_max: config.watch.per_cycle_max,
        cooldown: config.watch.cooldown.map(|cooldown| cooldown.0),
    }
}

fn limit(limit: LimitConfig) -> CallLimit {
    CallLimit {
        calls: limit.calls,
        window: limit.per.0,
    }
}
