//! What Millpond says about itself, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogsConfig};

/// Begins to log as configuration says. The second and later calls in a process change nothing.
pub fn start(config: &LogsConfig) {
    // Configuration has been checked: the filter is one.
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // Fails only when logging has begun already.
    let _ = match config.format {
        LogFormat::Text => base.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
}
