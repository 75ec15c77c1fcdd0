//! What one kind of upstream API looks like: a TOML file, read into plain structs.
//!
//! The vocabulary is closed: a key nobody asked for is an error that names file, line and key and suggests the
//! closest allowed one. `docs/connectors.md` is the reference page.

mod auth;
mod check;
mod diagnostics;
mod endpoint;
mod errors;
mod feed;
mod hook;
mod limits;
mod notes;
mod paging;
mod payload;
mod reader;
mod resource;
mod sweep;
mod template;
mod ttl;
mod view;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use auth::{Auth, AuthKind};
pub use diagnostics::{Diagnostics, Problem};
pub use endpoint::Endpoint;
pub use errors::{ErrorRules, MissingRules, ThrottleRules};
pub use feed::{ChangeFilter, Changes, Reconcile, StampFormat};
pub use hook::Hook;
pub use limits::Limits;
pub use paging::{Paging, PagingKind, TotalAt};
pub use payload::{Part, PartSource, Payload, Teller};
pub use resource::{Lookup, Order, Resource};
pub use sweep::Sweep;
pub use template::Template;
pub use ttl::TtlRule;
pub use view::{Column, ColumnType, View};
pub use watch::Watch;
pub use write::{Write, WriteVerb};

/// One kind of upstream API.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Its name and the PostgreSQL schema that users query: `cin7`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Where the API begins, without a trailing slash. An instance may say otherwise.
    pub base_url: String,
    /// How a connection proves who it is.
    pub auth: Auth,
    /// What one connection may call.
    pub limits: Limits,
    /// How this API says no.
    pub errors: ErrorRules,
    /// Its kinds of records, parents before children.
    pub resources: Vec<Arc<Resource>>,
    /// What is fetched per parent record and kept hot.
    pub payloads: Vec<Arc<Payload>>,
    /// Which hot values are looked after.
    pub sweeps: Vec<Arc<Sweep>>,
    /// Listings that tell of other records.
    pub watches: Vec<Arc<Watch>>,
    /// What it tells of by itself.
    pub hooks: Vec<Hook>,
    /// The flattening views.
    pub views: Vec<View>,
    /// Tables of freshness rules by name; evaluated elsewhere.
    pub ttl: BTreeMap<String, Vec<TtlRule>>,
}

impl Connector {
    /// Reads a connector file. `file_name` is only used to say where a problem is.
    ///
    /// # Errors
    ///
    /// Every problem found, each with its line and key. A file that is not TOML at all gives one problem.
    pub fn parse(file_name: &str, text: &str) -> Result<Connector, Diagnostics> {
        reader::read(file_name, text, |root| {
            let ttl = ttl::read_ttl(root);
            let default_paging = root
                .table("paging")
                .map(|table| Paging::read(&table))
                .unwrap_or_default();
            let connector = Connector {
                name: root.need_name("name"),
                title: root.text("title").unwrap_or_default(),
                base_url: read_base_url(root),
                auth: Auth::read(root),
                limits: Limits::read(root),
                errors: ErrorRules::read(root),
                resources: root
                    .tables("resource")
                    .iter()
                    .map(|table| Arc::new(Resource::read(table, &default_paging)))
                    .collect(),
                payloads: root
                    .tables("payload")
                    .iter()
                    .map(|table| Arc::new(Payload::read(table, &default_paging)))
                    .collect(),
                sweeps: root
                    .tables("sweep")
                    .iter()
                    .map(|table| Arc::new(Sweep::read(table)))
                    .collect(),
                watches: root
                    .tables("watch")
                    .iter()
                    .map(|table| Arc::new(Watch::read(table)))
                    .collect(),
                hooks: root.tables("hook").iter().map(Hook::read).collect(),
                views: root.tables("view").iter().map(View::read).collect(),
                ttl,
            };
            check::check(&connector, root.notes());
            connector.parents_first()
        })
    }

    /// The resource of that name.
    pub fn resource(&self, name: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// The payload of that name.
    pub fn payload(&self, name: &str) -> Option<&Arc<Payload>> {
        self.payloads.iter().find(|payload| payload.name == name)
    }

    /// The names of its sweeps and watches.
    pub fn chores(&self) -> impl Iterator<Item = &str> {
        let sweeps = self.sweeps.iter().map(|sweep| sweep.name.as_str());
        sweeps.chain(self.watches.iter().map(|watch| watch.name.as_str()))
    }

    /// The resources whose details are fetched per record of `parent`.
    pub fn children<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.resources
            .iter()
            .filter(move |resource| resource.of.as_deref() == Some(parent))
    }

    /// The names of the secrets that every connection must bring.
    pub fn secret_names(&self) -> Vec<&str> {
        self.auth.secret_names()
    }

    fn parents_first(mut self) -> Connector {
        let mut placed: Vec<Arc<Resource>> = Vec::with_capacity(self.resources.len());
        let mut waiting = std::mem::take(&mut self.resources);
        while !waiting.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|resource| {
                resource
                    .of
                    .as_ref()
                    .is_none_or(|parent| placed.iter().any(|known| known.name == *parent))
            });
            if ready.is_empty() {
                // A missing or cyclic parent: `check` has reported it.
                placed.extend(rest);
                break;
            }
            placed.extend(ready);
            waiting = rest;
        }
        self.resources = placed;
        self
    }
}

fn read_base_url(root: &reader::Table<'_>) -> String {
    let text = root.need_text("base_url");
    if !text.is_empty() && !text.starts_with("https://") && !text.starts_with("http://") {
        root.problem(
            "base_url",
            "must begin with `https://` (or `http://` for a server of your own)",
        );
    }
    text.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
