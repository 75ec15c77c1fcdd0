//! `millpond demo`: see it work on real orders, with nothing set up.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use mirror::{Mirror, SyncAsk};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::{
    config::{self, LogsConfig},
    demo::{self, CALLS_PER_MINUTE, COMPRESSION, Report, Stage, StageOptions},
    environment::Environment,
    http::{self, App, guard::ApiKeys},
    logging,
    output::{Exit, grouped},
    progress::Display,
    signals::stop_on_signals,
};

/// Business events per company and second while the demo stays up.
const EVENTS: usize = 1;
/// What can be recalled: a resource, and the fields that make its texts.
const RECALLED: (&str, [&str; 3]) = ("cin7.product", ["SKU", "Name", "Category"]);

/// See it work on real orders, with nothing set up
///
/// Starts a PostgreSQL server of its own (or uses DATABASE_URL), two simulated companies with real orders and a simulated
/// service desk, mirrors them, warms the desk's deals, follows a change, asks the question that the API cannot answer, and measures what the mirror saves. Then it stays up,
/// with business going on, until Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the table; exit code 0 only if every line got better
    #[arg(long)]
    exit: bool,
    /// The newest this many orders per company, at most 20,725
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=20_725))]
    sales: u32,
    /// Keep the database's files here. Default: in a directory that goes when the demo ends
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address and port of the HTTP API while the demo stays up
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7171)))]
    listen: SocketAddr,
}

impl Demo {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        logging::start(&LogsConfig {
            filter: context
                .environment
                .find("MILLPOND_LOG")
                .unwrap_or(super::sync::QUIET)
                .to_owned(),
            ..LogsConfig::default()
        });
        anyhow::ensure!(
            self.listen.ip().is_loopback(),
            super::Usage(
                "the demo has no API keys: --listen must be an address of this machine only"
                    .to_owned()
            )
        );
        let stop = stop_on_signals()?;
        let told = Told {
            json: context.output.json,
            began: Instant::now(),
        };
        told.line(&format!(
            "Two simulated Cin7 Core companies with real orders. Their limit is kept: {CALLS_PER_MINUTE} calls a minute \
             and key.\nTheir minutes are {COMPRESSION} times shorter, so that this takes seconds instead of hours. Beside them a \
             service desk in\nConnectWise PSA, which answers as slowly as the real one."
        ));
        let options = StageOptions {
            sales: self.sales as usize,
            data_dir: self.data_dir.clone(),
        };
        let stage = Stage::set(&options, &context.environment).await?;
        told.step("a database, two companies and a service desk are up");
        let played = play(&stage, &stop, &told).await;
        let exit = match played {
            Ok(Some(report)) => {
                let exit = if report.improved() {
                    Exit::Done
                } else {
                    Exit::Failed
                };
                context.output.answer(&report, || {
                    format!("\n{}\n{}", report.answer(), report.table())
                })?;
                if !self.exit {
                    stay(&stage, &stop, &self, &report).await?;
                }
                exit
            }
            Ok(None) => Exit::Failed,
            Err(error) => {
                stage.strike().await;
                return Err(error);
            }
        };
        stage.strike().await;
        Ok(exit)
    }
}

/// Mirrors, follows a change, compares. `None` when it was told to stop before.
async fn play(
    stage: &Stage,
    stop: &CancellationToken,
    told: &Told,
) -> anyhow::Result<Option<Report>> {
    let display = Display::new(told.json, false);
    let began = Instant::now();
    let synced = stage
        .mirror
        .sync(SyncAsk::default(), stop.clone(), Some(display.listener()))
        .await;
    display.finish();
    let synced = synced.context("the first mirroring failed")?;
    if stop.is_cancelled() {
        return Ok(None);
    }
    anyhow::ensure!(
        synced.complete,
        "the first mirroring is not complete: {} details are waiting",
        synced.waiting
    );
    let took = began.elapsed();
    let records: i64 = stage
        .mirror
        .status()
        .await?
        .resources
        .iter()
        .filter(|row| row.instance != demo::DESK)
        .map(|row| row.records)
        .sum();
    let calls = stage.calls();
    let seen = stage.sim.wiretap().max_in_window(true, demo::minute());
    let minutes = took.as_secs_f64() * f64::from(COMPRESSION) / 60.0;
    told.step(&format!(
        "mirrored {} records with {} calls, at most {seen} in any of the service's minutes: {:.1} s here, {:.1} h there",
        grouped(records),
        grouped(calls as i64),
        took.as_secs_f64(),
        minutes / 60.0,
    ));

    let working = stop.child_token();
    let worker = work(&stage.mirror, &working);
    let followed = demo::follow(stage).await;
    working.cancel();
    worker.await?;
    let followed = followed?;
    told.step(&format!(
        "{} of {} orders were changed upstream: in the mirror after {:.1} s, for {} pages of the list and {} orders fetched",
        followed.changed,
        grouped(followed.orders),
        followed.secs,
        followed.list_calls,
        followed.detail_calls,
    ));
    let desk = demo::look_at_desk(stage, &super::serve::owner(), stop).await?;
    told.step(&format!(
        "{} deals of the service desk and all that belongs to them, {} values, are warm after {} calls",
        desk.deals, desk.values, desk.sweep_calls,
    ));
    let report = demo::compare(stage, desk).await?;
    told.step("asked the mirror, and the API on a sample; the worker stood still meanwhile");
    Ok(Some(report))
}

