//! Mirroring many records, beside `psql \copy` of the same rows and a plain fetch of all pages, in one run.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use mirror::{ConnectionSettings, InstanceSettings, Mirror, ResourceFilter, SecretSource, SyncAsk};
use store::{Store, instances::CallLimit, private::PrivateCluster};
use tokio_util::sync::CancellationToken;
use upstream::{Class, Connector, Gate, GateConnection, MemoryGate, PageAsk, Position, Secret};

use crate::{
    bulk,
    measure::{cpu_secs, median, peak_mb, result, tree_cpu_secs},
};

/// How large, how often.
#[derive(clap::Args)]
pub struct Options {
    /// Records.
    #[arg(long, default_value_t = 200_000)]
    records: usize,
    /// Rounds; each measures everything once, and medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One sync in a process of its own.
#[derive(clap::Args)]
pub struct SyncOptions {
    #[arg(long)]
    database: String,
    #[arg(long)]
    upstream: String,
    /// `full` or `changes`.
    #[arg(long)]
    kind: String,
}

/// One fetch of all pages in a process of its own.
#[derive(clap::Args)]
pub struct FetchOptions {
    #[arg(long)]
    upstream: String,
}

struct NoSecret;

impl SecretSource for NoSecret {
    fn resolve(&self, _: &str) -> Result<Secret, String> {
        Ok(Secret::new("none"))
    }
}

fn connector() -> Result<Arc<Connector>> {
    Ok(Arc::new(
        Connector::parse("bulk.toml", bulk::CONNECTOR).map_err(|p| anyhow::anyhow!("{p}"))?,
    ))
}

/// Syncs, and prints seconds, peak megabytes and CPU seconds.
pub async fn sync(options: SyncOptions) -> Result<()> {
    let store = Store::open(&options.database, 8).await?;
    let settings = InstanceSettings {
        name: "bulk".to_owned(),
        connector: connector()?,
        base_url: Some(format!("{}/api", options.upstream)),
        currency: None,
        reporting: None,
        connections: vec![ConnectionSettings {
            name: "one".to_owned(),
            secrets: BTreeMap::from([("key".to_owned(), "none".to_owned())]),
            limit: None,
            share: None,
        }],
        resources: ResourceFilter::All,
        schedules: Vec::new(),
        quiet: None,
        private_hosts: true,
        timeout: None,
        limit: Some(CallLimit {
            calls: 600,
            window: Duration::from_millis(1),
        }),
        concurrency: None,
        chores: Default::default(),
        freshness: Default::default(),
    };
    let mirror = Mirror::open(store, vec![settings], Arc::new(NoSecret), None).await?;
    let ask = SyncAsk {
        kind: Some(options.kind),
        ..SyncAsk::default()
    };
    let report = mirror.sync(ask, CancellationToken::new(), None).await?;
    let run = report.runs.first().context("no run was made")?;
    if !report.complete {
        bail!("the sync did not complete: {report:?}");
    }
    let ended = run.ended_at.context("the run has not ended")?;
    let secs = ended.duration_since(run.started_at).as_secs_f64();
    let pid = i32::try_from(std::process::id())?;
    println!(
        "{secs} {} {} {} {}",
        peak_mb(),
        cpu_secs(pid),
        run.inserted,
        run.updated
    );
    Ok(())
}

/// Fetches and cuts all pages with the same client, and forgets them.
pub async fn fetch(options: FetchOptions) -> Result<()> {
    let connector = connector()?;
    let limits = connector.limits.clone();
    let gate: Arc<dyn Gate> = Arc::new(MemoryGate::new(vec![GateConnection {
        name: "one".to_owned(),
        limits,
    }]));
    let mut settings = upstream::Settings::new(Arc::clone(&connector), "bulk");
    settings.base_url = Some(format!("{}/api", options.upstream));
    settings.allow_private_hosts = true;
    let client = upstream::Client::new(settings, gate, None)?;
    client.set_connections(&[upstream::Connection {
        name: "one".to_owned(),
        secrets: BTreeMap::from([("key".to_owned(), Secret::new("none"))]),
    }])?;
    let resource = connector.resources.first().context("no resource")?;
    let began = Instant::now();
    let page = |number: u64| {
        let (client, resource) = (client.clone(), Arc::clone(resource));
        async move {
            let ask = PageAsk {
                position: Position::page(number, 1000),
                ..PageAsk::default()
            };
            tokio::spawn(async move { client.list_page(&resource, ask, Class::Read).await }).await
        }
    };
    let first = page(1).await??;
    let pages = first.total.context("no total")?.div_ceil(1000);
    let mut seen = first.records.len();
    let mut rest = std::pin::pin!(futures::stream::iter(2..=pages).map(page).buffered(2));
    while let Some(page) = rest.next().await {
        seen += page??.records.len();
    }
    println!("{} {seen}", began.elapsed().as_secs_f64());
    Ok(())
}

/// The whole comparison.
pub async fn run(options: Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!(
        "starting a private PostgreSQL with durable settings and an upstream of {} records",
        options.records
    );
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let mut serving = start_upstream(options.records)?;
    let upstream = serving.1.clone();
    let copy_file = folder.path().join("rows.copy");
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let round_result = one_round(
            &cluster,
            &serving.0,
            &upstream,
            &copy_file,
            options.records,
            round,
        )
        .await?;
        rounds.push(round_result);
    }
    drop(serving.0.stdin.take());
    serving.0.wait()?;
    report(&rounds, options.records);
    cluster.stop().await?;
    Ok(())
}

