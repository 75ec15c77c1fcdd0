//! Asking a large mirror: the question that the API cannot answer, against an oracle; point reads and searches of
//! many clients at once.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use jiff::{Timestamp, ToSpan, civil::Date};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Deserialize;
use sqlx::Row;
use store::{
    ResourceName, Store,
    private::PrivateCluster,
    read::{Criterion, Search},
};

use crate::{
    made::{incoming, write},
    measure::result,
};

/// Real orders, CC BY 4.0; see the attribution beside the file.
const LINES: &[u8] = include_bytes!("../../crates/simulators/data/online-retail.csv.gz");

const LOCATIONS: [&str; 3] = ["Main Warehouse", "North", "South"];

/// How large.
#[derive(clap::Args)]
pub struct Options {
    /// Sales, of four to five lines each.
    #[arg(long, default_value_t = 250_000)]
    sales: usize,
    /// Documents in all; those that are no sales are stock levels.
    #[arg(long, default_value_t = 1_000_000)]
    documents: usize,
    /// Clients at once.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Seeds the questions.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

#[derive(Deserialize)]
struct Line {
    stock_code: String,
    description: String,
    quantity: i64,
    unit_price: String,
    customer_id: String,
}

/// A sale as the oracle remembers it.
struct Sale {
    id: String,
    date: Date,
    customer: String,
    location: &'static str,
    skus: Vec<String>,
}

/// The whole benchmark.
pub async fn run(options: Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster =
        PrivateCluster::start(store::private::Settings::new(folder.path().join("pg"))).await?;
    let store = Store::open(&cluster.url(), 16).await?;
    let sale: ResourceName = "cin7.sale".parse()?;
    let stock: ResourceName = "cin7.availability".parse()?;
    store.ensure_resource(&sale).await?;
    store.ensure_resource(&stock).await?;

    let began = Instant::now();
    let today: Date = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let sales = load_sales(&store, &sale, options.sales, today).await?;
    load_stock(
        &store,
        &stock,
        options.documents.saturating_sub(options.sales),
    )
    .await?;
    let lines: usize = sales.iter().map(|s| s.skus.len()).sum();
    println!(
        "loaded {} sales with {lines} lines, {} documents in all, in {:.1} s",
        sales.len(),
        options.documents,
        began.elapsed().as_secs_f64()
    );
    let began = Instant::now();
    store
        .build_indexes(&sale, &[vec!["CustomerID".to_owned()]])
        .await?;
    store.build_indexes(&stock, &[]).await?;
    sqlx::query("VACUUM (ANALYZE) millpond.record")
        .execute(store.pool())
        .await?;
    println!(
        "built the indexes in {:.1} s",
        began.elapsed().as_secs_f64()
    );

    let mut rng = StdRng::seed_from_u64(options.seed);
    questions(&store, &sale, &sales, today, &mut rng).await?;
    point_reads(&store, &sale, &sales, options.clients, options.seed).await?;
    searches(&store, &sale, &sales, options.clients, options.seed).await?;
    cluster.stop().await?;
    Ok(())
}

async fn load_sales(
    store: &Store,
    resource: &ResourceName,
    count: usize,
    today: Date,
) -> Result<Vec<Sale>> {
    let lines: Vec<Line> = csv::Reader::from_reader(flate2::read::GzDecoder::new(LINES))
        .deserialize()
        .collect::<Result<_, _>>()?;
    let mut sales = Vec::with_capacity(count);
    let mut page = Vec::with_capacity(1000);
    let mut at = 0;
    for n in 0..count {
        let mine: Vec<&Line> = (0..4 + n % 2)
            .map(|k| &lines[(at + k) % lines.len()])
            .collect();
        at += mine.len();
        let date = today.checked_sub(
            ((n * 730) / count)
                .try_into()
                .map(|days: i64| days.days())?,
        )?;
        let sale = Sale {
            id: format!("{n:08x}-0000-4000-8000-{n:012x}"),
            date,
            customer: if mine[0].customer_id.is_empty() {
                "walk-in".to_owned()
            } else {
                mine[0].customer_id.clone()
            },
            location: LOCATIONS[(n / 3) % LOCATIONS.len()],
            skus: mine.iter().map(|line| line.stock_code.clone()).collect(),
        };
        let body = serde_json::json!({
            "ID": sale.id,
            "Status": if n.is_multiple_of(9) { "BACKORDERED" } else { "COMPLETED" },
            "SaleOrderDate": format!("{date}T00:00:00"),
            "Customer": format!("Customer {}", sale.customer),
            "CustomerID": sale.customer,
            "Location": sale.location,
            "SourceChannel": if n.is_multiple_of(4) { "Shop" } else { "Trade" },
            "Order": {
                "SaleOrderNumber": format!("SO-{n:06}"),
                "Lines": mine.iter().map(|line| serde_json::json!({
                    "SKU": line.stock_code, "Name": line.description, "Quantity": line.quantity,
                    "Price": line.unit_price.parse::<serde_json::Number>().ok(), "TaxRule": "Tax on Sales",
                })).collect::<Vec<_>>(),
            },
        });
        page.push(incoming(
            sale.id.clone(),
            serde_json::to_vec(&body)?,
            date.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp(),
        ));
        sales.push(sale);
        if page.len() == 1000 {
            write(store, resource, std::mem::take(&mut page)).await?;
        }
    }
    write(store, resource, page).await?;
    Ok(sales)
}

async fn load_stock(store: &Store, resource: &ResourceName, count: usize) -> Result<()> {
    for from in (0..count).step_by(2000) {
        let page = (from..(from + 2000).min(count)).map(|n| {
            let body = format!(
                r#"{{"ID":"{n:08x}","SKU":"S{n}","Location":"{}","Bin":null,"OnHand":{},"Allocated":{},"Available":{}}}"#,
                LOCATIONS[n % 3], n % 97, n % 11, n % 97
            );
            incoming(format!("{n:08x}|{}", LOCATIONS[n % 3]), body, Timestamp::UNIX_EPOCH)
        });
        write(store, resource, page.collect()).await?;
    }
    Ok(())
}

/// "Orders of the past 12 months with this SKU, from this location, to this customer", 200 times, half of them
/// about what exists.
async fn questions(
    store: &Store,
    resource: &ResourceName,
    sales: &[Sale],
    today: Date,
    rng: &mut StdRng,
) -> Result<()> {
    let since = today.checked_sub(1.year())?;
    let (mut millis, mut found) = (Vec::new(), 0);
    for n in 0..200_u32 {
        let one = &sales[rng.random_range(0..sales.len())];
        let other = &sales[rng.random_range(0..sales.len())];
        let sku = one.skus[rng.random_range(0..one.skus.len())].clone();
        let (location, customer) = if n.is_multiple_of(2) {
            (one.location, &one.customer)
        } else {
            (other.location, &other.customer)
        };
        let search = question(resource, &sku, location, customer, since)?;
        let began = Instant::now();
        let page = store.search(&search, resource).await?;
        millis.push(began.elapsed().as_secs_f64() * 1000.0);
        let answer: BTreeSet<&str> = page.records.iter().map(|r| r.id.as_str()).collect();
        let oracle: BTreeSet<&str> = sales
            .iter()
            .filter(|s| {
                s.date >= since
                    && s.location == location
                    && s.customer == *customer
                    && s.skus.contains(&sku)
            })
            .map(|s| s.id.as_str())
            .collect();
        if answer != oracle {
            bail!(
                "SKU {sku}, {location}, customer {customer}: {} answered, {} true",
                answer.len(),
                oracle.len()
            );
        }
        found += answer.len();
    }
    println!("200 questions, {found} orders found, every answer equal to the oracle's");
    explain(store, sales).await?;
    millis.sort_by(f64::total_cmp);
    result("question_p50_ms", percentile(&millis, 0.5), "ms");
    result("question_p95_ms", percentile(&millis, 0.95), "ms");
    println!(
        "the API needs {} list calls and {} detail calls for it: {:.0} minutes at 60 a minute",
        sales.len().div_ceil(1000),
        sales.len(),
        sales.len() as f64 / 60.0
    );
    Ok(())
}

fn question(
    resource: &ResourceName,
    sku: &str,
    location: &str,
    customer: &str,
    since: Date,
) -> Result<Search> {
    let criteria = [
        format!("Order.Lines[].SKU={sku}"),
        format!("Location={location}"),
        format!("CustomerID={customer}"),
        format!("SaleOrderDate>={since}"),
    ];
    Ok(Search {
        criteria: criteria
            .iter()
            .map(|c| c.parse::<Criterion>())
            .collect::<Result<_, _>>()?,
        limit: 1000,
        ..Search::all(resource.clone())
    })
}

async fn explain(store: &Store, sales: &[Sale]) -> Result<()> {
    let sale = sales.first().context("no sales")?;
    let body = serde_json::json!({ "CustomerID": sale.customer, "Location": sale.location, "Order": { "Lines": [{ "SKU": sale.skus[0] }] } });
    let plan = sqlx::query("EXPLAIN SELECT id FROM cin7.sale WHERE body @> $1")
        .bind(body)
        .fetch_all(store.pool())
        .await?;
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    if !plan.iter().any(|line| line.contains("sale_body")) {
        bail!("the question does not use the index:\n{}", plan.join("\n"));
    }
    println!("  {}", plan.join("\n  "));
    Ok(())
}

/// Clients that each read, rest for a tenth of a second, and read again.
async fn point_reads(
    store: &Store,
    resource: &ResourceName,
    sales: &[Sale],
    clients: usize,
    seed: u64,
) -> Result<()> {
    let ids: Arc<Vec<String>> = Arc::new(sales.iter().map(|s| s.id.clone()).collect());
    let resource = Arc::new(resource.clone());
    let store = store.clone();
    let millis = many(clients, seed, move |mut rng| {
        let (store, ids, resource) = (store.clone(), Arc::clone(&ids), Arc::clone(&resource));
        async move {
            let id = &ids[rng.random_range(0..ids.len())];
            let found = store.find_record(&resource, "uk", id, &resource).await?;
            found.context("a record that was written is not there")?;
            Ok(())
        }
    })
    .await?;
    println!("{} point reads by {clients} clients", millis.len());
    result("point_read_p50_ms", percentile(&millis, 0.5), "ms");
    result("point_read_p95_ms", percentile(&millis, 0.95), "ms");
    Ok(())
}

async fn searches(
    store: &Store,
    resource: &ResourceName,
    sales: &[Sale],
    clients: usize,
    seed: u64,
) -> Result<()> {
    let keys: Arc<Vec<(String, String)>> = Arc::new(
        sales
            .iter()
            .map(|s| (s.skus[0].clone(), s.customer.clone()))
            .collect(),
    );
    let resource = Arc::new(resource.clone());
    let store = store.clone();
    let millis = many(clients, seed, move |mut rng| {
        let (store, keys, resource) = (store.clone(), Arc::clone(&keys), Arc::clone(&resource));
        async move {
            let (sku, customer) = &keys[rng.random_range(0..keys.len())];
            let criteria = [
                format!("Order.Lines[].SKU={sku}"),
                format!("CustomerID={customer}"),
                "Status=COMPLETED".to_owned(),
            ];
            let search = Search {
                criteria: criteria
                    .iter()
                    .map(|c| c.parse::<Criterion>())
                    .collect::<Result<_, _>>()?,
                limit: 50,
                ..Search::all((*resource).clone())
            };
            store.search(&search, &resource).await?;
            Ok(())
        }
    })
    .await?;
    println!("{} searches by {clients} clients", millis.len());
    result("search_p50_ms", percentile(&millis, 0.5), "ms");
    result("search_p95_ms", percentile(&millis, 0.95), "ms");
    Ok(())
}

/// Lets `clients` do something over and over for some seconds, with a rest of 100 ms after each; answers the
/// milliseconds each took, sorted.
async fn many<F, Fut>(clients: usize, seed: u64, work: F) -> Result<Vec<f64>>
where
    F: Fn(StdRng) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let end = Instant::now() + Duration::from_secs(8);
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let work = work.clone();
        tasks.spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
            let mut millis = Vec::new();
            while Instant::now() < end {
                let turn = StdRng::from_rng(&mut rng);
                let began = Instant::now();
                work(turn).await?;
                millis.push(began.elapsed().as_secs_f64() * 1000.0);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(millis)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    all.sort_by(f64::total_cmp);
    Ok(all)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}
