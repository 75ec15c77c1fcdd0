//! The report as one HTML page with plots. It needs no other file, no network and no script.

mod plot;

use std::fmt::{self, Write as _};

use crate::advice::Severity;
use crate::report::{Minute, Report};
use crate::text::{grouped, millis, moment, span};
use plot::{Bar, Column};

/// The most columns of a plot over time.
const COLUMNS: usize = 480;
/// The most rows of a list of endpoints.
const ROWS: usize = 100;

/// The report on the log called `name` as a page. Whatever the log holds stays text.
pub fn to_html(report: &Report, name: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(report, name, &mut page);
    page
}

/// Text that is no markup.
fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char('\u{FFFD}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn write_page(report: &Report, name: &str, out: &mut String) -> fmt::Result {
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Calls: {}</title><style>{}</style></head><body><main>",
        esc(name),
        include_str!("html/page.css")
    )?;
    let all = &report.overview;
    write!(
        out,
        "<h1>Calls to upstream</h1><p>{}<br>{} to {} UTC ({})</p>",
        esc(name),
        moment(all.first),
        moment(all.last),
        span(all.span_ms)
    )?;
    tiles(report, out)?;
    advice(report, out)?;
    durations(report, out)?;
    timeline(report, out)?;
    concurrency(report, out)?;
    errors(report, out)?;
    endpoints(report, out)?;
    slowest(report, out)?;
    connections(report, out)?;
    if !report.notes.is_empty() {
        out.push_str("<section><h2>Notes</h2>");
        for note in &report.notes {
            write!(out, "<p>{}</p>", esc(note))?;
        }
        out.push_str("</section>");
    }
    out.push_str("</main></body></html>\n");
    Ok(())
}

fn tiles(report: &Report, out: &mut String) -> fmt::Result {
    let all = &report.overview;
    let tiles = [
        (grouped(all.calls), "calls"),
        (format!("{:.2} %", all.error_rate * 100.0), "failed"),
        (millis(report.durations.p50_ms as f64), "median"),
        (millis(report.durations.p95_ms as f64), "p95"),
        (report.concurrency.peak.to_string(), "at most at once"),
        (format!("{:.1}", all.calls_per_minute), "calls a minute"),
        (grouped(all.retries), "retries"),
    ];
    out.push_str("<div class=\"tiles\">");
    for (value, name) in tiles {
        write!(
            out,
            "<div class=\"tile\"><b>{value}</b><span>{name}</span></div>"
        )?;
    }
    out.push_str("</div>");
    Ok(())
}

fn advice(report: &Report, out: &mut String) -> fmt::Result {
    out.push_str("<section><h2>Advice</h2>");
    if report.advice.is_empty() {
        out.push_str("<p>Nothing to do: no rule found anything.</p>");
    }
    out.push_str("<ul class=\"advice\">");
    for advice in &report.advice {
        let class = match advice.severity {
            Severity::Bad => "bad",
            Severity::Wasteful => "wasteful",
        };
        write!(
            out,
            "<li class=\"{class}\"><b>{}</b><p>{}</p></li>",
            esc(&advice.seen),
            esc(&advice.advice)
        )?;
    }
    out.push_str("</ul></section>");
    Ok(())
}

fn durations(report: &Report, out: &mut String) -> fmt::Result {
    let all = &report.durations;
    let figures = all.figures();
    out.push_str("<section><h2>Durations</h2><table><tr>");
    for (name, _) in figures {
        write!(out, "<th>{name}</th>")?;
    }
    out.push_str("</tr><tr>");
    for (_, ms) in figures {
        write!(out, "<td>{}</td>", millis(ms))?;
    }
    out.push_str("</tr></table>");
    let calls = report.overview.calls.max(1) as f64;
    let bars: Vec<Bar> = all
        .histogram
        .iter()
        .map(|bucket| {
            let label = match bucket.to_ms {
                Some(to) => format!("{} to {}", millis(bucket.from_ms as f64), millis(to as f64)),
                None => format!("{} and more", millis(bucket.from_ms as f64)),
            };
            let told = format!(
                "{} ({:.1} %)",
                grouped(bucket.calls),
                bucket.calls as f64 * 100.0 / calls
            );
            Bar {
                tip: format!("{label}: {told}"),
                label,
                value: bucket.calls as f64,
                told,
                class: "calls",
            }
        })
        .collect();
    out.push_str(&plot::bars("How many calls took how long", &bars));
    out.push_str("</section>");
    Ok(())
}

