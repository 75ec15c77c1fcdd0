//! Logs that are torn, binary, foreign, empty, or very wide.

use calls::{ReportError, to_html, to_text};
use serde_json::json;

use crate::kit::*;

#[test]
fn torn_binary_foreign_and_empty_lines_are_skipped_and_told() {
    let good = text(&[call(1_000, 10)]);
    let mut log = b"\xEF\xBB\xBF".to_vec();
    log.extend_from_slice(good.as_bytes());
    log.extend_from_slice(b"\n  \r\n");
    log.extend_from_slice(b"{\"level\":\"info\",\"message\":\"hello\"}\n[1,2]\nplain words\n");
    log.extend_from_slice(&[0, 159, 146, 150, b'{', 0xFF, b'\n']);
    log.extend_from_slice(&vec![b'x'; 3 << 20]);
    log.push(b'\n');
    log.extend_from_slice(good.replace('\n', "\r\n").as_bytes());
    log.extend_from_slice(&good.as_bytes()[..good.len() / 2]);
    let report = report_on(&log).unwrap();
    assert_eq!(report.overview.calls, 2);
    let skipped = &report.skipped;
    assert_eq!(
        (
            skipped.empty,
            skipped.foreign,
            skipped.not_json,
            skipped.too_long,
            skipped.torn
        ),
        (2, 1, 3, 1, 1)
    );
    assert_eq!(skipped.first_at, Some(3 + good.len() as u64 + 5));
    let told = to_text(&report, 100);
    assert!(
        told.contains("note: lines were skipped: 1 torn at the end, 3 no JSON, 1 JSON but no call"),
        "{told}"
    );
}

#[test]
fn a_log_without_calls_is_an_error_that_says_why() {
    assert!(matches!(report_on(""), Err(ReportError::Empty)));
    let error = report_on("hello\n{}\n").unwrap_err();
    assert!(matches!(&error, ReportError::NoCalls(skipped) if skipped.lines() == 2));
    assert_eq!(
        error.to_string(),
        "no line of the log is a call (1 no JSON, 1 JSON but no call; the first at byte 0)"
    );
}

#[test]
fn b125_all_calls_are_the_slowest_when_there_are_fewer_than_twenty() {
    let calls: Vec<_> = (0..7).map(|n| call(1_000 * n, 5)).collect();
    let slowest = report_on(text(&calls)).unwrap().slowest;
    assert_eq!(slowest.len(), 7);
    assert!(
        slowest
            .windows(2)
            .all(|pair| pair[0].timestamp < pair[1].timestamp)
    );
}

#[test]
fn far_more_endpoints_than_are_kept_share_a_row_and_totals_hold() {
    let calls: Vec<_> = (0..2_000u32)
        .map(|n| {
            let name: String = n
                .to_string()
                .bytes()
                .map(|digit| char::from(digit - b'0' + b'a'))
                .collect();
            with(call(i64::from(n), 3), json!({"url": format!("/{name}")}))
        })
        .collect();
    let report = report_on(text(&calls)).unwrap();
    assert_eq!(report.endpoints.len(), 501);
    assert_eq!(
        report.endpoints.iter().map(|one| one.calls).sum::<u64>(),
        2_000
    );
    assert_eq!(report.endpoints[0].endpoint, "(other endpoints)");
}

#[test]
fn what_a_log_says_stays_text_in_the_page_and_on_the_terminal() {
    let bad = json!({
        "url": "/<script>alert(1)</script>\u{1b}[2J?a=\"'&", "instance": "<u>\u{7}", "error": "ECONNRESET <img src=x>",
        "status": null, "method": "G\"ET",
    });
    let report = report_on(text(&[with(call(1, 5), bad)])).unwrap();
    let page = to_html(&report, "<title>&");
    for bad in ["<script>a", "<u>", "<img", "<title>&<"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let told = to_text(&report, 100);
    assert!(!told.contains('\u{1b}') && !told.contains('\u{7}'));
}

#[test]
fn no_line_of_the_text_is_wider_than_the_terminal() {
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let url = format!(
                "/a/very/long/path/that/goes/on/and/on/and/never/seems/to/reach/its/end/{n}/x?{}",
                "q".repeat(200)
            );
            with(
                call(n * 700, (n * n) as u64),
                json!({"url": url, "status": 200 + n % 5 * 100, "instance": "i".repeat(100)}),
            )
        })
        .collect();
    let report = report_on(text(&calls)).unwrap();
    for width in [76, 80, 100, 160] {
        let told = to_text(&report, width);
        for line in told.lines().filter(|line| !line.starts_with("note:")) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}
