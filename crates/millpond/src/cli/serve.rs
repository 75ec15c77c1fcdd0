//! `millpond serve` and `millpond worker`: the processes that stay.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use mirror::{Listener, Mirror};
use store::Store;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{Context, Usage, config::missing_secrets};
use crate::{
    config::{CacheStore, Loaded},
    database::Database,
    hot::OwnFamilies,
    http::{self, App, guard::ApiKeys},
    instances::open_hot_mirror,
    logging,
    output::Exit,
    secrets::Secrets,
    signals::stop_on_signals,
    webhooks::Webhooks,
};

/// How often the past beyond `retention.history` is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Keep the mirror in sync, and answer over HTTP
///
/// Any number of servers and workers may share one database: leases in PostgreSQL see to it that each job runs once.
/// Ctrl-C or SIGTERM finishes what is under way within `server.grace`; a second one stops at once.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address and port, instead of `server.listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Answer only; workers elsewhere keep the mirror in sync
    #[arg(long)]
    no_sync: bool,
}

/// Serve as while developing: with the call log on if asked for
#[derive(Debug, Args)]
pub(super) struct Dev {
    #[command(flatten)]
    serve: Serve,
    /// Write each call to an upstream to the call log, whatever configuration says
    #[arg(long)]
    log: bool,
}

impl Dev {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let mut loaded = context.load()?;
        loaded.config.call_log.on |= self.log;
        self.serve.run_with(context, loaded).await
    }
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let loaded = context.load()?;
        self.run_with(context, loaded).await
    }

    async fn run_with(self, context: &Context, mut loaded: Loaded) -> anyhow::Result<Exit> {
        if let Some(listen) = self.listen {
            loaded.config.server.listen = listen;
        }
        let (stop, secrets) = begin(&loaded, context)?;
        let keys = api_keys(&loaded, &secrets)?;
        let listener = http::bind(loaded.config.server.listen).await?;
        let database = Database::open(&loaded, &context.environment).await?;
        let listen = loaded.config.server.listen;
        let needs_key = !listen.ip().is_loopback() && keys.is_empty();
        if needs_key && database.store.key_hasher().await?.is_none() {
            let message = format!(
                "{listen} can be reached by others, and there is no key to show: make one with `millpond init`, name \
                 one in `server.api_keys`, or listen on 127.0.0.1"
            );
            return Err(Usage(message).into());
        }
        let (mirror, own) =
            open_hot_mirror(&loaded, &context.environment, database.store.clone()).await?;
        let worker = (!self.no_sync).then(|| work(&mirror, &own, &loaded, &stop));
        let served = answer(mirror, own, &loaded, keys, listener, &stop).await;
        stop.cancel();
        if let Some(worker) = worker {
            finish(worker, loaded.config.server.grace.0).await;
        }
        database.close().await;
        served?;
        Ok(Exit::Done)
    }
}

/// Keep the mirror in sync, without answering
#[derive(Debug, Args)]
pub(super) struct Worker {}

