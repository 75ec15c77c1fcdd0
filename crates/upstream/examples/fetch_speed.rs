//! Measures how fast pages come in through the whole client from a server on this machine that answers at once:
//! `cargo run --release -p upstream --example fetch_speed`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use upstream::{
    Class, Client, Connection, Connector, GateConnection, MemoryGate, PageAsk, Position, Secret,
    Settings,
};

const PAGE_RECORDS: usize = 1_000;
const PAGES: u64 = 200;

const CONNECTOR: &str = r#"
name = "example"
base_url = "https://example.com"
[auth]
kind = "bearer"
token = "{token}"
[limits]
calls = 5000
per = "1s"
concurrency = 8
[paging]
kind = "page"
param = "Page"
size_param = "Limit"
size = 1000
size_max = 1000
[[resource]]
name = "sale"
list = "saleList"
records_at = "SaleList"
key = "SaleID"
modified_at = "Updated"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = serve()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(fetch(address))
}

async fn fetch(address: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let connector = Arc::new(Connector::parse("example.toml", CONNECTOR)?);
    let limits = connector.limits.clone();
    let gate = MemoryGate::new(vec![GateConnection {
        name: "main".to_owned(),
        limits,
    }]);
    let mut settings = Settings::new(connector.clone(), "example");
    settings.base_url = Some(format!("http://{address}"));
    settings.allow_private_hosts = true;
    let client = Client::new(settings, Arc::new(gate), None)?;
    let secrets = [("token".to_owned(), Secret::new("x"))].into();
    client.set_connections(&[Connection {
        name: "main".to_owned(),
        secrets,
    }])?;
    let sale = connector.resource("sale").ok_or("no resource")?;
    for at_once in [1, 4] {
        let started = Instant::now();
        let mut bytes = 0;
        let mut number = 1;
        while number <= PAGES {
            let pages = (number..number + at_once).map(|number| {
                let ask = PageAsk {
                    position: Position::page(number, 1_000),
                    ..PageAsk::default()
                };
                client.list_page(sale, ask, Class::Read)
            });
            for page in futures::future::try_join_all(pages).await? {
                assert_eq!(page.records.len(), PAGE_RECORDS);
                bytes += page.bytes;
            }
            number += at_once;
        }
        let seconds = started.elapsed().as_secs_f64();
        let records = PAGES as f64 * PAGE_RECORDS as f64;
        println!(
            "{at_once} at once: {:.0} MB/s, {:.0} records/s, {:?} a page",
            bytes as f64 / 1e6 / seconds,
            records / seconds,
            Duration::from_secs_f64(seconds / PAGES as f64)
        );
    }
    Ok(())
}

/// A server that gives every request the same page, a thread per connection.
fn serve() -> std::io::Result<SocketAddr> {
    let record = format!(
        r#"{{"SaleID":"ID","Updated":"2026-03-02T10:11:12.13Z","Filler":"{}"}}"#,
        "x".repeat(940)
    );
    let records: Vec<String> = (0..PAGE_RECORDS)
        .map(|n| record.replace("ID\":\"ID", &format!("ID\":\"{n}")))
        .collect();
    let body = format!(r#"{{"Page":1,"SaleList":[{}]}}"#, records.join(","));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut request = [0; 8_192];
                while stream.read(&mut request).is_ok_and(|count| count > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}
