//! What `postmaster.pid` says: which server runs on a data directory, and whether it really does.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// A server as its `postmaster.pid` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub pid: i32,
    pub port: u16,
    pub socket_dir: PathBuf,
    pub status: Status,
}

/// How far a server is, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Starting,
    Ready,
    Stopping,
}

impl Postmaster {
    /// The server that runs on `pgdata`; `None` when there is none, whatever the file claims.
    pub fn find(pgdata: &Path) -> Option<Self> {
        let postmaster = parse(&fs::read_to_string(pgdata.join("postmaster.pid")).ok()?)?;
        runs_on(postmaster.pid, pgdata).then_some(postmaster)
    }

    /// Whether this very server still runs; it removes its `postmaster.pid` a moment before it ends.
    pub fn is_running(&self, pgdata: &Path) -> bool {
        runs_on(self.pid, pgdata)
    }

    /// Removes a `postmaster.pid` whose process is gone or is another program by now.
    ///
    /// PostgreSQL does the first itself but not the second: after a crash of a container the old process id
    /// often belongs to somebody else, and the server would refuse to start for ever.
    pub fn remove_stale(pgdata: &Path) {
        let file = pgdata.join("postmaster.pid");
        let Ok(text) = fs::read_to_string(&file) else {
            return;
        };
        let pid = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok());
        if pid.is_none_or(|pid| !runs_on(pid, pgdata)) && fs::remove_file(&file).is_ok() {
            tracing::info!(path = %file.display(), "removed the stale lock file {}", file.display());
        }
    }
}

/// Lines: process id, data directory, start time, port, socket directory, listen address, memory key, status.
fn parse(text: &str) -> Option<Postmaster> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    Some(Postmaster {
        pid: lines.first()?.parse().ok()?,
        port: lines.get(3)?.parse().ok()?,
        socket_dir: PathBuf::from(lines.get(4)?),
        status: match lines.get(7).copied() {
            Some("ready") => Status::Ready,
            Some("stopping") => Status::Stopping,
            _ => Status::Starting,
        },
    })
}

/// Whether process `pid` is a server on `pgdata`: it lives, and (where the system tells) works in that directory.
fn runs_on(pid: i32, pgdata: &Path) -> bool {
    let Some(process) = Pid::from_raw(pid) else {
        return false;
    };
    match rustix::process::test_kill_process(process) {
        Ok(()) | Err(rustix::io::Errno::PERM) => {}
        Err(_) => return false,
    }
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(cwd) => fs::canonicalize(pgdata).is_ok_and(|pgdata| cwd == pgdata),
        // It has ended, and nobody took its exit status yet.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && Path::new("/proc/1").exists() =>
        {
            false
        }
        // No /proc, or not ours to look at: the safe guess is that it is the server.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests;
