//! Long work, shown while it goes on: bars on a terminal, plain lines otherwise.

use std::{
    collections::HashMap,
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mirror::{Listener, Progress};

use crate::output::{grouped, readable};

/// How often details are told in plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows what a worker does, on standard error.
#[derive(Debug, Clone)]
pub struct Display {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    bars: Option<MultiProgress>,
    runs: HashMap<i64, ProgressBar>,
    details: HashMap<String, Details>,
    quiet: bool,
    tells_runs: bool,
}

#[derive(Debug)]
struct Details {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
}

impl Display {
    /// Bars when standard error is a terminal, else lines: now and then how far the details are, and, if `tells_runs`,
    /// one for each run that brought changes.
    pub fn new(quiet: bool, tells_runs: bool) -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        let inner = Inner {
            bars: bars.filter(|_| !quiet),
            runs: HashMap::new(),
            details: HashMap::new(),
            quiet,
            tells_runs,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// What a worker tells goes here.
    pub fn listener(&self) -> Listener {
        let inner = Arc::clone(&self.inner);
        Arc::new(move |progress| {
            inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .show(&progress);
        })
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bars) = &inner.bars {
            let _ = bars.clear();
        }
    }
}

impl Inner {
    fn show(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        match progress {
            Progress::RunStarted {
                run,
                instance,
                resource,
                kind,
            } => {
                if let Some(bars) = &self.bars {
                    let bar = bars.add(ProgressBar::no_length());
                    bar.set_style(style("{msg:44} {human_pos:>9} {bar:24} {elapsed:>4}"));
                    bar.set_message(format!("{instance} {resource} {kind}"));
                    self.runs.insert(*run, bar);
                }
            }
            Progress::Run {
                run,
                seen,
                expected,
                ..
            } => {
                if let Some(bar) = self.runs.get(run) {
                    if let Some(expected) = expected {
                        bar.set_length(*expected);
                    }
                    bar.set_position(seen.unsigned_abs());
                }
            }
            Progress::RunEnded {
                run,
                instance,
                resource,
                kind,
                state,
                why,
                changed,
            } => {
                if let Some(bar) = self.runs.remove(run) {
                    bar.finish_and_clear();
                }
                let why = why
                    .as_deref()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                if (*changed > 0 && self.tells_runs) || *state != "done" {
                    self.line(&format!(
                        "{instance}  {resource} {kind}: {state}{why}, {} changed",
                        grouped(*changed)
                    ));
                }
            }
            Progress::Details {
                instance,
                done,
                waiting,
            } => self.details(instance, *done, *waiting),
            // Its run was told of.
            Progress::Swept(_) => {}
        }
    }

    fn details(&mut self, instance: &str, done: u64, waiting: i64) {
        let now = Instant::now();
        let bars = &self.bars;
        let details = self
            .details
            .entry(instance.to_owned())
            .or_insert_with(|| Details {
                bar: bars.as_ref().map(|bars| {
                    let bar = bars.add(ProgressBar::no_length());
                    bar.set_style(style(
                        "{msg:44} {human_pos:>9} {bar:24} {elapsed:>4}, {per_sec}, eta {eta}",
                    ));
                    bar.set_message(format!("{instance} details"));
                    bar
                }),
                began: now,
                told: now,
            });
        if let Some(bar) = &details.bar {
            bar.set_length(done.saturating_add(waiting.unsigned_abs()));
            bar.set_position(done);
            return;
        }
        if now.duration_since(details.told) < LINE_EVERY {
            return;
        }
        details.told = now;
        let rate = done as f64 / details.began.elapsed().as_secs_f64().max(0.001);
        let left =
            Duration::try_from_secs_f64(waiting as f64 / rate.max(0.001)).unwrap_or(Duration::MAX);
        eprintln!(
            "{instance}  details: {} fetched, {} to come, {rate:.1} per second, about {} left",
            grouped(i64::try_from(done).unwrap_or(i64::MAX)),
            grouped(waiting),
            readable(left),
        );
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => eprintln!("{text}"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
