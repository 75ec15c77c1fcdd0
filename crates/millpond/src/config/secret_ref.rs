//! Where a secret is found. Configuration holds such references, never secrets.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The value of an environment variable.
    Env(String),
    /// The content of a file, without the line break at its end.
    File(PathBuf),
}

/// A text that is neither. It may be a secret, so it is not shown.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected where the secret is found, `env:NAME` or `file:PATH`; a secret itself does not belong into \
     configuration (what stands there is not shown)"
)]
pub struct NotAReference;

impl FromStr for SecretRef {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        if let Some(name) = text.strip_prefix("env:") {
            let plain = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return plain
                .then(|| Self::Env(name.to_owned()))
                .ok_or(NotAReference);
        }
        match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => Err(NotAReference),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom(NotAReference))?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
