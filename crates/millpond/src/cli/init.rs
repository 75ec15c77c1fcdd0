//! `millpond init`: the first key of a Millpond.

use clap::Args;
use serde::Serialize;
use store::keys::{NewKey, Role};

use super::{Context, Usage};
use crate::output::Exit;

/// Make the first key, an operator's, and print it this once
///
/// From then on every request over HTTP needs a key. An operator sees all tenants and makes their keys:
/// `millpond tenants`, `millpond keys`, or the same over HTTP.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// What the key is for
    #[arg(long, default_value = "first operator")]
    title: String,
}

#[derive(Serialize)]
struct Made<'a> {
    id: &'a str,
    credential: &'a str,
}

impl Init {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        if database.store.key_hasher().await?.is_some() {
            database.close().await;
            let message = "there are keys already; `millpond keys create` makes another";
            return Err(Usage(message.to_owned()).into());
        }
        let new = NewKey {
            tenant: None,
            project: None,
            role: Role::Admin,
            title: self.title,
            calls_per_minute: None,
            expires_at: None,
        };
        let (key, credential, told) = database.store.create_key(&new).await?;
        database.store.access_heard(told).await?;
        let made = Made {
            id: &key.id,
            credential: credential.expose(),
        };
        context.output.answer(&made, || {
            format!(
                "The first operator's key. It is shown this once:\n\n  {}\n\nTry:  curl -H 'Authorization: Bearer {}' \
                 localhost:7171/v1/principal\n",
                made.credential, made.credential
            )
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}
