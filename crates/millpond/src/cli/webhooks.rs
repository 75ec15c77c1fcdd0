//! `millpond webhooks`: who is told of changes over HTTP.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use store::{
    changes::ChangeCursor,
    webhooks::{Delivery, NewWebhook, Webhook, WebhookChange},
};

use super::{Context, Usage};
use crate::{
    output::{Exit, Table},
    webhooks::{Replay, WebhookError, WebhookSecret, Webhooks},
};

/// Addresses that changes are posted to, signed and in order. `serve` and `worker` deliver; docs/webhooks.md says how
/// a receiver verifies what it gets
#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// All webhooks of a tenant, or the operators'; never their secrets
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Make a webhook, and print its secret this once
    Create(Create),
    /// Change where and of what a webhook is told, and whether
    Change(Change),
    /// Delete a webhook with its deliveries
    Delete {
        /// The webhook
        name: String,
        #[command(flatten)]
        of: Of,
    },
    /// Give a webhook a new secret, and print it this once; for a day deliveries are signed with both
    Rotate {
        /// The webhook
        name: String,
        #[command(flatten)]
        of: Of,
    },
    /// What was sent, what waits, what was given up and why; newest first
    Deliveries {
        /// The webhook
        name: String,
        #[command(flatten)]
        of: Of,
        /// Only deliveries in this state
        #[arg(long, value_enum)]
        state: Option<State>,
        /// So many at the most
        #[arg(long, default_value = "50", value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Tell a webhook again: dead deliveries under their old ids, or changes from a place or time on in new ones
    Replay(ReplayArgs),
}

/// Whose a webhook is.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The tenant whose it is. Without: the operators'
    #[arg(long)]
    tenant: Option<String>,
}

/// The new webhook.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// Where changes are posted: https, on the internet (unless `webhooks.private_hosts` is set)
    url: String,
    #[command(flatten)]
    of: Of,
    /// The one project of the tenant whose instances it is told of
    #[arg(long, requires = "tenant")]
    project: Option<String>,
    /// Only changes of this resource, such as cin7.sale; as often as there are
    #[arg(long = "resource", value_name = "RESOURCE")]
    resources: Vec<String>,
    /// Only changes in this instance; as often as there are
    #[arg(long = "instance", value_name = "INSTANCE")]
    instances: Vec<String>,
    /// Begin after this cursor of `millpond changes`; 0-0: with all that is kept. Default: with what comes in from now on
    #[arg(long, value_name = "CURSOR")]
    after: Option<ChangeCursor>,
}

/// What is to change.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// The webhook
    name: String,
    #[command(flatten)]
    of: Of,
    /// Where changes are posted
    #[arg(long)]
    url: Option<String>,
    /// Only changes of this resource; as often as there are; replaces those before
    #[arg(
        long = "resource",
        value_name = "RESOURCE",
        conflicts_with = "all_resources"
    )]
    resources: Vec<String>,
    /// Changes of all resources
    #[arg(long)]
    all_resources: bool,
    /// Only changes in this instance; as often as there are; replaces those before
    #[arg(
        long = "instance",
        value_name = "INSTANCE",
        conflicts_with = "all_instances"
    )]
    instances: Vec<String>,
    /// Changes in all instances
    #[arg(long)]
    all_instances: bool,
    /// Go on where it stopped
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Tell it nothing until it is enabled
    #[arg(long)]
    disable: bool,
}

/// What is to be told again.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The webhook
    name: String,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    what: What,
}

/// Exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// One dead delivery
    #[arg(long, value_name = "ID")]
    delivery: Option<String>,
    /// All dead deliveries
    #[arg(long)]
    dead: bool,
    /// Every change after this cursor of the feed
    #[arg(long, value_name = "CURSOR")]
    after: Option<ChangeCursor>,
    /// Every change that came in since, such as 2026-11-21T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum State {
    /// On its way
    Pending,
    /// It arrived
    Delivered,
    /// It was given up, and can be replayed
    Dead,
    /// Its scope no longer sees any of it
    Withheld,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Withheld => "withheld",
        }
    }
}

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    webhook: Webhook,
    secret: WebhookSecret,
}

#[derive(Serialize)]
struct Replayed {
    deliveries: u64,
    cursor: String,
}

fn some(names: Vec<String>) -> Option<Vec<String>> {
    (!names.is_empty()).then_some(names)
}

/// What is wrong with a command line ends as one; the rest is the database's.
fn told(error: WebhookError) -> anyhow::Error {
    match error {
        WebhookError::Store(error) => error.into(),
        error => Usage(error.to_string()).into(),
    }
}

