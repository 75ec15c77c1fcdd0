//! A run over a listing: what changed, or everything, page by page into the mirror.

mod tally;
mod walk;

use std::sync::Arc;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::{
    StoreError,
    jobs::Job,
    records::{Lease, PageWrite},
    runs::RunCounts,
};
use tokio_util::sync::CancellationToken;
use upstream::{CallError, Class, Page, Position};

use crate::{
    account::{Account, Kind},
    progress::{Listener, Progress},
};
use tally::Tally;
pub(crate) use tally::id_hash;
pub(crate) use walk::{Remaining, Walk};

/// A listing that shifted while it was read is read again so many times at the most.
const PASSES_MAX: u32 = 3;

/// Pages of one listing being written at once.
const WRITERS: usize = 3;

/// Where a job's next run of `changes` begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Everything that upstream stamped before is in.
    pub since: Timestamp,
}

/// Where an unfinished full listing is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    position: Position,
    /// When the listing began, by our clock.
    started: Timestamp,
    /// The same moment by upstream's clock.
    #[serde(default)]
    server_started: Option<Timestamp>,
    descending: bool,
    /// How many records upstream said there are.
    #[serde(default)]
    total: Option<u64>,
}

/// How a listing ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All that upstream listed is in.
    Whole(Whole),
    /// Some of it is in; why the rest is not, and whether the job should count it as failed.
    Partial {
        why: String,
        retry_after: Option<std::time::Duration>,
    },
    /// The process stops.
    Interrupted,
    /// Another process has the job now.
    LeaseLost,
}

/// What a whole listing knows.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The mirror is fresh as of this moment, by our clock.
    pub as_of: Timestamp,
    /// The moment by upstream's clock.
    pub server_as_of: Timestamp,
    /// The latest stamp seen.
    pub stamp_max: Option<Timestamp>,
    /// Ids seen, if the listing did not shift and is complete from its first page on.
    pub seen: Option<std::collections::HashSet<u128>>,
}

/// One run over a listing.
pub(crate) struct Listing<'a> {
    pub account: &'a Account,
    pub kind: &'a Arc<Kind>,
    pub job: &'a Job,
    pub lease: &'a Lease,
    pub run: i64,
    pub class: Class,
    /// The class of the details that it asks for.
    pub child_class: Class,
    pub stop: &'a CancellationToken,
    pub listener: Option<&'a Listener>,
    /// Parameters beside the resource's own.
    pub extra: Vec<(String, String)>,
    /// Whether records are written, or only their ids compared.
    pub writes: bool,
}

