//! One attempt: one request, one answer, one line in the log.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::Url;

use super::exchange::Response;
use super::fault::{Fault, name_fault};
use super::login::Login;
use crate::call_log::{CallLog, Line};
use crate::clock::Clock;

/// What is sent, and what the log says about it.
pub(super) struct Request<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) log: Option<&'a CallLog>,
    pub(super) clock: &'a dyn Clock,
    pub(super) login: &'a Login,
    pub(super) method: &'a http::Method,
    pub(super) url: &'a Url,
    /// The URL as the log shows it, secrets and all.
    pub(super) shown_url: &'a str,
    pub(super) base_url: &'a str,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) timeout: std::time::Duration,
    pub(super) body_max: u64,
    pub(super) instance: &'a str,
    pub(super) resource: Option<&'a str>,
    pub(super) label: &'a str,
    pub(super) class: &'static str,
    pub(super) attempt: u32,
    pub(super) wait_ms: u64,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why there is no whole answer.
pub(super) enum Failure {
    Fault(Fault),
    TooLarge,
}

impl Request<'_> {
    /// Sends the request and reads the answer. Dropping the future cancels the request; its line is written all
    /// the same.
    pub(super) async fn send(mut self) -> Result<Response, Failure> {
        let asked_at = self.clock.now();
        let body = self.body.take();
        let headers = std::mem::take(&mut self.headers);
        let mut request = self
            .http
            .request(self.method.clone(), self.url.clone())
            .headers(headers)
            .timeout(self.timeout);
        if let Some(body) = body {
            request = request.body(body);
        }
        let body_max = self.body_max;
        let timeout_ms = self.timeout.as_millis();
        let mut pending = Pending {
            request: &self,
            started: Instant::now(),
            status: None,
            bytes: 0,
            done: false,
        };
        let outcome = receive(request, body_max, &mut pending).await;
        let result = match outcome {
            Ok((headers, body, status)) => {
                let bad = (!status.is_success()).then(|| {
                    format!(
                        "HTTP_{0} Request failed with status code {0}",
                        status.as_u16()
                    )
                });
                pending.write(bad);
                let answered_at = self.clock.now();
                return Ok(Response {
                    status,
                    headers,
                    body,
                    asked_at,
                    answered_at,
                });
            }
            Err(Failure::TooLarge) => {
                pending.write(Some(format!(
                    "ERR_BODY_TOO_LARGE more than {body_max} bytes"
                )));
                Failure::TooLarge
            }
            Err(Failure::Fault(fault)) => {
                pending.status = None;
                pending.write(Some(fault_text(&fault)));
                Failure::Fault(fault)
            }
        };
        tracing::debug!(
            api.name = self.instance, attempt = self.attempt, timeout_ms = %timeout_ms, call = self.label,
            "an attempt failed"
        );
        Err(result)
    }
}

async fn receive(
    request: reqwest::RequestBuilder,
    body_max: u64,
    pending: &mut Pending<'_, '_>,
) -> Result<(http::HeaderMap, Bytes, http::StatusCode), Failure> {
    let timeout_ms = pending.request.timeout.as_millis();
    let fault =
        |error: reqwest::Error| Failure::Fault(name_fault(&error.without_url(), timeout_ms));
    let mut response = request.send().await.map_err(fault)?;
    let status = response.status();
    pending.status = Some(status.as_u16());
    let announced = response.content_length().unwrap_or(0);
    if announced > body_max {
        return Err(Failure::TooLarge);
    }
    let mut first: Option<Bytes> = None;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        pending.bytes += chunk.len() as u64;
        if pending.bytes > body_max {
            return Err(Failure::TooLarge);
        }
        match (&first, body.is_empty()) {
            // Most small answers are one chunk: no copy.
            (None, true) => first = Some(chunk),
            _ => {
                if let Some(first) = first.take() {
                    // `announced` is bounded above.
                    body.reserve(
                        usize::try_from(announced)
                            .unwrap_or(0)
                            .max(first.len() + chunk.len()),
                    );
                    body.extend_from_slice(&first);
                }
                body.extend_from_slice(&chunk);
            }
        }
    }
    let headers = std::mem::take(response.headers_mut());
    let body = first.unwrap_or_else(|| body.freeze());
    // Some servers begin with a byte order mark, which JSON does not allow.
    let body = if body.starts_with(BYTE_ORDER_MARK) {
        body.slice(BYTE_ORDER_MARK.len()..)
    } else {
        body
    };
    Ok((headers, body, status))
}

fn fault_text(fault: &Fault) -> String {
    match fault {
        Fault::Transient { cause, .. } => cause.to_string(),
        Fault::Certificate(reason) => format!("ERR_CERTIFICATE {reason}"),
        Fault::Private(reason) => format!("ERR_PRIVATE_ADDRESS {reason}"),
        Fault::Unbuildable(reason) => format!("ERR_BAD_REQUEST {reason}"),
    }
}

/// A request under way. Its line is written when it ends, also by being dropped.
struct Pending<'a, 'b> {
    request: &'b Request<'a>,
    started: Instant,
    status: Option<u16>,
    bytes: u64,
    done: bool,
}

impl Pending<'_, '_> {
    fn count(&self, error: Option<&str>) {
        let outcome = match (self.status, error) {
            (Some(200..300), None) => "good",
            (Some(200..300), Some(_)) => "cut",
            (Some(429), _) => "throttled",
            (Some(300..500), _) => "rejected",
            (Some(_), _) => "server_error",
            (None, _) => "fault",
        };
        let request = self.request;
        let instance = request.instance.to_owned();
        metrics::histogram!("upstream_call_duration_seconds", "instance" => instance.clone())
            .record(self.started.elapsed().as_secs_f64());
        metrics::counter!(
            "upstream_calls_total",
            "instance" => instance,
            "connection" => request.login.name.clone(),
            "class" => request.class,
            "outcome" => outcome,
        )
        .increment(1);
    }

    fn write(&mut self, error: Option<String>) {
        self.done = true;
        self.count(error.as_deref());
        let Some(log) = self.request.log else { return };
        let request = self.request;
        let url = request.login.mask(request.shown_url);
        log.write(&Line {
            timestamp: wall_clock(),
            method: request.method.as_str(),
            url: &url,
            base_url: request.base_url,
            status: self.status,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            error,
            timeout: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
            instance: request.instance,
            connection: &request.login.name,
            resource: request.resource,
            label: request.label,
            class: request.class,
            attempt: request.attempt,
            wait_ms: request.wait_ms,
            bytes: self.bytes,
        });
    }
}

impl Drop for Pending<'_, '_> {
    fn drop(&mut self) {
        if !self.done {
            self.status = None;
            self.write(Some("ERR_CANCELED canceled".to_owned()));
        }
    }
}

/// The log is about real time, whatever clock decides about waits.
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