fn timeline(report: &Report, out: &mut String) -> fmt::Result {
    let steps = &report.timeline.steps;
    let per_column = steps.len().div_ceil(COLUMNS).max(1);
    let minutes = per_column as i64 * report.timeline.step_minutes;
    let each = if minutes == 1 {
        "minute".to_owned()
    } else {
        format!("{minutes} minutes")
    };
    write!(
        out,
        "<section><h2>Calls by {each}<span class=\"key\" style=\"background:var(--calls)\"></span>calls\
         <span class=\"key\" style=\"background:var(--errors)\"></span>failed</h2>"
    )?;
    let groups: Vec<&[Minute]> = steps.chunks(per_column).collect();
    let columns: Vec<Column> = groups
        .iter()
        .map(|group| {
            let (calls, errors) = (
                group.iter().map(|step| step.calls).sum(),
                group.iter().map(|step| step.errors).sum(),
            );
            let (label, at) = labels(group);
            Column {
                label,
                tip: format!("{at}: {} calls, {} failed", grouped(calls), grouped(errors)),
                calls: calls as f64,
                errors: errors as f64,
            }
        })
        .collect();
    out.push_str(&plot::columns("Calls over time", &columns, 240.0));
    write!(
        out,
        "</section><section><h2>Most calls at once, by {each}</h2>"
    )?;
    let points: Vec<(String, String, f64)> = groups
        .iter()
        .map(|group| {
            let peak = group.iter().map(|step| step.peak).max().unwrap_or(0);
            let (label, at) = labels(group);
            (label, format!("{at}: {peak} at once"), f64::from(peak))
        })
        .collect();
    out.push_str(&plot::steps("Most calls at once over time", &points, 200.0));
    out.push_str("</section>");
    Ok(())
}

/// What stands below a column, and the whole moment.
fn labels(group: &[Minute]) -> (String, String) {
    let at = group
        .first()
        .map(|step| moment(step.at))
        .unwrap_or_default();
    (at.get(5..16).unwrap_or(&at).to_owned(), at)
}

fn concurrency(report: &Report, out: &mut String) -> fmt::Result {
    let all = &report.concurrency;
    write!(
        out,
        "<section><h2>Calls at the same time</h2><p>At most {}, first at {}; {:.1} on average while there were any.</p>",
        all.peak,
        moment(all.peak_at),
        all.mean_busy
    )?;
    let bars: Vec<Bar> = all
        .levels
        .iter()
        .map(|level| {
            let told = format!(
                "{} ({:.1} %)",
                span(level.ms),
                level.ms as f64 * 100.0 / all.busy_ms.max(1) as f64
            );
            let label = format!("{} at once", level.calls);
            Bar {
                tip: format!("{label}: {told}"),
                label,
                value: level.ms as f64,
                told,
                class: "calls",
            }
        })
        .collect();
    out.push_str(&plot::bars(
        "For how long how many calls were under way",
        &bars,
    ));
    if !all.hotspots.is_empty() {
        out.push_str("<table><tr><th>busiest minutes</th><th>at once</th><th>calls</th></tr>");
        for spot in &all.hotspots {
            write!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                moment(spot.at),
                spot.peak,
                grouped(spot.calls)
            )?;
        }
        out.push_str("</table>");
    }
    out.push_str("</section>");
    Ok(())
}

