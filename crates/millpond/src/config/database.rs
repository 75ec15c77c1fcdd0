//! `[database]`, `[logs]`, `[call_log]` and `[retention]`: what is kept, where, and for how long.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, SecretRef};

/// `[database]`: where the mirror is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Where the URL of a PostgreSQL database is found. Absent: Millpond runs a server of its own. The environment
    /// variable DATABASE_URL goes before this.
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretRef>,
    /// Where the files of Millpond's own server are kept. Absent: `/var/lib/millpond` for root, else
    /// `~/.local/share/millpond`.
    pub data_dir: Option<PathBuf>,
    /// The port of Millpond's own server on 127.0.0.1. Absent: a free one, the same again at the next start.
    pub port: Option<u16>,
    /// Connections that one process opens at the most.
    pub connections_max: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            data_dir: None,
            port: None,
            connections_max: store::CONNECTIONS_MAX,
        }
    }
}

/// `[logs]`: what Millpond says about itself, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogsConfig {
    /// From which level on, optionally per module: `info`, `warn,mirror=debug`. The environment variable
    /// MILLPOND_LOG goes before this.
    pub filter: String,
    /// How a line looks.
    #[schemars(with = "String")]
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// `[call_log]`: one line per call to an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallLogConfig {
    /// Whether it is written. The environment variable MILLPOND_CALL_LOG (1 or 0), or LOG_CW_API, goes before this.
    pub on: bool,
    /// The folder; each start begins a new file in it.
    pub dir: PathBuf,
}

impl Default for CallLogConfig {
    fn default() -> Self {
        Self {
            on: false,
            dir: PathBuf::from("call-logs"),
        }
    }
}

/// `[retention]`: how long the past is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// How long the change feed and former versions of records are kept. At least `1h`.
    #[schemars(with = "String")]
    pub history: Period,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            history: Period::secs(90 * 86_400),
        }
    }
}
