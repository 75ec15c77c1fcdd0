use super::*;
use crate::connector::{Connector, ErrorRules};

fn rules() -> ErrorRules {
    let text = r#"
        name = "x"
        base_url = "https://x"
        [auth]
        kind = "bearer"
        token = "{t}"
        [limits]
        calls_per_minute = 60
        [errors]
        throttled = { statuses = [429], with_retry_after = [503], texts = ["calls per 60 seconds api limit"], wait = "30s" }
        refused = [401, 403]
        missing = { statuses = [404], codes = ["404"], texts = ["not found"], unless = ["endpoint does not exist"] }
        body = { code = "ErrorCode", message = "Exception", in_200 = true }
        [[resource]]
        name = "r"
        list = "r"
        key = "id"
    "#;
    Connector::parse("x.toml", text).unwrap().errors
}

fn judge_text(status: u16, headers: &[(&'static str, &str)], body: &str) -> Verdict {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    judge(
        &rules(),
        StatusCode::from_u16(status).unwrap(),
        &map,
        body.as_bytes(),
        now,
    )
}

fn throttled(seconds: u64) -> Verdict {
    Verdict::Throttled(Duration::from_secs(seconds))
}

#[test]
fn throttling_is_seen_in_every_form_of_the_references() {
    let sentence = "You have reached 60 calls per 60 seconds API limit.";
    assert_eq!(
        judge_text(429, &[("retry-after", "60 Seconds")], sentence),
        throttled(60)
    );
    assert_eq!(judge_text(503, &[], sentence), throttled(30));
    assert_eq!(
        judge_text(503, &[("retry-after", "7")], "<html>"),
        throttled(7)
    );
    assert_eq!(judge_text(200, &[], sentence), throttled(30));
    let array = format!(r#"[{{"ErrorCode":400,"Exception":"{sentence}"}}]"#);
    assert_eq!(judge_text(400, &[], &array), throttled(30));
    let json = r#"{"error":"x","message":"Too many requests. Please try again in 12 seconds."}"#;
    assert_eq!(judge_text(429, &[], json), throttled(12));
    assert_eq!(
        judge_text(429, &[("retry-after", "0")], ""),
        Verdict::Throttled(THROTTLED_MIN)
    );
    assert!(matches!(
        judge_text(503, &[], "down"),
        Verdict::Transient { .. }
    ));
}

#[test]
fn a_missing_record_is_told_from_a_wrong_path() {
    assert_eq!(judge_text(404, &[], ""), Verdict::Missing);
    assert_eq!(
        judge_text(
            400,
            &[],
            r#"[{"ErrorCode":400,"Exception":"Purchase not found"}]"#
        ),
        Verdict::Missing
    );
    assert_eq!(
        judge_text(400, &[], r#"[{"ErrorCode":404,"Exception":"gone"}]"#),
        Verdict::Missing
    );
    let html = judge_text(
        404,
        &[("content-type", "text/html")],
        "<html>not found</html>",
    );
    assert!(matches!(html, Verdict::Rejected { .. }), "{html:?}");
    let path = judge_text(404, &[], r#"{"message":"The endpoint does not exist."}"#);
    assert!(matches!(path, Verdict::Rejected { .. }), "{path:?}");
}

#[test]
fn refusals_rejections_and_faults_are_told_apart() {
    assert_eq!(
        judge_text(403, &[], "Incorrect credentials!"),
        Verdict::Refused
    );
    let expected = |code: Option<&str>, message: &str| Verdict::Rejected {
        code: code.map(str::to_owned),
        message: message.to_owned(),
    };
    assert_eq!(
        judge_text(400, &[], r#"[{"ErrorCode":9,"Exception":"Bad"}]"#),
        expected(Some("9"), "Bad")
    );
    assert_eq!(
        judge_text(422, &[], r#"["just a text"]"#),
        expected(None, "just a text")
    );
    assert_eq!(judge_text(409, &[], ""), expected(None, "Conflict"));
    assert!(matches!(
        judge_text(500, &[], ""),
        Verdict::Transient { .. }
    ));
    let html = judge_text(
        200,
        &[("content-type", "text/html; charset=utf-8")],
        "<!DOCTYPE html>",
    );
    assert!(
        matches!(html, Verdict::Transient { ref code, .. } if code == "NOT_JSON"),
        "{html:?}"
    );
    assert_eq!(
        judge_text(200, &[("content-type", "text/html")], r#"{"a":1}"#),
        Verdict::Good
    );
    assert_eq!(
        judge_text(302, &[("location", "/x")], ""),
        Verdict::Redirect("/x".to_owned())
    );
}
