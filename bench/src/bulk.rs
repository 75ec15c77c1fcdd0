//! An upstream of many records: the retailer's own order lines, five to a record, about 1 KB each. Pages are cut
//! from text made beforehand, so that serving costs little more than copying.

use std::{
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{Query, State},
    http::header,
    response::IntoResponse,
    routing::{get, post},
};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Real orders, CC BY 4.0; see the attribution beside the file.
const LINES: &[u8] = include_bytes!("../../crates/simulators/data/online-retail.csv.gz");

/// How much is served.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// Records.
    #[arg(long, default_value_t = 200_000)]
    pub records: usize,
    /// Where; the address is printed once it is served.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
}

#[derive(Deserialize)]
struct Line {
    stock_code: String,
    description: String,
    quantity: i64,
    unit_price: String,
    customer_id: String,
    country: String,
}

#[derive(Serialize)]
struct RecordLine<'a> {
    #[serde(rename = "SKU")]
    sku: &'a str,
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Quantity")]
    quantity: i64,
    #[serde(rename = "Price")]
    price: serde_json::Number,
    #[serde(rename = "TaxRule")]
    tax_rule: &'static str,
    #[serde(rename = "Comment")]
    comment: &'static str,
}

/// All records as JSON text, with when each last changed (seconds).
struct Records {
    texts: Vec<Bytes>,
    changed: Vec<u64>,
}

const FIRST_STAMP: u64 = 1_767_225_600; // 2026-01-01T00:00:00Z

impl Records {
    fn generate(count: usize) -> Result<Self> {
        let reader = flate2::read::GzDecoder::new(LINES);
        let lines: Vec<Line> = csv::Reader::from_reader(reader)
            .deserialize()
            .collect::<Result<_, _>>()
            .context("the order lines could not be read")?;
        let changed: Vec<u64> = (0..count as u64).map(|n| FIRST_STAMP + n).collect();
        let texts = changed
            .iter()
            .enumerate()
            .map(|(n, stamp)| render(&lines, n, *stamp))
            .collect::<Result<_>>()?;
        Ok(Self { texts, changed })
    }
}

fn render(lines: &[Line], n: usize, stamp: u64) -> Result<Bytes> {
    let mine: Vec<&Line> = (0..5).map(|k| &lines[(n * 5 + k) % lines.len()]).collect();
    let lines: Vec<RecordLine<'_>> = mine
        .iter()
        .map(|line| RecordLine {
            sku: &line.stock_code,
            name: &line.description,
            quantity: line.quantity,
            price: line.unit_price.parse().unwrap_or_else(|_| 0.into()),
            tax_rule: "Tax on Sales",
            comment: "",
        })
        .collect();
    let customer = &mine[0].customer_id;
    Ok(serde_json::to_vec(&serde_json::json!({
        "ID": format!("{:08x}-7a1c-4c55-9a53-{:012x}", n, n),
        "OrderNumber": format!("SO-{n:06}"),
        "Status": if n.is_multiple_of(7) { "BACKORDERED" } else { "COMPLETED" },
        "Customer": format!("Customer {customer}"),
        "CustomerID": customer,
        "Country": mine[0].country,
        "Location": if n.is_multiple_of(3) { "Main Warehouse" } else { "North" },
        "Edition": 0,
        "Updated": stamp_text(stamp),
        "Lines": lines,
    }))?
    .into())
}

fn stamp_text(stamp: u64) -> String {
    jiff::Timestamp::from_second(i64::try_from(stamp).unwrap_or(0))
        .unwrap_or_default()
        .to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ask {
    page: Option<usize>,
    limit: Option<usize>,
    updated_since: Option<jiff::Timestamp>,
}

type Shared = Arc<RwLock<Records>>;

/// Serves until its standard input ends.
pub async fn serve(options: Options) -> Result<()> {
    let records: Shared = Arc::new(RwLock::new(Records::generate(options.records)?));
    let app = Router::new()
        .route("/api/records", get(list))
        .route("/change", post(change))
        .with_state(records);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    println!("http://{}", listener.local_addr()?);
    let ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        _ = ended => {}
    }
    Ok(())
}

async fn list(State(records): State<Shared>, Query(ask): Query<Ask>) -> impl IntoResponse {
    let (page, limit) = (
        ask.page.unwrap_or(1).max(1),
        ask.limit.unwrap_or(100).clamp(1, 1000),
    );
    let body = records.read().map(|records| {
        let since = ask
            .updated_since
            .map_or(0, |at| u64::try_from(at.as_second()).unwrap_or(0));
        let from = (page - 1) * limit;
        let (total, chosen): (usize, Vec<&Bytes>) = if since == 0 {
            (
                records.texts.len(),
                records.texts.iter().skip(from).take(limit).collect(),
            )
        } else {
            let matching: Vec<usize> = (0..records.texts.len())
                .filter(|n| records.changed[*n] >= since)
                .collect();
            let chosen = matching
                .iter()
                .skip(from)
                .take(limit)
                .map(|n| &records.texts[*n])
                .collect();
            (matching.len(), chosen)
        };
        let mut body =
            BytesMut::with_capacity(chosen.iter().map(|text| text.len() + 1).sum::<usize>() + 64);
        body.put_slice(format!("{{\"Total\":{total},\"Page\":{page},\"Records\":[").as_bytes());
        for (n, text) in chosen.into_iter().enumerate() {
            if n > 0 {
                body.put_u8(b',');
            }
            body.put_slice(text);
        }
        body.put_slice(b"]}");
        body.freeze()
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.unwrap_or_default(),
    )
}

#[derive(Deserialize)]
struct Change {
    every: usize,
}

/// Edits every n-th record.
async fn change(State(records): State<Shared>, Query(ask): Query<Change>) -> String {
    let Ok(mut records) = records.write() else {
        return String::new();
    };
    let stamp = records.changed.iter().max().copied().unwrap_or(FIRST_STAMP) + 3600;
    let mut count = 0;
    for n in (0..records.texts.len()).step_by(ask.every.max(1)) {
        let old = String::from_utf8_lossy(&records.texts[n]).into_owned();
        let edited = serde_json::from_str::<serde_json::Value>(&old).map(|mut record| {
            record["Edition"] = stamp.into();
            record["Updated"] = stamp_text(stamp).into();
            record.to_string()
        });
        if let Ok(edited) = edited {
            records.texts[n] = edited.into();
            records.changed[n] = stamp;
            count += 1;
        }
    }
    format!("{count}")
}

/// The connector of this upstream.
pub const CONNECTOR: &str = r#"
name = "bulk"
title = "Generated records"
base_url = "http://127.0.0.1/api"
[auth]
kind = "header"
headers = { x-key = "{key}" }
[limits]
calls = 600
per = "1ms"
concurrency = 2
timeout = "30s"
[paging]
kind = "page"
param = "Page"
size_param = "Limit"
size = 1000
size_max = 1000
total_at = "Total"
[[resource]]
name = "record"
title = "A record of about 1 KB"
list = "records"
records_at = "Records"
key = "ID"
modified_at = "Updated"
changes = { every = "1h", param = "UpdatedSince", overlap = "1s", format = "iso_millis" }
full = { every = "24h" }
"#;
