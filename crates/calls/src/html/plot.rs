//! Plots: bars over named places, and columns and steps over time as inline SVG.

use std::fmt::Write as _;

use super::esc;

/// Units of a drawing; it scales with the page.
const WIDTH: f64 = 1_060.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// A column over time.
pub(super) struct Column {
    pub(super) label: String,
    pub(super) tip: String,
    pub(super) calls: f64,
    pub(super) errors: f64,
}

/// A bar of a list.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) tip: String,
    pub(super) value: f64,
    pub(super) told: String,
    pub(super) class: &'static str,
}

/// Columns of calls, the failed ones at their foot, with a few labels below and lines for round numbers.
pub(super) fn columns(name: &str, columns: &[Column], height: f64) -> String {
    let most = columns
        .iter()
        .map(|column| column.calls)
        .fold(1.0, f64::max);
    let mut svg = begin(name, height);
    let scale = axis(&mut svg, most, height);
    let room = WIDTH - LEFT - RIGHT;
    let step = room / columns.len().max(1) as f64;
    // Two units of the page between neighbours, as long as there is room for them.
    let gap = if step > 6.0 { 2.0 } else { 0.0 };
    for (n, column) in columns.iter().enumerate() {
        let x = LEFT + n as f64 * step + gap / 2.0;
        let width = (step - gap).max(0.5);
        let (good, bad) = (scale(column.calls), scale(column.errors));
        let _ = write!(svg, "<g><title>{}</title>", esc(&column.tip));
        let _ = write!(
            svg,
            r#"<rect class="hover" x="{x:.2}" y="{TOP}" width="{width:.2}" height="{:.2}"/>"#,
            height - TOP - BOTTOM
        );
        rect(&mut svg, "calls", x, good, width, height);
        if column.errors > 0.0 {
            rect(&mut svg, "errors", x, bad.max(1.5), width, height);
        }
        svg.push_str("</g>");
    }
    labels(
        &mut svg,
        columns.iter().map(|column| column.label.as_str()),
        columns.len(),
        height,
    );
    svg.push_str("</svg>");
    svg
}

/// A line over time, drawn as steps.
pub(super) fn steps(name: &str, points: &[(String, String, f64)], height: f64) -> String {
    let most = points.iter().map(|point| point.2).fold(1.0, f64::max);
    let mut svg = begin(name, height);
    let scale = axis(&mut svg, most, height);
    let step = (WIDTH - LEFT - RIGHT) / points.len().max(1) as f64;
    let mut path = String::new();
    for (n, (_, tip, value)) in points.iter().enumerate() {
        let x = LEFT + n as f64 * step;
        let y = height - BOTTOM - scale(*value);
        let _ = write!(
            path,
            "{}{x:.2},{y:.2} L{:.2},{y:.2} ",
            if n == 0 { "M" } else { "L" },
            x + step
        );
        let _ = write!(
            svg,
            r#"<g><title>{}</title><rect class="hover" x="{x:.2}" y="{TOP}" width="{step:.2}" height="{:.2}"/></g>"#,
            esc(tip),
            height - TOP - BOTTOM
        );
    }
    let _ = write!(svg, r#"<path class="peak" d="{}"/>"#, path.trim_end());
    labels(
        &mut svg,
        points.iter().map(|point| point.0.as_str()),
        points.len(),
        height,
    );
    svg.push_str("</svg>");
    svg
}

/// Horizontal bars with their names before and their values behind them; on a narrow page the names stand above.
/// Plain elements, not a drawing: their text keeps its size.
pub(super) fn bars(name: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(1e-9, f64::max);
    let mut list = format!(r#"<ul class="bars" aria-label="{}">"#, esc(name));
    for bar in bars {
        let _ = write!(
            list,
            r#"<li title="{}"><span class="name">{}</span><span class="bar"><i class="{}" style="width:{:.2}%"></i><span>{}</span></span></li>"#,
            esc(&bar.tip),
            esc(&bar.label),
            if bar.value > 0.0 { bar.class } else { "" },
            // What the value behind the longest bar needs is left free.
            bar.value / most * 78.0,
            esc(&bar.told),
        );
    }
    list.push_str("</ul>");
    list
}

fn begin(name: &str, height: f64) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#,
        esc(name)
    )
}

fn rect(svg: &mut String, class: &str, x: f64, tall: f64, width: f64, height: f64) {
    let y = height - BOTTOM - tall;
    let _ = write!(
        svg,
        r#"<rect class="{class}" x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{tall:.2}"/>"#
    );
}

/// Draws lines at round numbers up to `most`; gives how tall a value is.
fn axis(svg: &mut String, most: f64, height: f64) -> impl Fn(f64) -> f64 + use<> {
    let unit = round_step(most / 4.0);
    let top = (most / unit).ceil() * unit;
    let room = height - TOP - BOTTOM;
    let mut value = 0.0;
    while value <= top + unit / 2.0 {
        let y = height - BOTTOM - value / top * room;
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{y:.2}" y2="{y:.2}"/><text x="{}" y="{:.2}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            value.round(),
        );
        value += unit;
    }
    move |value| value / top * room
}

/// The smallest of 1, 2, 5 and their multiples by ten that is at least `value`, never below one.
fn round_step(value: f64) -> f64 {
    let ten = 10f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|n| n * ten)
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(ten * 10.0)
}

/// Up to eight labels below.
fn labels<'a>(svg: &mut String, labels: impl Iterator<Item = &'a str>, count: usize, height: f64) {
    let every = count.div_ceil(8).max(1);
    let step = (WIDTH - LEFT - RIGHT) / count.max(1) as f64;
    for (n, label) in labels.enumerate().filter(|(n, _)| n % every == 0) {
        // The last ones would stand out of the drawing.
        let x = LEFT + (n as f64 + 0.5) * step;
        let anchor = if x > WIDTH - 60.0 { "end" } else { "middle" };
        let _ = write!(
            svg,
            r#"<text x="{x:.2}" y="{:.2}" text-anchor="{anchor}">{}</text>"#,
            height - 8.0,
            esc(label)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_an_axis_are_round() {
        assert_eq!(
            [0.3, 1.0, 1.2, 4.0, 7.0, 230.0].map(round_step),
            [1.0, 1.0, 2.0, 5.0, 10.0, 500.0]
        );
    }
}
