//! From settings to rows: instances, connections, tables, views and jobs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use store::{
    ResourceName, Store,
    instances::{CallLimit, ConnectionSpec, Instance},
    jobs::JobSpec,
    resources::{ColumnKind, ViewColumn, ViewSpec},
};
use upstream::{CallLog, Client, Connection, Settings, connector::ColumnType};

use crate::{
    account::{Account, Kind, concurrency, fold_limit},
    chore::Chore,
    error::{MirrorError, Result},
    gate::SharedGate,
    payload::PayloadKind,
    schedule::QuietHours,
    settings::{ConnectionSettings, InstanceSettings, SecretSource},
    spending::Spending,
    targets::Targets,
};

/// The most time that one call waits for its permit before its place in the queue is given up.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(120);

/// Starts are spread by this share of the interval, at the most [`JITTER_MAX`].
const JITTER_SHARE: u32 = 20;
const JITTER_MAX: Duration = Duration::from_secs(30);

/// Resources without an interval of their own are listed this often.
const FULL_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Makes an account ready to be mirrored.
pub(crate) async fn open_account(
    store: &Store,
    settings: InstanceSettings,
    log: Option<CallLog>,
) -> Result<Account> {
    let kinds = Kind::all_of(&settings)?;
    let payloads = PayloadKind::all_of(&settings, &kinds)?;
    let targets = Targets::compile(&settings.connector)?;
    check_names(&settings)?;
    store
        .save_instance(&Instance {
            name: settings.name.clone(),
            connector: settings.connector.name.clone(),
            currency: settings.currency.clone(),
            reporting: settings.reporting.clone(),
            paused: false,
        })
        .await?;
    for connection in &settings.connections {
        store
            .save_connection(&connection_spec(&settings, connection))
            .await?;
    }
    let names: Vec<String> = settings
        .connections
        .iter()
        .map(|c| c.name.clone())
        .collect();
    store.drop_unconfigured(&settings.name, &names).await?;

    for kind in &kinds {
        store.ensure_resource(&kind.name).await?;
        if kind.resource.list.is_none() {
            // Details come in slowly: their indexes may as well be there from the start.
            store.build_indexes(&kind.name, &kind.index_paths()).await?;
        }
    }
    for payload in &payloads {
        store.ensure_resource(&payload.name).await?;
        store.build_indexes(&payload.name, &[]).await?;
    }
    store
        .ensure_views(&views(&settings, &kinds, &payloads)?)
        .await?;
    store
        .sync_jobs(
            std::slice::from_ref(&settings.name),
            &jobs(&settings, &kinds)?,
        )
        .await?;

    let mut client = Settings::new(Arc::clone(&settings.connector), settings.name.clone());
    client.base_url.clone_from(&settings.base_url);
    client.allow_private_hosts = settings.private_hosts;
    client.timeout = settings.timeout;
    client.wait_max = PERMIT_WAIT_MAX;
    let gate = SharedGate::new(store.clone(), &settings.name, concurrency(&settings));
    let client = Client::new(client, Arc::new(gate), log).map_err(|e| MirrorError::Client {
        instance: settings.name.clone(),
        reason: crate::listing::chain(&e),
    })?;
    Ok(Account {
        spending: Spending::new(settings.freshness, jiff::Timestamp::now()),
        settings,
        client,
        store: store.clone(),
        kinds,
        payloads,
        targets,
    })
}

/// Gives the client the connections that the database has now. Answers the secrets that could not be read.
pub(crate) async fn load_connections(
    account: &Account,
    secrets: &dyn SecretSource,
) -> Result<Vec<MirrorError>> {
    let instance = &account.settings.name;
    let mut connections = Vec::new();
    let mut problems = Vec::new();
    for row in account.store.connections(Some(instance)).await? {
        let mut found = BTreeMap::new();
        let mut problem = None;
        for (name, reference) in &row.secrets {
            match secrets.resolve(reference) {
                Ok(secret) => {
                    found.insert(name.clone(), secret);
                }
                Err(reason) => problem = Some(reason),
            }
        }
        match problem {
            None => connections.push(Connection {
                name: row.name,
                secrets: found,
            }),
            Some(reason) => problems.push(MirrorError::Secret {
                instance: instance.clone(),
                connection: row.name,
                reason,
            }),
        }
    }
    account
        .client
        .set_connections(&connections)
        .map_err(|e| MirrorError::Client {
            instance: instance.clone(),
            reason: crate::listing::chain(&e),
        })?;
    Ok(problems)
}

fn connection_spec(settings: &InstanceSettings, connection: &ConnectionSettings) -> ConnectionSpec {
    let limits = &settings.connector.limits;
    let limit = connection.limit.or(settings.limit).unwrap_or(CallLimit {
        calls: limits.calls,
        window: limits.per,
    });
    ConnectionSpec {
        instance: settings.name.clone(),
        name: connection.name.clone(),
        secrets: connection.secrets.clone(),
        limit: Some(fold_limit(limit)),
        share: connection
            .share
            .unwrap_or(limits.share as f32)
            .clamp(0.01, 1.0),
        by_command: false,
    }
}

