//! Finding, reading and judging the configuration file.

use std::path::{Path, PathBuf};

use upstream::{Diagnostics, connector::Problem};

use super::{
    CacheStore, Config, Origin, SecretRef, check, chores, origin::Origins, place::Place,
    place::line_of,
};
use crate::environment::Environment;

/// The file that is read from the current directory when no other is named.
pub const FILE_NAME: &str = "millpond.toml";

/// Keys whose values are never shown, because somebody may have put a secret there.
const SECRET_KEYS: [&str; 5] = ["secrets", "api_keys", "api_key", "url", "hook_secret"];

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says something wrong; each problem has its line and key.
    #[error(transparent)]
    Wrong(#[from] Diagnostics),
}

/// A configuration that holds together, and where it comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The file it was read from, if there was one.
    pub file: Option<PathBuf>,
    /// Where relative paths start.
    pub base: PathBuf,
    /// Where each value comes from.
    pub(super) origins: Origins,
}

/// Reads the file at `path`; without one, the file that MILLPOND_CONFIG names; without that, `millpond.toml` here,
/// if it exists. Environment variables that go before the file are applied.
///
/// # Errors
///
/// See [`ConfigError`]. A file that was named must exist.
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let named = path
        .map(Path::to_owned)
        .or_else(|| environment.find("MILLPOND_CONFIG").map(PathBuf::from));
    let here = PathBuf::from(FILE_NAME);
    let file = named.or_else(|| here.exists().then_some(here));
    let Some(file) = file else {
        return Ok(parse("", "", Path::new("."), environment)?);
    };
    let text = std::fs::read_to_string(&file).map_err(|source| ConfigError::Unreadable {
        path: file.clone(),
        source,
    })?;
    let base = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut loaded = parse(&file.display().to_string(), &text, &base, environment)?;
    loaded.file = Some(file);
    Ok(loaded)
}

/// Reads a configuration out of `text`; `file_name` is only used to say where a problem is.
///
/// # Errors
///
/// All problems of the first stage that has any: no TOML or a wrong shape (one), values that do not hold together
/// (all of them).
pub fn parse(
    file_name: &str,
    text: &str,
    base: &Path,
    environment: &Environment,
) -> Result<Loaded, Diagnostics> {
    let mut config = read(text).map_err(|problem| Diagnostics {
        file: file_name.to_owned(),
        problems: vec![problem],
    })?;
    let mut origins = Origins::new(file_name, text);
    apply(environment, &mut config, &mut origins).map_err(|problem| Diagnostics {
        file: "environment".to_owned(),
        problems: vec![problem],
    })?;
    let problems = check::check(&config, text, base);
    if !problems.is_empty() {
        return Err(Diagnostics {
            file: file_name.to_owned(),
            problems,
        });
    }
    Ok(Loaded {
        config,
        file: None,
        base: base.to_owned(),
        origins,
    })
}

fn read(text: &str) -> Result<Config, Problem> {
    let not_toml = |error: toml::de::Error| Problem {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        key: String::new(),
        message: format!("is no TOML: {}", error.message().replace('\n', ", ")),
    };
    let deserializer = toml::Deserializer::parse(text).map_err(not_toml)?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let place = Place::from_serde(error.path());
        let (line, _) = place.line(text);
        let said = error.inner().message();
        let message = if place.mentions(&SECRET_KEYS) && !said.starts_with("unknown field") {
            super::secret_ref::NotAReference.to_string()
        } else {
            said.replace('\n', ", ")
        };
        Problem {
            line,
            key: place.to_string(),
            message,
        }
    })
}

/// Applies the variables that go before the file.
fn apply(
    environment: &Environment,
    config: &mut Config,
    origins: &mut Origins,
) -> Result<(), Problem> {
    let mut from = |key: &str, name: &str| {
        origins.set(
            key,
            Origin::Environment {
                name: name.to_owned(),
            },
        );
    };
    if environment.find("DATABASE_URL").is_some() {
        config.database.url = Some(SecretRef::Env("DATABASE_URL".to_owned()));
        from("database.url", "DATABASE_URL");
    }
    chores::apply(environment, &mut config.sweep, &mut config.watch, &mut from).map_err(
        |(name, message)| Problem {
            line: 1,
            key: name.to_owned(),
            message,
        },
    )?;
    // The file goes before this one: others on the machine may use the variable too.
    if config.cache.store.is_none() && environment.find("REDIS_URL").is_some() {
        config.cache.store = Some(CacheStore::At(SecretRef::Env("REDIS_URL".to_owned())));
        from("cache.store", "REDIS_URL");
    }
    if let Some(filter) = environment.find("MILLPOND_LOG") {
        filter.clone_into(&mut config.logs.filter);
        from("logs.filter", "MILLPOND_LOG");
    }
    // LOG_CW_API is what programs that read these logs have always called it.
    for name in ["LOG_CW_API", "MILLPOND_CALL_LOG"] {
        let Some(on) = environment.find(name) else {
            continue;
        };
        config.call_log.on = match on {
            "1" | "true" => true,
            "0" | "false" => false,
            _ => {
                return Err(Problem {
                    line: 1,
                    key: name.to_owned(),
                    message: "must be 1 or 0".to_owned(),
                });
            }
        };
        from("call_log.on", name);
    }
    Ok(())
}
