//! Finding records by criteria, containment and JSON path, page by page.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Connection, PgConnection, Postgres, QueryBuilder};

use super::{
    COLUMNS, Criterion, RecordRow,
    criteria::containments,
    pinned::{BOTH, PINNED, push_changed_since, push_is_in},
    record,
};
use crate::{
    ResourceName, Store,
    error::{For, Result},
    snapshots::AtSnapshot,
};

/// Records on one page at the most.
pub const SEARCH_PAGE_MAX: i64 = 1000;

/// What to look for. All conditions must hold.
#[derive(Debug, Clone)]
pub struct Search {
    /// The resource.
    pub resource: ResourceName,
    /// Only these instances; empty: all.
    pub instances: Vec<String>,
    /// The instances that are there at all for whoever asks; `None`: all. For tenants the database itself sees to
    /// it as well, see [`crate::reader::Reader::search_as`].
    pub visible: Option<Vec<String>>,
    /// Typed criteria.
    pub criteria: Vec<Criterion>,
    /// A body that a match must contain.
    pub contains: Option<Value>,
    /// An SQL/JSON path that must find something, for example `$.Order.Lines[*] ? (@.Quantity > 100)`.
    pub json_path: Option<String>,
    /// Whether records that are gone upstream count too.
    pub deleted: bool,
    /// Records on the page, at most 1000.
    pub limit: i64,
    /// Go on after this place.
    pub after: Option<String>,
    /// How long the database may look.
    pub timeout: Duration,
    /// The snapshot at which records are looked at; `None`: as they are by now.
    pub at: Option<AtSnapshot>,
}

impl Search {
    /// A search of `resource` that finds everything, 100 records a page.
    pub fn all(resource: ResourceName) -> Self {
        Self {
            resource,
            instances: Vec::new(),
            visible: None,
            criteria: Vec::new(),
            contains: None,
            json_path: None,
            deleted: false,
            limit: 100,
            after: None,
            timeout: Duration::from_secs(10),
            at: None,
        }
    }
}

/// One page of matches, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct SearchPage {
    /// The matches.
    pub records: Vec<Arc<RecordRow>>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct After {
    at: Option<Timestamp>,
    instance: String,
    id: String,
}

impl Store {
    /// Finds records; `feed` is as for [`Store::find_record`].
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] with PostgreSQL's own words when the JSON path is wrong or time is up.
    pub async fn search(&self, search: &Search, feed: &ResourceName) -> Result<SearchPage> {
        let mut connection = self.pool().acquire().await.to("search")?;
        let mut tx = connection.begin().await.to("search")?;
        let page = search_on(&mut tx, search, feed).await?;
        tx.commit().await.to("search")?;
        Ok(page)
    }
}

