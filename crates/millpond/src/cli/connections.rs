//! `millpond connections`: sets of credentials, changed while everything runs.

use clap::{Args, Subcommand};
use store::instances::{CallLimit, ConnectionRow, ConnectionSpec};

use super::{Context, Usage};
use crate::{
    config::{Period, SecretRef},
    output::{Exit, Table},
};

/// Connections: sets of credentials with a call limit each. Changes hold at once, without a restart
#[derive(Debug, Subcommand)]
pub(super) enum Connections {
    /// All connections, and how each one fares
    List {
        /// Only of this instance
        instance: Option<String>,
    },
    /// Add a connection, or change one
    Add(Add),
    /// Remove a connection
    Remove(Name),
    /// Use a connection again; also one that was set aside or parked
    Enable(Name),
    /// Use a connection no more, until it is enabled
    Disable(Name),
}

/// Which connection.
#[derive(Debug, Args)]
pub(super) struct Name {
    /// The instance
    instance: String,
    /// The connection's name
    name: String,
}

/// The new connection.
#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    name: Name,
    /// A secret and where it is found, as often as there are secrets: application_key=env:CIN7_KEY_2
    #[arg(long = "secret", value_name = "NAME=env:NAME|file:PATH", value_parser = parse_secret, required = true)]
    secrets: Vec<(String, SecretRef)>,
    /// The most calls in any window. Default: no limit
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: Option<u32>,
    /// The length of the window
    #[arg(long, default_value = "60s")]
    per: Period,
    /// The share of the limit that is ours, above 0 up to 1
    #[arg(long, default_value_t = 1.0)]
    share: f32,
}

fn parse_secret(text: &str) -> Result<(String, SecretRef), String> {
    let (name, reference) = text
        .split_once('=')
        .ok_or("expected NAME=env:NAME or NAME=file:PATH")?;
    let reference = reference
        .parse::<SecretRef>()
        .map_err(|error| error.to_string())?;
    Ok((name.to_owned(), reference))
}

impl Connections {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let store = &database.store;
        let instance = match &self {
            Self::List { instance } => instance.clone(),
            Self::Add(add) => {
                add_connection(store, add).await?;
                Some(add.name.instance.clone())
            }
            Self::Remove(name) => {
                store.remove_connection(&name.instance, &name.name).await?;
                Some(name.instance.clone())
            }
            Self::Enable(name) | Self::Disable(name) => {
                let enabled = matches!(self, Self::Enable(_));
                store
                    .enable_connection(&name.instance, &name.name, enabled)
                    .await?;
                Some(name.instance.clone())
            }
        };
        let rows = store.connections(instance.as_deref()).await?;
        context.output.answer(&rows, || show(&rows))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

async fn add_connection(store: &store::Store, add: &Add) -> anyhow::Result<()> {
    let known = store.instances().await?;
    if !known
        .iter()
        .any(|instance| instance.name == add.name.instance)
    {
        let names: Vec<&str> = known
            .iter()
            .map(|instance| instance.name.as_str())
            .collect();
        return Err(Usage(format!(
            "there is no instance `{}`; there is: {}",
            add.name.instance,
            names.join(", ")
        ))
        .into());
    }
    if !(add.share > 0.0 && add.share <= 1.0) {
        return Err(Usage("--share must be above 0 and at most 1".to_owned()).into());
    }
    let spec = ConnectionSpec {
        instance: add.name.instance.clone(),
        name: add.name.name.clone(),
        secrets: add
            .secrets
            .iter()
            .map(|(name, reference)| (name.clone(), reference.to_string()))
            .collect(),
        limit: add.calls.map(|calls| CallLimit {
            calls,
            window: add.per.0,
        }),
        share: add.share,
        by_command: true,
    };
    Ok(store.save_connection(&spec).await?)
}

fn show(rows: &[ConnectionRow]) -> String {
    let mut table = Table::new([
        "instance",
        "connection",
        "state",
        "limit",
        "in window",
        "share",
        "secrets",
    ]);
    for row in rows {
        let window = Period(std::time::Duration::from_millis(
            row.window_ms.unsigned_abs(),
        ));
        let secrets: Vec<String> = row
            .secrets
            .iter()
            .map(|(name, reference)| format!("{name}={reference}"))
            .collect();
        table.row([
            row.instance.clone(),
            row.name.clone(),
            state(row),
            row.calls.map_or_else(
                || "none".to_owned(),
                |calls| format!("{calls} per {window}"),
            ),
            row.in_window.to_string(),
            format!("{:.2}", row.share * row.learned),
            secrets.join(" "),
        ]);
    }
    table.to_string()
}

fn state(row: &ConnectionRow) -> String {
    if !row.enabled {
        return "disabled".to_owned();
    }
    if let Some(since) = row.set_aside_at {
        let why = row.set_aside_why.as_deref().unwrap_or("refused");
        return format!("set aside since {since}: {why}");
    }
    match row.parked_until {
        Some(until) if until > jiff::Timestamp::now() => format!("parked until {until}"),
        _ => "in use".to_owned(),
    }
}
