//! Texts of records: which are kept, and how far the changes are in.

use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

use crate::{
    ResourceName, Store,
    error::{For, Result},
    memory::Vectored,
};

use super::RecordKey;

/// How far the texts of a resource are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallPlace {
    /// What the texts are made of.
    pub shape: String,
    /// A place in the feed of changes.
    pub cursor: String,
}

/// A record, and the text that is kept of it.
#[derive(Debug, Clone)]
pub struct Indexed {
    /// Its instance.
    pub instance: String,
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// What it says; `None`: it is gone upstream.
    pub body: Option<Value>,
    /// The text that is kept; `None`: there is none.
    pub text: Option<String>,
}

/// A text to be kept.
#[derive(Debug, Clone)]
pub struct IndexedText {
    /// The record's instance.
    pub instance: String,
    /// The record's id.
    pub id: String,
    /// The record's version.
    pub version: i64,
    /// The text.
    pub text: String,
    /// Its words.
    pub words: Vec<String>,
    /// Its vector; `None`: it is still to be made.
    pub vectored: Option<Vectored>,
}

/// A text that is kept of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundText {
    /// The record.
    pub key: RecordKey,
    /// The text.
    pub text: String,
    /// The record's version that it is of.
    pub version: i64,
    /// When upstream was last known to say what the record says.
    pub as_of: jiff::Timestamp,
}

const INDEXED: &str = "SELECT r.instance, r.id, r.version, CASE WHEN r.deleted_at IS NULL THEN r.body END, t.text \
    FROM millpond.record r LEFT JOIN millpond.recall t ON t.resource = r.resource AND t.instance = r.instance AND t.id = r.id \
    WHERE r.resource = $1";

impl Store {
    /// How far the texts of a resource are in; `None`: not begun.
    pub async fn recall_place(&self, resource: &ResourceName) -> Result<Option<RecallPlace>> {
        let row =
            sqlx::query("SELECT shape, cursor FROM millpond.recall_place WHERE resource = $1")
                .bind(resource.as_str())
                .fetch_optional(self.pool())
                .await
                .to("see how far the texts of records are in")?;
        Ok(row.map(|row| RecallPlace {
            shape: row.get(0),
            cursor: row.get(1),
        }))
    }

