//! Calls by minute. When there are too many minutes, ten are taken together, and so on.

use std::collections::BTreeMap;

pub(crate) const MINUTE_MS: i64 = 60_000;

/// The most steps with calls that are kept.
const STEPS_MAX: usize = 1 << 17;

/// How many minutes a step of a timeline may stand for.
const STEPS: [i64; 6] = [1, 10, 60, 1_440, 14_400, 144_000];

/// What happened in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) total_ms: u64,
    /// The most calls at the same time.
    pub(crate) peak: u32,
    /// Calls under way at its end.
    after: u32,
}

/// Calls by the minute in which they ended.
#[derive(Debug)]
pub(crate) struct Timeline {
    steps: BTreeMap<i64, Step>,
    /// Which of [`STEPS`].
    width: usize,
    steps_max: usize,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            steps: BTreeMap::new(),
            width: 0,
            steps_max: STEPS_MAX,
        }
    }
}

impl Timeline {
    pub(crate) fn add(&mut self, minute: i64, calls: u64, errors: u64, total_ms: u64) {
        let step = self.step(minute);
        step.calls += calls;
        step.errors += errors;
        step.total_ms += total_ms;
        self.narrow();
    }

    /// Notes the overlap of a minute; minutes come in order.
    pub(crate) fn overlap(&mut self, minute: i64, peak: u32, after: u32) {
        let step = self.step(minute);
        step.peak = step.peak.max(peak);
        step.after = after;
        self.narrow();
    }

    fn step(&mut self, minute: i64) -> &mut Step {
        self.steps
            .entry(minute.div_euclid(STEPS[self.width]))
            .or_default()
    }

    fn narrow(&mut self) {
        while self.steps.len() > self.steps_max && self.width + 1 < STEPS.len() {
            self.widen();
        }
    }

    fn widen(&mut self) {
        let factor = STEPS[self.width + 1] / STEPS[self.width];
        self.width += 1;
        for (at, step) in std::mem::take(&mut self.steps) {
            let wide = self.steps.entry(at.div_euclid(factor)).or_default();
            wide.calls += step.calls;
            wide.errors += step.errors;
            wide.total_ms += step.total_ms;
            wide.peak = wide.peak.max(step.peak);
            wide.after = step.after;
        }
    }

    /// Every step from the first to the last, those without calls too, at most `rows_max`; and how many minutes each
    /// stands for. Steps are named by the minute they begin with.
    pub(crate) fn rows(mut self, rows_max: usize) -> (i64, Vec<(i64, Step)>) {
        while self.width + 1 < STEPS.len() && self.span() > rows_max as i64 {
            self.widen();
        }
        let minutes = STEPS[self.width];
        let mut rows = Vec::new();
        let mut under_way = 0;
        let mut next = self.steps.keys().next().copied().unwrap_or(0);
        for (at, step) in &self.steps {
            while next < *at && rows.len() < rows_max {
                // Nothing began or ended here: what was under way still is.
                rows.push((
                    next * minutes,
                    Step {
                        peak: under_way,
                        ..Step::default()
                    },
                ));
                next += 1;
            }
            rows.push((at * minutes, *step));
            under_way = step.after;
            next = at + 1;
        }
        rows.truncate(rows_max);
        (minutes, rows)
    }

    fn span(&self) -> i64 {
        let (first, last) = (self.steps.keys().next(), self.steps.keys().last());
        first.zip(last).map_or(0, |(first, last)| last - first + 1)
    }

    #[cfg(test)]
    pub(crate) fn peaks(self, first: i64, last: i64) -> Vec<(i64, u32)> {
        let (_, rows) = self.rows(1_000);
        let within = rows
            .into_iter()
            .filter(|(minute, _)| (first..=last).contains(minute));
        within.map(|(minute, step)| (minute, step.peak)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_minutes_are_there_and_far_apart_ones_make_wider_steps() {
        let mut timeline = Timeline::default();
        timeline.add(5, 2, 1, 30);
        timeline.add(8, 1, 0, 10);
        timeline.add(5, 1, 0, 10);
        let (minutes, rows) = timeline.rows(100);
        assert_eq!(minutes, 1);
        let calls: Vec<_> = rows
            .iter()
            .map(|(at, step)| (*at, step.calls, step.errors))
            .collect();
        assert_eq!(calls, [(5, 3, 1), (6, 0, 0), (7, 0, 0), (8, 1, 0)]);

        let mut timeline = Timeline::default();
        timeline.add(0, 1, 0, 1);
        timeline.add(9, 1, 0, 1);
        timeline.add(995, 1, 0, 1);
        let (minutes, rows) = timeline.rows(100);
        assert_eq!(
            (minutes, rows.len(), rows[0].1.calls, rows[99].0),
            (10, 100, 2, 990)
        );
    }

    #[test]
    fn a_thousand_years_stay_bounded() {
        let mut timeline = Timeline {
            steps_max: 50,
            ..Timeline::default()
        };
        for year in -500..500 {
            timeline.add(year * 525_600, 1, 0, 1);
        }
        let (_, rows) = timeline.rows(10_000);
        assert!(rows.len() <= 10_000);
        assert_eq!(rows.iter().map(|(_, step)| step.calls).sum::<u64>(), 1_000);
    }
}
