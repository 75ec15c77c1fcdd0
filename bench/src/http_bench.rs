//! A cached record read and a cached search over HTTP, beside nginx and Varnish that hold the very same answers, and
//! beside the SQL that PostgREST would send.
//!
//! Every contestant has one core, the load generator (wrk) another. Other work on the machine takes core time away from
//! all: what counts is requests per second of CPU time that the contestant itself spent, the median of rounds that take
//! turns.

mod peers;
mod wrk;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use store::{
    ResourceName, Store,
    keys::{NewKey, Role},
    private::PrivateCluster,
    records::Incoming,
};

use self::{
    peers::{nginx, sql, varnish},
    wrk::{Run, Script},
};
use crate::{
    made::{incoming, write},
    measure::{median, result, tree_cpu_secs},
    served::{Process, answers, get, millpond, port},
};

/// The core of whoever answers, and of whoever asks.
const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";
/// Different searches; each finds the same number of records.
const CUSTOMERS: usize = 100;
const BODY_BYTES: usize = 2048;
/// How many ask at once where latencies of routes with and without the cache are compared.
const FEW: usize = 4;

/// How much, and for how long.
#[derive(clap::Args)]
pub struct Options {
    /// Records, of 2 KB each.
    #[arg(long, default_value_t = 2_000)]
    records: usize,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Rounds; in each every contestant has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a turn.
    #[arg(long, default_value_t = 3)]
    secs: u64,
}

/// Somebody who answers.
struct Contestant {
    name: &'static str,
    port: u16,
    process: Process,
    rates: Vec<f64>,
    cores: Vec<f64>,
    p99_ms: Vec<f64>,
}

impl Contestant {
    fn new(name: &'static str, port: u16, process: Process) -> Self {
        Self {
            name,
            port,
            process,
            rates: Vec::new(),
            cores: Vec::new(),
            p99_ms: Vec::new(),
        }
    }

    /// One turn under load.
    fn turn(&mut self, script: &Script, connections: usize, secs: u64) -> Result<()> {
        let before = tree_cpu_secs(self.process.pid());
        let run = script.run(self.port, connections, secs)?;
        let spent = tree_cpu_secs(self.process.pid()) - before;
        ensure!(
            run.errors == 0,
            "{}: {} requests failed",
            self.name,
            run.errors
        );
        self.rates.push(run.requests / run.secs);
        self.cores.push(run.requests / spent);
        self.p99_ms.push(run.p99_ms);
        Ok(())
    }

    /// Says how it fared, and forgets it.
    fn tell(&mut self, what: &str) -> (f64, f64) {
        let take = |values: &mut Vec<f64>| median(std::mem::take(values));
        let (rate, core, p99) = (
            take(&mut self.rates),
            take(&mut self.cores),
            take(&mut self.p99_ms),
        );
        println!(
            "{what:<8} {:<22} {rate:>9.0} requests/s {core:>9.0} per second of CPU, p99 {p99:.2} ms",
            self.name
        );
        (core, p99)
    }
}

