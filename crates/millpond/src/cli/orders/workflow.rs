//! The workflows: plan from the mirror, look, approve, apply.

use std::path::PathBuf;

use clap::Args;
use orders::{Day, Op};

use super::{Context, Usage, file, print};
use crate::{
    cli::serve::owner,
    database::Database,
    instances::open_mirror,
    logging,
    orders::{HoldAsk, Orders, OrdersError, PlanAsk, Through},
    output::{Exit, Table, ago, grouped},
};

/// The most rows that are printed.
const ROWS_MAX: i64 = 1000;

/// Who says so.
#[derive(Debug, Args)]
struct By {
    /// Who says so, as the plan's row has it; the user's name if absent
    #[arg(long)]
    by: Option<String>,
}

impl By {
    fn name(self, context: &Context) -> String {
        let user = || context.environment.find("USER").map(str::to_owned);
        self.by
            .or_else(user)
            .unwrap_or_else(|| "the command line".to_owned())
    }
}

/// Which orders, and how far they go.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaveArgs {
    /// Plan the open orders of this instance, from the mirror
    #[arg(long)]
    instance: Option<String>,
    /// What is asked for as JSON: rules, costs, policies; options given beside it win. - is standard input
    #[arg(long, value_name = "FILE")]
    ask: Option<PathBuf>,
    /// Only this order, by number; may be given again
    #[arg(long = "order", value_name = "NUMBER")]
    orders: Vec<String>,
    /// Only orders entered on this day, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = day)]
    entered: Option<Day>,
    /// How far shipments go upstream
    #[arg(long, value_enum)]
    through: Option<Through>,
    /// Orders that are still drafts take part, and are authorised first
    #[arg(long)]
    drafts: bool,
    /// A simple sale may become an advanced one; nobody can take that back
    #[arg(long)]
    may_convert: bool,
    #[command(flatten)]
    by: By,
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "expected a day such as 2026-03-02".to_owned())
}

impl WaveArgs {
    pub(super) async fn run(self, context: &Context, op: Op) -> anyhow::Result<Exit> {
        let ask = self.ask(op)?;
        let (database, orders) = open(context).await?;
        let view = orders
            .plan(&ask, &self.by.name(context))
            .await
            .map_err(usage)?;
        context.output.answer(&view, || print::plan(&view))?;
        database.close().await;
        Ok(Exit::Done)
    }

    fn ask(&self, op: Op) -> anyhow::Result<PlanAsk> {
        let mut ask = match (&self.ask, &self.instance) {
            (Some(path), _) => serde_json::from_str(&file::read(path)?)
                .map_err(|error| Usage(format!("{}: {error}", path.display())))?,
            (None, Some(instance)) => PlanAsk::of(instance.clone()),
            (None, None) => {
                return Err(Usage("name the instance with --instance".to_owned()).into());
            }
        };
        if let Some(instance) = &self.instance {
            ask.instance.clone_from(instance);
        }
        ask.op = op;
        ask.orders.extend(self.orders.iter().cloned());
        ask.entered_from = self.entered.or(ask.entered_from);
        ask.entered_to = self.entered.or(ask.entered_to);
        ask.through = self.through.unwrap_or(ask.through);
        ask.drafts |= self.drafts;
        ask.may_convert |= self.may_convert;
        Ok(ask)
    }
}

