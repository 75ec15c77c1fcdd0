//! Who the server runs as: ourselves, or an unprivileged user when we are root.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Uid};

use super::error::PrivateError;

/// The user that packages of PostgreSQL make.
const USUAL_USER: &str = "postgres";
/// The user made when there is none.
const OWN_USER: &str = "millpond";
/// Variables that would change what the server's programs do.
const SERVER_VARIABLES: [&str; 9] = [
    "PGDATA",
    "PGPORT",
    "PGHOST",
    "PGOPTIONS",
    "PGUSER",
    "PGDATABASE",
    "PGSERVICE",
    "PGPASSFILE",
    "PGCLIENTENCODING",
];

/// The operating system's user that owns the cluster's files and runs its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether we must change to it.
    foreign: bool,
}

impl Account {
    /// Ourselves as an ordinary user. As root: the owner of the cluster if there is one, else `run_as`, else
    /// `postgres`, else a `millpond` that is made.
    pub fn choose(run_as: Option<&str>, pgdata: &Path) -> Result<Self, PrivateError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            let name = name_of(uid).unwrap_or_else(|| uid.to_string());
            return Ok(Self {
                name,
                uid,
                gid: rustix::process::getegid().as_raw(),
                foreign: false,
            });
        }
        if let Ok(about) = std::fs::metadata(pgdata)
            && about.uid() != 0
        {
            let name = name_of(about.uid()).unwrap_or_else(|| about.uid().to_string());
            return Ok(Self {
                name,
                uid: about.uid(),
                gid: about.gid(),
                foreign: true,
            });
        }
        if let Some(name) = run_as {
            return find(name).ok_or_else(|| PrivateError::NoSuchUser {
                user: name.to_owned(),
            });
        }
        if let Some(account) = find(USUAL_USER).or_else(|| find(OWN_USER)) {
            return Ok(account);
        }
        let made = Command::new("useradd")
            .args([
                "--system",
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                OWN_USER,
            ])
            .stdin(Stdio::null())
            .output();
        if let Err(error) = made {
            tracing::debug!(%error, "could not run useradd to make the user `{OWN_USER}`");
        }
        find(OWN_USER).ok_or_else(|| PrivateError::NoSuchUser {
            user: OWN_USER.to_owned(),
        })
    }

    /// A command that runs as this user, in `dir`, heedless of our PostgreSQL variables and terminal.
    pub fn command(&self, program: impl AsRef<Path>, dir: &Path) -> Command {
        let mut command = Command::new(program.as_ref());
        if self.foreign {
            // Dropping from root also drops root's other groups.
            command.uid(self.uid).gid(self.gid).env("HOME", dir);
        }
        for variable in SERVER_VARIABLES {
            command.env_remove(variable);
        }
        // Our own words are looked for in what the programs print.
        command
            .env("LC_ALL", "C")
            .current_dir(dir)
            .stdin(Stdio::null());
        command
    }

    /// Gives `path` to this user.
    pub fn own(&self, path: &Path) -> Result<(), PrivateError> {
        if !self.foreign {
            return Ok(());
        }
        rustix::fs::chown(
            path,
            Some(Uid::from_raw(self.uid)),
            Some(Gid::from_raw(self.gid)),
        )
        .map_err(|errno| PrivateError::io("change the owner of", path)(errno.into()))
    }
}

/// A user of this name in /etc/passwd, or known to `id` (directory services).
fn find(name: &str) -> Option<Account> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, gid) =
        passwd_entry(&passwd, name).or_else(|| Some((id("-u", name)?, id("-g", name)?)))?;
    // A server that runs as root is what we are here to avoid.
    (uid != 0).then(|| Account {
        name: name.to_owned(),
        uid,
        gid,
        foreign: true,
    })
}

fn passwd_entry(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find(|fields| fields.clone().next() == Some(name))?;
    Some((fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn id(flag: &str, name: &str) -> Option<u32> {
    let said = Command::new("id")
        .args([flag, name])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}

fn name_of(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = uid.to_string();
    let line = passwd
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&uid))?;
    line.split(':').next().map(str::to_owned)
}
