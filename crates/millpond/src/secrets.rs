//! Turning references to secrets into secrets, at the moment they are needed.

use std::path::{Path, PathBuf};

use upstream::Secret;

use crate::{config::SecretRef, environment::Environment};

/// The most bytes a file with a secret may have.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Resolves `env:` and `file:` references.
#[derive(Debug, Clone)]
pub struct Secrets {
    environment: Environment,
    /// Relative paths start here: where the configuration file is.
    base: PathBuf,
}

impl Secrets {
    /// Secrets out of `environment`, and out of files below `base` where a path is relative.
    pub fn new(environment: Environment, base: &Path) -> Self {
        Self {
            environment,
            base: base.to_owned(),
        }
    }

    /// The secret behind `reference`.
    ///
    /// # Errors
    ///
    /// What is missing, in a sentence that names the variable or file and never shows a value.
    pub fn resolve(&self, reference: &SecretRef) -> Result<Secret, String> {
        let text = match reference {
            SecretRef::Env(name) => self
                .environment
                .find(name)
                .ok_or_else(|| format!("the environment variable {name} is not set"))?
                .to_owned(),
            SecretRef::File(path) => read(&self.base.join(path))?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("the secret at {reference} is empty"));
        }
        Ok(Secret::new(text))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let size = std::fs::metadata(path)
        .map_err(|error| format!("the file {shown} cannot be read: {error}"))?
        .len();
    if size > SECRET_BYTES_MAX {
        return Err(format!(
            "the file {shown} has {size} bytes; a secret has at most {SECRET_BYTES_MAX}"
        ));
    }
    std::fs::read_to_string(path)
        .map_err(|error| format!("the file {shown} cannot be read: {error}"))
}
