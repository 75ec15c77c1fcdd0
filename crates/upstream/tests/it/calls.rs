//! Retry, throttling, refusal, and what is handed up at once.

use std::time::{Duration, Instant};

use upstream::*;

use crate::server::*;

fn codes(error: &CallError) -> Vec<&str> {
    match error {
        CallError::GaveUp { causes, .. } => {
            causes.iter().map(|cause| cause.code.as_str()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn b92_b101_two_faults_then_success_are_one_answer_out_of_three_attempts_after_1_and_2_seconds()
 {
    let rig = rig(vec![
        Reply::Reset,
        Reply::status(502, ""),
        Reply::ok("{\"a\":1}"),
    ])
    .await;
    let answer = read(&rig).await.unwrap();
    assert_eq!(answer.body, "{\"a\":1}");
    assert_eq!(answer.meta.attempt, 3);
    assert_eq!(rig.server.seen().len(), 3);
    assert_eq!(seconds(&rig.clock.sleeps()), [1.0, 2.0]);
}

#[tokio::test]
async fn b94_b100_an_endless_fault_ends_after_three_calls_with_all_three_causes() {
    let rig = rig(vec![Reply::status(500, ""), Reply::Hangup, Reply::Reset]).await;
    let error = read(&rig).await.unwrap_err();
    assert_eq!(codes(&error), ["HTTP_500", "ECONNRESET", "ECONNRESET"]);
    assert!(error.is_transient());
    assert_eq!(rig.server.seen().len(), 3);
    let text = error.to_string();
    assert!(
        text.contains("failed 3 times") && text.contains("HTTP_500"),
        "{text}"
    );
}

#[tokio::test]
async fn b99_every_server_error_is_retried() {
    for status in [500, 502, 503, 504] {
        let rig = rig(vec![Reply::status(status, "oops"), Reply::ok("{}")]).await;
        read(&rig).await.unwrap();
        assert_eq!(rig.server.seen().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn b104_client_errors_are_handed_up_after_one_call() {
    for status in [400, 401, 403, 404, 405, 409, 422] {
        let rig = rig(vec![Reply::status(
            status,
            "[{\"ErrorCode\":7,\"Exception\":\"No.\"}]",
        )])
        .await;
        let error = read(&rig).await.unwrap_err();
        match (status, &error) {
            (401 | 403, CallError::Refused { status: seen, .. }) => assert_eq!(*seen, status),
            (404, CallError::Missing { .. }) => {}
            (
                _,
                CallError::Rejected {
                    status: seen,
                    code,
                    message,
                    ..
                },
            ) => {
                assert_eq!(
                    (*seen, code.as_deref(), message.as_str()),
                    (status, Some("7"), "No.")
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(!error.is_transient());
        assert_eq!(rig.server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn b103_a_call_may_override_its_label_attempts_and_waits() {
    let rig = rig(vec![Reply::Reset]).await;
    let mut call = Call::get("thing", Class::Read);
    call.attempts = Some(3);
    call.backoff_first = Some(Duration::from_millis(1_500));
    call.label = Some("my label".to_owned());
    let error = rig.client.call(call).await.unwrap_err();
    assert_eq!(seconds(&rig.clock.sleeps()), [1.5, 3.0]);
    assert!(error.to_string().contains("`my label`"));
}

#[tokio::test]
async fn b101_with_jitter_waits_stay_within_a_fifth() {
    for _ in 0..20 {
        let rig = rig_with(
            vec![Reply::Reset],
            CONNECTOR,
            1,
            |settings| settings.jitter = true,
            None,
        )
        .await;
        read(&rig).await.unwrap_err();
        let waits = seconds(&rig.clock.sleeps());
        assert!(
            (0.8..=1.2).contains(&waits[0]) && (1.6..=2.4).contains(&waits[1]),
            "{waits:?}"
        );
    }
}

#[tokio::test]
async fn b93_a_silent_server_is_left_when_the_time_is_up() {
    let limit = Duration::from_millis(400);
    let rig = rig_with(
        vec![Reply::Silence],
        CONNECTOR,
        1,
        |settings| settings.timeout = Some(limit),
        None,
    )
    .await;
    let mut call = Call::get("thing", Class::Read);
    call.attempts = Some(1);
    let started = Instant::now();
    let error = rig.client.call(call).await.unwrap_err();
    let took = started.elapsed();
    assert!(
        took >= limit && took < limit + Duration::from_millis(100),
        "{took:?}"
    );
    assert_eq!(codes(&error), ["ECONNABORTED"]);
}

#[tokio::test]
async fn b96_b97_a_closed_port_and_a_name_that_does_not_exist_have_their_names() {
    let no_tls = answer_without_tls().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (url, code) in [
        (format!("http://{closed}/"), "ECONNREFUSED"),
        ("http://does-not-exist.invalid/".to_owned(), "ERR_NETWORK"),
        // Plain HTTP answered to a TLS greeting.
        (format!("https://{no_tls}/"), "ERR_NETWORK"),
    ] {
        let broken = rig_with(
            vec![Reply::ok("{}")],
            CONNECTOR,
            1,
            |settings| settings.base_url = Some(url.clone()),
            None,
        )
        .await;
        let error = read(&broken).await.unwrap_err();
        assert_eq!(codes(&error), [code; 3], "{url}");
    }
}

#[tokio::test]
async fn throttling_is_no_attempt_and_waits_as_long_as_upstream_says() {
    let sentence = "You have reached 60 calls per 60 seconds API limit.";
    let rig = rig(vec![
        Reply::status(429, sentence).with("retry-after", "60 Seconds"),
        Reply::status(503, sentence),
        Reply::status(
            400,
            &format!("[{{\"ErrorCode\":400,\"Exception\":\"{sentence}\"}}]"),
        ),
        Reply::ok("{}"),
    ])
    .await;
    let answer = read(&rig).await.unwrap();
    assert_eq!(answer.meta.attempt, 1);
    assert_eq!(answer.meta.waited, Duration::from_secs(60 + 30 + 30));
}

#[tokio::test]
async fn endless_throttling_ends_when_the_wait_is_used_up() {
    let reply = Reply::status(429, "").with("retry-after", "60");
    let rig = rig_with(
        vec![reply],
        CONNECTOR,
        1,
        |settings| settings.wait_max = Duration::from_secs(150),
        None,
    )
    .await;
    let error = read(&rig).await.unwrap_err();
    assert!(
        matches!(error, CallError::Throttled { waited, .. } if waited == Duration::from_secs(120)),
        "{error:?}"
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(rig.server.seen().len(), 3);
}

#[tokio::test]
async fn a_throttled_connection_leaves_the_work_to_the_others() {
    let rig = rig_with(
        vec![
            Reply::status(429, "").with("retry-after", "60"),
            Reply::ok("{}"),
        ],
        CONNECTOR,
        2,
        |_| {},
        None,
    )
    .await;
    let answer = read(&rig).await.unwrap();
    assert_eq!(answer.meta.waited, Duration::ZERO);
    let keys: Vec<_> = rig
        .server
        .seen()
        .iter()
        .map(|seen| seen.header("x-key").unwrap().to_owned())
        .collect();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_refused_connection_is_set_aside_and_another_takes_over() {
    let rig = rig_with(
        vec![
            Reply::status(403, "Incorrect credentials!"),
            Reply::ok("{}"),
        ],
        CONNECTOR,
        2,
        |_| {},
        None,
    )
    .await;
    let answer = read(&rig).await.unwrap();
    let aside = rig.gate.set_aside();
    assert_eq!(aside.len(), 1);
    assert_ne!(aside[0], answer.meta.connection);
    read(&rig).await.unwrap();
    assert_eq!(
        rig.server.seen().len(),
        3,
        "the refused one is not asked again"
    );
}

#[tokio::test]
async fn when_all_connections_are_refused_the_error_names_them() {
    let rig = rig_with(vec![Reply::status(401, "")], CONNECTOR, 2, |_| {}, None).await;
    let error = read(&rig).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Refused { status: 401, connections, .. } if connections.len() == 4),
        "{error:?}"
    );
    assert_eq!(rig.server.seen().len(), 2);
    let error = read(&rig).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NoPermit {
                source: GateError::AllSetAside { .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn html_and_torn_answers_are_asked_for_again() {
    let html = Reply::Http(
        200,
        vec![("content-type", "text/html".to_owned())],
        "<html>Page not found</html>".to_owned(),
    );
    let rig = rig(vec![
        html.clone(),
        Reply::ok("{\"a\":"),
        Reply::ok("{\"a\":1}"),
    ])
    .await;
    assert_eq!(read(&rig).await.unwrap().body, "{\"a\":1}");
    let rig = rig_with(
        vec![
            html,
            Reply::ok("{\"a\":"),
            Reply::Torn("{\"a\":".to_owned()),
        ],
        CONNECTOR,
        1,
        |_| {},
        None,
    )
    .await;
    assert_eq!(
        codes(&read(&rig).await.unwrap_err()),
        ["NOT_JSON", "TORN_JSON", "ECONNRESET"]
    );
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_a_rejection() {
    let rig = rig(vec![Reply::ok(
        "{\"ErrorCode\":400,\"Exception\":\"Something is wrong\"}",
    )])
    .await;
    let error = read(&rig).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Rejected { status: 200, code: Some(code), .. } if code == "400"),
        "{error:?}"
    );
    assert_eq!(rig.server.seen().len(), 1);
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let rig = rig(vec![
        Reply::status(302, "").with("location", "/elsewhere?x=1"),
        Reply::ok("{}"),
    ])
    .await;
    read(&rig).await.unwrap();
    assert_eq!(rig.server.lines()[1], "GET /elsewhere?x=1 HTTP/1.1");
    let rig = rig_with(
        vec![Reply::status(302, "").with("location", "http://127.0.0.1:1/steal")],
        CONNECTOR,
        1,
        |_| {},
        None,
    )
    .await;
    let error = read(&rig).await.unwrap_err();
    assert!(
        matches!(error, CallError::Rejected { status: 302, .. }),
        "{error:?}"
    );
    let rig = rig_with(
        vec![Reply::status(302, "").with("location", "/loop")],
        CONNECTOR,
        1,
        |_| {},
        None,
    )
    .await;
    read(&rig).await.unwrap_err();
    assert_eq!(rig.server.seen().len(), 4);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    for reply in [Reply::ok(&body), Reply::Torn(body.clone())] {
        let rig = rig_with(
            vec![reply],
            CONNECTOR,
            1,
            |settings| settings.body_max = 1_000,
            None,
        )
        .await;
        let error = read(&rig).await.unwrap_err();
        assert!(
            matches!(error, CallError::TooLarge { limit: 1_000, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_answer_carries_times_and_the_servers_own_clock() {
    let rig = rig(vec![
        Reply::ok("{}").with("date", "Sat, 21 Nov 2026 10:00:07 GMT"),
    ])
    .await;
    let meta = read(&rig).await.unwrap().meta;
    assert_eq!(
        meta.server_date,
        Some("2026-11-21T10:00:07Z".parse().unwrap())
    );
    assert!(meta.asked_at <= meta.answered_at);
    let rig = rig_with(vec![Reply::ok("{}")], CONNECTOR, 1, |_| {}, None).await;
    assert_eq!(read(&rig).await.unwrap().meta.server_date, None);
}

#[tokio::test]
async fn connections_are_replaced_while_running() {
    let rig = rig(vec![Reply::ok("{}")]).await;
    read(&rig).await.unwrap();
    let secrets = [("key".to_owned(), Secret::new("another"))].into();
    rig.client
        .set_connections(&[Connection {
            name: "a".to_owned(),
            secrets,
        }])
        .unwrap();
    read(&rig).await.unwrap();
    let keys: Vec<_> = rig
        .server
        .seen()
        .iter()
        .map(|seen| seen.header("x-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["key-of-a", "another"]);
    let error = rig
        .client
        .set_connections(&[Connection {
            name: "a".to_owned(),
            secrets: [].into(),
        }])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "connection `a` of `test` has no secret `key`"
    );
    read(&rig).await.unwrap();
}

#[tokio::test]
async fn a_dropped_call_gives_its_permit_back() {
    let rig = rig_with(
        vec![Reply::Silence],
        &CONNECTOR.replace(
            "calls_per_minute = 60",
            "calls_per_minute = 60\nconcurrency = 1",
        ),
        1,
        |_| {},
        None,
    )
    .await;
    for _ in 0..3 {
        let call = read(&rig);
        let sent = async {
            let before = rig.server.seen().len();
            while rig.server.seen().len() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = call => panic!("{answer:?}"),
            () = sent => {}
        }
    }
    assert_eq!(
        rig.server.seen().len(),
        3,
        "with one call at a time, each had the permit of the one before"
    );
}

/// A server that answers plain HTTP to whatever it is told.
async fn answer_without_tls() -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    address
}

#[tokio::test]
#[ignore = "takes half a minute: the default time of one call"]
async fn b138_by_default_a_silent_server_is_left_after_30_seconds() {
    let rig = rig_with(
        vec![Reply::Silence],
        CONNECTOR,
        1,
        |settings| settings.timeout = None,
        None,
    )
    .await;
    let mut call = Call::get("thing", Class::Read);
    call.attempts = Some(1);
    let started = Instant::now();
    let error = rig.client.call(call).await.unwrap_err();
    let took = started.elapsed().as_secs_f64();
    assert!((29.9..30.1).contains(&took), "{took}");
    assert_eq!(codes(&error), ["ECONNABORTED"]);
}

#[tokio::test]
async fn a_client_may_be_told_to_wait_less() {
    let rig = rig(vec![
        Reply::status(429, "").with("retry-after", "60"),
        Reply::ok("{}"),
    ])
    .await;
    let hasty = rig.client.waiting_at_most(Duration::from_secs(5));
    let error = hasty
        .call(Call::get("thing", Class::Read))
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::Throttled { waited, .. } if waited.is_zero()),
        "{error:?}"
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(rig.server.seen().len(), 1);
}

#[tokio::test]
async fn a_byte_order_mark_before_the_json_does_no_harm() {
    let rig = rig(vec![Reply::ok("\u{feff}{\"a\":1}")]).await;
    assert_eq!(read(&rig).await.unwrap().body, "{\"a\":1}");
}
