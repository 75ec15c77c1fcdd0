//! One search: how rare the words are, which texts they and the vector find, and what there is to score them by.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgArguments, query::Query};

use super::{
    AllFound, CANDIDATES_MAX, Found, FoundTerm, NoteFilter, RecordFilter, Sought, WORDS_TOLD_MAX,
};
use crate::{
    Store,
    error::{For, Result},
    memory::Vectored,
};

/// How long the database may look.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What a word counts in a text is `BRIEF / (BRIEF + LONG * length / mean length)`: BM25's shape for words that are
/// counted once.
const BRIEF: f64 = 1.3;
const LONG: f64 = 0.9;
const WHAT: &str = "recall";

type Bound<'q> = Query<'q, sqlx::Postgres, PgArguments>;

const NOTES: &str = "SELECT m.ctid AS at, ARRAY[m.id] AS key, m.words, m.embedder, m.vector, m.sketch FROM millpond.memory m \
    WHERE m.owner = $1 AND m.\"user\" IN ($2, '') AND ($3::text IS NULL OR m.project = $3) \
      AND ($4::text IS NULL OR m.tier = $4) AND m.tags @> $5::text[] AND ($6::jsonb IS NULL OR m.metadata @> $6) \
      AND ($7::text IS NULL OR m.session = $7)";
const RECORDS: &str = "SELECT r.ctid AS at, ARRAY[r.resource, r.instance, r.id] AS key, r.words, r.embedder, r.vector, r.sketch \
    FROM millpond.recall r WHERE r.resource = ANY ($1) AND ($2::text[] IS NULL OR r.instance = ANY ($2))";

/// `{word}` as a search for exactly it.
const AS_QUERY: &str =
    "('''' || replace(replace({word}, '\\', '\\\\'), '''', '''''') || '''')::tsquery";

/// How many texts there are, their mean length, how many have each of the words `?1`, and how many each of the other
/// forms `?2`, of the words at the places `?3`, which are looked for only for want of the word itself where `?4` says so.
const COUNTS: &str = "\
    WITH docs AS NOT MATERIALIZED ({docs}), \
    own AS MATERIALIZED (SELECT w.place, (SELECT count(*) FROM docs WHERE docs.words @@ {own}) AS n \
      FROM unnest(?1::text[]) WITH ORDINALITY AS w (word, place)), \
    other AS MATERIALIZED (SELECT f.place, CASE WHEN f.is_guess AND own.n > 0 THEN 0 \
        ELSE (SELECT count(*) FROM docs WHERE docs.words @@ {other}) END AS n \
      FROM unnest(?2::text[], ?3::bigint[], ?4::boolean[]) WITH ORDINALITY AS f (word, term, is_guess, place) \
      JOIN own ON own.place = f.term) \
    SELECT count(*), greatest(avg(length(words)), 1)::float8, ARRAY(SELECT n FROM own ORDER BY place), \
      ARRAY(SELECT n FROM other ORDER BY place) FROM docs";

/// The texts with the best of the words `?1`, which stand for those at the places `?2` and weigh `?3`, where a mean text
/// has `?4` words, and those nearest to the sketch `?6` of the embedder `?5`; with
/// their words if `?7`.
const FIND: &str = "\
    WITH docs AS NOT MATERIALIZED ({docs}), \
    form AS MATERIALIZED (SELECT f.word, f.place, f.weight, {form} AS q \
      FROM unnest(?1::text[], ?2::bigint[], ?3::float8[]) AS f (word, place, weight)), \
    hit AS (SELECT d.at, d.key, length(d.words) AS length, max(f.weight) AS weight \
      FROM form f JOIN docs d ON d.words @@ f.q GROUP BY d.at, d.key, length(d.words), f.place), \
    by_words AS (SELECT at FROM hit GROUP BY at, key, length \
      ORDER BY sum(weight) / ({brief} + {long} * length / ?4::float8) DESC, key LIMIT {most}), \
    near AS (SELECT at FROM docs WHERE embedder = ?5::text \
      ORDER BY bit_count(sketch # ?6::text::varbit), key LIMIT CASE WHEN ?6::text IS NULL THEN 0 ELSE {most} END) \
    SELECT d.key, length(d.words), \
        CASE WHEN NOT ?7::boolean THEN '{}' WHEN length(d.words) <= {told} THEN tsvector_to_array(d.words) \
          ELSE ARRAY(SELECT f.word FROM form f WHERE d.words @@ f.q) END, \
        CASE WHEN d.embedder = ?5::text THEN d.vector END \
      FROM docs d WHERE d.at = ANY (ARRAY(SELECT at FROM by_words UNION SELECT at FROM near))";

