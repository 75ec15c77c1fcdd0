//! Where the shared store is and how patient we are with it.

use std::fmt;
use std::time::Duration;

use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// Longest a request waits for the shared store in all: connecting, asking, leasing and filling.
pub const CACHE_WAIT_MAX: Duration = Duration::from_millis(500);
/// How often a store that is away is tried again.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

/// A Redis or Valkey that processes share.
///
/// An address is `redis://[user:password@]host:port[/db]`, `rediss://…` with the `tls` feature, or
/// `redis+unix:///path`. Its password never appears in `Debug`, errors or logs.
#[derive(Clone)]
pub struct RedisOptions {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    pub(crate) wait_max: Duration,
    pub(crate) probe_every: Duration,
    pub(crate) lease: Duration,
    pub(crate) lease_wait_max: Duration,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The address does not parse, or its scheme is not built in.
    #[error("the cache address number {position} is not a usable redis URL ({reason})")]
    Address {
        /// Which of the addresses, from 1.
        position: usize,
        /// What is wrong, without the address.
        reason: &'static str,
    },
    /// A cluster needs one address at least.
    #[error("the cache cluster has no address")]
    NoAddress,
    /// Client tracking follows one connection, a cluster has many.
    #[error("the two-tier cache needs a single Redis, not a cluster")]
    TwoTierCluster,
}

impl RedisOptions {
    /// A single server, or a proxy in front of several.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Address`] when the address cannot be used.
    pub fn single(url: &str) -> Result<Self, OptionsError> {
        Ok(Self::of(vec![node(1, url)?], false))
    }

    /// A Redis or Valkey Cluster, by some of its nodes.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] when there is no address or one cannot be used.
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionsError> {
        let nodes = urls
            .into_iter()
            .enumerate()
            .map(|(index, url)| node(index + 1, url))
            .collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() {
            return Err(OptionsError::NoAddress);
        }
        Ok(Self::of(nodes, true))
    }

    fn of(nodes: Vec<ConnectionInfo>, cluster: bool) -> Self {
        Self {
            nodes,
            cluster,
            wait_max: CACHE_WAIT_MAX,
            probe_every: PROBE_EVERY,
            lease: Duration::from_secs(3),
            lease_wait_max: Duration::from_secs(10),
        }
    }

    /// Longest a request waits for the store in all; [`CACHE_WAIT_MAX`] unless set.
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// How often a store that is away is tried again; [`PROBE_EVERY`] unless set.
    pub fn probe_every(mut self, every: Duration) -> Self {
        self.probe_every = every;
        self
    }

    /// How long the lease of a process that died keeps others waiting; 3 s unless set. A live holder
    /// renews at a third of it.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long to wait for another process's load before loading too; 10 s unless set.
    pub fn lease_wait_max(mut self, wait_max: Duration) -> Self {
        self.lease_wait_max = wait_max;
        self
    }
}

fn node(position: usize, url: &str) -> Result<ConnectionInfo, OptionsError> {
    // The client's own message may quote the address, and the address may hold a password.
    let refused = |reason| OptionsError::Address { position, reason };
    let info = url
        .into_connection_info()
        .map_err(|_| refused("it does not parse"))?;
    if !info.addr().is_supported() {
        return Err(refused("its scheme is not built in"));
    }
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    let info = info.set_redis_settings(settings);
    Client::open(info.clone()).map_err(|_| refused("the client refuses it"))?;
    Ok(info)
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("nodes", &self.nodes.len())
            .field("cluster", &self.cluster)
            .field("wait_max", &self.wait_max)
            .field("probe_every", &self.probe_every)
            .finish_non_exhaustive()
    }
}
