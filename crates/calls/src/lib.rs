//! The report on a call log: how long calls take, what fails, what runs at the same time, what to do about it.
//!
//! A log is read once, in blocks, by all cores; memory depends on what stands in it (endpoints, connections, minutes),
//! each within a bound, and not on its size. Counts, percentiles up to [`EXACT_BELOW_MS`] and overlaps are exact.
//! The log may be any producer's, as long as each line is a JSON object with `timestamp`, `method`, `url` and
//! `durationMs`; lines that are not are skipped and counted.

mod advice;
mod blocks;
mod bounded;
mod connections;
mod durations;
mod endpoints;
mod html;
mod line;
mod overlap;
mod repeats;
mod report;
mod route;
mod shared;
mod skipped;
mod slowest;
mod tally;
mod text;
mod timeline;
mod work;

pub use advice::{Advice, AdviceKind, Severity};
pub use durations::EXACT_BELOW_MS;
pub use html::to_html;
pub use report::{
    Bucket, CodeCount, Concurrency, ConnectionReport, DurationReport, EndpointReport, Hotspot,
    LevelTime, Minute, Overview, Report, SlowCall, Timeline,
};
pub use skipped::Skipped;
pub use text::to_text;
pub use work::{Options, ReportError, analyze};
