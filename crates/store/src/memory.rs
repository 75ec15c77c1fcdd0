//! Notes that people and agents keep beside the records. Every statement names whose they are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use crate::{
    Store, StoreError,
    error::{For, Result, sqlstate},
    tenants::Tenant,
    usage::{self, Spent},
};

/// Whose notes are meant: a tenant's, or of one of its projects alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// The tenant; `None`: the operators.
    pub tenant: Option<String>,
    /// Only this project's.
    pub project: Option<String>,
}

impl Shelf {
    /// The tenant as it is compared: the operators' is empty.
    pub(crate) fn owner(&self) -> &str {
        self.tenant.as_deref().unwrap_or_default()
    }
}

/// A record that a note is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Such as `cin7.sale`.
    pub resource: String,
    /// Its instance.
    pub instance: String,
    /// Its id.
    pub id: String,
}

/// The vector of a text, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectored {
    /// Who made it, with the version.
    pub embedder: String,
    /// The vector.
    pub vector: Vec<f32>,
    /// Its bits, as letters `0` and `1`.
    pub sketch: String,
}

/// A note to be kept.
#[derive(Debug, Clone)]
pub struct NewMemory {
    /// Whose it is.
    pub shelf: Shelf,
    /// Of which end user; empty: of everybody who sees the project.
    pub user: String,
    /// What it says.
    pub text: String,
    /// Its words.
    pub words: Vec<String>,
    /// Its vector; `None`: it is still to be made.
    pub vectored: Option<Vectored>,
    /// Labels.
    pub tags: Vec<String>,
    /// `hot`, `warm` or `cold`.
    pub tier: String,
    /// The conversation that it is of.
    pub session: Option<String>,
    /// A JSON object.
    pub metadata: Value,
    /// The record that it is about.
    pub link: Option<Link>,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Its id.
    pub id: String,
    /// Its tenant; absent: the operators.
    pub tenant: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// Of which end user; empty: of everybody who sees the project.
    pub user: String,
    /// What it says.
    pub text: String,
    /// Labels.
    pub tags: Vec<String>,
    /// `hot`, `warm` or `cold`.
    pub tier: String,
    /// The conversation that it is of.
    pub session_id: Option<String>,
    /// A JSON object.
    pub metadata: Value,
    /// The record that it is about.
    pub about: Option<Link>,
    /// `made`, or `pending`: until it is made, only words find the note.
    pub vector: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

/// What is to change of a note; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct MemoryChange {
    /// What it says, its words, and its vector if that could be made.
    pub text: Option<(String, Vec<String>, Option<Vectored>)>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// `hot`, `warm` or `cold`.
    pub tier: Option<String>,
    /// A JSON object.
    pub metadata: Option<Value>,
}

const COLUMNS: &str = "m.id, m.tenant, m.project, m.\"user\", m.text, m.tags, m.tier, m.session, m.metadata, m.resource, \
    m.instance, m.record, m.embedder IS NOT NULL, m.added_at, m.changed_at";
/// Whose notes: `$1` the owner, `$2` the project.
const OF_SHELF: &str = "m.owner = $1 AND ($2::text IS NULL OR m.project = $2)";