impl WebhooksCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (loaded, database) = context.open().await?;
        let webhooks = Webhooks::new(database.store.clone(), &loaded.config.webhooks)?;
        let done = self.run_on(context, &database.store, &webhooks).await;
        database.close().await;
        done.map(|()| Exit::Done)
    }

    async fn run_on(
        self,
        context: &Context,
        store: &store::Store,
        webhooks: &Webhooks,
    ) -> anyhow::Result<()> {
        match self {
            Self::List { of } => {
                let all = store.webhooks(of.tenant.as_deref()).await?;
                context.output.answer(&all, || show(&all))?;
            }
            Self::Create(create) => {
                let new = NewWebhook {
                    name: create.name,
                    tenant: create.of.tenant,
                    project: create.project,
                    url: create.url,
                    resources: some(create.resources),
                    instances: some(create.instances),
                    after: create.after,
                };
                let (webhook, secret) = webhooks.create(&new).await.map_err(told)?;
                print(context, &Made { webhook, secret })?;
            }
            Self::Change(change) => {
                let names = |all: bool, names: Vec<String>| match all {
                    true => Some(None),
                    false => some(names).map(Some),
                };
                let changes = WebhookChange {
                    url: change.url,
                    resources: names(change.all_resources, change.resources),
                    instances: names(change.all_instances, change.instances),
                    enabled: match (change.enable, change.disable) {
                        (true, _) => Some(true),
                        (_, true) => Some(false),
                        _ => None,
                    },
                };
                let tenant = change.of.tenant.as_deref();
                let changed = webhooks.change(tenant, &change.name, &changes).await;
                let changed = changed.map_err(told)?;
                context
                    .output
                    .answer(&changed, || show(std::slice::from_ref(&changed)))?;
            }
            Self::Delete { name, of } => {
                let deleted = webhooks.delete(of.tenant.as_deref(), &name).await;
                deleted.map_err(told)?;
                let answer = serde_json::json!({ "deleted": name });
                context
                    .output
                    .answer(&answer, || format!("webhook `{name}` is deleted"))?;
            }
            Self::Rotate { name, of } => {
                let rotated = webhooks.rotate(of.tenant.as_deref(), &name).await;
                let (webhook, secret) = rotated.map_err(told)?;
                print(context, &Made { webhook, secret })?;
            }
            Self::Deliveries {
                name,
                of,
                state,
                limit,
            } => {
                let webhook = webhooks.load(of.tenant.as_deref(), &name).await;
                let webhook = webhook.map_err(told)?;
                let state = state.map(State::as_str);
                let deliveries = store.deliveries(&webhook, state, None, limit).await?;
                context
                    .output
                    .answer(&deliveries, || show_deliveries(&deliveries))?;
            }
            Self::Replay(replay) => {
                let what = match replay.what {
                    What {
                        delivery: Some(id), ..
                    } => Replay::Delivery(id),
                    What {
                        after: Some(place), ..
                    } => Replay::After(place),
                    What {
                        since: Some(since), ..
                    } => Replay::Since(since),
                    What { .. } => Replay::Dead,
                };
                let tenant = replay.of.tenant.as_deref();
                let replayed = webhooks.replay(tenant, &replay.name, &what).await;
                let deliveries = replayed.map_err(told)?;
                let cursor = webhooks
                    .load(tenant, &replay.name)
                    .await
                    .map_err(told)?
                    .cursor;
                let text = match what {
                    Replay::Delivery(_) | Replay::Dead => {
                        format!("{deliveries} dead deliveries are on their way again")
                    }
                    Replay::After(_) | Replay::Since(_) => {
                        format!("changes after {cursor} are told again")
                    }
                };
                context
                    .output
                    .answer(&Replayed { deliveries, cursor }, || text)?;
            }
        }
        Ok(())
    }
}

fn print(context: &Context, made: &Made) -> anyhow::Result<()> {
    let text = || {
        format!(
            "{}\nIts secret, shown this once:\n\n  {}\n",
            show(std::slice::from_ref(&made.webhook)),
            made.secret.expose()
        )
    };
    Ok(context.output.answer(made, text)?)
}

fn show(webhooks: &[Webhook]) -> String {
    let mut table = Table::new([
        "webhook", "tenant", "project", "url", "of", "state", "pending", "dead", "behind",
    ]);
    for webhook in webhooks {
        let mut of = webhook.resources.clone().unwrap_or_default();
        of.extend(webhook.instances.clone().unwrap_or_default());
        let of = match of.is_empty() {
            true => "everything".to_owned(),
            false => of.join(" "),
        };
        let state = match (webhook.enabled, &webhook.why) {
            (true, _) => "told".to_owned(),
            (false, Some(why)) => format!("stopped: {why}"),
            (false, None) => "disabled".to_owned(),
        };
        table.row([
            webhook.name.clone(),
            webhook
                .tenant
                .clone()
                .unwrap_or_else(|| "(operators)".to_owned()),
            webhook.project.clone().unwrap_or_default(),
            webhook.url.clone(),
            of,
            state,
            webhook.pending.to_string(),
            webhook.dead.to_string(),
            format!("{:.0} s", webhook.lag_secs),
        ]);
    }
    table.to_string()
}

fn show_deliveries(deliveries: &[Delivery]) -> String {
    let mut table = Table::new([
        "delivery", "state", "changes", "up to", "made", "attempts", "status", "error",
    ]);
    for delivery in deliveries {
        table.row([
            delivery.id.clone(),
            delivery.state.clone(),
            delivery.changes.to_string(),
            delivery.cursor.clone(),
            format!("{:.0}", delivery.made_at),
            delivery.attempts.to_string(),
            delivery
                .status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            delivery.error.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}
