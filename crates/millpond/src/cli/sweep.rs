//! `millpond sweep`: fetch the hot values that ran out, now.

use anyhow::Context as _;
use clap::Args;
use mirror::SweepReport;

use super::{Context, Usage, serve::owner, sync::open};
use crate::{
    logging,
    output::{Exit, Table, grouped, readable},
    signals::stop_on_signals,
};

/// Fetch hot values that ran out, now and once, and print what it came to
///
/// A sweep looks after the records and payloads that its connector names, the latest changed first: what is hot, or
/// fresh in the mirror, costs no call. It shares the lease of the scheduled sweep, so that two never overlap; the next
/// scheduled one counts from its start. `millpond schedule` shows all sweeps.
///
/// Ctrl-C ends it after the batch under way.
#[derive(Debug, Args)]
pub(super) struct Sweep {
    /// Which sweep, such as opportunities
    name: String,
    /// Only in this instance. Default: in all that have it
    #[arg(long)]
    instance: Option<String>,
}

impl Sweep {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let loaded = context.load()?;
        logging::start(&loaded.config.logs);
        let (database, mirror) = open(context, &loaded).await?;
        let stop = stop_on_signals()?;
        let swept = mirror
            .sweep(&self.name, self.instance.as_deref(), &owner(), &stop)
            .await;
        database.close().await;
        let reports = match swept {
            Err(error @ mirror::MirrorError::Unknown { .. }) => {
                return Err(Usage(error.to_string()).into());
            }
            swept => swept.context("the sweep did not begin")?,
        };
        context.output.answer(&reports, || show(&reports))?;
        let whole = reports.iter().all(|report| report.state == "done");
        Ok(if whole { Exit::Done } else { Exit::Failed })
    }
}

fn show(reports: &[SweepReport]) -> String {
    let mut table = Table::new([
        "instance", "run", "state", "records", "values", "fresh", "cool", "restored", "ran out",
        "done", "failed", "left", "calls", "batches", "took",
    ]);
    for report in reports {
        let count = |number: u64| grouped(i64::try_from(number).unwrap_or(i64::MAX));
        let took = std::time::Duration::from_millis(report.duration_ms.unsigned_abs());
        table.row([
            report.instance.clone(),
            report.run.to_string(),
            report.state.to_owned(),
            count(report.candidates),
            count(report.values.checked),
            count(report.values.fresh),
            count(report.values.cool),
            count(report.restored),
            count(report.values.expired),
            count(report.done),
            count(report.failed),
            count(report.left),
            grouped(report.calls),
            count(report.batches),
            readable(took),
        ]);
    }
    let mut text = table.to_string();
    for report in reports {
        if let Some(why) = &report.why {
            text.push_str(&format!("\n{}: {why}", report.instance));
        }
    }
    text
}
