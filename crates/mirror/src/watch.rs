//! A watch: a listing whose lines tell that other records moved, and a payload of those is fetched.

mod choose;
mod sums;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use store::{
    ResourceName,
    runs::{RunCounts, RunEnd},
    watched::WatchStep,
};
use upstream::{Class, PageAsk, connector::Watch};

use crate::{
    account::Account,
    batch::Batches,
    error::{MirrorError, Result},
    listing::chain,
    reading::Calling,
    turn::{Outcome, TurnOf},
    warm::Warming,
};
use choose::{Bounds, choose};
use sums::{Sums, Totals};

/// Pages of one look at the most: a listing that never ends is a fault.
const PAGES_MAX: u64 = 10_000;

/// Failures that a look logs one by one; more are only counted.
const FAILURES_LOGGED_MAX: u64 = 5;

/// Lists, compares, fetches what differs.
pub(crate) async fn look(turn: &TurnOf, watch: &Watch, run: i64) -> Result<Outcome> {
    let account = &turn.account;
    let store = &account.store;
    let instance = account.settings.name.as_str();
    let (totals, unseen) = list(turn, watch, run).await?;
    let known = store.watched(instance, &turn.job.resource).await?;
    let at = Timestamp::now();
    if turn.job.cursor.is_none() {
        // Everything is new to the first look: fetching it all would be a storm that tells nothing.
        let records = totals.len();
        let steps: Vec<_> = totals
            .into_iter()
            .map(|(item, totals)| (item, WatchStep::Known(totals)))
            .collect();
        store.note_watched(&turn.lease, &steps, at).await?;
        return Ok(Outcome {
            cursor: Some(json!({ "first_look": at })),
            why: Some(format!(
                "first look: {records} records known from now on{unseen}"
            )),
            ..Outcome::done()
        });
    }

    let chores = account.settings.chores;
    let bounds = Bounds {
        per_cycle_max: chores.per_cycle_max.unwrap_or(watch.per_cycle_max) as usize,
        cooldown: chores.cooldown.unwrap_or(watch.cooldown),
    };
    let choice = choose(&known, &totals, at, bounds);
    let steps = fetch(turn, watch, run, &choice.now, &totals).await?;
    let failed = count(&steps, |step| matches!(step, WatchStep::Failed));
    let fetched = steps.len() - failed;
    let left = choice.now.len() - steps.len();
    store.note_watched(&turn.lease, &steps, at).await?;
    let why = format!(
        "{fetched} of {} moved records fetched, {failed} failed, {} wait for the next look, {} rest{unseen}",
        choice.now.len() + choice.waiting + choice.resting,
        choice.waiting + left,
        choice.resting,
    );
    if !choice.now.is_empty() {
        let name = format!("watch:{}:moved", watch.name.replace('_', "-"));
        let data = json!({
            "run": run, "fetched": fetched, "failed": failed, "waiting": choice.waiting + left,
            "resting": choice.resting,
        });
        store.tell(&name, Some(instance), &data).await?;
    }
    let end = if turn.stop.is_cancelled() && left > 0 {
        RunEnd::Stopped
    } else if failed > 0 {
        RunEnd::Partial
    } else {
        RunEnd::Done
    };
    Ok(Outcome {
        end,
        why: Some(why),
        ..Outcome::done()
    })
}

fn count(steps: &[(String, WatchStep)], is: impl Fn(&WatchStep) -> bool) -> usize {
    steps.iter().filter(|(_, step)| is(step)).count()
}

/// What the whole listing adds up to, and what of it could not be read, in words. A listing that does not come to its
/// end tells nothing.
async fn list(turn: &TurnOf, watch: &Watch, run: i64) -> Result<(Totals, String)> {
    let account = &turn.account;
    let name = ResourceName::new(&account.settings.connector.name, &watch.of)?;
    let kind = account.kind(&name).ok_or_else(|| unknown(account, &name))?;
    let mut sums = Sums::new(watch);
    let mut ask = PageAsk::default();
    for _ in 0..PAGES_MAX {
        let page = account
            .client
            .list_page(&kind.resource, ask, Class::Event)
            .await
            .map_err(|source| MirrorError::Upstream {
                instance: account.settings.name.clone(),
                source,
            })?;
        let counts = RunCounts {
            pages: 1,
            calls: i64::from(page.meta.attempt),
            seen: i64::try_from(page.records.len()).unwrap_or(i64::MAX),
            ..RunCounts::default()
        };
        account.store.add_to_run(run, counts, None).await?;
        for record in &page.records {
            match &record.id {
                Some(id) => sums.add(id, &record.body),
                None => sums.unreadable += 1,
            }
        }
        let Some(next) = page.next else {
            let unseen = if sums.listed() > 0 && !sums.has_lines() {
                format!("; no record of {name} has lines: does the listing carry them?")
            } else if sums.unreadable > 0 {
                format!("; {} lines could not be read", sums.unreadable)
            } else {
                String::new()
            };
            return Ok((sums.totals(), unseen));
        };
        ask = PageAsk {
            position: next,
            ..PageAsk::default()
        };
    }
    Err(MirrorError::Endless {
        resource: name.to_string(),
        pages: PAGES_MAX,
    })
}

/// Fetches the payload of some records. Answers what became of those that were begun.
async fn fetch(
    turn: &TurnOf,
    watch: &Watch,
    run: i64,
    items: &[String],
    totals: &Totals,
) -> Result<Vec<(String, WatchStep)>> {
    let account = &turn.account;
    let payload = ResourceName::new(&account.settings.connector.name, &watch.payload)?;
    let warming = Warming {
        calling: Calling {
            run: Some(run),
            ..Calling::of(Class::Event)
        },
        force: true,
    };
    let mut batches = Batches::new();
    for item in items {
        let (mirror, payload) = (&turn.mirror, &payload);
        let instance = account.settings.name.as_str();
        batches.push(item.as_str(), move || async move {
            mirror.warm_payload(payload, instance, item, warming).await
        });
    }
    let mut steps = BTreeMap::new();
    let mut failures = 0;
    batches
        .run(account.settings.chores.pace, &turn.stop, |item, result| {
            let step = match result {
                // A record that upstream does not have is settled as well: asking again would tell no more.
                Ok(_) => WatchStep::Fetched(totals.get(item).cloned().unwrap_or_default()),
                Err(error) => {
                    failures += 1;
                    if failures <= FAILURES_LOGGED_MAX {
                        tracing::warn!(
                            instance.name = account.settings.name,
                            record.key = item,
                            run.id = run,
                            error = chain(&error),
                            "{payload} was not fetched; it comes round again",
                        );
                    }
                    WatchStep::Failed
                }
            };
            steps.insert(item.to_owned(), step);
        })
        .await;
    let counts = RunCounts {
        failed: failures.try_into().unwrap_or(i64::MAX),
        ..RunCounts::default()
    };
    account.store.add_to_run(run, counts, None).await?;
    Ok(steps.into_iter().collect())
}

fn unknown(account: &Account, name: &ResourceName) -> MirrorError {
    MirrorError::Unknown {
        what: "resource",
        name: name.to_string(),
        known: account
            .kinds
            .iter()
            .map(|kind| kind.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    }
}
