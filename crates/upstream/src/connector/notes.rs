//! The problems found so far, and on which line each key stands.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::diagnostics::Problem;

/// The problems found so far, and on which line each key stands.
pub(super) struct Notes {
    pub(super) line_starts: Vec<usize>,
    pub(super) lines: RefCell<BTreeMap<String, usize>>,
    pub(super) problems: RefCell<Vec<Problem>>,
}

impl Notes {
    pub(super) fn new(text: &str) -> Notes {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Notes {
            line_starts,
            lines: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    pub(super) fn push(&self, line: usize, key: String, message: String) {
        self.problems
            .borrow_mut()
            .push(Problem { line, key, message });
    }

    /// Notes a problem at `key` (`resource.sale.of`); its line is that of the key or of the nearest table around.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        let lines = self.lines.borrow();
        let mut around = key;
        let line = loop {
            if let Some(line) = lines.get(around) {
                break *line;
            }
            match around.rfind('.') {
                Some(dot) => around = &around[..dot],
                None => break 1,
            }
        };
        drop(lines);
        self.push(line, key.to_owned(), message.into());
    }
}
