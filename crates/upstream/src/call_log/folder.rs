//! The folder of call logs: which files are logs, which is the newest, and clearing it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{LATEST, STABLE};

/// What became of the logs of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Files that are gone.
    pub removed: Vec<PathBuf>,
    /// Files that a running process writes to; they stay.
    pub open: Vec<PathBuf>,
}

/// The logs in `folder`, the oldest first. Other files, pointers and folders are no logs.
///
/// # Errors
///
/// The folder is not there or cannot be read.
pub fn call_logs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_log_name) && entry.file_type()?.is_file() {
            logs.push(entry.path());
        }
    }
    // Names sort by time.
    logs.sort();
    Ok(logs)
}

/// Removes the logs in `folder` that no running process writes to, and nothing else.
///
/// # Errors
///
/// The folder cannot be read, or a file cannot be removed: those before it are gone.
pub fn clear_call_logs(folder: &Path) -> io::Result<Cleared> {
    let mut cleared = Cleared::default();
    for path in call_logs(folder)? {
        // Whoever writes a log holds its lock until the process ends, however it ends.
        match File::open(&path)?.try_lock() {
            Ok(()) => {
                std::fs::remove_file(&path)?;
                cleared.removed.push(path);
            }
            Err(TryLockError::WouldBlock) => cleared.open.push(path),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    for pointer in [LATEST, STABLE].map(|name| folder.join(name)) {
        let leads_nowhere = pointer.is_symlink() && !pointer.exists();
        if leads_nowhere {
            std::fs::remove_file(&pointer)?;
        }
    }
    Ok(cleared)
}

/// `2026-03-02T14-30-05.123Z.jsonl`
fn is_log_name(name: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00-00-00.000Z.jsonl";
    name.len() == SHAPE.len()
        && name.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == *shape,
        })
}

#[cfg(test)]
mod tests {
    use super::super::CallLog;
    use super::*;

    #[test]
    fn b130_only_logs_that_nobody_writes_are_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let old = CallLog::open(folder.path(), at("2026-03-02T14:30:05.123Z")).unwrap();
        let old_path = old.path().to_owned();
        drop(old);
        let open = CallLog::open(folder.path(), at("2026-03-02T15:30:05.123Z")).unwrap();
        for name in [
            "notes.jsonl",
            "2026-03-02T14-30-05.123Z.jsonl.bak",
            "2026-03-02.jsonl",
        ] {
            std::fs::write(folder.path().join(name), "mine").unwrap();
        }
        std::fs::create_dir(folder.path().join("2026-03-02T14-30-06.123Z.jsonl")).unwrap();
        assert_eq!(
            call_logs(folder.path()).unwrap(),
            [old_path.clone(), open.path().to_owned()]
        );
        let cleared = clear_call_logs(folder.path()).unwrap();
        assert_eq!(cleared.removed, [old_path]);
        assert_eq!(cleared.open, [open.path().to_owned()]);
        assert!(folder.path().join(STABLE).exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 7);
        drop(open);
        clear_call_logs(folder.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "2026-03-02.jsonl",
                "2026-03-02T14-30-05.123Z.jsonl.bak",
                "2026-03-02T14-30-06.123Z.jsonl",
                "notes.jsonl"
            ]
        );
    }
}