impl Worker {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let mut loaded = context.load()?;
        let (stop, _) = begin(&loaded, context)?;
        if loaded.config.instances.is_empty() {
            let message =
                "there is no [[instance]] to keep in sync; `millpond config example` shows one";
            return Err(Usage(message.to_owned()).into());
        }
        let database = Database::open(&loaded, &context.environment).await?;
        // Copies in this process would serve nobody.
        let cache = &mut loaded.config.cache;
        cache.two_tier = false;
        if matches!(cache.store, None | Some(CacheStore::Memory)) {
            cache.store = Some(CacheStore::Off);
        }
        let (mirror, own) =
            open_hot_mirror(&loaded, &context.environment, database.store.clone()).await?;
        let worker = work(&mirror, &own, &loaded, &stop);
        stop.cancelled().await;
        finish(worker, loaded.config.server.grace.0).await;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Starts the log, listens to signals, and sees to it that no secret is missing.
fn begin(loaded: &Loaded, context: &Context) -> anyhow::Result<(CancellationToken, Secrets)> {
    logging::start(&loaded.config.logs);
    let secrets = Secrets::new(context.environment.clone(), &loaded.base);
    let missing = missing_secrets(&loaded.config, &secrets);
    if !missing.is_empty() {
        return Err(Usage(missing.join("\n")).into());
    }
    let stop = stop_on_signals().context("cannot listen to signals")?;
    Ok((stop, secrets))
}

fn api_keys(loaded: &Loaded, secrets: &Secrets) -> anyhow::Result<ApiKeys> {
    let keys = loaded.config.server.api_keys.iter();
    let keys: Result<Vec<_>, String> = keys.map(|key| secrets.resolve(key)).collect();
    let hooks = http::hooks::hook_secrets(loaded, secrets).map_err(Usage)?;
    Ok(ApiKeys::new(keys.map_err(Usage)?).with_hooks(hooks))
}

/// Answers requests until `stop`.
pub(crate) async fn answer(
    mirror: Mirror,
    own: OwnFamilies,
    loaded: &Loaded,
    keys: ApiKeys,
    listener: TcpListener,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let address = listener
        .local_addr()
        .context("cannot tell our own address")?;
    let instances = mirror.instances().join(", ");
    let app = App::open(mirror, own, loaded, keys, stop.clone()).await?;
    tracing::info!("millpond answers at http://{address}; instances: {instances}");
    http::serve(app, listener, loaded.config.server.grace.0).await
}

/// Keeps the mirror in sync, and forgets what is older than configuration wants, until `stop`.
fn work(
    mirror: &Mirror,
    own: &OwnFamilies,
    loaded: &Loaded,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let memory = own.memory(mirror, &loaded.config);
    let (mirror, stop) = (mirror.clone(), stop.clone());
    let history = loaded.config.retention.history.0;
    let orders = loaded.config.orders.clone();
    let webhooks = loaded.config.webhooks.clone();
    let listener: Listener = Arc::new(|progress| http::metrics::count_progress(&progress));
    let owner = owner();
    tokio::spawn(async move {
        let store = mirror.store().clone();
        let worked = mirror.work(&owner, stop.clone(), Some(listener));
        let forgotten = forget(&store, history, &stop);
        let filler = crate::orders::Orders::new(mirror.clone());
        let filled = filler.keep(&orders, &owner, &stop);
        let remembered = memory.keep(&stop);
        let told = async {
            match Webhooks::new(store.clone(), &webhooks) {
                Ok(webhooks) => webhooks.keep(&owner, &stop).await,
                Err(error) => {
                    tracing::error!(
                        error = super::chain_of(&error),
                        "webhooks are not delivered"
                    );
                }
            }
        };
        let (worked, (), (), (), ()) = tokio::join!(worked, forgotten, filled, remembered, told);
        if let Err(error) = worked {
            tracing::error!(error = super::chain_of(&error), "the worker has ended");
        }
    })
}

async fn forget(store: &Store, history: Duration, stop: &CancellationToken) {
    loop {
        match jiff::Timestamp::now().checked_sub(history) {
            Ok(before) => match store.forget_before(before).await {
                Ok((0, 0)) => {}
                Ok((changes, versions)) => {
                    tracing::info!(changes, versions, "forgot what is older than {before}");
                }
                Err(error) => {
                    tracing::warn!(error = super::chain_of(&error), "could not forget the past");
                }
            },
            Err(error) => tracing::warn!(%error, "`retention.history` reaches beyond time"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

async fn finish(worker: JoinHandle<()>, grace: Duration) {
    let abort = worker.abort_handle();
    if tokio::time::timeout(grace, worker).await.is_err() {
        abort.abort();
        tracing::warn!(
            "runs under way were cut off {grace:?} after the order to stop; their leases run out"
        );
    }
}

/// How this process is called in leases and runs: machine and process id.
pub(crate) fn owner() -> String {
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy().into_owned();
    format!("{machine}:{}", std::process::id())
}
