//! Reading a log with all cores.

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

use crate::blocks::{BLOCK, Blocks};
use crate::report::Report;
use crate::shared::Shared;
use crate::skipped::Skipped;
use crate::tally::{Sums, Tally};

/// The most workers.
const WORKERS_MAX: usize = 8;

/// How a log is judged.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most calls at the same time over one connection that are fine.
    pub parallel_max: u32,
    /// Calls a minute that one connection may make, by base URL; the first whose URL begins alike holds.
    pub limits: Vec<(String, u32)>,
    /// Threads to read with; `None`: one for each core, at most eight.
    pub workers: Option<NonZero<usize>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallel_max: 10,
            limits: Vec::new(),
            workers: None,
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The log could not be read to its end.
    #[error("the log cannot be read")]
    Unreadable(#[source] io::Error),
    /// The log has no bytes.
    #[error("the log is empty: no call was logged")]
    Empty,
    /// There are lines, but none is a call.
    #[error("no line of the log is a call ({0})")]
    NoCalls(Skipped),
}

/// Reads `log` to its end and reports on it.
///
/// Needs about 1 MiB per worker and what the log's endpoints, connections and minutes need; each has a bound.
///
/// # Errors
///
/// [`ReportError`]. Lines that are no calls are no error: they are skipped and counted in [`Report::skipped`].
pub fn analyze(log: impl Read + Send, options: &Options) -> Result<Report, ReportError> {
    let blocks = Mutex::new(Blocks::new(log));
    let shared = Mutex::new(Shared::default());
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = options
        .workers
        .map_or_else(cores, NonZero::get)
        .clamp(1, WORKERS_MAX);
    let work = || -> io::Result<(Sums, u64)> {
        let mut tally = Tally::new();
        let mut buffer = vec![0; BLOCK];
        let mut bytes = 0;
        loop {
            let block = blocks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(&mut buffer)?;
            let Some(block) = block else { break };
            bytes = bytes.max(block.at + block.len as u64);
            tally.block(&buffer[..block.len], block, &shared);
        }
        Ok((tally.sums, bytes))
    };
    let ended: Vec<io::Result<(Sums, u64)>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut ended = vec![work()];
        for other in others {
            ended.push(
                other
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a worker panicked"))),
            );
        }
        ended
    });
    let mut sums = Sums::default();
    let mut bytes = 0;
    for one in ended {
        let (more, to) = one.map_err(ReportError::Unreadable)?;
        sums.merge(more);
        bytes = bytes.max(to);
    }
    if sums.calls == 0 {
        return Err(match sums.skipped.lines() {
            0 => ReportError::Empty,
            _ => ReportError::NoCalls(sums.skipped),
        });
    }
    let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Report::of(sums, shared, bytes, options))
}
