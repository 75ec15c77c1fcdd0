//! `millpond cache`: what the cache of a running server holds, and what is wrong with it.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Context, Usage};
use crate::{
    output::{Exit, Table},
    secrets::Secrets,
};

/// The longest a server may take.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const BYTES_MAX: usize = 16 << 20;

/// The cache of a running server: its families, its keys, what is wrong with it
///
/// Asks the server at `server.listen`, with the key in MILLPOND_API_KEY, else with the first of `server.api_keys`. Keys
/// are named as people read them, opp:notes:42, or with their owner before them, i=psa:opp:notes:42.
#[derive(Debug, Subcommand)]
pub(super) enum Cache {
    Families(Families),
    Explain(Explain),
    Delete(Delete),
    Doctor(Doctor),
}

#[derive(Debug, Args)]
struct Server {
    /// Ask the server at this address, instead of `server.listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: Option<SocketAddr>,
}

/// Every family: its loader, TTL rule, scope, size class, and how it fares
#[derive(Debug, Args)]
pub(super) struct Families {
    #[command(flatten)]
    server: Server,
}

/// Where the value of a key is, how old, and until when
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The key, such as opp:notes:42
    key: String,
    #[command(flatten)]
    server: Server,
}

/// Forget the value of a key; the next read loads it
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The key, such as opp:notes:42
    key: String,
    #[command(flatten)]
    server: Server,
}

/// Families that hit too little, and why; routes that should read through the cache and do not
///
/// Ends with 3 when there is something to mend.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    server: Server,
}

impl Cache {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (method, path, server) = match &self {
            Self::Families(ask) => ("GET", "families".to_owned(), &ask.server),
            Self::Doctor(ask) => ("GET", "doctor".to_owned(), &ask.server),
            Self::Explain(ask) => ("GET", key_path(&ask.key), &ask.server),
            Self::Delete(ask) => ("DELETE", key_path(&ask.key), &ask.server),
        };
        let (status, answer) = ask(context, server, method, &path).await?;
        if status == StatusCode::NOT_FOUND {
            eprintln!("{}", answer["message"].as_str().unwrap_or("not there"));
            return Ok(Exit::NotFound);
        }
        if !status.is_success() {
            let said = answer["message"].as_str().unwrap_or_default();
            anyhow::bail!("the server answered {status}: {said}");
        }
        let text = match &self {
            Self::Families(_) => families,
            Self::Doctor(_) => doctor,
            Self::Explain(_) => explained,
            Self::Delete(_) => deleted,
        };
        context.output.answer(&answer, || text(&answer))?;
        let is_ill = matches!(self, Self::Doctor(_)) && !list(&answer["findings"]).is_empty();
        Ok(if is_ill {
            Exit::Differences
        } else {
            Exit::Done
        })
    }
}

fn key_path(key: &str) -> String {
    let escaped: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
    format!("keys/{}", escaped.replace('+', "%20"))
}

/// Sends one request to the server that this configuration is of.
async fn ask(
    context: &Context,
    server: &Server,
    method: &str,
    path: &str,
) -> anyhow::Result<(StatusCode, Value)> {
    let loaded = context.load()?;
    let address = server.server.unwrap_or(loaded.config.server.listen);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/v1/cache/{path}"))
        .header("host", format!("localhost:{}", address.port()));
    if let Some(key) = context.environment.find("MILLPOND_API_KEY") {
        request = request.header("x-api-key", key);
    } else if let Some(key) = loaded.config.server.api_keys.first() {
        let secrets = Secrets::new(context.environment.clone(), &loaded.base);
        let key = secrets.resolve(key).map_err(Usage)?;
        request = request.header("x-api-key", key.expose());
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BYTES_MAX)
            .collect()
            .await;
        connection.abort();
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok::<_, anyhow::Error>((status, serde_json::from_slice(&body)?))
    };
    tokio::time::timeout(WAIT_MAX, exchange)
        .await
        .map_err(anyhow::Error::from)
        .and_then(|done| done)
        .with_context(|| {
            format!("no server answers at {address}; start one with `millpond serve`, or name it with --server")
        })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A cell: texts as they are, what is absent as `-`.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn families(answer: &Value) -> String {
    let mut table = Table::new([
        "family",
        "loader",
        "ttl",
        "scope",
        "size",
        "hits",
        "misses",
        "bypassed",
        "loads",
        "hit ratio",
    ]);
    for family in list(&answer["families"]) {
        let ratio = family["hit_ratio"]
            .as_f64()
            .map_or_else(|| "-".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0));
        table.row([
            cell(&family["name"]),
            cell(&family["loader"]),
            cell(&family["ttl"]),
            cell(&family["scope"]),
            cell(&family["size_class"]),
            cell(&family["hits"]),
            cell(&family["misses"]),
            cell(&family["bypassed"]),
            cell(&family["loads"]),
            ratio,
        ]);
    }
    let health = &answer["health"];
    let shared = match health["shared"]["up"].as_bool() {
        Some(true) => "a shared store that answers",
        Some(false) => "a shared store that is away: it is bypassed",
        None => "no shared store",
    };
    format!(
        "{table}{} values of {} bytes in the server's memory, {shared}\n",
        cell(&health["memory_entries"]),
        cell(&health["memory_bytes"]),
    )
}

fn explained(answer: &Value) -> String {
    let mut text = String::new();
    for key in list(&answer["keys"]) {
        let seconds = |name: &str| match key[name].as_f64() {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "-".to_owned(),
        };
        text.push_str(&format!(
            "{} of {}: {}, age {}, expires in {}, {} bytes\n  family {}, loaded by {}, ttl {}\n  in the store as {}\n",
            cell(&key["key"]),
            cell(&key["owner"]),
            cell(&key["state"]),
            seconds("age_secs"),
            seconds("expires_in_secs"),
            cell(&key["bytes"]),
            cell(&key["family"]),
            cell(&key["loader"]),
            cell(&key["ttl"]),
            cell(&key["physical"]),
        ));
    }
    text
}

fn deleted(answer: &Value) -> String {
    let keys: Vec<String> = list(&answer["keys"]).iter().map(cell).collect();
    let place = match answer["forgotten"].as_str() {
        Some("everywhere") => "forgotten",
        Some("here") => "forgotten by this server; each keeps values of its own",
        _ => "forgotten here, and in the shared store before it is read again",
    };
    format!("{}: {place}\n", keys.join(", "))
}

fn doctor(answer: &Value) -> String {
    let findings = list(&answer["findings"]);
    if findings.is_empty() {
        return "nothing is wrong with the cache, as far as its traffic tells\n".to_owned();
    }
    findings
        .iter()
        .map(|finding| cell(finding) + "\n")
        .collect()
}