fn errors(report: &Report, out: &mut String) -> fmt::Result {
    if report.errors.is_empty() {
        return Ok(());
    }
    out.push_str("<section><h2>Errors by type</h2>");
    let bar = |label: &str, count: u64, told: String| Bar {
        tip: format!("{label}: {told}"),
        label: label.to_owned(),
        value: count as f64,
        told,
        class: "errors",
    };
    let bars: Vec<Bar> = report
        .errors
        .iter()
        .map(|error| bar(&error.code, error.count, grouped(error.count)))
        .collect();
    out.push_str(&plot::bars("Errors by type", &bars));
    out.push_str("</section><section><h2>Errors by endpoint</h2>");
    let mut failing: Vec<_> = report
        .endpoints
        .iter()
        .filter(|one| one.errors > 0)
        .collect();
    failing.sort_by_key(|one| std::cmp::Reverse(one.errors));
    let bars = failing.iter().take(30).map(|one| {
        let share = one.errors as f64 * 100.0 / one.calls.max(1) as f64;
        let mut bar = bar(
            &one.endpoint,
            one.errors,
            format!("{} ({share:.1} %)", grouped(one.errors)),
        );
        for code in &one.errors_by_code {
            let _ = write!(bar.tip, "\n{} {}", code.count, code.code);
        }
        bar
    });
    out.push_str(&plot::bars("Errors by endpoint", &bars.collect::<Vec<_>>()));
    out.push_str("</section>");
    Ok(())
}

fn endpoints(report: &Report, out: &mut String) -> fmt::Result {
    out.push_str(
        "<section><h2>Endpoints by time spent</h2><table><tr><th>endpoint</th><th>calls</th><th>errors</th><th>mean</th>\
         <th>p50</th><th>p95</th><th>max</th><th>time</th><th>share</th></tr>",
    );
    let total = report.durations.total_ms.max(1) as f64;
    for one in report.endpoints.iter().take(ROWS) {
        write!(
            out,
            "<tr><td class=\"wide\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{:.1} %</td></tr>",
            esc(&one.endpoint),
            grouped(one.calls),
            grouped(one.errors),
            millis(one.mean_ms),
            millis(one.p50_ms as f64),
            millis(one.p95_ms as f64),
            millis(one.max_ms as f64),
            span(one.total_ms),
            one.total_ms as f64 * 100.0 / total
        )?;
    }
    out.push_str("</table>");
    if report.endpoints.len() > ROWS {
        write!(out, "<p>and {} more</p>", report.endpoints.len() - ROWS)?;
    }
    out.push_str("</section>");
    Ok(())
}

fn slowest(report: &Report, out: &mut String) -> fmt::Result {
    out.push_str(
        "<section><h2>Slowest calls</h2><table><tr><th>duration</th><th>ended</th><th>status</th><th class=\"left\">call</th>\
         <th class=\"left\">error</th></tr>",
    );
    for slow in &report.slowest {
        write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"wide\">{} {}</td><td class=\"left\">{}</td></tr>",
            millis(slow.duration_ms as f64),
            moment(slow.timestamp),
            slow.status
                .map_or_else(|| "none".to_owned(), |status| status.to_string()),
            esc(&slow.method),
            esc(&slow.url),
            esc(slow.error.as_deref().unwrap_or(""))
        )?;
    }
    out.push_str("</table></section>");
    Ok(())
}

fn connections(report: &Report, out: &mut String) -> fmt::Result {
    out.push_str(
        "<section><h2>Connections</h2><table><tr><th>connection</th><th>calls</th><th>errors</th><th>429</th><th>mean</th>\
         <th>waited</th><th>at once</th><th>busiest minute</th><th>limit</th></tr>",
    );
    for one in &report.connections {
        write!(
            out,
            "<tr><td class=\"wide\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td></tr>",
            esc(&one.connection),
            grouped(one.calls),
            grouped(one.errors),
            grouped(one.throttled),
            millis(one.mean_ms),
            span(one.wait_ms),
            one.peak,
            one.minute_max,
            one.limit_per_minute
                .map_or_else(|| "?".to_owned(), |limit| limit.to_string())
        )?;
    }
    out.push_str("</table></section>");
    Ok(())
}
