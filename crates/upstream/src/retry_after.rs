//! How long upstream says to stay away.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;

/// The longest that anybody stays away without asking again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Reads a `Retry-After` header: `60`, `60 Seconds`, `2 min`, `1.5 s`, or a date as HTTP writes it. `None` when it is
/// none of these. Never more than [`RETRY_AFTER_MAX`]; a date in the past is no wait.
pub fn read_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^\s*(\d{1,9})(?:[.,](\d{1,3})\d*)?\s*(ms|milli\w*|s|secs?|seconds?|m|mins?|minutes?|h|hours?)?\s*\.?\s*$")
            .unwrap_or_else(|error| unreachable!("a fixed pattern: {error}"))
    });
    if let Some(found) = NUMBER.captures(header) {
        return wait_of(
            &found[1],
            found.get(2).map(|m| m.as_str()),
            found.get(3).map(|m| m.as_str()),
        );
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(header.trim())
        .ok()?;
    let wait = Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Finds a wait in the text of an answer: `Please try again in 30 seconds.`
pub fn find_wait(body: &str) -> Option<Duration> {
    static SENTENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(?:again|retry|wait)\b\D{0,20}?(\d{1,9})(?:[.,](\d{1,3})\d*)?\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?)\b")
            .unwrap_or_else(|error| unreachable!("a fixed pattern: {error}"))
    });
    let found = SENTENCE.captures(body)?;
    wait_of(
        &found[1],
        found.get(2).map(|m| m.as_str()),
        found.get(3).map(|m| m.as_str()),
    )
}

fn wait_of(whole: &str, fraction: Option<&str>, unit: Option<&str>) -> Option<Duration> {
    let unit = unit.unwrap_or("s").to_ascii_lowercase();
    let unit_ms: u64 = match unit.as_bytes() {
        [b'm', b's'] => 1,
        _ if unit.starts_with("milli") => 1,
        [b's', ..] => 1_000,
        [b'm', ..] => 60_000,
        _ => 3_600_000,
    };
    let thousandths: u64 = fraction
        .map_or(Ok(0), |digits| format!("{digits:0<3}").parse())
        .ok()?;
    let whole: u64 = whole.parse().ok()?;
    let wait = Duration::from_millis((whole * 1_000 + thousandths) * unit_ms / 1_000);
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_form_the_references_name_is_read() {
        let seconds = |header: &str| read_retry_after(header, now()).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("60"), Some(60.0));
        assert_eq!(seconds("60 Seconds"), Some(60.0));
        assert_eq!(seconds("30 sec"), Some(30.0));
        assert_eq!(seconds(" 1.5 s "), Some(1.5));
        assert_eq!(seconds("2 minutes"), Some(120.0));
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds("Sat, 21 Nov 2026 10:00:45 GMT"), Some(45.0));
        assert_eq!(seconds("Sat, 21 Nov 2026 09:00:00 GMT"), Some(0.0));
        assert_eq!(seconds("999999999"), Some(3600.0));
        for none in ["", "soon", "-5", "60 bananas", "6 0"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }

    #[test]
    fn a_wait_is_found_in_a_sentence() {
        let found = |body: &str| find_wait(body).map(|wait| wait.as_secs());
        assert_eq!(
            found("Too many requests. Please try again in 30 seconds."),
            Some(30)
        );
        assert_eq!(
            found("<html><p>Retry after 2 minutes</p></html>"),
            Some(120)
        );
        assert_eq!(
            found("You have reached 60 calls per 60 seconds API limit."),
            None
        );
    }

    proptest! {
        #[test]
        fn whole_seconds_are_read_with_any_unit_word(
            seconds in 0u64..3600, unit in "(s|sec|secs|second|seconds|Seconds|SEC|)", blank in " {0,3}",
        ) {
            let header = format!("{seconds}{blank}{unit}");
            prop_assert_eq!(read_retry_after(&header, now()), Some(Duration::from_secs(seconds)), "{}", header);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = (read_retry_after(&text, now()), find_wait(&text));
        }
    }
}
