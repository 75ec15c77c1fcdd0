//! Which values the records of a search have in a place, and how many records each.

use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection, Postgres, QueryBuilder, Row};

use super::{
    FieldPath, Search,
    search::{prepare, push_newest},
};
use crate::{
    Store,
    error::{For, Result},
};

/// Places that are looked at in one go at the most.
pub const FACETS_MAX: usize = 8;
/// Records that are looked into at the most.
pub const FACET_RECORDS_MAX: i64 = 100_000;
/// Values of one place that are answered at the most.
pub const FACET_VALUES_MAX: i64 = 100;
/// Longer values are texts rather than kinds: they are not counted.
const VALUE_CHARS_MAX: i32 = 200;

/// Which places, and how far to look.
#[derive(Debug, Clone)]
pub struct FacetAsk {
    /// The places, 1 to [`FACETS_MAX`].
    pub paths: Vec<FieldPath>,
    /// How many of the newest records that the search finds are looked into, 1 to [`FACET_RECORDS_MAX`].
    pub records: i64,
    /// Values of each place, the most frequent first, 1 to [`FACET_VALUES_MAX`].
    pub values: i64,
}

/// What a search's records have in some places.
#[derive(Debug, Serialize)]
pub struct Facets {
    /// Every place, in the order of the question.
    pub facets: Vec<Facet>,
    /// Records that were looked into.
    pub records: i64,
    /// Whether these are all that the search finds.
    pub whole: bool,
}

/// The values of one place.
#[derive(Debug, Serialize)]
pub struct Facet {
    /// The place.
    pub path: String,
    /// The most frequent values first, then in their order.
    pub values: Vec<FacetValue>,
    /// Different values there are among the records, also those that are not answered.
    pub distinct: i64,
}

/// One value: a text, number, truth value or null.
#[derive(Debug, Serialize)]
pub struct FacetValue {
    /// The value.
    pub value: Value,
    /// Records that have it there, each counted once.
    pub records: i64,
}

impl Store {
    /// Counts the values of the newest records that a search finds; its page plays no part. Reads no more than
    /// [`FacetAsk::records`] bodies, however many match.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] with PostgreSQL's own words when the JSON path is wrong or time is up.
    pub async fn facets(&self, search: &Search, ask: &FacetAsk) -> Result<Facets> {
        let mut connection = self.pool().acquire().await.to("count values")?;
        let mut tx = connection.begin().await.to("count values")?;
        let facets = facets_on(&mut tx, search, ask).await?;
        tx.commit().await.to("count values")?;
        Ok(facets)
    }
}

/// Counts in a transaction that sees what it may.
pub(crate) async fn facets_on(
    tx: &mut PgConnection,
    search: &Search,
    ask: &FacetAsk,
) -> Result<Facets> {
    prepare(tx, search).await?;
    let most = ask.records.clamp(1, FACET_RECORDS_MAX);
    let mut query = statement(search, ask, most);
    let rows = query.build().fetch_all(tx).await.to("count values")?;
    let mut records = 0;
    let mut facets: Vec<Facet> = ask
        .paths
        .iter()
        .map(|path| Facet {
            path: path.as_str().to_owned(),
            values: Vec::new(),
            distinct: 0,
        })
        .collect();
    for row in rows {
        records = row.try_get("found").to("count values")?;
        // Records without any such value are told by a row without a place.
        let place: Option<i32> = row.try_get("facet").to("count values")?;
        let Some(facet) = place.and_then(|place| facets.get_mut(usize::try_from(place).ok()?))
        else {
            continue;
        };
        facet.distinct = row.try_get("values").to("count values")?;
        facet.values.push(FacetValue {
            value: row.try_get("value").to("count values")?,
            records: row.try_get("records").to("count values")?,
        });
    }
    Ok(Facets {
        facets,
        records,
        whole: records < most,
    })
}

fn statement(search: &Search, ask: &FacetAsk, most: i64) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("WITH found AS MATERIALIZED (");
    push_newest(&mut query, search, "body", None, most);
    query.push("), valued AS (");
    for (n, path) in ask.paths.iter().take(FACETS_MAX).enumerate() {
        if n > 0 {
            query.push(" UNION ALL ");
        }
        // A record has a value once, however many of its lines do.
        query
            .push(format!(
                "SELECT {n} AS facet, v.value FROM found, LATERAL (SELECT DISTINCT value FROM jsonb_path_query(found.body, "
            ))
            .push_bind(path.json_path())
            .push(format!(
                "::text::jsonpath) value WHERE jsonb_typeof(value) NOT IN ('object', 'array') \
                 AND coalesce(length(value #>> '{{}}'), 0) <= {VALUE_CHARS_MAX}) v"
            ));
    }
    query
        .push(
            "), counted AS (SELECT facet, value, count(*) AS records, \
             row_number() OVER (PARTITION BY facet ORDER BY count(*) DESC, value) AS place, \
             count(*) OVER (PARTITION BY facet) AS values FROM valued GROUP BY facet, value) \
             SELECT t.found, c.facet, c.value, c.records, c.values \
             FROM (SELECT count(*) AS found FROM found) t LEFT JOIN counted c ON c.place <= ",
        )
        .push_bind(ask.values.clamp(1, FACET_VALUES_MAX))
        .push(" ORDER BY c.facet, c.place");
    query
}
