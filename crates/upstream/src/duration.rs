//! Durations as people write them: `500ms`, `30s`, `5m`, `24h`, `7d`.

use std::time::Duration;

/// Reads a whole number followed by one unit: `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
///
/// A sentence that says what is allowed: no unit, an unknown unit, no whole number, or more than 10 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis_per = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(format!(
                "`{text}` is no duration: write a whole number and one of ms, s, m, h, d, as in `30s`"
            ));
        }
    };
    let number: u64 = number.parse().map_err(|_| {
        format!("`{text}` is no duration: it must begin with a whole number, as in `30s`")
    })?;
    number
        .checked_mul(millis_per)
        .filter(|millis| *millis <= DURATION_MAX_MS)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is more than 10 years"))
}

const DURATION_MAX_MS: u64 = 3_653 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_everything_else_is_refused() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in [
            "",
            "5",
            "5 weeks",
            "-5s",
            "1.5s",
            "s",
            "99999999999999999999s",
            "4000d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
