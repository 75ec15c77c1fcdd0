//! `[[resource]]`: one kind of record and how to get at it.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The table of `[ttl]` that says how fresh a record should be.
    pub ttl: Option<String>,
}

/// A path below the base URL with a fixed query: `sale?ID={id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The path, without a leading slash.
    pub path: Template,
    /// The query, not encoded.
    pub query: Vec<(String, Template)>,
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

/// How to ask for what changed.
#[derive(Clone, Debug)]
pub struct Changes {
    /// How often.
    pub every: Duration,
    /// How the request says "since".
    pub filter: ChangeFilter,
    /// How far before the last stamp to ask again, for rows that were committed late.
    pub overlap: Duration,
    /// How a moment is written.
    pub format: StampFormat,
}

/// How a request says "since".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeFilter {
    /// Parameters that take the moment.
    Param {
        /// From this moment on.
        since: String,
        /// Up to this moment, where the API can.
        until: Option<String>,
    },
    /// A condition, joined to others with `and`.
    Condition {
        /// The parameter for conditions.
        param: String,
        /// The condition with `{since}`.
        since: Template,
        /// The condition with `{until}`.
        until: Option<Template>,
    },
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampFormat {
    /// `2026-01-31T09:30:00Z`.
    Iso,
    /// `2026-01-31T09:30:00.000Z`.
    IsoMillis,
    /// `2026-01-31`: the whole day counts.
    Date,
    /// Seconds since 1970.
    Unix,
}

/// How deletions are found.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconcile {
    /// How often the ids are listed.
    pub every: Duration,
    /// How many whole listings in a row a record must be missing from before it counts as deleted.
    pub prune_after: u32,
    /// The greatest share of records that one listing may remove; more is taken for a fault of the listing.
    pub shrink_max: f64,
    /// Parameters that make the listing cheaper, such as `fields = "id"`.
    pub params: Vec<(String, String)>,
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
            ttl: table.text("ttl"),
        }
    }
}

impl Endpoint {
    /// Reads the endpoint at `key`; `with_id` says whether it must have `{id}` or must not.
    pub(super) fn read(table: &Table<'_>, key: &'static str, with_id: bool) -> Option<Endpoint> {
        let text = table.text(key)?;
        Endpoint::parse(table, key, &text, with_id)
    }

    pub(super) fn parse(
        table: &Table<'_>,
        key: &str,
        text: &str,
        with_id: bool,
    ) -> Option<Endpoint> {
        if text.contains("://")
            || text.contains('#')
            || text.split(['/', '?']).any(|part| part == "..")
        {
            table.problem(key, format!("`{text}` must be a path below `base_url`"));
            return None;
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((name.to_owned(), value));
        }
        let read = || -> Result<Endpoint, String> {
            let path = Template::parse(path.trim_start_matches('/'))?;
            let query: Result<Vec<_>, String> = pairs
                .iter()
                .map(|(name, value)| Ok((name.clone(), Template::parse(value)?)))
                .collect();
            Ok(Endpoint {
                path,
                query: query?,
            })
        };
        let endpoint = match read() {
            Ok(endpoint) => endpoint,
            Err(message) => {
                table.problem(key, message);
                return None;
            }
        };
        let places: Vec<&str> = endpoint.places().collect();
        if let Some(other) = places.iter().find(|place| **place != "id" || !with_id) {
            let allowed = if with_id { "only {id}" } else { "no place" };
            table.problem(
                key,
                format!("`{{{other}}}` has no meaning here: {allowed} is allowed"),
            );
        } else if with_id && places.is_empty() {
            table.problem(
                key,
                format!("`{text}` must say where the record's id goes: {{id}}"),
            );
        }
        Some(endpoint)
    }

    fn places(&self) -> impl Iterator<Item = &str> {
        self.path
            .places()
            .chain(self.query.iter().flat_map(|(_, value)| value.places()))
    }
}

impl Changes {
    fn read(table: &Table<'_>) -> Changes {
        let place = |key: &'static str, name: &str| {
            let text = table.text(key)?;
            match Template::parse(&text) {
                Ok(template) if template.places().eq([name]) => Some(template),
                Ok(_) => {
                    table.problem(
                        key,
                        format!("must have the place {{{name}}} once and no other"),
                    );
                    None
                }
                Err(message) => {
                    table.problem(key, message);
                    None
                }
            }
        };
        let (since, until) = (table.text("param"), table.text("until_param"));
        let (condition, until_condition) = (
            place("condition", "since"),
            place("until_condition", "until"),
        );
        let conditions_param = table
            .text("conditions_param")
            .unwrap_or_else(|| "conditions".to_owned());
        let filter = match (since, condition) {
            (Some(since), None) => ChangeFilter::Param { since, until },
            (None, Some(since)) => ChangeFilter::Condition {
                param: conditions_param,
                since,
                until: until_condition,
            },
            (Some(since), Some(_)) => {
                table.problem("condition", "stands beside `param`: give one or the other");
                ChangeFilter::Param { since, until }
            }
            (None, None) => {
                if !table.has("condition") && !table.has("param") {
                    table.problem("param", "is missing: give `param`, or `condition`");
                }
                ChangeFilter::Param {
                    since: String::new(),
                    until,
                }
            }
        };
        let formats = [
            ("iso", StampFormat::Iso),
            ("iso_millis", StampFormat::IsoMillis),
            ("date", StampFormat::Date),
            ("unix", StampFormat::Unix),
        ];
        Changes {
            every: table.need_duration("every"),
            filter,
            overlap: table
                .duration("overlap")
                .unwrap_or(Duration::from_secs(300)),
            format: table.choice("format", &formats).unwrap_or(StampFormat::Iso),
        }
    }
}

impl Reconcile {
    fn read(table: &Table<'_>) -> Reconcile {
        Reconcile {
            every: table.need_duration("every"),
            prune_after: table
                .integer("prune_after", 1, 100)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(1),
            shrink_max: table.share("shrink_max").unwrap_or(0.2),
            params: table.pairs("params").unwrap_or_default(),
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
