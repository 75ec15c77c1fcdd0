//! `millpond schedule`: when jobs run, changed while everything runs.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use store::jobs::{Job, JobChange};

use super::{Context, Usage};
use crate::{
    config::{JobKind, Loaded, Period},
    connectors::load_connector,
    output::{Exit, Table, ago, readable},
};

/// Jobs: when each one ran, when it runs next, how it is tuned. Changes hold at once, without a restart
///
/// Without a command, lists them all. Sweeps and watches stand beside the jobs of resources; how fast they fetch is
/// configuration: [sweep] and [watch].
#[derive(Debug, Args)]
pub(super) struct Schedule {
    #[command(subcommand)]
    command: Option<ScheduleCommand>,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// All jobs with their interval, last and next run
    List {
        /// Only of this instance
        instance: Option<String>,
    },
    /// Set interval or quiet hours; kept against configuration
    Set {
        #[command(flatten)]
        which: Which,
        /// From the start of one run to the start of the next, such as 30s
        #[arg(long)]
        every: Option<Period>,
        /// No run starts in these hours, HH:MM-HH:MM in UTC; none ends them
        #[arg(long, value_parser = parse_quiet)]
        quiet: Option<String>,
    },
    /// Stop jobs until they are resumed; without RESOURCE, the whole instance
    Pause(Which),
    /// Let jobs go on; without RESOURCE, the whole instance
    Resume(Which),
    /// Run jobs as soon as a worker is free
    Run(Which),
}

/// Which jobs.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The instance
    instance: String,
    /// The resource, sweep or watch, such as cin7.sale_header. Default: all
    resource: Option<String>,
    /// The kind of job. Default: all
    #[arg(value_enum)]
    kind: Option<JobKind>,
}

fn parse_quiet(text: &str) -> Result<String, String> {
    match text {
        "none" => Ok(String::new()),
        text if crate::config::is_hours(text) => Ok(text.to_owned()),
        _ => Err("expected hours in UTC such as 22:00-06:00, or none".to_owned()),
    }
}

impl Schedule {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self.command {
            Some(command) => command.run(context).await,
            None => list(context, None).await,
        }
    }
}

impl ScheduleCommand {
    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (which, change) = match self {
            Self::List { instance } => return list(context, instance.as_deref()).await,
            Self::Set {
                every: None,
                quiet: None,
                ..
            } => {
                return Err(Usage("give --every, --quiet or both".to_owned()).into());
            }
            Self::Set {
                which,
                every,
                quiet,
            } => {
                let change = JobChange {
                    every: every.map(|every| every.0),
                    quiet,
                    ..JobChange::default()
                };
                (which, change)
            }
            Self::Pause(which) => (which, paused(true)),
            Self::Resume(which) => (which, paused(false)),
            Self::Run(which) => {
                let change = JobChange {
                    run_now: true,
                    ..JobChange::default()
                };
                (which, change)
            }
        };
        let (loaded, database) = context.open().await?;
        let store = &database.store;
        let whole = which.resource.is_none() && which.kind.is_none();
        match change.paused {
            Some(paused) if whole => store.pause_instance(&which.instance, paused).await?,
            _ => {
                let kind = which.kind.map(JobKind::as_str);
                let changed = store
                    .change_jobs(&which.instance, which.resource.as_deref(), kind, &change)
                    .await?;
                if changed == 0 {
                    let message = format!(
                        "no job matches; `millpond schedule list {}` shows those there are",
                        which.instance
                    );
                    return Err(Usage(message).into());
                }
            }
        }
        let rows = store.jobs().await?;
        let of_instance = rows
            .into_iter()
            .filter(|job| job.instance == which.instance);
        let jobs = of_instance.collect();
        show(context, &loaded, jobs, &database.store).await?;
        database.close().await;
        Ok(Exit::Done)
    }
}

fn paused(paused: bool) -> JobChange {
    JobChange {
        paused: Some(paused),
        ..JobChange::default()
    }
}

