//! Limits, redundancy and latency, each measured with the mirror and without.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mirror::ReadAsk;
use serde::Serialize;
use store::ResourceName;

use super::{
    COMPRESSION,
    naive::Integration,
    stage::{Stage, account_of, slow_service},
};

/// Integrations that read the same orders.
const INTEGRATIONS: usize = 5;
/// How often each of them reads.
const ROUNDS: usize = 3;
/// Orders that they read.
const ORDERS: usize = 40;
/// Reads of one workflow, each after the other.
const WORKFLOW_READS: usize = 20;
/// How long reads of the mirror are counted.
const COUNTED_FOR: Duration = Duration::from_secs(1);
/// Readers at the same time.
const READERS: usize = 8;
/// The instance that is measured.
const INSTANCE: &str = "pond-uk";

/// Reads that fit into a minute.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limits {
    /// Through the API, on average, in the service's minutes.
    pub naive_per_minute: f64,
    /// The most calls that the service saw in one of its minutes.
    pub naive_max_in_window: usize,
    /// Out of the mirror, in real minutes.
    pub mirror_per_minute: f64,
    /// Calls meanwhile.
    pub mirror_calls: usize,
}

/// The same records, read again and again.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Redundancy {
    /// Reads in all.
    pub reads: usize,
    /// Calls without a mirror.
    pub naive_calls: usize,
    /// Calls with it.
    pub mirror_calls: usize,
}

/// A workflow of reads, each after the other, at the real service's answer times.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// How many.
    pub reads: usize,
    /// Through the API, in milliseconds.
    pub naive_ms: f64,
    /// Out of the mirror, in milliseconds.
    pub mirror_ms: f64,
}

/// Reads as fast as the limit allows, and as fast as the mirror answers.
pub(super) async fn limits(stage: &Stage) -> anyhow::Result<Limits> {
    let naive = Integration::new(&stage.sim, stage.account(INSTANCE), true)?;
    let ids = ids_of(stage).await?;
    stage.sim.wiretap().clear();
    let began = Instant::now();
    let mut reads_naive = 0_usize;
    for chunk in ids.chunks(READERS).cycle() {
        stream::iter(chunk)
            .map(|id| naive.load_order(id))
            .buffer_unordered(READERS)
            .try_collect::<Vec<_>>()
            .await?;
        reads_naive += chunk.len();
        if began.elapsed() >= COUNTED_FOR {
            break;
        }
    }
    let naive_took = began.elapsed();
    let naive_max_in_window = stage.sim.wiretap().max_in_window(true, super::minute());

    let (calls, began) = (stage.calls(), Instant::now());
    let counts = stream::iter(0..READERS)
        .map(|reader| {
            let ids = &ids;
            async move {
                let mut reads = 0_usize;
                for id in ids.iter().cycle().skip(reader) {
                    read(stage, id).await?;
                    reads += 1;
                    if began.elapsed() >= COUNTED_FOR {
                        break;
                    }
                }
                anyhow::Ok(reads)
            }
        })
        .buffer_unordered(READERS)
        .try_collect::<Vec<usize>>()
        .await?;
    let reads: usize = counts.into_iter().sum();
    Ok(Limits {
        naive_per_minute: reads_naive as f64 * 60.0
            / naive_took.as_secs_f64()
            / f64::from(COMPRESSION),
        naive_max_in_window,
        mirror_per_minute: reads as f64 * 60.0 / began.elapsed().as_secs_f64(),
        mirror_calls: stage.calls() - calls,
    })
}

/// Five integrations read the same orders three times.
pub(super) async fn redundancy(stage: &Stage) -> anyhow::Result<Redundancy> {
    let mut ids = ids_of(stage).await?;
    ids.truncate(ORDERS);
    let naive = Integration::new(&stage.sim, stage.account(INSTANCE), true)?;
    let reads: Vec<&String> = (0..INTEGRATIONS * ROUNDS).flat_map(|_| &ids).collect();
    let before = stage.calls();
    stream::iter(&reads)
        .map(|id| naive.load_order(id))
        .buffer_unordered(INTEGRATIONS)
        .try_collect::<Vec<_>>()
        .await?;
    let naive_calls = stage.calls() - before;
    let before = stage.calls();
    stream::iter(&reads)
        .map(|id| read(stage, id))
        .buffer_unordered(INTEGRATIONS)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(Redundancy {
        reads: reads.len(),
        naive_calls,
        mirror_calls: stage.calls() - before,
    })
}

/// Twenty reads in a row.
pub(super) async fn latency(stage: &Stage) -> anyhow::Result<Latency> {
    let slow = slow_service().await?;
    let naive = Integration::new(&slow, account_of(&slow, INSTANCE), false)?;
    let rows = naive.list_orders().await?;
    let slow_ids: Vec<String> = rows
        .into_iter()
        .filter_map(|row| row.id)
        .take(WORKFLOW_READS)
        .collect();
    let began = Instant::now();
    for id in &slow_ids {
        naive.load_order(id).await?;
    }
    let naive_took = began.elapsed();
    slow.stop().await;
    let ids = ids_of(stage).await?;
    let began = Instant::now();
    for id in ids.iter().cycle().take(slow_ids.len()) {
        read(stage, id).await?;
    }
    Ok(Latency {
        reads: slow_ids.len(),
        naive_ms: naive_took.as_secs_f64() * 1000.0,
        mirror_ms: began.elapsed().as_secs_f64() * 1000.0,
    })
}

async fn read(stage: &Stage, id: &str) -> anyhow::Result<()> {
    let resource: ResourceName = "cin7.sale".parse()?;
    let answer = stage
        .mirror
        .read(&resource, INSTANCE, id, ReadAsk::default())
        .await?;
    answer
        .with_context(|| format!("the mirror has no order {id}"))
        .map(drop)
}

async fn ids_of(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let resource: ResourceName = "cin7.sale".parse()?;
    let ids = stage
        .database
        .store
        .sample_ids(&resource, INSTANCE, 1, 400)
        .await?;
    anyhow::ensure!(!ids.is_empty(), "the mirror has no orders");
    Ok(ids)
}