/// The whole benchmark.
pub async fn run(options: Options) -> Result<()> {
    for tool in ["taskset", "wrk", "nginx", "varnishd"] {
        ensure!(
            peers::find(tool).is_some(),
            "`{tool}` is missing: run scripts/setup bench-http"
        );
    }
    let folder = tempfile::tempdir()?;
    peers::open_to_all(folder.path())?;
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let store = Store::open(&cluster.url(), 4).await?;
    fill(&store, options.records).await?;
    let new = NewKey {
        tenant: None,
        project: None,
        role: Role::Admin,
        title: "bench".to_owned(),
        calls_per_minute: None,
        expires_at: None,
    };
    // Nobody listens yet who had to hear of it.
    let (_, credential, _) = store.create_key(&new).await?;
    let key = credential.expose().to_owned();

    let (cached_port, bare_port) = (port()?, port()?);
    let url = cluster.url();
    let cached = millpond(
        folder.path(),
        "memory",
        &url,
        cached_port,
        Some(SERVER_CORE),
    )?;
    let bare = millpond(folder.path(), "off", &url, bare_port, Some(SERVER_CORE))?;
    let records = Script::new(
        folder.path(),
        "record",
        &key,
        "/v1/records/cin7.sale/uk/%d",
        options.records,
    )?;
    let searches = Script::new(
        folder.path(),
        "search",
        &key,
        "/v1/search?resource=cin7.sale&instance=uk&where=CustomerID=c%d&limit=1",
        CUSTOMERS,
    )?;
    // Ten to nineteen records each.
    let lists = Script::new(
        folder.path(),
        "list",
        &key,
        "/v1/records/cin7.sale?instance=uk&limit=1%d",
        10,
    )?;
    for port in [cached_port, bare_port] {
        answers(port, &records.path(0), &key).await?;
    }
    let mut contestants = vec![
        Contestant::new("millpond, cache on", cached_port, cached),
        nginx(folder.path(), cached_port)?,
        varnish(folder.path(), cached_port)?,
    ];
    let mut bare = Contestant::new("millpond, cache off", bare_port, bare);
    same_answers(&contestants, &[&records, &searches], &key).await?;

    println!(
        "{} records of {BODY_BYTES} B, {} connections, {} rounds of {} s; one core each for the server and for wrk",
        options.records, options.connections, options.rounds, options.secs
    );
    let mut ratios = Vec::new();
    let mut p99_ms = f64::NAN;
    for (what, script) in [("record", &records), ("search", &searches)] {
        for contestant in &contestants {
            script.run(contestant.port, options.connections, 1)?;
        }
        for round in 0..options.rounds {
            for turn in 0..contestants.len() {
                let at = (round + turn) % contestants.len();
                contestants[at].turn(script, options.connections, options.secs)?;
            }
        }
        bare.turn(script, options.connections, options.secs)?;
        let told: Vec<(f64, f64)> = contestants
            .iter_mut()
            .map(|contestant| contestant.tell(what))
            .collect();
        bare.tell(what);
        if what == "record" {
            p99_ms = told[0].1;
        }
        ratios.push((told[0].0 / told[1].0, told[0].0 / told[2].0));
    }
    let (rate, core) = sql(
        &cluster,
        options.records,
        options.connections,
        options.secs,
        CLIENT_CORE,
    )?;
    println!(
        "record   SQL as PostgREST has it {rate:>9.0} requests/s {core:>9.0} per second of PostgreSQL's CPU"
    );

    let mut drops = Vec::new();
    for (what, script) in [
        ("record", &records),
        ("search", &searches),
        ("list", &lists),
    ] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let ask = |port| -> Result<Run> { script.run(port, FEW, options.secs) };
            with.push(ask(cached_port)?.p50_ms);
            without.push(ask(bare_port)?.p50_ms);
        }
        let (with, without) = (median(with), median(without));
        let drop = (1.0 - with / without) * 100.0;
        println!(
            "{what:<8} median with the cache {with:.3} ms, without {without:.3} ms: {drop:.0} % less, {FEW} at once"
        );
        drops.push(drop);
    }
    result("http_ratio_nginx", ratios[0].0, "ratio");
    result("http_ratio_varnish", ratios[0].1, "ratio");
    result("http_search_ratio_nginx", ratios[1].0, "ratio");
    result("http_search_ratio_varnish", ratios[1].1, "ratio");
    result("http_p99_ms", p99_ms, "ms");
    let least = drops.into_iter().fold(f64::INFINITY, f64::min);
    result("cached_median_drop_pct", least, "%");
    // Before the database that they use.
    drop((contestants, bare));
    cluster.stop().await?;
    Ok(())
}

/// Records of [`BODY_BYTES`], as sales that customers in turn have made.
async fn fill(store: &Store, count: usize) -> Result<()> {
    let resource: ResourceName = "cin7.sale".parse()?;
    store.ensure_resource(&resource).await?;
    let now = Timestamp::now();
    let records = (0..count).map(|id| {
        let customer = id % CUSTOMERS;
        let head = format!(r#"{{"ID":"{id}","CustomerID":"c{customer}","Note":""#);
        let rest = BODY_BYTES.saturating_sub(head.len() + 2);
        let body = format!("{head}{}\"}}", "x".repeat(rest));
        incoming(id.to_string(), body, now)
    });
    let records: Vec<Incoming> = records.collect();
    for page in records.chunks(500) {
        write(store, &resource, page.to_vec()).await?;
    }
    // As after a first listing: uncached searches are as quick as they are in use.
    store
        .build_indexes(&resource, &[vec!["CustomerID".to_owned()]])
        .await?;
    sqlx::query("VACUUM (ANALYZE) millpond.record")
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Fails unless all answer the same records, and the peers out of their own cache.
async fn same_answers(contestants: &[Contestant], scripts: &[&Script], key: &str) -> Result<()> {
    for script in scripts {
        let path = script.path(1);
        let mut first = None;
        for contestant in contestants {
            answers(contestant.port, &path, key).await?;
            let (_, head, body) = get(contestant.port, &path, key).await?;
            let said: serde_json::Value = serde_json::from_str(&body)?;
            let body = said.pointer("/body").or(said.pointer("/records/0/body"));
            let body = body.context("an answer without a record")?.clone();
            ensure!(
                *first.get_or_insert_with(|| body.clone()) == body,
                "{} answers another record",
                contestant.name
            );
            let kept =
                head.contains("x-kept: hit") || said.to_string().contains(r#""source":"cache""#);
            ensure!(kept, "{} does not keep {path}: {head}", contestant.name);
        }
    }
    Ok(())
}
