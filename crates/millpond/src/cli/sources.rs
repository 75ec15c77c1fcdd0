//! `millpond sources`: which jobs brought what is known of a resource.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use store::{ResourceName, sources::Source};

use super::Context;
use crate::{
    config::Period,
    output::{Exit, Table, ago, grouped},
};

/// Which jobs brought the versions of a resource: is it the quick ones, or the safety net?
///
/// Each version of a record counts for the run that brought it; one that no run brought came with somebody's read or
/// write. Shares are of the versions after each record's first.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// The resource or payload, such as connectwise.catalog_item_stock
    resource: ResourceName,
    /// Only of this instance
    #[arg(long)]
    instance: Option<String>,
    /// How far back to look, at most as far as history is kept
    #[arg(long, default_value = "24h")]
    since: Period,
}

impl Sources {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let now = Timestamp::now();
        let since = SignedDuration::try_from(self.since.0)
            .ok()
            .and_then(|back| now.checked_sub(back).ok())
            .unwrap_or(Timestamp::MIN);
        let instance = self.instance.as_deref();
        let sources = database
            .store
            .sources(&self.resource, instance, since)
            .await?;
        context.output.answer(&sources, || show(&sources, now))?;
        database.close().await;
        Ok(if sources.is_empty() {
            Exit::NotFound
        } else {
            Exit::Done
        })
    }
}

fn show(sources: &[Source], now: Timestamp) -> String {
    if sources.is_empty() {
        return "nothing came in within that time".to_owned();
    }
    let mut table = Table::new([
        "instance",
        "brought by",
        "kind",
        "new",
        "updates",
        "share",
        "last",
    ]);
    for source in sources {
        let share = source.share.map(|share| format!("{:.1} %", share * 100.0));
        table.row([
            source.instance.clone(),
            source
                .job
                .clone()
                .unwrap_or_else(|| "reads and writes".to_owned()),
            source.kind.clone().unwrap_or_default(),
            grouped(source.inserted),
            grouped(source.updated),
            share.unwrap_or_default(),
            format!("{} ago", ago(source.last_at, now)),
        ]);
    }
    table.to_string()
}
