//! What to do about it: rules over the report. Each says what it saw, and stays quiet on a healthy log.

use serde::Serialize;

use crate::report::{EndpointReport, Report};
use crate::work::Options;

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Calls fail, or soon will.
    Bad,
    /// Calls or time are wasted.
    Wasteful,
}

/// What a piece of advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum AdviceKind {
    Throttled,
    Refused,
    ServerErrors,
    NetworkErrors,
    Timeouts,
    RetryStorm,
    LimitNear,
    TooParallel,
    SlowEndpoint,
    NotFoundWaste,
    RepeatedReads,
}

/// One recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// How urgent it is.
    pub severity: Severity,
    /// What was seen, with its figures.
    pub seen: String,
    /// What to do.
    pub advice: String,
}

/// A share of the calls from which on a thing is worth telling, and the fewest cases.
struct Threshold {
    percent: u64,
    cases_min: u64,
}

const SERVER_ERRORS: Threshold = Threshold {
    percent: 2,
    cases_min: 5,
};
const NETWORK_ERRORS: Threshold = Threshold {
    percent: 2,
    cases_min: 5,
};
const TIMEOUTS: Threshold = Threshold {
    percent: 1,
    cases_min: 5,
};
const RETRIES: Threshold = Threshold {
    percent: 10,
    cases_min: 10,
};
const NOT_FOUND: Threshold = Threshold {
    percent: 5,
    cases_min: 10,
};
const REPEATS: Threshold = Threshold {
    percent: 10,
    cases_min: 50,
};

/// An endpoint is slow when one in twenty of its calls takes this long, and it was called this often.
const SLOW_P95_MS: u64 = 3_000;
const SLOW_CALLS_MIN: u64 = 5;
/// How many slow endpoints are named.
const SLOW_NAMED: usize = 3;
/// From this share of the limit on, in percent, it is near.
const LIMIT_NEAR: u64 = 80;

impl Threshold {
    fn is_reached(&self, cases: u64, calls: u64) -> bool {
        cases >= self.cases_min && cases * 100 >= calls * self.percent
    }
}

/// All advice that the report calls for, the most urgent first.
pub(crate) fn advise(report: &Report, options: &Options) -> Vec<Advice> {
    let mut all: Vec<Advice> = [
        throttled(report),
        refused(report),
        failures(report),
        broken(report),
        timeouts(report),
        retry_storm(report),
        limit_near(report),
        too_parallel(report, options),
        slow_endpoints(report),
        not_found(report),
        repeated(report),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|advice| (advice.severity, advice.kind));
    all
}

fn advice(kind: AdviceKind, severity: Severity, seen: String, advice: &str) -> Advice {
    Advice {
        kind,
        severity,
        seen,
        advice: advice.to_owned(),
    }
}

fn share(cases: u64, calls: u64) -> String {
    format!(
        "{cases} of {calls} calls ({:.1} %)",
        cases as f64 * 100.0 / calls.max(1) as f64
    )
}

fn throttled(report: &Report) -> Option<Advice> {
    let connections = report
        .connections
        .iter()
        .filter(|connection| connection.throttled > 0);
    let named: Vec<String> = connections
        .map(|connection| {
            format!(
                "{}: {} (busiest minute {} calls)",
                connection.connection, connection.throttled, connection.minute_max
            )
        })
        .collect();
    (!named.is_empty()).then(|| {
        advice(
            AdviceKind::Throttled,
            Severity::Bad,
            format!("upstream answered \"too many calls\" (429): {}", named.join(", ")),
            "lower the connection's limit or share if other programs use the same key, or add a connection",
        )
    })
}

fn refused(report: &Report) -> Option<Advice> {
    let connections = report
        .connections
        .iter()
        .filter(|connection| connection.refused > 0);
    let named: Vec<String> = connections
        .map(|connection| format!("{}: {}", connection.connection, connection.refused))
        .collect();
    (!named.is_empty()).then(|| {
        advice(
            AdviceKind::Refused,
            Severity::Bad,
            format!(
                "upstream refused the credentials (401, 403): {}",
                named.join(", ")
            ),
            "check the connection's secrets and what its key may read",
        )
    })
}

/// The endpoint with the most cases, for a hint where to look.
fn worst(report: &Report, cases: impl Fn(&EndpointReport) -> u64) -> &str {
    let worst = report
        .endpoints
        .iter()
        .max_by_key(|endpoint| cases(endpoint));
    worst.map_or("", |endpoint| &endpoint.endpoint)
}

fn coded(endpoint: &EndpointReport, is_meant: impl Fn(&str) -> bool) -> u64 {
    let codes = endpoint
        .errors_by_code
        .iter()
        .filter(|code| is_meant(&code.code));
    codes.map(|code| code.count).sum()
}

fn failures(report: &Report) -> Option<Advice> {
    let (cases, calls) = (report.overview.server_errors, report.overview.calls);
    SERVER_ERRORS.is_reached(cases, calls).then(|| {
        let worst = worst(report, |endpoint| coded(endpoint, |code| code.starts_with("HTTP_5")));
        advice(
            AdviceKind::ServerErrors,
            Severity::Bad,
            format!("{} were answered with 500 or more, most at {worst}", share(cases, calls)),
            "see whether upstream is down, or whether smaller pages or fewer calls at once get through",
        )
    })
}

