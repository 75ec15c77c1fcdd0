//! The call log: every attempt is one whole line, and nothing secret is in it.

use serde_json::Value;
use upstream::*;

use crate::server::*;

async fn logged(script: Vec<Reply>, calls: Vec<Call>) -> (Vec<Value>, String) {
    let folder = tempfile::tempdir().unwrap();
    let log = CallLog::open(folder.path(), jiff::Timestamp::now()).unwrap();
    let rig = rig_with(script, CONNECTOR, 1, |_| {}, Some(log)).await;
    for call in calls {
        let _ = rig.client.call(call).await;
    }
    let text = std::fs::read_to_string(folder.path().join(LATEST)).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.len(),
        rig.server.seen().len(),
        "one line per request that the server saw"
    );
    (lines, rig.server.url())
}

#[tokio::test]
async fn every_attempt_is_a_line_with_the_named_fields() {
    let mut call = Call::get("thing", Class::Due);
    call.query = vec![("Page".to_owned(), "1".to_owned())];
    call.resource = Some("sale".to_owned());
    let script = vec![Reply::Reset, Reply::status(500, ""), Reply::ok("{\"a\":1}")];
    let (lines, url) = logged(script, vec![call]).await;
    for (line, (status, error, attempt, wait)) in lines.iter().zip([
        (
            Value::Null,
            Value::from("ECONNRESET connection reset"),
            1,
            0,
        ),
        (
            500.into(),
            "HTTP_500 Request failed with status code 500".into(),
            2,
            1_000,
        ),
        (200.into(), Value::Null, 3, 2_000),
    ]) {
        assert_eq!(line["status"], status);
        assert_eq!(line["error"], error);
        assert_eq!(line["attempt"], attempt);
        assert_eq!(line["waitMs"], wait);
        assert_eq!(line["method"], "GET");
        assert_eq!(line["url"], "/thing?Page=1");
        assert_eq!(line["baseURL"], url);
        assert_eq!(line["timeout"], 5_000);
        assert_eq!(line["instance"], "test");
        assert_eq!(line["connection"], "a");
        assert_eq!(line["resource"], "sale");
        assert_eq!(line["label"], "GET thing");
        assert_eq!(line["class"], "due");
        assert!(line["durationMs"].is_u64());
        let ended: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(ended).as_secs() < 60);
    }
    assert_eq!(lines[2]["bytes"], 7);
}

#[tokio::test]
async fn secrets_are_masked() {
    let mut call = Call::get("thing", Class::Read);
    call.query = vec![
        ("api_key".to_owned(), "whatever".to_owned()),
        ("plain".to_owned(), "key-of-a".to_owned()),
        ("Page".to_owned(), "1".to_owned()),
    ];
    let (lines, _) = logged(vec![Reply::ok("{}")], vec![call]).await;
    assert_eq!(lines[0]["url"], "/thing?api_key=***&plain=***&Page=1");
    assert!(!lines[0].to_string().contains("key-of-a"));
}

#[tokio::test]
async fn a_cancelled_call_is_logged_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = CallLog::open(folder.path(), jiff::Timestamp::now()).unwrap();
    let rig = rig_with(vec![Reply::Silence], CONNECTOR, 1, |_| {}, Some(log)).await;
    let sent = async {
        while rig.server.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = read(&rig) => panic!("{answer:?}"),
        () = sent => {}
    }
    let text = std::fs::read_to_string(folder.path().join(LATEST)).unwrap();
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["error"], "ERR_CANCELED canceled");
    assert_eq!(line["status"], Value::Null);
}
