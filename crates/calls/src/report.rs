//! The report: what people and programs read.

use jiff::Timestamp;
use serde::Serialize;

use crate::advice::{self, Advice};
use crate::bounded::Bounded;
use crate::durations::Durations;
use crate::endpoints::Endpoint;
use crate::shared::Shared;
use crate::skipped::Skipped;
use crate::tally::Sums;
use crate::timeline::MINUTE_MS;
use crate::work::Options;

/// The most steps of a timeline: two weeks of minutes.
const TIMELINE_MAX: usize = 20_160;
/// How many hotspots are told.
const HOTSPOTS: usize = 10;
/// Where the buckets of the histogram begin, in milliseconds.
const BUCKETS: [u64; 12] = [
    0, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

/// What a call log tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Bytes read.
    pub bytes: u64,
    /// Lines that are no calls.
    pub skipped: Skipped,
    /// The whole at a glance.
    pub overview: Overview,
    /// How long calls took.
    pub durations: DurationReport,
    /// Answers by status, `none` where there was no answer; the most frequent first.
    pub statuses: Vec<CodeCount>,
    /// Errors by kind, the most frequent first.
    pub errors: Vec<CodeCount>,
    /// The 20 slowest calls, by duration, then by time.
    pub slowest: Vec<SlowCall>,
    /// Each endpoint, by the time spent on it.
    pub endpoints: Vec<EndpointReport>,
    /// Calls by minute.
    pub timeline: Timeline,
    /// What ran at the same time.
    pub concurrency: Concurrency,
    /// Each connection, by calls.
    pub connections: Vec<ConnectionReport>,
    /// What to do about it, the most urgent first; empty when all is well.
    pub advice: Vec<Advice>,
    /// Where a figure is not exact, and why.
    pub notes: Vec<String>,
}

/// The whole at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Attempts: each line is one.
    pub calls: u64,
    /// Those with an error, without an answer, or with a status of 400 and more.
    pub errors: u64,
    /// Errors by calls, 0 to 1.
    pub error_rate: f64,
    /// When the first call began.
    pub first: Timestamp,
    /// When the last call ended.
    pub last: Timestamp,
    /// From the one to the other, in milliseconds.
    pub span_ms: u64,
    /// Calls a minute over the whole span.
    pub calls_per_minute: f64,
    /// Attempts after the first; where the log has no `attempt`, reads that repeat a failed one within 10 s.
    pub retries: u64,
    /// Reads that repeat a good one within 10 s.
    pub repeats: u64,
    /// Answers with 404.
    pub not_found: u64,
    /// Calls that ran out of time.
    pub timed_out: u64,
    /// Answers with a status of 500 and more.
    pub server_errors: u64,
    /// Calls that broke below HTTP, neither by time nor by being cancelled.
    pub network_errors: u64,
    /// Time spent waiting for leave and between attempts, in milliseconds.
    pub wait_ms: u64,
}

/// How long calls took, in milliseconds. Percentiles are by nearest rank.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DurationReport {
    pub min_ms: u64,
    pub max_ms: u64,
    pub mean_ms: f64,
    pub p50_ms: u64,
    pub p90_ms: u64,
    pub p95_ms: u64,
    pub p99_ms: u64,
    pub total_ms: u64,
    pub histogram: Vec<Bucket>,
}

impl DurationReport {
    /// What people are shown, by name, in milliseconds.
    pub(crate) fn figures(&self) -> [(&'static str, f64); 7] {
        [
            ("min", self.min_ms as f64),
            ("mean", self.mean_ms),
            ("p50", self.p50_ms as f64),
            ("p90", self.p90_ms as f64),
            ("p95", self.p95_ms as f64),
            ("p99", self.p99_ms as f64),
            ("max", self.max_ms as f64),
        ]
    }
}

/// Calls that took at least `from_ms` and less than `to_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// The lower end.
    pub from_ms: u64,
    /// The upper end; none for the last.
    pub to_ms: Option<u64>,
    /// Calls.
    pub calls: u64,
}

