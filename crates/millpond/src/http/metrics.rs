//! `GET /metrics`: how the mirror is, for Prometheus.

mod cache;

use std::{sync::OnceLock, time::Duration};

use axum::extract::State;
use http::{HeaderValue, StatusCode, header};
use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use mirror::Progress;
use tokio_util::sync::CancellationToken;

use super::{App, error::ApiError};

/// Upper bounds of the duration histogram, in seconds.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The statuses of HTTP, the last excluded.
const STATUSES: (usize, usize) = (100, 600);
/// How often measurements are put into buckets.
const KEEP_UP_EVERY: Duration = Duration::from_secs(5);

/// Starts counting in this process, once.
///
/// # Errors
///
/// Another recorder of metrics was installed by somebody else.
pub fn start() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let durations = Matcher::Full("http_request_duration_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(durations, &DURATION_BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Puts what was measured into the histograms' buckets, until `stop`. Nobody may ever ask for `/metrics`: without this,
/// every measurement would be kept one by one.
pub(super) async fn keep_up(handle: &PrometheusHandle, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEEP_UP_EVERY) => handle.run_upkeep(),
        }
    }
}

fn describe() {
    describe_counter!("http_requests_total", "requests answered, by status");
    describe_histogram!(
        "http_request_duration_seconds",
        "time from a request to its answer's head"
    );
    describe_counter!(
        "mirror_runs_total",
        "runs that ended, by instance, kind and state"
    );
    describe_counter!(
        "mirror_changes_total",
        "records that runs changed, by instance"
    );
    describe_gauge!("mirror_records", "live records, by instance and resource");
    describe_gauge!(
        "mirror_lag_seconds",
        "time since a resource's feed was in, by instance and resource"
    );
    describe_gauge!("mirror_fetches_waiting", "details waiting to be fetched");
    describe_gauge!(
        "mirror_fetches_failing",
        "waiting details that failed at least once"
    );
    describe_gauge!("mirror_quarantined", "records that PostgreSQL cannot hold");
    describe_gauge!("mirror_snapshot", "number of the newest snapshot");
    describe_gauge!(
        "budget_calls_in_window",
        "calls made or under way in a connection's window"
    );
    describe_gauge!(
        "budget_calls_per_window",
        "calls that a connection's window holds"
    );
    describe_gauge!("budget_window_seconds", "length of a connection's window");
    describe_counter!(
        "webhook_deliveries_total",
        "attempts of deliveries to webhooks, and deliveries given up, by outcome"
    );
    describe_counter!("webhook_changes_total", "changes that webhooks took");
    describe_gauge!(
        "webhook_lag_seconds",
        "age of the oldest change that a webhook was not told of"
    );
    describe_gauge!("webhook_deliveries", "deliveries to webhooks, by state");
    describe_gauge!("webhooks", "webhooks, by whether they are told of changes");
    describe_gauge!(
        "connection_usable",
        "1 when a connection may call, 0 when disabled or set aside"
    );
}

/// Counts what a worker did.
pub fn count_progress(progress: &Progress) {
    if let Progress::RunEnded {
        instance,
        kind,
        state,
        changed,
        ..
    } = progress
    {
        counter!("mirror_runs_total", "instance" => instance.clone(), "kind" => kind.clone(), "state" => *state)
            .increment(1);
        counter!("mirror_changes_total", "instance" => instance.clone())
            .increment(changed.unsigned_abs());
    }
}

pub(super) fn count_request(status: StatusCode, duration: Duration) {
    // Looked up once each: every request pays for this.
    static ANSWERED: [OnceLock<Counter>; STATUSES.1 - STATUSES.0] =
        [const { OnceLock::new() }; STATUSES.1 - STATUSES.0];
    static DURATIONS: OnceLock<Histogram> = OnceLock::new();
    let of_status = || counter!("http_requests_total", "status" => status.as_u16().to_string());
    match ANSWERED.get(usize::from(status.as_u16()) - STATUSES.0) {
        Some(known) => known.get_or_init(of_status).increment(1),
        None => of_status().increment(1),
    }
    DURATIONS
        .get_or_init(|| histogram!("http_request_duration_seconds"))
        .record(duration.as_secs_f64());
}

/// Everything counted, and the state of the mirror now.
pub async fn metrics(
    State(app): State<App>,
) -> Result<([(header::HeaderName, HeaderValue); 1], String), ApiError> {
    let status = app.mirror().status().await?;
    for row in &status.resources {
        let labels = [
            ("instance", row.instance.clone()),
            ("resource", row.resource.clone()),
        ];
        gauge!("mirror_records", &labels).set(row.records as f64);
        gauge!("mirror_fetches_waiting", &labels).set(row.waiting as f64);
        gauge!("mirror_fetches_failing", &labels).set(row.failing as f64);
        if let Some(lag) = row.lag_secs {
            gauge!("mirror_lag_seconds", &labels).set(lag);
        }
    }
    for row in &status.connections {
        let labels = [
            ("instance", row.instance.clone()),
            ("connection", row.name.clone()),
        ];
        gauge!("budget_calls_in_window", &labels).set(row.in_window as f64);
        if let Some(calls) = row.calls {
            gauge!("budget_calls_per_window", &labels).set(f64::from(calls));
        }
        gauge!("budget_window_seconds", &labels).set(row.window_ms as f64 / 1000.0);
        let usable = row.enabled && row.set_aside_at.is_none();
        gauge!("connection_usable", &labels).set(if usable { 1.0 } else { 0.0 });
    }
    gauge!("mirror_quarantined").set(status.quarantined as f64);
    gauge!("mirror_snapshot").set(status.snapshot as f64);
    let webhooks = app.store().webhook_totals().await?;
    gauge!("webhook_lag_seconds").set(webhooks.lag_secs);
    for (state, count) in [("pending", webhooks.pending), ("dead", webhooks.dead)] {
        gauge!("webhook_deliveries", "state" => state).set(count as f64);
    }
    for (state, count) in [("enabled", webhooks.enabled), ("stopped", webhooks.stopped)] {
        gauge!("webhooks", "state" => state).set(count as f64);
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let mut page = app.render_metrics();
    page.push_str(&cache::render(app.mirror().hot().cache()));
    Ok(([(header::CONTENT_TYPE, kind)], page))
}
