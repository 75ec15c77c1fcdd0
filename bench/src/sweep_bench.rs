//! A sweep in full: hot values of a simulated service desk that all ran out, at the pace and with the limits of the
//! shipped connector, against answers that take a median of 230 ms.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use mirror::{
    ConnectionSettings, InstanceSettings, Mirror, ResourceFilter, SecretSource, SyncAsk,
    batch::{BATCH_DELAY, CONCURRENCY},
};
use serde_json::json;
use simulators::connectwise::{ConnectWise, Latency, Options as Simulated, Size};
use store::{Store, private::PrivateCluster};
use tokio_util::sync::CancellationToken;
use upstream::{Connector, Secret};

use crate::measure::result;

/// Companies that the deals are spread over; each is one value more.
const COMPANIES: usize = 4;

/// Values of a deal that a sweep warms while the deal is cool: itself, activities, notes and contacts.
const VALUES_PER_DEAL: usize = 4;

/// How much runs out.
#[derive(clap::Args)]
pub struct Options {
    /// Values that ran out.
    #[arg(long, default_value_t = 500)]
    keys: usize,
}

struct Keys(Arc<ConnectWise>);

impl SecretSource for Keys {
    fn resolve(&self, place: &str) -> Result<Secret, String> {
        let company = &self.0.options().company;
        let key = &company.keys[0];
        Ok(Secret::new(match place {
            "company" => &company.id,
            "public" => &key.public,
            "private" => &key.private,
            _ => "00000000-0000-0000-0000-000000000000",
        }))
    }
}

/// Fills the mirror, lets everything run out, sweeps once.
pub async fn run(options: Options) -> Result<()> {
    let deals = options.keys.saturating_sub(COMPANIES) / VALUES_PER_DEAL;
    ensure!(
        deals > 0,
        "--keys must be at least {}",
        COMPANIES + VALUES_PER_DEAL
    );
    let upstream = start(deals).await?;
    let folder = tempfile::tempdir()?;
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let mirror = open(&cluster, Arc::clone(&upstream)).await?;
    let filled = mirror
        .sync(SyncAsk::default(), CancellationToken::new(), None)
        .await?;
    if !filled.complete {
        bail!("the first sync did not complete: {filled:?}");
    }
    // What was listed just now counts as a day old.
    for table in [
        "watermark SET as_of = as_of",
        "record SET asked_at = asked_at",
    ] {
        let statement = format!("UPDATE millpond.{table} - interval '1 day'");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(mirror.store().pool())
            .await?;
    }

    upstream.wiretap().clear();
    let began = Instant::now();
    let reports = mirror
        .sweep("opportunities", None, "bench", &CancellationToken::new())
        .await?;
    let took = began.elapsed();
    let report = reports.first().context("there is no such sweep")?;
    let calls = upstream.wiretap().calls();
    let mut times: Vec<u64> = calls.iter().map(|call| call.duration_ms).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let errors = calls.iter().filter(|call| call.status != 200).count();
    let most = upstream.wiretap().max_in_flight();
    let pauses = BATCH_DELAY * u32::try_from(report.batches.saturating_sub(1))?;
    println!(
        "{} values of {} deals and {COMPANIES} companies ran out; {} batches, {} calls, median {median} ms, at most {most} \
         at once, {errors} errors",
        report.values.expired,
        report.candidates,
        report.batches,
        calls.len(),
    );
    println!(
        "took {:.1} s, of which {:.1} s are the pauses between batches",
        took.as_secs_f64(),
        pauses.as_secs_f64()
    );
    ensure!(
        report.state == "done" && errors == 0,
        "not everything came: {report:?}"
    );
    ensure!(most <= CONCURRENCY, "{most} calls at once");
    ensure!(
        report.values.expired == options.keys as u64,
        "another number of values ran out: {report:?}"
    );
    result(
        &format!("sweep_{}_s", options.keys),
        took.as_secs_f64(),
        "s",
    );
    result("sweep_calls_at_once", most as f64, "calls");
    result("sweep_errors", errors as f64, "calls");
    drop(mirror);
    cluster.stop().await?;
    Ok(())
}

/// A service desk with so many open deals of a few companies, none of which moves.
async fn start(deals: usize) -> Result<Arc<ConnectWise>> {
    let simulated = Simulated {
        size: Size {
            opportunities: deals,
            companies: COMPANIES,
            catalog_items: 10,
            adjustments: 1,
            tickets: 1,
        },
        latency: Latency::observed(),
        ..Simulated::default()
    };
    let upstream = ConnectWise::start(simulated, ([127, 0, 0, 1], 0).into()).await?;
    let contacts = upstream.truth().documents("company/contacts");
    let companies = upstream.truth().ids("company/companies");
    let ids = upstream.truth().ids("sales/opportunities");
    for (n, id) in ids.into_iter().enumerate() {
        let path = format!("sales/opportunities/{id}");
        let company = companies.get(n % COMPANIES).context("a company")?;
        let of_company =
            |(_, contact): &&(i64, serde_json::Value)| contact["company"]["id"] == *company;
        let (contact, _) = contacts
            .iter()
            .find(of_company)
            .context("a contact of it")?;
        ensure!(upstream.set_status(id, "Open"), "there is no status Open");
        let moved =
            json!({ "company": { "id": company }, "contact": { "id": contact }, "site": null });
        upstream.change(&path, moved)?;
        upstream.plant(
            &path,
            json!({ "expectedCloseDate": "2040-01-01T00:00:00Z" }),
        )?;
        let days = 40 + i64::try_from(n)?;
        upstream.set_last_updated(
            &path,
            Timestamp::now() - SignedDuration::from_hours(24 * days),
        )?;
    }
    Ok(Arc::new(upstream))
}

async fn open(cluster: &PrivateCluster, upstream: Arc<ConnectWise>) -> Result<Mirror> {
    let text = include_str!("../../connectors/connectwise.toml");
    let connector = Connector::parse("connectwise.toml", text)
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let names = [
        ("company", "company"),
        ("public_key", "public"),
        ("private_key", "private"),
        ("client_id", "client"),
    ];
    let kept = ["opportunity", "opportunity_status"];
    let settings = InstanceSettings {
        name: "psa".to_owned(),
        connector: Arc::new(connector),
        base_url: Some(upstream.base_url()),
        currency: None,
        reporting: None,
        connections: vec![ConnectionSettings {
            name: "main".to_owned(),
            secrets: BTreeMap::from(names.map(|(name, place)| (name.to_owned(), place.to_owned()))),
            limit: None,
            share: None,
        }],
        resources: ResourceFilter::Only(kept.map(str::to_owned).to_vec()),
        schedules: Vec::new(),
        quiet: None,
        private_hosts: true,
        timeout: None,
        // As shipped: the connector's own limit and concurrency, the default pace.
        limit: None,
        concurrency: None,
        chores: Default::default(),
        freshness: Default::default(),
    };
    let store = Store::open(&cluster.url_of("postgres"), 10).await?;
    Ok(Mirror::open(store, vec![settings], Arc::new(Keys(upstream)), None).await?)
}
