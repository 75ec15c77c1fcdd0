//! `millpond changes`: the feed of inserts, updates and deletes.

use std::time::Duration;

use clap::Args;
use store::changes::{BadCursor, Change, ChangeCursor};

use super::Context;
use crate::output::{Exit, Output};

/// Changes that one look at the feed reads at the most.
const PAGE: i64 = 1000;
/// How long to wait before looking again at a feed that was read to its end.
const PAUSE: Duration = Duration::from_millis(500);

/// Every insert, update and delete of a record, oldest first
///
/// Each line has a cursor; give it back with --after to go on from there. No change is missed, also not one that
/// commits late.
#[derive(Debug, Args)]
pub(super) struct Changes {
    /// Only changes after this cursor. Default: from the oldest that is kept
    #[arg(long, value_parser = parse_cursor, value_name = "CURSOR")]
    after: Option<ChangeCursor>,
    /// Stop after so many
    #[arg(long)]
    limit: Option<u64>,
    /// Wait for further changes until interrupted
    #[arg(long, short)]
    follow: bool,
}

fn parse_cursor(text: &str) -> Result<ChangeCursor, BadCursor> {
    text.parse()
}

impl Changes {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let mut cursor = self.after.unwrap_or_default();
        let mut left = self.limit.unwrap_or(u64::MAX);
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        while left > 0 {
            let want = PAGE.min(i64::try_from(left).unwrap_or(PAGE));
            let (changes, next) = database.store.changes_after(cursor, want).await?;
            for change in &changes {
                print(context.output, change)?;
            }
            left -= changes.len() as u64;
            cursor = next;
            if !changes.is_empty() {
                continue;
            }
            if !self.follow {
                break;
            }
            tokio::select! {
                _ = &mut stop => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        database.close().await;
        Ok(Exit::Done)
    }
}

fn print(output: Output, change: &Change) -> std::io::Result<()> {
    output.answer(change, || {
        format!(
            "{}  {}  {:<6}  {}  {}  {}  v{}",
            change.cursor,
            change.at,
            change.op,
            change.resource,
            change.instance,
            change.id,
            change.version
        )
    })
}
