//! From configuration to who makes vectors.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use memory::{Embedder, Endpoint, EndpointSettings, Lexical};

use crate::{config::MemoryConfig, secrets::Secrets};

/// Attempts of one request.
const ATTEMPTS: u32 = 3;
/// The wait before the second one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// The configured embedder; without one the built-in.
///
/// # Errors
///
/// Its key is missing, or its URL cannot be used. An embedder that does not answer is no error.
pub fn embedder_of(config: &MemoryConfig, secrets: &Secrets) -> anyhow::Result<Arc<dyn Embedder>> {
    let Some(url) = &config.url else {
        return Ok(Arc::new(Lexical));
    };
    let key = config
        .api_key
        .as_ref()
        .map(|reference| secrets.resolve(reference));
    let key = key
        .transpose()
        .map_err(anyhow::Error::msg)
        .context("the embedder's key is not to be had")?;
    let settings = EndpointSettings {
        url: url.clone(),
        model: config.model.clone().context("`memory.model` is missing")?,
        dimensions: config
            .dimensions
            .context("`memory.dimensions` is missing")?,
        asks_dimensions: config.ask_dimensions,
        version: config.version.clone(),
        key,
        batch_max: config.batch_max,
        timeout: config.timeout.0,
        attempts: ATTEMPTS,
        backoff_first: BACKOFF_FIRST,
        private_hosts: config.private_hosts,
    };
    let endpoint = Endpoint::new(settings).context("the embedder cannot be used")?;
    Ok(Arc::new(endpoint))
}