/// Runs a search in a transaction that sees what it may.
pub(crate) async fn search_on(
    tx: &mut PgConnection,
    search: &Search,
    feed: &ResourceName,
) -> Result<SearchPage> {
    let limit = search.limit.clamp(1, SEARCH_PAGE_MAX);
    let after = search.after.as_deref().map(parse_after).transpose()?;
    let mut query = match &search.at {
        None => statement(search, after.as_ref(), feed, limit),
        Some(at) => pinned_statement(search, after.as_ref(), at, limit),
    };
    prepare(tx, search).await?;
    let rows = query.build().fetch_all(&mut *tx).await.to("search")?;
    let mut records = rows
        .iter()
        .map(|row| record(row).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let more = records.len() as i64 > limit;
    records.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = records.last().filter(|_| more).map(|last| {
        let after = After {
            at: last.upstream_at,
            instance: last.instance.clone(),
            id: last.id.clone(),
        };
        hex::encode(serde_json::to_vec(&after).unwrap_or_default())
    });
    Ok(SearchPage { records, next })
}

/// Bounds the time of the statement that follows, and has it use the index that can tell.
pub(super) async fn prepare(tx: &mut PgConnection, search: &Search) -> Result<()> {
    // The planner does not know what it costs to open a large body: where the index can tell, it must.
    let indexed = search.contains.is_some() || search.criteria.iter().any(Criterion::is_equality);
    sqlx::query(
        "SELECT set_config('statement_timeout', $1, true), set_config('enable_seqscan', $2, true)",
    )
    .bind(search.timeout.as_millis().max(1).to_string())
    .bind(if indexed { "off" } else { "on" })
    .execute(tx)
    .await
    .to("search")?;
    Ok(())
}

/// In which order records are found.
const ORDER: &str = " ORDER BY r.upstream_at DESC NULLS LAST, r.instance, r.id";

fn statement(
    search: &Search,
    after: Option<&After>,
    feed: &ResourceName,
    limit: i64,
) -> QueryBuilder<Postgres> {
    // The page's ids first, then what only the answered records need.
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM ("));
    push_newest(&mut query, search, "*", after, limit + 1);
    query
        .push(") r LEFT JOIN millpond.record_fetch f ON f.resource = r.resource AND f.instance = r.instance AND f.id = r.id ")
        .push("LEFT JOIN millpond.fetch_queue q ON q.resource = r.resource AND q.instance = r.instance AND q.id = r.id ")
        .push("LEFT JOIN millpond.watermark w ON w.instance = r.instance AND w.resource = ")
        .push_bind(feed.as_str().to_owned())
        .push(ORDER);
    query
}

/// Adds a statement for the newest `limit` matches, in order: the newest of each instance, and of those the newest. The
/// index of listings begins with the instance; over all of them at once every match would have to be sorted.
pub(super) fn push_newest(
    query: &mut QueryBuilder<Postgres>,
    search: &Search,
    columns: &str,
    after: Option<&After>,
    limit: i64,
) {
    let table = search.resource.sql();
    if let [_] = &search.instances[..] {
        query.push(format_args!("SELECT r.{columns} FROM {table} r WHERE "));
        conditions(query, search);
        push_after(query, after);
        query.push(ORDER).push(" LIMIT ").push_bind(limit);
        return;
    }
    query.push(format_args!("SELECT r.{columns} FROM "));
    match (&search.instances[..], &search.visible) {
        ([], Some(named)) => push_names(query, named),
        ([], None) => {
            // One look into the index for each.
            let one = format!(
                "SELECT r.instance FROM {table} r WHERE r.resource = '{}'",
                search.resource
            );
            query.push(format_args!(
                "(WITH RECURSIVE there AS ((SELECT ({one} ORDER BY r.instance LIMIT 1) AS name) UNION ALL \
                 SELECT ({one} AND r.instance > there.name ORDER BY r.instance LIMIT 1) FROM there \
                 WHERE there.name IS NOT NULL) SELECT name FROM there WHERE name IS NOT NULL) i"
            ));
        }
        (named, _) => push_names(query, named),
    }
    query.push(format_args!(
        " CROSS JOIN LATERAL (SELECT * FROM {table} r WHERE r.instance = i.name AND "
    ));
    conditions(query, search);
    push_after(query, after);
    query.push(ORDER).push(" LIMIT ").push_bind(limit);
    query
        .push(") r")
        .push(ORDER)
        .push(" LIMIT ")
        .push_bind(limit);
}

/// Adds instances, each once.
fn push_names(query: &mut QueryBuilder<Postgres>, names: &[String]) {
    query
        .push("(SELECT DISTINCT unnest(")
        .push_bind(names.to_vec())
        .push("::text[]) AS name) i");
}

/// A page of what has not changed since the snapshot, a page of what has, and of both the first.
fn pinned_statement(
    search: &Search,
    after: Option<&After>,
    at: &AtSnapshot,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(format!(
        "SELECT {PINNED} FROM ((SELECT {BOTH} FROM {} r WHERE ",
        search.resource.sql(),
    ));
    push_is_in(&mut query, "r", at);
    query.push(" AND ");
    conditions(&mut query, search);
    push_after(&mut query, after);
    query.push(ORDER).push(" LIMIT ").push_bind(limit + 1);
    query.push(") UNION ALL (");
    push_changed_since(&mut query, &search.resource, at);
    // Versions are looked up for these alone.
    push_instances(&mut query, search, "c");
    query.push(" AND ");
    conditions(&mut query, search);
    push_after(&mut query, after);
    query.push(ORDER).push(" LIMIT ").push_bind(limit + 1);
    query.push(")) r").push(ORDER);
    query.push(" LIMIT ").push_bind(limit + 1);
    query
}

/// Adds that a match comes after the page before.
fn push_after(query: &mut QueryBuilder<Postgres>, after: Option<&After>) {
    let Some(after) = after else { return };
    match after.at {
        Some(at) => {
            query.push(" AND (r.upstream_at < ").push_bind(at.to_sqlx());
            query
                .push(" OR r.upstream_at IS NULL OR (r.upstream_at = ")
                .push_bind(at.to_sqlx());
            query.push(" AND (r.instance, r.id) > (");
        }
        None => {
            query.push(" AND (r.upstream_at IS NULL AND ((r.instance, r.id) > (");
        }
    }
    query
        .push_bind(after.instance.clone())
        .push(", ")
        .push_bind(after.id.clone())
        .push(")))");
}

/// Adds of which instances the row `alias` must be.
fn push_instances(query: &mut QueryBuilder<Postgres>, search: &Search, alias: &str) {
    if let [instance] = &search.instances[..] {
        query
            .push(format_args!(" AND {alias}.instance = "))
            .push_bind(instance.clone());
    } else if !search.instances.is_empty() {
        query
            .push(format_args!(" AND {alias}.instance = ANY("))
            .push_bind(search.instances.clone())
            .push(")");
    }
    if let Some(visible) = &search.visible {
        query
            .push(format_args!(" AND {alias}.instance = ANY("))
            .push_bind(visible.clone())
            .push(")");
    }
}

/// What a record `r` must meet.
pub(super) fn conditions(query: &mut QueryBuilder<Postgres>, search: &Search) {
    query.push(format!("r.resource = '{}'", search.resource));
    if !search.deleted {
        query.push(" AND r.deleted_at IS NULL");
    }
    push_instances(query, search, "r");
    if let Some(body) = &search.contains {
        query.push(" AND r.body @> ").push_bind(body.clone());
    }
    if let Some(path) = &search.json_path {
        query
            .push(" AND r.body @? ")
            .push_bind(path.clone())
            .push("::text::jsonpath");
    }
    for bodies in containments(&search.criteria) {
        query.push(" AND (");
        for (n, body) in bodies.into_iter().enumerate() {
            query
                .push(if n > 0 {
                    " OR r.body @> "
                } else {
                    "r.body @> "
                })
                .push_bind(body);
        }
        query.push(")");
    }
    for criterion in search.criteria.iter().filter(|c| !c.is_equality()) {
        let (path, negated) = criterion.json_path();
        query.push(if negated {
            " AND NOT r.body @? "
        } else {
            " AND r.body @? "
        });
        query.push_bind(path).push("::text::jsonpath");
    }
}

/// The longest `after` that is read.
const AFTER_CHARS_MAX: usize = 8192;

fn parse_after(text: &str) -> Result<After> {
    Some(text)
        .filter(|text| text.len() <= AFTER_CHARS_MAX)
        .and_then(|text| hex::decode(text).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| crate::StoreError::Unknown {
            what: "page of this search",
            name: text.chars().take(50).collect(),
        })
}
