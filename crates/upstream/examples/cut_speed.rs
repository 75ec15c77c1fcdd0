//! Measures how fast answers are cut into records: `cargo run --release -p upstream --example cut_speed`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use upstream::Connector;

const PAGE_RECORDS: usize = 1_000;
const PAGES: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let connector = Connector::parse(
        "example.toml",
        r#"
        name = "example"
        base_url = "https://example.com"
        [auth]
        kind = "bearer"
        token = "{token}"
        [limits]
        calls_per_minute = 60
        [paging]
        kind = "page"
        param = "Page"
        size_param = "Limit"
        total_at = "Total"
        [[resource]]
        name = "sale"
        list = "saleList"
        records_at = "SaleList"
        key = "SaleID"
        key_case = "lower"
        modified_at = "Updated"
        "#,
    )?;
    let page = Bytes::from(page());
    let sale = connector.resource("sale").ok_or("no resource")?;
    let bytes = page.len() * PAGES;
    let started = Instant::now();
    for _ in 0..PAGES {
        let records = upstream::cut_records(&connector, sale, black_box(&page))?;
        assert_eq!(black_box(records).len(), PAGE_RECORDS);
    }
    report("cut", bytes, started);
    let started = Instant::now();
    for _ in 0..PAGES {
        black_box(serde_json::from_slice::<&serde_json::value::RawValue>(
            black_box(&page),
        )?);
    }
    report("serde_json, only checking the grammar", bytes, started);
    let started = Instant::now();
    for _ in 0..PAGES / 10 {
        black_box(serde_json::from_slice::<serde_json::Value>(black_box(
            &page,
        ))?);
    }
    report("serde_json, into a tree", bytes / 10, started);
    Ok(())
}

fn report(what: &str, bytes: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    let records = (PAGE_RECORDS * bytes) as f64 / page().len() as f64;
    println!(
        "{what}: {:.0} MB/s, {:.0} records/s",
        megabytes / seconds,
        records / seconds
    );
}

/// A page of sale headers of about 1 KB each.
fn page() -> String {
    let records: Vec<String> = (0..PAGE_RECORDS)
        .map(|n| {
            format!(
                r#"{{"SaleID":"7c2af153-c1b0-4d6e-9b5a-{n:012}","OrderNumber":"SO-{n:05}","Status":"COMPLETED","OrderDate":"2026-03-01T00:00:00","InvoiceDate":"2026-03-02T00:00:00","Customer":"Wholesale Lamps & Desks Pty Ltd","CustomerID":"{n:08}-c1b0-4d6e-9b5a-0123456789ab","InvoiceNumber":"INV-{n:05}","CustomerReference":"PO 4711 \"urgent\"","InvoiceAmount":1234.5600,"PaidAmount":1234.56,"InvoiceDueDate":"2026-04-01T00:00:00","ShipBy":null,"BaseCurrency":"GBP","CustomerCurrency":"GBP","CreditNoteNumber":null,"Updated":"2026-03-02T10:11:12.13Z","QuoteStatus":"AUTHORISED","OrderStatus":"AUTHORISED","CombinedPickingStatus":"PICKED","CombinedPaymentStatus":"PAID","CombinedTrackingNumbers":"1Z999AA10123456784","CombinedPackingStatus":"PACKED","CombinedShippingStatus":"SHIPPED","CombinedInvoiceStatus":"INVOICED","CreditNoteStatus":"NOT AVAILABLE","FulFilmentStatus":"FULFILLED","Type":"Simple Sale","SourceChannel":"Web shop","ExternalID":null,"OrderLocationID":"11111111-2222-3333-4444-555555555555"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"Total":{PAGE_RECORDS},"Page":1,"SaleList":[{}]}}"#,
        records.join(",")
    )
}