/// How often something occurred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeCount {
    /// What: a code of an error, or a status.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// One of the slowest calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowCall {
    /// How long it took.
    pub duration_ms: u64,
    /// When it ended.
    pub timestamp: Timestamp,
    /// Its method.
    pub method: String,
    /// Its URL as logged.
    pub url: String,
    /// Its status; none without an answer.
    pub status: Option<u16>,
    /// Its error as logged.
    pub error: Option<String>,
    /// Whose call it was; empty where the log does not say.
    pub instance: String,
}

/// One endpoint: method and route template.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EndpointReport {
    pub endpoint: String,
    pub calls: u64,
    pub errors: u64,
    pub mean_ms: f64,
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub max_ms: u64,
    pub total_ms: u64,
    /// Its errors by kind, the most frequent first.
    pub errors_by_code: Vec<CodeCount>,
}

/// Calls by the minute in which they ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// Minutes per step: 1 unless the log is longer than two weeks.
    pub step_minutes: i64,
    /// Each step from the first to the last, those without calls too.
    pub steps: Vec<Minute>,
}

/// One step of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Minute {
    /// When it begins.
    pub at: Timestamp,
    /// Calls that ended in it.
    pub calls: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// How long these calls took on average.
    pub mean_ms: f64,
    /// The most calls under way at the same time.
    pub peak: u32,
}

/// What ran at the same time. A call counts from its start up to its end, for 1 ms at least.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Concurrency {
    /// The most calls under way at the same time.
    pub peak: u32,
    /// When that was first so.
    pub peak_at: Timestamp,
    /// Calls under way on average, while there were any.
    pub mean_busy: f64,
    /// Milliseconds with any call under way.
    pub busy_ms: u64,
    /// For how long how many were under way.
    pub levels: Vec<LevelTime>,
    /// The minutes with the highest peaks.
    pub hotspots: Vec<Hotspot>,
}

/// For how long so many calls were under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LevelTime {
    /// Calls; the last level stands for all above too.
    pub calls: u32,
    /// Milliseconds.
    pub ms: u64,
}

/// A step of the timeline with many calls at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hotspot {
    /// When the step begins.
    pub at: Timestamp,
    /// The most calls at the same time.
    pub peak: u32,
    /// Calls that ended in it.
    pub calls: u64,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectionReport {
    /// Instance and connection; the base URL where the log does not say.
    pub connection: String,
    /// Where it leads.
    pub base_url: String,
    /// Calls.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Answers that say "too many calls" (429).
    pub throttled: u64,
    /// Answers that refuse the credentials (401, 403).
    pub refused: u64,
    /// How long its calls took on average.
    pub mean_ms: f64,
    /// Time spent waiting for leave and between attempts.
    pub wait_ms: u64,
    /// The most calls at the same time.
    pub peak: u32,
    /// The most calls that began within one minute of the clock.
    pub minute_max: u32,
    /// How many may, where that is known.
    pub limit_per_minute: Option<u32>,
}

