//! A server that follows a script, and clients that call it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use upstream::*;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers.
    Http(u16, Vec<(&'static str, String)>, String),
    /// Resets the connection.
    Reset,
    /// Announces more bytes than it sends, then closes.
    Torn(String),
    /// Closes without a word.
    Hangup,
    /// Never answers.
    Silence,
}

impl Reply {
    pub fn ok(body: &str) -> Reply {
        Reply::status(200, body)
    }

    pub fn status(status: u16, body: &str) -> Reply {
        Reply::Http(
            status,
            vec![("content-type", "application/json".to_owned())],
            body.to_owned(),
        )
    }

    pub fn with(self, name: &'static str, value: &str) -> Reply {
        match self {
            Reply::Http(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Reply::Http(status, headers, body)
            }
            other => panic!("{other:?} has no headers"),
        }
    }
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Follows the script; the last reply is repeated for ever.
    pub async fn start(script: Vec<Reply>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, script, seen.clone()));
        Server {
            address,
            seen,
            task,
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }
}

async fn accept(
    listener: TcpListener,
    script: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        tokio::spawn(serve(stream, script.clone(), seen.clone()));
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read_request(&mut stream, &mut buffer).await else {
            return;
        };
        seen.lock().unwrap().push(request);
        let reply = {
            let mut script = script.lock().unwrap();
            let first = script.front().cloned();
            if script.len() > 1 {
                script.pop_front();
            }
            first.expect("a script has at least one reply")
        };
        match reply {
            Reply::Http(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str("\r\n");
                text.push_str(&body);
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Torn(body) => {
                let text = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len() + 100
                );
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Reply::Hangup => return,
            Reply::Silence => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let seen = Seen {
                line: head.lines().next()?.to_owned(),
                head,
                body: String::new(),
            };
            let length: usize = seen
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            while buffer.len() < end + 4 + length {
                read_more(stream, buffer).await?;
            }
            let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
            buffer.drain(..end + 4 + length);
            return Some(Seen { body, ..seen });
        }
        read_more(stream, buffer).await?;
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 4096];
    let count = stream
        .read(&mut chunk)
        .await
        .ok()
        .filter(|count| *count > 0)?;
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

/// An API like Cin7 Core's, in the parts that matter for calls.
pub const CONNECTOR: &str = r#"
name = "example"
base_url = "https://example.com/api"
[auth]
kind = "header"
headers = { x-key = "{key}" }
[limits]
calls_per_minute = 60
[errors]
throttled = { statuses = [429], with_retry_after = [503], texts = ["api limit"], wait = "30s" }
missing = { texts = ["not found"] }
body = { code = "ErrorCode", message = "Exception", in_200 = true, partial_at = "Errors" }
[paging]
kind = "page"
param = "Page"
size_param = "Limit"
size = 2
size_max = 1000
total_at = "Total"
[[resource]]
name = "sale_header"
list = "saleList"
records_at = "SaleList"
key = "SaleID"
key_case = "lower"
modified_at = "Updated"
changes = { every = "60s", param = "UpdatedSince", until_param = "UpdatedUntil", format = "iso_millis" }
[[resource]]
name = "sale"
of = "sale_header"
get = "sale?ID={id}"
key = "ID"
key_case = "lower"
[[resource]]
name = "ticket"
list = "/service/tickets"
get = "/service/tickets/{id}"
key = "id"
modified_at = "_info.lastUpdated"
paging = { kind = "link", size_param = "pageSize", size = 2, headers = { pagination-type = "forward-only" } }
changes = { every = "60s", condition = "lastUpdated>[{since}]" }
[[resource]]
name = "note"
list = "/notes"
key = "id"
params = { orderBy = "id asc", conditions = "type = 1" }
paging = { kind = "id", param = "conditions", condition = "id > {last}", size_param = "pageSize", size = 2 }
changes = { every = "60s", condition = "lastUpdated>[{since}]" }
[[resource]]
name = "offset_thing"
list = "/offset"
records_at = "items"
key = "id"
paging = { kind = "offset", param = "skip", size_param = "take", size = 2 }
[[resource]]
name = "cursor_thing"
list = "/cursor"
records_at = "items"
key = "id"
paging = { kind = "cursor", param = "after", next_at = "meta.next", size_param = "first", size = 2 }
"#;

pub struct Rig {
    pub server: Server,
    pub client: Client,
    pub clock: Arc<JumpingClock>,
    pub gate: MemoryGate,
}

/// A client with the connections `a`, `b`, ... as many as asked for, calling a server with a script.
pub async fn rig_with(
    script: Vec<Reply>,
    connector: &str,
    connections: usize,
    change: impl FnOnce(&mut Settings),
    log: Option<CallLog>,
) -> Rig {
    let server = Server::start(script).await;
    let connector = Arc::new(Connector::parse("example.toml", connector).unwrap());
    let clock = Arc::new(JumpingClock::new("2026-11-21T10:00:00Z".parse().unwrap()));
    let names: Vec<String> = (b'a'..)
        .take(connections)
        .map(|byte| char::from(byte).to_string())
        .collect();
    let limits = connector.limits.clone();
    let gate = MemoryGate::with_clock(
        names
            .iter()
            .map(|name| GateConnection {
                name: name.clone(),
                limits: limits.clone(),
            })
            .collect(),
        clock.clone(),
    );
    let mut settings = Settings::new(connector, "test");
    settings.base_url = Some(server.url());
    settings.allow_private_hosts = true;
    settings.clock = clock.clone();
    settings.timeout = Some(Duration::from_secs(5));
    change(&mut settings);
    let client = Client::new(settings, Arc::new(gate.clone()), log).unwrap();
    let connections: Vec<Connection> = names
        .iter()
        .map(|name| Connection {
            name: name.clone(),
            secrets: [
                ("key", "key-of-"),
                ("id", "id-of-"),
                ("secret", "secret-of-"),
            ]
            .map(|(secret, text)| (secret.to_owned(), Secret::new(format!("{text}{name}"))))
            .into(),
        })
        .collect();
    client.set_connections(&connections).unwrap();
    Rig {
        server,
        client,
        clock,
        gate,
    }
}

pub async fn rig(script: Vec<Reply>) -> Rig {
    rig_with(script, CONNECTOR, 1, |_| {}, None).await
}

pub async fn read(rig: &Rig) -> Result<Answer, CallError> {
    rig.client.call(Call::get("thing", Class::Read)).await
}

pub fn seconds(waits: &[Duration]) -> Vec<f64> {
    waits.iter().map(Duration::as_secs_f64).collect()
}
