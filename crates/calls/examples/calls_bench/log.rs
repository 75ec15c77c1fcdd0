//! A call log as Millpond would write it over some days: the same bytes for the same size.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Who calls: instance, connection, base URL, callers at the same time.
const CALLERS: [(&str, &str, &str, u32); 4] = [
    (
        "cin7-au",
        "main",
        "https://inventory.example/ExternalApi/v2",
        4,
    ),
    (
        "cin7-us",
        "main",
        "https://inventory.example/ExternalApi/v2",
        4,
    ),
    (
        "psa",
        "first",
        "https://psa.example/v4_6_release/apis/3.0",
        6,
    ),
    (
        "psa",
        "second",
        "https://psa.example/v4_6_release/apis/3.0",
        6,
    ),
];

/// What is called: method, path with `#` for a number and `@` for an identifier, resource, weight, how slow.
type Route = (&'static str, &'static str, &'static str, u32, f64);

const INVENTORY: [Route; 12] = [
    ("GET", "/saleList?Limit=1000&Page=#", "sale_header", 6, 4.0),
    ("GET", "/sale?ID=@", "sale", 60, 1.0),
    ("GET", "/sale/@/attachments", "sale", 8, 0.7),
    ("GET", "/product?Page=#&Limit=500", "product", 5, 3.0),
    (
        "GET",
        "/ref/productavailability?Page=#&Limit=1000",
        "stock",
        9,
        2.2,
    ),
    (
        "GET",
        "/purchaseList?Limit=500&Page=#",
        "purchase_header",
        3,
        2.0,
    ),
    ("GET", "/purchase?ID=@", "purchase", 20, 1.1),
    (
        "GET",
        "/stockTransferList?Page=#",
        "transfer_header",
        2,
        1.2,
    ),
    ("GET", "/stockTransfer?TaskID=@", "transfer", 6, 0.9),
    ("GET", "/customer/CUST-#/addresses", "customer", 7, 0.6),
    ("POST", "/sale/fulfilment/pick", "sale", 2, 2.5),
    ("PUT", "/sale/fulfilment/ship", "sale", 2, 2.7),
];

const DESK: [Route; 12] = [
    (
        "GET",
        "/sales/opportunities?conditions=lastUpdated%3E%5B2026-03-02T00:00:00Z%5D&page=#",
        "opportunity",
        8,
        1.6,
    ),
    ("GET", "/sales/opportunities/#", "opportunity", 12, 0.8),
    (
        "GET",
        "/sales/opportunities/#/notes",
        "opportunity_notes",
        18,
        0.9,
    ),
    (
        "GET",
        "/sales/opportunities/#/contacts",
        "opportunity_contacts",
        18,
        0.9,
    ),
    (
        "GET",
        "/sales/opportunities/#/forecast",
        "opportunity_forecast",
        18,
        1.1,
    ),
    (
        "GET",
        "/procurement/products?conditions=opportunity/id=#",
        "opportunity_products",
        18,
        1.4,
    ),
    ("GET", "/company/companies/#", "company", 10, 0.7),
    ("GET", "/company/companies/#/sites/#", "site", 8, 0.6),
    (
        "GET",
        "/procurement/catalog/#/inventory",
        "inventory",
        14,
        1.0,
    ),
    (
        "GET",
        "/procurement/adjustments/#/details",
        "adjustment",
        6,
        0.8,
    ),
    ("GET", "/schedule/entries/2026-03-02", "entry", 3, 0.8),
    ("PATCH", "/sales/opportunities/#", "opportunity", 2, 1.5),
];

/// xorshift64*: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A factor around 1 that is seldom far from it: the exponential of a sum of twelve.
    fn spread(&mut self) -> f64 {
        let sum: f64 = (0..12)
            .map(|_| self.below(1 << 20) as f64 / f64::from(1 << 20))
            .sum();
        ((sum - 6.0) * 0.55).exp()
    }
}

/// A caller between two calls.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    ends_ms: i64,
    caller: usize,
    duration_ms: i64,
    attempt: u32,
}

