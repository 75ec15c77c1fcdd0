//! How changes and deletions are found.

use std::time::Duration;

use super::reader::Table;
use super::template::Template;

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

impl Changes {
    pub(super) fn read(table: &Table<'_>) -> Changes {
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
    pub(super) fn read(table: &Table<'_>) -> Reconcile {
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
