//! `millpond schedule`: when jobs run, changed while everything runs.

use clap::{Args, Subcommand};
use store::jobs::{Job, JobChange};

use super::{Context, Usage};
use crate::{
    config::{JobKind, Period},
    output::{Exit, Table, ago, readable},
};

/// Sync jobs: when each one ran, when it runs next. Changes hold at once, without a restart
#[derive(Debug, Subcommand)]
pub(super) enum Schedule {
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
    /// The resource, such as cin7.sale_header. Default: all
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
        let (_, database) = context.open().await?;
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
        show(context, &of_instance.collect::<Vec<_>>(), &database.store).await?;
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
    let (_, database) = context.open().await?;
    let mut jobs = database.store.jobs().await?;
    jobs.retain(|job| instance.is_none_or(|name| job.instance == name));
    show(context, &jobs, &database.store).await?;
    database.close().await;
    Ok(Exit::Done)
}

async fn show(context: &Context, jobs: &[Job], store: &store::Store) -> anyhow::Result<()> {
    let instances = store.instances().await?;
    let is_paused = |job: &Job| {
        let whole = instances.iter().any(|i| i.name == job.instance && i.paused);
        job.paused || whole
    };
    let now = jiff::Timestamp::now();
    context.output.answer(&jobs, || {
        let mut table = Table::new([
            "instance", "resource", "kind", "every", "quiet", "next", "last run", "failures",
            "state",
        ]);
        for job in jobs {
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
                Period(std::time::Duration::from_millis(
                    job.every_ms.unsigned_abs(),
                ))
                .to_string(),
                job.quiet.clone().unwrap_or_default(),
                next,
                job.last_run.map(|run| run.to_string()).unwrap_or_default(),
                job.failures.to_string(),
                state,
            ]);
        }
        table.to_string()
    })?;
    Ok(())
}
