//! The running simulator: its handle, its accounts, and what tests may do to it.

use super::data::DataSet;
use super::handle;
use super::options::Options;
use super::truth::Truth;
use super::world::World;
use super::{Cin7Error, Result};
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
pub struct Cin7 {
    service: Arc<Service>,
    addr: SocketAddr,
    server: Option<JoinHandle<()>>,
    courier: Option<JoinHandle<()>>,
}

/// What all calls share.
pub(crate) struct Service {
    pub options: Options,
    pub clock: Clock,
    pub worlds: Vec<RwLock<World>>,
    pub limiter: Limiter,
    pub faults: Faults,
    pub tap: Wiretap,
    /// Rung when a webhook may be due.
    pub post: tokio::sync::Notify,
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// How long [`Cin7::stop`] waits for answers that are being written.
const STOP_WAIT_MAX: Duration = Duration::from_secs(2);

impl Cin7 {
    /// Builds the accounts and listens on `addr`; port 0 takes a free one. Returns once calls are accepted.
    ///
    /// # Errors
    ///
    /// [`Cin7Error::Listen`] when the address cannot be had, [`Cin7Error::TwinAccounts`] when two accounts share an id.
    /// Nothing is left running then.
    pub async fn start(options: Options, addr: SocketAddr) -> Result<Cin7> {
        for (at, account) in options.accounts.iter().enumerate() {
            let twin =
                |other: &super::Account| other.account_id.eq_ignore_ascii_case(&account.account_id);
            if options.accounts[..at].iter().any(twin) {
                return Err(Cin7Error::TwinAccounts {
                    account_id: account.account_id.clone(),
                });
            }
        }
        let listen = |source| Cin7Error::Listen { addr, source };
        let listener = tokio::net::TcpListener::bind(addr).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        // Building takes up to seconds of pure computing: not on a thread that serves others.
        let built = tokio::task::spawn_blocking(move || build(options)).await;
        let service = Arc::new(built.map_err(|_| Cin7Error::Data {
            what: "cannot be made into accounts",
        })??);
        let app = axum::Router::new()
            .fallback(handle::handle)
            .with_state(service.clone())
            .into_make_service_with_connect_info::<Wire>();
        let stopped = service.stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            // Serving never ends with an error: the listener retries.
            drop(
                axum::serve(Wires(listener), app)
                    .with_graceful_shutdown(stopped)
                    .await,
            );
        });
        let courier = tokio::spawn(super::webhook::courier(service.clone()));
        Ok(Cin7 {
            service,
            addr,
            server: Some(server),
            courier: Some(courier),
        })
    }

    /// Where clients point: `http://127.0.0.1:PORT/ExternalApi/v2`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}/ExternalApi/v2", self.addr)
    }

    /// The address listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.service.options
    }

    /// Business time. Stamps of documents come from it.
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

    /// All documents of an account as they would be answered now, without limit, fault or wiretap.
    ///
    /// # Panics
    ///
    /// When there is no such account: a mistake in the test.
    pub fn truth(&self, account_id: &str) -> Truth {
        Truth::new(self.service.clone(), self.service.account(account_id))
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

    /// Changes an account from a test.
    pub(crate) fn world(&self, account_id: &str) -> RwLockWriteGuard<'_, World> {
        self.service.write(self.service.account(account_id))
    }
}

impl Drop for Cin7 {
    fn drop(&mut self) {
        self.service.stop.cancel();
    }
}

fn build(options: Options) -> Result<Service> {
    let data = DataSet::load()?;
    let clock = Clock::starting_at(options.start_at.unwrap_or_else(jiff::Timestamp::now));
    let worlds = options
        .accounts
        .iter()
        .map(|account| RwLock::new(World::build(&options, account, &clock, &data)));
    Ok(Service {
        worlds: worlds.collect(),
        options,
        clock,
        limiter: Limiter::default(),
        faults: Faults::default(),
        tap: Wiretap::default(),
        post: tokio::sync::Notify::new(),
        stop: CancellationToken::new(),
    })
}

impl Service {
    /// Position of an account.
    pub(crate) fn find_account(&self, account_id: &str) -> Option<usize> {
        self.options
            .accounts
            .iter()
            .position(|a| a.account_id.eq_ignore_ascii_case(account_id))
    }

    fn account(&self, account_id: &str) -> usize {
        match self.find_account(account_id) {
            Some(at) => at,
            None => panic!("the simulator has no account `{account_id}`"),
        }
    }

    pub(crate) fn read(&self, at: usize) -> RwLockReadGuard<'_, World> {
        self.worlds[at]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self, at: usize) -> RwLockWriteGuard<'_, World> {
        self.worlds[at]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
