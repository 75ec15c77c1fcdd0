//! What each policy would reach with the budget there is, with half of it and with twice as much.

use std::{collections::BTreeMap, time::Duration};

use freshness::{Cover, Desk, Forecast, Policy, Slot};
use jiff::Timestamp;
use serde::Serialize;
use store::ResourceName;

use super::{attend::load, explain::policy_name};
use crate::{Mirror, account::Account, error::Result};

/// What to expect of an instance's budget.
#[derive(Debug, Serialize)]
pub struct Forecasted {
    /// The instance.
    pub instance: String,
    /// Its policy: `tiers` or `priced`.
    pub policy: &'static str,
    /// Calls a minute that its connections may make.
    pub calls_per_minute: f64,
    /// Those of them that feeds, sweeps and listings made in the last window, per minute; forecasts are for the rest.
    pub others_per_minute: f64,
    /// Records and payloads that somebody read in the last day.
    pub records: usize,
    /// For every budget and policy: all of them together first, then each resource.
    pub rows: Vec<ForecastRow>,
    /// What cannot be kept with the budget and policy there are, and what would help.
    pub warnings: Vec<String>,
}

/// What to expect of one resource under one policy with one budget.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastRow {
    /// The table; `all`: all together.
    pub resource: String,
    /// `tiers` or `priced`.
    pub policy: &'static str,
    /// `half`, `present` or `double`.
    pub budget: &'static str,
    /// The share of reads that will meet a fresh copy, 0 to 1.
    pub fresh: f64,
    /// The age that 95 % of the copies at read will not exceed, in seconds.
    pub age_p95_secs: f64,
    /// Calls a minute that the policy will make for it.
    pub calls_per_minute: f64,
    /// The lifetime that the TTL tables aim at for 95 % of its reads, in seconds; absent: they keep none of it.
    pub target_secs: Option<f64>,
}

const BUDGETS: [(&str, f64); 3] = [("half", 0.5), ("present", 1.0), ("double", 2.0)];
const POLICIES: [Policy; 2] = [Policy::Tiers, Policy::Priced];

/// Without a limit so many calls a minute are taken for all that could be made.
const CALLS_MAX: f64 = 1e6;

/// An age is past its target when it exceeds it by more than this share.
const TOLERANCE: f64 = 0.1;

impl Mirror {
    /// What each policy would reach for what was read of an instance in the last day, with its budget, half of it and
    /// twice as much, if records go on changing and being read as they were. Costs no call.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`](crate::MirrorError::Unknown) for a name that means nothing; the database's own.
    pub async fn forecast(&self, instance: &str) -> Result<Forecasted> {
        let account = self.account(instance)?;
        let spending = &account.spending;
        if !spending.is_attended() {
            load(account).await?;
        }
        let left = spending.left.calls(account).await?;
        let per_minute = 60.0 / left.window.as_secs_f64().max(0.001);
        let total = left
            .limit
            .map_or(CALLS_MAX, |limit| f64::from(limit) * per_minute);
        let others = (f64::from(left.others) * per_minute).min(total);
        let looks = looks(account, left.window, left.limit, left.people);
        let now = Timestamp::now();
        let names: Vec<ResourceName> = account.tables().cloned().collect();
        let (plan, promise) = {
            let book = spending.book();
            let targets = names.iter().map(|name| book.tier_of(name, now)).collect();
            let looks = names.iter().map(|name| looks.get(name).copied()).collect();
            let (desk, groups) = book.copy(&names);
            let plan = Plan {
                desk,
                groups,
                looks,
                targets,
                names,
            };
            (plan, book.len())
        };
        let records = promise;
        // Thousands of integrals: not on a thread that answers others.
        let computed = tokio::task::spawn_blocking(move || {
            let rows = plan.rows(total, others, now);
            let present = (total - others).max(0.0);
            (rows, plan.desk.forecast(Policy::Priced, present, now))
        });
        let Ok((rows, promised)) = computed.await else {
            return Ok(Forecasted {
                instance: instance.to_owned(),
                policy: policy_name(spending.settings.policy),
                calls_per_minute: total.min(CALLS_MAX),
                others_per_minute: others,
                records,
                rows: Vec::new(),
                warnings: vec!["the forecast could not be worked out".to_owned()],
            });
        };
        let policy = spending.settings.policy;
        let mut warnings = Vec::new();
        if total <= 0.0 {
            warnings.push(format!(
                "no connection of {instance} may call: nothing can be refreshed"
            ));
        }
        warnings.extend(warn(&rows, policy, total));
        if policy == Policy::Priced {
            let max_age = spending.settings.max_age;
            warnings.extend(promises(&promised, records, max_age));
        }
        Ok(Forecasted {
            instance: instance.to_owned(),
            policy: policy_name(policy),
            calls_per_minute: total.min(CALLS_MAX),
            others_per_minute: others,
            records,
            rows,
            warnings,
        })
    }
}

/// All that a forecast is made of.
struct Plan {
    desk: Desk,
    /// The place of each slot's table among the names.
    groups: Vec<usize>,
    names: Vec<ResourceName>,
    looks: Vec<Option<Looks>>,
    targets: Vec<Option<Duration>>,
}

