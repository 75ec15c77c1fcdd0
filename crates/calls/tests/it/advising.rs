//! Each rule fires on a log made for it, and all are quiet on a healthy one.

use calls::{AdviceKind, Options, analyze};
use serde_json::{Value, json};

use crate::kit::*;

/// Ten minutes of two connections with at most six calls at once, and a failure now and then.
fn healthy() -> Vec<Value> {
    (0..1_200)
        .map(|n| {
            let url = format!("/sales/opportunities/{}/notes", n % 400);
            let connection = ["first", "second"][n as usize % 2];
            let call = with(
                call(n * 500, 100 + (n as u64 * 37) % 900),
                json!({"url": url, "connection": connection}),
            );
            match n % 300 {
                7 => with(
                    call,
                    json!({"status": 503, "error": "HTTP_503 Request failed with status code 503"}),
                ),
                8 => with(call, json!({"attempt": 2})),
                9 => with(
                    call,
                    json!({"status": 404, "error": "HTTP_404 Request failed with status code 404"}),
                ),
                _ => call,
            }
        })
        .collect()
}

fn kinds(calls: &[Value]) -> Vec<AdviceKind> {
    let options = Options {
        limits: vec![("https://x.example".to_owned(), 100)],
        ..Options::default()
    };
    let mut sorted = calls.to_vec();
    sorted.sort_by_key(|call| call["timestamp"].as_str().unwrap().to_owned());
    let report = analyze(text(&sorted).as_bytes(), &options).unwrap();
    report.advice.iter().map(|advice| advice.kind).collect()
}

/// The healthy log with every `nth` call changed.
fn spoiled(nth: usize, changes: Value) -> Vec<Value> {
    let calls = healthy().into_iter().enumerate();
    calls
        .map(|(n, call)| {
            if n % nth == 0 {
                with(call, changes.clone())
            } else {
                call
            }
        })
        .collect()
}

#[test]
fn b129_a_healthy_log_calls_for_nothing() {
    assert_eq!(kinds(&healthy()), []);
}

#[test]
fn b129_calls_in_a_crowd_are_too_parallel() {
    let mut calls = healthy();
    calls.extend((0..30).map(|n| call(300_000 + n, 900)));
    assert_eq!(kinds(&calls), [AdviceKind::TooParallel]);
}

#[test]
fn b129_a_slow_endpoint_is_named() {
    let calls = spoiled(
        40,
        json!({"url": "/reports/everything", "durationMs": 4_200}),
    );
    assert_eq!(kinds(&calls), [AdviceKind::SlowEndpoint]);
}

#[test]
fn b129_a_retry_storm_shows_by_attempts_or_by_repeated_failures() {
    assert_eq!(
        kinds(&spoiled(5, json!({"attempt": 2}))),
        [AdviceKind::RetryStorm]
    );
    // A log without attempts: the same read, three times, each a second after the last.
    let mut calls = Vec::new();
    for n in 0..100 {
        for attempt in 0..3 {
            let mut call = with(
                call(n * 10_000 + attempt * 1_000, 50),
                json!({"url": format!("/thing/{n}"), "status": 500}),
            );
            call.as_object_mut().unwrap().remove("attempt");
            calls.push(call);
        }
    }
    assert_eq!(
        kinds(&calls),
        [AdviceKind::ServerErrors, AdviceKind::RetryStorm]
    );
}

#[test]
fn b129_asking_for_what_is_gone_is_waste() {
    assert_eq!(
        kinds(&spoiled(12, json!({"status": 404}))),
        [AdviceKind::NotFoundWaste]
    );
}

#[test]
fn b129_a_limit_is_near_when_a_minute_takes_most_of_it_and_past_when_upstream_says_so() {
    let mut calls = healthy();
    calls.extend((0..30).map(|n| {
        with(
            call(300_000 + n * 700, 20),
            json!({"url": format!("/extra/{n}"), "connection": "first"}),
        )
    }));
    assert_eq!(kinds(&calls), [AdviceKind::LimitNear]);
    assert_eq!(
        kinds(&spoiled(400, json!({"status": 429}))),
        [AdviceKind::Throttled]
    );
}

#[test]
fn b129_what_breaks_times_out_or_is_refused_is_told_by_its_name() {
    let broken = json!({"status": null, "error": "ECONNRESET connection reset"});
    assert_eq!(kinds(&spoiled(30, broken)), [AdviceKind::NetworkErrors]);
    let late = json!({"status": null, "error": "ECONNABORTED timeout of 30000ms exceeded"});
    assert_eq!(kinds(&spoiled(60, late)), [AdviceKind::Timeouts]);
    assert_eq!(
        kinds(&spoiled(600, json!({"status": 401}))),
        [AdviceKind::Refused]
    );
    assert_eq!(
        kinds(&spoiled(40, json!({"status": 502}))),
        [AdviceKind::ServerErrors]
    );
}

#[test]
fn b129_reading_the_same_again_and_again_is_waste() {
    let calls = spoiled(5, json!({"url": "/company/companies/7"}));
    assert_eq!(kinds(&calls), [AdviceKind::RepeatedReads]);
}
