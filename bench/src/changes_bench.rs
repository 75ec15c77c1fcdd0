//! What it costs to keep up: a few of many sales change, and the simulator counts the calls that bring them in.

use std::{collections::BTreeMap, sync::Arc, time::Duration, time::Instant};

use anyhow::{Context, Result, bail};
use mirror::{ConnectionSettings, InstanceSettings, Mirror, ResourceFilter, SecretSource, SyncAsk};
use simulators::cin7::{Account, Cin7, Options as Simulated};
use store::{Store, instances::CallLimit, private::PrivateCluster};
use tokio_util::sync::CancellationToken;
use upstream::{Connector, Secret};

use crate::measure::result;

/// Orders of the data set from which the sales are copied.
const ORDERS: usize = 17_000;

/// How large, and how much changes.
#[derive(clap::Args)]
pub struct Options {
    /// Sales in the mirror; the next multiple of 17,000 is taken.
    #[arg(long, default_value_t = 50_000)]
    sales: usize,
    /// Sales that change.
    #[arg(long, default_value_t = 10)]
    changed: usize,
}

struct Keys(Account);

impl SecretSource for Keys {
    fn resolve(&self, place: &str) -> Result<Secret, String> {
        match place {
            "account" => Ok(Secret::new(&self.0.account_id)),
            _ => Ok(Secret::new(&self.0.keys[0])),
        }
    }
}

/// Mirrors the sales, changes some, and counts.
pub async fn run(options: Options) -> Result<()> {
    let account = Account {
        sales_max: ORDERS.min(options.sales),
        scale: options.sales.div_ceil(ORDERS).max(1),
        ..Account::gbp()
    };
    let simulated = Simulated {
        accounts: vec![account.clone()],
        limit: None,
        ..Simulated::default()
    };
    let upstream = Cin7::start(simulated, ([127, 0, 0, 1], 0).into()).await?;
    let folder = tempfile::tempdir()?;
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let mirror = open(&cluster, &upstream, &account).await?;

    println!("mirroring the sales, each with its detail; some minutes");
    let began = Instant::now();
    let filled = mirror
        .sync(SyncAsk::default(), CancellationToken::new(), None)
        .await?;
    if !filled.complete {
        bail!("the first sync did not complete: {filled:?}");
    }
    let listed: i64 = sqlx::query_scalar("SELECT count(*) FROM cin7.sale")
        .fetch_one(mirror.store().pool())
        .await?;
    println!(
        "{listed} sales came in with {} calls in {:.0} s",
        upstream.wiretap().len(),
        began.elapsed().as_secs_f64()
    );

    let edited = upstream.edit_sales(&account.account_id, options.changed);
    upstream.wiretap().clear();
    let began = Instant::now();
    let ask = SyncAsk {
        kind: Some("changes".to_owned()),
        ..SyncAsk::default()
    };
    let caught_up = mirror.sync(ask, CancellationToken::new(), None).await?;
    let secs = began.elapsed().as_secs_f64();
    if !caught_up.complete {
        bail!("the changes did not come in: {caught_up:?}");
    }
    check(&mirror, &upstream, &account, &edited).await?;
    let (pages, details) = (
        upstream.wiretap().of("saleList").len(),
        upstream.wiretap().of("sale").len(),
    );
    println!(
        "{} of {listed} sales changed and are in after {secs:.1} s: {pages} list pages, {details} details, {} calls in all",
        edited.len(),
        upstream.wiretap().len()
    );
    result("change_list_pages", pages as f64, "calls");
    result("change_details", details as f64, "calls");
    result("change_secs", secs, "s");
    upstream.stop().await;
    cluster.stop().await?;
    Ok(())
}

async fn open(cluster: &PrivateCluster, upstream: &Cin7, account: &Account) -> Result<Mirror> {
    let connector = Connector::parse(
        "cin7-core.toml",
        include_str!("../../connectors/cin7-core.toml"),
    )
    .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let secret = |key: &str, place: &str| (key.to_owned(), place.to_owned());
    let settings = InstanceSettings {
        name: "uk".to_owned(),
        connector: Arc::new(connector),
        base_url: Some(upstream.base_url()),
        currency: None,
        reporting: None,
        connections: vec![ConnectionSettings {
            name: "main".to_owned(),
            secrets: BTreeMap::from([
                secret("account_id", "account"),
                secret("application_key", "key"),
            ]),
            limit: None,
            share: None,
        }],
        resources: ResourceFilter::Only(vec!["sale_header".to_owned(), "sale".to_owned()]),
        schedules: Vec::new(),
        quiet: None,
        private_hosts: true,
        timeout: None,
        limit: Some(CallLimit {
            calls: 600,
            window: Duration::from_millis(50),
        }),
        concurrency: Some(8),
        chores: Default::default(),
        freshness: Default::default(),
    };
    let store = Store::open(&cluster.url_of("postgres"), 10).await?;
    Ok(Mirror::open(store, vec![settings], Arc::new(Keys(account.clone())), None).await?)
}

/// Whether the mirror now says what upstream says.
async fn check(
    mirror: &Mirror,
    upstream: &Cin7,
    account: &Account,
    edited: &[String],
) -> Result<()> {
    let truth = upstream.truth(&account.account_id);
    for id in edited {
        let held: Option<serde_json::Value> =
            sqlx::query_scalar("SELECT body FROM cin7.sale WHERE id = $1")
                .bind(id)
                .fetch_optional(mirror.store().pool())
                .await?;
        let said = truth
            .document("sale", id)
            .context("the sale is gone upstream")?;
        if held.as_ref() != Some(&said) {
            bail!("sale {id} is not as upstream says it");
        }
    }
    Ok(())
}
