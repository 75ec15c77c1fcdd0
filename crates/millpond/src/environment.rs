//! The process environment, read once. Nothing else in Millpond looks at it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The variables this process was started with. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, String>,
}

impl Environment {
    /// Takes a copy of the process environment. Variables that are no UTF-8 are left out.
    pub fn of_process() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { vars }
    }

    /// An environment of these variables.
    pub fn of(vars: &[(&str, &str)]) -> Self {
        Self {
            vars: vars
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// The variable's value; an empty one counts as absent.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Where Millpond keeps files of its own when configuration does not say.
    ///
    /// Root gets `/var/lib/millpond`: the database server runs as another user, who cannot enter root's home.
    pub fn data_home(&self) -> PathBuf {
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/millpond");
        }
        let base = self.find("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
            self.find("HOME")
                .map(|home| PathBuf::from(home).join(".local/share"))
        });
        base.unwrap_or_else(|| PathBuf::from("/var/tmp"))
            .join("millpond")
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}