/// Writes a log of at least `bytes` bytes.
pub fn generate(path: &Path, bytes: u64) -> io::Result<()> {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let begin: jiff::Timestamp = "2026-03-02T00:00:00Z".parse().map_err(io::Error::other)?;
    let begin = begin.as_millisecond();
    let callers: Vec<usize> = (0..CALLERS.len())
        .flat_map(|n| std::iter::repeat_n(n, CALLERS[n].3 as usize))
        .collect();
    let mut turns: BinaryHeap<Reverse<Turn>> = (0..callers.len())
        .map(|caller| {
            Reverse(Turn {
                ends_ms: begin + numbers.below(2_000) as i64,
                caller,
                duration_ms: 200,
                attempt: 1,
            })
        })
        .collect();
    let mut written = 0;
    let mut line = Vec::new();
    while written < bytes {
        let Some(Reverse(turn)) = turns.pop() else {
            break;
        };
        line.clear();
        let (failed, slow) = write_line(&mut line, &mut numbers, &turn, callers[turn.caller])?;
        out.write_all(&line)?;
        written += line.len() as u64;
        // At night the desk rests for a while.
        let hour = (turn.ends_ms - begin) / 3_600_000 % 24;
        let rests = if (2..4).contains(&hour) && callers[turn.caller] > 1 {
            1_200_000
        } else {
            0
        };
        let gap = numbers.below(1_600) as i64 + rests;
        let attempt = if failed && turn.attempt < 3 {
            turn.attempt + 1
        } else {
            1
        };
        let duration_ms = (230.0 * slow * numbers.spread()) as i64;
        let gap = if attempt > 1 {
            1_000 << (attempt - 2)
        } else {
            gap
        };
        turns.push(Reverse(Turn {
            ends_ms: turn.ends_ms + gap + duration_ms,
            caller: turn.caller,
            duration_ms,
            attempt,
        }));
    }
    out.flush()
}

/// Writes a line; tells whether the call failed for a reason that may pass, and how slow the next one is.
fn write_line(
    out: &mut Vec<u8>,
    numbers: &mut Numbers,
    turn: &Turn,
    caller: usize,
) -> io::Result<(bool, f64)> {
    let (instance, connection, base, _) = CALLERS[caller];
    let routes = if caller < 2 { &INVENTORY } else { &DESK };
    let weights: u32 = routes.iter().map(|route| route.3).sum();
    let mut at = numbers.below(u64::from(weights)) as u32;
    let route = routes.iter().find(|route| {
        let is_here = at < route.3;
        at = at.saturating_sub(route.3);
        is_here
    });
    let (method, path, resource, _, slow) = *route.unwrap_or(&routes[0]);
    let ended = jiff::Timestamp::from_millisecond(turn.ends_ms).map_err(io::Error::other)?;
    let ended = ended.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    write!(
        out,
        "{{\"timestamp\":\"{ended}\",\"method\":\"{method}\",\"url\":\""
    )?;
    for byte in path.bytes() {
        match byte {
            b'#' => write!(out, "{}", 1 + numbers.below(40_000))?,
            b'@' => {
                let (a, b) = (numbers.next(), numbers.next());
                write!(
                    out,
                    "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                    a >> 32,
                    (a >> 16) & 0xFFFF,
                    a & 0xFFF,
                    (b >> 48) & 0xFFF,
                    b & 0xFFFF_FFFF_FFFF
                )?;
            }
            _ => out.push(byte),
        }
    }
    let (status, error) = match numbers.below(1_000) {
        0..5 => ("500", "\"HTTP_500 Request failed with status code 500\""),
        5..8 => ("503", "\"HTTP_503 Request failed with status code 503\""),
        8..18 => ("404", "\"HTTP_404 Request failed with status code 404\""),
        18..20 => ("429", "\"HTTP_429 Request failed with status code 429\""),
        20..22 => ("null", "\"ECONNRESET connection reset\""),
        22..23 => ("null", "\"ECONNABORTED timeout of 30000ms exceeded\""),
        _ => ("200", "null"),
    };
    let template = path
        .split('?')
        .next()
        .unwrap_or(path)
        .replace(['#', '@'], "{id}");
    writeln!(
        out,
        "\",\"baseURL\":\"{base}\",\"status\":{status},\"durationMs\":{},\"error\":{error},\"timeout\":30000,\
         \"instance\":\"{instance}\",\"connection\":\"{connection}\",\"resource\":\"{resource}\",\
         \"label\":\"{method} {}\",\"class\":\"changes\",\"attempt\":{},\"waitMs\":{},\"bytes\":{}}}",
        turn.duration_ms,
        template.trim_start_matches('/'),
        turn.attempt,
        numbers.below(40),
        200 + numbers.below(90_000),
    )?;
    let may_pass = status == "500" || status == "503" || status == "null";
    Ok((may_pass, slow))
}