impl Store {
    /// Keeps a note, and counts one of `spend`'s meter in the same transaction; `None`: there was nothing left, and
    /// nothing happened. Whoever asks after this returned finds it. A dropped future may have kept it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] for a project that is not there.
    pub async fn add_memory(
        &self,
        new: &NewMemory,
        spend: Option<(&Tenant, &str)>,
    ) -> Result<Option<Memory>> {
        const WHAT: &str = "keep a note";
        let mut tx = self.pool().begin().await.to(WHAT)?;
        if let Some((tenant, meter)) = spend
            && usage::spend_on(&mut tx, tenant, meter, 1).await? == Spent::Over
        {
            return Ok(None);
        }
        let vectored = new.vectored.as_ref();
        let link = new.link.as_ref();
        let row = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO millpond.memory AS m (tenant, project, \"user\", text, words, embedder, vector, sketch, tags, tier, \
               session, metadata, resource, instance, record) \
             VALUES ($1, $2, $3, $4, array_to_tsvector($5::text[]), $6, $7, $8::text::varbit, $9, $10, $11, $12, $13, $14, $15) \
             RETURNING {COLUMNS}"
        )))
        .bind(&new.shelf.tenant)
        .bind(&new.shelf.project)
        .bind(&new.user)
        .bind(&new.text)
        .bind(&new.words)
        .bind(vectored.map(|made| &made.embedder))
        .bind(vectored.map(|made| &made.vector))
        .bind(vectored.map(|made| &made.sketch))
        .bind(&new.tags)
        .bind(&new.tier)
        .bind(&new.session)
        .bind(&new.metadata)
        .bind(link.map(|link| &link.resource))
        .bind(link.map(|link| &link.instance))
        .bind(link.map(|link| &link.id))
        .fetch_one(&mut *tx)
        .await
        .map_err(|error| gone(error, &new.shelf, WHAT))?;
        tx.commit().await.to(WHAT)?;
        Ok(Some(memory(&row)))
    }

    /// One note; `None`: there is none of that id on the shelf.
    pub async fn find_memory(&self, shelf: &Shelf, id: &str) -> Result<Option<Memory>> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM millpond.memory m WHERE {OF_SHELF} AND m.id = $3"
        )))
        .bind(shelf.owner())
        .bind(&shelf.project)
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .to("read a note")?;
        Ok(row.as_ref().map(memory))
    }

    /// Those of these notes that are on the shelf, in any order.
    pub async fn find_memories(&self, shelf: &Shelf, ids: &[String]) -> Result<Vec<Memory>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM millpond.memory m WHERE {OF_SHELF} AND m.id = ANY ($3)"
        )))
        .bind(shelf.owner())
        .bind(&shelf.project)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .to("read notes")?;
        Ok(rows.iter().map(memory).collect())
    }

    /// Changes a note; `None`: there is none of that id on the shelf.
    pub async fn change_memory(
        &self,
        shelf: &Shelf,
        id: &str,
        change: &MemoryChange,
    ) -> Result<Option<Memory>> {
        let (text, words, vectored) = match &change.text {
            Some((text, words, vectored)) => (Some(text), Some(words), vectored.as_ref()),
            None => (None, None, None),
        };
        let row = sqlx::query(AssertSqlSafe(format!(
            "UPDATE millpond.memory m SET text = coalesce($4, text), \
               words = CASE WHEN $4 IS NULL THEN words ELSE array_to_tsvector($5::text[]) END, \
               embedder = CASE WHEN $4 IS NULL THEN embedder ELSE $6 END, \
               vector = CASE WHEN $4 IS NULL THEN vector ELSE $7 END, \
               sketch = CASE WHEN $4 IS NULL THEN sketch ELSE $8::text::varbit END, \
               tags = coalesce($9, tags), tier = coalesce($10, tier), metadata = coalesce($11, metadata), \
               tried_at = NULL, changed_at = clock_timestamp() \
             WHERE {OF_SHELF} AND m.id = $3 RETURNING {COLUMNS}"
        )))
        .bind(shelf.owner())
        .bind(&shelf.project)
        .bind(id)
        .bind(text)
        .bind(words)
        .bind(vectored.map(|made| &made.embedder))
        .bind(vectored.map(|made| &made.vector))
        .bind(vectored.map(|made| &made.sketch))
        .bind(&change.tags)
        .bind(&change.tier)
        .bind(&change.metadata)
        .fetch_optional(self.pool())
        .await
        .to("change a note")?;
        Ok(row.as_ref().map(memory))
    }

    /// Deletes a note; `false`: there is none of that id on the shelf.
    pub async fn delete_memory(&self, shelf: &Shelf, id: &str) -> Result<bool> {
        let done = sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM millpond.memory m WHERE {OF_SHELF} AND m.id = $3"
        )))
        .bind(shelf.owner())
        .bind(&shelf.project)
        .bind(id)
        .execute(self.pool())
        .await
        .to("delete a note")?;
        Ok(done.rows_affected() > 0)
    }

    /// The state of what a user of a tenant may recall of notes, and of the texts of `resources`. It differs after
    /// every write to them that was acknowledged before this was called.
    pub async fn memory_generation(
        &self,
        shelf: &Shelf,
        user: &str,
        resources: &[String],
    ) -> Result<String> {
        sqlx::query_scalar(
            "SELECT concat_ws(' ', \
               (SELECT generation FROM millpond.memory_generation WHERE owner = $1 AND \"user\" = ''), '/', \
               (SELECT generation FROM millpond.memory_generation WHERE owner = $1 AND \"user\" = $2), '/', \
               (SELECT string_agg(resource || '=' || generation, ' ' ORDER BY resource) \
                  FROM millpond.recall_place WHERE resource = ANY ($3)))",
        )
        .bind(shelf.owner())
        .bind(user)
        .bind(resources)
        .fetch_one(self.pool())
        .await
        .to("see what was remembered last")
    }
}

/// A project or tenant that went while a note was being added to it.
fn gone(error: sqlx::Error, shelf: &Shelf, what: &'static str) -> StoreError {
    if sqlstate(&error).as_deref() != Some("23503") {
        return StoreError::from_sqlx(what, error);
    }
    let (what, name) = match &shelf.project {
        Some(project) => ("project", project.as_str()),
        None => ("tenant", shelf.owner()),
    };
    StoreError::Unknown {
        what,
        name: name.chars().take(80).collect(),
    }
}

fn memory(row: &PgRow) -> Memory {
    let time = |place: usize| row.get::<jiff_sqlx::Timestamp, _>(place).to_jiff();
    let resource: Option<String> = row.get(9);
    let about = resource.map(|resource| Link {
        resource,
        instance: row.get(10),
        id: row.get(11),
    });
    Memory {
        id: row.get(0),
        tenant: row.get(1),
        project: row.get(2),
        user: row.get(3),
        text: row.get(4),
        tags: row.get(5),
        tier: row.get(6),
        session_id: row.get(7),
        metadata: row.get(8),
        about,
        vector: if row.get(12) { "made" } else { "pending" }.to_owned(),
        added_at: time(13),
        changed_at: time(14),
    }
}
