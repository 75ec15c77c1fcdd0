//! `millpond snapshots`: the points in the changes that can be gone back to.

use clap::Args;

use super::Context;
use crate::output::{Exit, Table, ago, grouped};

/// The most rows that are printed.
const ROWS_MAX: i64 = 1000;

/// Snapshots that can be read, newest first
///
/// The end of each run that changed something makes one. `millpond get --snapshot` and `millpond search --snapshot` read
/// records as they were then. They are kept as long as history, `retention.history`; over HTTP one can be pinned for longer.
#[derive(Debug, Args)]
pub(super) struct Snapshots {
    /// Only snapshots made by runs of these instances
    #[arg(long)]
    instance: Vec<String>,
    /// Only snapshots before this number
    #[arg(long)]
    before: Option<i64>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=ROWS_MAX))]
    limit: i64,
}

impl Snapshots {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let instances = (!self.instance.is_empty()).then_some(&self.instance[..]);
        let snapshots = database
            .store
            .snapshots(instances, self.before, self.limit)
            .await?;
        let now = jiff::Timestamp::now();
        context.output.answer(&snapshots, || {
            if snapshots.is_empty() {
                return "no run that changed something has ended yet".to_owned();
            }
            let mut table = Table::new([
                "snapshot",
                "taken",
                "instance",
                "resource",
                "run",
                "changes",
                "pinned until",
            ]);
            let said = |text: &Option<String>| text.clone().unwrap_or_default();
            let number = |number: Option<i64>| number.map(grouped).unwrap_or_default();
            for snapshot in &snapshots {
                table.row([
                    snapshot.number.to_string(),
                    format!("{} ago", ago(snapshot.taken_at, now)),
                    said(&snapshot.instance),
                    said(&snapshot.resource),
                    snapshot.run.map(|run| run.to_string()).unwrap_or_default(),
                    number(snapshot.changes),
                    snapshot
                        .pinned_until
                        .map(|until| until.to_string())
                        .unwrap_or_default(),
                ]);
            }
            table.to_string()
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}
