//! Texts whose vectors are still to be made: the embedder was away, or is another one now.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use crate::{
    Store,
    error::{For, Result},
    memory::Vectored,
};

/// Texts of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Of notes.
    Notes,
    /// Of records.
    Records,
}

impl Kept {
    fn table(self) -> &'static str {
        match self {
            Self::Notes => "millpond.memory",
            Self::Records => "millpond.recall",
        }
    }

    /// What tells a text from others of its kind.
    fn key(self) -> &'static str {
        match self {
            Self::Notes => "ARRAY[t.id]",
            Self::Records => "ARRAY[t.resource, t.instance, t.id]",
        }
    }

    /// Whether `$1` is its key.
    fn is(self) -> &'static str {
        match self {
            Self::Notes => "t.id = ($1::text[])[1]",
            Self::Records => {
                "t.resource = ($1::text[])[1] AND t.instance = ($1::text[])[2] AND t.id = ($1::text[])[3]"
            }
        }
    }
}

/// A text without a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    key: Vec<String>,
    /// The text.
    pub text: String,
}

impl Store {
    /// Texts without a vector that were not tried for `rest`, at most `limit`.
    pub async fn pending_vectors(
        &self,
        kept: Kept,
        rest: Duration,
        limit: i64,
    ) -> Result<Vec<Pending>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {}, t.text FROM {} t WHERE t.embedder IS NULL \
               AND (t.tried_at IS NULL OR t.tried_at < clock_timestamp() - $1 * interval '1 second') \
             ORDER BY t.tried_at NULLS FIRST LIMIT $2",
            kept.key(),
            kept.table()
        )))
        .bind(rest.as_secs_f64())
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .to("find texts without vectors")?;
        let pending = rows.iter().map(|row| Pending {
            key: row.get(0),
            text: row.get(1),
        });
        Ok(pending.collect())
    }

    /// Gives a text its vector, unless it says something else by now. Whoever asks after this returned finds it by it.
    pub async fn give_vector(&self, kept: Kept, pending: &Pending, made: &Vectored) -> Result<()> {
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE {} t SET embedder = $3, vector = $4, sketch = $5::text::varbit, tried_at = NULL \
              WHERE {} AND t.text = $2 AND t.embedder IS NULL",
            kept.table(),
            kept.is()
        )))
        .bind(&pending.key)
        .bind(&pending.text)
        .bind(&made.embedder)
        .bind(&made.vector)
        .bind(&made.sketch)
        .execute(self.pool())
        .await
        .to("give a text its vector")?;
        Ok(())
    }

    /// Notes that the embedder will not have a text; it is tried again after a rest.
    pub async fn rest_vector(&self, kept: Kept, pending: &Pending) -> Result<()> {
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE {} t SET tried_at = clock_timestamp() WHERE {} AND t.text = $2 AND t.embedder IS NULL",
            kept.table(),
            kept.is()
        )))
        .bind(&pending.key)
        .bind(&pending.text)
        .execute(self.pool())
        .await
        .to("let a text rest")?;
        Ok(())
    }

    /// Forgets up to `limit` vectors that another embedder made; answers how many.
    pub async fn forget_vectors_of_others(
        &self,
        kept: Kept,
        embedder: &str,
        limit: i64,
    ) -> Result<u64> {
        let done = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {0} t SET embedder = NULL, vector = NULL, sketch = NULL, tried_at = NULL \
              WHERE t.ctid = ANY (ARRAY(SELECT ctid FROM {0} WHERE embedder < $1 OR embedder > $1 LIMIT $2))",
            kept.table()
        )))
        .bind(embedder)
        .bind(limit)
        .execute(self.pool())
        .await
        .to("forget vectors of another embedder")?;
        Ok(done.rows_affected())
    }
}
