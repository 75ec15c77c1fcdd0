//! Making the cluster's files: `initdb` into a directory that gets its name only when it is whole.

use std::fs;
use std::path::Path;

use super::account::Account;
use super::binaries::Binaries;
use super::error::PrivateError;
use super::layout::Layout;
use super::{OWNER, conf};

/// How much of a program's last words goes into an error, in bytes.
const SAID_BYTES_MAX: usize = 800;

/// Makes the cluster unless it is there. What an earlier, interrupted try left is removed first.
pub(super) fn ensure(
    layout: &Layout,
    account: &Account,
    binaries: &Binaries,
    durable: bool,
) -> Result<(), PrivateError> {
    if layout.pgdata().join("PG_VERSION").exists() {
        return Ok(());
    }
    let unfinished = layout.unfinished();
    remove_dir(&unfinished)?;
    let made = init(layout, account, binaries, durable);
    if made.is_err() {
        // Best effort: the next start removes it too. On a full disk this is what makes room again.
        let _ = remove_dir(&unfinished);
        let _ = fs::remove_file(layout.password());
    }
    made?;
    fs::rename(&unfinished, layout.pgdata()).map_err(PrivateError::io("rename", unfinished))
}

fn init(
    layout: &Layout,
    account: &Account,
    binaries: &Binaries,
    durable: bool,
) -> Result<(), PrivateError> {
    let password = random_password();
    Layout::write_private(&layout.password(), &password, account)?;
    let unfinished = layout.unfinished();
    let mut said = String::new();
    for locale in locales(binaries.major) {
        remove_dir(&unfinished)?;
        let mut command = account.command(binaries.program("initdb"), &layout.root);
        command
            .arg("--pgdata")
            .arg(&unfinished)
            .args([
                "--username",
                OWNER,
                "--encoding",
                "UTF8",
                "--data-checksums",
                "--no-instructions",
            ])
            .args([
                "--auth-local",
                "trust",
                "--auth-host",
                "scram-sha-256",
                "--pwfile",
            ])
            .arg(layout.password())
            .args(locale);
        if !durable {
            command.arg("--no-sync");
        }
        let output = command
            .output()
            .map_err(PrivateError::io("run", binaries.program("initdb")))?;
        if output.status.success() {
            return conf::include(&unfinished);
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        if says_disk_full(&said) {
            return Err(PrivateError::disk_full(&layout.root));
        }
        if !said.contains("locale") {
            break;
        }
    }
    Err(PrivateError::Init {
        dir: layout.root.clone(),
        said: last_words(&said),
    })
}

/// Sorting by code point, the same on every machine; what a version or system may lack comes first. `C` orders as
/// `C.UTF-8` does, but by comparing bytes instead of asking the system for every pair of keys.
fn locales(major: u32) -> Vec<Vec<&'static str>> {
    let mut locales = Vec::new();
    if major >= 17 {
        locales.push(vec![
            "--locale",
            "C",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
        ]);
    }
    locales.push(vec!["--locale", "C.UTF-8", "--lc-collate", "C"]);
    locales.push(vec!["--locale", "C"]);
    locales
}

fn random_password() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}

fn remove_dir(dir: &Path) -> Result<(), PrivateError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PrivateError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

pub(super) fn says_disk_full(said: &str) -> bool {
    [
        "No space left on device",
        "Disk quota exceeded",
        "Check free disk space",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// The end of what a program printed, on one line.
pub(super) fn last_words(said: &str) -> String {
    let mut start = said.len().saturating_sub(SAID_BYTES_MAX);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    let lines: Vec<&str> = said[start..]
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}
