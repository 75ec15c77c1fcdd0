//! The report for people: sections with bars, as wide as the terminal.

use std::fmt::Write as _;

use crate::advice::Severity;
use crate::report::{Minute, Report};

/// Widths between which bars make sense.
const WIDTH_MIN: usize = 76;
const WIDTH_MAX: usize = 160;
/// The most rows of the timeline; more minutes than that are taken together.
const TIMELINE_ROWS: usize = 60;
/// The most endpoints and levels that are shown; programs get all.
const ROWS: usize = 25;

/// The report as text of at most `width` columns (at least 76).
pub fn to_text(report: &Report, width: usize) -> String {
    let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = sections(report, width, &mut text);
    text
}

fn sections(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    overview(report, width, out)?;
    advice(report, width, out)?;
    durations(report, width, out)?;
    errors(report, width, out)?;
    endpoints(report, width, out)?;
    slowest(report, width, out)?;
    timeline(report, width, out)?;
    concurrency(report, width, out)?;
    connections(report, width, out)?;
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

fn title(out: &mut String, name: &str) -> std::fmt::Result {
    if !out.is_empty() {
        out.push('\n');
    }
    writeln!(out, "{}", name.to_uppercase())
}

fn overview(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    let all = &report.overview;
    title(out, "overview")?;
    let lines = [
        format!(
            "{} calls, {} failed ({:.2} %), {} retries, {} repeated reads",
            grouped(all.calls),
            grouped(all.errors),
            all.error_rate * 100.0,
            grouped(all.retries),
            grouped(all.repeats)
        ),
        format!(
            "{} to {}: {}, {:.1} calls a minute",
            moment(all.first),
            moment(all.last),
            span(all.span_ms),
            all.calls_per_minute
        ),
        format!(
            "{} spent calling, {} spent waiting for leave",
            span(report.durations.total_ms),
            span(all.wait_ms)
        ),
    ];
    lines
        .iter()
        .try_for_each(|line| wrapped(out, "  ", line, width))
}

fn advice(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    title(out, "advice")?;
    if report.advice.is_empty() {
        return writeln!(out, "  nothing to do: no rule found anything");
    }
    for advice in &report.advice {
        let mark = match advice.severity {
            Severity::Bad => '!',
            Severity::Wasteful => '-',
        };
        wrapped(out, &format!("  {mark} "), &advice.seen, width)?;
        wrapped(out, "    ", &advice.advice, width)?;
    }
    Ok(())
}

fn durations(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    let all = &report.durations;
    title(out, "durations")?;
    let figures = all.figures();
    let figures = figures.map(|(name, ms)| format!("{name} {}", millis(ms)));
    writeln!(out, "  {}", figures.join("  "))?;
    let most = all.histogram.iter().map(|bucket| bucket.calls).max();
    for bucket in &all.histogram {
        let name = match bucket.to_ms {
            Some(to) => format!("< {}", millis(to as f64)),
            None => format!(">= {}", millis(bucket.from_ms as f64)),
        };
        let label = format!("  {name:>10} {:>11} ", grouped(bucket.calls));
        bar(out, &label, bucket.calls, most.unwrap_or(0), width)?;
    }
    Ok(())
}

fn errors(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    if report.errors.is_empty() {
        return Ok(());
    }
    title(out, "errors by type")?;
    let most = report.errors.iter().map(|error| error.count).max();
    for error in report.errors.iter().take(ROWS) {
        let label = format!("  {} {:>9} ", cut(&error.code, 20), grouped(error.count));
        bar(out, &label, error.count, most.unwrap_or(0), width)?;
    }
    title(out, "errors by endpoint")?;
    let mut failing: Vec<_> = report
        .endpoints
        .iter()
        .filter(|one| one.errors > 0)
        .collect();
    failing.sort_by_key(|one| std::cmp::Reverse(one.errors));
    for endpoint in failing.iter().take(ROWS) {
        let codes = endpoint.errors_by_code.iter().take(4);
        let codes: Vec<String> = codes
            .map(|code| format!("{} {}", code.count, code.code))
            .collect();
        let name = width.saturating_sub(60).max(24);
        let line = format!(
            "  {:>9} {:>6.2} %  {} {}",
            grouped(endpoint.errors),
            endpoint.errors as f64 * 100.0 / endpoint.calls.max(1) as f64,
            cut(&endpoint.endpoint, name),
            codes.join(", ")
        );
        writeln!(out, "{}", short(&line, width))?;
    }
    more(out, failing.len())
}

fn endpoints(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    title(out, "endpoints by time spent")?;
    let name = width - 60;
    writeln!(
        out,
        "  {} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6}",
        cut("endpoint", name),
        "calls",
        "errors",
        "mean",
        "p50",
        "p95",
        "max",
        "time"
    )?;
    let total = report.durations.total_ms.max(1) as f64;
    for endpoint in report.endpoints.iter().take(ROWS) {
        writeln!(
            out,
            "  {} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>4.1} %",
            cut(&endpoint.endpoint, name),
            grouped(endpoint.calls),
            grouped(endpoint.errors),
            millis(endpoint.mean_ms),
            millis(endpoint.p50_ms as f64),
            millis(endpoint.p95_ms as f64),
            millis(endpoint.max_ms as f64),
            endpoint.total_ms as f64 * 100.0 / total
        )?;
    }
    more(out, report.endpoints.len())
}

fn more(out: &mut String, rows: usize) -> std::fmt::Result {
    if rows > ROWS {
        writeln!(out, "  and {} more (--json has all)", rows - ROWS)?;
    }
    Ok(())
}

fn slowest(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    title(out, "slowest calls")?;
    for slow in &report.slowest {
        let status = slow
            .status
            .map_or_else(|| "none".to_owned(), |status| status.to_string());
        let line = format!(
            "  {:>7}  {}  {status:>4}  {} {}",
            millis(slow.duration_ms as f64),
            moment(slow.timestamp),
            slow.method,
            printable(&slow.url)
        );
        writeln!(out, "{}", short(&line, width))?;
    }
    Ok(())
}

fn timeline(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    let steps = &report.timeline.steps;
    let per_row = steps.len().div_ceil(TIMELINE_ROWS).max(1);
    let minutes = per_row as i64 * report.timeline.step_minutes;
    title(
        out,
        &match minutes {
            1 => "calls by minute".to_owned(),
            _ => format!("calls by {minutes} minutes"),
        },
    )?;
    let rows: Vec<(&Minute, u64, u64, u32)> = steps
        .chunks(per_row)
        .filter_map(|rows| {
            let sum = |of: fn(&Minute) -> u64| rows.iter().map(of).sum();
            let peak = rows.iter().map(|row| row.peak).max();
            Some((
                rows.first()?,
                sum(|row| row.calls),
                sum(|row| row.errors),
                peak.unwrap_or(0),
            ))
        })
        .collect();
    let most = rows.iter().map(|row| row.1).max().unwrap_or(0);
    for (first, calls, errors, peak) in rows {
        let at = moment(first.at);
        let failed = if errors > 0 {
            format!("{} failed", grouped(errors))
        } else {
            String::new()
        };
        let label = format!(
            "  {} {:>8} {failed:>14}  {peak:>4} at once ",
            at.get(..16).unwrap_or(&at),
            grouped(calls)
        );
        bar(out, &label, calls, most, width)?;
    }
    Ok(())
}

fn concurrency(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    let all = &report.concurrency;
    title(out, "calls at the same time")?;
    let peak = format!(
        "at most {}, first at {}; {:.1} on average while there were any",
        all.peak,
        moment(all.peak_at),
        all.mean_busy
    );
    wrapped(out, "  ", &peak, width)?;
    let most = all.levels.iter().map(|level| level.ms).max().unwrap_or(0);
    for level in all.levels.iter().take(ROWS) {
        let share = level.ms as f64 * 100.0 / all.busy_ms.max(1) as f64;
        let label = format!("  {:>4} {:>9} {share:>5.1} % ", level.calls, span(level.ms));
        bar(out, &label, level.ms, most, width)?;
    }
    if !all.hotspots.is_empty() {
        writeln!(out, "  busiest minutes:")?;
    }
    for spot in &all.hotspots {
        let at = moment(spot.at);
        writeln!(
            out,
            "  {}  {:>4} at once  {:>8} calls",
            at.get(..16).unwrap_or(&at),
            spot.peak,
            grouped(spot.calls)
        )?;
    }
    Ok(())
}

fn connections(report: &Report, width: usize, out: &mut String) -> std::fmt::Result {
    title(out, "connections")?;
    let name = width.saturating_sub(64).max(12);
    writeln!(
        out,
        "  {} {:>9} {:>7} {:>5} {:>7} {:>8} {:>8} {:>7}",
        cut("connection", name),
        "calls",
        "errors",
        "429",
        "mean",
        "at once",
        "a minute",
        "of"
    )?;
    for connection in report.connections.iter().take(ROWS) {
        let limit = connection
            .limit_per_minute
            .map_or_else(|| "?".to_owned(), |limit| limit.to_string());
        writeln!(
            out,
            "  {} {:>9} {:>7} {:>5} {:>7} {:>8} {:>8} {:>7}",
            cut(&connection.connection, name),
            grouped(connection.calls),
            grouped(connection.errors),
            grouped(connection.throttled),
            millis(connection.mean_ms),
            connection.peak,
            connection.minute_max,
            limit
        )?;
    }
    more(out, report.connections.len())
}

/// A bar after its label, as long as `value` is beside `most`, in eighths of a column.
fn bar(out: &mut String, label: &str, value: u64, most: u64, width: usize) -> std::fmt::Result {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    out.push_str(label);
    let room = width.saturating_sub(label.chars().count());
    let eighths = (value as f64 / most.max(1) as f64 * room as f64 * 8.0).round() as usize;
    // What is there at all is seen.
    let eighths = if value > 0 {
        eighths.clamp(1, room.max(1) * 8)
    } else {
        0
    };
    out.extend(std::iter::repeat_n('█', eighths / 8));
    if eighths % 8 > 0 {
        out.push(EIGHTHS[eighths % 8]);
    }
    out.truncate(out.trim_end_matches(' ').len());
    writeln!(out)
}

/// `text` in exactly `width` columns.
fn cut(text: &str, width: usize) -> String {
    let text = short(&printable(text), width);
    format!("{text:width$}")
}

/// `text` in at most `width` columns; what is left out is marked.
fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.trim_end().to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A text from the log, without what a terminal could take for a command.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

fn wrapped(out: &mut String, first: &str, text: &str, width: usize) -> std::fmt::Result {
    let indent = " ".repeat(first.chars().count());
    let mut line = first.to_owned();
    let mut is_begun = false;
    for word in printable(text).split(' ') {
        let word = short(word, width - indent.len());
        if is_begun && line.chars().count() + 1 + word.chars().count() > width {
            writeln!(out, "{line}")?;
            line.clone_from(&indent);
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(&word);
        is_begun = true;
    }
    writeln!(out, "{line}")
}

/// Milliseconds in four or five columns: `231ms`, `2.31s`, `31.2s`, `12.0m`.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        _ if ms < 999.5 => format!("{ms:.0}ms"),
        _ if ms < 9_995.0 => trim(format!("{:.2}", ms / 1_000.0), "s"),
        _ if ms < 99_950.0 => trim(format!("{:.1}", ms / 1_000.0), "s"),
        _ if ms < 6e6 => format!("{:.0}m", ms / 60_000.0),
        _ => format!("{:.0}h", ms / 3.6e6),
    }
}

fn trim(number: String, unit: &str) -> String {
    format!(
        "{}{unit}",
        number.trim_end_matches('0').trim_end_matches('.')
    )
}

/// A span as people say it.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{:.1} s", ms as f64 / 1e3),
        120_000..7_200_000 => format!("{:.1} min", ms as f64 / 6e4),
        7_200_000..172_800_000 => format!("{:.1} h", ms as f64 / 3.6e6),
        _ => format!("{:.1} d", ms as f64 / 8.64e7),
    }
}

pub(crate) fn moment(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