/// Which texts count.
#[derive(Clone, Copy)]
pub(super) enum Docs<'a> {
    Notes(&'a NoteFilter),
    Records(&'a RecordFilter),
}

impl Docs<'_> {
    /// A statement over `{docs}`, its own parameters `?1`, `?2` and so on after those of the filter.
    fn statement(self, sql: &str) -> AssertSqlSafe<String> {
        let (docs, filters) = match self {
            Self::Notes(_) => (NOTES, 7),
            Self::Records(_) => (RECORDS, 2),
        };
        let numbered = (1..=9).fold(sql.replace("{docs}", docs), |sql, n| {
            sql.replace(&format!("?{n}"), &format!("${}", filters + n))
        });
        AssertSqlSafe(numbered)
    }

    fn bind<'q>(self, query: Bound<'q>) -> Bound<'q> {
        match self {
            Self::Notes(filter) => query
                .bind(filter.shelf.owner().to_owned())
                .bind(filter.user.clone())
                .bind(filter.shelf.project.clone())
                .bind(filter.tier.clone())
                .bind(filter.tags.clone())
                .bind(filter.metadata.clone())
                .bind(filter.session.clone()),
            Self::Records(filter) => query
                .bind(filter.resources.clone())
                .bind(filter.instances.clone()),
        }
    }
}

/// What stands for a word and is in some text.
struct Form<'a> {
    word: &'a str,
    place: usize,
    worth: f64,
}

/// How many texts have what.
struct Counted<'a> {
    mean: f64,
    terms: Vec<FoundTerm>,
    forms: Vec<Form<'a>>,
}

impl Store {
    pub(super) async fn search_texts(
        &self,
        sought: &Sought,
        docs: Docs<'_>,
    ) -> Result<AllFound<Vec<String>>> {
        let mut connection = self.pool().acquire().await.to(WHAT)?;
        let mut tx = connection.begin().await.to(WHAT)?;
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(TIMEOUT.as_millis().to_string())
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        let counted = match sought.terms.is_empty() {
            true => Counted {
                mean: 1.0,
                terms: Vec::new(),
                forms: Vec::new(),
            },
            false => counted(&mut tx, sought, docs).await?,
        };
        let texts = texts(&mut tx, &counted, sought.vectored.as_ref(), docs).await?;
        tx.commit().await.to(WHAT)?;
        Ok(AllFound {
            terms: counted.terms,
            texts,
        })
    }
}

