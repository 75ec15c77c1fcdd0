//! The page write: what differs goes in, in one transaction with everything that follows from it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use sqlx::{Connection, PgConnection};

use super::{
    ID_BYTES_MAX, Incoming, PageWrite, Refused, copy,
    statements::{self, Differs},
};
use crate::{
    Store, StoreError,
    error::{For, Result, sqlstate},
};

/// From this many new records on, and when nothing else is on the page, `COPY` pays.
const COPY_RECORDS_MIN: usize = 20;

/// How often a page is tried again when other writers got in its way.
const ATTEMPTS_MAX: usize = 5;

/// What a write was for, in errors.
const WHAT: &str = "write a page of records";

/// What became of a page.
#[derive(Debug, Default, Clone)]
pub struct PageOutcome {
    /// Ids seen for the first time.
    pub inserted: Vec<String>,
    /// Ids whose body changed, or that came back after a delete.
    pub updated: Vec<String>,
    /// Records that upstream said again, word for word, and late answers.
    pub unchanged: u64,
    /// Records that PostgreSQL cannot hold; they are in quarantine.
    pub refused: Vec<Refused>,
}

impl PageOutcome {
    fn absorb(&mut self, other: Self) {
        self.inserted.extend(other.inserted);
        self.updated.extend(other.updated);
        self.unchanged += other.unchanged;
        self.refused.extend(other.refused);
    }

    /// How many records this page changed.
    pub fn changed(&self) -> u64 {
        (self.inserted.len() + self.updated.len()) as u64
    }
}

/// Why a piece of a page was not written.
pub(super) enum Obstacle {
    /// Another writer was in the way; the same again can work.
    Busy(sqlx::Error),
    /// One of the records is not for PostgreSQL.
    Data(sqlx::Error),
    /// Nothing to be done here.
    Failed(StoreError),
}

impl From<sqlx::Error> for Obstacle {
    fn from(error: sqlx::Error) -> Self {
        match sqlstate(&error).as_deref() {
            // Serialisation, deadlock, unique key.
            Some("40001" | "40P01" | "23505") => Self::Busy(error),
            // Data exceptions; program limits (too large, too deep).
            Some(code) if code.starts_with("22") || code.starts_with("54") => Self::Data(error),
            _ => Self::Failed(StoreError::from_sqlx(WHAT, error)),
        }
    }
}

impl Store {
    /// Writes a page: inserts what is new, replaces what differs (keeping the previous version),
    /// leaves alone what is the same; logs each change, queues the children of changed records,
    /// settles fetches, and moves the job's progress, all in one transaction.
    ///
    /// Records that PostgreSQL cannot hold go to quarantine and do not stop the rest; such a page is
    /// written in several transactions. Dropping the future leaves whole transactions or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when the job has another holder; otherwise the database's own.
    pub async fn write_page(&self, mut page: PageWrite<'_>) -> Result<PageOutcome> {
        let mut outcome = PageOutcome::default();
        let mut records = Vec::with_capacity(page.records.len());
        for record in last_of_each_id(std::mem::take(&mut page.records)) {
            match obvious_problem(&record) {
                Some(reason) => outcome.refused.push(refuse(&record, reason)),
                None => records.push(record),
            }
        }
        // One order for all writers: they wait for each other instead of deadlocking.
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id));

        let mut connection = self.pool().acquire().await.to(WHAT)?;
        // Pieces of the page still to be written: more than one once a bad record has to be found out.
        let mut pieces = vec![&records[..]];
        let mut attempt = 0;
        while let Some(piece) = pieces.pop() {
            attempt += 1;
            match write_piece(&mut connection, &page, piece, pieces.is_empty(), attempt).await {
                Ok(written) => outcome.absorb(written),
                Err(Obstacle::Busy(_)) if attempt < ATTEMPTS_MAX => {
                    pieces.push(piece);
                    continue;
                }
                Err(Obstacle::Busy(source)) => {
                    return Err(StoreError::Refused { what: WHAT, source });
                }
                Err(Obstacle::Data(error)) => match piece {
                    [record] => {
                        outcome.refused.push(refuse(record, describe(&error)));
                        if pieces.is_empty() {
                            pieces.push(&[]); // What follows from the page is still to be done.
                        }
                    }
                    _ => {
                        let (left, right) = piece.split_at(piece.len() / 2);
                        pieces.push(right);
                        pieces.push(left);
                    }
                },
                Err(Obstacle::Failed(error)) => return Err(error),
            }
            attempt = 0;
        }
        drop(connection);
        for refused in &outcome.refused {
            self.quarantine(page.resource, page.instance, refused, page.run)
                .await?;
        }
        Ok(outcome)
    }
}

