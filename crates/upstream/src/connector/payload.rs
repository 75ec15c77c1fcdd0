//! `[[payload]]`: what is fetched per parent record and kept hot, out of which calls, and how it is written.

use super::endpoint::Endpoint;
use super::paging::Paging;
use super::reader::Table;
use super::template::Template;
use super::write::Write;
use crate::field_path::FieldPath;

/// Something fetched per parent record, out of one or several calls.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Its name, unlike any resource's.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// The key family of the hot value: `opp:notes:{id}`. Its places make up the payload's identity.
    pub family: Template,
    /// The resource whose records have it.
    pub of: String,
    /// Where the parent's record says what goes into a place of `family`; `{id}` is the parent's own id.
    pub ids: Vec<(String, FieldPath)>,
    /// What makes it up; one part alone without a name is the payload itself.
    /// All or nothing: a payload with a part missing is not a payload.
    pub parts: Vec<Part>,
    /// The table of `[ttl]` that says how long it stays hot.
    pub ttl: Option<String>,
    /// Whether the sweep warms it.
    pub warm: bool,
    /// The resources whose changes say that it changed.
    pub told_by: Vec<Teller>,
    /// Whether it changes in no other way: while they tell of no change it is as fresh as their feeds.
    pub told_wholly: bool,
    /// How it is written.
    pub writes: Vec<Write>,
}

/// A resource whose changes say that a payload changed.
#[derive(Clone, Debug)]
pub struct Teller {
    /// Which resource.
    pub of: String,
    /// Where a changed record says the value of the one place in the payload's family; absent: its own id.
    pub at: Option<FieldPath>,
}

/// One part of a payload.
#[derive(Clone, Debug)]
pub struct Part {
    /// The key under which it stands; empty: it is the whole payload.
    pub name: String,
    /// Where it comes from.
    pub source: PartSource,
}

/// Where a part of a payload comes from.
#[derive(Clone, Debug)]
pub enum PartSource {
    /// One answer, as it stands.
    Get(Endpoint),
    /// A listing, followed to its last page.
    List {
        /// Where its elements are listed.
        endpoint: Endpoint,
        /// Where an element says its id.
        key: FieldPath,
        /// How it is paged.
        paging: Box<Paging>,
    },
    /// The parent's record, fetched anew and written to its own row as well.
    Record,
    /// What the mirror says about the parent's row: version, stamps, run. No call.
    Row,
    /// The sum of a number over the elements of another part. No call.
    Sum {
        /// The other part.
        of: String,
        /// Where an element says the number.
        at: FieldPath,
    },
}

impl Payload {
    pub(super) fn read(table: &Table<'_>, default_paging: &Paging) -> Payload {
        let paging = table
            .table("paging")
            .map_or_else(|| default_paging.clone(), |own| Paging::read(&own));
        let own = Part::read(table, String::new(), &paging, false);
        let several: Vec<Part> = table
            .tables("parts")
            .iter()
            .map(|part| {
                let name = part.need_name("name");
                Part::read(part, name, &paging, true).unwrap_or_else(|| {
                    if !["get", "list", "sum"].iter().any(|key| part.has(key)) {
                        part.problem(
                            "get",
                            "is missing: give `get`, `list`, `record`, `row` or `sum`",
                        );
                    }
                    Part {
                        name: String::new(),
                        source: PartSource::Row,
                    }
                })
            })
            .collect();
        let parts = match (own, several.is_empty()) {
            (Some(part), true) => vec![part],
            (Some(_), false) => {
                table.problem("parts", "stands beside `get` or `list`: give one of them");
                Vec::new()
            }
            (None, true) => {
                if !table.has("get") && !table.has("list") {
                    table.problem("get", "is missing: give `get`, `list` or `parts`");
                }
                Vec::new()
            }
            (None, false) => several,
        };
        Payload {
            name: table.need_name("name"),
            title: table.text("title").unwrap_or_default(),
            family: read_family(table),
            of: table.need_text("of"),
            ids: table
                .pairs("ids")
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(name, path)| Some((name, table.parse_path("ids", &path)?)))
                .collect(),
            parts,
            ttl: table.text("ttl"),
            warm: table.flag("warm").unwrap_or(false),
            told_by: table
                .tables("told_by")
                .iter()
                .map(|teller| Teller {
                    of: teller.need_text("of"),
                    at: teller.path("at"),
                })
                .collect(),
            told_wholly: table.flag("told_wholly").unwrap_or(false),
            writes: table.tables("writes").iter().map(Write::read).collect(),
        }
    }

    /// The name under which readers of the parent ask for it: `notes` for `opportunity_notes` of `opportunity`.
    pub fn short_name(&self) -> &str {
        self.name
            .strip_prefix(&self.of)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|rest| !rest.is_empty())
            .unwrap_or(&self.name)
    }

    /// Whether its identity is its parent's alone, so that both vanish together.
    pub fn shares_ids(&self) -> bool {
        self.family.places().eq(["id"])
    }

    /// Every place that its calls need, besides those of its family, with the key where it stands.
    pub(super) fn stray_places(&self) -> Vec<(&'static str, String)> {
        let known: Vec<&str> = self.family.places().collect();
        let mut strays = Vec::new();
        for part in &self.parts {
            let endpoint = match &part.source {
                PartSource::Get(endpoint) | PartSource::List { endpoint, .. } => endpoint,
                _ => continue,
            };
            for place in endpoint.places().filter(|place| !known.contains(place)) {
                strays.push(("parts", place.to_owned()));
            }
        }
        for write in &self.writes {
            let places = write.endpoint.places();
            for place in places.filter(|place| *place != Write::ITEM && !known.contains(place)) {
                strays.push(("writes", place.to_owned()));
            }
        }
        strays
    }
}

impl Part {
    fn read(table: &Table<'_>, name: String, paging: &Paging, derived: bool) -> Option<Part> {
        let get = Endpoint::read_open(table, "get");
        let list = Endpoint::read_open(table, "list");
        let key = table.path("key");
        if key.is_some() && list.is_none() {
            table.problem("key", "needs `list`");
        }
        let mut sources = Vec::new();
        sources.extend(get.map(PartSource::Get));
        sources.extend(list.map(|endpoint| PartSource::List {
            endpoint,
            key: key.unwrap_or_else(|| FieldPath::of_key("id")),
            paging: Box::new(paging.clone()),
        }));
        if derived {
            if table.flag("record").unwrap_or(false) {
                sources.push(PartSource::Record);
            }
            if table.flag("row").unwrap_or(false) {
                sources.push(PartSource::Row);
            }
            sources.extend(read_sum(table));
        }
        if sources.len() > 1 {
            table.problem("name", "has several sources: give one of them");
        }
        let source = sources.into_iter().next()?;
        Some(Part { name, source })
    }
}

fn read_sum(table: &Table<'_>) -> Option<PartSource> {
    let text = table.text("sum")?;
    match text.split_once('.') {
        Some((of, at)) => Some(PartSource::Sum {
            of: of.to_owned(),
            at: table.parse_path("sum", at)?,
        }),
        None => {
            table.problem("sum", "must name a part and a path: `inventory.onHand`");
            None
        }
    }
}

fn read_family(table: &Table<'_>) -> Template {
    let text = table.need_text("family");
    Template::parse(&text).unwrap_or_else(|message| {
        table.problem("family", message);
        Template::fixed(&text)
    })
}
