//! `millpond sync`, `status` and `verify`: the mirror against upstream, on demand.

use anyhow::Context as _;
use clap::Args;
use mirror::{Status, SyncAsk, VerifiedResource, VerifyAsk};
use store::ResourceName;

use super::Context;
use crate::{
    config::JobKind,
    instances::open_mirror,
    logging,
    output::{Exit, Table, ago, grouped, readable},
    progress::Display,
    signals::stop_on_signals,
};

/// Run sync jobs now, and return when they and the details that follow are in
///
/// Ctrl-C hands the rest back; the next sync or worker goes on there.
#[derive(Debug, Args)]
pub(super) struct Sync {
    /// Only this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only this resource, such as cin7.sale_header, and the details that follow from it
    #[arg(long)]
    resource: Option<ResourceName>,
    /// Only jobs of this kind
    #[arg(long, value_enum)]
    kind: Option<JobKind>,
}

impl Sync {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let mut loaded = context.load()?;
        quiet(&mut loaded);
        logging::start(&loaded.config.logs);
        let (database, mirror) = open(context, &loaded).await?;
        let stop = stop_on_signals()?;
        let display = Display::new(context.output.json, true);
        let ask = SyncAsk {
            instance: self.instance,
            resource: self.resource,
            kind: self.kind.map(|kind| kind.as_str().to_owned()),
        };
        let began = std::time::Instant::now();
        let report = mirror.sync(ask, stop, Some(display.listener())).await;
        display.finish();
        let report = report.context("the sync failed")?;
        context.output.answer(&report, || {
            let sum = |count: fn(&store::runs::Run) -> i64| grouped(report.runs.iter().map(count).sum());
            let failed = report.runs.iter().filter(|run| run.state != "done").count();
            format!(
                "{}: {} runs in {}, {failed} of them not whole; {} calls, {} records seen, {} new, {} changed, {} gone; \
                 {} details waiting",
                if report.complete { "in sync" } else { "not everything is in" },
                report.runs.len(),
                readable(began.elapsed()),
                sum(|run| run.calls),
                sum(|run| run.seen),
                sum(|run| run.inserted),
                sum(|run| run.updated),
                sum(|run| run.deleted),
                grouped(report.waiting),
            )
        })?;
        database.close().await;
        Ok(if report.complete {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}

/// Is the mirror fresh, what fails, what happens next
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only this instance
    #[arg(long)]
    instance: Option<String>,
}

impl StatusArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let mut loaded = context.load()?;
        quiet(&mut loaded);
        logging::start(&loaded.config.logs);
        let (database, mirror) = open(context, &loaded).await?;
        let mut status = mirror.status().await?;
        if let Some(name) = &self.instance {
            status.resources.retain(|row| row.instance == *name);
            status.connections.retain(|row| row.instance == *name);
            status.failing.retain(|row| row.instance == *name);
        }
        context.output.answer(&status, || show_status(&status))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// The state as text.
pub(crate) fn show_status(status: &Status) -> String {
    let now = jiff::Timestamp::now();
    let mut table = Table::new([
        "instance", "resource", "records", "as of", "waiting", "failing", "eta", "next run",
    ]);
    for row in &status.resources {
        table.row([
            row.instance.clone(),
            row.resource.clone(),
            grouped(row.records),
            row.as_of
                .map_or_else(|| "never".to_owned(), |at| format!("{} ago", ago(at, now))),
            grouped(row.waiting),
            grouped(row.failing),
            row.eta_secs
                .and_then(|secs| std::time::Duration::try_from_secs_f64(secs).ok())
                .map(readable)
                .unwrap_or_default(),
            row.next_run_at
                .map(|at| {
                    if at <= now {
                        "now".to_owned()
                    } else {
                        format!("in {}", ago(now, at))
                    }
                })
                .unwrap_or_default(),
        ]);
    }
    let mut text = table.to_string();
    for job in &status.failing {
        text.push_str(&format!(
            "failing: {} {} {}, {} times in a row; `millpond runs --instance {} --resource {}` says why\n",
            job.instance, job.resource, job.kind, job.failures, job.instance, job.resource
        ));
    }
    for connection in status
        .connections
        .iter()
        .filter(|c| c.set_aside_at.is_some())
    {
        text.push_str(&format!(
            "set aside: connection {} of {}: {}\n",
            connection.name,
            connection.instance,
            connection.set_aside_why.as_deref().unwrap_or("refused")
        ));
    }
    text.push_str(&format!(
        "snapshot {}, {} in quarantine\n",
        status.snapshot,
        grouped(status.quarantined)
    ));
    text
}

/// Compare the mirror with upstream: ids, counts, listings whole, and a sample of details word for word
///
/// Ends with 3 when there are differences that were not mended. What changed upstream after the last run is counted
/// as pending; the next run brings it.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Only this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only this resource
    #[arg(long)]
    resource: Option<ResourceName>,
    /// Details compared word for word, per resource; each costs a call
    #[arg(long, default_value_t = 50)]
    sample: usize,
    /// Mend what differs
    #[arg(long)]
    repair: bool,
    /// Picks the sample
    #[arg(long)]
    seed: Option<u64>,
}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let mut loaded = context.load()?;
        quiet(&mut loaded);
        logging::start(&loaded.config.logs);
        let (database, mirror) = open(context, &loaded).await?;
        let ask = VerifyAsk {
            instance: self.instance,
            resource: self.resource,
            sample: self.sample,
            repair: self.repair,
            seed: self.seed.unwrap_or_else(rand::random),
        };
        let tell = |row: &VerifiedResource| {
            eprintln!(
                "verified {} {}: {}",
                row.instance,
                row.resource,
                verdict(row)
            );
        };
        let listener: Option<&(dyn Fn(&VerifiedResource) + Send + std::marker::Sync)> =
            if context.output.json {
                None
            } else {
                Some(&tell)
            };
        let report = mirror
            .verify(ask, listener)
            .await
            .context("the verification failed")?;
        context.output.answer(&report, || {
            let mut table = Table::new([
                "instance",
                "resource",
                "upstream",
                "mirror",
                "compared",
                "missing",
                "extra",
                "differing",
                "outdated",
                "pending",
                "repaired",
                "calls",
            ]);
            for row in &report.resources {
                table.row([
                    row.instance.clone(),
                    row.resource.clone(),
                    count(row.upstream),
                    count(row.mirror),
                    count(row.compared),
                    count(row.missing.count),
                    count(row.extra.count),
                    count(row.differing.count),
                    count(row.outdated.count),
                    count(row.pending),
                    count(row.repaired),
                    count(row.calls),
                ]);
            }
            let errors = report
                .resources
                .iter()
                .filter(|row| row.error.is_some())
                .count();
            let end = match (report.is_clean(), errors) {
                (true, 0) => "the mirror equals upstream".to_owned(),
                (true, n) => format!("{n} resources could not be verified whole"),
                (false, _) => "the mirror differs from upstream; --repair mends it".to_owned(),
            };
            format!("{table}{} calls; {end}", count(report.calls))
        })?;
        database.close().await;
        let is_whole = report.resources.iter().all(|row| row.error.is_none());
        Ok(match (report.is_clean(), is_whole) {
            (false, _) => Exit::Differences,
            (true, false) => Exit::Failed,
            (true, true) => Exit::Done,
        })
    }
}

