//! `[server]` and `[sql]`: the HTTP server and the bounds of what it runs.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, SecretRef};

/// `[server]`: the HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. An address that others can reach needs keys: `api_keys`, or those of `millpond init`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Where operators' keys are found, presented as `Authorization: Bearer KEY` or `X-Api-Key: KEY`. Keys of
    /// tenants, and more of operators, are in the database (`millpond keys`). Without any key, only this machine
    /// may call.
    #[schemars(with = "Vec<String>")]
    pub api_keys: Vec<SecretRef>,
    /// The most bytes of a request's body.
    pub body_bytes_max: usize,
    /// The most time for one request.
    #[schemars(with = "String")]
    pub request_timeout: Period,
    /// How long requests and runs under way may go on after the order to stop.
    #[schemars(with = "String")]
    pub grace: Period,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7171)),
            api_keys: Vec::new(),
            body_bytes_max: 1024 * 1024,
            request_timeout: Period::secs(60),
            grace: Period::secs(20),
        }
    }
}

/// `[sql]`: bounds of queries at the SQL door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SqlConfig {
    /// The most rows of an answer; what is beyond is cut off, and the answer says so.
    pub rows_max: usize,
    /// The most bytes of an answer; what is beyond is cut off, and the answer says so.
    pub bytes_max: usize,
    /// The most characters of one value; a longer one is cut off, and the answer says so.
    pub cell_chars_max: usize,
    /// The most time of a query. Must not be more than `server.request_timeout`.
    #[schemars(with = "String")]
    pub timeout: Period,
    /// Queries that run at the same time; others wait.
    pub concurrent_max: usize,
    /// The most that PostgreSQL's planner may expect a query to cost, in its own units; what it expects to cost more is
    /// refused before it begins. 0: what it expects does not count.
    pub cost_max: u64,
}

impl Default for SqlConfig {
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            bytes_max: 16 * 1024 * 1024,
            cell_chars_max: 1024 * 1024,
            timeout: Period::secs(30),
            concurrent_max: 4,
            cost_max: 100_000_000,
        }
    }
}
