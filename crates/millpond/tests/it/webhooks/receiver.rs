//! Somebody who is told of changes: keeps what came, and answers by a script.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode};
use ring::hmac;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub const POLL: Duration = Duration::from_millis(20);
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    /// With how long to stay away, in seconds.
    After(u16, u64),
    /// With a body that does not end.
    Endless(u16),
    /// Not at all.
    Never,
}

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub id: String,
    timestamp: String,
    signature: String,
    body: Bytes,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The ids of the records whose changes it tells.
    pub fn records(&self) -> Vec<String> {
        let body = self.json();
        let changes = body["data"]["changes"].as_array().unwrap();
        let id = |change: &Value| change["id"].as_str().unwrap().to_owned();
        changes.iter().map(id).collect()
    }

    /// Whether one of its signatures is of this secret.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.unwrap());
        let mut said = format!("{}.{}.", self.id, self.timestamp).into_bytes();
        said.extend_from_slice(&self.body);
        self.signature.split(' ').any(|signature| {
            let tag = signature.strip_prefix("v1,").unwrap();
            hmac::verify(&key, &said, &STANDARD.decode(tag).unwrap()).is_ok()
        })
    }

    /// How far its timestamp is from now, in seconds.
    pub fn skew(&self) -> i64 {
        let at: i64 = self.timestamp.parse().unwrap();
        (jiff::Timestamp::now().as_second() - at).abs()
    }
}

#[derive(Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    script: Mutex<VecDeque<Reply>>,
}

pub struct Receiver {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Follows the script; the last answer is given for ever.
    pub async fn start(script: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::<Inner>::default();
        let app = Router::new().fallback(hear).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let receiver = Self {
            address,
            inner,
            task,
        };
        receiver.answers(script);
        receiver
    }

    pub fn answers(&self, script: &[Reply]) {
        *self.inner.script.lock().unwrap() = script.iter().cloned().collect();
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook/?code=7", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// What has come once it is `count` requests at least.
    pub async fn wait_for(&self, count: usize) -> Vec<Seen> {
        self.wait_until(|seen| seen.len() >= count).await
    }

    pub async fn wait_until(&self, is_enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let began = Instant::now();
        loop {
            let seen = self.seen();
            if is_enough(&seen) {
                return seen;
            }
            assert!(began.elapsed() < PATIENCE, "only this came: {seen:#?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn hear(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    inner.seen.lock().unwrap().push(Seen {
        at: Instant::now(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
    });
    let reply = {
        let mut script = inner.script.lock().unwrap();
        let reply = script.front().cloned().unwrap();
        if script.len() > 1 {
            script.pop_front();
        }
        reply
    };
    let status = |code: u16| StatusCode::from_u16(code).unwrap();
    match reply {
        Reply::Status(code) => (status(code), "as you like").into_response(),
        Reply::After(code, secs) => {
            (status(code), [("retry-after", secs.to_string())]).into_response()
        }
        Reply::Endless(code) => {
            let chunk = Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1 << 16]));
            let body = Body::from_stream(futures::stream::repeat_with(move || {
                Ok::<_, std::io::Error>(chunk.as_ref().unwrap().clone())
            }));
            (status(code), body).into_response()
        }
        Reply::Never => std::future::pending().await,
    }
}