async fn counted<'s>(
    connection: &mut PgConnection,
    sought: &'s Sought,
    docs: Docs<'_>,
) -> Result<Counted<'s>> {
    let words: Vec<&str> = sought.terms.iter().map(|term| &*term.word).collect();
    let (mut others, mut places, mut guesses) = (Vec::new(), Vec::new(), Vec::new());
    for (place, term) in sought.terms.iter().enumerate() {
        for other in &term.others {
            others.push(&*other.word);
            places.push(place as i64 + 1);
            guesses.push(other.is_guess);
        }
    }
    let sql = COUNTS
        .replace("{own}", &AS_QUERY.replace("{word}", "w.word"))
        .replace("{other}", &AS_QUERY.replace("{word}", "f.word"));
    let query = docs.bind(sqlx::query(docs.statement(&sql)));
    let query = query.bind(words).bind(others).bind(places).bind(guesses);
    let row = query.fetch_one(connection).await.to(WHAT)?;
    let (all, mean): (i64, f64) = (row.get(0), row.get(1));
    let (own, other): (Vec<i64>, Vec<i64>) = (row.get(2), row.get(3));
    let mut other = other.into_iter();
    let (mut terms, mut forms) = (Vec::new(), Vec::new());
    for ((place, term), own) in sought.terms.iter().enumerate().zip(own) {
        let itself = (term.word.as_str(), 1.0, own);
        let others = term.others.iter().zip(other.by_ref());
        let others = others.map(|(form, n)| (form.word.as_str(), form.worth, n));
        let there: Vec<(&str, f64, i64)> = std::iter::once(itself)
            .chain(others)
            .filter(|(.., n)| *n > 0)
            .collect();
        // What nobody wrote is as rare as the commonest of what stands for it.
        let most = there.iter().map(|(.., n)| *n).max().unwrap_or(0);
        terms.push(FoundTerm {
            rarity: rarity(all, if own > 0 { own } else { most }),
            is_known: own > 0,
        });
        let there = there.into_iter();
        forms.extend(there.map(|(word, worth, _)| Form { word, place, worth }));
    }
    Ok(Counted { mean, terms, forms })
}

async fn texts(
    connection: &mut PgConnection,
    counted: &Counted<'_>,
    vectored: Option<&Vectored>,
    docs: Docs<'_>,
) -> Result<Vec<Found<Vec<String>>>> {
    let forms = &counted.forms;
    let words: Vec<&str> = forms.iter().map(|form| form.word).collect();
    let places: Vec<i64> = forms.iter().map(|form| form.place as i64).collect();
    let weight = |form: &Form<'_>| form.worth * counted.terms[form.place].rarity;
    let weights: Vec<f64> = forms.iter().map(weight).collect();
    let sql = FIND
        .replace("{form}", &AS_QUERY.replace("{word}", "f.word"))
        .replace("{brief}", &BRIEF.to_string())
        .replace("{long}", &LONG.to_string())
        .replace("{most}", &CANDIDATES_MAX.to_string())
        .replace("{told}", &WORDS_TOLD_MAX.to_string());
    let query = docs.bind(sqlx::query(docs.statement(&sql)));
    let query = query.bind(words).bind(places).bind(weights);
    let query = query
        .bind(counted.mean)
        .bind(vectored.map(|made| &made.embedder))
        .bind(vectored.map(|made| &made.sketch))
        .bind(!counted.terms.is_empty());
    let rows = query.fetch_all(connection).await.to(WHAT)?;
    let found = rows.iter().map(|row| {
        let length: i32 = row.get(1);
        let vector: Option<Vec<f32>> = row.get(3);
        Found {
            key: row.get(0),
            words: row.get(2),
            brevity: BRIEF / (BRIEF + LONG * f64::from(length) / counted.mean),
            cosine: vectored
                .zip(vector)
                .and_then(|(asked, vector)| cosine(&asked.vector, &vector)),
        }
    });
    Ok(found.collect())
}

/// How rare what `n` of `all` texts have is, as in BM25.
fn rarity(all: i64, n: i64) -> f64 {
    let (all, n) = (all as f64, n.min(all) as f64);
    ((all - n + 0.5) / (n + 0.5)).ln_1p()
}

/// Of two vectors of length one; `None`: they are of different lengths.
fn cosine(one: &[f32], other: &[f32]) -> Option<f64> {
    let products = one
        .iter()
        .zip(other)
        .map(|(a, b)| f64::from(*a) * f64::from(*b));
    (one.len() == other.len()).then(|| products.sum())
}
