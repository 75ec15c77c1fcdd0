//! How values are written on pages.

use jiff::Timestamp;
use minijinja::{Environment, Value};

pub(super) fn add(templates: &mut Environment<'static>) {
    templates.add_filter("grouped", grouped);
    templates.add_filter("span", span);
    templates.add_filter("when", when);
    templates.add_filter("ago", ago);
    templates.add_filter("due", due);
    templates.add_filter("lag", lag);
}

/// 1234567 as 1,234,567; what is no whole number stays.
fn grouped(value: &Value) -> String {
    let Ok(number) = i64::try_from(value.clone()) else {
        return value.to_string();
    };
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Seconds as people say them: 45 s, 12 min, 3 h 20 min, 5 d; nothing for nothing.
fn span(value: &Value) -> String {
    f64::try_from(value.clone()).map_or_else(|_| String::new(), spelled)
}

fn spelled(secs: f64) -> String {
    let secs = secs.max(0.0);
    let whole = secs.round() as u64;
    match whole {
        _ if secs < 10.0 => format!("{secs:.1} s"),
        0..120 => format!("{whole} s"),
        120..7_200 => format!("{} min", whole / 60),
        7_200..172_800 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d", whole / 86_400),
    }
}

/// A time without its fractions, in UTC.
fn when(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match text.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// How far off a time is that something is to begin at.
fn due(value: &Value) -> String {
    match ago(value) {
        told if told.ends_with("ago") => "due".to_owned(),
        told => told,
    }
}

/// How long ago a time was, or how far off it is.
fn ago(value: &Value) -> String {
    let Some(at) = value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok())
    else {
        return String::new();
    };
    let secs = Timestamp::now().duration_since(at).as_secs_f64();
    match secs {
        secs if secs < 0.0 => format!("in {}", spelled(-secs)),
        secs => format!("{} ago", spelled(secs)),
    }
}

/// How much attention an age in seconds deserves, next to the time between runs where it is known.
fn lag(value: &Value) -> &'static str {
    match f64::try_from(value.clone()) {
        Err(_) => "unknown",
        Ok(secs) if secs <= 900.0 => "good",
        Ok(secs) if secs <= 86_400.0 => "fair",
        Ok(_) => "poor",
    }
}

#[cfg(test)]
mod tests {
    use minijinja::Value;

    use super::{grouped, lag, span, when};

    #[test]
    fn numbers_and_times_are_written_for_people() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ] {
            assert_eq!(grouped(&Value::from(number)), text);
        }
        assert_eq!(grouped(&Value::from("n/a")), "n/a");
        for (secs, text) in [
            (0.26, "0.3 s"),
            (45.0, "45 s"),
            (130.0, "2 min"),
            (12_000.0, "3 h 20 min"),
            (500_000.0, "5 d"),
        ] {
            assert_eq!(span(&Value::from(secs)), text);
        }
        assert_eq!(span(&Value::from(())), "");
        let time = Value::from("2026-11-21T18:40:12.123456Z");
        assert_eq!(when(&time), "2026-11-21 18:40:12");
        assert_eq!(lag(&Value::from(12.0)), "good");
        assert_eq!(lag(&Value::from(())), "unknown");
    }
}
