//! From configuration to the hot cache: which families there are, and where their values are kept.

mod own;
pub mod report;

use std::sync::Arc;

use anyhow::Context as _;
use cache::{CacheBuilder, MemoryOptions, OptionsError, RedisOptions};
use mirror::{
    InstanceSettings,
    hot::{Hot, HotFamilies, HotSettings},
};
use store::Store;
use upstream::Connector;

pub use self::own::{HotPrincipal, HotProject, HotTenant, OwnFamilies};
use crate::{
    config::{CacheConfig, CacheStore},
    secrets::Secrets,
};

/// Opens the cache for the mirror of `instances` in `store`.
///
/// # Errors
///
/// Two families could name the same key, or the URL of the shared store is missing or wrong. A shared store that
/// does not answer is no error: it is bypassed until it does. The database is away.
pub async fn open(
    config: &CacheConfig,
    secrets: &Secrets,
    store: Store,
    instances: &[InstanceSettings],
) -> anyhow::Result<(Hot, OwnFamilies)> {
    let mut builder = CacheBuilder::new(env!("CARGO_PKG_VERSION"));
    let families = record_families(&mut builder, config, instances)
        .context("the connectors' hot values cannot be told apart")?;
    let own = OwnFamilies::register(&mut builder)?;
    let identity = store.identity().await?;
    let builder = builder
        .space(&identity)
        .outbox(Arc::new(families.outbox(store)));
    let memory = MemoryOptions {
        bytes_max: config.memory_mib << 20,
    };
    let urls = match &config.store {
        Some(CacheStore::Off) => return Ok((Hot::new(builder.off(), families), own)),
        None | Some(CacheStore::Memory) => {
            return Ok((Hot::new(builder.memory(memory), families), own));
        }
        Some(CacheStore::Url(urls)) => urls.clone(),
        Some(CacheStore::At(reference)) => secrets
            .resolve(reference)
            .map_err(anyhow::Error::msg)
            .context("the URL of the cache is not to be had")?
            .expose()
            .to_owned(),
    };
    let options = redis_options(&urls, config).context("the cache cannot be used")?;
    let cache = if config.two_tier {
        builder.two_tier(memory, options).await?
    } else {
        builder.redis(options).await
    };
    Ok((Hot::new(cache, families), own))
}

fn record_families(
    builder: &mut CacheBuilder,
    config: &CacheConfig,
    instances: &[InstanceSettings],
) -> Result<HotFamilies, cache::FamilyError> {
    let mut connectors: Vec<Arc<Connector>> = Vec::new();
    for instance in instances {
        if !connectors
            .iter()
            .any(|known| known.name == instance.connector.name)
        {
            connectors.push(Arc::clone(&instance.connector));
        }
    }
    let settings = HotSettings {
        record_ttl: config.record_ttl.0,
        absent_ttl: config.absent_ttl.0,
        search_ttl: config.search_ttl.0,
    };
    HotFamilies::register(builder, &connectors, settings)
}

/// How to reach the shared store of these addresses.
///
/// # Errors
///
/// An address that cannot be used; it is not shown.
pub fn redis_options(urls: &str, config: &CacheConfig) -> Result<RedisOptions, OptionsError> {
    if urls.split(',').any(|url| url.trim().starts_with("rediss:")) {
        // Whoever came first has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let options = if config.cluster {
        RedisOptions::cluster(urls.split(',').map(str::trim))?
    } else {
        RedisOptions::single(urls)?
    };
    Ok(options.probe_every(config.probe_every.0))
}
