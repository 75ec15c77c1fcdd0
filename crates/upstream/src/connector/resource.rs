//! `[[resource]]`: one kind of record and how to get at it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::feed::{Changes, Reconcile};
use super::paging::Paging;
use super::reader::Table;
use super::template::Template;
use crate::field_path::FieldPath;

/// One kind of record and how to get at it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name, and that of the table that users query: `sale`.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// Where records are listed; absent: records are only fetched one by one, per record of `of`.
    pub list: Option<Endpoint>,
    /// Where the array of records stands in a listing; absent: the answer is the array.
    pub records_at: Option<FieldPath>,
    /// Where one record is fetched, with `{id}`.
    pub get: Option<Endpoint>,
    /// Where the record stands in that answer: an object, or an array of which the one with the right id counts.
    /// Absent: the answer is the record.
    pub get_at: Option<FieldPath>,
    /// The paths of the values that make up the id, joined with `|`.
    pub key: Vec<FieldPath>,
    /// Whether ids are lower-cased, because the API does not care about case (GUIDs).
    pub key_lower: bool,
    /// Where a record says when it last changed.
    pub modified_at: Option<FieldPath>,
    /// In which order a listing comes.
    pub order: Order,
    /// How a listing is paged.
    pub paging: Paging,
    /// Parameters sent with every listing and every fetch.
    pub params: Vec<(String, String)>,
    /// How to ask for what changed; absent: the API cannot tell.
    pub changes: Option<Changes>,
    /// How often everything is listed again.
    pub full: Option<Duration>,
    /// How deletions are found.
    pub reconcile: Option<Reconcile>,
    /// The resource whose changed rows cause a fetch of this one's record.
    pub of: Option<String>,
    /// Where the parent's record holds this one's id; absent: the parent's own id.
    pub of_at: Option<FieldPath>,
    /// What the parent's record must say for there to be a record here: every path has its text.
    pub when: Vec<(FieldPath, String)>,
    /// What the parent's record must not say.
    pub unless: Vec<(FieldPath, String)>,
    /// How old a detail may grow before it is fetched again although its parent's row did not change.
    pub refresh: Option<Duration>,
    /// Paths that get an index of their own.
    pub indexes: Vec<FieldPath>,
    /// Values that freshness rules ask for, by name.
    pub signals: BTreeMap<String, FieldPath>,
    /// Signals that another record knows: of those that the record itself does not say.
    pub lookups: Vec<Lookup>,
    /// The table of `[ttl]` that says how fresh a record should be.
    pub ttl: Option<String>,
    /// The key family of the record's hot value, `opp:cw-data:{id}`; absent: one made of the resource's name.
    pub family: Option<Template>,
}

/// A signal that stands in another record: that a deal is closed is known by its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The signal's name.
    pub name: String,
    /// The resource of the other record.
    pub of: String,
    /// Where this record names the other one's id.
    pub by: FieldPath,
    /// Where the other record says the value.
    pub at: FieldPath,
}

/// In which order a listing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest record is on the first page.
    NewestFirst,
    /// The newest record is on the last page.
    OldestFirst,
    /// Nobody knows.
    Unknown,
}

