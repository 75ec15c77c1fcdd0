//! Why a private PostgreSQL could not be started, one variant per thing its owner can do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why [`PrivateCluster::start`](super::PrivateCluster::start) or
/// [`stop`](super::PrivateCluster::stop) failed.
///
/// Whatever the variant: nothing half-made is in the way of the next start, and no server was left
/// running that was not running before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// No server programs on this machine.
    #[error(
        "found no PostgreSQL server programs (initdb, postgres, pg_ctl of version 14 to 18) in {searched}; \
         install them with `apt-get install postgresql`, or set DATABASE_URL to a server you have"
    )]
    ServerMissing {
        /// Where they were looked for.
        searched: String,
    },
    /// The download of server programs failed.
    #[error(
        "could not download the PostgreSQL server programs to {dir}; install them with `apt-get install postgresql`"
    )]
    Download {
        /// Where they were to go.
        dir: PathBuf,
        /// What the library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The data directory was made by a major version whose programs are not here.
    #[error(
        "the database in {data_dir} is of PostgreSQL {data_major}, but only PostgreSQL {found} is installed; \
         install the old one with `apt-get install postgresql-{data_major}`, or move the directory away to mirror afresh"
    )]
    OtherMajor {
        /// The data directory.
        data_dir: PathBuf,
        /// The version that made it.
        data_major: u32,
        /// The versions found.
        found: String,
    },
    /// The directory cannot be used by the user the server runs as.
    #[error(
        "PostgreSQL runs as user `{user}` here, who cannot {action} {path}; \
         give that user access, or choose another data directory, such as one under /var/lib"
    )]
    NotAccessible {
        /// The operating system's user.
        user: String,
        /// `enter` or `write to`.
        action: &'static str,
        /// The first path that refuses.
        path: PathBuf,
    },
    /// The user named to run the server does not exist, or none could be found or made.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user `{user}` to run it as; make one with `useradd --system {user}`"
    )]
    NoSuchUser {
        /// The name that was looked for.
        user: String,
    },
    /// The port that was asked for is in use.
    #[error(
        "port {port} on 127.0.0.1 is in use by another program; choose another, or leave it out to get a free one"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The disk of the data directory is full.
    #[error(
        "the disk that holds {dir} is full ({free_mib} MiB free); free some space and start again: nothing committed is lost"
    )]
    DiskFull {
        /// The data directory.
        dir: PathBuf,
        /// What is left for an ordinary user, in MiB.
        free_mib: u64,
    },
    /// `initdb` failed for a reason of its own.
    #[error("initdb could not make a database in {dir}: {said}")]
    Init {
        /// The data directory.
        dir: PathBuf,
        /// The end of what it printed.
        said: String,
    },
    /// The server did not start, for a reason of its own.
    #[error("PostgreSQL did not start on {dir}: {said} (its log: {log})")]
    Start {
        /// The data directory.
        dir: PathBuf,
        /// The end of its log.
        said: String,
        /// Where the whole log is.
        log: PathBuf,
    },
    /// Another process is starting or stopping the same cluster and did not finish.
    #[error(
        "waited {waited:?} for another process that is starting or stopping the database in {dir}"
    )]
    Busy {
        /// The data directory.
        dir: PathBuf,
        /// For how long.
        waited: Duration,
    },
    /// The server did not end in time.
    #[error("PostgreSQL on {dir} did not end within {waited:?}")]
    StillRunning {
        /// The data directory.
        dir: PathBuf,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// A file or program of ours could not be used.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server runs but did not answer as it must.
    #[error("the private PostgreSQL did not {action}")]
    Sql {
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
}

impl PrivateError {
    /// For `map_err`: what was tried on which path. A full disk becomes [`PrivateError::DiskFull`].
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull => Self::disk_full(path),
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// A full disk, with what is left on it.
    pub(super) fn disk_full(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let existing = dir.ancestors().find(|path| path.exists()).unwrap_or(&dir);
        let free_mib =
            rustix::fs::statvfs(existing).map_or(0, |fs| fs.f_bavail * fs.f_frsize / (1 << 20));
        Self::DiskFull { dir, free_mib }
    }
}
