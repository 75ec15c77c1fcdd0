//! The same read again, soon after: a retry when it had failed, a repetition when it had not.

/// How soon is soon.
const SOON_MS: i64 = 10_000;

/// Calls remembered; a later one takes the place of an earlier one whose hash ends alike.
const REMEMBERED: usize = 1 << 12;

/// What a call is to the one before it with the same method and URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    New,
    AfterFailure,
    AfterSuccess,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    hash: u64,
    ended_ms: i64,
    failed: bool,
}

/// The last calls of a block of the log.
#[derive(Debug)]
pub(crate) struct Repeats {
    seen: Vec<Seen>,
}

impl Repeats {
    pub(crate) fn new() -> Self {
        Self {
            seen: vec![Seen::default(); REMEMBERED],
        }
    }

    /// Forgets all: blocks are judged alone, so that the result does not depend on who reads which.
    pub(crate) fn clear(&mut self) {
        self.seen.fill(Seen::default());
    }

    /// What the call with this hash of method and URL is; remembers it.
    pub(crate) fn note(&mut self, hash: u64, start_ms: i64, ended_ms: i64, failed: bool) -> Again {
        let seen = &mut self.seen[hash as usize % REMEMBERED];
        let gap = start_ms - seen.ended_ms;
        // Clocks are read in whole milliseconds: a start may seem a little before the end it follows.
        let is_soon = seen.hash == hash && (-1..=SOON_MS).contains(&gap);
        let again = match (is_soon, seen.failed) {
            (false, _) => Again::New,
            (true, true) => Again::AfterFailure,
            (true, false) => Again::AfterSuccess,
        };
        *seen = Seen {
            hash,
            ended_ms,
            failed,
        };
        again
    }
}
