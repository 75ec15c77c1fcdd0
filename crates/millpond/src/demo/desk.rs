//! The group's service desk, in ConnectWise PSA: its deals are warm before anybody asks, with all that belongs to them.
//!
//! It answers as slowly as the real one, and its minutes are whole ones.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use mirror::{
    ChoreSettings, ConnectionSettings, InstanceSettings, ReadAsk, ResourceFilter, SweepReport,
    batch::Pace,
};
use serde::Serialize;
use simulators::connectwise::{ConnectWise, Latency, Options, Size};
use store::{ResourceName, reader::Limits};
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::connectors::load_connector;

/// The instance's name.
pub const INSTANCE: &str = "pond-psa";
/// What belongs to a deal, and the sweep looks after.
const INCLUDE: [&str; 4] = ["notes", "contacts", "activities", "company"];
/// Deals that are read.
const DEALS: usize = 5;
/// The pause between the batches of a sweep, shorter than life so that nobody has to wait for the demo.
const BATCH_DELAY: Duration = Duration::from_millis(25);

/// Some deals with all that belongs to them, asked for again and out of the cache.
#[derive(Debug, Clone, Serialize)]
pub struct Desk {
    /// Deals that the sweep looked after.
    pub deals: u64,
    /// Values that are hot since: deals, and what belongs to them.
    pub values: u64,
    /// Calls that the sweep made.
    pub sweep_calls: i64,
    /// Deals that were read.
    pub reads: usize,
    /// Calls for one of them through the API, on average, and how long they took, several at once.
    pub api_calls: f64,
    /// Milliseconds.
    pub api_ms: f64,
    /// The same out of the cache.
    pub hot_calls: f64,
    /// Milliseconds.
    pub hot_ms: f64,
}

/// Starts the simulated desk.
pub(super) async fn open() -> anyhow::Result<ConnectWise> {
    let options = Options {
        size: Size {
            opportunities: 24,
            companies: 12,
            catalog_items: 30,
            adjustments: 20,
            tickets: 40,
        },
        latency: Latency::observed(),
        ..Options::default()
    };
    ConnectWise::start(options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .context("the simulated service desk does not start")
}

/// How it is mirrored; its credentials are added to `secrets`.
pub(super) fn settings(
    sim: &ConnectWise,
    secrets: &mut BTreeMap<String, String>,
) -> anyhow::Result<InstanceSettings> {
    let company = &sim.options().company;
    let key = company
        .keys
        .first()
        .context("the service desk has no key")?;
    let shown = [
        ("company", &company.id),
        ("public_key", &key.public),
        ("private_key", &key.private),
        ("client_id", &company.name),
    ];
    let mut references = BTreeMap::new();
    for (name, value) in shown {
        let reference = format!("env:DESK_{name}");
        secrets.insert(reference.clone(), value.clone());
        references.insert(name.to_owned(), reference);
    }
    Ok(InstanceSettings {
        name: INSTANCE.to_owned(),
        connector: load_connector("connectwise", std::path::Path::new("."))?,
        base_url: Some(sim.base_url()),
        currency: None,
        reporting: None,
        connections: vec![ConnectionSettings {
            name: "main".to_owned(),
            secrets: references,
            limit: None,
            share: None,
        }],
        resources: ResourceFilter::All,
        schedules: Vec::new(),
        quiet: None,
        private_hosts: true,
        timeout: None,
        limit: None,
        concurrency: None,
        chores: ChoreSettings {
            pace: Pace {
                delay: BATCH_DELAY,
                ..Pace::default()
            },
            ..ChoreSettings::default()
        },
        freshness: Default::default(),
    })
}

/// Sweeps the deals once, and reads some of them hot and anew.
pub(super) async fn look(
    stage: &Stage,
    owner: &str,
    stop: &CancellationToken,
) -> anyhow::Result<Desk> {
    let swept = stage
        .mirror
        .sweep("opportunities", Some(INSTANCE), owner, stop)
        .await?;
    let swept: &SweepReport = swept.first().context("the deals were not swept")?;
    anyhow::ensure!(
        swept.state == "done",
        "the sweep of the deals ended {}: {}",
        swept.state,
        swept.why.as_deref().unwrap_or("it was stopped")
    );
    let ids = newest(stage).await?;
    // What runs out while it is looked at is fetched for the reader: counted like all else.
    let hot = read(stage, &ids, ReadAsk::default()).await?;
    let anew = ReadAsk {
        fresh: true,
        ..ReadAsk::default()
    };
    let api = read(stage, &ids, anew).await?;
    Ok(Desk {
        deals: swept.candidates,
        values: swept.values.checked,
        sweep_calls: swept.calls,
        reads: ids.len(),
        api_calls: api.0,
        api_ms: api.1,
        hot_calls: hot.0,
        hot_ms: hot.1,
    })
}

/// The open deals that changed last.
async fn newest(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let sql = format!(
        "SELECT d.id FROM connectwise.opportunity_flat d JOIN connectwise.opportunity_status_flat s \
         ON s.instance = d.instance AND s.id = d.status_id WHERE d.instance = '{INSTANCE}' AND NOT s.is_closed \
         ORDER BY d.updated_at DESC LIMIT {DEALS}"
    );
    let answer = stage.reader.query(&sql, &[], &Limits::default()).await?;
    let ids = answer
        .rows
        .iter()
        .map(|row| Ok(serde_json::from_str::<(String,)>(row.get())?.0))
        .collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(!ids.is_empty(), "the service desk has no open deal");
    Ok(ids)
}

/// Calls and milliseconds for one deal with all that belongs to it.
async fn read(stage: &Stage, ids: &[String], ask: ReadAsk) -> anyhow::Result<(f64, f64)> {
    let resource: ResourceName = "connectwise.opportunity".parse()?;
    let include = INCLUDE.map(str::to_owned);
    let before = stage.desk.wiretap().len();
    let began = Instant::now();
    for id in ids {
        let detail = stage
            .mirror
            .read_detail(&resource, INSTANCE, id, &include, ask)
            .await?;
        detail.with_context(|| format!("the mirror has no deal {id}"))?;
    }
    let count = ids.len() as f64;
    let calls = stage.desk.wiretap().len() - before;
    Ok((
        calls as f64 / count,
        began.elapsed().as_secs_f64() * 1000.0 / count,
    ))
}