async fn list(context: &Context, instance: Option<&str>) -> anyhow::Result<Exit> {
    let (loaded, database) = context.open().await?;
    let mut jobs = database.store.jobs().await?;
    jobs.retain(|job| instance.is_none_or(|name| job.instance == name));
    show(context, &loaded, jobs, &database.store).await?;
    database.close().await;
    Ok(Exit::Done)
}

/// A job, its last run and its tuning.
#[derive(Debug, Serialize)]
struct Timer {
    #[serde(flatten)]
    job: Job,
    /// When its last run began.
    last_at: Option<Timestamp>,
    /// How that ended.
    last_state: Option<String>,
    /// How fast it fetches, if that can be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<String>,
}

async fn show(
    context: &Context,
    loaded: &Loaded,
    jobs: Vec<Job>,
    store: &store::Store,
) -> anyhow::Result<()> {
    let instances = store.instances().await?;
    let is_paused = |job: &Job| {
        let whole = instances.iter().any(|i| i.name == job.instance && i.paused);
        job.paused || whole
    };
    let now = Timestamp::now();
    let ids: Vec<i64> = jobs.iter().filter_map(|job| job.last_run).collect();
    let runs = store.runs_of(&ids).await?;
    let timers: Vec<Timer> = jobs
        .into_iter()
        .map(|job| {
            let last = runs.iter().find(|run| Some(run.id) == job.last_run);
            Timer {
                last_at: last.map(|run| run.started_at),
                last_state: last.map(|run| run.state.clone()),
                tuning: tuning(loaded, &job),
                job,
            }
        })
        .collect();
    context.output.answer(&timers, || {
        let mut table = Table::new([
            "instance", "resource", "kind", "every", "quiet", "last", "ended", "next", "run",
            "failures", "state", "tuning",
        ]);
        for timer in &timers {
            let job = &timer.job;
            let state = match &job.lease_owner {
                Some(owner) if job.lease_until.is_some_and(|until| until > now) => {
                    format!("running on {owner}")
                }
                _ if is_paused(job) => "paused".to_owned(),
                _ => "waiting".to_owned(),
            };
            let next = if job.next_at <= now {
                format!("due since {}", ago(job.next_at, now))
            } else {
                format!("in {}", readable(crate::output::age(now, job.next_at)))
            };
            table.row([
                job.instance.clone(),
                job.resource.to_string(),
                job.kind.clone(),
                Period(Duration::from_millis(job.every_ms.unsigned_abs())).to_string(),
                job.quiet.clone().unwrap_or_default(),
                timer.last_at.map(|at| ago(at, now)).unwrap_or_default(),
                timer.last_state.clone().unwrap_or_default(),
                next,
                job.last_run.map(|run| run.to_string()).unwrap_or_default(),
                job.failures.to_string(),
                state,
                timer.tuning.clone().unwrap_or_default(),
            ]);
        }
        table.to_string()
    })?;
    Ok(())
}

/// How fast a sweep or a watch fetches, in words.
fn tuning(loaded: &Loaded, job: &Job) -> Option<String> {
    let instance = loaded
        .config
        .instances
        .iter()
        .find(|instance| instance.name == job.instance)?;
    let connector = load_connector(&instance.connector, &loaded.base).ok()?;
    let name = job.resource.table();
    if !connector.chores().any(|chore| chore == name) {
        return None;
    }
    let sweep = &loaded.config.sweep;
    let pace = format!(
        "{} at once, {} between batches",
        sweep.concurrency, sweep.batch_delay
    );
    let Some(watch) = connector.watches.iter().find(|watch| watch.name == name) else {
        return Some(pace);
    };
    let config = &loaded.config.watch;
    let most = config.per_cycle_max.unwrap_or(watch.per_cycle_max);
    let rest = config.cooldown.unwrap_or(Period(watch.cooldown));
    Some(format!("{most} a look, {rest} rest; {pace}"))
}
