//! One attempt at an address that somebody else named.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use upstream::{Courier, Handed};

use crate::server::{Reply, Server};

const TIMEOUT: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

async fn hand(courier: &Courier, url: &str) -> Handed {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
    courier
        .hand_over(url, headers, r#"{"a":1}"#.into(), now())
        .await
}

async fn handed(script: Vec<Reply>) -> (Handed, Server) {
    let server = Server::start(script).await;
    let courier = Courier::new(true, TIMEOUT).unwrap();
    let came = hand(&courier, &server.url()).await;
    (came, server)
}

#[tokio::test]
async fn what_is_taken_arrived_once_with_its_headers() {
    let (came, server) = handed(vec![Reply::status(204, "")]).await;
    assert_eq!(came, Handed::Over { status: 204 });
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /api HTTP/1.1");
    assert_eq!(seen[0].header("webhook-id"), Some("msg_1"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].body, r#"{"a":1}"#);
}

#[tokio::test]
async fn the_address_is_called_as_it_stands() {
    let server = Server::start(vec![Reply::ok("{}")]).await;
    let courier = Courier::new(true, TIMEOUT).unwrap();
    let url = format!("http://{}/a/?code=x%20y", server.address);
    assert_eq!(hand(&courier, &url).await, Handed::Over { status: 200 });
    assert_eq!(server.lines(), ["POST /a/?code=x%20y HTTP/1.1"]);
}

#[tokio::test]
async fn a_refusal_says_what_and_how_long_to_wait() {
    let said = format!("no\u{0}\n{}", "x".repeat(10_000));
    let script = vec![Reply::status(503, &said).with("retry-after", "120")];
    let (came, server) = handed(script).await;
    let Handed::Refused {
        status,
        retry_after,
        message,
    } = came
    else {
        panic!("{came:?}");
    };
    assert_eq!((status, retry_after), (503, Some(Duration::from_secs(120))));
    assert!(
        message.starts_with("no  xxx") && message.len() == 300,
        "{message}"
    );
    assert_eq!(server.seen().len(), 1, "nothing is tried again here");
}

#[tokio::test]
async fn a_redirect_is_a_refusal() {
    let elsewhere = Server::start(vec![Reply::ok("{}")]).await;
    let script = vec![Reply::status(307, "").with("location", &elsewhere.url())];
    let (came, _server) = handed(script).await;
    assert!(
        matches!(came, Handed::Refused { status: 307, .. }),
        "{came:?}"
    );
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let server = Server::start(vec![Reply::Silence]).await;
    let courier = Courier::new(true, Duration::from_millis(200)).unwrap();
    let began = Instant::now();
    let came = hand(&courier, &server.url()).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(
        matches!(&came, Handed::Away { cause } if cause.message.contains("200 ms")),
        "{came:?}"
    );
}

#[tokio::test]
async fn an_answer_that_never_ends_is_taken_for_what_its_head_says() {
    // It announces more than it sends; how long it is asked for is bounded, and so is what is kept of it.
    for body in [String::new(), "x".repeat(1 << 20)] {
        let (came, _server) = handed(vec![Reply::Torn(body)]).await;
        assert_eq!(came, Handed::Over { status: 200 });
    }
}

#[tokio::test]
async fn a_reset_is_told_as_one() {
    let (came, _server) = handed(vec![Reply::Reset]).await;
    assert!(
        matches!(&came, Handed::Away { cause } if cause.code == "ECONNRESET"),
        "{came:?}"
    );
}

#[tokio::test]
async fn addresses_inside_are_called_with_leave_only() {
    let server = Server::start(vec![Reply::ok("{}")]).await;
    let courier = Courier::new(false, TIMEOUT).unwrap();
    let port = server.address.port();
    for url in [
        server.url(),
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://user:hunter2@example.com/".to_owned(),
        "ftp://example.com/".to_owned(),
        "nonsense".to_owned(),
    ] {
        assert!(courier.check(&url).is_err(), "{url}");
        let came = hand(&courier, &url).await;
        let Handed::Impossible { reason } = &came else {
            panic!("{url}: {came:?}");
        };
        assert!(!reason.contains("hunter2"), "{reason}");
    }
    assert!(server.seen().is_empty());
    assert_eq!(courier.check("https://example.com/hook/?code=1"), Ok(()));
}
