//! `millpond events`: what happens, as it happens.

use std::time::Duration;

use clap::Args;
use store::events::{Ear, Event, EventFilter};

use super::Context;
use crate::output::{Exit, Output};

/// Events that one look reads at the most.
const PAGE: i64 = 1000;
/// A notification may get lost: look again after this in any case.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What happened: runs, sweeps, connections, the cache; oldest first
///
/// Names are words between colons: run:started, run:ended, cache:opportunities:refresh:started,
/// cache:opportunities:refresh:completed, connection:set-aside, connection:parked. The latest 50,000 are kept.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// Only events whose name begins so, such as cache:
    #[arg(long)]
    name: Option<String>,
    /// Only of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only events after this number. Default: the latest
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// How many of the latest; with --after, stop after so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..=50_000))]
    limit: i64,
    /// Wait for further events until interrupted
    #[arg(long, short)]
    follow: bool,
}

impl Events {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let store = &database.store;
        let mut listening = self.follow.then(|| Ear::new(store.clone()).listen());
        let filter = EventFilter {
            name: self.name,
            instance: self.instance,
        };
        let mut after = match self.after {
            Some(after) => after,
            None => {
                let newest = store.newest_event().await?;
                let latest = store.latest_events(&filter, self.limit).await?;
                for event in &latest {
                    print(context.output, event)?;
                }
                latest
                    .last()
                    .map_or(newest, |event| event.number.max(newest))
            }
        };
        let mut left = match (self.after, self.follow) {
            (Some(_), false) => self.limit,
            (None, false) => 0,
            (_, true) => i64::MAX,
        };
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        while left > 0 {
            let (events, next) = store.events_after(after, &filter, PAGE.min(left)).await?;
            for event in &events {
                print(context.output, event)?;
            }
            left -= i64::try_from(events.len()).unwrap_or(left);
            after = next;
            if !events.is_empty() {
                continue;
            }
            let Some(listening) = &mut listening else {
                break;
            };
            tokio::select! {
                _ = &mut stop => break,
                () = listening.wait(LOOK_AGAIN) => {}
            }
        }
        database.close().await;
        Ok(Exit::Done)
    }
}

fn print(output: Output, event: &Event) -> std::io::Result<()> {
    output.answer(event, || {
        let data = match &event.data {
            serde_json::Value::Object(data) => data
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
            other => other.to_string(),
        };
        format!(
            "{}  {}  {}  {}  {data}",
            event.number,
            event.at,
            event.instance.as_deref().unwrap_or("-"),
            event.name,
        )
    })
}