fn refuse(record: &Incoming, reason: String) -> Refused {
    Refused {
        id: record.id.clone(),
        reason,
        body: Bytes::clone(&record.body),
    }
}

fn describe(error: &sqlx::Error) -> String {
    let Some(database) = error.as_database_error() else {
        return error.to_string();
    };
    let mut text = database.message().to_owned();
    if let Some(detail) = database
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(|e| e.detail())
    {
        text = format!("{text}: {detail}");
    }
    text.truncate(text.floor_char_boundary(500));
    text
}

fn last_of_each_id(records: Vec<Incoming>) -> Vec<Incoming> {
    let mut place: HashMap<String, usize> = HashMap::with_capacity(records.len());
    let mut kept: Vec<Incoming> = Vec::with_capacity(records.len());
    for record in records {
        if let Some(&at) = place.get(&record.id) {
            kept[at] = record;
        } else {
            place.insert(record.id.clone(), kept.len());
            kept.push(record);
        }
    }
    kept
}

/// What is known to fail before the database is asked.
fn obvious_problem(record: &Incoming) -> Option<String> {
    if record.id.is_empty() {
        Some("it has no id".to_owned())
    } else if record.id.len() > ID_BYTES_MAX {
        Some(format!(
            "its id has {} bytes, more than {ID_BYTES_MAX}",
            record.id.len()
        ))
    } else if record.id.contains('\0') {
        Some("its id contains a NUL character".to_owned())
    } else {
        None
    }
}

async fn write_piece(
    connection: &mut PgConnection,
    page: &PageWrite<'_>,
    records: &[Incoming],
    is_last: bool,
    attempt: usize,
) -> std::result::Result<PageOutcome, Obstacle> {
    let mut outcome = PageOutcome::default();
    let mut tx = connection.begin().await?;

    if attempt > 1 {
        // Others were in the way: now nobody is.
        statements::lock_pages(&mut tx, page, false).await?;
    }
    let copies = attempt == 1 && records.len() >= COPY_RECORDS_MIN;
    let (mut new, mut different) = (Vec::new(), Vec::new());
    if page.likely_new && copies {
        new.extend(records);
    } else {
        let differing = statements::differing(&mut tx, page, records).await?;
        for record in records {
            match differing.get(record.id.as_str()) {
                None => outcome.unchanged += 1,
                Some(Differs::IsNew) => new.push(record),
                Some(Differs::IsHeld) => different.push(record),
            }
        }
    }

    if attempt == 1 && !(new.is_empty() && different.is_empty()) {
        statements::lock_pages(&mut tx, page, true).await?;
    }
    if copies && different.is_empty() && new.len() >= COPY_RECORDS_MIN {
        copy::copy_new(&mut tx, page.resource, page.instance, page.run, &new).await?;
        outcome.inserted = new.iter().map(|r| r.id.clone()).collect();
    } else if !new.is_empty() || !different.is_empty() {
        let kept: HashSet<String> = statements::keep_versions(&mut tx, page, &different).await?;
        new.append(&mut different);
        new.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        for (id, inserted) in statements::upsert(&mut tx, page, &new).await? {
            if inserted {
                outcome.inserted.push(id);
            } else if kept.contains(&id) {
                outcome.updated.push(id);
            } else {
                // Somebody inserted it between our two statements: its version would be lost.
                return Err(Obstacle::Busy(sqlx::Error::RowNotFound));
            }
        }
        outcome.unchanged += (new.len() as u64).saturating_sub(outcome.changed());
    }

    if !page.children.is_empty() && outcome.changed() > 0 {
        statements::queue_children(&mut tx, page, records, &outcome).await?;
    }
    if is_last {
        statements::settle_fetches(&mut tx, page).await?;
        if let Some((lease, progress)) = &page.progress {
            // A crash of the server may take the last of these pages, and with each the progress beyond it: they are
            // then read again. The run's end is written with a sync, and everything before it with that.
            let can_be_read_again = page.likely_new || outcome.changed() == 0;
            if !statements::move_progress(&mut tx, lease, progress, can_be_read_again).await? {
                return Err(Obstacle::Failed(lease.lost()));
            }
        }
    }
    tx.commit().await?;
    Ok(outcome)
}
