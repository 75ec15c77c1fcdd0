//! The running simulator: its handle, its company, and what tests may do to it.

use super::callbacks;
use super::handle;
use super::options::Options;
use super::tls::{Identity, TlsWires};
use super::truth::Truth;
use super::world::World;
use super::{ConnectWiseError, Result};
use crate::clock::Clock;
use crate::faults::Faults;
use crate::limiter::Limiter;
use crate::wire::{Wire, Wires};
use crate::wiretap::Wiretap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running simulator. Dropping the handle stops it without waiting.
#[derive(Debug)]
pub struct ConnectWise {
    service: Arc<Service>,
    addr: SocketAddr,
    certificate: Option<String>,
    server: Option<JoinHandle<()>>,
    courier: Option<JoinHandle<()>>,
}

/// What all calls share.
pub(crate) struct Service {
    pub options: Options,
    pub clock: Clock,
    pub world: RwLock<World>,
    /// The codebase served now; an upgrade changes it.
    pub codebase: RwLock<String>,
    pub limiter: Limiter,
    pub faults: Faults,
    pub tap: Wiretap,
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// How long [`ConnectWise::stop`] waits for answers that are being written.
const STOP_WAIT_MAX: Duration = Duration::from_secs(2);

impl ConnectWise {
    /// Makes the company and listens on `addr`; port 0 takes a free one. Returns once calls are accepted.
    ///
    /// # Errors
    ///
    /// [`ConnectWiseError::Listen`] when the address cannot be had, [`ConnectWiseError::Certificate`] when none can be
    /// made, [`ConnectWiseError::NoKeys`] when nobody could call. Nothing is left running then.
    pub async fn start(options: Options, addr: SocketAddr) -> Result<ConnectWise> {
        if options.company.keys.is_empty() {
            return Err(ConnectWiseError::NoKeys);
        }
        let listen = |source| ConnectWiseError::Listen { addr, source };
        let listener = tokio::net::TcpListener::bind(addr).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let identity = match options.tls {
            true => Some(Identity::make(addr)?),
            false => None,
        };
        let certificate = identity.as_ref().map(|identity| identity.pem.clone());
        let codebase = options.codebase.clone();
        let scheme = if options.tls { "https" } else { "http" };
        let host = options
            .link_host
            .clone()
            .unwrap_or_else(|| addr.to_string());
        let base = format!("{scheme}://{host}/{codebase}/apis/3.0");
        let start_at = options.start_at.unwrap_or_else(jiff::Timestamp::now);
        let clock = Clock::starting_at(start_at);
        let of = (options.clone(), clock.clone());
        // Making the records is pure computing: not on a thread that serves others.
        let made = tokio::task::spawn_blocking(move || super::seed::world(of.0, of.1, base)).await;
        let mut world = made.map_err(|_| ConnectWiseError::World)?;
        let (post, letters) = tokio::sync::mpsc::channel(callbacks::WAITING_MAX);
        world.callbacks.post = Some(post);
        let service = Arc::new(Service {
            options,
            clock,
            world: RwLock::new(world),
            codebase: RwLock::new(codebase),
            limiter: Limiter::default(),
            faults: Faults::default(),
            tap: Wiretap::default(),
            stop: CancellationToken::new(),
        });
        let app = axum::Router::new()
            .fallback(handle::handle)
            .with_state(service.clone());
        let stopped = service.stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            // Serving never ends with an error: the listener retries.
            match identity {
                None => drop(
                    axum::serve(
                        Wires(listener),
                        app.into_make_service_with_connect_info::<Wire>(),
                    )
                    .with_graceful_shutdown(stopped)
                    .await,
                ),
                Some(identity) => drop(
                    axum::serve(
                        TlsWires::new(Wires(listener), identity),
                        app.into_make_service_with_connect_info::<Wire>(),
                    )
                    .with_graceful_shutdown(stopped)
                    .await,
                ),
            }
        });
        let courier = tokio::spawn(callbacks::courier(service.clone(), letters));
        Ok(ConnectWise {
            service,
            addr,
            certificate,
            server: Some(server),
            courier: Some(courier),
        })
    }

    /// Where clients point: `http://127.0.0.1:PORT/v4_6_release/apis/3.0`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("{}/v4_6_release/apis/3.0", self.site_url())
    }

    /// Scheme, host and port: what stands before `/login/companyinfo/…`.
    pub fn site_url(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.addr)
    }

    /// The address listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate to trust, in PEM, when it serves https.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.service.options
    }

    /// Business time. Stamps of records come from it.
    pub fn clock(&self) -> &Clock {
        &self.service.clock
    }

    /// The switches of misbehaviour.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The record of every request received.
    pub fn wiretap(&self) -> Wiretap {
        self.service.tap.clone()
    }

    /// Gives every key a fresh call limit.
    pub fn reset_limits(&self) {
        self.service.limiter.reset();
    }

    /// Everything as it would be answered now, without limit, fault or wiretap.
    pub fn truth(&self) -> Truth {
        Truth::new(self.service.clone())
    }

    /// Upgrades the tenant: `companyinfo` names the new codebase, and the old one is gone.
    pub fn upgrade(&self, codebase: &str) {
        *self
            .service
            .codebase
            .write()
            .unwrap_or_else(PoisonError::into_inner) = codebase.to_owned();
    }

    /// How many callbacks found no room in the queue.
    pub fn callbacks_dropped(&self) -> u64 {
        self.service.read().callbacks.dropped
    }

    /// Stops accepting calls, lets running ones end for up to two seconds, and returns when the port is free.
    pub async fn stop(mut self) {
        self.service.stop.cancel();
        for task in [self.server.take(), self.courier.take()]
            .into_iter()
            .flatten()
        {
            let abort = task.abort_handle();
            if tokio::time::timeout(STOP_WAIT_MAX, task).await.is_err() {
                abort.abort();
            }
        }
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }
}

impl Drop for ConnectWise {
    fn drop(&mut self) {
        self.service.stop.cancel();
    }
}

impl Service {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn codebase(&self) -> String {
        self.codebase
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
