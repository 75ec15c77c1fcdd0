//! What it costs to keep up: a few of many sales change, and the simulator counts the calls that bring them in.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use mirror::{Mirror, SyncAsk};
use simulators::cin7::{Account, Cin7, Options as Simulated};
use store::private::PrivateCluster;
use tokio_util::sync::CancellationToken;

use crate::{company::open, measure::result};

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
    let mirror = open(&cluster, &upstream, &account, &["sale_header", "sale"]).await?;

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
