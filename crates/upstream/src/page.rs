//! Pages of records, and where the next one is.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::Meta;

/// One record as upstream sent it.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// Its id, built from the resource's key; `None` when it has none that can be used.
    pub id: Option<String>,
    /// Its bytes, valid JSON, a slice of the page's body.
    pub body: Bytes,
    /// When upstream says that it last changed.
    pub upstream_at: Option<Timestamp>,
    /// Why it cannot be kept: no id, an id of another type, too large.
    pub problem: Option<String>,
}

/// What page is asked for.
#[derive(Clone, Debug, Default)]
pub struct PageAsk {
    /// Where to go on; [`Position::First`] to begin.
    pub position: Position,
    /// Only what changed since then; needs a resource with `changes`.
    pub since: Option<Timestamp>,
    /// Only what changed up to then, where the API can.
    pub until: Option<Timestamp>,
    /// Records per page; absent: as the connector says. Never above its `size_max`.
    pub page_size: Option<u32>,
    /// Further parameters; they win over the connector's of the same name.
    pub extra: Vec<(String, String)>,
}

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its records, in upstream's order.
    pub records: Vec<RawRecord>,
    /// How many records match in all, where the API says.
    pub total: Option<u64>,
    /// Where the next page is; `None` at the end.
    pub next: Option<Position>,
    /// Its number, from 1.
    pub page_number: u64,
    /// Bytes of its body.
    pub bytes: u64,
    /// When and how it was obtained.
    pub meta: Meta,
}

/// Where in a listing the next page is. Opaque: it may be stored as JSON and handed back, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Position {
    /// The beginning.
    #[default]
    First,
    /// Further on.
    At {
        /// The page's number, from 1.
        number: u64,
        /// Records before it.
        seen: u64,
        /// Ids of the page before it, hashed.
        before: u64,
        /// How many pages before it were the same. Rows that arrive while we page can repeat a page once; a server
        /// that does not know the paging parameter repeats it for ever.
        #[serde(default, skip_serializing_if = "is_zero")]
        repeats: u8,
        /// The token, query or id that names it, where the number does not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
}

impl Position {
    /// The page of that number, from 1, for listings that are paged by number or offset.
    pub fn page(number: u64, page_size: u32) -> Position {
        match number {
            0 | 1 => Position::First,
            _ => Position::At {
                number,
                seen: (number - 1) * u64::from(page_size),
                before: 0,
                repeats: 0,
                token: None,
            },
        }
    }

    /// The number of the page, from 1.
    pub fn number(&self) -> u64 {
        match self {
            Position::First => 1,
            Position::At { number, .. } => *number,
        }
    }
}

/// What a fetch of one record found.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The record.
    Found(RawRecord, Meta),
    /// Upstream says that there is none.
    Missing(Meta),
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}