impl Report {
    pub(crate) fn of(sums: Sums, mut shared: Shared, bytes: u64, options: &Options) -> Report {
        shared.overlap.sweep_to(i64::MAX, &mut shared.timeline);
        let durations = sums.durations();
        let mut notes = notes(&sums, &shared, durations.max_ms);
        let connections = connection_reports(&sums, &shared, options);
        let timeline = timeline_report(std::mem::take(&mut shared.timeline));
        if timeline.step_minutes > 1 {
            notes.push(format!(
                "the log is long: a step of the timeline stands for {} minutes",
                timeline.step_minutes
            ));
        }
        let concurrency = concurrency_report(&shared, &timeline.steps);
        let Sums {
            codes,
            statuses,
            endpoints,
            slowest,
            skipped,
            ..
        } = sums;
        let calls = durations.count;
        let span_ms = sums.last_ms.saturating_sub(sums.first_ms).unsigned_abs();
        let overview = Overview {
            calls,
            errors: sums.errors,
            error_rate: sums.errors as f64 / calls.max(1) as f64,
            first: moment(sums.first_ms),
            last: moment(sums.last_ms),
            span_ms,
            // What lasts less than a minute is a minute's worth.
            calls_per_minute: calls as f64 / (span_ms as f64 / 60_000.0).max(1.0),
            retries: sums.retries,
            repeats: sums.repeats,
            not_found: sums.not_found,
            timed_out: sums.timed_out,
            server_errors: sums.server_errors,
            network_errors: sums.network_errors,
            wait_ms: sums.wait_ms,
        };
        let (endpoints, is_coarse) = endpoint_reports(endpoints);
        if is_coarse {
            notes.push(
                "so many endpoints took so many different times that percentiles of some may be up to a fifth too low"
                    .to_owned(),
            );
        }
        let mut report = Report {
            bytes,
            skipped,
            overview,
            durations: duration_report(&durations),
            statuses: counts(statuses),
            errors: counts(codes),
            slowest: slowest
                .into_list()
                .into_iter()
                .map(|slow| SlowCall {
                    duration_ms: slow.duration_ms.0,
                    timestamp: moment(slow.ended_ms),
                    method: slow.what.method,
                    url: slow.what.url,
                    status: slow.what.status,
                    error: slow.what.error,
                    instance: slow.what.instance,
                })
                .collect(),
            endpoints,
            timeline,
            concurrency,
            connections,
            advice: Vec::new(),
            notes,
        };
        report.advice = advice::advise(&report, options);
        report
    }
}

fn notes(sums: &Sums, shared: &Shared, max_ms: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if sums.skipped.lines() > sums.skipped.empty {
        notes.push(format!("lines were skipped: {}", sums.skipped));
    }
    if shared.overlap.restarts > 0 {
        notes.push(format!(
            "the log goes far back in time {} times: overlaps are those within each stretch",
            shared.overlap.restarts
        ));
    }
    if shared.overlap.clipped > 0 {
        notes.push(format!(
            "{} calls began further back than the overlaps are kept open: they count from there",
            shared.overlap.clipped
        ));
    }
    if max_ms >= crate::EXACT_BELOW_MS {
        notes.push(format!(
            "percentiles above {} s are up to 0.8 % too low",
            crate::EXACT_BELOW_MS / 1_000
        ));
    }
    notes
}

fn timeline_report(timeline: crate::timeline::Timeline) -> Timeline {
    let (step_minutes, rows) = timeline.rows(TIMELINE_MAX);
    let steps = rows.into_iter().map(|(minute, step)| Minute {
        at: moment(minute.saturating_mul(MINUTE_MS)),
        calls: step.calls,
        errors: step.errors,
        mean_ms: step.total_ms as f64 / step.calls.max(1) as f64,
        peak: step.peak,
    });
    Timeline {
        step_minutes,
        steps: steps.collect(),
    }
}

fn duration_report(durations: &Durations) -> DurationReport {
    let ends = BUCKETS[1..].iter().map(|end| Some(*end)).chain([None]);
    let histogram = BUCKETS
        .iter()
        .zip(ends)
        .map(|(from, to)| Bucket {
            from_ms: *from,
            to_ms: to,
            calls: durations.between(*from, to),
        })
        .collect();
    DurationReport {
        min_ms: durations.min_ms,
        max_ms: durations.max_ms,
        mean_ms: durations.mean_ms(),
        p50_ms: durations.percentile(50),
        p90_ms: durations.percentile(90),
        p95_ms: durations.percentile(95),
        p99_ms: durations.percentile(99),
        total_ms: durations.total_ms,
        histogram,
    }
}

fn endpoint_reports(endpoints: Bounded<Endpoint>) -> (Vec<EndpointReport>, bool) {
    let (named, others) = endpoints.into_parts();
    let others = others.map(|others| (Box::from(b"(other endpoints)".as_slice()), others));
    let mut is_coarse = false;
    let reports = named.into_iter().chain(others).map(|(name, endpoint)| {
        let Endpoint {
            durations,
            errors,
            codes,
        } = endpoint;
        is_coarse |= durations.is_coarse();
        EndpointReport {
            endpoint: String::from_utf8_lossy(&name).into_owned(),
            calls: durations.count,
            errors,
            mean_ms: durations.mean_ms(),
            p50_ms: durations.percentile(50),
            p95_ms: durations.percentile(95),
            max_ms: durations.max_ms,
            total_ms: durations.total_ms,
            errors_by_code: counts(codes),
        }
    });
    let mut reports: Vec<EndpointReport> = reports.collect();
    reports.sort_by(|a, b| {
        b.total_ms
            .cmp(&a.total_ms)
            .then_with(|| a.endpoint.cmp(&b.endpoint))
    });
    (reports, is_coarse)
}

