//! `millpond tenants` and `millpond projects`: whose the instances are.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use store::tenants::{Project, Tenant, TenantChange};

use super::Context;
use crate::output::{Exit, Table};

/// The most tenants or projects that are listed.
const LIST_MAX: i64 = 10_000;

/// Tenants: who owns which instances, and how much each may use
#[derive(Debug, Subcommand)]
pub(super) enum Tenants {
    /// All tenants, with their instances and limits
    List,
    /// Make a tenant
    Create(Values),
    /// Change a tenant
    Change(Values),
    /// Delete a tenant with its projects and keys; its instances stay
    Delete {
        /// The tenant
        tenant: String,
    },
    /// Make a tenant the owner of an instance
    Own {
        /// The tenant
        tenant: String,
        /// The instance
        instance: String,
    },
    /// Let nobody own an instance
    Disown {
        /// The instance
        instance: String,
    },
}

/// A tenant and what it has.
#[derive(Debug, Args)]
pub(super) struct Values {
    /// The tenant: lower-case letters, digits and hyphens
    tenant: String,
    /// Its name for people
    #[arg(long)]
    title: Option<String>,
    /// What it pays for
    #[arg(long)]
    plan: Option<String>,
    /// How long its quota window is, in UTC
    #[arg(long, value_enum)]
    cycle: Option<Cycle>,
    /// The most of a meter in one window, as often as there are meters; replaces all limits: requests=100000
    #[arg(long = "limit", value_name = "METER=NUMBER", value_parser = parse_limit)]
    limits: Vec<(String, i64)>,
}

/// How long a quota window is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cycle {
    Hour,
    Day,
    Month,
}

fn parse_limit(text: &str) -> Result<(String, i64), String> {
    let (meter, most) = text.split_once('=').ok_or("expected METER=NUMBER")?;
    let most = most
        .parse::<i64>()
        .map_err(|error| format!("`{most}`: {error}"))?;
    if meter.is_empty() || most < 0 {
        return Err("expected METER=NUMBER, the number at least 0".to_owned());
    }
    Ok((meter.to_owned(), most))
}

impl Values {
    fn change(&self) -> TenantChange {
        let cycle = self.cycle.map(|cycle| match cycle {
            Cycle::Hour => "hour".to_owned(),
            Cycle::Day => "day".to_owned(),
            Cycle::Month => "month".to_owned(),
        });
        let limits: BTreeMap<String, i64> = self.limits.iter().cloned().collect();
        TenantChange {
            title: self.title.clone(),
            plan: self.plan.clone(),
            cycle,
            limits: (!limits.is_empty()).then_some(limits),
        }
    }
}

impl Tenants {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let store = &database.store;
        match &self {
            Self::List => {}
            Self::Create(values) => {
                store
                    .create_tenant(&values.tenant, &values.change())
                    .await?;
            }
            Self::Change(values) => {
                let (_, told) = store
                    .change_tenant(&values.tenant, &values.change())
                    .await?;
                store.access_heard(told).await?;
            }
            Self::Delete { tenant } => {
                let told = store.delete_tenant(tenant).await?;
                store.access_heard(told).await?;
            }
            Self::Own { tenant, instance } => {
                let told = store.own_instance(instance, Some(tenant)).await?;
                store.access_heard(told).await?;
            }
            Self::Disown { instance } => {
                let told = store.own_instance(instance, None).await?;
                store.access_heard(told).await?;
            }
        }
        let tenants = store.tenants(None, LIST_MAX).await?;
        context.output.answer(&tenants, || show(&tenants))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

fn show(tenants: &[Tenant]) -> String {
    let mut table = Table::new([
        "tenant",
        "title",
        "plan",
        "instances",
        "cycle",
        "window ends",
        "limits",
    ]);
    for tenant in tenants {
        let limits = tenant.limits.iter();
        let limits: Vec<String> = limits
            .map(|(name, most)| format!("{name}={most}"))
            .collect();
        table.row([
            tenant.id.clone(),
            tenant.title.clone(),
            tenant.plan.clone(),
            tenant.instances.join(" "),
            tenant.cycle.clone(),
            format!("{:.0}", tenant.window_end),
            limits.join(" "),
        ]);
    }
    table.to_string()
}

/// Projects: parts of what a tenant sees
#[derive(Debug, Subcommand)]
pub(super) enum Projects {
    /// A tenant's projects
    List {
        /// The tenant
        tenant: String,
    },
    /// Make a project
    Create {
        /// The tenant
        tenant: String,
        /// The project: lower-case letters, digits and hyphens
        project: String,
        /// Its name for people
        #[arg(long)]
        title: Option<String>,
        /// An instance that it sees, as often as there are; without: all of the tenant's
        #[arg(long = "instance")]
        instances: Vec<String>,
    },
    /// Delete a project and the keys confined to it
    Delete {
        /// The tenant
        tenant: String,
        /// The project
        project: String,
    },
}

impl Projects {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (_, database) = context.open().await?;
        let store = &database.store;
        let tenant = match &self {
            Self::List { tenant } => tenant,
            Self::Create {
                tenant,
                project,
                title,
                instances,
            } => {
                let instances = (!instances.is_empty()).then_some(&instances[..]);
                let (_, told) = store
                    .create_project(tenant, project, title.as_deref(), instances)
                    .await?;
                store.access_heard(told).await?;
                tenant
            }
            Self::Delete { tenant, project } => {
                let told = store.delete_project(tenant, project).await?;
                store.access_heard(told).await?;
                tenant
            }
        };
        store.load_tenant(tenant).await?;
        let projects = store.projects(tenant, None, LIST_MAX).await?;
        context
            .output
            .answer(&projects, || show_projects(&projects))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

fn show_projects(projects: &[Project]) -> String {
    let mut table = Table::new(["project", "title", "instances"]);
    for project in projects {
        table.row([
            project.id.clone(),
            project.title.clone(),
            project
                .instances
                .as_ref()
                .map_or_else(|| "(all)".to_owned(), |names| names.join(" ")),
        ]);
    }
    table.to_string()
}
