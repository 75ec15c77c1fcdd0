//! What commands print: text for people, JSON for programs, and how the process ends.

use std::io::{self, Write};

use serde::Serialize;

/// How a command ended; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It tried and failed.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was tried.
    Usage = 2,
    /// It did what was asked, and found differences.
    Differences = 3,
    /// What was asked for is not there.
    NotFound = 4,
}

impl Exit {
    /// Each code with its meaning, for `--help` and the docs.
    pub const MEANINGS: [(Exit, &'static str); 5] = [
        (Exit::Done, "done"),
        (Exit::Failed, "tried and failed"),
        (
            Exit::Usage,
            "wrong command line or configuration; nothing was tried",
        ),
        (Exit::Differences, "done, and differences were found"),
        (Exit::NotFound, "what was asked for is not there"),
    ];
}

/// Where a command's answer goes: standard output, as text or as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether a program reads it.
    pub json: bool,
}

impl Output {
    /// Prints `value` as one line of JSON, or else what `text` says.
    ///
    /// # Errors
    ///
    /// Standard output is closed or full.
    pub fn answer<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json {
            self.line(&serde_json::to_string(value).map_err(io::Error::other)?)
        } else {
            self.line(&text())
        }
    }

    /// Prints a line; a text that ends in a line break gets no second one.
    ///
    /// # Errors
    ///
    /// Standard output is closed or full.
    pub fn line(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

/// Rows under a header, in columns as wide as their widest cell.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a row of as many cells as there are.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A table with these names above its columns.
    pub fn with_header(header: Vec<String>) -> Self {
        Self { rows: vec![header] }
    }

    /// Whether there is nothing below the header.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', 2 + width - cell.chars().count()));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A duration as people read it: `850 ms`, `12 s`, `3 min`, `27 h`, `4 d`.
pub fn readable(duration: std::time::Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// How long ago `at` was, as people read it.
pub fn ago(at: jiff::Timestamp, now: jiff::Timestamp) -> String {
    readable(age(at, now))
}

/// How long ago `at` was; a moment to come is no time ago.
pub fn age(at: jiff::Timestamp, now: jiff::Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// A number with thin groups: `1,234,567`.
pub fn grouped(number: i64) -> String {
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
