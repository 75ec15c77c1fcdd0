//! The outcomes as a table for people, a page with a plot, and lines for programs.

use std::fmt::Write as _;

use crate::run::Outcome;

/// What one policy reached on one workload: one outcome per seed.
pub struct Entry {
    pub workload: &'static str,
    pub policy: &'static str,
    pub outcomes: Vec<Outcome>,
}

impl Entry {
    pub fn mean(&self, figure: impl Fn(&Outcome) -> f64) -> f64 {
        self.outcomes.iter().map(figure).sum::<f64>() / self.outcomes.len() as f64
    }

    pub fn worst(&self, figure: impl Fn(&Outcome) -> f64) -> f64 {
        self.outcomes.iter().map(figure).fold(0.0, f64::max)
    }

    /// How far the forecast of the share of fresh reads was off, in the worst seed; `None`: there was none.
    pub fn forecast_error(&self) -> Option<f64> {
        let errors = self.outcomes.iter().map(|outcome| {
            outcome
                .forecast
                .map(|(fresh, ..)| (fresh - outcome.fresh).abs())
        });
        errors
            .collect::<Option<Vec<f64>>>()
            .map(|errors| errors.into_iter().fold(0.0, f64::max))
    }

    /// Half the distance between the best and the worst seed.
    fn spread(&self) -> f64 {
        let fresh = self.outcomes.iter().map(|outcome| outcome.fresh);
        (fresh.clone().fold(0.0, f64::max) - fresh.fold(1.0, f64::min)) / 2.0
    }
}

pub fn table(entries: &[Entry], bounds: &[(&'static str, f64)]) -> String {
    let mut text = format!(
        "{:<8} {:<22} {:>7} {:>7} {:>7} {:>6} {:>5} {:>11} {:>9} {:>10} {:>9}\n",
        "workload",
        "policy",
        "fresh",
        "+-",
        "waited",
        "calls",
        "max",
        "stale p95 s",
        "age p95 s",
        "age max h",
        "unfetched",
    );
    for entry in entries {
        let _ = writeln!(
            text,
            "{:<8} {:<22} {:>7.4} {:>7.4} {:>7.3} {:>6.1} {:>5.0} {:>11.0} {:>9.0} {:>10.2} {:>9.3}",
            entry.workload,
            entry.policy,
            entry.mean(|outcome| outcome.fresh),
            entry.spread(),
            entry.mean(|outcome| outcome.waited),
            entry.mean(|outcome| outcome.calls_per_minute),
            entry.worst(|outcome| f64::from(outcome.calls_max)),
            entry.mean(|outcome| outcome.stale_p95),
            entry.mean(|outcome| outcome.age_p95),
            entry.worst(|outcome| outcome.age_max) / 3_600.0,
            entry.mean(|outcome| outcome.unfetched),
        );
    }
    let _ = writeln!(
        text,
        "\n{:<8} {:<22} {:>7} {:>9} {:>6}  (by what was known when measuring began)",
        "workload", "forecast", "fresh", "age p95 s", "calls"
    );
    for entry in entries
        .iter()
        .filter(|entry| entry.forecast_error().is_some())
    {
        let _ = writeln!(
            text,
            "{:<8} {:<22} {:>7.4} {:>9.0} {:>6.1}",
            entry.workload,
            entry.policy,
            entry.mean(|outcome| outcome.forecast.map_or(0.0, |(fresh, ..)| fresh)),
            entry.mean(|outcome| outcome.forecast.map_or(0.0, |(_, age, _)| age)),
            entry.mean(|outcome| outcome.forecast.map_or(0.0, |(.., calls)| calls)),
        );
    }
    for (workload, bound) in bounds {
        let _ = writeln!(
            text,
            "{workload:<8} {:<22} {bound:>7.4}",
            "(polling, rates known)"
        );
    }
    text
}

/// A page of its own: bars of stale reads per workload and policy.
pub fn page(entries: &[Entry]) -> String {
    const COLOURS: [&str; 5] = ["#9aa5b1", "#d97706", "#2563eb", "#0d9488", "#15803d"];
    let most = entries
        .iter()
        .map(|entry| 1.0 - entry.mean(|outcome| outcome.fresh))
        .fold(0.0, f64::max);
    let mut bars = String::new();
    let mut y = 20.0;
    let mut workload = "";
    let mut colour = 0;
    for entry in entries {
        if entry.workload != workload {
            workload = entry.workload;
            colour = 0;
            y += 14.0;
            let _ = writeln!(
                bars,
                r#"<text x="0" y="{y}" font-weight="bold">{workload}</text>"#
            );
            y += 8.0;
        }
        let stale = 1.0 - entry.mean(|outcome| outcome.fresh);
        let width = stale / most * 420.0;
        let _ = writeln!(
            bars,
            r#"<text x="150" y="{:.0}" text-anchor="end">{}</text><rect x="160" y="{y:.0}" width="{width:.1}" height="14" fill="{}"/><text x="{:.1}" y="{:.0}">{:.1} %</text>"#,
            y + 11.0,
            entry.policy,
            COLOURS[colour % COLOURS.len()],
            166.0 + width,
            y + 11.0,
            stale * 100.0,
        );
        colour += 1;
        y += 18.0;
    }
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Stale reads by policy</title>\n\
         <body style=\"font:14px sans-serif;max-width:760px;margin:2em auto\">\n\
         <h1>Stale reads by policy</h1>\n<p>60 calls a minute for all; the shorter the better.</p>\n\
         <svg viewBox=\"0 0 680 {:.0}\" width=\"100%\" font-size=\"12\">\n{bars}</svg>\n</body>\n",
        y + 20.0,
    )
}