fn verdict(row: &VerifiedResource) -> String {
    let mut text = match row.differences() {
        0 => "equal".to_owned(),
        n => format!("{n} differences, {} mended", row.repaired),
    };
    for (what, found) in [
        ("missing", &row.missing),
        ("extra", &row.extra),
        ("differing", &row.differing),
        ("outdated", &row.outdated),
    ] {
        if found.count > 0 {
            text.push_str(&format!("; {what}: {}", found.ids.join(" ")));
            if found.count > found.ids.len() as u64 {
                text.push_str(" …");
            }
        }
    }
    if let Some(error) = &row.error {
        text.push_str(&format!("; not whole: {error}"));
    }
    text
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Warnings only; the driver's about slow statements are not for those who wait for an answer.
pub(super) const QUIET: &str = "warn,sqlx=error";

/// A command that answers and ends logs warnings only, unless somebody asked for more.
fn quiet(loaded: &mut crate::config::Loaded) {
    let standard = crate::config::LogsConfig::default().filter;
    if loaded.config.logs.filter == standard {
        loaded.config.logs.filter = QUIET.to_owned();
    }
}

pub(crate) async fn open(
    context: &Context,
    loaded: &crate::config::Loaded,
) -> anyhow::Result<(crate::database::Database, mirror::Mirror)> {
    if loaded.config.instances.is_empty() {
        let message =
            "there is no [[instance]] in the configuration; `millpond config example` shows one";
        return Err(super::Usage(message.to_owned()).into());
    }
    let database = crate::database::Database::open(loaded, &context.environment).await?;
    let mirror = open_mirror(loaded, &context.environment, database.store.clone()).await?;
    Ok((database, mirror))
}