fn counts(counts: Bounded<u64>) -> Vec<CodeCount> {
    let (named, others) = counts.into_parts();
    let mut counts: Vec<CodeCount> = named
        .into_iter()
        .map(|(name, count)| CodeCount {
            code: String::from_utf8_lossy(&name).into_owned(),
            count,
        })
        .collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
    counts.extend(others.map(|count| CodeCount {
        code: "(others)".to_owned(),
        count,
    }));
    counts
}

fn concurrency_report(shared: &Shared, steps: &[Minute]) -> Concurrency {
    let overlap = &shared.overlap;
    let levels: Vec<LevelTime> = overlap
        .level_ms
        .iter()
        .zip(0..)
        .filter(|(ms, _)| **ms > 0)
        .map(|(ms, calls)| LevelTime { calls, ms: *ms })
        .collect();
    let busy_ms: u64 = levels.iter().map(|level| level.ms).sum();
    let mut order: Vec<&Minute> = steps.iter().filter(|step| step.peak > 1).collect();
    order.sort_by(|a, b| {
        b.peak
            .cmp(&a.peak)
            .then(b.calls.cmp(&a.calls))
            .then(a.at.cmp(&b.at))
    });
    Concurrency {
        peak: overlap.peak,
        peak_at: moment(overlap.peak_at_ms),
        mean_busy: overlap.call_ms as f64 / busy_ms.max(1) as f64,
        busy_ms,
        levels,
        hotspots: order
            .into_iter()
            .take(HOTSPOTS)
            .map(|step| Hotspot {
                at: step.at,
                peak: step.peak,
                calls: step.calls,
            })
            .collect(),
    }
}

fn connection_reports(sums: &Sums, shared: &Shared, options: &Options) -> Vec<ConnectionReport> {
    let (named, others) = sums.connections.parts();
    let mut reports: Vec<ConnectionReport> = named
        .into_iter()
        .map(|(name, connection)| {
            let group = shared.groups().find(|(key, _)| *key == name);
            let group = group.map(|(_, group)| shared.overlap.groups[usize::from(group)]);
            let group = group.unwrap_or_default();
            let base_url = crate::line::plain_text(&connection.base_url).into_owned();
            let limit = options
                .limits
                .iter()
                .find(|(base, _)| base_url.starts_with(base.as_str()));
            ConnectionReport {
                connection: crate::line::plain_text(name).into_owned(),
                limit_per_minute: limit.map(|(_, limit)| *limit),
                base_url,
                calls: connection.calls,
                errors: connection.errors,
                throttled: connection.throttled,
                refused: connection.refused,
                mean_ms: connection.total_ms as f64 / connection.calls.max(1) as f64,
                wait_ms: connection.wait_ms,
                peak: group.peak,
                minute_max: group.minute_max,
            }
        })
        .collect();
    reports.sort_by(|a, b| {
        b.calls
            .cmp(&a.calls)
            .then_with(|| a.connection.cmp(&b.connection))
    });
    reports.extend(others.map(|others| ConnectionReport {
        connection: "(other connections)".to_owned(),
        base_url: String::new(),
        calls: others.calls,
        errors: others.errors,
        throttled: others.throttled,
        refused: others.refused,
        mean_ms: others.total_ms as f64 / others.calls.max(1) as f64,
        wait_ms: others.wait_ms,
        peak: 0,
        minute_max: 0,
        limit_per_minute: None,
    }));
    reports
}

/// A moment of the log; what no calendar holds becomes its nearest end.
fn moment(ms: i64) -> Timestamp {
    let end = if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_millisecond(ms).unwrap_or(end)
}