#[derive(Default)]
struct Round {
    copy: f64,
    copy_pg_cpu: f64,
    fetch: f64,
    sync: f64,
    sync_peak: f64,
    sync_cpu: f64,
    sync_pg_cpu: f64,
    sync_upstream_cpu: f64,
    incremental: f64,
    unchanged: f64,
    unchanged_rows: f64,
    peak: f64,
}

async fn one_round(
    cluster: &PrivateCluster,
    upstream: &Child,
    url: &str,
    copy_file: &Path,
    records: usize,
    number: usize,
) -> Result<Round> {
    let name = format!("round{number}");
    let admin = sqlx::PgPool::connect(&cluster.url_of("postgres")).await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&admin)
        .await?;
    let database = cluster.url_of(&name);
    let pg = cluster.server_pid();
    let upstream_pid = i32::try_from(upstream.id())?;
    let mut round = Round::default();

    let fetched = child(&["fetch", "--upstream", url])?;
    round.fetch = fetched[0];

    let (pg_before, upstream_before) = (tree_cpu_secs(pg), cpu_secs(upstream_pid));
    let synced = child(&[
        "sync",
        "--database",
        &database,
        "--upstream",
        url,
        "--kind",
        "full",
    ])?;
    (round.sync, round.sync_peak, round.sync_cpu) = (synced[0], synced[1], synced[2]);
    round.sync_pg_cpu = tree_cpu_secs(pg) - pg_before;
    round.sync_upstream_cpu = cpu_secs(upstream_pid) - upstream_before;
    if synced[3] as usize != records {
        bail!("{} of {records} records came in", synced[3]);
    }

    let pool = sqlx::PgPool::connect(&database).await?;
    if number == 1 {
        let rows: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM bulk.record), (SELECT count(*) FROM millpond.change)",
        )
        .fetch_one(&pool)
        .await?;
        println!(
            "  the mirror holds {} records and {} changes",
            rows.0, rows.1
        );
        let sample: i64 =
            sqlx::query_scalar("SELECT avg(length(body::text))::bigint FROM bulk.record")
                .fetch_one(&pool)
                .await?;
        println!("  a body has {sample} characters on average");
        export(&database, copy_file)?;
    }
    // The identical table: same columns, types and primary key, in the same database, empty.
    sqlx::query("CREATE TABLE copied (LIKE millpond.record INCLUDING DEFAULTS)")
        .execute(&pool)
        .await?;
    sqlx::query("ALTER TABLE copied ADD PRIMARY KEY (resource, instance, id)")
        .execute(&pool)
        .await?;
    sqlx::query("ALTER TABLE copied SET (fillfactor = 90)")
        .execute(&pool)
        .await?;
    sqlx::query("CHECKPOINT").execute(&pool).await?;
    let pg_before = tree_cpu_secs(pg);
    let began = Instant::now();
    psql(
        &database,
        &format!("\\copy copied from '{}'", copy_file.display()),
    )?;
    round.copy = began.elapsed().as_secs_f64();
    round.copy_pg_cpu = tree_cpu_secs(pg) - pg_before;
    sqlx::query("DROP TABLE copied").execute(&pool).await?;

    let changed = change(url, 100)?;
    let incremental = child(&[
        "sync",
        "--database",
        &database,
        "--upstream",
        url,
        "--kind",
        "changes",
    ])?;
    round.incremental = incremental[0];
    round.peak = round.sync_peak.max(incremental[1]);
    if (incremental[4] as usize) < changed {
        bail!("{} of {changed} changed records came in", incremental[4]);
    }

    let lsn: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&pool)
        .await?;
    let unchanged = child(&[
        "sync",
        "--database",
        &database,
        "--upstream",
        url,
        "--kind",
        "full",
    ])?;
    round.unchanged = unchanged[0];
    round.unchanged_rows = unchanged[3] + unchanged[4];
    round.peak = round.peak.max(unchanged[1]);
    let wal: i64 =
        sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint")
            .bind(lsn)
            .fetch_one(&pool)
            .await?;
    println!(
        "round {number}: \\copy {:.2} s, sync {:.2} s (ratio {:.2}), fetch alone {:.2} s, 1 % changed {:.3} s, unchanged {:.2} s ({} rows, {} KB of WAL)",
        round.copy,
        round.sync,
        round.copy / round.sync,
        round.fetch,
        round.incremental,
        round.unchanged,
        round.unchanged_rows,
        wal / 1024,
    );
    pool.close().await;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "DROP DATABASE {name} WITH (FORCE)"
    )))
    .execute(&admin)
    .await?;
    Ok(round)
}

