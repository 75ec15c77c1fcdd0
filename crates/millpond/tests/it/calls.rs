//! `millpond calls`, as a process of its own.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const OLD: &str = "2026-03-01T14-30-05.123Z.jsonl";
const NEW: &str = "2026-03-02T14-30-05.123Z.jsonl";

/// Runs `millpond` in `folder` with `input` on standard input.
fn millpond(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .args(args)
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output
        .status
        .code()
        .expect("the program must end by itself")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A log of so many calls, a second apart.
fn log(calls: u32) -> String {
    (0..calls)
        .map(|n| {
            format!(
                r#"{{"timestamp":"2026-03-02T14:31:{:02}.501Z","method":"GET","url":"/sale/{n}","baseURL":"https://x","status":200,"durationMs":231,"error":null,"timeout":30000}}"#,
                n % 60
            ) + "\n"
        })
        .collect()
}

fn folder_with(logs: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("call-logs")).unwrap();
    for (name, text) in logs {
        fs::write(folder.path().join("call-logs").join(name), text).unwrap();
    }
    folder
}

/// No environment at all, so no `PATH` either: nothing but the program itself can have made the report.
#[test]
fn b148_the_report_needs_no_other_program() {
    let folder = folder_with(&[(NEW, &log(50))]);
    for args in [
        &["calls", "report"][..],
        &["calls", "report", "--json"],
        &["calls", "report", "--html", "report.html"],
    ] {
        let output = millpond(folder.path(), args, b"");
        assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
    }
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("<svg"), "no plot");
    for foreign in ["src=\"http", "href=\"http", "@import", "<link"] {
        assert!(!page.contains(foreign), "the page needs {foreign}");
    }
}

#[test]
fn b119_b120_the_newest_log_a_named_one_or_standard_input_is_reported() {
    let folder = folder_with(&[(OLD, &log(3)), (NEW, &log(5)), ("zzz.jsonl", &log(9))]);
    let calls = |args: &[&str], input: &[u8]| {
        let output = millpond(folder.path(), args, input);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let report: Value = serde_json::from_str(&told(&output)).unwrap();
        report["overview"]["calls"].as_u64().unwrap()
    };
    assert_eq!(calls(&["calls", "report", "--json"], b""), 5);
    assert_eq!(
        calls(
            &["calls", "report", "--json", &format!("call-logs/{OLD}")],
            b""
        ),
        3
    );
    let torn = log(7) + "{\"timestamp\":\"2026-";
    assert_eq!(
        calls(&["calls", "report", "--json", "-"], torn.as_bytes()),
        7
    );
}

#[test]
fn the_report_is_text_for_people_and_a_page_of_its_own() {
    let folder = folder_with(&[(NEW, &log(50))]);
    let text = told(&millpond(folder.path(), &["calls", "report"], b""));
    for part in [
        "OVERVIEW",
        "50 calls, 0 failed",
        "GET /sale/{id}",
        "SLOWEST CALLS",
        "█",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let output = millpond(
        folder.path(),
        &["calls", "report", "--html", "out.html"],
        b"",
    );
    assert_eq!(code(&output), 0, "{}", said(&output));
    let page = fs::read_to_string(folder.path().join("out.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    for outside in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
}

#[test]
fn without_a_log_the_error_says_how_to_get_one() {
    let nothing = tempfile::tempdir().unwrap();
    let output = millpond(nothing.path(), &["calls", "report"], b"");
    assert_eq!(code(&output), 4);
    assert!(
        said(&output).contains("there is no folder")
            && said(&output).contains("MILLPOND_CALL_LOG=1")
    );
    let folder = folder_with(&[("notes.txt", "x")]);
    let output = millpond(folder.path(), &["calls", "report"], b"");
    assert_eq!(code(&output), 4);
    assert!(
        said(&output).contains("there is no call log in"),
        "{}",
        said(&output)
    );
    let output = millpond(folder.path(), &["calls", "report", "-"], b"");
    assert_eq!(code(&output), 4);
    assert!(
        said(&output).contains("the log is empty"),
        "{}",
        said(&output)
    );
    let output = millpond(folder.path(), &["calls", "report", "call-logs"], b"");
    assert_eq!(code(&output), 2);
    let output = millpond(folder.path(), &["calls", "report", "nowhere.jsonl"], b"");
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("nowhere.jsonl"), "{}", said(&output));
}

#[test]
fn b130_clearing_asks_first_and_removes_logs_only() {
    let folder = folder_with(&[(OLD, &log(3)), (NEW, &log(5)), ("mine.jsonl", "x")]);
    let output = millpond(folder.path(), &["calls", "clear"], b"y\n");
    assert_eq!(code(&output), 2, "nobody at a terminal has agreed");
    assert!(folder.path().join("call-logs").join(OLD).exists());
    let output = millpond(folder.path(), &["--json", "calls", "clear", "--yes"], b"");
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert_eq!(told(&output).trim(), r#"{"open":[],"removed":2}"#);
    let left: Vec<_> = fs::read_dir(folder.path().join("call-logs"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn the_tail_shows_the_last_calls_and_path_says_where_they_are() {
    let folder = folder_with(&[(OLD, &log(3)), (NEW, &(log(5) + "{\"torn"))]);
    let text = told(&millpond(folder.path(), &["calls", "tail", "-n", "2"], b""));
    assert_eq!(text.lines().count(), 2);
    assert!(
        text.contains("/sale/4") && text.contains("231 ms"),
        "{text}"
    );
    let path: Value = serde_json::from_str(&told(&millpond(
        folder.path(),
        &["--json", "calls", "path"],
        b"",
    )))
    .unwrap();
    assert_eq!(path["logs"], 2);
    assert!(path["newest"].as_str().unwrap().ends_with(NEW));
}
