//! How long pages of the console take to come over a million records, with nothing kept, and a record of 5 MB.

use std::time::Instant;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use store::{ResourceName, Store, private::PrivateCluster};

use crate::{
    made::{incoming, write},
    measure::{median, result},
    served::{answers, get, millpond, port},
};

/// Records of one write.
const PAGE: usize = 2_000;
/// Lines of the large record, and the letters of each.
const LINES: usize = 10_000;
const LINE_CHARS: usize = 480;

/// How much.
#[derive(clap::Args)]
pub struct Options {
    /// Records in the listing, of 600 B each.
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// How often each page is asked for; the median counts.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// Fills a mirror, and opens pages.
pub async fn run(options: Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let store = Store::open(&cluster.url(), 4).await?;
    let began = Instant::now();
    fill(&store, options.records).await?;
    println!(
        "{} records in after {:.0} s; nothing is kept between requests; medians of {}",
        options.records,
        began.elapsed().as_secs_f64(),
        options.rounds
    );
    let port = port()?;
    // Nobody needs a key yet.
    let server = millpond(folder.path(), "off", &cluster.url(), port, None)?;
    answers(port, "/readyz", "").await?;
    let overview = open(port, "/console", options.rounds).await?;
    println!("{:<34} {overview:>8.1} ms", "overview");
    let mut slowest: f64 = 0.0;
    let of = "resource=cin7.sale&instance=uk";
    let first = format!("/console/records?{of}");
    for (what, path) in [
        ("records, first page with facets", first.clone()),
        (
            "records of every instance",
            "/console/records?resource=cin7.sale".to_owned(),
        ),
        (
            "records of one customer",
            format!("{first}&where=CustomerID%3Dc77"),
        ),
        (
            "records, a tenth of every instance",
            "/console/records?resource=cin7.sale&where=Status%3DVOIDED".to_owned(),
        ),
        (
            "records, a tenth of them",
            format!("{first}&where=Status%3DVOIDED"),
        ),
        (
            "records, half of them",
            format!("{first}&where=Status%3DCOMPLETED"),
        ),
        ("changes", "/console/changes".to_owned()),
        ("runs", "/console/runs".to_owned()),
        ("events", "/console/events".to_owned()),
    ] {
        let took = open(port, &path, options.rounds).await?;
        println!("{what:<34} {took:>8.1} ms");
        slowest = slowest.max(took);
    }
    let large = open(port, "/console/records/cin7.sale/uk/large", options.rounds).await?;
    println!("{:<34} {large:>8.1} ms", "one record of 5 MB");
    result("console_overview_ms", overview, "ms");
    result("console_listing_ms", slowest, "ms");
    result("console_large_record_ms", large, "ms");
    drop(server);
    cluster.stop().await?;
    Ok(())
}

/// The median of so many times that a page was asked for, after once.
async fn open(port: u16, path: &str, rounds: usize) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..=rounds {
        let began = Instant::now();
        let (status, _, body) = get(port, path, "").await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(status == 200, "{path} answers {status}: {body}");
    }
    Ok(median(took.split_off(1)))
}

/// Sales of a thousand customers in a handful of states, and one large one.
async fn fill(store: &Store, count: usize) -> Result<()> {
    let resource: ResourceName = "cin7.sale".parse()?;
    store.ensure_resource(&resource).await?;
    let now = Timestamp::now();
    let states = [
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "ORDERED",
        "ORDERED",
        "DRAFT",
        "BACKORDERED",
        "VOIDED",
    ];
    let sale = |n: usize| {
        let body = format!(
            r#"{{"ID":"{n}","SaleOrderNumber":"SO-{n:07}","Status":"{}","Location":"Warehouse {}","CustomerID":"c{}","Total":{}.50,"Order":{{"Lines":[{{"SKU":"S{}","Quantity":{}}}]}},"Note":"{}"}}"#,
            states[n % states.len()],
            n % 4,
            n % 1000,
            n % 977,
            n % 20_000,
            n % 9,
            "x".repeat(400)
        );
        incoming(
            n.to_string(),
            body,
            now - SignedDuration::from_secs(n as i64),
        )
    };
    for from in (0..count).step_by(PAGE) {
        let records = (from..count.min(from + PAGE)).map(sale).collect();
        write(store, &resource, records).await?;
    }
    let lines: Vec<String> = (0..LINES)
        .map(|n| format!(r#"{{"SKU":"S{n}","Text":"{}"}}"#, "x".repeat(LINE_CHARS)))
        .collect();
    let large = format!(
        r#"{{"SaleOrderNumber":"SO-LARGE","Lines":[{}]}}"#,
        lines.join(",")
    );
    ensure!(large.len() > 5_000_000, "it is not large: {}", large.len());
    // An old one: no first page has it.
    let old = now - SignedDuration::from_hours(24 * 3650);
    write(
        store,
        &resource,
        vec![incoming("large".to_owned(), large, old)],
    )
    .await?;
    // As after a first listing.
    store
        .build_indexes(&resource, &[vec!["CustomerID".to_owned()]])
        .await?;
    sqlx::query("VACUUM (ANALYZE) millpond.record")
        .execute(store.pool())
        .await?;
    Ok(())
}
