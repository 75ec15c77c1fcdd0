//! The report beside a plain one that holds every line in memory.

use std::collections::BTreeMap;
use std::num::NonZero;

use calls::{Options, analyze};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::kit::*;

/// Paths with their templates.
const PATHS: [(&str, &str); 5] = [
    (
        "/sales/opportunities/17/notes?page=2",
        "/sales/opportunities/{id}/notes",
    ),
    (
        "/sales/opportunities/4711/notes",
        "/sales/opportunities/{id}/notes",
    ),
    ("/sale/0f6a2b1c-33aa-4b5c-9d8e-001122334455", "/sale/{uuid}"),
    ("/saleList?Page=3", "/saleList"),
    ("/caf\u{e9}", "/{text}"),
];

prop_compose! {
    fn any_call()(
        at in 0i64..400_000,
        ms in prop_oneof![0u64..5, 0u64..500, 0u64..60_000],
        path in 0..PATHS.len(),
        method in prop_oneof![Just("GET"), Just("POST")],
        outcome in prop_oneof![
            6 => Just((json!(200), Value::Null, "")),
            1 => Just((json!(404), json!("HTTP_404 Request failed with status code 404"), "HTTP_404")),
            1 => Just((json!(503), Value::Null, "HTTP_503")),
            1 => Just((Value::Null, json!("ECONNRESET connection reset"), "ECONNRESET")),
            1 => Just((json!(200), json!("TORN_JSON at byte 7"), "TORN_JSON")),
        ],
        connection in prop_oneof![Just("first"), Just("second")],
    ) -> (Value, String, &'static str) {
        let (status, error, code) = outcome;
        let changes = json!({"url": PATHS[path].0, "method": method, "status": status, "error": error, "connection": connection});
        (with(call(at, ms), changes), format!("{method} {}", PATHS[path].1), code)
    }
}

fn ended(call: &Value) -> i64 {
    let at: jiff::Timestamp = call["timestamp"].as_str().unwrap().parse().unwrap();
    at.as_millisecond()
}

fn ms(call: &Value) -> u64 {
    call["durationMs"].as_u64().unwrap()
}

/// The smallest that at least `percent` % do not exceed.
fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

