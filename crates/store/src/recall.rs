//! Finding notes and records by words and vectors. How both are weighed is the caller's.
//!
//! Words are weighed by how rare they are among what may be found (BM25 with every word counted once per text;
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009). Vectors are compared exactly, with those
//! whose sketches are nearest: as long as no more than [`CANDIDATES_MAX`] texts may be found, with all of them.

mod index;
mod pending;

use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::{
    Store,
    error::{For, Result},
    memory::{Shelf, Vectored},
};

pub use self::{
    index::{FoundText, Indexed, IndexedText, RecallPlace},
    pending::{Kept, Pending},
};

/// The most texts that words, and that vectors, find for one question.
pub const CANDIDATES_MAX: i64 = 256;
/// How long the database may look.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Sought {
    /// The question's words; none: words find nothing.
    pub words: Vec<String>,
    /// The question's vector; `None`: vectors find nothing.
    pub vectored: Option<Vectored>,
}

/// Which notes count.
#[derive(Debug, Clone)]
pub struct NoteFilter {
    /// Whose.
    pub shelf: Shelf,
    /// Of this end user, and of everybody.
    pub user: String,
    /// Only of this tier.
    pub tier: Option<String>,
    /// With all of these.
    pub tags: Vec<String>,
    /// Whose metadata contain this.
    pub metadata: Option<Value>,
    /// Only of this conversation.
    pub session: Option<String>,
}

/// Which records count.
#[derive(Debug, Clone)]
pub struct RecordFilter {
    /// Of these.
    pub resources: Vec<String>,
    /// Of these instances; `None`: all.
    pub instances: Option<Vec<String>>,
}

/// What words or vectors found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<K> {
    /// Which text.
    pub key: K,
    /// The share of the question's words that it has, by how rare they are; less in a long text.
    pub words: Option<f64>,
    /// The cosine between its vector and the question's.
    pub cosine: Option<f64>,
}

/// A record's resource, instance and id.
pub type RecordKey = (String, String, String);

/// `{docs}`: the texts that count, with `key`, `words`, `embedder`, `vector` and `sketch`. `$1` the words, `$2` the
/// embedder, `$3` the vector, `$4` its sketch, `$5` the most of each.
const SEARCH: &str = "\
    WITH docs AS NOT MATERIALIZED ({docs}), \
    stat AS (SELECT count(*)::float8 AS n, greatest(avg(length(words)), 1)::float8 AS mean FROM docs), \
    asked AS (SELECT t.q, ln(1 + (stat.n - f.n + 0.5) / (f.n + 0.5)) AS idf FROM stat, unnest($1::text[]) AS w (word), \
      LATERAL (SELECT ('''' || replace(replace(w.word, '\\', '\\\\'), '''', '''''') || '''')::tsquery AS q) AS t, \
      LATERAL (SELECT count(*)::float8 AS n FROM docs WHERE docs.words @@ t.q) AS f), \
    best AS (SELECT nullif(sum(idf), 0) AS idf FROM asked), \
    by_words AS (SELECT d.key, sum(a.idf) * 1.3 / (1.3 + 0.9 * length(d.words) / stat.mean) AS score \
      FROM asked a JOIN docs d ON d.words @@ a.q CROSS JOIN stat GROUP BY d.key, length(d.words), stat.mean \
      ORDER BY score DESC, d.key LIMIT $5), \
    near AS (SELECT key, vector FROM docs WHERE embedder = $2 \
      ORDER BY bit_count(sketch # $4::text::varbit), key LIMIT CASE WHEN $4 IS NULL THEN 0 ELSE $5 END), \
    by_vector AS (SELECT key, (SELECT sum(a::float8 * b) FROM unnest(vector, $3::real[]) AS t (a, b)) AS cosine FROM near) \
    SELECT coalesce(w.key, v.key), w.score / best.idf, v.cosine \
      FROM by_words w FULL JOIN by_vector v ON v.key = w.key CROSS JOIN best";

const NOTES: &str = "SELECT ARRAY[m.id] AS key, m.words, m.embedder, m.vector, m.sketch FROM millpond.memory m \
    WHERE m.owner = $6 AND m.\"user\" IN ($7, '') AND ($8::text IS NULL OR m.project = $8) \
      AND ($9::text IS NULL OR m.tier = $9) AND m.tags @> $10::text[] AND ($11::jsonb IS NULL OR m.metadata @> $11) \
      AND ($12::text IS NULL OR m.session = $12)";

const RECORDS: &str = "SELECT ARRAY[r.resource, r.instance, r.id] AS key, r.words, r.embedder, r.vector, r.sketch \
    FROM millpond.recall r WHERE r.resource = ANY ($6) AND ($7::text[] IS NULL OR r.instance = ANY ($7))";

impl Store {
    /// The notes that words or vectors find.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] when the database looked for too long, or a filter is none.
    pub async fn recall_notes(
        &self,
        sought: &Sought,
        filter: &NoteFilter,
    ) -> Result<Vec<Found<String>>> {
        let found = self
            .recall(sought, NOTES, |query| {
                query
                    .bind(filter.shelf.owner().to_owned())
                    .bind(filter.user.clone())
                    .bind(filter.shelf.project.clone())
                    .bind(filter.tier.clone())
                    .bind(filter.tags.clone())
                    .bind(filter.metadata.clone())
                    .bind(filter.session.clone())
            })
            .await?;
        let notes = found.into_iter().filter_map(|mut found| {
            let key = found.key.pop()?;
            Some(found.of(key))
        });
        Ok(notes.collect())
    }

    /// The records that words or vectors find by their texts. What is gone upstream may be among them for a moment.
    ///
    /// # Errors
    ///
    /// [`crate::StoreError::Refused`] when the database looked for too long.
    pub async fn recall_records(
        &self,
        sought: &Sought,
        filter: &RecordFilter,
    ) -> Result<Vec<Found<RecordKey>>> {
        let found = self
            .recall(sought, RECORDS, |query| {
                query
                    .bind(filter.resources.clone())
                    .bind(filter.instances.clone())
            })
            .await?;
        let records = found.into_iter().filter_map(|found| {
            let mut key = found.key.clone().into_iter();
            let key = (key.next()?, key.next()?, key.next()?);
            Some(found.of(key))
        });
        Ok(records.collect())
    }

    async fn recall<'q>(
        &self,
        sought: &'q Sought,
        docs: &str,
        filter: impl FnOnce(Bound<'q>) -> Bound<'q>,
    ) -> Result<Vec<Found<Vec<String>>>> {
        const WHAT: &str = "recall";
        let vectored = sought.vectored.as_ref();
        let query = sqlx::query(AssertSqlSafe(SEARCH.replace("{docs}", docs)))
            .bind(&sought.words)
            .bind(vectored.map(|made| &made.embedder))
            .bind(vectored.map(|made| &made.vector))
            .bind(vectored.map(|made| &made.sketch))
            .bind(CANDIDATES_MAX);
        let query = filter(query);
        let mut connection = self.pool().acquire().await.to(WHAT)?;
        let mut tx = connection.begin().await.to(WHAT)?;
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(TIMEOUT.as_millis().to_string())
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        let rows = query.fetch_all(&mut *tx).await.to(WHAT)?;
        tx.commit().await.to(WHAT)?;
        let found = rows.iter().map(|row| Found {
            key: row.get(0),
            words: row.get(1),
            cosine: row.get(2),
        });
        Ok(found.collect())
    }
}

type Bound<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl<K> Found<K> {
    fn of<L>(self, key: L) -> Found<L> {
        Found {
            key,
            words: self.words,
            cosine: self.cosine,
        }
    }
}