impl Plan {
    fn rows(&self, total: f64, others: f64, now: Timestamp) -> Vec<ForecastRow> {
        let mut rows = Vec::new();
        for policy in POLICIES {
            for (budget, times) in BUDGETS {
                let calls = (total * times - others).max(0.0);
                let group = |slot: Slot| {
                    let place = self.groups.get(slot.number() as usize).copied();
                    let place = place.unwrap_or(self.names.len());
                    let looks = self.looks.get(place).copied().flatten();
                    (
                        place,
                        looks.map_or(Cover::None, |looks| looks.cover(policy)),
                    )
                };
                let (all, each) = self.desk.forecast_of(policy, calls, now, group);
                let row =
                    |resource: &str, target: Option<Duration>, forecast: &Forecast| ForecastRow {
                        resource: resource.to_owned(),
                        policy: policy_name(policy),
                        budget,
                        fresh: forecast.fresh,
                        age_p95_secs: forecast.age_p95.as_secs_f64(),
                        calls_per_minute: forecast.calls_per_minute,
                        target_secs: target.map(|target| target.as_secs_f64()),
                    };
                rows.push(row("all", None, &all));
                for (place, forecast) in &each {
                    if let Some(name) = self.names.get(*place) {
                        rows.push(row(name.as_str(), self.targets[*place], forecast));
                    }
                }
            }
        }
        rows
    }
}

/// How often the feeds that tell of a table are asked, under each policy.
#[derive(Clone, Copy)]
struct Looks {
    /// As the connector says.
    every: Duration,
    /// As the budget allows.
    often: Duration,
    is_brought: bool,
}

impl Looks {
    fn cover(&self, policy: Policy) -> Cover {
        let look = if policy == Policy::Tiers {
            self.every
        } else {
            self.often
        };
        if self.is_brought {
            Cover::Brought(look)
        } else {
            Cover::Told(look)
        }
    }
}

fn looks(
    account: &Account,
    window: Duration,
    limit: Option<u32>,
    people: u32,
) -> BTreeMap<ResourceName, Looks> {
    let fed: Vec<_> = account.fed_kinds().collect();
    let allowance = freshness::Allowance {
        limit: limit.unwrap_or(u32::MAX),
        window,
        free: 0,
    };
    let settings = account.spending.settings;
    let feeds = account.read_feeds(Timestamp::now()).max(1);
    let often = |every| {
        let bounds = (settings.feed_every_min, every);
        freshness::look_every(bounds, feeds, settings.feed_share, people, &allowance)
    };
    let every_of = |name: &str| {
        let kind = fed.iter().find(|kind| kind.resource.name == name)?;
        let changes = kind.resource.changes.as_ref()?;
        let mut schedules = account.settings.schedules.iter();
        let own = schedules.find(|s| s.resource == name && s.kind == "changes");
        Some(own.map_or(changes.every, |own| own.every))
    };
    let records = account.hot_kinds().filter_map(|kind| {
        let every = every_of(&kind.resource.name)?;
        Some((kind.name.clone(), every, true))
    });
    let payloads = account.payloads.iter().filter_map(|kind| {
        let tellers = &kind.payload.told_by;
        if tellers.is_empty() || !kind.payload.told_wholly {
            return None;
        }
        let every: Option<Vec<Duration>> = tellers.iter().map(|told| every_of(&told.of)).collect();
        Some((kind.name.clone(), every?.into_iter().max()?, false))
    });
    records
        .chain(payloads)
        .map(|(name, every, is_brought)| {
            let looks = Looks {
                every,
                often: often(every),
                is_brought,
            };
            (name, looks)
        })
        .collect()
}

impl Account {
    /// The tables of what is kept hot.
    fn tables(&self) -> impl Iterator<Item = &ResourceName> {
        let records = self.hot_kinds().map(|kind| &kind.name);
        records.chain(self.payloads.iter().map(|kind| &kind.name))
    }
}

/// The resources whose reads will be older than the TTL tables aim at, and what a second connection would do for them.
fn warn(rows: &[ForecastRow], policy: Policy, total: f64) -> Vec<String> {
    let of = |resource: &str, budget: &str| {
        rows.iter().find(|row| {
            row.resource == resource && row.budget == budget && row.policy == policy_name(policy)
        })
    };
    let present = rows
        .iter()
        .filter(|row| row.budget == "present" && row.policy == policy_name(policy));
    present
        .filter_map(|row| {
            let target = row.target_secs?;
            if row.age_p95_secs <= target * (1.0 + TOLERANCE) {
                return None;
            }
            let double = of(&row.resource, "double")?;
            Some(format!(
                "{}: {} at {:.0}/min, past the {} that its TTL table aims at; a second connection gives {}",
                row.resource,
                readable(row.age_p95_secs),
                total,
                readable(target),
                readable(double.age_p95_secs),
            ))
        })
        .collect()
}

/// Whether the promised maximum age can be kept for all that is read.
fn promises(promised: &Forecast, records: usize, max_age: Duration) -> Option<String> {
    (!promised.keeps_promises).then(|| {
        format!(
            "keeping {records} records younger than {} takes {:.0} calls a minute, more than half of what there are: \
             those that are not reached in time are fetched when they are read; `freshness.max_age` can be longer",
            readable(max_age.as_secs_f64()),
            promised.promised_calls_per_minute,
        )
    })
}

fn readable(secs: f64) -> String {
    match secs {
        secs if secs < 100.0 => format!("{secs:.0} s"),
        secs if secs < 6_000.0 => format!("{:.0} min", secs / 60.0),
        secs => format!("{:.1} h", secs / 3_600.0),
    }
}

#[cfg(test)]
mod tests;