/// The stored plans.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = ["proposed", "approved", "applying", "done", "partial", "needs_person", "cancelled", "superseded"])]
    state: Option<String>,
    /// Only plans before this number
    #[arg(long)]
    before: Option<i64>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=ROWS_MAX))]
    limit: i64,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let plans = orders
            .list(
                self.instance.as_deref(),
                self.state.as_deref(),
                self.before,
                self.limit,
            )
            .await?;
        let now = jiff::Timestamp::now();
        context.output.answer(&plans, || {
            let mut table = Table::new([
                "plan",
                "made",
                "by",
                "instance",
                "block",
                "state",
                "shipments",
                "writes",
                "short",
                "why",
            ]);
            for plan in &plans {
                let number = |key: &str| grouped(plan.summary[key].as_i64().unwrap_or(0));
                table.row([
                    plan.id.to_string(),
                    format!("{} ago", ago(plan.made_at, now)),
                    plan.made_by.clone(),
                    plan.instance.clone(),
                    plan.op.clone(),
                    plan.state.clone(),
                    number("shipments"),
                    number("writes"),
                    number("short_lines"),
                    plan.why.clone().unwrap_or_default(),
                ]);
            }
            table.to_string()
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// One plan.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Its number
    plan: i64,
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let view = orders.show(self.plan).await.map_err(usage)?;
        context.output.answer(&view, || print::plan(&view))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// One order of a plan.
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// The plan's number
    plan: i64,
    /// The order's number
    order: String,
}

impl Explain {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let told = orders
            .explain(self.plan, &self.order)
            .await
            .map_err(usage)?;
        context.output.answer(&told, || print::explanation(&told))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Approve a plan.
#[derive(Debug, Args)]
pub(in crate::cli) struct Approve {
    /// Its number
    plan: i64,
    #[command(flatten)]
    by: By,
}

impl Approve {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        orders
            .approve(self.plan, &self.by.name(context))
            .await
            .map_err(usage)?;
        let view = orders.show(self.plan).await?;
        context.output.answer(&view.row, || {
            format!(
                "plan {} is {}; `millpond orders apply {}` writes it",
                self.plan, view.row.state, self.plan
            )
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Cancel a plan.
#[derive(Debug, Args)]
pub(in crate::cli) struct Cancel {
    /// Its number
    plan: i64,
    #[command(flatten)]
    by: By,
}

impl Cancel {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        orders
            .cancel(self.plan, &self.by.name(context))
            .await
            .map_err(usage)?;
        let view = orders.show(self.plan).await?;
        context.output.answer(&view.row, || {
            format!("plan {} is {}", self.plan, view.row.state)
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Write a plan.
#[derive(Debug, Args)]
pub(in crate::cli) struct Apply {
    /// Its number
    plan: i64,
}

impl Apply {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let view = orders.apply(self.plan, &owner()).await.map_err(usage)?;
        context.output.answer(&view, || print::plan(&view))?;
        database.close().await;
        Ok(if view.row.state == "done" {
            Exit::Done
        } else {
            Exit::Differences
        })
    }
}

/// Who holds what.
#[derive(Debug, Args)]
pub(in crate::cli) struct Claims {
    /// The instance
    #[arg(long)]
    instance: String,
    /// Only of this order
    #[arg(long)]
    order: Option<String>,
}

impl Claims {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let claims = orders
            .claims(&self.instance, self.order.as_deref())
            .await
            .map_err(usage)?;
        context.output.answer(&claims, || {
            let mut table = Table::new([
                "claim", "order", "line", "sku", "node", "steps", "strength", "made", "by", "plan",
            ]);
            for claim in &claims {
                table.row([
                    claim.id.clone(),
                    claim.order.clone(),
                    claim.line.clone().unwrap_or_default(),
                    claim.sku.clone(),
                    claim.node.clone(),
                    grouped(claim.qty),
                    claim.strength.clone(),
                    claim.made.to_string(),
                    claim.by.clone(),
                    claim.plan.map(|plan| plan.to_string()).unwrap_or_default(),
                ]);
            }
            table.to_string()
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Hold units.
#[derive(Debug, Args)]
pub(in crate::cli) struct Hold {
    /// The instance
    #[arg(long)]
    instance: String,
    /// The order, by number
    #[arg(long)]
    order: String,
    /// The line, by its place in the order from 1; absent: whichever line needs the SKU
    #[arg(long)]
    line: Option<String>,
    /// The lot, by the id of its row in cin7.availability
    #[arg(long)]
    node: String,
    /// Units
    #[arg(long)]
    qty: String,
    /// Whether a more urgent order may still take them; the day after which they are free again
    #[arg(long, value_name = "DAY", value_parser = day)]
    soft_until: Option<Day>,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    by: By,
}

impl Hold {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let ask = HoldAsk {
            instance: self.instance,
            order: self.order,
            line: self.line,
            node: self.node,
            qty: self.qty,
            soft_until: self.soft_until,
            reason: self.reason,
        };
        let id = orders
            .hold(&ask, &self.by.name(context))
            .await
            .map_err(usage)?;
        context
            .output
            .answer(&serde_json::json!({ "id": id }), || format!("held: {id}"))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

/// Release units.
#[derive(Debug, Args)]
pub(in crate::cli) struct Release {
    /// The claim, as `orders claims` lists it
    claim: String,
    /// The instance
    #[arg(long)]
    instance: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    by: By,
}

impl Release {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, orders) = open(context).await?;
        let by = self.by.name(context);
        let released = orders
            .release(&self.instance, &self.claim, &by, &self.reason)
            .await
            .map_err(usage)?;
        context
            .output
            .answer(&serde_json::json!({ "released": released }), || {
                if released {
                    "released".to_owned()
                } else {
                    "there is no such claim".to_owned()
                }
            })?;
        database.close().await;
        Ok(if released { Exit::Done } else { Exit::NotFound })
    }
}

async fn open(context: &Context) -> anyhow::Result<(Database, Orders)> {
    let loaded = context.load()?;
    logging::start(&loaded.config.logs);
    let database = Database::open(&loaded, &context.environment).await?;
    let mirror = open_mirror(&loaded, &context.environment, database.store.clone()).await?;
    Ok((database, Orders::new(mirror)))
}

/// What the caller named wrongly is a matter of the command line.
fn usage(error: OrdersError) -> anyhow::Error {
    match error {
        OrdersError::Mirror(mirror::MirrorError::Unknown { .. })
        | OrdersError::Store(store::StoreError::Unknown { .. })
        | OrdersError::NotUnderstood { .. }
        | OrdersError::Hold(_)
        | OrdersError::Input(_) => Usage(crate::cli::chain_of(&error)).into(),
        other => other.into(),
    }
}
