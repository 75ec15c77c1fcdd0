//! Finding the server's programs: a directory that holds `initdb`, `postgres` and `pg_ctl`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::PrivateError;

/// The oldest major version that the migrations are written for.
const MAJOR_MIN: u32 = 14;
/// Where distributions and installers put several versions side by side.
const VERSIONED_ROOTS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/local/lib/postgresql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr", "bin"),
];
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// One installed version of the server's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub dir: PathBuf,
    pub major: u32,
}

impl Binaries {
    /// The programs in `dir`, if all are there and of a version that will do.
    pub fn at(dir: &Path) -> Option<Self> {
        if !PROGRAMS.iter().all(|program| dir.join(program).is_file()) {
            return None;
        }
        let said = Command::new(dir.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let major = major_of(&String::from_utf8_lossy(&said.stdout))?;
        (major >= MAJOR_MIN).then(|| Self {
            dir: dir.to_owned(),
            major,
        })
    }

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// All installed versions, those on the search path first, then newest first.
pub(super) fn find_all(search_path: Option<&OsStr>) -> Vec<Binaries> {
    let mut dirs: Vec<PathBuf> = search_path
        .map(|path| std::env::split_paths(path).collect())
        .unwrap_or_default();
    dirs.extend(pg_config_dir());
    let mut found: Vec<Binaries> = Vec::new();
    for dir in dirs {
        add(&mut found, &dir);
    }
    let mut versioned: Vec<Binaries> = Vec::new();
    for (root, bin) in VERSIONED_ROOTS {
        let Ok(entries) = std::fs::read_dir(root) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // /usr/lib/postgresql/16, /usr/pgsql-16, /opt/homebrew/opt/postgresql@16
            let version = name
                .trim_start_matches("pgsql-")
                .trim_start_matches("postgresql@");
            if version.parse::<u32>().is_ok() {
                add(&mut versioned, &entry.path().join(bin));
            }
        }
    }
    versioned.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    for binaries in versioned {
        if !found.contains(&binaries) {
            found.push(binaries);
        }
    }
    found
}

/// Picks the programs for a data directory: of the version that made it, else the first found.
pub(super) fn choose(
    found: Vec<Binaries>,
    data_major: Option<u32>,
    data_dir: &Path,
) -> Result<Binaries, PrivateError> {
    let Some(data_major) = data_major else {
        return found
            .into_iter()
            .next()
            .ok_or_else(|| PrivateError::ServerMissing {
                searched: searched(),
            });
    };
    if let Some(same) = found.iter().find(|binaries| binaries.major == data_major) {
        return Ok(same.clone());
    }
    if found.is_empty() {
        return Err(PrivateError::ServerMissing {
            searched: searched(),
        });
    }
    let versions: Vec<String> = found
        .iter()
        .map(|binaries| binaries.major.to_string())
        .collect();
    Err(PrivateError::OtherMajor {
        data_dir: data_dir.to_owned(),
        data_major,
        found: versions.join(", "),
    })
}

fn searched() -> String {
    "PATH, the answer of pg_config, and /usr/lib/postgresql/*/bin".to_owned()
}

fn add(found: &mut Vec<Binaries>, dir: &Path) {
    if let Some(binaries) = Binaries::at(dir)
        && !found.contains(&binaries)
    {
        found.push(binaries);
    }
}

fn pg_config_dir() -> Option<PathBuf> {
    let said = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let dir = String::from_utf8(said.stdout).ok()?;
    (!dir.trim().is_empty()).then(|| PathBuf::from(dir.trim()))
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian …)`, `… 18beta1`, `… 17devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
