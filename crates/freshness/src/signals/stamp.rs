//! Texts that are times, as business APIs write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Reads an ISO 8601 date or time. Without a zone it is UTC; a date is its midnight in UTC. What lies past the last moment
/// that can be held (some APIs write 31 December 9999 for "never") becomes that moment.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // Eight digits are more often an article number than a day.
    let dashes = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    if !dashes || text.len() > LENGTH_MAX {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return Some(in_utc(time));
    }
    if text.len() == 10 {
        return text.parse::<Date>().ok().map(|date| in_utc(date.into()));
    }
    // With a zone, but past the end of what can be held.
    let day = text.get(..10)?.parse::<Date>().ok()?;
    (day.year() == 9999 && text.as_bytes().get(10) == Some(&b'T')).then_some(Timestamp::MAX)
}

fn in_utc(time: DateTime) -> Timestamp {
    time.to_zoned(TimeZone::UTC)
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// Longer than any time with zone and annotations.
const LENGTH_MAX: usize = 64;
