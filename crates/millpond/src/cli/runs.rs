//! `millpond runs` and `millpond quarantine`: what the sync jobs did, and what they could not take in.

use clap::Args;

use super::Context;
use crate::output::{Exit, Table, ago, grouped};

/// The most rows that are printed.
const ROWS_MAX: i64 = 1000;

/// The latest runs of sync jobs, newest first
#[derive(Debug, Args)]
pub(super) struct Runs {
    /// Only of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only of this resource, such as cin7.sale
    #[arg(long)]
    resource: Option<String>,
    /// Only those that ended so: running, done, partial, failed, stopped, lost
    #[arg(long, value_parser = ["running", "done", "partial", "failed", "stopped", "lost"])]
    state: Option<String>,
    /// Only runs before this number
    #[arg(long)]
    before: Option<i64>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=ROWS_MAX))]
    limit: i64,
}

impl Runs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let runs = database
            .store
            .runs(
                self.instance.as_deref(),
                self.resource.as_deref(),
                self.state.as_deref(),
                self.before,
                self.limit,
            )
            .await?;
        let now = jiff::Timestamp::now();
        context.output.answer(&runs, || {
            let mut table = Table::new([
                "run", "started", "instance", "resource", "kind", "state", "calls", "seen", "new",
                "changed", "gone", "failed", "why",
            ]);
            for run in &runs {
                table.row([
                    run.id.to_string(),
                    format!("{} ago", ago(run.started_at, now)),
                    run.instance.clone(),
                    run.resource.clone(),
                    run.kind.clone(),
                    run.state.clone(),
                    grouped(run.calls),
                    grouped(run.seen),
                    grouped(run.inserted),
                    grouped(run.updated),
                    grouped(run.deleted),
                    grouped(run.failed),
                    run.why.clone().unwrap_or_default(),
                ]);
            }
            table.to_string()
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Records that PostgreSQL cannot hold, kept as received
#[derive(Debug, Args)]
pub(super) struct Quarantine {
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=ROWS_MAX))]
    limit: i64,
}

impl Quarantine {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let refused = database.store.quarantined(self.limit).await?;
        let now = jiff::Timestamp::now();
        context.output.answer(&refused, || {
            if refused.is_empty() {
                return "nothing is in quarantine".to_owned();
            }
            let mut table = Table::new([
                "last seen",
                "resource",
                "instance",
                "id",
                "bytes",
                "seen",
                "reason",
            ]);
            for record in &refused {
                table.row([
                    format!("{} ago", ago(record.last_at, now)),
                    record.resource.clone(),
                    record.instance.clone(),
                    record.id.clone(),
                    grouped(record.bytes),
                    grouped(record.seen),
                    record.reason.clone(),
                ]);
            }
            table.to_string()
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}
