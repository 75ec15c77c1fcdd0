//! `millpond keys`: who may ask over HTTP.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use store::keys::{ApiKey, Credential, NewKey, Role};

use super::Context;
use crate::output::{Exit, Table};

/// The most keys that are listed.
const LIST_MAX: i64 = 10_000;

/// Keys that callers present. A change holds on every server when the command ends
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// All keys, newest first; never their credentials
    List {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Make a key, and print its credential this once
    Create(Create),
    /// Give a key a new credential; the old one is refused from now on
    Rotate {
        /// The key's id, the middle part of its credential
        id: String,
    },
    /// Refuse a key from now on
    Revoke {
        /// The key's id, the middle part of its credential
        id: String,
    },
}

/// The new key.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is for
    title: String,
    /// Whose it is. Without: an operator's, who sees all tenants
    #[arg(long)]
    tenant: Option<String>,
    /// The one project of the tenant that it is confined to
    #[arg(long, requires = "tenant")]
    project: Option<String>,
    /// What it may do
    #[arg(long, value_enum, default_value = "admin")]
    role: RoleArg,
    /// The most calls it may make in a minute. Default: no limit
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    calls_per_minute: Option<i32>,
    /// When it ends by itself, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Read records, run saved queries
    User,
    /// Also SQL, runs, saving queries
    Developer,
    /// Also the tenant's projects and keys
    Admin,
}

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    key: ApiKey,
    credential: Credential,
}

impl Keys {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let store = &database.store;
        match self {
            Self::List { tenant } => {
                let keys = store.keys(tenant.as_deref(), LIST_MAX).await?;
                context.output.answer(&keys, || show(&keys))?;
            }
            Self::Create(create) => {
                let role = match create.role {
                    RoleArg::User => Role::User,
                    RoleArg::Developer => Role::Developer,
                    RoleArg::Admin => Role::Admin,
                };
                if create.tenant.is_none() && role != Role::Admin {
                    let message =
                        "a key without --tenant is an operator's, and those are always admins";
                    return Err(super::Usage(message.to_owned()).into());
                }
                let new = NewKey {
                    tenant: create.tenant,
                    project: create.project,
                    role,
                    title: create.title,
                    calls_per_minute: create.calls_per_minute,
                    expires_at: create.expires_at,
                };
                let (key, credential, told) = store.create_key(&new).await?;
                store.access_heard(told).await?;
                print(context, Made { key, credential })?;
            }
            Self::Rotate { id } => {
                let (key, credential, told) = store.rotate_key(&id).await?;
                store.access_heard(told).await?;
                print(context, Made { key, credential })?;
            }
            Self::Revoke { id } => {
                let (key, told) = store.revoke_key(&id).await?;
                store.access_heard(told).await?;
                context
                    .output
                    .answer(&key, || show(std::slice::from_ref(&key)))?;
            }
        }
        database.close().await;
        Ok(Exit::Done)
    }
}

fn print(context: &Context, made: Made) -> anyhow::Result<()> {
    let text = || {
        format!(
            "{}\nIts credential, shown this once:\n\n  {}\n",
            show(std::slice::from_ref(&made.key)),
            made.credential.expose()
        )
    };
    Ok(context.output.answer(&made, text)?)
}

fn show(keys: &[ApiKey]) -> String {
    let mut table = Table::new([
        "key",
        "title",
        "tenant",
        "project",
        "role",
        "calls/min",
        "made",
        "state",
    ]);
    let now = Timestamp::now();
    for key in keys {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {at:.0}"),
            (None, Some(at)) if at <= now => format!("ended {at:.0}"),
            (None, Some(at)) => format!("ends {at:.0}"),
            (None, None) => "in use".to_owned(),
        };
        table.row([
            key.id.clone(),
            key.title.clone(),
            key.tenant
                .clone()
                .unwrap_or_else(|| "(operator)".to_owned()),
            key.project.clone().unwrap_or_default(),
            key.role.as_str().to_owned(),
            key.calls_per_minute
                .map(|calls| calls.to_string())
                .unwrap_or_default(),
            format!("{:.0}", key.created_at),
            state,
        ]);
    }
    table.to_string()
}