    /// Says how far they are in. Whoever asks for the generation after this sees another one if `is_anew`.
    pub async fn set_recall_place(
        &self,
        resource: &ResourceName,
        place: &RecallPlace,
        is_anew: bool,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO millpond.recall_place AS p (resource, shape, cursor) VALUES ($1, $2, $3) \
             ON CONFLICT (resource) DO UPDATE SET shape = $2, cursor = $3, as_of = clock_timestamp(), \
               generation = p.generation + $4::boolean::int",
        )
        .bind(resource.as_str())
        .bind(&place.shape)
        .bind(&place.cursor)
        .bind(is_anew)
        .execute(self.pool())
        .await
        .to("say how far the texts of records are in")?;
        Ok(())
    }

    /// A page of all records of a resource with the texts that are kept of them, after a place.
    pub async fn all_indexed(
        &self,
        resource: &ResourceName,
        after: Option<(&str, &str)>,
        limit: i64,
    ) -> Result<Vec<Indexed>> {
        let (instance, id) = after.unwrap_or_default();
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{INDEXED} AND (r.instance, r.id) > ($2, $3) ORDER BY r.instance, r.id LIMIT $4"
        )))
        .bind(resource.as_str())
        .bind(instance)
        .bind(id)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("read records to be recalled")?;
        Ok(rows.iter().map(indexed).collect())
    }

    /// These records of a resource, with the texts that are kept of them.
    pub async fn some_indexed(
        &self,
        resource: &ResourceName,
        keys: &[(String, String)],
    ) -> Result<Vec<Indexed>> {
        let (instances, ids): (Vec<&str>, Vec<&str>) =
            keys.iter().map(|(i, id)| (&**i, &**id)).unzip();
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{INDEXED} AND (r.instance, r.id) IN (SELECT * FROM unnest($2::text[], $3::text[]))"
        )))
        .bind(resource.as_str())
        .bind(instances)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .to("read records to be recalled")?;
        Ok(rows.iter().map(indexed).collect())
    }

    /// Keeps texts of records, unless those of later versions are kept already.
    pub async fn keep_texts(&self, resource: &ResourceName, texts: &[IndexedText]) -> Result<()> {
        const WHAT: &str = "keep texts of records";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        for text in texts {
            let vectored = text.vectored.as_ref();
            sqlx::query(
                "INSERT INTO millpond.recall AS t (resource, instance, id, version, text, words, embedder, vector, sketch) \
                 VALUES ($1, $2, $3, $4, $5, array_to_tsvector($6::text[]), $7, $8, $9::text::varbit) \
                 ON CONFLICT (resource, instance, id) DO UPDATE SET version = excluded.version, text = excluded.text, \
                   words = excluded.words, embedder = excluded.embedder, vector = excluded.vector, \
                   sketch = excluded.sketch, tried_at = NULL \
                 WHERE t.version <= excluded.version",
            )
            .bind(resource.as_str())
            .bind(&text.instance)
            .bind(&text.id)
            .bind(text.version)
            .bind(&text.text)
            .bind(&text.words)
            .bind(vectored.map(|made| &made.embedder))
            .bind(vectored.map(|made| &made.vector))
            .bind(vectored.map(|made| &made.sketch))
            .execute(&mut *tx)
            .await
            .to(WHAT)?;
        }
        tx.commit().await.to(WHAT)
    }

    /// Forgets the texts of these records.
    pub async fn drop_texts(
        &self,
        resource: &ResourceName,
        keys: &[(String, String)],
    ) -> Result<()> {
        let (instances, ids): (Vec<&str>, Vec<&str>) =
            keys.iter().map(|(i, id)| (&**i, &**id)).unzip();
        sqlx::query(
            "DELETE FROM millpond.recall WHERE resource = $1 AND (instance, id) IN (SELECT * FROM unnest($2::text[], $3::text[]))",
        )
        .bind(resource.as_str())
        .bind(instances)
        .bind(ids)
        .execute(self.pool())
        .await
        .to("forget texts of records")?;
        Ok(())
    }

    /// Forgets the texts of resources other than these, and of records that are not there any more.
    pub async fn drop_other_texts(&self, resources: &[String]) -> Result<u64> {
        let done = sqlx::query(
            "DELETE FROM millpond.recall t WHERE t.resource <> ALL ($1) OR NOT EXISTS ( \
               SELECT FROM millpond.record r WHERE r.resource = t.resource AND r.instance = t.instance AND r.id = t.id \
                 AND r.deleted_at IS NULL)",
        )
        .bind(resources)
        .execute(self.pool())
        .await
        .to("forget texts of records")?;
        sqlx::query("DELETE FROM millpond.recall_place WHERE resource <> ALL ($1)")
            .bind(resources)
            .execute(self.pool())
            .await
            .to("forget texts of records")?;
        Ok(done.rows_affected())
    }

    /// The texts that are kept of these records; those of records that are gone upstream are left out. With each key
    /// comes the resource whose watermark says how fresh it is.
    pub async fn find_texts(&self, keys: &[(RecordKey, ResourceName)]) -> Result<Vec<FoundText>> {
        let mut columns: [Vec<&str>; 4] = Default::default();
        for ((resource, instance, id), feed) in keys {
            columns[0].push(resource);
            columns[1].push(instance);
            columns[2].push(id);
            columns[3].push(feed.as_str());
        }
        let [resources, instances, ids, feeds] = columns;
        let rows = sqlx::query(
            "SELECT t.resource, t.instance, t.id, t.text, t.version, \
               greatest(r.asked_at, f.fetched_at, CASE WHEN q.id IS NULL THEN w.as_of END) \
               FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (resource, instance, id, feed) \
               JOIN millpond.recall t ON t.resource = k.resource AND t.instance = k.instance AND t.id = k.id \
               JOIN millpond.record r ON r.resource = k.resource AND r.instance = k.instance AND r.id = k.id \
               LEFT JOIN millpond.record_fetch f ON f.resource = k.resource AND f.instance = k.instance AND f.id = k.id \
               LEFT JOIN millpond.fetch_queue q ON q.resource = k.resource AND q.instance = k.instance AND q.id = k.id \
               LEFT JOIN millpond.watermark w ON w.resource = k.feed AND w.instance = k.instance \
              WHERE r.deleted_at IS NULL",
        )
        .bind(resources)
        .bind(instances)
        .bind(ids)
        .bind(feeds)
        .fetch_all(self.pool())
        .await
        .to("read texts of records")?;
        let found = rows.iter().map(|row| FoundText {
            key: (row.get(0), row.get(1), row.get(2)),
            text: row.get(3),
            version: row.get(4),
            as_of: row.get::<jiff_sqlx::Timestamp, _>(5).to_jiff(),
        });
        Ok(found.collect())
    }
}

fn indexed(row: &PgRow) -> Indexed {
    Indexed {
        instance: row.get(0),
        id: row.get(1),
        version: row.get(2),
        body: row.get(3),
        text: row.get(4),
    }
}
