use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn quiet(hours: &str, now: &str) -> Option<String> {
    hours
        .parse::<QuietHours>()
        .unwrap()
        .end_after(at(now))
        .map(|end| end.to_string())
}

#[test]
fn quiet_hours_end_on_the_same_day_or_the_next() {
    assert_eq!(
        quiet("08:00-12:30", "2026-03-01T12:29:59Z").as_deref(),
        Some("2026-03-01T12:30:00Z")
    );
    assert_eq!(quiet("08:00-12:30", "2026-03-01T12:30:00Z"), None);
    assert_eq!(
        quiet("22:00-06:00", "2026-02-28T23:00:00Z").as_deref(),
        Some("2026-03-01T06:00:00Z")
    );
    assert_eq!(
        quiet("22:00-06:00", "2026-03-01T05:59:00Z").as_deref(),
        Some("2026-03-01T06:00:00Z")
    );
    assert_eq!(quiet("22:00-06:00", "2026-03-01T12:00:00Z"), None);
}

#[test]
fn odd_quiet_hours_are_refused() {
    for text in ["", "22:00", "25:00-06:00", "22:00-22:00", "x-y", "22-6"] {
        assert!(text.parse::<QuietHours>().is_err(), "{text}");
    }
}

#[test]
fn the_next_start_counts_from_the_last_start_and_is_never_in_the_past() {
    let every = Duration::from_secs(60);
    let next = |began, now, turn| {
        next_start(
            at(began),
            at(now),
            every,
            Duration::from_secs(10),
            0.5,
            turn,
            None,
        )
        .to_string()
    };
    assert_eq!(
        next("2026-03-01T00:00:00Z", "2026-03-01T00:00:20Z", Turn::Whole),
        "2026-03-01T00:01:05Z"
    );
    assert_eq!(
        next("2026-03-01T00:00:00Z", "2026-03-01T00:09:00Z", Turn::Whole),
        "2026-03-01T00:09:00Z"
    );
    assert_eq!(
        next(
            "2026-03-01T00:00:00Z",
            "2026-03-01T00:09:00Z",
            Turn::Interrupted
        ),
        "2026-03-01T00:09:00Z"
    );
    assert_eq!(
        next(
            "2026-03-01T00:00:00Z",
            "2026-03-01T00:09:00Z",
            Turn::Failed(0)
        ),
        "2026-03-01T00:09:05Z"
    );
    assert_eq!(
        next(
            "2026-03-01T00:00:00Z",
            "2026-03-01T00:09:00Z",
            Turn::Failed(2)
        ),
        "2026-03-01T00:09:20Z"
    );
    assert_eq!(
        next(
            "2026-03-01T00:00:00Z",
            "2026-03-01T00:09:00Z",
            Turn::Failed(30)
        ),
        "2026-03-01T00:10:00Z"
    );
}
