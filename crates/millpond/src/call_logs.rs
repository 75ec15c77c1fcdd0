//! The folder of call logs, and what connections may call: what reports on calls need to know.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{
    config::Loaded,
    connectors::{BUILT_IN, load_connector},
};

/// The folder that configuration names.
pub fn folder(loaded: &Loaded) -> PathBuf {
    loaded.base.join(&loaded.config.call_log.dir)
}

/// The newest log of the folder.
///
/// # Errors
///
/// There is none, or the folder cannot be read; the message says how to get one.
pub fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    let hint =
        "switch the log on with MILLPOND_CALL_LOG=1 or `[call_log] on = true`, or name a file";
    let logs = match upstream::call_logs(folder) {
        Ok(logs) => logs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no folder {}: {hint}", folder.display());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
    };
    logs.into_iter()
        .next_back()
        .with_context(|| format!("there is no call log in {}: {hint}", folder.display()))
}

/// Calls a minute that a connection may make, by base URL: as the configured instances say, or the connectors that come
/// with Millpond.
pub fn limits(loaded: Option<&Loaded>) -> Vec<(String, u32)> {
    let mut limits = Vec::new();
    if let Some(loaded) = loaded {
        for instance in &loaded.config.instances {
            let Ok(connector) = load_connector(&instance.connector, &loaded.base) else {
                continue;
            };
            let base = instance
                .base_url
                .clone()
                .unwrap_or_else(|| connector.base_url.clone());
            let (calls, per) = match instance.limit {
                Some(limit) => (limit.calls, limit.per.0),
                None => (connector.limits.calls, connector.limits.per),
            };
            limits.push((base.trim_end_matches('/').to_owned(), a_minute(calls, per)));
        }
    }
    for (_, file, text) in BUILT_IN {
        if let Ok(connector) = upstream::Connector::parse(file, text) {
            let calls = a_minute(connector.limits.calls, connector.limits.per);
            limits.push((connector.base_url, calls));
        }
    }
    limits
}

/// The calls of a limit that fall into a minute.
fn a_minute(calls: u32, per: Duration) -> u32 {
    let calls = f64::from(calls) * 60.0 / per.as_secs_f64().max(0.001);
    calls.round().clamp(1.0, f64::from(u32::MAX)) as u32
}
