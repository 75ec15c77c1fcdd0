//! `millpond config`: what holds, and what may stand in the file.

use clap::Subcommand;

use super::Context;
use crate::{
    config::reference,
    output::{Exit, Table},
    secrets::Secrets,
};

/// What the configuration says
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the configuration and print every setting with where it comes from
    ///
    /// Also looks whether every secret that is referred to is there. Secrets are never printed.
    Check,
    /// Print an example of a configuration file
    Example,
    /// Print the reference of all keys, as Markdown
    Reference,
}

impl ConfigCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Check => check(context),
            Self::Example => {
                context.output.line(&reference::example())?;
                Ok(Exit::Done)
            }
            Self::Reference => {
                context.output.line(&reference::page())?;
                Ok(Exit::Done)
            }
        }
    }
}

fn check(context: &Context) -> anyhow::Result<Exit> {
    let loaded = context.load()?;
    let settings = loaded.effective();
    context.output.answer(&settings, || {
        let mut table = Table::new(["setting", "value", "from"]);
        for setting in &settings {
            table.row([
                setting.key.clone(),
                setting.value.to_string(),
                setting.origin.to_string(),
            ]);
        }
        table.to_string()
    })?;
    let secrets = Secrets::new(context.environment.clone(), &loaded.base);
    let missing = missing_secrets(&loaded.config, &secrets);
    for line in &missing {
        eprintln!("error: {line}");
    }
    Ok(if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Usage
    })
}

/// Each secret that is not to be had, in a sentence.
pub(super) fn missing_secrets(config: &crate::config::Config, secrets: &Secrets) -> Vec<String> {
    let mut missing = Vec::new();
    let mut look = |key: String, reference| {
        if let Err(why) = secrets.resolve(reference) {
            missing.push(format!("`{key}`: {why}"));
        }
    };
    if let Some(url) = &config.database.url {
        look("database.url".to_owned(), url);
    }
    for (n, key) in config.server.api_keys.iter().enumerate() {
        look(format!("server.api_keys[{n}]"), key);
    }
    if let Some(key) = &config.memory.api_key {
        look("memory.api_key".to_owned(), key);
    }
    for instance in &config.instances {
        if let Some(secret) = &instance.hook_secret {
            look(format!("hook_secret of {}", instance.name), secret);
        }
        for connection in &instance.connections {
            for (name, reference) in &connection.secrets {
                look(
                    format!(
                        "secret `{name}` of connection {} of {}",
                        connection.name, instance.name
                    ),
                    reference,
                );
            }
        }
    }
    missing
}