fn broken(report: &Report) -> Option<Advice> {
    let (cases, calls) = (report.overview.network_errors, report.overview.calls);
    NETWORK_ERRORS.is_reached(cases, calls).then(|| {
        let codes = report
            .errors
            .iter()
            .filter(|error| error.code.starts_with('E'));
        let codes: Vec<&str> = codes.map(|error| error.code.as_str()).take(3).collect();
        advice(
            AdviceKind::NetworkErrors,
            Severity::Bad,
            format!(
                "{} broke below HTTP ({})",
                share(cases, calls),
                codes.join(", ")
            ),
            "check the name, the certificate and the way to upstream from this machine",
        )
    })
}

fn timeouts(report: &Report) -> Option<Advice> {
    let (cases, calls) = (report.overview.timed_out, report.overview.calls);
    TIMEOUTS.is_reached(cases, calls).then(|| {
        let worst = worst(report, |endpoint| {
            coded(endpoint, |code| {
                matches!(code, "ECONNABORTED" | "ETIMEDOUT")
            })
        });
        advice(
            AdviceKind::Timeouts,
            Severity::Bad,
            format!("{} ran out of time, most at {worst}", share(cases, calls)),
            "ask for smaller pages or fewer fields there, or allow more time",
        )
    })
}

fn retry_storm(report: &Report) -> Option<Advice> {
    let (cases, calls) = (report.overview.retries, report.overview.calls);
    RETRIES.is_reached(cases, calls).then(|| {
        advice(
            AdviceKind::RetryStorm,
            Severity::Bad,
            format!("{} were made because one before had failed", share(cases, calls)),
            "mend what fails first (see the errors); until then allow fewer attempts and longer waits",
        )
    })
}

fn limit_near(report: &Report) -> Option<Advice> {
    let near = report.connections.iter().filter_map(|connection| {
        let limit = connection.limit_per_minute?;
        let is_near = u64::from(connection.minute_max) * 100 >= u64::from(limit) * LIMIT_NEAR;
        is_near.then(|| {
            format!(
                "{}: {} of {limit} calls in its busiest minute",
                connection.connection, connection.minute_max
            )
        })
    });
    let near: Vec<String> = near.collect();
    (!near.is_empty()).then(|| {
        advice(
            AdviceKind::LimitNear,
            Severity::Wasteful,
            format!("the limit is near: {}", near.join(", ")),
            "expect reads to wait; add a connection, or poll less often what changes seldom",
        )
    })
}

fn too_parallel(report: &Report, options: &Options) -> Option<Advice> {
    let max = options.parallel_max;
    let many = report
        .connections
        .iter()
        .filter(|connection| connection.peak > max);
    let many: Vec<String> = many
        .map(|connection| format!("{}: {}", connection.connection, connection.peak))
        .collect();
    (!many.is_empty()).then(|| {
        advice(
            AdviceKind::TooParallel,
            Severity::Wasteful,
            format!("more than {max} calls at the same time: {}", many.join(", ")),
            "lower `concurrency` of the instance: upstream serves such a crowd slower, or cuts it off",
        )
    })
}

fn slow_endpoints(report: &Report) -> Option<Advice> {
    let slow = report
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.p95_ms >= SLOW_P95_MS && endpoint.calls >= SLOW_CALLS_MIN);
    let slow: Vec<String> = slow
        .take(SLOW_NAMED)
        .map(|endpoint| {
            format!(
                "{} (p95 {:.1} s, {} calls)",
                endpoint.endpoint,
                endpoint.p95_ms as f64 / 1_000.0,
                endpoint.calls
            )
        })
        .collect();
    (!slow.is_empty()).then(|| {
        advice(
            AdviceKind::SlowEndpoint,
            Severity::Wasteful,
            format!("slow: {}", slow.join(", ")),
            "ask for smaller pages or fewer fields, or for what changed only",
        )
    })
}

fn not_found(report: &Report) -> Option<Advice> {
    let (cases, calls) = (report.overview.not_found, report.overview.calls);
    NOT_FOUND.is_reached(cases, calls).then(|| {
        let worst = worst(report, |endpoint| {
            coded(endpoint, |code| code == "HTTP_404")
        });
        advice(
            AdviceKind::NotFoundWaste,
            Severity::Wasteful,
            format!(
                "{} asked for what is not there (404), most at {worst}",
                share(cases, calls)
            ),
            "see who still asks for deleted records, and remember that they are gone",
        )
    })
}

fn repeated(report: &Report) -> Option<Advice> {
    let (cases, calls) = (report.overview.repeats, report.overview.calls);
    REPEATS.is_reached(cases, calls).then(|| {
        advice(
            AdviceKind::RepeatedReads,
            Severity::Wasteful,
            format!(
                "{} read again what a good answer had told less than 10 s before",
                share(cases, calls)
            ),
            "let them share one answer: a longer lifetime, or one place that asks",
        )
    })
}
