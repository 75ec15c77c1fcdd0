//! The call log: every attempt is one whole line, and nothing secret is in it.

use std::io::Write as _;
use std::process::{Command, Stdio};

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
async fn b102_b105_b111_to_b118_every_attempt_is_a_line_with_the_named_fields() {
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
async fn b113_secrets_are_masked() {
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

/// Logs calls until it is killed; started by the test below, in a process of its own, which says on standard input
/// where to.
#[tokio::test]
#[ignore = "runs only as the process that is killed"]
async fn logs_until_killed() {
    let mut folder = String::new();
    std::io::stdin().read_line(&mut folder).unwrap();
    let log = CallLog::open(folder.trim().as_ref(), jiff::Timestamp::now()).unwrap();
    let rig = rig_with(vec![Reply::ok("{}")], CONNECTOR, 1, |_| {}, Some(log)).await;
    for _ in 0..1_000_000 {
        let (a, b, c) = (read(&rig), read(&rig), read(&rig));
        let _ = tokio::join!(a, b, c);
    }
}

#[test]
fn b105_b107_killed_at_any_moment_every_line_is_whole_and_the_next_start_has_its_own_file() {
    const POLL: std::time::Duration = std::time::Duration::from_millis(5);
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["log::logs_until_killed", "--exact", "--ignored"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", folder.path().display()).unwrap();
        let newest = || call_logs(folder.path()).unwrap().pop();
        let begun = std::time::Instant::now();
        let written = || {
            let log = newest().filter(|_| call_logs(folder.path()).unwrap().len() as u64 == round);
            log.map_or(0, |log| std::fs::metadata(log).unwrap().len())
        };
        while written() < 20_000 * round {
            assert!(begun.elapsed().as_secs() < 120, "the process logs nothing");
            std::thread::sleep(POLL);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let text = std::fs::read_to_string(newest().unwrap()).unwrap();
        assert!(text.ends_with('\n'), "the last line is torn");
        for line in text.lines() {
            let call: Value = serde_json::from_str(line).unwrap();
            assert_eq!(call["status"], 200);
        }
    }
    // What was killed holds nothing: all logs can be cleared.
    assert_eq!(clear_call_logs(folder.path()).unwrap().removed.len(), 3);
}

/// Lines of one endpoint carry one label, whatever id they are about; a caller may name it otherwise.
#[tokio::test]
async fn b102_without_a_label_a_line_carries_the_method_and_the_route_template() {
    let folder = tempfile::tempdir().unwrap();
    let log = CallLog::open(folder.path(), jiff::Timestamp::now()).unwrap();
    let answer = Reply::ok("{\"id\":41,\"ID\":41}");
    let script = vec![answer.clone(), answer.clone(), answer];
    let rig = rig_with(script, CONNECTOR, 1, |_| {}, Some(log)).await;
    for name in ["ticket", "sale"] {
        let resource = rig.client.connector().resource(name).unwrap().clone();
        let found = rig.client.get_record(&resource, "41", Class::Read).await;
        assert!(matches!(found, Ok(Fetched::Found(..))), "{found:?}");
    }
    let mut named = Call::get("service/tickets/41", Class::Read);
    named.label = Some("tickets of the day".to_owned());
    rig.client.call(named).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join(LATEST)).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["url"].as_str().unwrap(),
                line["label"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("/service/tickets/41", "GET service/tickets/{id}"),
        ("/sale?ID=41", "GET sale"),
        ("/service/tickets/41", "tickets of the day"),
    ];
    assert_eq!(told, expected);
}