impl Listing<'_> {
    /// Lists what changed since `since`, with the resource's overlap; or everything.
    pub async fn run(&self, since: Option<Timestamp>) -> Ended {
        let since = since.map(|since| {
            let overlap = self
                .kind
                .resource
                .changes
                .as_ref()
                .map(|c| c.overlap)
                .unwrap_or_default();
            SignedDuration::try_from(overlap)
                .ok()
                .and_then(|o| since.checked_sub(o).ok())
                .unwrap_or(since)
        });
        let mut place = match since {
            None => self
                .job
                .progress
                .clone()
                .and_then(|p| serde_json::from_value::<Place>(p).ok()),
            Some(_) => None,
        };
        let mut pass = 1;
        let mut last: Option<Tally> = None;
        loop {
            let resumed = place.is_some();
            let total_before = place.as_ref().and_then(|p| p.total);
            let tally = match self.pass(since, place.take()).await {
                Ok(tally) => tally,
                Err(ended) => return ended,
            };
            let complete = if resumed {
                self.holds_all(&tally, total_before).await
            } else {
                // An API may count wrongly: what two passes show alike is all there is.
                tally.is_complete() || last.as_ref().is_some_and(|last| last.shows_same(&tally))
            };
            if complete {
                let seen = (!resumed && tally.is_still()).then_some(tally.seen);
                return Ended::Whole(Whole {
                    as_of: tally.asked_first.unwrap_or_else(Timestamp::now),
                    server_as_of: tally.server_first.unwrap_or_else(Timestamp::now),
                    stamp_max: tally.stamp_max,
                    seen,
                });
            }
            // The place it came to is the end: to go on from there would be to believe what was just found wrong.
            if since.is_none()
                && let Err(error) = self.account.store.save_progress(self.lease, None).await
            {
                return ended(&error);
            }
            if pass == PASSES_MAX {
                return Ended::Partial {
                    why: format!(
                        "upstream says {} records, {} were seen in each of {PASSES_MAX} passes: the listing shifts or is torn",
                        tally.total_last.unwrap_or_default(),
                        tally.seen.len(),
                    ),
                    retry_after: None,
                };
            }
            pass += 1;
            last = (!resumed).then_some(tally);
        }
    }

    /// Whether the mirror has as many records as upstream says there are, and upstream no fewer than before: a
    /// listing that goes on from its middle does not see what moved to the pages before.
    async fn holds_all(&self, tally: &Tally, total_before: Option<u64>) -> bool {
        let Some(total) = tally.total_last else {
            return true;
        };
        if total_before.is_some_and(|before| total < before) {
            return false;
        }
        let (kind, instance) = (&self.kind.name, &self.account.settings.name);
        let held = self.account.store.live_count(kind, instance).await;
        !self.writes || held.is_ok_and(|held| u64::try_from(held).unwrap_or(0) >= total)
    }

    async fn pass(&self, since: Option<Timestamp>, place: Option<Place>) -> Result<Tally, Ended> {
        let mut tally = Tally::new(
            place.as_ref().map(|p| p.started),
            place
                .as_ref()
                .and_then(|p| p.server_started.or(Some(p.started))),
        );
        let descending = place
            .as_ref()
            .map_or_else(|| self.reads_backwards(since), |p| p.descending);
        let remaining = Arc::new(Remaining::default());
        if let Some(place) = &place {
            let server = place.server_started.unwrap_or(place.started);
            remaining.began.get_or_init(|| (place.started, server));
        }
        let walk = Walk {
            client: self.account.client.clone(),
            resource: Arc::clone(&self.kind.resource),
            since,
            extra: self.extra.clone(),
            class: self.class,
            ahead: self.account.concurrency(),
            descending,
            from: place.map_or(Position::First, |p| p.position),
            remaining: Arc::clone(&remaining),
        };
        // Where pages have no numbers, the place to go on from is only known in order.
        let writers = if Walk::is_numbered(&self.kind.resource) {
            WRITERS
        } else {
            1
        };
        let keeps_place = since.is_none();
        let mut pages = std::pin::pin!(
            walk.pages()
                .take_until(self.stop.cancelled())
                .map(|page| self.take_page(page, keeps_place.then_some(&*remaining), descending))
                .buffer_unordered(writers)
        );
        while let Some(taken) = pages.next().await {
            let (page, counts) = taken?;
            tally.add(&page);
            self.count(counts, &tally, page.total).await;
        }
        if self.stop.is_cancelled() {
            Err(Ended::Interrupted)
        } else {
            Ok(tally)
        }
    }

    /// Whether the first backfill reads from the last page, so that the newest records come first.
    fn reads_backwards(&self, since: Option<Timestamp>) -> bool {
        since.is_none()
            && self.class == Class::Backfill
            && self.kind.resource.order == upstream::connector::Order::OldestFirst
    }

    async fn take_page(
        &self,
        page: Result<Page, CallError>,
        remaining: Option<&Remaining>,
        descending: bool,
    ) -> Result<(tally::Seen, RunCounts), Ended> {
        let page = page.map_err(|error| Ended::Partial {
            retry_after: error.retry_after(),
            why: chain(&error),
        })?;
        let seen = tally::Seen::of(&page);
        let mut counts = RunCounts {
            pages: 1,
            calls: i64::from(page.meta.attempt),
            seen: i64::try_from(page.records.len()).unwrap_or(i64::MAX),
            ..RunCounts::default()
        };
        if !self.writes {
            return Ok((seen, counts));
        }
        let kind = Arc::clone(self.kind);
        let asked_at = page.meta.asked_at;
        let server_at = page.meta.server_date.unwrap_or(asked_at);
        let (number, next, records) = (page.page_number, page.next, page.records);
        let total = page.total;
        // Hashing a page is work for another core.
        let prepared = tokio::task::spawn_blocking(move || kind.incoming(records, asked_at)).await;
        let (records, refused) = prepared.map_err(|_| Ended::Interrupted)?;
        counts.quarantined = i64::try_from(refused.len()).unwrap_or(i64::MAX);
        for refused in &refused {
            self.account
                .store
                .quarantine(
                    &self.kind.name,
                    &self.account.settings.name,
                    refused,
                    Some(self.run),
                )
                .await
                .map_err(|e| ended(&e))?;
        }
        let place = remaining.and_then(|remaining| {
            let position = if Walk::is_numbered(&self.kind.resource) {
                let next = remaining.after(number, descending)?;
                Position::page(next, self.kind.resource.paging.size.max(1))
            } else {
                next?
            };
            let (started, server) = *remaining.began.get_or_init(|| (asked_at, server_at));
            Some(Place {
                position,
                started,
                server_started: Some(server),
                descending,
                total,
            })
        });
        let progress = place
            .and_then(|p| serde_json::to_value(p).ok())
            .map(|p| (self.lease, p));
        let children = self.kind.child_specs(self.child_class);
        let outcome = self
            .account
            .store
            .write_page(PageWrite {
                resource: &self.kind.name,
                instance: &self.account.settings.name,
                run: Some(self.run),
                records,
                likely_new: self.class == Class::Backfill,
                children: &children,
                fetches: Vec::new(),
                progress,
            })
            .await
            .map_err(|e| ended(&e))?;
        if let Some(remaining) = remaining {
            remaining.written(number);
        }
        counts.inserted = i64::try_from(outcome.inserted.len()).unwrap_or(i64::MAX);
        counts.updated = i64::try_from(outcome.updated.len()).unwrap_or(i64::MAX);
        counts.quarantined += i64::try_from(outcome.refused.len()).unwrap_or(i64::MAX);
        Ok((seen, counts))
    }

    async fn count(&self, counts: RunCounts, tally: &Tally, expected: Option<u64>) {
        let total = expected.and_then(|n| i64::try_from(n).ok());
        if let Err(error) = self.account.store.add_to_run(self.run, counts, total).await {
            tracing::debug!(run.id = self.run, error = ?error, "a page was not counted");
        }
        if let Some(listener) = self.listener {
            listener(Progress::Run {
                run: self.run,
                instance: self.account.settings.name.clone(),
                resource: self.kind.name.clone(),
                kind: self.job.kind.clone(),
                counts,
                seen: i64::try_from(tally.records).unwrap_or(i64::MAX),
                expected,
            });
        }
    }
}

fn ended(error: &StoreError) -> Ended {
    match error {
        StoreError::LeaseLost { .. } => Ended::LeaseLost,
        error => Ended::Partial {
            why: chain(error),
            retry_after: None,
        },
    }
}

/// An error with its causes, once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
