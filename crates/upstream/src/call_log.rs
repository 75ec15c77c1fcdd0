//! The call log: one JSON object a line for every attempt, a new file per start.

mod folder;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde::Serialize;

pub use folder::{Cleared, call_logs, clear_call_logs};

/// Where attempts are written down. Cheap to clone; clones write to the same file.
#[derive(Clone, Debug)]
pub struct CallLog {
    file: Arc<LogFile>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    failed: AtomicBool,
}

/// The name beside the log files that always leads to the newest.
pub const LATEST: &str = "latest.jsonl";

/// A second such name, which other programs that read call logs know.
pub const STABLE: &str = "cw-api-calls.jsonl";

/// One attempt.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    /// When it ended.
    pub timestamp: Timestamp,
    pub method: &'a str,
    pub url: &'a str,
    #[serde(rename = "baseURL")]
    pub base_url: &'a str,
    pub status: Option<u16>,
    #[serde(rename = "durationMs")]
    pub duration_ms: u64,
    pub error: Option<String>,
    pub timeout: u64,
    pub instance: &'a str,
    pub connection: &'a str,
    pub resource: Option<&'a str>,
    pub label: &'a str,
    pub class: &'a str,
    pub attempt: u32,
    #[serde(rename = "waitMs")]
    pub wait_ms: u64,
    pub bytes: u64,
}

impl CallLog {
    /// Opens a new file in `folder`, which is made if need be, and lets [`LATEST`] and
    /// [`STABLE`] lead to it.
    ///
    /// # Errors
    ///
    /// The folder or the file cannot be made. A pointer that cannot be made is only warned about.
    pub fn open(folder: &Path, now: Timestamp) -> io::Result<CallLog> {
        std::fs::create_dir_all(folder)?;
        let mut started = now;
        let (path, file) = loop {
            let path = folder.join(file_name(started));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                // Another process started in the same millisecond.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    started = started
                        .saturating_add(jiff::SignedDuration::from_millis(1))
                        .map_err(io::Error::other)?;
                }
                Err(error) => return Err(error),
            }
        };
        // Held until the process ends: who clears the folder sees that the file is being written.
        if let Err(error) = file.try_lock() {
            tracing::warn!(%error, path = %path.display(), "the call log cannot be locked; clearing may remove it");
        }
        let pointed = [LATEST, STABLE].map(|pointer| point_to(folder, pointer, &path));
        if let Some(error) = pointed.into_iter().find_map(Result::err) {
            tracing::warn!(%error, folder = %folder.display(), "the pointer to the newest call log cannot be made");
        }
        Ok(CallLog {
            file: Arc::new(LogFile {
                path,
                file,
                failed: AtomicBool::new(false),
            }),
        })
    }

    /// The file being written.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Writes one line in one piece, so that lines of several threads or a kill never mix or tear them.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_vec(line) else {
            return;
        };
        text.push(b'\n');
        match (&self.file.file).write_all(&text) {
            Ok(()) => self.file.failed.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.file.failed.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, path = %self.file.path.display(), "the call log cannot be written");
                }
            }
        }
    }
}

/// `2026-03-02T14-30-05.123Z.jsonl`: sorts by time, and every file system takes it.
fn file_name(started: Timestamp) -> String {
    started.strftime("%Y-%m-%dT%H-%M-%S.%3fZ.jsonl").to_string()
}

#[cfg(unix)]
fn point_to(folder: &Path, pointer: &str, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    let draft = folder.join(format!("{pointer}.{}", name.to_string_lossy()));
    std::os::unix::fs::symlink(name, &draft)?;
    std::fs::rename(&draft, folder.join(pointer))
}

#[cfg(not(unix))]
fn point_to(folder: &Path, pointer: &str, path: &Path) -> io::Result<()> {
    std::fs::write(
        folder.join(pointer),
        path.file_name().unwrap_or_default().as_encoded_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b107_b108_b139_each_start_has_its_file_and_the_pointers_lead_to_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-03-02T14:30:05.123456Z".parse().unwrap();
        let first = CallLog::open(folder.path(), now).unwrap();
        let second = CallLog::open(folder.path(), now).unwrap();
        assert!(first.path().ends_with("2026-03-02T14-30-05.123Z.jsonl"));
        assert!(second.path().ends_with("2026-03-02T14-30-05.124Z.jsonl"));
        let newest = std::fs::canonicalize(second.path()).unwrap();
        for pointer in [LATEST, STABLE] {
            assert_eq!(
                std::fs::canonicalize(folder.path().join(pointer)).unwrap(),
                newest
            );
        }
    }
}
