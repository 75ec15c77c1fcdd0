//! Where the files of a private cluster are, and who may touch them.

use std::fs::{self, File, Permissions};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::PrivateError;

/// A socket's path may have 107 bytes; `/.s.PGSQL.65535` takes 15 of them.
const SOCKET_DIR_BYTES_MAX: usize = 107 - 15;

/// The paths inside one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub root: PathBuf,
}

impl Layout {
    pub fn new(data_dir: &Path) -> Result<Self, PrivateError> {
        let root = std::path::absolute(data_dir).map_err(PrivateError::io("resolve", data_dir))?;
        Ok(Self { root })
    }

    /// The cluster's own files, as `initdb` made them.
    pub fn pgdata(&self) -> PathBuf {
        self.root.join("pgdata")
    }

    /// Where `initdb` works; renamed to [`pgdata`](Self::pgdata) when it is whole.
    pub fn unfinished(&self) -> PathBuf {
        self.root.join("pgdata.unfinished")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("postgresql.log")
    }

    /// What the users of the server hold open for as long as they need it.
    pub fn fifo(&self) -> PathBuf {
        self.root.join("users.fifo")
    }

    /// The keeper's script.
    pub fn keeper(&self) -> PathBuf {
        self.root.join("keeper.sh")
    }

    /// There while the keeper considers ending the server.
    pub fn ending(&self) -> PathBuf {
        self.root.join("ending")
    }

    /// Locked by whoever starts the server.
    pub fn start_lock(&self) -> PathBuf {
        self.root.join("start.lock")
    }

    /// Locked, shared, by every user of the server.
    pub fn users_lock(&self) -> PathBuf {
        self.root.join("users.lock")
    }

    /// The owner's password for TCP.
    pub fn password(&self) -> PathBuf {
        self.root.join("password")
    }

    /// The port of the last start.
    pub fn port(&self) -> PathBuf {
        self.root.join("port")
    }

    /// The directory of the socket: inside, unless that makes its path too long for the system.
    pub fn socket_dir(&self, account: &Account) -> PathBuf {
        let inside = self.root.join("socket");
        if inside.as_os_str().len() <= SOCKET_DIR_BYTES_MAX {
            return inside;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default()
            .hash_one(self.root.as_os_str().as_bytes());
        PathBuf::from(format!("/tmp/millpond-{}-{hash:016x}", account.uid))
    }

    /// Makes the directories, all owned by `account`, and checks that it can work in them.
    pub fn prepare(&self, account: &Account) -> Result<(), PrivateError> {
        make_dirs(&self.root, account)?;
        check_access(&self.root, account)?;
        let socket_dir = self.socket_dir(account);
        make_private_dir(&socket_dir, account)
    }

    /// The major version that made the cluster; `None` when there is none yet.
    pub fn data_major(&self) -> Option<u32> {
        let version = fs::read_to_string(self.pgdata().join("PG_VERSION")).ok()?;
        version.trim().split('.').next()?.parse().ok()
    }

    /// Opens one of our lock files, making it if need be.
    pub fn open_lock(path: &Path, account: &Account) -> Result<File, PrivateError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(PrivateError::io("open the lock", path))?;
        account.own(path)?;
        Ok(file)
    }

    /// Writes a small file of ours that only the account can read.
    pub fn write_private(path: &Path, text: &str, account: &Account) -> Result<(), PrivateError> {
        let fresh = path.with_extension("new");
        let write = || {
            fs::write(&fresh, "")?;
            fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
            fs::write(&fresh, text)
        };
        write().map_err(PrivateError::io("write", &fresh))?;
        account.own(&fresh)?;
        fs::rename(&fresh, path).map_err(PrivateError::io("write", path))
    }
}

/// Makes `dir` and its missing parents. What is made belongs to the account; what was there stays as it is.
fn make_dirs(dir: &Path, account: &Account) -> Result<(), PrivateError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dirs(parent, account)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => account.own(dir),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(PrivateError::NotAccessible {
                user: account.name.clone(),
                action: "write to",
                path: dir.parent().unwrap_or(dir).to_owned(),
            })
        }
        Err(error) => Err(PrivateError::io("make the directory", dir)(error)),
    }
}

/// Makes a directory that nobody but the account may enter, or refuses one that is somebody else's.
fn make_private_dir(dir: &Path, account: &Account) -> Result<(), PrivateError> {
    let made = match fs::create_dir(dir) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(PrivateError::io("make the directory", dir)(error)),
    };
    let about = fs::symlink_metadata(dir).map_err(PrivateError::io("look at", dir))?;
    if !about.is_dir() || !(made || about.uid() == account.uid) {
        return Err(PrivateError::NotAccessible {
            user: account.name.clone(),
            action: "write to",
            path: dir.to_owned(),
        });
    }
    account.own(dir)?;
    // Whoever reaches the socket is let in without a password: this is the gate.
    fs::set_permissions(dir, Permissions::from_mode(0o700))
        .map_err(PrivateError::io("protect", dir))
}

/// Checks as the account itself: permission bits alone do not tell (ACLs, mounts, root).
fn check_access(dir: &Path, account: &Account) -> Result<(), PrivateError> {
    let test = |flag: &str, path: &Path| {
        let passed = account
            .command("test", Path::new("/"))
            .arg(flag)
            .arg(path)
            .status();
        passed
            .map_err(PrivateError::io("run `test` on", path))
            .map(|status| status.success())
    };
    let denied = |action, path: &Path| PrivateError::NotAccessible {
        user: account.name.clone(),
        action,
        path: path.to_owned(),
    };
    let parents: Vec<&Path> = dir.ancestors().collect();
    for parent in parents.into_iter().rev() {
        if !test("-x", parent)? {
            return Err(denied("enter", parent));
        }
    }
    if !test("-w", dir)? {
        return Err(denied("write to", dir));
    }
    Ok(())
}