fn at(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

/// Everything that can be said plainly, in the shape of the report.
fn oracle(calls: &[(Value, String, &str)]) -> Value {
    let mut sorted: Vec<u64> = calls.iter().map(|(call, ..)| ms(call)).collect();
    sorted.sort_unstable();
    let starts = |call: &Value| ended(call) - ms(call) as i64;
    let mut slowest: Vec<(usize, &Value)> =
        calls.iter().map(|(call, ..)| call).enumerate().collect();
    slowest.sort_by_key(|(n, call)| (std::cmp::Reverse(ms(call)), ended(call), *n));
    let slowest: Vec<Value> = slowest.iter().take(20)
        .map(|(_, call)| json!({"duration_ms": ms(call), "url": call["url"], "timestamp": at(ended(call))})).collect();

    let mut endpoints: BTreeMap<&str, Vec<&(Value, String, &str)>> = BTreeMap::new();
    for call in calls {
        endpoints.entry(&call.1).or_default().push(call);
    }
    let mut endpoints: Vec<(u64, &str, Value)> = endpoints.into_iter().map(|(name, calls)| {
        let mut sorted: Vec<u64> = calls.iter().map(|(call, ..)| ms(call)).collect();
        sorted.sort_unstable();
        let total: u64 = sorted.iter().sum();
        let report = json!({
            "endpoint": name, "calls": calls.len(), "errors": calls.iter().filter(|call| !call.2.is_empty()).count(),
            "p50_ms": nearest_rank(&sorted, 50), "p95_ms": nearest_rank(&sorted, 95), "max_ms": sorted.last(),
            "mean_ms": total as f64 / sorted.len() as f64, "total_ms": total,
        });
        (total, name, report)
    }).collect();
    endpoints.sort_by_key(|(total, name, _)| (std::cmp::Reverse(*total), *name));

    let minute = |ms: i64| ms.div_euclid(60_000);
    let spans: Vec<(i64, i64)> = calls
        .iter()
        .map(|(call, ..)| (starts(call), ended(call).max(starts(call) + 1)))
        .collect();
    let under_way = |at: i64| {
        spans
            .iter()
            .filter(|(start, end)| *start <= at && at < *end)
            .count()
    };
    let peak = spans
        .iter()
        .map(|(start, _)| under_way(*start))
        .max()
        .unwrap();
    let peak_at = spans
        .iter()
        .map(|(start, _)| *start)
        .filter(|start| under_way(*start) == peak)
        .min()
        .unwrap();
    // The timeline reaches from the first start to the last end, where a call of 0 ms ends a millisecond later.
    let first = spans.iter().map(|span| minute(span.0)).min().unwrap();
    let last = spans.iter().map(|span| minute(span.1)).max().unwrap();
    let steps: Vec<Value> = (first..=last).map(|n| {
        let here: Vec<_> = calls.iter().filter(|(call, ..)| minute(ended(call)) == n).collect();
        let (from, to) = (n * 60_000, (n + 1) * 60_000);
        let moments = spans.iter().map(|span| span.0).filter(|start| (from..to).contains(start)).chain([from]);
        json!({
            "at": at(from), "calls": here.len(), "errors": here.iter().filter(|call| !call.2.is_empty()).count(),
            "peak": moments.map(under_way).max(),
        })
    }).collect();

    let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
    for (.., code) in calls.iter().filter(|call| !call.2.is_empty()) {
        *errors.entry(code).or_default() += 1;
    }
    let mut errors: Vec<(&str, u64)> = errors.into_iter().collect();
    errors.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    let total: u64 = sorted.iter().sum();
    json!({
        "overview": {
            "calls": calls.len(), "errors": errors.iter().map(|error| error.1).sum::<u64>(),
            "first": at(calls.iter().map(|(call, ..)| starts(call)).min().unwrap()),
            "last": at(calls.iter().map(|(call, ..)| ended(call)).max().unwrap()),
        },
        "durations": {
            "min_ms": sorted[0], "max_ms": sorted.last(), "mean_ms": total as f64 / sorted.len() as f64,
            "p50_ms": nearest_rank(&sorted, 50), "p90_ms": nearest_rank(&sorted, 90),
            "p95_ms": nearest_rank(&sorted, 95), "p99_ms": nearest_rank(&sorted, 99), "total_ms": total,
        },
        "errors": errors.iter().map(|(code, count)| json!({"code": code, "count": count})).collect::<Vec<_>>(),
        "slowest": slowest,
        "endpoints": endpoints.into_iter().map(|endpoint| endpoint.2).collect::<Vec<_>>(),
        "timeline": {"step_minutes": 1, "steps": steps},
        "concurrency": {"peak": peak, "peak_at": at(peak_at)},
    })
}

/// Everything that `expected` says stands in `told`.
fn holds(told: &Value, expected: &Value, path: &str) -> Result<(), String> {
    match (told, expected) {
        (_, Value::Object(expected)) => expected
            .iter()
            .try_for_each(|(key, expected)| holds(&told[key], expected, &format!("{path}.{key}"))),
        (Value::Array(told), Value::Array(expected)) if told.len() == expected.len() => told
            .iter()
            .zip(expected)
            .enumerate()
            .try_for_each(|(n, (told, expected))| holds(told, expected, &format!("{path}[{n}]"))),
        (told, expected) if told == expected => Ok(()),
        _ => Err(format!("{path}: told {told}, expected {expected}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn b121_to_b128_every_figure_is_that_of_a_plain_count(
        calls in prop::collection::vec(any_call(), 1..80), workers in 1usize..4,
    ) {
        let log = text(&calls.iter().map(|call| call.0.clone()).collect::<Vec<_>>());
        let options = Options { workers: NonZero::new(workers), ..Options::default() };
        let report = analyze(log.as_bytes(), &options).unwrap();
        let told = serde_json::to_value(&report).unwrap();
        if let Err(difference) = holds(&told, &oracle(&calls), "") {
            prop_assert!(false, "{}", difference);
        }
        prop_assert_eq!(report.durations.histogram.iter().map(|bucket| bucket.calls).sum::<u64>(), calls.len() as u64);
        let sum = |of: fn(&calls::EndpointReport) -> u64| report.endpoints.iter().map(of).sum::<u64>();
        prop_assert_eq!(sum(|endpoint| endpoint.calls), report.overview.calls);
        prop_assert_eq!(sum(|endpoint| endpoint.errors), report.overview.errors);
        prop_assert_eq!(sum(|endpoint| endpoint.total_ms), report.durations.total_ms);
        prop_assert_eq!(report.connections.iter().map(|connection| connection.calls).sum::<u64>(), report.overview.calls);
    }
}

#[test]
fn a_log_of_many_blocks_is_told_alike_by_one_worker_and_by_several() {
    let calls: Vec<Value> = (0..30_000)
        .map(|n| {
            with(
                call(n * 40, (n * 7919 % 2_000) as u64),
                json!({"url": format!("/thing/{n}/part/{}", n % 7)}),
            )
        })
        .collect();
    let log = text(&calls);
    assert!(log.len() > 5 << 20);
    let told = [1, 2, 5].map(|workers| {
        let options = Options {
            workers: NonZero::new(workers),
            ..Options::default()
        };
        serde_json::to_value(analyze(log.as_bytes(), &options).unwrap()).unwrap()
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
    assert_eq!(told[0]["overview"]["calls"], 30_000);
    let starts = |n: i64| n * 40 - n * 7919 % 2_000;
    let peak = (0..30_000).step_by(1).take(3_000).map(|n| {
        let at = starts(n);
        (0..3_200)
            .filter(|m| starts(*m) <= at && at < (m * 40).max(starts(*m) + 1))
            .count()
    });
    assert_eq!(told[0]["concurrency"]["peak"], peak.max().unwrap());
}
