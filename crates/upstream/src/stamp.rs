//! Moments as upstreams write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::connector::StampFormat;

/// Reads a moment: ISO 8601 with `Z`, an offset, or neither (then UTC), a fraction of any length, a blank instead
/// of the `T`, or a date alone. `None` for anything else, and for moments outside the years 1 to 9999.
pub fn read_stamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > STAMP_LENGTH_MAX || !text.is_ascii() {
        return None;
    }
    // More than nine digits of a fraction are more than anybody measures.
    let shortened;
    let text = match fraction_excess(text) {
        Some((from, to)) => {
            shortened = format!("{}{}", &text[..from], &text[to..]);
            shortened.as_str()
        }
        None => text,
    };
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp);
    }
    let civil = match text.parse::<DateTime>() {
        Ok(civil) => civil,
        Err(_) => text
            .parse::<Date>()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
    };
    Offset::UTC.to_timestamp(civil).ok()
}

/// Writes a moment for a request.
pub(crate) fn write_stamp(stamp: Timestamp, format: StampFormat) -> String {
    match format {
        StampFormat::Iso => stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        StampFormat::IsoMillis => stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        StampFormat::Date => stamp.strftime("%Y-%m-%d").to_string(),
        StampFormat::Unix => stamp.as_second().to_string(),
    }
}

/// Longer texts are no moments.
const STAMP_LENGTH_MAX: usize = 64;

/// Where digits of a fraction stand that are too many.
fn fraction_excess(text: &str) -> Option<(usize, usize)> {
    let dot = text.find('.')?;
    let digits = text[dot + 1..]
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    (digits > 9).then_some((dot + 10, dot + 1 + digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_upstreams_write_is_read() {
        let forms = [
            ("2017-09-29T03:03:13.913Z", "2017-09-29T03:03:13.913Z"),
            ("2017-09-29T03:03:46.52Z", "2017-09-29T03:03:46.52Z"),
            (
                "2018-01-01T10:20:37.5462677Z",
                "2018-01-01T10:20:37.5462677Z",
            ),
            ("2026-08-31T01:02:03.4", "2026-08-31T01:02:03.4Z"),
            ("2026-08-31T01:02:03", "2026-08-31T01:02:03Z"),
            ("2026-08-31T01:02:03+10:00", "2026-08-30T15:02:03Z"),
            ("2026-08-31 01:02:03", "2026-08-31T01:02:03Z"),
            (
                "2026-08-31T01:02:03.12345678901234Z",
                "2026-08-31T01:02:03.123456789Z",
            ),
            ("2026-08-31", "2026-08-31T00:00:00Z"),
        ];
        for (written, meant) in forms {
            assert_eq!(
                read_stamp(written),
                Some(meant.parse().unwrap()),
                "{written}"
            );
        }
        for none in [
            "",
            "yesterday",
            "31/08/2026",
            "2026-13-01T00:00:00Z",
            "2026-08-31T25:00:00Z",
            "12",
            "é",
        ] {
            assert_eq!(read_stamp(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0i64..4_000_000_000_000) {
            let stamp = Timestamp::from_millisecond(millis).unwrap();
            prop_assert_eq!(read_stamp(&write_stamp(stamp, StampFormat::IsoMillis)), Some(stamp));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,70}") {
            let _ = read_stamp(&text);
        }
    }
}