fn report(rounds: &[Round], records: usize) {
    let of = |pick: fn(&Round) -> f64| median(rounds.iter().map(pick).collect());
    let (copy, sync) = (of(|r| r.copy), of(|r| r.sync));
    println!("\nwhere the time goes (CPU seconds, median):");
    println!(
        "  \\copy:  PostgreSQL {:.2}, wall {copy:.2}",
        of(|r| r.copy_pg_cpu)
    );
    println!(
        "  sync:   PostgreSQL {:.2}, Millpond {:.2}, upstream {:.2}, wall {sync:.2} on {} cores",
        of(|r| r.sync_pg_cpu),
        of(|r| r.sync_cpu),
        of(|r| r.sync_upstream_cpu),
        std::thread::available_parallelism().map_or(0, usize::from),
    );
    println!(
        "  the mirror writes beside each record its change; its indexes come after the first listing\n"
    );
    result("sync_ratio_to_copy", of(|r| r.copy / r.sync), "x");
    result("sync_records_per_s", records as f64 / sync, "records/s");
    result("sync_peak_mb", of(|r| r.peak), "MB");
    result("sync_cpu_s", of(|r| r.sync_cpu), "s");
    result("copy_s", copy, "s");
    result("incremental_1pct_s", of(|r| r.incremental), "s");
    result("unchanged_pass_s", of(|r| r.unchanged), "s");
    result("fetch_only_s", of(|r| r.fetch), "s");
}

fn start_upstream(records: usize) -> Result<(Child, String)> {
    let mut serving = Command::new(std::env::current_exe()?)
        .args(["serve", "--records", &records.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = serving.stdout.as_mut().context("no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    Ok((serving, line.trim().to_owned()))
}

/// Runs this program again and reads the numbers that it prints.
fn child(arguments: &[&str]) -> Result<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        bail!("`{}` failed: {text}", arguments.join(" "));
    }
    text.split_whitespace()
        .map(|number| Ok(number.parse()?))
        .collect()
}

fn psql(database: &str, command: &str) -> Result<()> {
    let status = Command::new("psql")
        .args([database, "-q", "-v", "ON_ERROR_STOP=1", "-c", command])
        .status()?;
    if !status.success() {
        bail!("psql failed");
    }
    Ok(())
}

/// The rows to be copied, as the mirror holds them, in `\copy`'s text format.
fn export(database: &str, file: &Path) -> Result<()> {
    psql(
        database,
        &format!("\\copy (select * from bulk.record) to '{}'", file.display()),
    )?;
    std::fs::File::open(file)?.sync_all()?;
    std::io::stdout().flush()?;
    Ok(())
}

fn change(url: &str, every: usize) -> Result<usize> {
    let address = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(
        stream,
        "POST /change?every={every} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )?;
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer)?;
    answer
        .rsplit("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .trim()
        .parse()
        .context("the upstream did not change")
}