fn check_names(settings: &InstanceSettings) -> Result<()> {
    let connector = &settings.connector;
    let known = || {
        connector
            .resources
            .iter()
            .map(|r| r.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let is_chore = |name: &str| connector.chores().any(|chore| chore == name);
    let scheduled = settings.schedules.iter().map(|s| &s.resource);
    let named = settings
        .resources
        .names()
        .iter()
        .chain(scheduled.filter(|name| !is_chore(name)));
    for name in named {
        if !connector.resources.iter().any(|r| r.name == *name) {
            return Err(MirrorError::Unknown {
                what: "resource",
                name: name.clone(),
                known: known(),
            });
        }
    }
    if let Some(quiet) = &settings.quiet {
        quiet
            .parse::<QuietHours>()
            .map_err(|e| MirrorError::Schedule {
                instance: settings.name.clone(),
                resource: "all resources".to_owned(),
                reason: e.to_string(),
            })?;
    }
    Ok(())
}

fn jobs(settings: &InstanceSettings, kinds: &[Arc<Kind>]) -> Result<Vec<JobSpec>> {
    let mut jobs = Vec::new();
    for kind in kinds {
        let resource = &kind.resource;
        let mut add = |job: &'static str, every: Duration, at_start: bool| {
            let chosen = settings
                .schedules
                .iter()
                .find(|s| s.resource == resource.name && s.kind == job);
            let every = chosen.map_or(every, |s| s.every);
            jobs.push(JobSpec {
                instance: settings.name.clone(),
                resource: kind.name.clone(),
                kind: job,
                every,
                jitter: (every / JITTER_SHARE).min(JITTER_MAX),
                quiet: settings.quiet.clone(),
                at_start,
            });
        };
        if resource.list.is_some() {
            let reconcile = resource.reconcile.as_ref();
            // A full listing also finds what is gone; listing twice would only cost calls.
            let cheap = reconcile.filter(|rules| !rules.params.is_empty());
            let full = match (resource.full, reconcile) {
                (Some(full), Some(rules)) if cheap.is_none() => full.min(rules.every),
                (Some(full), _) => full,
                (None, Some(rules)) if cheap.is_none() => rules.every,
                (None, _) => FULL_EVERY,
            };
            add("full", full, true);
            if let Some(rules) = cheap {
                add("reconcile", rules.every, false);
            }
            if let Some(changes) = &resource.changes {
                add("changes", changes.every, true);
            }
        }
        if let Some(refresh) = resource.refresh {
            add("sweep", (refresh / 24).max(Duration::from_secs(60)), false);
        }
    }
    for chore in Chore::all_of(settings, kinds) {
        let mut spec = chore.spec(settings)?;
        let chosen = settings
            .schedules
            .iter()
            .find(|s| s.resource == chore.name() && s.kind == chore.kind());
        spec.every = chosen.map_or(spec.every, |s| s.every);
        jobs.push(spec);
    }
    for wanted in &settings.schedules {
        if !jobs
            .iter()
            .any(|j| j.resource.table() == wanted.resource && j.kind == wanted.kind)
        {
            let has: Vec<&str> = jobs
                .iter()
                .filter(|j| j.resource.table() == wanted.resource)
                .map(|j| j.kind)
                .collect();
            return Err(MirrorError::Schedule {
                instance: settings.name.clone(),
                resource: wanted.resource.clone(),
                reason: format!(
                    "it has no job of kind `{}`; it has: {}",
                    wanted.kind,
                    has.join(", ")
                ),
            });
        }
    }
    Ok(jobs)
}

fn views(
    settings: &InstanceSettings,
    kinds: &[Arc<Kind>],
    payloads: &[Arc<PayloadKind>],
) -> Result<Vec<ViewSpec>> {
    let schema = &settings.connector.name;
    let mut views = Vec::new();
    for view in &settings.connector.views {
        let paths = kinds
            .iter()
            .find(|kind| kind.resource.name == view.of)
            .map(|kind| kind.index_paths());
        let of_payload = payloads.iter().any(|kind| kind.payload.name == view.of);
        let Some(indexed) = paths.or_else(|| of_payload.then(Vec::new)) else {
            continue;
        };
        let keys = |path: &upstream::FieldPath| path.keys().to_vec();
        views.push(ViewSpec {
            name: ResourceName::new(schema, &view.name)?,
            of: ResourceName::new(schema, &view.of)?,
            each: view.each.iter().map(keys).collect(),
            currency: view.currency.as_ref().map(keys),
            rate_date: view.rate_date.as_ref().map(keys),
            indexed,
            columns: view
                .columns
                .iter()
                .map(|column| ViewColumn {
                    name: column.name.clone(),
                    level: column.level,
                    path: keys(&column.path),
                    kind: column_kind(column.kind),
                    money: column.money,
                })
                .collect(),
        });
    }
    Ok(views)
}

fn column_kind(kind: ColumnType) -> ColumnKind {
    match kind {
        ColumnType::Text => ColumnKind::Text,
        ColumnType::Numeric => ColumnKind::Numeric,
        ColumnType::Timestamptz => ColumnKind::Timestamptz,
        ColumnType::Date => ColumnKind::Date,
        ColumnType::Boolean => ColumnKind::Boolean,
        ColumnType::Integer => ColumnKind::Integer,
        ColumnType::Jsonb => ColumnKind::Jsonb,
    }
}
