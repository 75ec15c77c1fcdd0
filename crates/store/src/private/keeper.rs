//! The keeper: a small shell process that ends the server when its last user is gone, however they went.
//!
//! We cannot stop the server after a SIGKILL of ourselves, and a server that several processes use must not
//! end with the first of them. So each user holds the write end of a named pipe, and the keeper reads it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::account::Account;
use super::error::PrivateError;
use super::layout::Layout;

const SCRIPT: &str = include_str!("keeper.sh");

/// Our share in a running server: as long as this lives, the keeper leaves the server alone.
#[derive(Debug)]
pub(super) struct Share {
    _pipe: File,
    _users: File,
}

/// What the keeper said about the start.
pub(super) enum Started {
    Running(Child),
    /// What `pg_ctl` printed.
    Failed(String),
}

/// Joins the users of a server whose keeper is at work; `None` when no keeper is.
pub(super) fn join(layout: &Layout, account: &Account) -> Result<Option<Share>, PrivateError> {
    let fifo = layout.fifo();
    let mut pipe = match open_fifo(&fifo, OFlags::WRONLY) {
        Ok(pipe) => pipe,
        // No reader, or no pipe: no keeper.
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PrivateError::io("open", fifo)(error)),
    };
    // A full pipe says as clearly that somebody is here.
    if let Err(error) = pipe.write_all(b"\n")
        && error.kind() != std::io::ErrorKind::WouldBlock
    {
        return Ok(None);
    }
    Ok(Some(Share {
        _pipe: pipe,
        _users: hold_users_lock(layout, account)?,
    }))
}

/// Whether a keeper still reads the pipe.
pub(super) fn is_at_work(layout: &Layout) -> bool {
    open_fifo(&layout.fifo(), OFlags::WRONLY).is_ok()
}

/// Starts a keeper, and through it the server, and joins its users.
pub(super) fn start(
    layout: &Layout,
    account: &Account,
    pg_ctl: &Path,
    linger: Duration,
    start_wait_max: Duration,
) -> Result<(Started, Share), PrivateError> {
    let fifo = layout.fifo();
    make_fifo(&fifo, account)?;
    remove_if_there(&layout.ending())?;
    Layout::write_private(&layout.keeper(), SCRIPT, account)?;
    // The reader first: a writer that does not block needs one.
    let reader = open_fifo(&fifo, OFlags::RDONLY).map_err(PrivateError::io("open", &fifo))?;
    let pipe = open_fifo(&fifo, OFlags::WRONLY).map_err(PrivateError::io("open", &fifo))?;
    rustix::fs::fcntl_setfl(&reader, OFlags::empty())
        .map_err(|errno| PrivateError::io("set up", &fifo)(errno.into()))?;
    let share = Share {
        _pipe: pipe,
        _users: hold_users_lock(layout, account)?,
    };

    let mut child = account
        .command("sh", &layout.root)
        .arg(layout.keeper())
        .arg(pg_ctl)
        .arg(layout.pgdata())
        .arg(layout.log())
        .arg(layout.ending())
        .arg(linger.as_secs().to_string())
        .arg(start_wait_max.as_secs().max(1).to_string())
        .stdin(reader)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Out of our terminal's reach: Ctrl-C is for us to act on.
        .process_group(0)
        .spawn()
        .map_err(PrivateError::io("run", "sh"))?;
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut said)
            .map_err(PrivateError::io("read the answer of", pg_ctl))?;
    }
    match said.trim_end().strip_suffix("started") {
        Some(_) => Ok((Started::Running(child), share)),
        None => {
            child.wait().map_err(PrivateError::io("wait for", pg_ctl))?;
            let said = said.trim_end().trim_end_matches("failed").trim().to_owned();
            Ok((Started::Failed(said), share))
        }
    }
}

/// Whether other processes use the server of `layout`. Only to be asked after our own [`Share`] is dropped.
pub(super) fn has_users(layout: &Layout, account: &Account) -> Result<bool, PrivateError> {
    let file = Layout::open_lock(&layout.users_lock(), account)?;
    Ok(file.try_lock().is_err())
}

fn hold_users_lock(layout: &Layout, account: &Account) -> Result<File, PrivateError> {
    let path = layout.users_lock();
    let file = Layout::open_lock(&path, account)?;
    // Held exclusively only for the moment of `has_users`.
    file.lock_shared().map_err(PrivateError::io("lock", path))?;
    Ok(file)
}

fn open_fifo(path: &Path, access: OFlags) -> std::io::Result<File> {
    File::options()
        .read(access == OFlags::RDONLY)
        .write(access == OFlags::WRONLY)
        .custom_flags((OFlags::NONBLOCK | OFlags::CLOEXEC).bits() as i32)
        .open(path)
}

fn make_fifo(path: &Path, account: &Account) -> Result<(), PrivateError> {
    if std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_fifo()) {
        return Ok(());
    }
    remove_if_there(path)?;
    let made = account
        .command("mkfifo", Path::new("/"))
        .args(["-m", "600"])
        .arg(path)
        .output();
    let output = made.map_err(PrivateError::io("run `mkfifo` on", path))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No space left") {
        return Err(PrivateError::disk_full(path));
    }
    Err(PrivateError::io("make the pipe", path)(
        std::io::Error::other(said.trim().to_owned()),
    ))
}

fn remove_if_there(path: &Path) -> Result<(), PrivateError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PrivateError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
