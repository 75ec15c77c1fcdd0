//! `millpond explain` and `millpond forecast`: where the calls go, and what more or fewer of them would give.

use anyhow::Context as _;
use clap::Args;
use mirror::{Explained, Forecasted, MirrorError};
use store::ResourceName;

use super::{Context, Usage, sync::open};
use crate::{
    config::Loaded,
    output::{Exit, Table, ago, readable},
};

/// Why a record was or was not fetched lately, and what happens to its next reader
///
/// Its rates of change and of reads as learned, the chance that the copy is stale, what a call costs at the moment, what
/// was decided for the last reader, and when it is due. For a payload name its table: connectwise.opportunity_notes.
/// Costs no call. What a running server learned in the last two seconds is not in yet.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The resource or payload, such as connectwise.opportunity
    resource: ResourceName,
    /// The instance
    instance: String,
    /// The record's id
    id: String,
}

impl Explain {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let loaded = context.load()?;
        let (database, mirror) = open(context, &loaded).await?;
        let explained = mirror
            .explain(&self.resource, &self.instance, &self.id)
            .await;
        database.close().await;
        let Some(explained) = known(explained)? else {
            eprintln!(
                "nobody has read {} `{}` of {} in the last day: nothing is known of it, and nothing is fetched for it",
                self.resource, self.id, self.instance
            );
            return Ok(Exit::NotFound);
        };
        context.output.answer(&explained, || show(&explained))?;
        Ok(Exit::Done)
    }
}

fn show(explained: &Explained) -> String {
    let mut text = format!(
        "{} {} {} (policy {}) {}\n",
        explained.resource, explained.instance, explained.id, explained.policy, explained.text
    );
    if let Some(last) = &explained.last_decision {
        let when = ago(last.at, jiff::Timestamp::now());
        text.push_str(&format!("last reader, {when} ago: {}\n", last.decision));
    }
    if let Some(ttl) = explained.ttl_secs {
        let ttl = readable(std::time::Duration::from_secs_f64(ttl));
        text.push_str(&format!("by the TTL tables it lives for {ttl}\n"));
    }
    text
}

/// What to expect of the calls there are, of half of them and of twice as many
///
/// For each policy and resource: the share of reads that will meet a fresh copy, the age that 95 % of the copies at read
/// will not exceed, and calls a minute, by what was learned of everything that was read in the last day. Warns of what the
/// present budget cannot keep, and then ends with 3. Costs no call.
#[derive(Debug, Args)]
pub(super) struct Forecast {
    /// The instance. Default: every one
    instance: Option<String>,
}

impl Forecast {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let loaded = context.load()?;
        let (database, mirror) = open(context, &loaded).await?;
        let mut forecasts = Vec::new();
        for instance in self.instances(&loaded) {
            forecasts.push(known(mirror.forecast(&instance).await)?);
        }
        database.close().await;
        context.output.answer(&forecasts, || {
            let shown = forecasts.iter().map(forecasted);
            shown.collect::<Vec<_>>().join("\n")
        })?;
        let warns = forecasts.iter().any(|f| !f.warnings.is_empty());
        Ok(if warns { Exit::Differences } else { Exit::Done })
    }

    fn instances(&self, loaded: &Loaded) -> Vec<String> {
        match &self.instance {
            Some(instance) => vec![instance.clone()],
            None => {
                let all = loaded.config.instances.iter();
                all.map(|instance| instance.name.clone()).collect()
            }
        }
    }
}

fn forecasted(forecast: &Forecasted) -> String {
    let mut text = format!(
        "{}: {:.0} calls a minute, {:.0} of them for feeds and listings; policy {}; {} records read in the last day\n",
        forecast.instance,
        forecast.calls_per_minute,
        forecast.others_per_minute,
        forecast.policy,
        forecast.records,
    );
    let mut table = Table::new([
        "resource",
        "policy",
        "budget",
        "fresh",
        "age p95",
        "aimed at",
        "calls/min",
    ]);
    for row in &forecast.rows {
        let secs = |secs: f64| readable(std::time::Duration::from_secs_f64(secs.max(0.0)));
        table.row([
            row.resource.clone(),
            row.policy.to_owned(),
            row.budget.to_owned(),
            format!("{:.1} %", row.fresh * 100.0),
            secs(row.age_p95_secs),
            row.target_secs.map(secs).unwrap_or_default(),
            format!("{:.1}", row.calls_per_minute),
        ]);
    }
    text.push_str(&table.to_string());
    for warning in &forecast.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

/// A name that means nothing is the command line's fault.
fn known<T>(found: Result<T, MirrorError>) -> anyhow::Result<T> {
    match found {
        Err(error @ MirrorError::Unknown { .. }) => Err(Usage(error.to_string()).into()),
        found => found.context("what was learned could not be read"),
    }
}