/// Lets business go on and answers over HTTP until `stop`.
async fn stay(
    stage: &Stage,
    stop: &CancellationToken,
    demo: &Demo,
    report: &Report,
) -> anyhow::Result<()> {
    let listener = match http::bind(demo.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("{error:#}; taking a free port");
            http::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?
        }
    };
    let address = listener.local_addr()?;
    let mut loaded = config::parse("", "", Path::new("."), &Environment::default())?;
    let fields = RECALLED.1.iter().map(|field| (*field).to_owned());
    let index = &mut loaded.config.memory.index;
    index.insert(RECALLED.0.to_owned(), fields.collect());
    let config = &loaded.config;
    let app = App::open(
        stage.mirror.clone(),
        stage.own.clone(),
        &loaded,
        ApiKeys::default(),
        stop.clone(),
    )
    .await?;
    let worker = work(&stage.mirror, stop);
    let (memory, until) = (app.memory().clone(), stop.clone());
    let indexer = tokio::spawn(async move { memory.keep(&until).await });
    let question = &report.question;
    println!(
        "\nThe mirror stays up, with {EVENTS} business event a second and company, until Ctrl-C. Try:\n\
         \x20 {}\n\
         \x20   SELECT instance, count(*), sum(total) FROM cin7.sale_line GROUP BY 1;\n\
         \x20 the console, in a browser: http://{address}/console\n\
         \x20 curl http://{address}/v1/instances\n\
         \x20 curl http://{address}/metrics\n\
         \x20 curl http://{address}/v1/memory/query --json '{{\"query\": \"tealight holders with hearts\"}}'\n\
         \x20 curl 'http://{address}/v1/changes?limit=5'\n\
         \x20 curl -G http://{address}/v1/search -d resource=cin7.sale --data-urlencode 'where=Order.Lines[].SKU={}' \\\n\
         \x20   --data-urlencode 'where=Location={}' --data-urlencode 'where=CustomerID={}' \\\n\
         \x20   --data-urlencode 'where=SaleOrderDate>={}'\n\
         \x20 curl 'http://{address}/v1/records/connectwise.opportunity?instance={}&limit=1'\n\
         \x20 the simulated services themselves: {}\n\
         \x20                                    {}",
        stage.database.psql_command(),
        question.sku,
        question.location,
        question.customer_id,
        question.since,
        demo::DESK,
        stage.sim.base_url(),
        stage.desk.base_url(),
    );
    let grace = config.server.grace.0;
    let business = async {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = second.tick() => {
                    for account in &stage.sim.options().accounts {
                        stage.sim.tick(&account.account_id, EVENTS);
                    }
                }
            }
        }
    };
    let (served, ()) = tokio::join!(http::serve(app, listener, grace), business);
    stop.cancel();
    worker.await?;
    indexer.await?;
    served
}

fn work(mirror: &Mirror, stop: &CancellationToken) -> JoinHandle<()> {
    let (mirror, stop) = (mirror.clone(), stop.clone());
    let listener: mirror::Listener = Arc::new(|progress| http::metrics::count_progress(&progress));
    tokio::spawn(async move {
        let owner = super::serve::owner();
        if let Err(error) = mirror.work(&owner, stop, Some(listener)).await {
            tracing::error!(error = super::chain_of(&error), "the worker has ended");
        }
    })
}

/// What the demo says while it goes on: on standard output, unless a program reads that.
struct Told {
    json: bool,
    began: Instant,
}

impl Told {
    fn line(&self, text: &str) {
        if self.json {
            eprintln!("{}", json!({ "told": text }));
        } else {
            println!("{text}");
        }
    }

    fn step(&self, text: &str) {
        self.line(&format!(
            "[{:5.1} s] {text}",
            self.began.elapsed().as_secs_f64()
        ));
    }
}