impl Resource {
    pub(super) fn read(table: &Table<'_>, paging: &Paging) -> Resource {
        let list = Endpoint::read(table, "list", false);
        let get = Endpoint::read(table, "get", true);
        let of = table.text("of");
        if list.is_none() && get.is_none() && !table.has("list") && !table.has("get") {
            table.problem("list", "is missing: give `list`, or `get` with `of`");
        } else if list.is_none() && of.is_none() && !table.has("list") {
            table.problem(
                "of",
                "is missing: a resource without `list` needs a parent whose records name it",
            );
        }
        if of.is_some() && get.is_none() && !table.has("get") {
            table.problem(
                "get",
                "is missing: a resource with `of` is fetched record by record",
            );
        }
        let mut paging = table
            .table("paging")
            .map_or_else(|| paging.clone(), |own| Paging::read(&own));
        if let Some(size) = table.integer("page_size", 1, i64::from(paging.size_max)) {
            paging.size = u32::try_from(size).unwrap_or(paging.size);
        }
        let needs_parent = |key: &'static str| {
            if table.has(key) && !table.has("of") {
                table.problem(key, "needs `of`: it reads the parent's record");
            }
        };
        ["of_at", "when", "unless"]
            .into_iter()
            .for_each(needs_parent);
        let needs_list = |key: &'static str| {
            if table.has(key) && !table.has("list") {
                table.problem(key, "needs `list`");
            }
        };
        ["changes", "full", "reconcile", "records_at"]
            .into_iter()
            .for_each(needs_list);
        Resource {
            name: table.need_name("name"),
            title: table.text("title").unwrap_or_default(),
            list,
            records_at: table.path("records_at"),
            get,
            get_at: table.path("get_at"),
            key: read_key(table),
            key_lower: table
                .choice("key_case", &[("lower", true), ("exact", false)])
                .unwrap_or(false),
            modified_at: table.path("modified_at"),
            order: table
                .choice(
                    "order",
                    &[
                        ("newest_first", Order::NewestFirst),
                        ("oldest_first", Order::OldestFirst),
                        ("unknown", Order::Unknown),
                    ],
                )
                .unwrap_or(Order::Unknown),
            paging,
            params: table.pairs("params").unwrap_or_default(),
            changes: table
                .table("changes")
                .map(|changes| Changes::read(&changes)),
            full: table.table("full").map(|full| full.need_duration("every")),
            reconcile: table
                .table("reconcile")
                .map(|reconcile| Reconcile::read(&reconcile)),
            of,
            of_at: table.path("of_at"),
            when: read_conditions(table, "when"),
            unless: read_conditions(table, "unless"),
            refresh: table.has("refresh").then(|| table.need_duration("refresh")),
            indexes: table
                .texts("indexes")
                .unwrap_or_default()
                .iter()
                .filter_map(|text| table.parse_path("indexes", text))
                .collect(),
            signals: read_signals(table),
            lookups: table.tables("lookups").iter().map(Lookup::read).collect(),
            ttl: table.text("ttl"),
            family: table.text("family").map(|text| read_family(table, &text)),
        }
    }
}

impl Resource {
    /// A listing that is a part of a payload: only what following it takes.
    pub(crate) fn part(name: &str, list: Endpoint, key: FieldPath, paging: Paging) -> Resource {
        Resource {
            name: name.to_owned(),
            title: String::new(),
            list: Some(list),
            records_at: None,
            get: None,
            get_at: None,
            key: vec![key],
            key_lower: false,
            modified_at: None,
            order: Order::Unknown,
            paging,
            params: Vec::new(),
            changes: None,
            full: None,
            reconcile: None,
            of: None,
            of_at: None,
            when: Vec::new(),
            unless: Vec::new(),
            refresh: None,
            indexes: Vec::new(),
            signals: BTreeMap::new(),
            lookups: Vec::new(),
            ttl: None,
            family: None,
        }
    }
}

impl Lookup {
    fn read(table: &Table<'_>) -> Lookup {
        Lookup {
            name: table.need_name("name"),
            of: table.need_text("of"),
            by: table.need_path("by"),
            at: table.need_path("at"),
        }
    }
}

fn read_family(table: &Table<'_>, text: &str) -> Template {
    match Template::parse(text) {
        Ok(template) if template.places().eq(["id"]) => template,
        Ok(template) => {
            table.problem("family", "must have the place {id} once and no other");
            template
        }
        Err(message) => {
            table.problem("family", message);
            Template::fixed(text)
        }
    }
}

fn read_key(table: &Table<'_>) -> Vec<FieldPath> {
    let texts = table.texts("key").unwrap_or_default();
    if texts.is_empty() && (!table.has("key") || table.texts("key").is_some()) {
        table.problem("key", "is missing: say where a record's id stands");
    }
    texts
        .iter()
        .filter_map(|text| table.parse_path("key", text))
        .collect()
}

fn read_conditions(table: &Table<'_>, key: &'static str) -> Vec<(FieldPath, String)> {
    let pairs = table.pairs(key).unwrap_or_default();
    pairs
        .into_iter()
        .filter_map(|(path, text)| Some((table.parse_path(key, &path)?, text)))
        .collect()
}

fn read_signals(table: &Table<'_>) -> BTreeMap<String, FieldPath> {
    let pairs = table.pairs("signals").unwrap_or_default();
    pairs
        .into_iter()
        .filter_map(|(name, path)| Some((name, table.parse_path("signals", &path)?)))
        .collect()
}
