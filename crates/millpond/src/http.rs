//! The HTTP API: what can be asked of a mirror over the network.

pub mod cache;
mod caller;
mod conditional;
pub mod declared;
pub mod error;
mod events;
mod facets;
mod freshness;
pub mod guard;
pub mod hooks;
mod journal;
mod keys;
mod memory;
pub mod metrics;
pub mod openapi;
mod operator;
mod orders;
mod payloads;
mod pinned;
mod projects;
mod query;
mod rates;
mod records;
mod resources;
mod router;
mod saved;
mod snapshots;
mod sql;
mod state;
mod tenants;
mod webhooks;

use std::{future::IntoFuture as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use mirror::Mirror;
use store::{
    ResourceName, Store,
    events::Ear,
    reader::{Limits, Reader},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Access, Caller},
    config::{Config, Loaded},
    hot::OwnFamilies,
    memory::Memory,
    webhooks::Webhooks,
};

pub use self::guard::{KnownBy, known_by};
pub use self::router::{ROUTES, api, router};
use self::{error::ApiError, guard::ApiKeys, operator::House};

/// What every request can reach. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    mirror: Mirror,
    own: OwnFamilies,
    /// Which families each route read.
    routes: Arc<::cache::Routes>,
    ear: Ear,
    /// Or why there is no door for SQL.
    reader: Result<Reader, String>,
    sql_limits: Limits,
    access: Access,
    memory: Memory,
    webhooks: Webhooks,
    body_bytes_max: usize,
    request_timeout: Duration,
    metrics: PrometheusHandle,
    house: House,
    stop: CancellationToken,
}

impl App {
    /// Opens the doors on `mirror`, whose cache from now on hears of what other processes write. They close when
    /// `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// Metrics cannot be counted in this process. A role for SQL that cannot be made is no error here: the SQL door
    /// then says why.
    pub async fn open(
        mirror: Mirror,
        own: OwnFamilies,
        loaded: &Loaded,
        keys: ApiKeys,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let reader = Reader::open(mirror.store().pool(), config.sql.concurrent_max)
            .await
            .map_err(|error| crate::cli::chain_of(&error));
        if let Err(why) = &reader {
            tracing::error!("SQL queries are not answered: {why}");
        }
        let locked_out = reader.as_ref().ok().and_then(Reader::tenants_locked_out);
        if let Some(why) = locked_out {
            tracing::warn!(
                "tenants' SQL and searches are not answered: {}",
                crate::cli::chain_of(why)
            );
        }
        let is_local = config.server.listen.ip().is_loopback();
        let cache = mirror.hot().cache().clone();
        let memory = own.memory(&mirror, config);
        let webhooks = Webhooks::new(mirror.store().clone(), &config.webhooks)?;
        let access = Access::new(mirror.store().clone(), keys, is_local, cache, own.clone());
        let (hears, until) = (access.clone(), stop.clone());
        tokio::spawn(async move { hears.hear(until).await });
        let (books, until) = (access.clone(), stop.clone());
        tokio::spawn(async move { books.keep_books(until).await });
        let (followed, until) = (mirror.clone(), stop.clone());
        tokio::spawn(async move { followed.follow(until).await });
        let (counted, until) = (metrics::start()?, stop.clone());
        tokio::spawn(async move { metrics::keep_up(&counted, until).await });
        Ok(Self {
            inner: Arc::new(Inner {
                own,
                routes: Arc::default(),
                ear: Ear::new(mirror.store().clone()),
                mirror,
                reader,
                sql_limits: sql_limits(config),
                access,
                memory,
                webhooks,
                body_bytes_max: config.server.body_bytes_max,
                request_timeout: config.server.request_timeout.0,
                metrics: metrics::start()?,
                house: House::of(loaded),
                stop,
            }),
        })
    }

    fn mirror(&self) -> &Mirror {
        &self.inner.mirror
    }

    /// What sessions of the console are sealed with, the same for all processes on one database.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn console_secret(&self) -> anyhow::Result<String> {
        Ok(self.store().console_secret().await?)
    }

    /// Whom a credential stands for; `None`: nobody.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn caller_with(&self, credential: &str) -> anyhow::Result<Option<Caller>> {
        Ok(self.inner.access.caller(credential.as_bytes()).await?)
    }

    /// The families besides the mirror's.
    pub fn own(&self) -> &OwnFamilies {
        &self.inner.own
    }

    fn routes(&self) -> &Arc<::cache::Routes> {
        &self.inner.routes
    }

    fn store(&self) -> &Store {
        self.inner.mirror.store()
    }

    fn ear(&self) -> &Ear {
        &self.inner.ear
    }

    fn reader(&self) -> Result<&Reader, ApiError> {
        self.inner
            .reader
            .as_ref()
            .map_err(|why| ApiError::unavailable("sql_not_ready", why.clone()))
    }

    fn sql_limits(&self) -> &Limits {
        &self.inner.sql_limits
    }

    fn sql_timeout(&self) -> Duration {
        self.inner.sql_limits.timeout
    }

    /// Who asks, and what they see.
    pub fn access(&self) -> &Access {
        &self.inner.access
    }

    fn house(&self) -> &House {
        &self.inner.house
    }

    /// What can be recalled.
    pub fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    /// Who is told of changes.
    pub fn webhooks(&self) -> &Webhooks {
        &self.inner.webhooks
    }

    fn body_bytes_max(&self) -> usize {
        self.inner.body_bytes_max
    }

    fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    fn render_metrics(&self) -> String {
        self.inner.metrics.render()
    }

    /// The resource whose watermark says how fresh the records of `resource` are.
    fn feed(&self, resource: &ResourceName) -> Result<ResourceName, ApiError> {
        let known = self.mirror().resource(resource);
        known.map(|info| info.feed).ok_or_else(|| {
            let names: Vec<String> = self
                .mirror()
                .resources()
                .iter()
                .map(|info| info.name.to_string())
                .collect();
            ApiError::not_found(format!("there is no resource `{resource}`"))
                .hint(format!("there is: {}", names.join(", ")))
        })
    }
}

/// The bounds of SQL queries that configuration sets.
pub fn sql_limits(config: &Config) -> Limits {
    Limits {
        rows_max: config.sql.rows_max,
        bytes_max: config.sql.bytes_max,
        cell_chars_max: config.sql.cell_chars_max,
        timeout: config.sql.timeout.0,
        cost_max: config.sql.cost_max,
        estimates: false,
    }
}

/// Takes the address.
///
/// # Errors
///
/// Another program has it, or it is not ours to take; the message says what to do.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                ": another program has this port, perhaps another `millpond serve`; stop it, or choose another \
                 address with --listen"
            }
            std::io::ErrorKind::PermissionDenied => ": ports below 1024 belong to root",
            std::io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
            _ => "",
        };
        anyhow::Error::new(error).context(format!("cannot listen on {address}{advice}"))
    })
}

/// Answers requests until the app's stop is cancelled, then for at most `grace` those under way.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(app: App, listener: TcpListener, grace: Duration) -> anyhow::Result<()> {
    let stop = app.stop().clone();
    // An answer that is ready goes out, without waiting for the caller to acknowledge the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let served = axum::serve(listener, router(app)).with_graceful_shutdown({
        let stop = stop.clone();
        async move { stop.cancelled().await }
    });
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = served.into_future() => ended.context("the HTTP server failed"),
        () = over => {
            tracing::warn!("requests under way were cut off {grace:?} after the order to stop");
            Ok(())
        }
    }
}
