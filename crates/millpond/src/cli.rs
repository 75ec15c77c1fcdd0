//! The command line: what can be asked, and how the process ends.

mod cache;
mod calls;
mod changes;
mod config;
mod connections;
mod connector;
mod demo;
mod events;
mod freshness;
mod init;
mod keys;
mod mcp;
mod memory;
mod orders;
mod page;
mod rates;
mod records;
mod runs;
mod schedule;
pub(crate) mod serve;
mod simulate;
mod snapshots;
mod sources;
mod sql;
mod sweep;
pub(crate) mod sync;
mod tenants;
mod webhooks;

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use page::page;

use crate::{
    config::{ConfigError, Loaded, load},
    database::Database,
    environment::Environment,
    output::{Exit, Output},
};

const EXAMPLES: &str = "\
Examples:
  millpond demo                                  see it work on real orders, with nothing set up
  millpond config example > millpond.toml        begin a configuration
  millpond config check                          what holds, and where it comes from
  millpond serve                                 mirror, and answer over HTTP
  millpond get cin7.sale cin7-au ID --max-age 5m one record, at most five minutes old
  millpond search cin7.sale Order.Lines[].SKU=85123A 'SaleOrderDate>=2026-01-01'
  millpond sql 'SELECT instance, count(*) FROM cin7.sale GROUP BY 1'

Exit codes:
  0 done   1 tried and failed   2 wrong command line or configuration
  3 done, and differences were found   4 what was asked for is not there";

/// A live, queryable PostgreSQL copy of rate-limited business SaaS.
#[derive(Debug, Parser)]
#[command(name = "millpond", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    /// The configuration file. Default: MILLPOND_CONFIG, else millpond.toml here if it exists
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Dev(serve::Dev),
    Worker(serve::Worker),
    Sync(sync::Sync),
    Status(sync::StatusArgs),
    Sweep(sweep::Sweep),
    Verify(sync::Verify),
    Sql(sql::Sql),
    Get(records::Get),
    Search(records::Search),
    #[command(subcommand)]
    Rates(rates::Rates),
    Runs(runs::Runs),
    Quarantine(runs::Quarantine),
    Changes(changes::Changes),
    Snapshots(snapshots::Snapshots),
    Events(events::Events),
    Sources(sources::Sources),
    Init(init::Init),
    Remember(memory::Remember),
    Recall(memory::Recall),
    Mcp(mcp::Mcp),
    #[command(subcommand)]
    Tenants(tenants::Tenants),
    #[command(subcommand)]
    Projects(tenants::Projects),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Webhooks(webhooks::WebhooksCommand),
    #[command(subcommand)]
    Calls(calls::Calls),
    #[command(subcommand)]
    Cache(cache::Cache),
    #[command(subcommand)]
    Connections(connections::Connections),
    Schedule(schedule::Schedule),
    Explain(freshness::Explain),
    Forecast(freshness::Forecast),
    #[command(subcommand)]
    Connector(connector::ConnectorCommand),
    #[command(subcommand)]
    Simulate(simulate::Simulate),
    #[command(subcommand)]
    Orders(orders::Orders),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the page of all commands, as Markdown
    #[command(hide = true)]
    CliPage,
}

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) file: Option<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) output: Output,
}

impl Context {
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        load(self.file.as_deref(), &self.environment)
    }

    pub(crate) async fn open(&self) -> anyhow::Result<(Loaded, Database)> {
        let loaded = self.load()?;
        let database = Database::open(&loaded, &self.environment).await?;
        Ok((loaded, database))
    }
}

/// Runs the command line `args` to its end.
pub fn main(args: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            let _ = error.print();
            return ExitCode::from(exit as u8);
        }
    };
    let context = Context {
        file: cli.config,
        environment,
        output: Output { json: cli.json },
    };
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(cli.command.run(&context)));
    let exit = ended.unwrap_or_else(|error| report(&error));
    ExitCode::from(exit as u8)
}

impl Command {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Demo(demo) => demo.run(context).await,
            Self::Simulate(simulate) => simulate.run(context).await,
            Self::Serve(serve) => serve.run(context).await,
            Self::Dev(dev) => dev.run(context).await,
            Self::Worker(worker) => worker.run(context).await,
            Self::Sync(sync) => sync.run(context).await,
            Self::Status(status) => status.run(context).await,
            Self::Sweep(sweep) => sweep.run(context).await,
            Self::Verify(verify) => verify.run(context).await,
            Self::Sql(sql) => sql.run(context).await,
            Self::Get(get) => get.run(context).await,
            Self::Search(search) => search.run(context).await,
            Self::Rates(rates) => rates.run(context).await,
            Self::Runs(runs) => runs.run(context).await,
            Self::Quarantine(quarantine) => quarantine.run(context).await,
            Self::Changes(changes) => changes.run(context).await,
            Self::Snapshots(snapshots) => snapshots.run(context).await,
            Self::Events(events) => events.run(context).await,
            Self::Sources(sources) => sources.run(context).await,
            Self::Init(init) => init.run(context).await,
            Self::Remember(remember) => remember.run(context).await,
            Self::Recall(recall) => recall.run(context).await,
            Self::Mcp(mcp) => mcp.run(context).await,
            Self::Tenants(tenants) => tenants.run(context).await,
            Self::Projects(projects) => projects.run(context).await,
            Self::Keys(keys) => keys.run(context).await,
            Self::Webhooks(webhooks) => webhooks.run(context).await,
            Self::Calls(calls) => calls.run(context).await,
            Self::Cache(cache) => cache.run(context).await,
            Self::Connections(connections) => connections.run(context).await,
            Self::Schedule(schedule) => schedule.run(context).await,
            Self::Explain(explain) => explain.run(context).await,
            Self::Forecast(forecast) => forecast.run(context).await,
            Self::Connector(connector) => connector.run(context),
            Self::Orders(orders) => orders.run(context).await,
            Self::Config(config) => config.run(context),
            Self::CliPage => {
                context.output.line(&page())?;
                Ok(Exit::Done)
            }
        }
    }
}

/// A command line that names something wrong; ends with [`Exit::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Prints the whole chain of causes once, and what to do; answers how the process ends.
fn report(error: &anyhow::Error) -> Exit {
    // Whoever reads our output has seen enough.
    let closed = error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    if closed {
        return Exit::Done;
    }
    eprintln!("error: {}", chain_of(error.as_ref()));
    if let Some(advice) = advice(error) {
        eprintln!("hint: {advice}");
    }
    let is_usage = error.is::<ConfigError>() || error.is::<Usage>();
    if is_usage { Exit::Usage } else { Exit::Failed }
}

/// An error and its causes, each once: some errors of libraries repeat theirs.
pub(crate) fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

fn advice(error: &anyhow::Error) -> Option<&'static str> {
    if error.is::<ConfigError>() {
        return Some("`millpond config reference` prints what may stand there");
    }
    let away = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<store::StoreError>())
        .any(store::StoreError::is_away);
    away.then_some(
        "is PostgreSQL running there? Unset DATABASE_URL to let Millpond run a server of its own; \
         `millpond config check` says which database is meant",
    )
}
